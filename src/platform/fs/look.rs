//! Looks at other people's folders: what is in them, and files that may turn out to be none.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, FileType},
    io::{self, Read},
    os::{
        fd::AsRawFd,
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use super::{Result, context};

/// A named pipe is there, or a link leads to one.
pub fn is_pipe(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.file_type().is_fifo())
}

/// Both names lead to one file or directory.
pub fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

/// Where an open file is by now; `None` if it was deleted, or nobody can tell.
pub fn place_of(file: &File) -> Option<PathBuf> {
    let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let there = fs::metadata(&place).ok()?;
    let own = file.metadata().ok()?;
    ((there.dev(), there.ino()) == (own.dev(), own.ino())).then_some(place)
}

/// What a name in a directory stands for, perhaps through a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entry {
    File,
    Directory,
    /// A pipe, a socket or a device: who opens it may wait forever.
    Special,
    /// A link to what is not there, or in a circle.
    Dangling,
    /// A link to where this user may not look.
    Forbidden,
}

/// The names in a directory with what each is, sorted. Unlike with [`super::names`], a directory that is not there is an
/// error.
pub fn entries(dir: &Path) -> Result<Vec<(OsString, Entry)>> {
    let look = |entry: fs::DirEntry| {
        let kind = of_entry(&entry)?;
        Ok((entry.file_name(), kind))
    };
    let found = fs::read_dir(dir)
        .and_then(|entries| entries.map(|entry| entry.and_then(look)).collect::<io::Result<Vec<_>>>());
    let mut found = found.map_err(context("list", dir))?;
    found.sort_unstable();
    Ok(found)
}

/// Whether there is a file in a directory whose name `is_wanted`: the look ends at the first.
pub fn has_file(dir: &Path, is_wanted: impl Fn(&OsStr) -> bool) -> Result<bool> {
    let look = |entries: fs::ReadDir| {
        for entry in entries {
            let entry = entry?;
            if is_wanted(&entry.file_name()) && of_entry(&entry)? == Entry::File {
                return Ok(true);
            }
        }
        Ok(false)
    };
    fs::read_dir(dir).and_then(look).map_err(context("list", dir))
}

pub(super) fn of_entry(entry: &fs::DirEntry) -> io::Result<Entry> {
    let kind = entry.file_type()?;
    Ok(if kind.is_symlink() { behind(&entry.path()) } else { of(kind) })
}

fn behind(link: &Path) -> Entry {
    match fs::metadata(link) {
        Ok(found) => of(found.file_type()),
        Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => Entry::Forbidden,
        Err(_) => Entry::Dangling,
    }
}

fn of(kind: FileType) -> Entry {
    match () {
        () if kind.is_file() => Entry::File,
        () if kind.is_dir() => Entry::Directory,
        () => Entry::Special,
    }
}

/// Opens a file for reading, and nothing that is none: a pipe would be waited for, and a device has no end.
pub fn open_regular(path: &Path) -> Result<File> {
    // Without it, the open itself waits for somebody who writes.
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let file = file.map_err(context("open", path))?;
    if file.metadata().map_err(context("look at", path))?.is_file() {
        return Ok(file);
    }
    Err(context("read", path)(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")))
}

/// At most `limit` bytes from the start of a file.
pub fn read_start(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    open_regular(path)?.take(limit).read_to_end(&mut bytes).map_err(context("read", path))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("pipe");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        let error = read_start(&path, 9).expect_err("no file");
        assert_eq!(error.to_string(), format!("cannot read `{}`", path.display()));
        assert_eq!(entries(dir.path()).expect("listed"), [("pipe".into(), Entry::Special)]);
    }
}
