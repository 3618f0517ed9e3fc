//! Waiting until something changes in a directory, without asking again and again.

use std::{os::fd::AsFd, path::Path, time::Duration};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::inotify::{AddWatchFlags, InitFlags, Inotify},
};

use super::clock::{self, Stopwatch};

/// What changes a log and what ends a run: bytes written, files created, renamed or closed by whoever wrote them (the
/// kernel closes them for a process that was killed).
const CHANGES: AddWatchFlags = AddWatchFlags::IN_MODIFY
    .union(AddWatchFlags::IN_CREATE)
    .union(AddWatchFlags::IN_MOVED_TO)
    .union(AddWatchFlags::IN_CLOSE_WRITE);

/// Changes from when it was made on are not missed, even those between two waits.
#[derive(Debug)]
pub struct Watch {
    /// `None` where the kernel's watches are used up or the file system has none: there every wait takes its full time.
    inotify: Option<Inotify>,
    /// When the last paced wait ended.
    woken: Option<Stopwatch>,
}

impl Watch {
    pub fn new(dir: &Path) -> Self {
        Self::over([dir])
    }

    /// Over all these directories. One that cannot be watched makes it a watch by time.
    pub fn over<P: AsRef<Path>>(dirs: impl IntoIterator<Item = P>) -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC).ok();
        let watches =
            |inotify: &Inotify| dirs.into_iter().all(|dir| inotify.add_watch(dir.as_ref(), CHANGES).is_ok());
        Self { inotify: inotify.filter(watches), woken: None }
    }

    /// Returns at a change, and after `longest` at the latest: a change made on another machine of a network file
    /// system sends no event.
    pub fn wait(&self, longest: Duration) {
        let Some(inotify) = &self.inotify else { return clock::pause(longest) };
        let mut fds = [PollFd::new(inotify.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        if poll(&mut fds, timeout).is_ok_and(|ready| ready > 0) {
            // What exactly happened does not matter; read, so that the next wait waits for the next change.
            let _ = inotify.read_events();
        }
    }

    /// The same, and not sooner than `apart` after the last time: a change that comes alone is told at once, and those that
    /// come thick are told together.
    pub fn wait_paced(&mut self, longest: Duration, apart: Duration) {
        self.wait(longest);
        let since = self.woken.map_or(apart, Stopwatch::elapsed);
        clock::pause(apart.saturating_sub(since));
        self.woken = Some(Stopwatch::start());
    }
}

/// The other end of the pipe or terminal that `writer` writes to is closed.
pub fn reader_has_gone(writer: impl AsFd) -> bool {
    // Errors and hang-ups are told without being asked for.
    let mut fds = [PollFd::new(writer.as_fd(), PollFlags::empty())];
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    poll(&mut fds, PollTimeout::ZERO).is_ok() && fds[0].revents().is_some_and(|it| it.intersects(gone))
}

#[cfg(test)]
mod tests {
    use crate::platform::fs;

    use super::*;

    #[test]
    fn a_change_before_the_wait_is_not_missed_and_ends_it_at_once() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let watch = Watch::new(dir.path());
        fs::write_atomic(&dir.path().join("state.json"), "{}").expect("written");
        let clock = Stopwatch::start();
        watch.wait(Duration::from_mins(1));
        assert!(clock.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_directory_that_cannot_be_watched_is_waited_for_by_time() {
        let watch = Watch::new(Path::new("/nowhere/at/all"));
        let clock = Stopwatch::start();
        watch.wait(Duration::from_millis(20));
        assert!(clock.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn changes_that_come_thick_are_told_together_and_one_alone_at_once() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let mut watch = Watch::new(dir.path());
        let change = || fs::write_snapshot(&dir.path().join("a"), "").expect("written");
        let apart = Duration::from_secs(2);
        change();
        let clock = Stopwatch::start();
        watch.wait_paced(Duration::from_mins(1), apart);
        assert!(clock.elapsed() < apart);
        change();
        watch.wait_paced(Duration::from_mins(1), apart);
        assert!(clock.elapsed() >= apart);
    }

    #[test]
    fn a_closed_pipe_is_noticed_without_writing_to_it() {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        assert!(!reader_has_gone(&writer));
        drop(reader);
        assert!(reader_has_gone(&writer));
    }
}
