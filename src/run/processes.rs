//! Which processes belong to a run, as its supervisor sees it. Never by name: only what the run left on them counts.

use std::{collections::BTreeSet, path::PathBuf};

use crate::platform::{
    procfs::{self, Process, ProcessId},
    signal::{self, Force},
};

use super::spec::COOKIE;

/// Set by DeepSpeed's launcher for each rank and inherited by what the rank starts.
const RANK: &str = "LOCAL_RANK";

/// The marks that a run leaves on its processes. Each survives something that the others do not.
#[derive(Clone, Debug)]
pub struct Marks {
    /// Lost by a process that empties its environment.
    pub cookie: String,
    /// The first supervisor, whose session all of them are in. Lost by one that makes a session of its own.
    pub session: Option<ProcessId>,
    /// What they write to. Lost by one that closes its output.
    pub output: PathBuf,
}

impl Marks {
    /// Every living process of the run with all that descends from it or from us, us excepted.
    pub fn find(&self) -> Vec<Process> {
        let all = procfs::processes();
        let own = ProcessId::own().map_or(0, |id| id.pid);
        let session = self.session(&all);
        let marked = |process: &&Process| {
            process.parent == own
                || Some(process.session) == session
                || process.variable(COOKIE).as_deref() == Some(&self.cookie)
                || process.has_open(&self.output)
        };
        let marked = all.iter().filter(|it| it.id.pid != own).filter(marked).map(|it| it.id.pid).collect();
        let mut pids = with_descendants(marked, &all);
        pids.remove(&own);
        all.into_iter().filter(|process| pids.contains(&process.id.pid)).collect()
    }

    /// Signals every process of the run or, to let them unwind by themselves, its ranks alone.
    pub fn signal(&self, force: Force) {
        let all = self.find();
        let ranks = if force == Force::Int { ranks(&all) } else { vec![] };
        // Before there are ranks, the programs that would start them are what is to be interrupted.
        for process in if ranks.is_empty() { &all } else { &ranks } {
            signal::send(process.id, force);
        }
    }

    /// The number of the session, unless it means another one by now: the kernel gives it away again once everybody
    /// in it is gone.
    fn session(&self, all: &[Process]) -> Option<i32> {
        let session = self.session?;
        let reused = all.iter().any(|it| it.id.pid == session.pid && it.id != session);
        (!reused).then_some(session.pid)
    }
}

/// The ranks themselves, not the workers that inherited their environment.
fn ranks(all: &[Process]) -> Vec<Process> {
    let with_rank: Vec<&Process> = all.iter().filter(|it| it.variable(RANK).is_some()).collect();
    let is_worker = |process: &Process| with_rank.iter().any(|other| other.id.pid == process.parent);
    with_rank.iter().filter(|it| !is_worker(it)).map(|it| (*it).clone()).collect()
}

fn with_descendants(mut found: BTreeSet<i32>, all: &[Process]) -> BTreeSet<i32> {
    loop {
        let children: Vec<i32> = all
            .iter()
            .filter(|it| found.contains(&it.parent) && !found.contains(&it.id.pid))
            .map(|it| it.id.pid)
            .collect();
        if children.is_empty() {
            return found;
        }
        found.extend(children);
    }
}
