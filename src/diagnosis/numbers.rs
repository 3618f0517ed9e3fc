//! What was counted on the machine when a training ended. Numbers say more than texts about three things: memory of the
//! host, room on disks, GPUs that are gone.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{output::size, platform::signal::Exit};

use super::catalogue::Matter;

/// Free bytes of a disk on which nothing of a training can be written any more.
const FULL: u64 = 64 << 20;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Numbers {
    /// How the program that was started ended.
    pub exit: Option<Exit>,
    /// With which code the launcher says that the first rank ended; negative is a signal.
    pub returned: Option<i32>,
    /// The trainer's own word that it was done is missing.
    pub ended_early: bool,
    /// The program that starts the ranks was gone before them, so its exit code is not theirs.
    pub launcher_lost: bool,
    /// Processes that the kernel killed for lack of memory while the run was going on, in its control group or else on
    /// the machine; `None` where nobody counts them.
    pub oom_kills: Option<u64>,
    pub disks: Vec<Disk>,
    /// GPUs that the driver says it has lost.
    pub lost_gpus: Vec<u32>,
    /// Another machine of the run that could not go on, so that dpgui ended the ranks of this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
}

/// A machine whose part of a run ended before the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub host: String,
    pub way: Way,
    /// How it ended, after "the training"; of one that was lost, what ssh said.
    pub says: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// It could not be reached any more.
    Lost,
    /// Somebody stopped it there.
    Stopped,
    /// Somebody killed it there.
    Killed,
    /// The machine ran out of memory.
    OutOfMemory,
    /// In any other way: what its ranks printed may say more.
    Failed,
}

impl Way {
    /// The cause in the catalogue.
    pub(super) const fn cause(self) -> &'static str {
        match self {
            Self::Lost => "node_lost",
            Self::Stopped => "node_stopped",
            Self::Killed => "node_killed",
            Self::OutOfMemory => "host_oom",
            Self::Failed => "node_failed",
        }
    }
}

impl Node {
    pub(super) fn sentence(&self) -> String {
        let Self { host, says, .. } = self;
        match (self.way, says) {
            (Way::Lost, Some(said)) => format!("nothing was heard of `{host}` any more: {said}"),
            (Way::Lost, None) => format!("nothing was heard of `{host}` any more"),
            (_, Some(how)) => format!("on `{host}` the training {how}"),
            (_, None) => format!("the training ended on `{host}`"),
        }
    }
}

/// What is left on the file system of a directory that the trainer writes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    pub path: PathBuf,
    pub free_bytes: u64,
    /// Files that may still be made; `None` where there is no limit.
    pub free_files: Option<u64>,
}

impl Numbers {
    /// The signal that ended the trainer. deepspeed passes a rank's death by signal N on as -N, which the kernel makes
    /// 256-N; shells and containers as 128+N.
    pub(super) fn signal(&self) -> Option<i32> {
        const SIGNALS: [i32; 8] = [2, 4, 6, 7, 8, 9, 11, 15];
        let of_code = |code: i32| [-code, 256 - code, code - 128].into_iter().find(|it| SIGNALS.contains(it));
        match (self.returned, self.exit) {
            (Some(code), _) if code < 0 => Some(-code),
            (_, Some(Exit::Signal(signal))) => Some(signal),
            (_, Some(Exit::Code(code))) if code != 0 => of_code(code),
            _ => None,
        }
    }

    /// What these numbers show: the id of the cause, and the numbers in words.
    pub(super) fn show(&self) -> Vec<(Matter, &'static str, String)> {
        let mut shown = vec![];
        if !self.lost_gpus.is_empty() {
            let ids: Vec<String> = self.lost_gpus.iter().map(u32::to_string).collect();
            shown.push((Matter::Gpu, "gpu_lost", format!("the driver has lost GPU {}", ids.join(", "))));
        }
        if let Some(kills @ 1..) = self.oom_kills {
            let times = if kills == 1 { "a process" } else { "processes" };
            let text = format!(
                "the kernel killed {times} for lack of memory while it ran (`oom_kill` rose by {kills})"
            );
            shown.push((Matter::Memory, "host_oom", text));
        }
        for disk in &self.disks {
            let path = disk.path.display();
            if disk.free_bytes < FULL {
                let text = format!("`{path}` has {} left", size::bytes(disk.free_bytes));
                shown.push((Matter::Disk, "disk_full", text));
            } else if disk.free_files == Some(0) {
                shown.push((Matter::Disk, "disk_full", format!("no further file can be made in `{path}`")));
            }
        }
        shown
    }

    /// How it ended, in words.
    pub(super) fn end(&self) -> Option<String> {
        if self.launcher_lost {
            return Some("its launcher was gone while ranks went on".to_owned());
        }
        // Nobody is to look for somebody else who sent them.
        if self.node.is_some() && matches!(self.signal(), Some(2 | 9 | 15)) {
            return Some("the ranks of this machine were then ended by dpgui".to_owned());
        }
        let code = match (self.signal(), self.exit) {
            (Some(signal), _) => return Some(format!("ended by signal {signal}")),
            (None, Some(Exit::Code(code))) => code,
            (None, _) => self.returned?,
        };
        let early =
            if code == 0 && self.ended_early { ", without its own word that it was done" } else { "" };
        Some(format!("exit code {code}{early}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_stand_for_signals_are_those_signals() {
        let check = |exit, returned, expected| {
            assert_eq!(Numbers { exit, returned, ..Numbers::default() }.signal(), expected);
        };
        check(Some(Exit::Code(247)), None, Some(9));
        check(Some(Exit::Code(137)), None, Some(9));
        check(Some(Exit::Code(1)), Some(-11), Some(11));
        check(Some(Exit::Signal(6)), None, Some(6));
        check(Some(Exit::Code(1)), Some(1), None);
        check(Some(Exit::Code(0)), None, None);
        check(Some(Exit::Code(255)), None, None);
    }
}
