//! Files and directories, with errors that name the path and say what was being done to it.

pub mod beneath;
mod look;
mod memory;
mod write;

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    os::{
        fd::AsFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use nix::fcntl::{AT_FDCWD, RenameFlags};

use crate::error::{Kind, Report};

use super::{
    checkpoint::{Checkpoint, reach},
    mounts,
};

pub use super::leftovers::{beside, is_another, leftovers, remove_leftovers};
pub use look::{Entry, entries, has_file, is_pipe, is_same, open_regular, place_of, read_start};
pub use memory::{InMemory, in_memory};
pub use write::{
    Staged, append, create_private_dir, overwrite, stage, write_atomic, write_held, write_new,
    write_new_synced, write_private, write_snapshot, write_snapshot_of, write_stream,
};

/// A file operation that failed: the action, the path, the system's reason.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`", path.display())]
pub struct FsError {
    pub action: &'static str,
    pub path: PathBuf,
    pub source: io::Error,
}

impl Report for FsError {
    fn kind(&self) -> Kind {
        Kind::of_io(&self.source)
    }

    fn hint(&self) -> Option<String> {
        let path = self.path.display();
        // What could not be made, or was given up, is not there to be looked at.
        let there = nearest(&self.path).display();
        match self.source.kind() {
            _ if self.is_out_of_files() => Some(format!(
                "remove files from the file system of `{there}`, which has room for no more of them (`df -i`), then run the \
                 same command again"
            )),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some(format!(
                "free some space on the file system of `{there}`, then run the same command again"
            )),
            io::ErrorKind::PermissionDenied => Some(format!(
                "make `{there}` yours, or choose another place, or another workspace with `-C DIR`"
            )),
            io::ErrorKind::ReadOnlyFilesystem => Some(format!(
                "the file system of `{there}` is mounted read-only: choose another place, or another workspace with `-C DIR`"
            )),
            io::ErrorKind::NotADirectory => Some(format!(
                "a file is where a directory of `{path}` should be: choose a workspace with `-C DIR`"
            )),
            io::ErrorKind::IsADirectory => {
                Some(format!("a directory is where a file should be: move `{path}` elsewhere"))
            }
            _ => None,
        }
    }
}

/// `path`, or the nearest directory above it that is there.
pub(super) fn nearest(path: &Path) -> &Path {
    path.ancestors().find(|it| exists(it)).unwrap_or(Path::new("/"))
}

impl FsError {
    /// There is no room left, on the disk or for this user.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }
}

impl FsError {
    /// There is room for bytes, and for no more files.
    pub fn is_out_of_files(&self) -> bool {
        let space = || mounts::space(nearest(&self.path)).ok();
        self.is_full() && space().is_some_and(|it| it.files == Some(0) && it.available > 0)
    }
}

pub type Result<T> = std::result::Result<T, FsError>;

/// Adds action and path to an I/O error.
pub fn context(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FsError {
    let path = path.to_owned();
    move |source| FsError { action, path, source }
}

pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(context("read", path))
}

pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(context("read", path))
}

/// `bytes` as text; or, if they are none, the line, from 1, with the first byte that is not UTF-8.
pub fn text(bytes: Vec<u8>) -> std::result::Result<String, usize> {
    String::from_utf8(bytes).map_err(|cause| {
        let good = &cause.as_bytes()[..cause.utf8_error().valid_up_to()];
        good.split(|byte| *byte == b'\n').count()
    })
}

/// The text of a file that need not be there.
pub fn read_optional(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(context("read", path)(cause)),
    }
}

pub fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(context("open", path))
}

/// Opens for writing at the end, creating the file if it is not there.
pub fn open_append(path: &Path) -> Result<File> {
    File::options().append(true).create(true).open(path).map_err(context("open", path))
}

/// Opens for writing after what is there, creating the file if it is not. Unlike [`open_append`]'s handles, this one
/// can take bytes straight from a pipe.
pub fn open_end(path: &Path) -> Result<File> {
    File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .and_then(|mut file| file.seek(SeekFrom::End(0)).map(|_| file))
        .map_err(context("open", path))
}

/// Where everything written disappears.
pub fn open_null() -> Result<File> {
    let path = Path::new("/dev/null");
    File::options().write(true).open(path).map_err(context("open", path))
}

