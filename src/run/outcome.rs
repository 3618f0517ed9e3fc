//! How a run ended, for programs, for people and as an exit code.

use serde::{Deserialize, Serialize};

use crate::{error::Kind, platform::signal::Exit};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    Completed,
    /// On request; `saved`: the trainer wrote a checkpoint before it left.
    Stopped {
        saved: bool,
    },
    /// The trainer itself failed.
    Failed {
        exit: Exit,
    },
    /// There was not enough memory for it.
    OutOfMemory {
        memory: Memory,
    },
    /// It left without an error and without having finished.
    ExitedEarly,
    /// dpgui ended it, as the user wishes for such a case.
    Abandoned {
        concern: Concern,
    },
    /// Somebody or something else killed it.
    Killed {
        signal: Option<i32>,
    },
    /// The program could not be started at all.
    NotStarted {
        reason: String,
    },
    /// It was taken out of the queue before it began.
    Withdrawn,
    /// The machine went down under it.
    Interrupted,
    /// It is gone and nobody saw how.
    Lost,
    /// Another machine of the run could not go on: how it ended there, if it could still be reached.
    NodeFailed {
        host: String,
        end: Option<Box<Self>>,
    },
}

/// What there was not enough of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Memory {
    /// The machine's or its container's: the kernel killed a process.
    Host,
    Gpu,
}

/// What can be so wrong with a living run that it is better ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Concern {
    /// The loss has not been a number for many steps: nothing is learnt any more.
    NotANumber,
    /// Nothing happens any more.
    Stalled,
    /// It was to go on and began anew.
    NotResumed,
    /// The first machine of the run is not heard of any more.
    HeadLost,
}

/// How a run is asked to stop, the most patient first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Manner {
    /// Save if that is possible, then leave.
    Graceful,
    /// Leave in order, without a checkpoint.
    NoSave,
    /// End, whatever is lost.
    Now,
}

impl Outcome {
    /// One word for tables.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Stopped { .. } => "stopped",
            Self::Failed { .. } | Self::NotStarted { .. } | Self::NodeFailed { .. } => "failed",
            Self::OutOfMemory { .. } => "out of memory",
            Self::ExitedEarly => "exited early",
            Self::Abandoned { .. } => "abandoned",
            Self::Killed { .. } => "killed",
            Self::Withdrawn => "withdrawn",
            Self::Interrupted => "interrupted",
            Self::Lost => "lost",
        }
    }

    /// The same as [`Self::sentence`], of a run whose last step is known.
    pub fn sentence_after(&self, last_step: Option<u64>) -> String {
        match (self, last_step) {
            (Self::Stopped { saved: false }, None) => "was stopped before its first step".to_owned(),
            _ => self.sentence(),
        }
    }

    /// What follows "the training" in a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Completed => "is complete".to_owned(),
            Self::Stopped { saved: true } => "was stopped and saved a checkpoint before".to_owned(),
            Self::Stopped { saved: false } => "was stopped without a checkpoint of its last steps".to_owned(),
            Self::Failed { exit: Exit::Code(code) } => format!("failed with exit code {code}"),
            Self::Failed { exit: Exit::Signal(signal) } => format!("crashed with {}", signal_name(*signal)),
            Self::Failed { exit: Exit::Unknown | Exit::Reboot } => "failed".to_owned(),
            Self::OutOfMemory { memory: Memory::Host } => {
                "was killed because the machine or its container ran out of memory".to_owned()
            }
            Self::OutOfMemory { memory: Memory::Gpu } => "failed because a GPU ran out of memory".to_owned(),
            Self::ExitedEarly => "ended without an error and without having finished".to_owned(),
            Self::Abandoned { concern } => format!("was ended because {}", concern.sentence()),
            Self::Killed { signal: Some(signal) } => format!("was killed with {}", signal_name(*signal)),
            Self::Killed { signal: None } => {
                "lost its launcher; the processes that went on without it were ended".to_owned()
            }
            Self::NotStarted { reason } => format!("could not be started: {reason}"),
            Self::Withdrawn => "was taken out of the queue before it began".to_owned(),
            Self::Interrupted => "was cut off when the machine went down".to_owned(),
            Self::Lost => "is gone, and nobody saw how it ended".to_owned(),
            Self::NodeFailed { host, end: Some(end) } => {
                format!("failed because of the machine `{host}`, where it {}", end.sentence())
            }
            Self::NodeFailed { host, end: None } => {
                format!("failed because the machine `{host}` could not be reached any more")
            }
        }
    }

    /// The kind of error that this is for whoever waited for the run.
    pub const fn failure(&self) -> Option<Kind> {
        match self {
            Self::Completed => None,
            Self::Stopped { .. } | Self::Withdrawn => Some(Kind::Interrupted),
            Self::Failed { .. }
            | Self::OutOfMemory { .. }
            | Self::ExitedEarly
            | Self::Abandoned { .. }
            | Self::Killed { .. }
            | Self::NotStarted { .. }
            | Self::Interrupted
            | Self::Lost
            | Self::NodeFailed { .. } => Some(Kind::Failed),
        }
    }
}

impl Manner {
    /// The more urgent of the two.
    #[must_use]
    pub fn or_harder(self, other: Self) -> Self {
        self.max(other)
    }
}

impl Memory {
    /// By the name of a cause in `templates/failures`.
    pub fn of_cause(id: &str) -> Option<Self> {
        match id {
            "host_oom" => Some(Self::Host),
            "cuda_oom" | "cuda_oom_foreign" => Some(Self::Gpu),
            _ => None,
        }
    }
}

impl Concern {
    /// What follows "because" in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NotANumber => "its loss was not a number any more",
            Self::Stalled => "nothing happened any more",
            Self::NotResumed => "it began anew instead of going on from its checkpoint",
            Self::HeadLost => "the first machine of the run was not heard of any more",
        }
    }
}

/// The signals that end trainings, by the names people search for.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        2 => "SIGINT",
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return format!("signal {signal}"),
    };
    name.to_owned()
}
