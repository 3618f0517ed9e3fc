//! From one pipe of the trainer to its stream on disk, byte for byte, and from there to lines that mean something.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use crate::{
    logs::{StreamLog, index::IndexWriter, segment, store::Found},
    platform::{
        fifo,
        fs::{self, FsError},
    },
};

/// Bytes taken at a time: what the pipe can hold.
const CHUNK: usize = 1 << 20;

/// The same where the kernel cannot move the bytes by itself.
const PIECE: usize = 64 << 10;

/// Bytes read for their lines between two looks at the pipe.
const PARSED_AT_ONCE: usize = 256 << 10;

/// Of a line; no line that we read is longer, and one without an end must not fill the memory.
const LONGEST_LINE: usize = 4096;

/// Bytes that wait in memory for room on the disk; the newest of them.
const KEPT: usize = 8 << 20;

/// The log is written before it is read, so that nothing a line contains can keep it from being stored.
#[derive(Debug)]
pub(super) struct Recorder {
    folder: PathBuf,
    /// Bytes of a segment.
    limit: u64,
    /// The segment that is being written, and where it begins.
    segment: File,
    start: u64,
    /// Of the stream, as it is on disk.
    end: u64,
    index: IndexWriter,
    waiting: Option<Waiting>,
    log: StreamLog,
    lines: Lines,
    /// Bytes of the stream that went through `lines`.
    read: u64,
}

/// What one go at the pipe brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    Bytes,
    /// Nobody has the pipe open any more and it is empty.
    End,
}

/// What a recorder has to say about the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum DiskNews {
    /// There is no room from this offset on.
    Full { at: u64 },
    /// There is room again, from this offset on; and what is missing.
    Room { at: u64, gaps: Vec<Gap> },
}

/// So many bytes are missing before this offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) at: u64,
    pub(super) lost: u64,
    /// The index tells of it.
    noted: bool,
}

/// Bytes that the disk had no room for.
#[derive(Debug, Default)]
struct Waiting {
    bytes: VecDeque<u8>,
    /// Where the first of them was to stand.
    from: u64,
    /// Bytes before the waiting ones that are lost, wherever the writing had come by then.
    gaps: Vec<Gap>,
    /// Somebody has been told.
    told: bool,
}

/// Cuts bytes into lines, at `\n` and at the `\r` of progress bars.
#[derive(Debug, Default)]
struct Lines {
    /// The beginning of the line that has no end yet.
    partial: Vec<u8>,
    /// Bytes of it that are in the log.
    length: u64,
}

impl Recorder {
    /// Goes on at the stream's end; lines are read from the byte `parsed` on.
    pub(super) fn open(folder: &Path, limit: u64, parsed: u64) -> Result<Self, FsError> {
        fs::create_dir_all(folder)?;
        segment::tidy(folder)?;
        let start = segment::list(folder)?.last().map_or(0, |last| last.start);
        let path = segment::plain(folder, start);
        let segment = fs::open_end(&path)?;
        Ok(Self {
            folder: folder.to_owned(),
            limit,
            end: start + fs::size(&path)?,
            segment,
            start,
            index: IndexWriter::open(folder, start),
            waiting: None,
            log: StreamLog::new(folder),
            lines: Lines::default(),
            read: parsed,
        })
    }

