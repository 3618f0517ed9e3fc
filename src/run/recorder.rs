//! From the trainer's pipe to the log on disk, byte for byte, and from there to lines that mean something.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd},
};

use crate::platform::{
    fifo,
    fs::{self, FsError},
};

use super::dir::RunDir;

/// Bytes taken at a time: what the pipe can hold.
const CHUNK: usize = 1 << 20;

/// The same where the kernel cannot move the bytes by itself.
const PIECE: usize = 64 << 10;

/// Of a line; no line that we read is longer, and one without an end must not fill the memory.
const LONGEST_LINE: usize = 4096;

/// The log is written before it is read, so that nothing a line contains can keep it from being stored.
#[derive(Debug)]
pub(super) struct Recorder {
    dir: RunDir,
    log: File,
    reader: File,
    lines: Lines,
    /// Bytes of the log that went through `lines`.
    read: u64,
    /// Bytes that the disk had no room for since it is full.
    lost: u64,
}

/// What one go at the pipe brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All of it went to the log.
    Stored,
    /// Some of it had to be dropped, because the trainer must not wait for our disk.
    Dropped,
    /// Nobody has the pipe open any more and it is empty.
    End,
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
    /// Goes on at the log's end; lines are read from the byte `parsed` on.
    pub(super) fn open(dir: &RunDir, parsed: u64) -> Result<Self, FsError> {
        let log = fs::open_end(&dir.log())?;
        let reader = fs::open(&dir.log())?;
        Ok(Self { dir: dir.clone(), log, reader, lines: Lines::default(), read: parsed, lost: 0 })
    }

    /// Takes what is in the pipe now and calls `on_line` for each line that it finishes. An error is the pipe's own:
    /// [`io::ErrorKind::WouldBlock`] when it is empty.
    pub(super) fn take(&mut self, pipe: impl AsFd, mut on_line: impl FnMut(&str)) -> io::Result<Taken> {
        let pipe = pipe.as_fd();
        let taken = match fifo::move_into(pipe, &self.log, CHUNK) {
            Ok(0) => Taken::End,
            Ok(_) => Taken::Stored,
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Err(cause);
            }
            // The log's side failed: a full disk, a quota, or a file system that cannot take bytes this way.
            Err(_) => self.take_by_hand(pipe, &mut on_line)?,
        };
        self.catch_up(&mut on_line);
        if taken == Taken::End {
            // The last line counts even without its end.
            self.lines.push(b"\n", &mut on_line);
        }
        Ok(taken)
    }

    /// Calls `on_line` for each whole line of the log that was not read yet.
    pub(super) fn catch_up(&mut self, mut on_line: impl FnMut(&str)) {
        // What cannot be read back proves nothing; the bytes are in the log all the same.
        while let Ok(bytes) = fs::read_at(&mut self.reader, &self.dir.log(), self.read, CHUNK) {
            if bytes.is_empty() {
                return;
            }
            self.read += bytes.len() as u64;
            self.lines.push(&bytes, &mut on_line);
        }
    }

    /// Bytes lost since the disk was full, if it is not any more.
    pub(super) fn end_of_gap(&mut self) -> Option<u64> {
        (self.lost > 0).then(|| std::mem::take(&mut self.lost))
    }

    /// Where a successor has to go on reading.
    pub(super) const fn parsed(&self) -> u64 {
        self.read.saturating_sub(self.lines.length)
    }

    fn take_by_hand(&mut self, pipe: BorrowedFd, on_line: &mut impl FnMut(&str)) -> io::Result<Taken> {
        let mut bytes = vec![0; PIECE];
        let count = fifo::read(pipe, &mut bytes)?;
        if count == 0 {
            return Ok(Taken::End);
        }
        let mut rest = &bytes[..count];
        while let Ok(written @ 1..) = self.log.write(rest) {
            rest = &rest[written..];
        }
        self.catch_up(&mut *on_line);
        if rest.is_empty() {
            return Ok(Taken::Stored);
        }
        // What it says counts all the same: the last line may be the proof of success.
        self.lines.push_lost(rest, on_line);
        self.lost += rest.len() as u64;
        Ok(Taken::Dropped)
    }
}

impl Lines {
    fn push(&mut self, bytes: &[u8], on_line: &mut impl FnMut(&str)) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, after) = rest.split_at(end);
            self.keep(line);
            if !self.partial.is_empty() {
                on_line(&String::from_utf8_lossy(&self.partial));
            }
            self.partial.clear();
            self.length = 0;
            rest = &after[1..];
        }
        self.keep(rest);
        self.length += rest.len() as u64;
    }

    /// The same for bytes that are not in the log.
    fn push_lost(&mut self, bytes: &[u8], on_line: &mut impl FnMut(&str)) {
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
            lines.push_lost(lost, &mut on_line);
            lengths.push(lines.length);
        }
        assert_eq!((lengths, seen), (vec![3, 0], vec!["steps: 4".to_owned()]));
    }

    #[test]
    fn the_last_line_counts_without_its_end_even_where_the_kernel_does_not_move_bytes() {
        let temporary = tempfile::tempdir().expect("a temp dir");
        let dir = RunDir::at(&temporary.path().join("20261123T045512Z-wan")).expect("an id");
        fs::create_dir_new(dir.path()).expect("created");
        let mut recorder = Recorder::open(&dir, 0).expect("opened");
        // The kernel refuses to move bytes to a file that is only appended to.
        recorder.log = fs::open_append(&dir.log()).expect("opened");
        let (pipe, mut writer) = io::pipe().expect("a pipe");
        writer.write_all(b"steps: 1\nTRAINING COMPLETE!").expect("written");
        drop(writer);
        let mut seen = vec![];
        let mut take = || recorder.take(&pipe, |line| seen.push(line.to_owned())).expect("taken");
        assert_eq!([take(), take()], [Taken::Stored, Taken::End]);
        assert_eq!(seen, ["steps: 1", "TRAINING COMPLETE!"]);
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let long = "x".repeat(10_000);
        let (seen, left) = lines(&[&long, &long, "\nnext"]);
        assert_eq!((seen.len(), seen[0].len(), left), (1, LONGEST_LINE, 4));
    }
}
