//! What is known about a run that has happened: the only ground on which its outcome is decided.
//!
//! Exit codes alone prove nothing. `deepspeed` returns 0 when its launcher was killed and the ranks train on, and
//! diffusion-pipe itself leaves with 0 when it refuses a dataset. Success is the trainer's own last line.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::signal::Exit;

use super::outcome::{Concern, Manner, Memory, Outcome};

/// Least and most time that a requested save gets.
const SAVE: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(15));

/// SIGTERM.
const TERM: i32 = 15;

/// What one line of the log tells the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Latents or text embeddings are being cached.
    Caching,
    /// A training step was done.
    Step,
    /// A checkpoint or a model is about to be written.
    Saving,
    /// The model is about to be evaluated.
    Evaluating,
    /// `TRAINING COMPLETE!`
    Complete,
    /// `Manually quitting`: the trainer saved because it was asked to, and leaves.
    Quit,
    /// The launcher says with which code a rank ended, negative for a signal, 0 for one that has failed in nothing.
    Returned(i32),
    /// The launcher ends its ranks, and waits up to half a minute for each of them (`launcher/launch.py`).
    GivenUp,
    /// A rank ended because its launcher was gone, whose word on it is missing.
    Orphaned,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    pub phase: Phase,
    pub proof: Option<Proof>,
    pub returned: Option<i32>,
    /// How the program that we started ended, once it has.
    pub exit: Option<Exit>,
    /// Nobody can write to the log any more.
    pub output_closed: bool,
    /// The program that we started, or one below it that starts others, ended before those.
    pub survivors: bool,
    pub out_of_memory: Option<Memory>,
    /// Another machine of the run that could not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeFailure>,
}

/// The end of a part of the run that is the end of all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFailure {
    pub host: String,
    /// None if it could not be reached any more.
    pub end: Option<Outcome>,
}

/// That a run was to end while it still ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub manner: Manner,
    pub by: By,
}

/// Who wants a run to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    User,
    /// It goes down in order: the supervisor was told to end. What it ends is to go on when it is back.
    Machine,
    Dpgui(Concern),
}

/// The trainer's own word on how it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    Saved,
    Complete,
}

/// How far the trainer has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    #[default]
    Loading,
    Caching,
    Training(Pace),
}

/// How fast it trains, in the supervisor's own time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// When the last step line came; unknown if it was read later, in what had piled up.
    #[serde(skip)]
    pub at: Option<Duration>,
    /// Between the last two step lines that had no save between them.
    pub step: Duration,
    /// What the last save took longer than a step.
    pub save: Duration,
    /// A save was announced after the last step line.
    pub saving: bool,
}

impl Evidence {
    /// Takes note of a line of the log that came at the time `at`, where that is known.
    pub fn take(&mut self, sight: Sight, at: Option<Duration>) {
        match (sight, &mut self.phase) {
            (Sight::Caching, phase @ Phase::Loading) => *phase = Phase::Caching,
            (Sight::Step, phase @ (Phase::Loading | Phase::Caching)) => {
                *phase = Phase::Training(Pace { at, ..Pace::default() });
            }
            (Sight::Step, Phase::Training(pace)) => pace.step_done(at),
            (Sight::Saving, Phase::Training(pace)) => pace.saving = true,
            (Sight::Caching | Sight::Evaluating | Sight::GivenUp, _)
            | (Sight::Saving, Phase::Loading | Phase::Caching) => {}
            (Sight::Complete, _) => self.proof = Some(Proof::Complete),
            (Sight::Quit, _) => self.proof = self.proof.max(Some(Proof::Saved)),
            // The first rank to fail is the one that tells why.
            (Sight::Returned(code), _) => self.returned = self.failed_with().or(Some(code)),
            (Sight::Orphaned, _) => self.survivors = true,
        }
    }

    /// What the launcher says of a rank that failed.
    pub fn failed_with(&self) -> Option<i32> {
        self.returned.filter(|it| *it != 0)
    }

    /// Takes note of another machine's end, unless it came after an end here that may have caused it.
    pub fn node_failed(&mut self, failure: &NodeFailure) {
        if self.node.is_none() && (self.exit.is_none() || failure.is_first_of_all()) {
            self.node = Some(failure.clone());
        }
    }

    /// How long a save may take that is asked for now: until the next step, the save itself, and as much again.
    pub fn patience(&self) -> Duration {
        let expected = match &self.phase {
            Phase::Training(pace) => pace.step * 3 + pace.save * 2,
            Phase::Loading | Phase::Caching => Duration::ZERO,
        };
        expected.clamp(SAVE.0, SAVE.1)
    }

