//! The program or programs that the supervisor looks after: started, found again by a successor, waited for.

use std::{path::Path, time::Duration};

use crate::{
    platform::{
        clock::Stopwatch,
        fifo,
        lock::Lock,
        process::{Apart, CommandSpec},
        procfs::ProcessId,
        signal::{self as signals, Exit, Force},
    },
    run::{
        RunError,
        capture::Streams,
        evidence::Sight,
        journal::Record,
        ranks::Ranks,
        sight,
        spec::Launcher,
        state::{Event, RunState, Stopping},
        stuck,
    },
};

use super::{Supervisor, chain};

/// From the first SIGKILL on, until what is left counts as stuck in the kernel.
const STUCK: Duration = Duration::from_secs(10);

/// Between the end of ranks that were told to end and our hearing of the shutdown that told them.
const WORD_OF_SHUTDOWN: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Starts the trainer: one launcher, or every rank.
    pub(super) fn start(&mut self) {
        self.now.ranks.clear();
        self.ranks = Ranks::default();
        let locks: Vec<&Lock> = self.using.iter().chain(self.leases.iter().flatten()).collect();
        for (stream, command) in self.spec.commands(&self.host.env) {
            match start_one(&self.dir.pipe(stream), &command, &locks) {
                Ok(process) => {
                    self.is_parent = true;
                    self.now.child = self.now.child.or(Some(process));
                    if self.spec.launcher == Launcher::Direct {
                        self.now.ranks.push(process);
                        self.ranks.add(self.now.ranks.len() - 1, process);
                    }
                    // Before anything else: a successor must know whom it looks after.
                    self.journal.save(&self.now);
                }
                Err(cause) => {
                    // Those that have begun would wait for this one.
                    self.marks.signal(Force::Kill);
                    return self.tell(Event::SpawnFailed { reason: chain(&cause) });
                }
            }
        }
        if let Some(first) = self.now.child {
            self.tell(Event::Spawned(first));
        }
    }

    pub(super) fn adopt(&mut self) -> Result<(), RunError> {
        // What those before it said about themselves is no reason not to go on.
        let _ = self.journal.record_panics();
        if self.is_over() {
            return Ok(());
        }
        if self.has_rebooted() {
            // Their numbers mean other processes now.
            (self.now.child, self.now.session, self.marks.session) = (None, None, None);
            (self.now.ranks, self.ranks) = (vec![], Ranks::default());
        }
        // One that became its own successor has its children still.
        self.is_parent = self.now.child.is_some_and(ProcessId::is_our_child);
        self.tell(Event::Adopted);
        let mut told = vec![];
        self.streams.catch_up(&mut |_, line| told.extend(sight::read(line)));
        self.take_note(told);
        self.take_output(Streams::take_all)?;
        self.close_what_is_over();
        while self.is_behind {
            self.read_on();
        }
        self.meter.settle();
        self.clock = Some(Stopwatch::start());
        // Of those that ended meanwhile nobody is told once more.
        self.reap();
        if self.now.state == RunState::Queued {
            self.wait_for_turn();
            return Ok(());
        }
        self.has_leases();
        // Who asked for the adoption wants to know whether there is anything left to look after.
        self.look();
        Ok(())
    }

    pub(super) fn reap(&mut self) {
        for (pid, exit) in signals::reap() {
            if !self.is_parent {
                continue;
            }
            if let Some((exited, whole)) = self.ranks.ended(pid, exit) {
                self.journal.record(&exited);
                match (whole, self.spec.launcher, exit) {
                    (Some(exit), Launcher::Direct, _) => self.tell(Event::ChildExited(exit)),
                    // It became our child when its launcher was gone, and was ended by that.
                    (_, Launcher::Deepspeed, Exit::Signal(_)) => self.tell(Event::Seen(Sight::Orphaned)),
                    _ => {}
                }
            } else if self.spec.launcher == Launcher::Deepspeed
                && self.now.child.is_some_and(|child| child.pid == pid)
            {
                // The others are orphans of the run that became ours.
                self.tell(Event::ChildExited(exit));
            }
        }
    }

    /// A machine that goes down tells all its processes at once; the ranks may be gone before we hear of it.
    pub(super) fn may_go_down(&mut self) -> bool {
        let RunState::Stopping(Stopping { asked: None, evidence, .. }) = &self.now.state else {
            return false;
        };
        evidence.was_terminated()
            && self.nobody_left.get_or_insert_with(Stopwatch::start).elapsed() < WORD_OF_SHUTDOWN
    }

    /// What SIGKILL has not ended after a while is named, for those who wait for it.
    pub(super) fn look_for_stuck(&mut self, force: Force) {
        if force != Force::Kill || self.killing.get_or_insert_with(Stopwatch::start).elapsed() < STUCK {
            return;
        }
        let stuck = stuck::among(&self.marks.find());
        if stuck != self.now.stuck {
            self.journal.record(&Record::Stuck { processes: stuck.clone() });
            self.now.stuck = stuck;
        }
    }

    /// A supervisor that was killed in its first moments could not tell us which process it was.
    pub(super) fn child_is_gone(&mut self) -> bool {
        match self.spec.launcher {
            Launcher::Direct if !self.now.ranks.is_empty() => self.ranks.are_gone(),
            Launcher::Direct | Launcher::Deepspeed => {
                self.now.child.map_or_else(|| self.marks.find().is_empty(), |child| !child.is_alive())
            }
        }
    }
}

/// The writing end of its pipe is in the program's hands and in no one else's. What is locked for it stays so
/// even if we do not live to see its end.
fn start_one(pipe: &Path, command: &CommandSpec, locks: &[&Lock]) -> Result<ProcessId, RunError> {
    let output = fifo::open_for_writers(pipe)?;
    let errors = output.try_clone().map_err(RunError::Supervisor)?;
    let pid = command.spawn(Apart::Group, locks, output, errors)?.id().cast_signed();
    // A child that has ended already is a zombie until it is reaped, which counts as living nowhere else.
    Ok(ProcessId::of(pid).unwrap_or(ProcessId { pid, started: 0 }))
}
