//! Holds on something that several processes use: many may use it at a time, and only one alone may change it.
//!
//! Like every lock of ours they are the kernel's, and end with their holder; the files that they are on are never removed.

use std::{
    fs::{File, TryLockError},
    path::Path,
};

use super::fs::{self, FsError};

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub struct Hold {
    _file: File,
}

impl Hold {
    /// Waits for whoever changes it.
    pub fn shared(path: &Path) -> Result<Self, FsError> {
        let file = open(path)?;
        file.lock_shared().map_err(fs::context("lock", path))?;
        Ok(Self { _file: file })
    }

    /// For who changes it. If somebody else uses it, they are waited for, after a word to `waiting`.
    pub fn alone(path: &Path, waiting: impl FnOnce()) -> Result<Self, FsError> {
        let file = open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                waiting();
                file.lock().map_err(fs::context("lock", path))?;
            }
            tried => tried.map_err(|cause| failed(path, cause))?,
        }
        Ok(Self { _file: file })
    }

    /// For who changes it, if nobody uses it now.
    pub fn alone_at_once(path: &Path) -> Result<Option<Self>, FsError> {
        let file = open(path)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(None),
            tried => tried.map(|()| Some(Self { _file: file })).map_err(|cause| failed(path, cause)),
        }
    }

    /// Somebody uses or changes it now. Makes no file.
    pub fn is_used(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}

fn failed(path: &Path, cause: TryLockError) -> FsError {
    fs::context("lock", path)(cause.into())
}

fn open(path: &Path) -> Result<File, FsError> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).open(path).map_err(fs::context("open", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_use_it_and_only_one_alone_changes_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("lock");
        let users = [Hold::shared(&path).expect("free"), Hold::shared(&path).expect("for many")];
        assert!(Hold::alone_at_once(&path).expect("asked").is_none() && Hold::is_used(&path));
        std::thread::scope(|scope| {
            let (sender, waits) = std::sync::mpsc::channel();
            let changer =
                scope.spawn(|| Hold::alone(&path, move || sender.send(()).expect("heard")).map(drop));
            waits.recv().expect("it says that it waits");
            drop(users);
            changer.join().expect("it ran").expect("free at last");
        });
        assert!(Hold::alone_at_once(&path).expect("asked").is_some() && !Hold::is_used(&path));
    }
}
