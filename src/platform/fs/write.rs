//! Writing files: whole or not at all, at once or through to the disk.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, BufWriter, Read, Write},
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use super::{
    super::{
        checkpoint::{Checkpoint, reach},
        leftovers::draft,
    },
    Result, context, rename, sync_dir, sync_file,
};

/// Writes a new file of the given mode from `content`; the count of bytes comes back.
pub fn write_stream(path: &Path, content: &mut dyn Read, mode: u32) -> Result<u64> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(mode);
    options.open(path).and_then(|mut file| io::copy(content, &mut file)).map_err(context("write", path))
}

/// Has all that is in `file` at `path`, whatever became of the name that it had.
pub fn write_held(file: &File, path: &Path) -> Result<()> {
    let held = file.metadata().map_err(context("look at", path))?;
    if fs::metadata(path).is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
        return Ok(());
    }
    // A handle for writing cannot be read, and need not be where it was opened.
    let mut from = super::open(Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())))?;
    let temporary = draft(path);
    write_stream(&temporary, &mut from, held.mode() & 0o777).and_then(|_| rename(&temporary, path))
}

/// A file that is written and synced beside its place. Without [taking it](Self::take_place) it is gone again.
#[derive(Debug)]
#[must_use]
pub struct Staged {
    temporary: PathBuf,
    path: PathBuf,
}

impl Staged {
    pub fn take_place(self) -> Result<()> {
        rename(&self.temporary, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // One that has taken its place has no other any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes the whole file or nothing: a temporary one beside it, synced, renamed over it.
pub fn write_atomic(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    stage(path, bytes)?.take_place()
}

/// The first half of [`write_atomic`], all that a full disk may refuse.
pub fn stage(path: &Path, bytes: impl AsRef<[u8]>) -> Result<Staged> {
    let temporary = draft(path);
    let written = File::create(&temporary).and_then(|mut file| {
        // Who hid the old one from others means the new one too.
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(bytes.as_ref())?;
        file.sync_all()
    });
    if let Err(cause) = written {
        let _ = fs::remove_file(&temporary);
        return Err(context("write", path)(cause));
    }
    reach(Checkpoint::Written);
    Ok(Staged { temporary, path: path.to_owned() })
}

/// Like [`write_atomic`], and nobody else may ever read it.
pub fn write_private(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let temporary = draft(path);
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(bytes.as_ref())?;
        file.sync_all()
    });
    if let Err(cause) = written {
        let _ = fs::remove_file(&temporary);
        return Err(context("write", path)(cause));
    }
    rename(&temporary, path)
}

/// A directory for its owner alone, also if it was there for others before.
pub fn create_private_dir(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(0o700)))
        .map_err(context("create the directory", path))
}

/// Like [`write_atomic`] without waiting for the disk: for what can be worked out again after a power cut.
pub fn write_snapshot(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_snapshot_of(path, std::iter::once(bytes))
}

/// The same, piece by piece: for what is too much to have in memory at once.
pub fn write_snapshot_of(path: &Path, pieces: impl Iterator<Item = impl AsRef<[u8]>>) -> Result<()> {
    let temporary = draft(path);
    let write = || {
        let mut file = BufWriter::new(File::create(&temporary)?);
        for piece in pieces {
            file.write_all(piece.as_ref())?;
        }
        file.flush()
    };
    let written = write().and_then(|()| fs::rename(&temporary, path));
    written.map_err(|cause| {
        let _ = fs::remove_file(&temporary);
        context("write", path)(cause)
    })
}

/// Adds all of `bytes` to the end of `file` or, when the disk is full, none of them.
pub fn append(file: &mut File, path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let before = file.metadata().map_err(context("write", path))?.len();
    file.write_all(bytes.as_ref()).map_err(|cause| {
        let _ = file.set_len(before);
        context("write", path)(cause)
    })
}

/// Writes over the first bytes of a file that is there, for which most file systems need no new room.
pub fn overwrite(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let file = File::options().write(true).open(path);
    file.and_then(|file| file.write_all_at(bytes.as_ref(), 0)).map_err(context("write", path))
}

/// Creates the file only if nothing of that name is there.
pub fn write_new(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    File::create_new(path)
        .and_then(|mut file| file.write_all(bytes.as_ref()))
        .map_err(context("create", path))
}

/// The same, and not even a power cut takes it away again.
pub fn write_new_synced(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    write_new(path, bytes)?;
    sync_file(path)?;
    sync_dir(path.parent().unwrap_or(Path::new("/")));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_written_anew_stays_as_hidden_as_it_was() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("secret.toml");
        write_atomic(&path, "old").expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("hidden");
        write_atomic(&path, "new").expect("written");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!((mode & 0o777, fs::read_to_string(&path).expect("read")), (0o600, "new".to_owned()));
    }
}
