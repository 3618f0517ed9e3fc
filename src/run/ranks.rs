//! The ranks that the supervisor started itself: which one failed first, and when they are all gone.

use std::time::Duration;

use serde::Serialize;

use crate::platform::{clock::Stopwatch, procfs::ProcessId, signal::Exit};

/// For ranks to end after the first one of them, where nobody is told with which code: they save together.
const TOGETHER: Duration = Duration::from_secs(30);

/// For `events.jsonl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "event", rename = "rank-exited")]
pub(super) struct RankExited {
    pub(super) rank: usize,
    pub(super) exit: Exit,
}

#[derive(Debug, Default)]
pub(super) struct Ranks {
    left: Vec<(usize, ProcessId)>,
    /// What was told as the end of them all.
    told: bool,
    /// Some of them were found gone at this moment.
    thinned: Option<Stopwatch>,
}

impl Ranks {
    pub(super) fn new(all: &[ProcessId]) -> Self {
        Self { left: all.iter().copied().enumerate().collect(), told: false, thinned: None }
    }

    pub(super) fn add(&mut self, rank: usize, process: ProcessId) {
        self.left.push((rank, process));
    }

    /// A child ended: the rank that it was, and the exit of the whole if this decides it. That is the first failure, or
    /// the last success.
    pub(super) fn ended(&mut self, pid: i32, exit: Exit) -> Option<(RankExited, Option<Exit>)> {
        let at = self.left.iter().position(|(_, process)| process.pid == pid)?;
        let (rank, _) = self.left.remove(at);
        let decides = !self.told && (exit != Exit::Code(0) || self.left.is_empty());
        self.told |= decides;
        Some((RankExited { rank, exit }, decides.then_some(exit)))
    }

    /// Nobody is waited for any more, where they are not our children: all are gone, or some are, long ago.
    pub(super) fn are_gone(&mut self) -> bool {
        let alive = self.left.iter().filter(|(_, process)| process.is_alive()).count();
        if alive == self.left.len() {
            return alive == 0;
        }
        alive == 0 || self.thinned.get_or_insert_with(Stopwatch::start).elapsed() > TOGETHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pids, their exits in order, and which of them ended the whole with what.
    fn check(exits: &[(i32, Exit)], expected: &[(usize, Option<Exit>)]) {
        let process = |pid| ProcessId { pid, started: 1 };
        let mut ranks = Ranks::new(&[process(10), process(11), process(12)]);
        let said = exits.iter().filter_map(|(pid, exit)| ranks.ended(*pid, *exit));
        let said: Vec<_> = said.map(|(exited, whole)| (exited.rank, whole)).collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn the_first_rank_that_fails_is_the_exit_of_all_and_else_the_last_one() {
        let (ok, bad, killed) = (Exit::Code(0), Exit::Code(3), Exit::Signal(9));
        check(&[(11, ok), (99, bad), (10, ok), (12, ok)], &[(1, None), (0, None), (2, Some(ok))]);
        check(&[(12, ok), (11, bad), (10, killed)], &[(2, None), (1, Some(bad)), (0, None)]);
    }
}
