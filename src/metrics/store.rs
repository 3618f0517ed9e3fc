//! `metrics.bin`: a header and then one record a step, appended by the run's supervisor alone.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use crate::platform::fs::{self, FsError};

use super::record::{Record, SIZE};

/// Magic, version, bytes a record.
const HEADER: [u8; 16] = *b"DPGUIMET\x01\0\0\0\x40\0\0\0";

/// Bytes that wait for room on the disk; what would be more is given up, the oldest first.
const MOST_PENDING: usize = 1 << 20;

/// Bytes read at once: whole records.
const PIECE: usize = 4096 * SIZE;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    File(#[from] FsError),
    #[error("`{}` is no file of metrics that this dpgui can read", path.display())]
    Foreign { path: PathBuf },
}

/// Adds records. A full disk delays them.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: File,
    pending: Vec<u8>,
}

impl Writer {
    /// Goes on after the last whole record: what a kill left of another is cut off.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let mut file = fs::open_read_write(path)?;
        let length = fs::length(&file, path)?;
        let mut pending = vec![];
        let kept = if length < HEADER.len() as u64 {
            pending.extend(HEADER);
            0
        } else {
            check_header(&mut file, path)?;
            length - (length - HEADER.len() as u64) % SIZE as u64
        };
        if kept < length {
            fs::cut(&file, path, kept)?;
        }
        let file = fs::open_append(path)?;
        let mut writer = Self { path: path.to_owned(), file, pending };
        writer.flush();
        Ok(writer)
    }

    pub fn push(&mut self, record: &Record) {
        // The header must stay.
        if self.pending.len() > MOST_PENDING {
            let header = self.pending.len() % SIZE;
            self.pending.drain(header..header + SIZE);
        }
        self.pending.extend(record.encode());
    }

    /// Writes the file to its place once more, whatever became of it.
    pub fn put_back(&self) -> Result<(), FsError> {
        fs::write_held(&self.file, &self.path)
    }

    /// Writes what was pushed. It stays, if there is no room.
    pub fn flush(&mut self) {
        if !self.pending.is_empty() && fs::append(&mut self.file, &self.path, &self.pending).is_ok() {
            self.pending.clear();
        }
    }
}

/// Reads records, those that were added since the last time included. No file is an empty one.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: Option<File>,
    offset: u64,
}

impl Reader {
    pub fn new(path: &Path) -> Self {
        Self::at(path, HEADER.len() as u64)
    }

    /// One that begins at `offset`, where a record does.
    pub fn at(path: &Path, offset: u64) -> Self {
        Self { path: path.to_owned(), file: None, offset }
    }

    /// Of the next record.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// The records that are whole by now and were not read yet. One that is damaged is left out.
    pub fn read(&mut self) -> Result<Vec<Record>, StoreError> {
        let mut records = vec![];
        loop {
            let before = self.offset;
            records.extend(self.piece()?.into_iter().map(|(_, record)| record));
            if self.offset == before {
                return Ok(records);
            }
        }
    }

    /// Some of them, each with its offset. The last ones have been read when [`Self::offset`] stays where it is: all of a
    /// piece may be damaged.
    pub fn piece(&mut self) -> Result<Vec<(u64, Record)>, StoreError> {
        let file = match &mut self.file {
            Some(file) => file,
            None if !fs::exists(&self.path) => return Ok(vec![]),
            none => {
                let mut file = fs::open(&self.path)?;
                if fs::length(&file, &self.path)? < HEADER.len() as u64 {
                    return Ok(vec![]);
                }
                check_header(&mut file, &self.path)?;
                none.insert(file)
            }
        };
        let bytes = fs::read_at(file, &self.path, self.offset, PIECE)?;
        let (whole, _) = bytes.as_chunks::<SIZE>();
        let start = self.offset;
        self.offset += (whole.len() * SIZE) as u64;
        let offsets = (start..).step_by(SIZE);
        Ok(offsets.zip(whole).filter_map(|(offset, bytes)| Some((offset, Record::decode(bytes)?))).collect())
    }
}

/// All of a file.
pub fn read(path: &Path) -> Result<Vec<Record>, StoreError> {
    Reader::new(path).read()
}

