//! When the bytes of a segment came: small records beside it, so that the log itself stays as it was written.

use std::{
    collections::VecDeque,
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::platform::{
    clock::{self, Stopwatch},
    fs::{self, FsError},
};

use super::segment;

/// Bytes of a record: offset (u64), nanoseconds since 1970 (u64), flags (u32), CRC-32 of all that (u32), little-endian.
const SIZE: usize = 24;

/// Between two records at the least.
const EVERY: Duration = Duration::from_millis(50);

/// Before this offset bytes are missing: there was no room for them.
const GAP: u32 = 1;

/// From `offset` on, up to the next record, bytes came at `time` or at most [`EVERY`] later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: u64,
    pub time: Timestamp,
    pub gap: bool,
}

/// Adds records to the index of one segment. A full disk makes it coarser and nothing else.
#[derive(Debug)]
pub struct IndexWriter {
    file: Option<File>,
    /// Where the next record goes; a torn one is written over.
    position: u64,
    last: Option<Stopwatch>,
}

/// The times of a stream's bytes, for a reader that goes forward.
#[derive(Debug)]
pub struct Times {
    folder: PathBuf,
    /// Start of the segment that records come from, its index, and how much of that has been read.
    segment: u64,
    file: Option<File>,
    position: u64,
    /// The record that the last answer came from, and those after it.
    records: VecDeque<Record>,
}

