//! What the trainer prints: taken from its pipes, read for what it means, and written even where there is no room yet.

use std::{io, time::Duration};

use crate::{
    logs::Stream,
    platform::clock::Stopwatch,
    run::{RunError, capture::Streams, sight, state::Event},
};

use super::Supervisor;

/// For room on the disk after the trainer's end: before that end is told, and again for the log once the state is written.
const ROOM: Duration = Duration::from_secs(5);

impl Supervisor {
    /// Has `take` move what the trainer wrote to the log, then reads some of the lines there.
    pub(super) fn take_output(
        &mut self,
        take: impl FnOnce(&mut Streams, &mut dyn FnMut(Stream, &str)) -> io::Result<()>,
    ) -> Result<(), RunError> {
        let mut told = vec![];
        let taken = take(&mut self.streams, &mut |_, line| told.extend(sight::read(line)));
        self.take_note(told);
        self.read_on();
        // A pipe that cannot be read would be tried for ever. Our successor opens it anew.
        taken.map_err(RunError::Supervisor)?;
        if self.streams.are_closed() && !self.is_output_closed() {
            self.tell(Event::OutputClosed);
        }
        Ok(())
    }

    pub(super) fn read_on(&mut self) {
        let mut told = vec![];
        self.is_behind = self.streams.read_on(&mut |_, line| told.extend(sight::read(line)));
        self.take_note(told);
    }

    pub(super) fn take_note(&mut self, told: Vec<sight::Told>) {
        self.heard(&told);
        for told in told {
            self.now.last_step = told.step().or(self.now.last_step);
            self.meter.take(&mut self.now.gauge, &told);
            if let Some(sight) = told.sight() {
                self.tell(Event::Seen(sight));
            }
        }
        // Before the place in the log that is said to be read.
        self.meter.flush();
        self.now.parsed = self.streams.parsed();
    }

    /// The end of the log may still find room before it is said why the run ended.
    pub(super) fn waits_for_room(&mut self) -> bool {
        self.streams.are_waiting()
            && !self.folder_gone
            && self.nobody_left.get_or_insert_with(Stopwatch::start).elapsed() <= ROOM
    }

    /// Something of a run that is over waits for room on the disk, and nobody else has it.
    pub(super) fn is_unwritten(&mut self) -> bool {
        if self.folder_gone {
            return false;
        }
        if self.leases.is_some() {
            // Whoever waits for room has no use for what it computed on.
            self.give_way();
        }
        if self.journal.is_stale(&self.now) {
            self.nobody_left = Some(Stopwatch::start());
            return true;
        }
        // There is room again, if not for all that was printed.
        let waits = self.waits_for_room();
        if !waits {
            self.give_up();
        }
        waits || self.journal.is_stale(&self.now)
    }

    /// What found no room is lost.
    pub(super) fn give_up(&mut self) {
        for note in self.streams.give_up() {
            self.journal.record(&note);
        }
    }
}