    /// Takes what is in the pipe now. An error is the pipe's own: [`io::ErrorKind::WouldBlock`] when it is empty.
    pub(super) fn take(&mut self, pipe: impl AsFd, on_line: &mut dyn FnMut(&str)) -> io::Result<Taken> {
        let pipe = pipe.as_fd();
        if self.waiting.is_some() || self.rotate_if_whole().is_err() {
            return self.take_by_hand(pipe, on_line);
        }
        self.index.note(self.end);
        let room = usize::try_from(self.limit - (self.end - self.start)).unwrap_or(CHUNK).min(CHUNK);
        match fifo::move_into(pipe, &self.segment, room) {
            Ok(0) => Ok(Taken::End),
            Ok(count) => {
                self.end += count as u64;
                Ok(Taken::Bytes)
            }
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                Err(cause)
            }
            // The log's side failed: a full disk, a quota, or a file system that cannot take bytes this way.
            Err(_) => self.take_by_hand(pipe, on_line),
        }
    }

    /// Calls `on_line` for whole lines of the log that were not read yet, some of them at a time. Says whether there
    /// may be more.
    pub(super) fn read_on(&mut self, on_line: &mut dyn FnMut(&str)) -> bool {
        if self.read >= self.end {
            return false;
        }
        let mut bytes = vec![];
        match self.log.read(self.read, PARSED_AT_ONCE, &mut bytes) {
            Ok(Found::Bytes) => {
                self.read += bytes.len() as u64;
                self.lines.push(&bytes, on_line);
            }
            Ok(Found::Trimmed { up_to }) => self.read = up_to,
            // What cannot be read back proves nothing; the bytes are in the log all the same.
            Ok(Found::Nothing) | Err(_) => return false,
        }
        self.read < self.end
    }

    pub(super) fn catch_up(&mut self, on_line: &mut dyn FnMut(&str)) {
        while self.read_on(on_line) {}
    }

    /// The last line counts even without its end.
    pub(super) fn finish(&mut self, on_line: &mut dyn FnMut(&str)) {
        self.catch_up(on_line);
        self.lines.push(b"\n", on_line);
    }

    /// Where a successor has to go on reading.
    pub(super) const fn parsed(&self) -> u64 {
        self.read.saturating_sub(self.lines.length)
    }

    /// Tries to write what waits for room, and says what has changed since the last time.
    pub(super) fn disk_news(&mut self) -> Option<DiskNews> {
        let waiting = self.waiting.as_mut()?;
        if !std::mem::replace(&mut waiting.told, true) {
            return Some(DiskNews::Full { at: waiting.from });
        }
        if self.rotate_if_whole().is_err() || !self.write_waiting() {
            return None;
        }
        let Waiting { from, gaps, .. } = self.waiting.take()?;
        Some(DiskNews::Room { at: from, gaps })
    }

    /// Gives up on what waits for room: the run is over. How many bytes are missing at the end.
    pub(super) fn give_up(&mut self) -> Option<DiskNews> {
        let mut waiting = self.waiting.take()?;
        waiting.lose(self.end, waiting.bytes.len() as u64);
        Some(DiskNews::Room { at: self.end, gaps: waiting.gaps })
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Begins a new segment if this one has its size.
    fn rotate_if_whole(&mut self) -> Result<(), FsError> {
        if self.end - self.start < self.limit {
            return Ok(());
        }
        self.segment = fs::open_end(&segment::plain(&self.folder, self.end))?;
        self.start = self.end;
        self.index = IndexWriter::open(&self.folder, self.start);
        Ok(())
    }

    /// Writes the segment that is being written to its place once more, whatever became of its file. Those before it
    /// are not open any more.
    pub(super) fn put_back(&self) -> Result<(), FsError> {
        fs::create_dir_all(&self.folder)?;
        fs::write_held(&self.segment, &segment::plain(&self.folder, self.start))?;
        self.index.put_back(&self.folder, self.start)
    }

    /// Where the segment begins that is being written.
    pub(super) const fn segment(&self) -> u64 {
        self.start
    }

    fn take_by_hand(&mut self, pipe: BorrowedFd, on_line: &mut dyn FnMut(&str)) -> io::Result<Taken> {
        let mut bytes = vec![0; PIECE];
        let count = fifo::read(pipe, &mut bytes)?;
        if count == 0 {
            return Ok(Taken::End);
        }
        let mut rest = &bytes[..count];
        if self.waiting.is_none() {
            while let Ok(written @ 1..) = self.segment.write(rest) {
                self.end += written as u64;
                rest = &rest[written..];
            }
        }
        if !rest.is_empty() {
            // What it says counts all the same: the last line may be the proof of success.
            self.catch_up(on_line);
            self.lines.push_unstored(rest, on_line);
            let end = self.end;
            let waiting = self.waiting.get_or_insert_with(|| Waiting { from: end, ..Waiting::default() });
            waiting.keep(rest, end);
        }
        Ok(Taken::Bytes)
    }

    /// All of it or, if there is not that much room, a part, the rest of which waits on.
    fn write_waiting(&mut self) -> bool {
        let Some(waiting) = &mut self.waiting else { return true };
        match waiting.gaps.last_mut().filter(|gap| gap.at == self.end) {
            // Once, however often there is still no room.
            Some(gap) if gap.noted => {}
            Some(gap) => {
                gap.noted = true;
                self.index.note_gap(self.end);
            }
            None => self.index.note(self.end),
        }
        while !waiting.bytes.is_empty() {
            let (first, _) = waiting.bytes.as_slices();
            let Ok(written @ 1..) = self.segment.write(first) else { return false };
            waiting.bytes.drain(..written);
            self.end += written as u64;
            // All of it has been read, see `take_by_hand`.
            self.read = self.end;
        }
        true
    }
}

