//! To which try of a run something belongs, by when it was: a run that is tried again prints steps a second time.

use jiff::Timestamp;

use crate::platform::{clock, fs};

use super::{dir::RunDir, journal};

/// When each try after the first was decided on, for whoever asks while more may come.
#[derive(Debug)]
pub struct Attempts {
    dir: RunDir,
    restarts: Vec<Timestamp>,
    /// When that was so, once somebody has asked.
    read: Option<Timestamp>,
}

impl Attempts {
    pub fn of(dir: &RunDir) -> Self {
        Self { dir: dir.clone(), restarts: vec![], read: None }
    }

    /// The try in which something was printed at `time`, the first one is 1. `None` where the time is not known and there
    /// are several.
    pub fn at(&mut self, time: Option<Timestamp>) -> Option<u32> {
        if self.read.is_none_or(|read| time.is_some_and(|it| it > read)) {
            self.read();
        }
        match time {
            None => self.restarts.is_empty().then_some(1),
            Some(time) => u32::try_from(1 + self.restarts.partition_point(|it| *it <= time)).ok(),
        }
    }

    fn read(&mut self) {
        self.read = Some(clock::now());
        self.restarts = fs::read(&self.dir.events()).map(|it| journal::restarts(&it)).unwrap_or_default();
        // A clock may have been set back in between.
        self.restarts.sort();
    }
}

#[cfg(test)]
mod tests {
    use crate::workspace::Workspace;

    use super::*;

    #[test]
    fn what_is_printed_after_a_restart_was_decided_on_belongs_to_the_next_try() {
        let world = tempfile::tempdir().expect("a temp dir");
        let id = "20261127T100000Z-wan".parse().expect("an id");
        let dir = RunDir::new(&Workspace::at(world.path()), id);
        fs::create_dir_all(dir.path()).expect("created");
        let time = |second: i64| Timestamp::from_second(second).ok();
        assert_eq!([Attempts::of(&dir).at(time(5)), Attempts::of(&dir).at(None)], [Some(1); 2]);
        let line = |event: &str, second: i64| {
            let time = Timestamp::from_second(second).expect("a time");
            format!("{{\"seq\":1,\"time\":\"{time}\",\"event\":\"{event}\",\"number\":1}}\n")
        };
        let text = line("started", 1) + &line("restarting", 10) + "torn\n" + &line("restarting", 20);
        fs::write_snapshot(&dir.events(), text).expect("written");
        let mut attempts = Attempts::of(&dir);
        let found = [Some(9), Some(10), Some(19), Some(20), None].map(|it| attempts.at(it.and_then(time)));
        assert_eq!(found, [Some(1), Some(2), Some(2), Some(3), None]);
        // One that comes while somebody looks on.
        let now = clock::now().as_second();
        fs::write_snapshot(&dir.events(), line("restarting", now + 60)).expect("written");
        assert_eq!(attempts.at(time(now + 90)), Some(2));
    }
}
