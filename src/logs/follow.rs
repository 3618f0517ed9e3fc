//! The bytes of a log, from an offset on, until its run has ended.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::platform::{
    fs::{self, FsError},
    watch::Watch,
};

/// Bytes handed out at once, at most.
const PIECE: usize = 256 * 1024;

/// Between two questions whether the run has ended, where no change of a file says so.
const LONGEST_WAIT: Duration = Duration::from_millis(200);

/// Reads a log that may still grow. Logs never shrink: one that is cut short gives nothing until it is longer again.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    /// `None` until the file is there.
    file: Option<File>,
    offset: u64,
    watch: Option<Watch>,
}

impl Follower {
    /// From `offset` on. The file need not be there yet.
    pub fn new(path: &Path, offset: u64) -> Self {
        Self { path: path.to_owned(), file: None, offset, watch: None }
    }

    /// The next bytes; waits for them, if it must. `None` when there will be no more.
    ///
    /// `ended` says whether nobody writes any more. It is asked before the file is read: what was written before the
    /// end is never missed.
    pub fn next(&mut self, mut ended: impl FnMut() -> bool) -> Result<Option<Vec<u8>>, FsError> {
        loop {
            let last = ended();
            let bytes = self.read()?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
            if last {
                return Ok(None);
            }
            match &self.watch {
                Some(watch) => watch.wait(LONGEST_WAIT),
                // Once round without waiting: the bytes that came before the watch was there.
                None => self.watch = Some(Watch::new(self.path.parent().unwrap_or(Path::new("/")))),
            }
        }
    }

    /// What is there by now, and has not been handed out.
    fn read(&mut self) -> Result<Vec<u8>, FsError> {
        if self.file.is_none() && fs::exists(&self.path) {
            self.file = Some(fs::open(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Ok(vec![]) };
        let bytes = fs::read_at(file, &self.path, self.offset, PIECE)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, io::Write};

    use super::*;

    #[test]
    fn what_is_written_while_the_end_is_being_decided_is_read() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("output.log");
        let mut follower = Follower::new(&path, 0);
        let asked = Cell::new(0);
        // The file appears, grows, and gets its last line just before the run has ended.
        let ended = || {
            asked.set(asked.get() + 1);
            let mut file = fs::open_append(&path).expect("opened");
            match asked.get() {
                3 => file.write_all(b"step 1\n").expect("written"),
                6 => file.write_all(b"step 2\n").expect("written"),
                _ => {}
            }
            asked.get() >= 6
        };
        let mut pieces = vec![];
        while let Some(bytes) = follower.next(ended).expect("read") {
            pieces.push(String::from_utf8(bytes).expect("text"));
        }
        assert_eq!(pieces, ["step 1\n", "step 2\n"]);
    }
}