impl Waiting {
    /// Keeps the newest bytes; `end` is how far the stream is written.
    fn keep(&mut self, bytes: &[u8], end: u64) {
        self.bytes.extend(bytes);
        let excess = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..excess);
        self.lose(end, excess as u64);
    }

    fn lose(&mut self, at: u64, lost: u64) {
        match self.gaps.last_mut().filter(|gap| gap.at == at) {
            Some(gap) => gap.lost += lost,
            None if lost > 0 => self.gaps.push(Gap { at, lost, noted: false }),
            None => {}
        }
    }
}

impl Lines {
    fn push(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        let mut start = 0;
        for end in memchr::memchr2_iter(b'\n', b'\r', bytes) {
            let line = &bytes[start..end];
            start = end + 1;
            if self.partial.is_empty() {
                self.length = 0;
                let shown = &line[..line.len().min(LONGEST_LINE)];
                if !shown.is_empty() {
                    on_line(&String::from_utf8_lossy(shown));
                }
                continue;
            }
            self.keep(line);
            on_line(&String::from_utf8_lossy(&self.partial));
            self.partial.clear();
            self.length = 0;
        }
        let rest = &bytes[start..];
        self.keep(rest);
        self.length += rest.len() as u64;
    }

    /// The same for bytes that are not in the log.
    fn push_unstored(&mut self, bytes: &[u8], on_line: &mut dyn FnMut(&str)) {
        let before = self.length;
        self.push(bytes, on_line);
        let ends = bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'));
        self.length = if ends { 0 } else { before };
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.partial.len();
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&str]) -> (Vec<String>, u64) {
        let mut lines = Lines::default();
        let mut seen = vec![];
        for piece in pieces {
            lines.push(piece.as_bytes(), &mut |line: &str| seen.push(line.to_owned()));
        }
        (seen, lines.length)
    }

    #[test]
    fn a_line_is_the_same_however_it_arrives() {
        let whole = lines(&["one\rtwo\r\nthree\n\nfo"]);
        assert_eq!(whole, (vec!["one".to_owned(), "two".to_owned(), "three".to_owned()], 2));
        assert_eq!(lines(&["o", "ne\r", "two\r", "\nth", "ree\n\n", "f", "o"]), whole);
    }

    #[test]
    fn bytes_that_are_not_in_the_log_do_not_count_as_read_from_it() {
        let mut lines = Lines::default();
        let mut seen = vec![];
        let mut on_line = |line: &str| seen.push(line.to_owned());
        let mut lengths = vec![];
        lines.push(b"ste", &mut on_line);
        for lost in [&b"ps"[..], b": 4\nst"] {
            lines.push_unstored(lost, &mut on_line);
            lengths.push(lines.length);
        }
        assert_eq!((lengths, seen), (vec![3, 0], vec!["steps: 4".to_owned()]));
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let long = "x".repeat(10_000);
        let (seen, left) = lines(&[&long, &long, "\nnext"]);
        assert_eq!((seen.len(), seen[0].len(), left), (1, LONGEST_LINE, 4));
    }

    /// Writes `text`, takes it to its end, and returns the lines and the segments.
    fn recorded(recorder: &mut Recorder, text: &[u8]) -> Vec<String> {
        let (pipe, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(text).expect("written");
        drop(writer);
        let mut seen = vec![];
        let on_line = &mut |line: &str| seen.push(line.to_owned());
        while recorder.take(&pipe, on_line).expect("taken") == Taken::Bytes {}
        recorder.finish(on_line);
        seen
    }

    #[test]
    fn the_last_line_counts_without_its_end_even_where_the_kernel_does_not_move_bytes() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let mut recorder = Recorder::open(dir.path(), 1 << 20, 0).expect("opened");
        // The kernel refuses to move bytes to a file that is only appended to.
        recorder.segment = fs::open_append(&segment::plain(dir.path(), 0)).expect("opened");
        let seen = recorded(&mut recorder, b"steps: 1\nTRAINING COMPLETE!");
        assert_eq!(seen, ["steps: 1", "TRAINING COMPLETE!"]);
    }

    #[test]
    fn segments_are_cut_where_they_are_full_and_a_successor_goes_on_in_the_last_one() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let open = |parsed| Recorder::open(dir.path(), 10, parsed).expect("opened");
        let mut recorder = open(0);
        assert_eq!(recorded(&mut recorder, b"0123\n56789abc\nef"), ["0123", "56789abc", "ef"]);
        assert_eq!(recorded(&mut open(14), b"gh\nijklmn\n"), ["efgh", "ijklmn"]);
        let starts: Vec<u64> = segment::list(dir.path()).expect("listed").iter().map(|it| it.start).collect();
        assert_eq!(starts, [0, 10, 20]);
        let mut bytes = vec![];
        let mut log = StreamLog::new(dir.path());
        while log.read(bytes.len() as u64, 7, &mut bytes).expect("read") == Found::Bytes {}
        assert_eq!(bytes, b"0123\n56789abc\nefgh\nijklmn\n");
    }

    #[test]
    fn while_there_is_no_room_the_newest_bytes_wait_and_the_gap_before_them_is_known() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let mut recorder = Recorder::open(dir.path(), 1 << 30, 0).expect("opened");
        recorded(&mut recorder, b"before\n");
        let good = std::mem::replace(
            &mut recorder.segment,
            File::options().write(true).open("/dev/full").expect("there"),
        );
        let flood: Vec<u8> = (0..KEPT + 1000).map(|at| if at % 100 == 99 { b'\n' } else { b'x' }).collect();
        let mut taken = 0;
        // A pipe holds less than that.
        for piece in flood.chunks(60_000) {
            taken += recorded(&mut recorder, piece).len();
        }
        assert!(taken > 83_000, "every line was read");
        assert_eq!(recorder.disk_news(), Some(DiskNews::Full { at: 7 }));
        assert_eq!(recorder.disk_news(), None);
        recorder.segment = good;
        let gap = Gap { at: 7, lost: 1000, noted: true };
        assert_eq!(recorder.disk_news(), Some(DiskNews::Room { at: 7, gaps: vec![gap] }));
        let again = recorded(&mut recorder, b"after\n");
        assert_eq!(again, ["after"], "and nothing is read twice");
        let stored = fs::read(&segment::plain(dir.path(), 0)).expect("there");
        assert_eq!(stored[7..][..KEPT], flood[1000..]);
        assert_eq!(stored.len(), 7 + KEPT + 6);
        let gaps = crate::logs::index::records(dir.path(), 0);
        assert_eq!(gaps.iter().filter(|it| it.gap).map(|it| it.offset).collect::<Vec<_>>(), [7]);
    }
}
