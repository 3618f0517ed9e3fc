//! A stream as one sequence of bytes, read by offset while it grows, is cut into segments, compressed and trimmed.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use crate::platform::fs::{self, FsError};

use super::segment::{self, Segment};

/// Bytes read backwards at once.
const BLOCK: u64 = 64 * 1024;

/// Bytes that are unpacked at once to get past them.
const SKIP: usize = 64 * 1024;

/// A reader of one stream.
#[derive(Debug)]
pub struct StreamLog {
    folder: PathBuf,
    /// The segment that was read from last.
    open: Option<Open>,
}

/// What reading at an offset brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Bytes,
    /// Nothing is there yet.
    Nothing,
    /// What was there is gone: what is left begins here.
    Trimmed {
        up_to: u64,
    },
}

#[derive(Debug)]
struct Open {
    segment: Segment,
    body: Body,
}

#[derive(Debug)]
enum Body {
    /// Stays readable when it is compressed or removed meanwhile.
    Plain(File),
    Packed {
        decoder: Box<MultiGzDecoder<File>>,
        /// Bytes of the segment that the decoder has handed out.
        position: u64,
    },
}

impl StreamLog {
    /// The folder need not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), open: None }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the segment begins that was read from last.
    pub fn segment(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.segment.start)
    }

    /// Offset of the first byte that is left.
    pub fn start(&self) -> Result<u64, FsError> {
        Ok(segment::list(&self.folder)?.first().map_or(0, |first| first.start))
    }

    /// Offset behind the last byte that is there by now.
    pub fn end(&mut self) -> Result<u64, FsError> {
        let Some(last) = segment::list(&self.folder)?.last().copied() else { return Ok(0) };
        self.enter(last)?;
        match &mut self.open {
            Some(Open { body: Body::Plain(file), segment }) => {
                Ok(segment.start + fs::length(file, &segment.path(&self.folder))?)
            }
            Some(open) => open.unpacked_end(&self.folder),
            None => Ok(last.start),
        }
    }

    /// Appends at most `limit` bytes from `offset` on to `bytes`.
    pub fn read(&mut self, offset: u64, limit: usize, bytes: &mut Vec<u8>) -> Result<Found, FsError> {
        // Each time round, either the right segment is open or another one is opened.
        loop {
            if let Some(open) = self.open.as_mut().filter(|open| open.segment.start <= offset) {
                if open.read(&self.folder, offset, limit, bytes)? > 0 {
                    return Ok(Found::Bytes);
                }
                // Only a segment that begins exactly here says that this one is whole: until then it may grow.
                let next = |packed| Segment { start: offset, packed };
                let found =
                    [next(false), next(true)].into_iter().find(|it| fs::exists(&it.path(&self.folder)));
                match found {
                    Some(found) if found.start != open.segment.start => {
                        self.enter(found)?;
                        continue;
                    }
                    _ => {}
                }
            }
            match self.locate(offset)? {
                Located::Here => {}
                Located::Nothing => return Ok(Found::Nothing),
                Located::Trimmed { up_to } => {
                    // Unless the rest of the open one came, and the next one began, after we had looked for it.
                    if let Some(open) = self.open.as_mut().filter(|open| open.segment.start <= offset)
                        && open.read(&self.folder, offset, limit, bytes)? > 0
                    {
                        return Ok(Found::Bytes);
                    }
                    return Ok(Found::Trimmed { up_to });
                }
            }
        }
    }

    /// A piece of the log that ends at `end`, and where it begins. It is empty where nothing is left before `end`.
    pub fn before(&mut self, end: u64) -> Result<(u64, Vec<u8>), FsError> {
        let all = segment::list(&self.folder)?;
        let Some(segment) = all.iter().rev().find(|segment| segment.start < end) else {
            return Ok((end, vec![]));
        };
        // A compressed one is read from its start anyway.
        let start = if segment.packed { segment.start } else { segment.start.max(end.saturating_sub(BLOCK)) };
        let mut bytes = vec![];
        let mut at = start;
        while at < end {
            let limit = usize::try_from(end - at).unwrap_or(usize::MAX);
            if self.read(at, limit, &mut bytes)? != Found::Bytes {
                // Removed in this moment.
                return Ok((end, vec![]));
            }
            at = start + bytes.len() as u64;
        }
        Ok((start, bytes))
    }

    /// Opens the segment that holds `offset`, if it is not the one that is open.
    fn locate(&mut self, offset: u64) -> Result<Located, FsError> {
        let all = segment::list(&self.folder)?;
        let next = all.partition_point(|segment| segment.start <= offset);
        let after = all.get(next);
        let Some(holds) = next.checked_sub(1).map(|at| all[at]) else {
            return Ok(after.map_or(Located::Nothing, |it| Located::Trimmed { up_to: it.start }));
        };
        if self.segment() != Some(holds.start) {
            return Ok(if self.enter(holds)? { Located::Here } else { Located::Nothing });
        }
        // It has been read to its end, and what should follow it is not there.
        Ok(after.map_or(Located::Nothing, |it| Located::Trimmed { up_to: it.start }))
    }

    /// Whether it is still there. One that was compressed meanwhile is opened in its other form.
    fn enter(&mut self, segment: Segment) -> Result<bool, FsError> {
        for packed in [segment.packed, true] {
            let segment = Segment { packed, ..segment };
            match fs::open(&segment.path(&self.folder)) {
                Ok(file) => {
                    self.open = Some(Open { segment, body: Body::new(file, packed) });
                    return Ok(true);
                }
                Err(cause) if cause.source.kind() == io::ErrorKind::NotFound => {}
                Err(cause) => return Err(cause),
            }
        }
        self.open = None;
        Ok(false)
    }
}

