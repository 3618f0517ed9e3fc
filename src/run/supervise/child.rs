//! The program that the supervisor looks after: started, found again by a successor, waited for.

use tokio::net::unix::pipe;

use crate::{
    platform::{clock::Stopwatch, fifo, process::Apart, procfs::ProcessId, signal as signals},
    run::{RunError, sight, state::Event},
};

use super::{Supervisor, chain};

impl Supervisor {
    /// Starts the trainer, the writing end of its pipe in its hands and in no one else's. The environment that it is
    /// using stays as it is even if we do not live to see its end.
    pub(super) fn start(&mut self) {
        let started = fifo::open_for_writers(&self.dir.output()).map_err(RunError::from).and_then(|output| {
            let errors = output.try_clone().map_err(RunError::Supervisor)?;
            Ok(self.spec.command(&self.host.env).spawn(Apart::Group, self.using.as_ref(), output, errors)?)
        });
        // A child that has ended already is a zombie until it is reaped, which counts as living nowhere else.
        let event = match started {
            Ok(child) => {
                let pid = child.id().cast_signed();
                let process = ProcessId::of(pid).unwrap_or(ProcessId { pid, started: 0 });
                (self.now.child, self.is_parent) = (Some(process), true);
                // Before anything else: a successor must know whom it looks after.
                self.journal.save(&self.now);
                Event::Spawned(process)
            }
            Err(cause) => Event::SpawnFailed { reason: chain(&cause) },
        };
        self.tell(event);
    }

    pub(super) fn adopt(&mut self, output: &pipe::Receiver) -> Result<(), RunError> {
        if self.is_over() {
            return Ok(());
        }
        if self.has_rebooted() {
            // Their numbers mean other processes now.
            (self.now.child, self.now.session, self.marks.session) = (None, None, None);
        }
        self.tell(Event::Adopted);
        let mut told = vec![];
        self.recorder.catch_up(|line| told.extend(sight::read(line)));
        self.take_note(told);
        // A pipe that nobody had open since we opened it sends no event, not even that of its end.
        self.take_output(output, false)?;
        self.meter.settle();
        self.clock = Some(Stopwatch::start());
        // Who asked for the adoption wants to know whether there is anything left to look after.
        self.look();
        Ok(())
    }

    pub(super) fn reap(&mut self) {
        for (pid, exit) in signals::reap() {
            // The others are orphans of the run that became ours.
            if self.now.child.is_some_and(|child| child.pid == pid) && self.is_parent {
                self.tell(Event::ChildExited(exit));
            }
        }
    }

    /// A supervisor that was killed in its first moments could not tell us which process it was.
    pub(super) fn child_is_gone(&mut self) -> bool {
        self.now.child.map_or_else(|| self.marks.find().is_empty(), |child| !child.is_alive())
    }
}
