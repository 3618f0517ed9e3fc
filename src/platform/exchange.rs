//! Two things change places, and what is at a path has a number by which it is known again wherever it is moved to.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{
    checkpoint::{Checkpoint, reach},
    fs::{FsError, context, exists, rename, sync_dir},
};

/// The number of what is at `path`: the inode's, which a rename does not change. `None` if nothing is there.
pub fn identity(path: &Path) -> Result<Option<u64>, FsError> {
    match path.symlink_metadata() {
        Ok(found) => Ok(Some(found.ino())),
        Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(context("look at", path)(cause)),
    }
}

/// What is in the directory `a` can be renamed into the directory `b`.
pub fn on_one_file_system(a: &Path, b: &Path) -> Result<bool, FsError> {
    let device = |path: &Path| fs::metadata(path).map(|it| it.dev()).map_err(context("look at", path));
    Ok(device(a)? == device(b)?)
}

/// `a` and `b` change places in one moment, or, on file systems that do not know how to, over a third place beside `b`.
/// Killed in between, the same call finishes it.
pub fn exchange(a: &Path, b: &Path) -> Result<(), FsError> {
    let parked = parking(b);
    if exists(&parked) {
        return over(&parked, a, b);
    }
    match renameat2(AT_FDCWD, a, AT_FDCWD, b, RenameFlags::RENAME_EXCHANGE) {
        Ok(()) => {}
        Err(nix::Error::EINVAL | nix::Error::ENOSYS) => {
            rename(a, &parked)?;
            return over(&parked, a, b);
        }
        Err(cause) => return Err(context("replace", a)(cause.into())),
    }
    for path in [a, b] {
        sync_dir(path.parent().unwrap_or(Path::new("/")));
    }
    reach(Checkpoint::Swapped);
    Ok(())
}

/// An exchange of something with `b` was begun over the third place and is not at its end.
pub fn is_half_done(b: &Path) -> bool {
    exists(&parking(b))
}

fn over(parked: &Path, a: &Path, b: &Path) -> Result<(), FsError> {
    if !exists(a) {
        rename(b, a)?;
    }
    rename(parked, b)?;
    reach(Checkpoint::Swapped);
    Ok(())
}

fn parking(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".exchange");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fs::{create_dir_all, names, read_text, write_atomic};

    /// `a` holds the text `a`, `b` the text `b`.
    fn two() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let paths = ["a", "b"].map(|name| {
            create_dir_all(&dir.path().join(name)).expect("created");
            write_atomic(&dir.path().join(name).join("text"), name).expect("written");
            dir.path().join(name)
        });
        let [a, b] = paths;
        (dir, a, b)
    }

    #[track_caller]
    fn are_exchanged(dir: &tempfile::TempDir, a: &Path, b: &Path) {
        let text = |path: &Path| read_text(&path.join("text")).expect("there");
        assert_eq!((text(a), text(b)), ("b".to_owned(), "a".to_owned()));
        assert_eq!(names(dir.path()).expect("listed"), ["a", "b"]);
    }

    #[test]
    fn two_directories_change_places_and_keep_their_numbers() {
        let (dir, a, b) = two();
        let before = [identity(&a).expect("there"), identity(&b).expect("there")];
        exchange(&a, &b).expect("exchanged");
        are_exchanged(&dir, &a, &b);
        assert_eq!([identity(&b).expect("there"), identity(&a).expect("there")], before);
        assert_eq!(identity(&dir.path().join("c")).expect("looked"), None);
    }

    #[test]
    fn an_exchange_over_a_third_place_is_finished_wherever_it_ended() {
        let steps: [fn(&Path, &Path); 2] = [
            |a, b| rename(a, &parking(b)).expect("renamed"),
            |a, b| {
                rename(a, &parking(b)).expect("renamed");
                rename(b, a).expect("renamed");
            },
        ];
        for step in steps {
            let (dir, a, b) = two();
            step(&a, &b);
            assert!(is_half_done(&b));
            exchange(&a, &b).expect("finished");
            are_exchanged(&dir, &a, &b);
            assert!(!is_half_done(&b));
        }
    }
}