enum Located {
    Here,
    Nothing,
    Trimmed { up_to: u64 },
}

impl Body {
    fn new(file: File, packed: bool) -> Self {
        if packed {
            Self::Packed { decoder: Box::new(MultiGzDecoder::new(file)), position: 0 }
        } else {
            Self::Plain(file)
        }
    }
}

impl Open {
    /// How many bytes came; 0 at the end.
    fn read(
        &mut self,
        folder: &Path,
        offset: u64,
        limit: usize,
        bytes: &mut Vec<u8>,
    ) -> Result<usize, FsError> {
        let path = self.segment.path(folder);
        let wanted = offset - self.segment.start;
        let before = bytes.len();
        let read = match &mut self.body {
            Body::Plain(file) => read_at(file, wanted, limit, bytes),
            Body::Packed { position, .. } => {
                if wanted < *position {
                    self.body = Body::new(fs::open(&path)?, true);
                }
                self.unpack_from(wanted, limit, bytes)
            }
        };
        read.map_err(fs::context("read", &path))?;
        Ok(bytes.len() - before)
    }

    fn unpack_from(&mut self, wanted: u64, limit: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        let Body::Packed { decoder, position } = &mut self.body else { return Ok(()) };
        let mut skipped = vec![0; SKIP];
        while *position < wanted {
            let left = usize::try_from(wanted - *position).unwrap_or(SKIP).min(SKIP);
            match decoder.read(&mut skipped[..left])? {
                0 => return Ok(()),
                count => *position += count as u64,
            }
        }
        *position += decoder.by_ref().take(limit as u64).read_to_end(bytes)? as u64;
        Ok(())
    }

    fn unpacked_end(&mut self, folder: &Path) -> Result<u64, FsError> {
        let mut bytes = vec![];
        let mut end = self.segment.start;
        loop {
            bytes.clear();
            match self.read(folder, end, SKIP, &mut bytes)? {
                0 => return Ok(end),
                count => end += count as u64,
            }
        }
    }
}

