//! Locks that the kernel frees when their holder dies, however it dies.
//!
//! The file's text only tells people who holds it; the `flock` on it is the truth. Lock files are never removed.

use std::{
    fs::{File, TryLockError},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::error::{Kind, Report};

use super::{
    clock,
    fs::{self, FsError},
};

/// Longer than anybody takes to see whether a lock is held, and how often that is waited for.
const GLANCE: Duration = Duration::from_millis(10);
const GLANCES: u32 = 10;

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("`{}` is locked by {holder}", path.display())]
    Held { path: PathBuf, holder: String },
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Report for LockError {
    fn kind(&self) -> Kind {
        match self {
            Self::Held { .. } => Kind::Locked,
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Held { .. } => Some("wait for it to finish, then run the same command again".to_owned()),
            Self::Fs(cause) => cause.hint(),
        }
    }
}

impl Lock {
    /// Takes the lock or says who has it, without waiting for them to end. `purpose` is what other people are told.
    pub fn exclusive(path: &Path, purpose: &str) -> Result<Self, LockError> {
        let mut file = open(path)?;
        match try_lock(&file) {
            Ok(()) => {
                let text = format!("process {} ({purpose})\n", std::process::id());
                // A full disk has no room for it; the lock is held all the same.
                let _ = file
                    .set_len(0)
                    .and_then(|()| file.rewind())
                    .and_then(|()| file.write_all(text.as_bytes()));
                Ok(Self { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                let holder = if holder.trim().is_empty() { "another process" } else { holder.trim() };
                Err(LockError::Held { path: path.to_owned(), holder: holder.to_owned() })
            }
            Err(TryLockError::Error(cause)) => Err(fs::context("lock", path)(cause).into()),
        }
    }

    /// Waits for the lock. For work that is done in a moment, whoever does it.
    pub fn wait(path: &Path) -> Result<Self, LockError> {
        let file = open(path)?;
        file.lock().map_err(fs::context("lock", path))?;
        Ok(Self { _file: file })
    }

    /// Somebody holds the lock right now. A file that is not there is not locked.
    pub fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }
}

/// [`Lock::is_held`] has the lock for a moment too: that one is waited for.
fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 0..GLANCES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => clock::pause(GLANCE),
            taken => return taken,
        }
    }
    file.try_lock()
}

fn open(path: &Path) -> Result<File, FsError> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(fs::context("open the lock", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_the_lock() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("setup.lock");
        assert!(!Lock::is_held(&path));
        let held = Lock::exclusive(&path, "dpgui setup").expect("free");
        assert!(Lock::is_held(&path));
        let error = Lock::exclusive(&path, "dpgui setup").expect_err("held");
        assert_eq!(
            error.to_string(),
            format!("`{}` is locked by process {} (dpgui setup)", path.display(), std::process::id())
        );
        drop(held);
        Lock::exclusive(&path, "dpgui setup").expect("free again");
    }

    #[test]
    fn looking_whether_a_lock_is_held_keeps_nobody_from_taking_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("setup.lock");
        let glance = File::create(&path).expect("created");
        glance.try_lock_shared().expect("free");
        std::thread::scope(|scope| {
            let taker = scope.spawn(|| Lock::exclusive(&path, "dpgui setup").map(drop));
            clock::pause(GLANCE);
            drop(glance);
            taker.join().expect("it ran").expect("free after a moment");
        });
    }
}
