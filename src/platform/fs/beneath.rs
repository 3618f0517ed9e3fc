//! Files below a directory that somebody has been granted, and no others: opened from its handle, not by a path that may
//! lead elsewhere by the time it is used.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2},
    sys::stat::Mode,
};

use super::{Entry, FsError, Result, context, look, write_atomic};

/// What never waits, is not inherited, and follows no link at its end.
const USUAL: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_CLOEXEC).union(OFlag::O_NONBLOCK).union(OFlag::O_NOFOLLOW);

/// A directory that is held open.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
    /// For messages.
    path: PathBuf,
}

/// What is in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    pub name: OsString,
    pub entry: Entry,
    /// Through a link.
    pub linked: bool,
    /// Of a file.
    pub bytes: Option<u64>,
}

impl Folder {
    /// The directory itself may be reached through links: whoever grants it names it so.
    pub fn open(path: &Path) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_DIRECTORY;
        let handle = open(path, flags, Mode::empty()).map_err(|cause| context("open", path)(cause.into()))?;
        Ok(Self { handle, path: path.to_owned() })
    }

    /// A directory below. `relative` is a path without links in it: what has become one since leads nowhere.
    pub fn folder(&self, relative: &Path) -> Result<Self> {
        let path = self.path.join(relative);
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        let handle = self.at(relative, USUAL | OFlag::O_DIRECTORY).map_err(context("open", &path))?;
        Ok(Self { handle, path })
    }

    /// A regular file below, for reading.
    pub fn file(&self, relative: &Path) -> Result<File> {
        let path = self.path.join(relative);
        let file = File::from(self.at(relative, USUAL).map_err(context("open", &path))?);
        if file.metadata().map_err(context("look at", &path))?.is_file() {
            return Ok(file);
        }
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
        Err(context("read", &path)(cause))
    }

    /// Writes the file `name` in this directory, whole or not at all. A link of that name is replaced.
    pub fn write(&self, name: &OsStr, bytes: impl AsRef<[u8]>) -> Result<()> {
        let named = |cause: FsError| FsError { path: self.path.join(name), ..cause };
        write_atomic(&self.by_number().join(name), bytes).map_err(named)
    }

    /// What is in it, at most `limit`, in no order.
    pub fn entries(&self, limit: usize) -> Result<Vec<Named>> {
        let look = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let linked = entry.file_type()?.is_symlink();
            let kind = look::of_entry(&entry)?;
            let bytes = (kind == Entry::File && !linked).then(|| entry.metadata().ok()).flatten();
            Ok(Named { name: entry.file_name(), entry: kind, linked, bytes: bytes.map(|it| it.len()) })
        };
        let found = fs::read_dir(self.by_number()).map_err(context("list", &self.path))?;
        found.take(limit).map(look).collect::<io::Result<_>>().map_err(context("list", &self.path))
    }

    /// At most `limit` of the names in it.
    pub fn names(&self, limit: usize) -> Result<Vec<OsString>> {
        let found = fs::read_dir(self.by_number()).map_err(context("list", &self.path))?;
        let names = found.take(limit).map(|entry| entry.map(|it| it.file_name()));
        names.collect::<io::Result<_>>().map_err(context("list", &self.path))
    }

    /// A path that leads to the handle, whatever has become of the directory's own.
    fn by_number(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.handle.as_raw_fd()))
    }

    fn at(&self, relative: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let how = OpenHow::new().flags(flags).resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_MAGICLINKS
                | ResolveFlag::RESOLVE_NO_SYMLINKS,
        );
        match openat2(&self.handle, relative, how) {
            // Linux before 5.6, or a container that allows no system call that it does not know.
            Err(Errno::ENOSYS | Errno::EPERM) => self.step_by_step(relative, flags),
            opened => Ok(opened?),
        }
    }

    /// The same, one directory after the other.
    fn step_by_step(&self, relative: &Path, flags: OFlag) -> io::Result<OwnedFd> {
        let mut at = self.handle.try_clone()?;
        let mut parts = relative.components().peekable();
        while let Some(part) = parts.next() {
            let name = match part {
                Component::Normal(name) => name,
                Component::CurDir => OsStr::new("."),
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err(Errno::EXDEV.into());
                }
            };
            let on_the_way = USUAL | OFlag::O_DIRECTORY;
            let flags = if parts.peek().is_some() { on_the_way } else { flags };
            at = openat(&at, name, flags, Mode::empty())?;
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::{super::super::fs as files, *};

    type Way = fn(&Folder, &Path, OFlag) -> io::Result<OwnedFd>;

    #[test]
    fn what_is_below_is_opened_and_nothing_else_with_the_newest_system_call_or_without() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = dir.path().join("root");
        files::create_dir_all(&root.join("a/b")).expect("made");
        for path in ["secret", "root/a/b/file"] {
            files::write_atomic(&dir.path().join(path), path).expect("written");
        }
        for (target, link) in [("/", "root/all"), ("..", "root/a/up"), ("b", "root/a/same")] {
            files::symlink(Path::new(target), &dir.path().join(link)).expect("made");
        }
        let folder = Folder::open(&root).expect("there");
        let ways: [Way; 2] = [Folder::at, Folder::step_by_step];
        for way in ways {
            let read = |path: &str| {
                let mut text = String::new();
                let mut file = File::from(way(&folder, Path::new(path), USUAL)?);
                file.read_to_string(&mut text).map(|_| text)
            };
            assert_eq!(read("a/b/file").expect("below"), "root/a/b/file");
            let above = dir.path().join("secret").display().to_string();
            for path in
                ["../secret", "a/../../secret", &*above, "all/etc/passwd", "a/up/../secret", "a/same/file"]
            {
                assert!(read(path).is_err(), "{path}");
            }
        }
    }

    #[test]
    fn a_file_is_written_where_the_handle_is_whatever_its_path_has_become() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (root, moved) = (dir.path().join("root"), dir.path().join("moved"));
        files::create_dir_all(&root).expect("made");
        let folder = Folder::open(&root).expect("there");
        files::rename(&root, &moved).expect("renamed");
        files::symlink(Path::new("/proc"), &root).expect("made");
        folder.write(OsStr::new("a.txt"), "a").expect("written");
        assert_eq!(files::read_text(&moved.join("a.txt")).expect("there"), "a");
        assert_eq!(folder.names(9).expect("listed"), ["a.txt"]);
    }
}