    /// How long it will take, by what was measured: to the middle of the next step, to its end, and the save itself.
    /// `None` while there is nothing to save.
    pub fn save_takes(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Training(pace) => Some(pace.step * 2 + pace.save),
            Phase::Loading | Phase::Caching => None,
        }
    }

    /// It was told to end, and neither a user nor dpgui had asked for that. A machine that goes down does it.
    pub fn was_terminated(&self) -> bool {
        self.outcome(None) == Outcome::Killed { signal: Some(TERM) }
    }

    /// Why the run ended, now that nothing of it is left. `stop` is how it was asked to, if it was.
    pub fn outcome(&self, stop: Option<Asked>) -> Outcome {
        match (self.proof, stop.map(|it| it.by)) {
            (Some(Proof::Complete), _) => return Outcome::Completed,
            (_, Some(By::Dpgui(concern))) => return Outcome::Abandoned { concern },
            (_, Some(By::Machine)) => return Outcome::Interrupted,
            (Some(Proof::Saved), None | Some(By::User)) => return Outcome::Stopped { saved: true },
            (None, Some(By::User)) => return Outcome::Stopped { saved: false },
            (None, None) => {}
        }
        if let Some(NodeFailure { host, end }) = &self.node {
            return Outcome::NodeFailed { host: host.clone(), end: end.clone().map(Box::new) };
        }
        if let Some(memory) = self.out_of_memory {
            return Outcome::OutOfMemory { memory };
        }
        match (self.exit, self.failed_with()) {
            (Some(Exit::Code(0) | Exit::Unknown), _) if self.survivors => Outcome::Killed { signal: None },
            (Some(Exit::Code(0)), None) => Outcome::ExitedEarly,
            (Some(Exit::Code(0) | Exit::Reboot | Exit::Unknown) | None, Some(code))
            | (Some(Exit::Code(code)), _) => by_code(code),
            (Some(Exit::Signal(signal)), _) => by_signal(signal),
            (Some(Exit::Reboot), None) => Outcome::Interrupted,
            (Some(Exit::Unknown) | None, None) => Outcome::Lost,
        }
    }
}

impl NodeFailure {
    /// Ranks fail on all machines when they do on one. One that was killed or is not there any more did not follow others.
    const fn is_first_of_all(&self) -> bool {
        !matches!(self.end, Some(Outcome::Failed { .. } | Outcome::ExitedEarly))
    }
}

impl From<Manner> for Asked {
    fn from(manner: Manner) -> Self {
        Self { manner, by: By::User }
    }
}

impl Phase {
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Caching => "caching",
            Self::Training(_) => "training",
        }
    }
}

impl Pace {
    fn step_done(&mut self, at: Option<Duration>) {
        match at.zip(self.at).map(|(at, before)| at.saturating_sub(before)) {
            Some(took) if self.saving => self.save = took.saturating_sub(self.step),
            Some(took) => self.step = took,
            // A step of unknown length is no reason to forget how long they are.
            None => {}
        }
        (self.at, self.saving) = (at, false);
    }
}

/// Python and the launcher pass a child's death by signal N on as -N, which the kernel makes 256-N; shells and
/// containers as 128+N.
fn by_code(code: i32) -> Outcome {
    const SIGNALS: [i32; 9] = [2, 3, 4, 6, 7, 8, 9, 11, 15];
    let told = [-code, 256 - code, code - 128].into_iter().find(|signal| SIGNALS.contains(signal));
    told.map_or(Outcome::Failed { exit: Exit::Code(code) }, by_signal)
}

