//! Which processes belong to a run, as its supervisor sees it. Never by name: only what the run left on them counts.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    logs::Stream,
    platform::{
        fs,
        procfs::{self, Process, ProcessId},
        signal::{self, Force},
    },
};

use super::{dir::RunDir, spec::COOKIE};

/// Set by DeepSpeed's launcher for each rank and inherited by what the rank starts.
const RANK: &str = "LOCAL_RANK";

/// How the kernel names a pipe of the run to those who have it open, also when somebody has deleted it.
pub(super) fn names_of_pipe(dir: &RunDir, stream: Stream) -> [PathBuf; 2] {
    let pipe = dir.pipe(stream);
    let real = fs::real_path(dir.path()).join(pipe.file_name().unwrap_or_default());
    let mut deleted = real.clone().into_os_string();
    deleted.push(" (deleted)");
    [real, deleted.into()]
}

/// The marks that a run leaves on its processes. Each survives something that the others do not.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    /// Lost by a process that empties its environment.
    pub(super) cookie: String,
    /// The first supervisor, whose session all of them are in. Lost by one that makes a session of its own.
    pub(super) session: Option<ProcessId>,
    /// What they write to, as the kernel names it. Lost by one that closes its output.
    pub(super) outputs: Vec<PathBuf>,
    /// Whoever has been found once. It stays one of the run when the marks of others, that proved its own, are gone.
    pub(super) known: BTreeSet<ProcessId>,
    /// Children of ours that are none of the run's.
    pub(super) helpers: BTreeSet<ProcessId>,
}

impl Marks {
    /// Every living process of the run with all that descends from it or from us, us excepted.
    pub(super) fn find(&mut self) -> Vec<Process> {
        let all = procfs::processes();
        let own = ProcessId::own().map_or(0, |id| id.pid);
        let has_cookie = |it: &&Process| it.variable(COOKIE).as_deref() == Some(&self.cookie);
        let with_cookie: BTreeSet<i32> = all.iter().filter(has_cookie).map(|it| it.id.pid).collect();
        let session = self.session(&all, &with_cookie);
        let marked = |process: &&Process| {
            process.parent == own
                || Some(process.session) == session
                || with_cookie.contains(&process.id.pid)
                || self.known.contains(&process.id)
                // A reader is no part of the run, nor is who was there before it.
                || (self.session.is_none_or(|it| it.started <= process.id.started)
                    && process.writes_to(&self.outputs))
        };
        let ours = |it: &&Process| it.id.pid != own && !self.helpers.contains(&it.id);
        let marked = all.iter().filter(ours).filter(marked).map(|it| it.id.pid).collect();
        let mut pids = with_descendants(marked, &all);
        pids.remove(&own);
        let found: Vec<Process> = all.into_iter().filter(|it| pids.contains(&it.id.pid)).collect();
        self.known = found.iter().map(|it| it.id).collect();
        found
    }

    /// Signals every process of the run or, to let them unwind by themselves, its ranks alone.
    pub(super) fn signal(&mut self, force: Force) {
        let all = self.find();
        let ranks = if force == Force::Int { ranks(&all) } else { vec![] };
        // Before there are ranks, the programs that would start them are what is to be interrupted.
        for process in if ranks.is_empty() { &all } else { &ranks } {
            signal::send(process.id, force);
        }
    }

    /// Kills the ranks and the workers that inherited their environment, and nobody else.
    pub(super) fn kill_ranks(&mut self) {
        for process in self.find().iter().filter(|it| it.variable(RANK).is_some()) {
            signal::send(process.id, Force::Kill);
        }
    }

    /// The number of the session, unless it may mean another one by now: the kernel gives it away again once everybody
    /// in it is gone. That has not happened while its leader lives or one with the cookie is in it.
    fn session(&self, all: &[Process], with_cookie: &BTreeSet<i32>) -> Option<i32> {
        let session = self.session?;
        let proves = |it: &Process| {
            it.id == session || (it.session == session.pid && with_cookie.contains(&it.id.pid))
        };
        all.iter().any(proves).then_some(session.pid)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::platform::{
        Env,
        process::{Apart, CommandSpec},
    };

    use super::*;

    /// Starts a session whose leader leaves a process behind, and returns the leader and that process.
    fn orphan(env: &Env) -> (ProcessId, ProcessId) {
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        let script = "sleep 60 > /dev/null & echo $!";
        let shell = CommandSpec::new("/bin/sh", env, Path::new("/")).args(["-c", script]);
        let mut child =
            shell.spawn(Apart::Session, &[], writer, std::process::Stdio::null()).expect("sh starts");
        let leader = ProcessId { pid: child.id().cast_signed(), started: 1 };
        let mut said = String::new();
        std::io::Read::read_to_string(&mut reader, &mut said).expect("a number");
        child.wait().expect("ended");
        (leader, ProcessId::of(said.trim().parse().expect("a number")).expect("it lives"))
    }

    #[test]
    fn a_session_without_its_leader_counts_only_while_the_cookie_is_in_it() {
        let mut env = Env::default();
        let marks = |leader, cookie: &str| Marks {
            cookie: cookie.to_owned(),
            session: Some(leader),
            outputs: vec![],
            known: BTreeSet::new(),
            helpers: BTreeSet::new(),
        };
        let find = |mut marks: Marks, wanted| marks.find().iter().any(|it| it.id == wanted);
        let (leader, foreign) = orphan(&env);
        assert!(!find(marks(leader, "ours"), foreign), "the number may have been given away");
        signal::send(foreign, Force::Kill);
        env.set(COOKIE, "ours");
        let (leader, one_of_us) = orphan(&env);
        assert!(find(marks(leader, "ours"), one_of_us));
        assert!(!find(marks(leader, "theirs"), one_of_us));
        signal::send(one_of_us, Force::Kill);
    }
}