fn read_at(file: &File, mut at: u64, limit: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let start = bytes.len();
    let left = file.metadata()?.len().saturating_sub(at);
    bytes.resize(start + usize::try_from(left).unwrap_or(limit).min(limit), 0);
    let mut filled = start;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], at)? {
            0 => break,
            count => (filled, at) = (filled + count, at + count as u64),
        }
    }
    bytes.truncate(filled);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(segments: &[(u64, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temp dir");
        for (start, text) in segments {
            fs::write_atomic(&segment::plain(dir.path(), *start), text).expect("written");
        }
        dir
    }

    fn read_all(log: &mut StreamLog, mut offset: u64) -> (String, Found) {
        let mut bytes = vec![];
        loop {
            let before = bytes.len();
            match log.read(offset, 3, &mut bytes).expect("read") {
                Found::Bytes => offset += (bytes.len() - before) as u64,
                other => return (String::from_utf8(bytes).expect("text"), other),
            }
        }
    }

    const THREE: &[(u64, &str)] = &[(0, "first\n"), (6, "second\n"), (13, "third\n")];

    #[test]
    fn segments_are_one_log_compressed_or_not() {
        let dir = stream(THREE);
        for _ in 0..2 {
            let mut log = StreamLog::new(dir.path());
            assert_eq!(read_all(&mut log, 4).0, "t\nsecond\nthird\n");
            assert_eq!(read_all(&mut log, 0), ("first\nsecond\nthird\n".to_owned(), Found::Nothing));
            assert_eq!((log.start().expect("read"), log.end().expect("read")), (0, 19));
            assert_eq!(log.before(19).expect("read"), (13, b"third\n".to_vec()));
            assert_eq!(log.before(4).expect("read"), (0, b"firs".to_vec()));
            assert_eq!(log.before(0).expect("read"), (0, vec![]));
            segment::pack_all(dir.path()).expect("packed");
        }
    }

    #[test]
    fn a_reader_goes_on_when_what_it_reads_is_compressed_and_cut_under_it() {
        let dir = stream(&[(0, "first\n")]);
        let mut log = StreamLog::new(dir.path());
        assert_eq!(read_all(&mut log, 0).0, "first\n");
        assert_eq!(log.read(6, 9, &mut vec![]).expect("read"), Found::Nothing);
        // It grows, is whole, two others follow, and it is compressed: all before the reader looks again.
        for (start, text) in [(0, "more\n"), (11, "x\n"), (13, "y\n")] {
            let path = segment::plain(dir.path(), start);
            let mut file = fs::open_append(&path).expect("opened");
            fs::append(&mut file, &path, text).expect("written");
        }
        segment::pack_all(dir.path()).expect("packed");
        assert_eq!(read_all(&mut log, 6).0, "more\nx\ny\n");
    }

    #[test]
    fn who_asks_for_what_was_removed_is_told_where_the_rest_begins() {
        let dir = stream(THREE);
        let mut log = StreamLog::new(dir.path());
        log.read(0, 1, &mut vec![]).expect("read");
        Segment { start: 0, packed: false }.remove(dir.path()).expect("removed");
        assert_eq!(
            StreamLog::new(dir.path()).read(2, 9, &mut vec![]).expect("read"),
            Found::Trimmed { up_to: 6 }
        );
        // Who has it open reads on.
        assert_eq!(read_all(&mut log, 1).0, "irst\nsecond\nthird\n");
        let mut log = StreamLog::new(dir.path());
        log.read(6, 7, &mut vec![]).expect("read");
        Segment { start: 13, packed: false }.remove(dir.path()).expect("removed");
        fs::write_atomic(&segment::plain(dir.path(), 19), "fourth\n").expect("written");
        assert_eq!(log.read(13, 9, &mut vec![]).expect("read"), Found::Trimmed { up_to: 19 });
        let nothing = StreamLog::new(Path::new("/no/such/folder")).read(0, 9, &mut vec![]).expect("read");
        assert_eq!(nothing, Found::Nothing);
    }
}