/// How many of `again`, lines that are read for the second time or the first, are the last of `stored` already.
///
/// Both tell of the same log: one of its lines up to some point, the other of those from some earlier point on.
pub fn overlap(stored: &[Record], again: &[Record]) -> usize {
    let most = stored.len().min(again.len());
    let fits = |count: &usize| {
        let last = &stored[stored.len() - count..];
        last.iter().zip(again).all(|(one, other)| one.is_same_line(other))
    };
    (1..=most).rev().find(fits).unwrap_or(0)
}

fn check_header(file: &mut File, path: &Path) -> Result<(), StoreError> {
    if fs::read_at(file, path, 0, HEADER.len())? == HEADER {
        return Ok(());
    }
    Err(StoreError::Foreign { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, loss: f64) -> Record {
        Record {
            step,
            time: 1.8e9,
            loss,
            seconds_per_step: 0.5,
            samples_per_second: 2.0,
            lr: 1e-4,
            grad_norm: 1.5,
            epoch: Some(1),
        }
    }

    fn write(path: &Path, records: &[Record]) {
        let mut writer = Writer::open(path).expect("opened");
        for record in records {
            writer.push(record);
        }
        writer.flush();
    }

    #[test]
    fn records_are_read_as_they_are_added_and_a_torn_one_waits() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("metrics.bin");
        let mut reader = Reader::new(&path);
        assert_eq!(reader.read().expect("no file"), []);
        write(&path, &[record(1, 0.5), record(2, 0.4)]);
        assert_eq!(reader.read().expect("read"), [record(1, 0.5), record(2, 0.4)]);
        let mut file = fs::open_append(&path).expect("opened");
        fs::append(&mut file, &path, &record(3, 0.3).encode()[..40]).expect("written");
        assert_eq!(reader.read().expect("read"), []);
        // What was torn is cut off by whoever goes on, never half kept.
        write(&path, &[record(3, 0.25)]);
        assert_eq!(reader.read().expect("read"), [record(3, 0.25)]);
        assert_eq!(read(&path).expect("read").len(), 3);
    }

    #[test]
    fn a_damaged_record_is_left_out_and_those_after_it_are_read() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("metrics.bin");
        write(&path, &[record(1, 0.5), record(2, 0.4), record(3, 0.3)]);
        let mut bytes = fs::read(&path).expect("read");
        bytes[HEADER.len() + SIZE + 20] ^= 1;
        fs::write_snapshot(&path, bytes).expect("written");
        assert_eq!(read(&path).expect("read"), [record(1, 0.5), record(3, 0.3)]);
    }

    #[test]
    fn a_header_that_was_torn_is_written_anew_and_another_files_is_refused() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("metrics.bin");
        fs::write_snapshot(&path, "DPGUI").expect("written");
        assert_eq!(read(&path).expect("read"), []);
        write(&path, &[record(1, 0.5)]);
        assert_eq!(read(&path).expect("read"), [record(1, 0.5)]);
        fs::write_snapshot(&path, "DPGUIMET\x02\0\0\0\x40\0\0\0").expect("written");
        assert!(matches!(Writer::open(&path), Err(StoreError::Foreign { .. })));
        assert!(matches!(read(&path), Err(StoreError::Foreign { .. })));
    }

    #[test]
    fn lines_that_are_read_again_are_found_among_the_stored_ones() {
        let steps = |steps: &[u64]| steps.iter().map(|step| record(*step, 0.5)).collect::<Vec<_>>();
        let check = |stored: &[u64], again: &[u64], expected| {
            assert_eq!(overlap(&steps(stored), &steps(again)), expected, "{stored:?} {again:?}");
        };
        check(&[1, 2, 3], &[2, 3, 4], 2);
        check(&[1, 2, 3], &[4, 5], 0);
        check(&[1, 2, 3], &[], 0);
        check(&[], &[1, 2], 0);
        check(&[2, 3], &[1, 2, 3, 4], 0); // lines before all that is stored: none of them is
        check(&[1, 2, 1, 2], &[1, 2, 3], 2); // a resume in between
        let mut nan = steps(&[1]);
        nan[0].loss = f64::NAN;
        assert_eq!(overlap(&nan, &nan), 1);
    }
}
