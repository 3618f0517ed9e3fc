//! What the trainer prints: taken from its pipes, read for what it means, and written even where there is no room yet.

use std::{io, time::Duration};

use crate::{
    logs::Stream,
    platform::clock::Stopwatch,
    run::{RunError, capture::Streams, sight, state::Event},
};

use super::Supervisor;

/// For room on a disk that takes what else is written, after the trainer's end. What waits for it is lost then.
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

    /// The end of the log may still find room. Where nothing can be written, the end of the run cannot be either.
    pub(super) fn waits_for_room(&mut self) -> bool {
        if !self.streams.are_waiting() {
            return false;
        }
        let waited = self.nobody_left.get_or_insert_with(Stopwatch::start).elapsed() > ROOM;
        if !self.folder_gone && (!waited || self.journal.is_stale(&self.now)) {
            return true;
        }
        for note in self.streams.give_up() {
            self.journal.record(&note);
        }
        false
    }
}
