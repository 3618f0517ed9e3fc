//! The files of a stream: segments, each named by the offset of its first byte, so that no offset ever changes its
//! meaning, whatever is rotated, compressed or removed.
//!
//! `STREAM/00000000000067108864.log` is a segment, `.log.gz` the same compressed, `.idx` when its bytes came. Those that
//! are compressed are whole: a segment is written beside its place, synced and renamed before the plain one goes. So
//! after a kill there is one or there are both, which are the same. gzip, because `zcat -f STREAM/*.log*` shows all of
//! it on any machine; zstd would be smaller by a third and need a tool that many have not.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

use crate::platform::{
    fs::{self, FsError},
    limits::{self, Priority},
};

const PLAIN: &str = ".log";
const PACKED: &str = ".log.gz";
const INDEX: &str = ".idx";
/// Of one that is being compressed.
const PARTIAL: &str = ".gz.partial";

/// Bytes compressed at a time.
const PIECE: usize = 64 << 10;

/// A part of a stream as it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Offset in the stream of its first byte.
    pub start: u64,
    pub packed: bool,
}

pub fn plain(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}{PLAIN}"))
}

pub fn packed(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}{PACKED}"))
}

pub fn index(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}{INDEX}"))
}

/// All segments of the stream, the first one first. Of one that is there twice, the plain one counts.
pub fn list(folder: &Path) -> Result<Vec<Segment>, FsError> {
    let parse = |name: &OsStr| {
        let name = name.to_str()?;
        let (digits, packed) = match name.strip_suffix(PACKED) {
            Some(digits) => (digits, true),
            None => (name.strip_suffix(PLAIN)?, false),
        };
        Some(Segment { start: digits.parse().ok()?, packed })
    };
    // Sorted by name, `.log` stands before `.log.gz`.
    let mut found: Vec<Segment> = fs::names(folder)?.iter().filter_map(|name| parse(name)).collect();
    found.dedup_by_key(|segment| segment.start);
    Ok(found)
}

impl Segment {
    pub fn path(self, folder: &Path) -> PathBuf {
        if self.packed { packed(folder, self.start) } else { plain(folder, self.start) }
    }

    /// What it takes on the disk, its index included.
    pub fn size(self, folder: &Path) -> u64 {
        [self.path(folder), index(folder, self.start)].iter().filter_map(|it| fs::size(it).ok()).sum()
    }

    /// Both of its forms and its index.
    pub fn remove(self, folder: &Path) -> Result<(), FsError> {
        for path in [plain(folder, self.start), packed(folder, self.start), index(folder, self.start)] {
            fs::remove_tree(&path)?;
        }
        Ok(())
    }
}

/// Removes what a kill left while segments were being compressed.
pub fn tidy(folder: &Path) -> Result<(), FsError> {
    for name in fs::names(folder)? {
        let text = name.to_string_lossy();
        if text.ends_with(PARTIAL) {
            fs::remove_tree(&folder.join(&name))?;
        }
        // It was renamed, so it is whole; only the plain one's end is missing.
        if let Some(start) = text.strip_suffix(PACKED).and_then(|digits| digits.parse().ok()) {
            fs::remove_tree(&plain(folder, start))?;
        }
    }
    Ok(())
}

/// Compresses every segment but the last two, at the lowest priority that this thread can have: the training comes
/// first. The one that is written to and the one before it stay plain, so that the end of a log is quick to read.
pub fn pack_all(folder: &Path) -> Result<(), FsError> {
    limits::stand_back(Priority::Last);
    let all = list(folder)?;
    for segment in all.iter().rev().skip(2).rev().filter(|it| !it.packed) {
        pack(folder, segment.start)?;
    }
    Ok(())
}

fn pack(folder: &Path, start: u64) -> Result<(), FsError> {
    let (from, to) = (plain(folder, start), packed(folder, start));
    let partial = folder.join(format!("{start:020}{PARTIAL}"));
    let mut source = fs::open(&from)?;
    let written = fs::create(&partial).and_then(|file| {
        compress(&mut source, file).map_err(fs::context("compress into", &partial))?;
        fs::rename(&partial, &to)
    });
    if written.is_err() {
        let _ = fs::remove_tree(&partial);
    }
    written?;
    if fs::is_missing(&from) {
        // It was removed meanwhile, to make room.
        return fs::remove_tree(&to);
    }
    fs::remove_tree(&from)
}

/// The fastest level: logs shrink to a tenth with it, and the processor belongs to the training.
fn compress(source: &mut File, target: File) -> io::Result<()> {
    let mut encoder = GzEncoder::new(target, Compression::fast());
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece)? {
            0 => return encoder.finish()?.sync_all(),
            count => encoder.write_all(&piece[..count])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::platform::{Env, process::CommandSpec};

    use super::*;

    fn folder(names: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temp dir");
        for (name, text) in names {
            fs::write_atomic(&dir.path().join(name), text).expect("written");
        }
        dir
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let names = fs::names(dir.path()).expect("listed");
        names.into_iter().map(|it| it.into_string().expect("text")).collect()
    }

    #[test]
    fn all_but_the_last_two_are_compressed_and_can_be_read_by_anybody() {
        let dir = folder(&[
            ("00000000000000000000.log", "first\n"),
            ("00000000000000000006.log", "second\n"),
            ("00000000000000000013.log", "third\n"),
        ]);
        pack_all(dir.path()).expect("packed");
        assert_eq!(
            names(&dir),
            ["00000000000000000000.log.gz", "00000000000000000006.log", "00000000000000000013.log"]
        );
        let mut env = Env::default();
        env.set("PATH", "/usr/bin:/bin");
        let zcat = CommandSpec::new("zcat", &env, dir.path()).arg(packed(dir.path(), 0));
        let said = zcat.capture(Duration::from_mins(1)).expect("zcat");
        assert_eq!(said.stdout, "first\n");
    }

    #[test]
    fn a_kill_before_the_plain_one_went_or_before_the_other_was_whole_costs_nothing() {
        let dir = folder(&[
            ("00000000000000000000.log", "first\n"),
            ("00000000000000000000.log.gz", "whole"),
            ("00000000000000000006.gz.partial", "half"),
            ("00000000000000000006.log", "second\n"),
        ]);
        let both = list(dir.path()).expect("listed");
        assert_eq!(both[0], Segment { start: 0, packed: false });
        tidy(dir.path()).expect("tidied");
        assert_eq!(names(&dir), ["00000000000000000000.log.gz", "00000000000000000006.log"]);
    }
}