/// INT, QUIT, KILL and TERM come from outside; the others are a crash of the program itself.
fn by_signal(signal: i32) -> Outcome {
    match signal {
        2 | 3 | 9 | 15 => Outcome::Killed { signal: Some(signal) },
        _ => Outcome::Failed { exit: Exit::Signal(signal) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exited(exit: Exit) -> Evidence {
        Evidence { exit: Some(exit), ..Evidence::default() }
    }

    #[test]
    fn the_outcome_is_decided_by_evidence_and_not_by_the_exit_code() {
        let check = |evidence: Evidence, stop: Option<Manner>, expected| {
            assert_eq!(evidence.outcome(stop.map(Asked::from)), expected);
        };
        let ok = || exited(Exit::Code(0));
        let complete = Some(Proof::Complete);
        check(ok(), None, Outcome::ExitedEarly);
        check(Evidence { proof: complete, ..ok() }, None, Outcome::Completed);
        check(Evidence { proof: complete, ..exited(Exit::Code(1)) }, None, Outcome::Completed);
        check(Evidence { survivors: true, ..ok() }, None, Outcome::Killed { signal: None });
        check(Evidence { proof: Some(Proof::Saved), ..ok() }, None, Outcome::Stopped { saved: true });
        check(exited(Exit::Code(254)), Some(Manner::Graceful), Outcome::Stopped { saved: false });
        check(Evidence { proof: complete, ..ok() }, Some(Manner::Now), Outcome::Completed);
        let memory = Memory::Host;
        let killed = || Evidence { out_of_memory: Some(memory), ..exited(Exit::Code(247)) };
        check(killed(), None, Outcome::OutOfMemory { memory });
        check(killed(), Some(Manner::Now), Outcome::Stopped { saved: false });
        let asked = |by| Some(Asked { manner: Manner::Graceful, by });
        let expected = Outcome::Abandoned { concern: Concern::Stalled };
        assert_eq!(exited(Exit::Code(254)).outcome(asked(By::Dpgui(Concern::Stalled))), expected);
        for proof in [None, Some(Proof::Saved)] {
            let ended = Evidence { proof, ..exited(Exit::Code(254)) };
            assert_eq!(ended.outcome(asked(By::Machine)), Outcome::Interrupted);
        }
    }

    #[test]
    fn exit_codes_that_stand_for_signals_are_those_signals() {
        let check = |code, expected| assert_eq!(exited(Exit::Code(code)).outcome(None), expected);
        check(247, Outcome::Killed { signal: Some(9) });
        check(241, Outcome::Killed { signal: Some(15) });
        check(250, Outcome::Failed { exit: Exit::Signal(6) });
        check(245, Outcome::Failed { exit: Exit::Signal(11) });
        check(255, Outcome::Failed { exit: Exit::Code(255) });
        check(137, Outcome::Killed { signal: Some(9) });
        check(143, Outcome::Killed { signal: Some(15) });
        check(139, Outcome::Failed { exit: Exit::Signal(11) });
        check(3, Outcome::Failed { exit: Exit::Code(3) });
        check(128, Outcome::Failed { exit: Exit::Code(128) });
    }

    #[test]
    fn without_an_exit_status_the_launchers_word_or_the_reboot_decides() {
        let lost = || exited(Exit::Unknown);
        let check = |evidence: Evidence, expected| assert_eq!(evidence.outcome(None), expected);
        check(lost(), Outcome::Lost);
        check(exited(Exit::Reboot), Outcome::Interrupted);
        check(Evidence { returned: Some(-9), ..lost() }, Outcome::Killed { signal: Some(9) });
        check(Evidence { returned: Some(1), ..lost() }, Outcome::Failed { exit: Exit::Code(1) });
        check(Evidence { proof: Some(Proof::Complete), ..exited(Exit::Reboot) }, Outcome::Completed);
    }

    #[test]
    fn of_two_machines_that_fail_the_first_is_named_or_the_one_that_did_not_follow() {
        let failure = |end| NodeFailure { host: "node2".to_owned(), end };
        let failed = Some(Outcome::Failed { exit: Exit::Code(1) });
        let killed = Some(Outcome::Killed { signal: Some(9) });
        let named = |end: &Option<Outcome>| Outcome::NodeFailed {
            host: "node2".to_owned(),
            end: end.clone().map(Box::new),
        };
        let check = |mut evidence: Evidence, end: &Option<Outcome>, expected| {
            evidence.node_failed(&failure(end.clone()));
            assert_eq!(Evidence { exit: Some(Exit::Code(1)), ..evidence }.outcome(None), expected);
        };
        check(Evidence::default(), &failed, named(&failed));
        check(exited(Exit::Code(1)), &failed, Outcome::Failed { exit: Exit::Code(1) });
        check(exited(Exit::Code(1)), &killed, named(&killed));
        check(exited(Exit::Code(1)), &None, named(&None));
        let complete = Evidence { proof: Some(Proof::Complete), ..exited(Exit::Code(0)) };
        check(complete, &None, Outcome::Completed);
    }

    #[test]
    fn the_pace_tells_steps_from_saves() {
        let mut evidence = Evidence::default();
        let seconds = Duration::from_secs;
        for (sight, at) in
            [(Sight::Step, 10), (Sight::Step, 12), (Sight::Saving, 13), (Sight::Step, 44), (Sight::Step, 46)]
        {
            evidence.take(sight, Some(seconds(at)));
        }
        let pace = |at| Pace { at, step: seconds(2), save: seconds(30), saving: false };
        assert_eq!(evidence.phase, Phase::Training(pace(Some(seconds(46)))));
        // A new supervisor reads what had piled up, then goes on by its own clock.
        evidence.take(Sight::Step, None);
        evidence.take(Sight::Step, Some(seconds(1)));
        assert_eq!(evidence.phase, Phase::Training(pace(Some(seconds(1)))));
    }
}
