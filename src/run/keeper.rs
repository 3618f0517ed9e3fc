//! What is left of a supervisor that was killed: a process beside it that holds the run's pipes, so that no byte in them
//! is lost, and has a new supervisor started at once.
//!
//! It does nothing as long as the supervisor lives. Killed itself, it is missed by nobody until the supervisor is killed
//! too; then the next `dpgui` command does what it would have done.

use std::time::Duration;

use crate::platform::{
    Host,
    clock::{self, Stopwatch},
    fifo, fs,
    lock::{Lock, LockError, Wait},
    process::{Apart, CommandSpec},
    procfs::ProcessId,
};

use super::{RunError, adopt, dir::RunDir, journal::Snapshot};

/// The pauses between supervisors that die as soon as they are there.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_mins(1));

/// A supervisor that lived so long died of something else than the one before.
const GOOD_LIFE: Duration = Duration::from_secs(10);

/// In which a supervisor makes a folder anew that somebody has deleted.
const TO_BE_BACK: Duration = Duration::from_secs(5);

/// Starts the keeper of this run, unless it has one, and says which process it is.
pub(super) fn spawn(host: &Host, dir: &RunDir) -> Result<Option<ProcessId>, RunError> {
    if Lock::is_held(&dir.keeper_lock()) {
        return Ok(None);
    }
    let log = fs::open_append(&dir.supervisor_log())?;
    let words = ["__keep".as_ref(), dir.path().as_os_str()];
    let command = CommandSpec::new(&host.program, &host.env, dir.path()).args(words);
    let child = command.spawn(Apart::Session, &[], fs::open_null()?, log)?;
    Ok(ProcessId::of(child.id().cast_signed()))
}

/// Keeps the run until it is over.
///
/// # Errors
/// When its files cannot be read.
pub fn keep(host: &Host, dir: &RunDir) -> Result<(), RunError> {
    let _alone = match Lock::exclusive(&dir.keeper_lock(), "dpgui keeper", Wait::No) {
        Err(LockError::Held { .. }) => return Ok(()),
        alone => alone?,
    };
    let streams = dir.spec()?.streams();
    // For reading only: the end of a pipe is when nobody can write to it any more.
    let _pipes = streams
        .into_iter()
        .map(|stream| fifo::open_for_reader(&dir.pipe(stream)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut pause = PAUSE.0;
    loop {
        let life = Stopwatch::start();
        let freed = Lock::wait_until_free(&dir.lock());
        if !is_there(dir) {
            return Ok(());
        }
        // It was deleted, and made anew.
        if freed.is_err() {
            clock::pause(PAUSE.0);
            continue;
        }
        let has_ended = |it: Option<Snapshot>| it.is_some_and(|it| it.state.outcome().is_some());
        if dir.written().map_or(true, has_ended) {
            return Ok(());
        }
        pause = if life.elapsed() < GOOD_LIFE { (pause * 2).min(PAUSE.1) } else { PAUSE.0 };
        clock::pause(pause);
        // Whether that could be done shows in whether somebody has the lock.
        let _ = adopt::adopt(host, dir);
    }
}

/// The run's folder, or soon a new one.
fn is_there(dir: &RunDir) -> bool {
    let missing = Stopwatch::start();
    while fs::is_missing(&dir.spec_file()) {
        if missing.elapsed() > TO_BE_BACK {
            return false;
        }
        clock::pause(PAUSE.0);
    }
    true
}