impl Record {
    fn encode(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        let time = u64::try_from(self.time.as_nanosecond()).unwrap_or(0);
        bytes[8..16].copy_from_slice(&time.to_le_bytes());
        bytes[16..20].copy_from_slice(&(if self.gap { GAP } else { 0 }).to_le_bytes());
        let sum = checksum(&bytes[..20]);
        bytes[20..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` if it is damaged.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (offset, rest) = bytes.split_first_chunk()?;
        let (time, rest) = rest.split_first_chunk()?;
        let (flags, rest) = rest.split_first_chunk()?;
        let sum = u32::from_le_bytes(*rest.first_chunk()?);
        let whole = sum == checksum(bytes.get(..20)?);
        let time = Timestamp::from_nanosecond(i128::from(u64::from_le_bytes(*time))).ok()?;
        let gap = u32::from_le_bytes(*flags) & GAP != 0;
        whole.then_some(Self { offset: u64::from_le_bytes(*offset), time, gap })
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

impl IndexWriter {
    /// Goes on behind the last whole record.
    pub fn open(folder: &Path, start: u64) -> Self {
        let path = segment::index(folder, start);
        let file = fs::open_read_write(&path).ok();
        let length = fs::size(&path).unwrap_or(0);
        let size = SIZE as u64;
        Self { file, position: length - length % size, last: None }
    }

    /// Bytes are about to come at `offset`. Written before them, so that who sees a byte finds its time.
    pub fn note(&mut self, offset: u64) {
        if self.last.is_none_or(|last| last.elapsed() >= EVERY) {
            self.write(Record { offset, time: clock::now(), gap: false });
        }
    }

    /// What was to stand before `offset` is lost.
    pub fn note_gap(&mut self, offset: u64) {
        self.write(Record { offset, time: clock::now(), gap: true });
    }

    /// Writes the index of the segment at `start` to its place once more, whatever became of its file.
    pub fn put_back(&self, folder: &Path, start: u64) -> Result<(), FsError> {
        self.file.as_ref().map_or(Ok(()), |file| fs::write_held(file, &segment::index(folder, start)))
    }

    fn write(&mut self, record: Record) {
        let Some(file) = &self.file else { return };
        if file.write_all_at(&record.encode(), self.position).is_ok() {
            self.position += SIZE as u64;
            self.last = Some(Stopwatch::start());
        }
    }
}

/// The records in an index from `position` on, damaged ones left out, and where the next one will be.
fn read(file: &mut File, path: &Path, position: u64) -> Result<(Vec<Record>, u64), FsError> {
    let bytes = fs::read_at(file, path, position, usize::MAX)?;
    let records = bytes.chunks_exact(SIZE);
    let end = position + (bytes.len() - records.remainder().len()) as u64;
    Ok((records.filter_map(Record::decode).collect(), end))
}

/// All records of one segment; none if there is no index.
pub fn records(folder: &Path, start: u64) -> Vec<Record> {
    let path = segment::index(folder, start);
    let read = fs::open(&path).and_then(|mut file| read(&mut file, &path, 0));
    read.map(|(records, _)| records).unwrap_or_default()
}

/// Where to begin to read for all that came at `time` or later: at or before its first byte. `None` is the beginning.
pub fn seek(folder: &Path, time: Timestamp) -> Result<Option<u64>, FsError> {
    for segment in segment::list(folder)?.iter().rev() {
        let records = records(folder, segment.start);
        if let Some(last) = records.iter().rev().find(|record| record.time < time) {
            return Ok(Some(last.offset));
        }
    }
    Ok(None)
}

impl Times {
    pub fn new(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self { folder, segment: u64::MAX, file: None, position: 0, records: VecDeque::new() }
    }

    /// Reads what was recorded by now. `segment` is the start of the one that bytes are being read from.
    pub fn refresh(&mut self, segment: u64) {
        self.load();
        if self.segment != segment {
            (self.segment, self.file, self.position) = (segment, None, 0);
            self.load();
        }
    }

    /// When the byte at `offset` came. Offsets only ever rise from one question to the next.
    pub fn at(&mut self, offset: u64) -> Option<Timestamp> {
        while self.records.get(1).is_some_and(|next| next.offset <= offset) {
            self.records.pop_front();
        }
        self.records.front().map(|record| record.time)
    }

    /// The first offset beyond `from` and up to `to` before which bytes are missing.
    pub fn gap(&self, from: u64, to: u64) -> Option<u64> {
        let gaps = self.records.iter().filter(|record| record.gap).map(|record| record.offset);
        gaps.filter(|offset| (from..to).contains(offset)).min()
    }

    /// What cannot be read has no times, and its text is shown all the same.
    fn load(&mut self) {
        let path = segment::index(&self.folder, self.segment);
        if self.file.is_none() {
            self.file = fs::open(&path).ok();
        }
        let Some(file) = &mut self.file else { return };
        if let Ok((records, position)) = read(file, &path, self.position) {
            self.records.extend(records);
            self.position = position;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_or_damaged_record_is_left_out_and_written_over() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let mut writer = IndexWriter::open(dir.path(), 0);
        for offset in [0, 10, 20] {
            writer.note_gap(offset);
        }
        let path = segment::index(dir.path(), 0);
        let mut bytes = fs::read(&path).expect("written");
        bytes[SIZE + 3] ^= 1;
        bytes.extend([7; 5]);
        fs::write_atomic(&path, &bytes).expect("damaged");
        let offsets = || records(dir.path(), 0).iter().map(|it| it.offset).collect::<Vec<_>>();
        assert_eq!(offsets(), [0, 20]);
        IndexWriter::open(dir.path(), 0).note_gap(30);
        assert_eq!(offsets(), [0, 20, 30]);
    }

    #[test]
    fn the_time_of_a_byte_is_that_of_the_record_before_it_also_across_segments() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let time = |second| Timestamp::from_second(second).expect("a time");
        let record = |offset, second| Record { offset, time: time(second), gap: false };
        let write = |start, records: &[Record]| {
            let bytes: Vec<u8> = records.iter().flat_map(|it| it.encode()).collect();
            fs::write_atomic(&segment::index(dir.path(), start), bytes).expect("written");
            fs::write_atomic(&segment::plain(dir.path(), start), "").expect("written");
        };
        write(0, &[record(0, 100), record(50, 200)]);
        write(80, &[record(80, 300)]);
        let mut times = Times::new(dir.path());
        times.refresh(0);
        assert_eq!(
            [0, 49, 50, 79].map(|offset| times.at(offset)),
            [100, 100, 200, 200].map(|it| Some(time(it)))
        );
        times.refresh(80);
        assert_eq!([79, 80, 999].map(|offset| times.at(offset)), [200, 300, 300].map(|it| Some(time(it))));
        let at = |second| seek(dir.path(), time(second)).expect("read");
        assert_eq!([50, 100, 101, 250, 301].map(at), [None, None, Some(0), Some(50), Some(80)]);
    }
}
