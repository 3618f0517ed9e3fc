//! The members of a `.tar` in a dataset's folder: the trainer takes each of them for an item.
//!
//! Source: `process_file` in diffusion-pipe's `utils/dataset.py`: Python's `tarfile.TarFile`, which unpacks nothing, and all
//! of its names, folders and texts among them.

use std::{
    ffi::{OsStr, OsString},
    io::{self, BufReader, Read, Seek, SeekFrom},
    ops::Range,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
    sync::Arc,
};

use crate::platform::fs;

use super::media::{self, Flaw, Media};

/// Members of one archive that are looked at, about 200 bytes of memory each.
pub(super) const MOST_MEMBERS: usize = 1_000_000;

/// A member that is taken for an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    archive: Arc<Path>,
    /// As the archive has it.
    pub(super) name: OsString,
    /// Where its bytes are; `None` for a folder or a link.
    content: Option<Range<u64>>,
}

/// How many members of an archive were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) members: usize,
    /// There are more, of which nothing is known.
    pub(super) has_more: bool,
}

/// The members, at most so many, and whether there are more; or why the trainer cannot read the archive.
pub(super) fn members(path: &Path, most: usize) -> Result<(Vec<Member>, Extent), String> {
    let file = fs::open_regular(path).map_err(|cause| crate::error::in_one_line(&cause))?;
    let length = file.metadata().map_or(0, |it| it.len());
    if length == 0 {
        return Err("empty".to_owned());
    }
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut members: Vec<Member> = vec![];
    let mut has_more = false;
    let path: Arc<Path> = path.into();
    let entries = archive.entries_with_seek().map_err(|cause| cause.to_string())?;
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(_) if members.is_empty() => return Err("no tar archive, or a packed one".to_owned()),
            // What is damaged later on is taken for the end.
            Err(_) => break,
        };
        if members.len() == most {
            has_more = true;
            break;
        }
        let start = entry.raw_file_position();
        let end = start.saturating_add(entry.size());
        if end > length {
            return Err("cut off before its end".to_owned());
        }
        let name = entry.path_bytes();
        let name = name.strip_suffix(b"/").unwrap_or(&name).to_vec();
        members.push(Member {
            archive: Arc::clone(&path),
            name: OsString::from_vec(name),
            content: entry.header().entry_type().is_file().then_some(start..end),
        });
    }
    let extent = Extent { members: members.len(), has_more };
    Ok((members, extent))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_archive_with_more_members_than_are_looked_at_it_is_known_that_there_are_more() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("a.tar");
        let mut archive = tar::Builder::new(vec![]);
        for name in ["a.png", "b.png", "c.png"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            archive.append_data(&mut header, name, io::empty()).expect("appended");
        }
        fs::write_atomic(&path, archive.into_inner().expect("finished")).expect("written");
        for (most, members, has_more) in [(2, 2, true), (3, 3, false), (4, 3, false)] {
            let (list, extent) = super::members(&path, most).expect("an archive");
            assert_eq!((list.len(), extent), (members, Extent { members, has_more }), "at most {most}");
        }
    }
}