/// Creates an empty file for writing, emptying one that is there.
pub fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(context("create", path))
}

/// Opens for reading and writing from the start, creating the file if it is not there.
pub fn open_read_write(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).open(path).map_err(context("open", path))
}

/// Bytes in the file.
pub fn size(path: &Path) -> Result<u64> {
    fs::metadata(path).map(|it| it.len()).map_err(context("look at", path))
}

/// Lets everybody run the file who may read it.
pub fn make_executable(path: &Path) -> Result<()> {
    let mode = fs::metadata(path).map(|it| it.permissions().mode()).map_err(context("look at", path))?;
    let permissions = fs::Permissions::from_mode(mode | ((mode & 0o444) >> 2));
    fs::set_permissions(path, permissions).map_err(context("make executable", path))
}

/// Bytes in `file` by now.
pub fn length(file: &File, path: &Path) -> Result<u64> {
    file.metadata().map(|it| it.len()).map_err(context("ask for the size of", path))
}

/// Drops what `file` has from byte `length` on.
pub fn cut(file: &File, path: &Path, length: u64) -> Result<()> {
    file.set_len(length).map_err(context("cut", path))
}

/// At most `limit` bytes of `file` from `offset` on; fewer at its end.
pub fn read_at(file: &mut File, path: &Path, offset: u64, limit: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset))
        .and_then(|_| file.take(limit as u64).read_to_end(&mut bytes))
        .map_err(context("read", path))?;
    Ok(bytes)
}

pub fn create_dir_all(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(context("create the directory", path))
}

/// Creates a directory that must not be there yet.
pub fn create_dir_new(path: &Path) -> Result<()> {
    fs::create_dir(path).map_err(context("create the directory", path))?;
    reach(Checkpoint::DirectoryCreated);
    Ok(())
}

/// Renames and syncs the directory, so that the new name survives a power cut.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(context("rename to", to))?;
    reach(Checkpoint::Renamed);
    sync_dir(to.parent().unwrap_or(Path::new("/")));
    Ok(())
}

/// Puts the finished `staged` at `live` in one step. A directory that was there ends up at `staged`'s place
/// and is removed after the switch, so there is no moment without one or the other.
pub fn replace_dir(staged: &Path, live: &Path) -> Result<()> {
    if !exists(live) {
        return rename(staged, live);
    }
    let exchange = RenameFlags::RENAME_EXCHANGE;
    match nix::fcntl::renameat2(AT_FDCWD, staged, AT_FDCWD, live, exchange) {
        Ok(()) => {}
        // Old kernels and some network file systems cannot exchange: there the gap is two renames wide.
        Err(nix::Error::EINVAL | nix::Error::ENOSYS) => {
            let old = beside(live, "old");
            rename(live, &old)?;
            rename(staged, live)?;
            return remove_tree(&old);
        }
        Err(cause) => return Err(context("replace", live)(cause.into())),
    }
    reach(Checkpoint::Exchanged);
    sync_dir(live.parent().unwrap_or(Path::new("/")));
    remove_tree(staged)?;
    reach(Checkpoint::OldRemoved);
    Ok(())
}

/// Removes a file, a link or a whole directory; nothing there is fine.
pub fn remove_tree(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(cause) => Err(cause),
    };
    match removed {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(context("remove", path)(cause)),
        _ => Ok(()),
    }
}

/// Removes a file for good: not even a power cut brings it back.
pub fn remove_synced(path: &Path) -> Result<()> {
    remove_tree(path)?;
    sync_dir(path.parent().unwrap_or(Path::new("/")));
    Ok(())
}

pub fn symlink(target: &Path, link: &Path) -> Result<()> {
    std::os::unix::fs::symlink(target, link).map_err(context("create the link", link))
}

pub fn hard_link(existing: &Path, link: &Path) -> Result<()> {
    fs::hard_link(existing, link).map_err(context("create the hard link", link))
}

