//! The members of a `.tar` in a dataset's folder: the trainer takes each of them for an item.
//!
//! Source: `process_file` in diffusion-pipe's `utils/dataset.py`: Python's `tarfile.TarFile`, which unpacks nothing, and all
//! of its names, folders and texts among them.

use std::{
    ffi::{OsStr, OsString},
    io::{self, BufReader, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use crate::platform::fs;

use super::media::{self, Flaw, Media};

/// Members of one archive that are looked at, about 200 bytes of memory each.
const MOST_MEMBERS: usize = 1_000_000;

/// A member that is taken for an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    archive: PathBuf,
    /// As the archive has it.
    pub(super) name: OsString,
    /// Where its bytes are; `None` for a folder or a link.
    content: Option<Range<u64>>,
}

/// All members, or why the trainer cannot read the archive.
pub(super) fn members(path: &Path) -> Result<Vec<Member>, String> {
    let file = fs::open_regular(path).map_err(|cause| crate::error::in_one_line(&cause))?;
    let length = file.metadata().map_or(0, |it| it.len());
    if length == 0 {
        return Err("empty".to_owned());
    }
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut members: Vec<Member> = vec![];
    let entries = archive.entries_with_seek().map_err(|cause| cause.to_string())?;
    for entry in entries.take(MOST_MEMBERS) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(_) if members.is_empty() => return Err("no tar archive, or a packed one".to_owned()),
            // What is damaged later on is taken for the end.
            Err(_) => break,
        };
        let start = entry.raw_file_position();
        let end = start.saturating_add(entry.size());
        if end > length {
            return Err("cut off before its end".to_owned());
        }
        let name = entry.path_bytes();
        let name = name.strip_suffix(b"/").unwrap_or(&name).to_vec();
        members.push(Member {
            archive: path.to_owned(),
            name: OsString::from_vec(name),
            content: entry.header().entry_type().is_file().then_some(start..end),
        });
    }
    Ok(members)
}

impl Member {
    /// What comes after the last `/`.
    pub(super) fn file_name(&self) -> &OsStr {
        Path::new(&self.name).file_name().unwrap_or(&self.name)
    }

    pub(super) fn archive(&self) -> &Path {
        &self.archive
    }

    /// What the trainer sees of it.
    pub(super) fn probe(&self) -> Media {
        // It asks for the name that Python's `Path` makes of it, outside of all that it catches.
        let name = self.name.as_bytes();
        if name.starts_with(b"./") || memchr::memmem::find(name, b"//").is_some() {
            return Media::Unusable(Flaw::OtherName);
        }
        let Some(content) = self.content.clone() else { return Media::Unusable(Flaw::NoMedia) };
        let Ok(file) = fs::open_regular(&self.archive) else { return Media::Unusable(Flaw::Denied) };
        let mut part = Part { inner: file, at: content.start, content };
        if part.rewind().is_err() {
            return Media::Unusable(Flaw::Denied);
        }
        media::measure_once(self.file_name(), part)
    }
}

/// A part of a file as if it were one.
struct Part<R> {
    inner: R,
    content: Range<u64>,
    at: u64,
}

impl<R: Read> Read for Part<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.content.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        let read = self.inner.read(&mut buffer[..wanted])?;
        self.at += read as u64;
        Ok(read)
    }
}

impl<R: Seek> Seek for Part<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(offset) => self.content.start.checked_add(offset),
            SeekFrom::End(offset) => self.content.end.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.at.checked_add_signed(offset),
        };
        let at = at.filter(|it| *it >= self.content.start).ok_or(io::ErrorKind::InvalidInput)?;
        self.at = self.inner.seek(SeekFrom::Start(at))?;
        Ok(self.at - self.content.start)
    }
}