/// `path` without links in it, or as it is if nothing is there.
pub fn real_path(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The same; an error if nothing is there, or it cannot be told what is.
pub fn resolved(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(context("look at", path))
}

/// Where the link points, as written; `None` if there is no link of that name.
pub fn link_target(path: &Path) -> Option<PathBuf> {
    fs::read_link(path).ok()
}

/// Something of that name is there, a dangling link included.
pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Nothing of that name is there, for certain: a server that does not answer is no proof.
pub fn is_missing(path: &Path) -> bool {
    let is_nothing = |kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    path.symlink_metadata().is_err_and(|cause| is_nothing(cause.kind()))
}

/// When the file was last written to.
pub fn modified(path: &Path) -> Result<Timestamp> {
    let time = path.metadata().and_then(|found| found.modified()).map_err(context("look at", path))?;
    Ok(Timestamp::try_from(time).unwrap_or(Timestamp::MIN))
}

/// A file that can be read is there, perhaps through a link.
pub fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// A program is there that this user may start, perhaps through a link.
pub fn is_executable(path: &Path) -> bool {
    is_file(path) && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// A directory is there, perhaps through a link.
pub fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

/// The names in a directory, sorted. A directory that is not there is empty.
pub fn names(dir: &Path) -> Result<Vec<OsString>> {
    let entries = match fs::read_dir(dir) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(vec![]),
        entries => entries.map_err(context("list", dir))?,
    };
    let mut names = entries
        .map(|entry| entry.map(|it| it.file_name()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(context("list", dir))?;
    names.sort();
    Ok(names)
}

/// Size in bytes and the time of the last change, in nanoseconds since 1970: together they tell whether a file is
/// still the one that was read.
pub fn stamp(path: &Path) -> Result<(u64, i128)> {
    let found = fs::metadata(path).map_err(context("look at", path))?;
    let nanoseconds = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
    Ok((found.len(), nanoseconds))
}

/// Bytes that this user can still write on the file system of `path` (its nearest existing ancestor).
pub fn available_bytes(path: &Path) -> Result<u64> {
    let there = path.ancestors().find(|it| it.exists()).unwrap_or(Path::new("/"));
    let stat = nix::sys::statvfs::statvfs(there)
        .map_err(|cause| context("ask for the free space of", there)(cause.into()))?;
    Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}

/// Bytes of the file system of `path`.
pub fn total_bytes(path: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)
        .map_err(|cause| context("ask for the size of the file system of", path)(cause.into()))?;
    Ok(stat.blocks() as u64 * stat.fragment_size() as u64)
}

/// One durability barrier for everything unpacked under `path`: cheaper than a sync per file.
pub fn sync_filesystem(path: &Path) -> Result<()> {
    let file = open(path)?;
    nix::unistd::syncfs(file.as_fd()).map_err(|cause| context("sync", path)(cause.into()))?;
    reach(Checkpoint::Synced);
    Ok(())
}

/// Makes sure that what is in the file survives a power cut.
pub fn sync_file(path: &Path) -> Result<()> {
    open(path)?.sync_all().map_err(context("sync", path))
}

/// Sets when the file was last written to.
pub fn touch(path: &Path, time: Timestamp) -> Result<()> {
    let touched = File::open(path).and_then(|file| file.set_modified(time.into()));
    touched.map_err(context("set the time of", path))
}

/// Bytes of the files at and below `path`; what cannot be looked at counts as nothing.
pub fn tree_size(path: &Path) -> u64 {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| tree_size(&entry.path())).sum()
        }
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}

pub(super) fn sync_dir(dir: &Path) {
    // Not every file system can sync a directory; the rename itself has happened.
    if let Ok(handle) = File::open(dir) {
        let _ = handle.sync_all();
    }
    reach(Checkpoint::ParentSynced);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_directory_leaves_nothing_of_the_old_one() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (live, staged) = (dir.path().join("live"), dir.path().join("staged"));
        for (path, text) in [(&live, "old"), (&staged, "new")] {
            create_dir_all(path).expect("created");
            write_atomic(&path.join(text), text).expect("written");
        }
        replace_dir(&staged, &live).expect("replaced");
        assert_eq!(names(&live).expect("listed"), ["new"]);
        assert_eq!(names(dir.path()).expect("listed"), ["live"]);
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_temporary_one() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let missing = dir.path().join("no/such/dir/file");
        let error = write_atomic(&missing, "x").expect_err("no directory");
        assert_eq!(error.to_string(), format!("cannot write `{}`", missing.display()));
        assert_eq!(names(dir.path()).expect("listed"), Vec::<OsString>::new());
    }
}
