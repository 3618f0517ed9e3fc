//! `gpus.bin`: a header and then one record for each GPU of a run at each look, appended by the run's supervisor alone.
//!
//! It never grows beyond [`MOST`] records: then two looks are made one, and from there on half as many are taken.

use std::{collections::BTreeSet, io, path::Path, time::Duration};

use serde::Serialize;

use crate::platform::fs::{self, FsError};

use super::crc::crc32c;

/// Magic, version, bytes a record; the seconds between two looks follow.
const MAGIC: [u8; 12] = *b"DPGUIGPU\x01\0\x20\0";
const HEADER: usize = 16;

/// Bytes of a record.
const SIZE: usize = 32;

/// 2 MiB: a week of one GPU before anything is thinned out.
const MOST: usize = 1 << 16;

/// Between two looks, as long as all of them are kept.
const EVERY: u32 = 10;

/// What a card does not measure.
const NONE: u32 = u32::MAX;

const MEBIBYTE: u64 = 1 << 20;

/// What one GPU did at one look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpuRecord {
    /// Milliseconds since 1970.
    pub time: u64,
    /// As the driver counts them.
    pub gpu: u32,
    pub utilisation_percent: Option<u32>,
    /// Bytes, in whole MiB.
    pub memory_used: Option<u64>,
    pub memory_total: Option<u64>,
    pub power_milliwatts: Option<u32>,
    pub temperature_c: Option<u32>,
}

/// All looks at the GPUs of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuHistory {
    /// Between two looks.
    pub every: Duration,
    pub records: Vec<GpuRecord>,
}

/// What one GPU did in all of a run. What it does not measure is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct GpuSummary {
    pub gpu: u32,
    /// On average.
    pub utilisation_percent: Option<u64>,
    /// Bytes, at most.
    pub memory_used: Option<u64>,
    /// On average.
    pub power_w: Option<u64>,
    /// At most.
    pub temperature_c: Option<u32>,
}

/// Adds looks.
#[derive(Debug)]
pub struct GpuWriter<'a> {
    path: &'a Path,
    every: u32,
    count: usize,
    most: usize,
}

impl GpuRecord {
    /// Little endian; the sum of all before it comes last.
    fn encode(&self) -> [u8; SIZE] {
        let mebibytes = |it: Option<u64>| it.map_or(NONE, |it| u32::try_from(it / MEBIBYTE).unwrap_or(NONE));
        let small = |it: Option<u32>| it.map_or(u8::MAX, |it| u8::try_from(it).unwrap_or(u8::MAX));
        let mut bytes = [0; SIZE];
        bytes[..8].copy_from_slice(&self.time.to_le_bytes());
        let words = [
            self.gpu,
            mebibytes(self.memory_used),
            mebibytes(self.memory_total),
            self.power_milliwatts.unwrap_or(NONE),
        ];
        for (at, word) in words.into_iter().enumerate() {
            bytes[8 + 4 * at..12 + 4 * at].copy_from_slice(&word.to_le_bytes());
        }
        (bytes[24], bytes[25]) = (small(self.utilisation_percent), small(self.temperature_c));
        let sum = crc32c(&bytes[..28]);
        bytes[28..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// `None` for damage.
    fn decode(bytes: &[u8; SIZE]) -> Option<Self> {
        let word = |at: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]));
        let known = |at: usize| Some(word(at)).filter(|it| *it != NONE);
        let mebibytes = |at: usize| known(at).map(|it| u64::from(it) * MEBIBYTE);
        let small = |at: usize| Some(u32::from(bytes[at])).filter(|it| *it != u32::from(u8::MAX));
        (word(28) == crc32c(&bytes[..28])).then(|| Self {
            time: u64::from(word(0)) | u64::from(word(4)) << 32,
            gpu: word(8),
            memory_used: mebibytes(12),
            memory_total: mebibytes(16),
            power_milliwatts: known(20),
            utilisation_percent: small(24),
            temperature_c: small(25),
        })
    }

    /// Two looks as one: what was usual of what varies, and the most of what must not be too much.
    fn with(&self, later: &Self) -> Self {
        let mean =
            |one: Option<u32>, other: Option<u32>| one.zip(other).map(|(one, other)| one.midpoint(other));
        Self {
            time: self.time,
            gpu: self.gpu,
            utilisation_percent: mean(self.utilisation_percent, later.utilisation_percent),
            memory_used: self.memory_used.max(later.memory_used),
            memory_total: later.memory_total,
            power_milliwatts: mean(self.power_milliwatts, later.power_milliwatts),
            temperature_c: self.temperature_c.max(later.temperature_c),
        }
    }
}

impl GpuHistory {
    /// `None` where none was kept, or by nobody that we know.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> Result<Option<Self>, FsError> {
        if !fs::exists(path) {
            return Ok(None);
        }
        let bytes = fs::read(path)?;
        let Some((head, rest)) = bytes.split_at_checked(HEADER).filter(|(head, _)| head.starts_with(&MAGIC))
        else {
            return Ok(None);
        };
        let every = u32::from_le_bytes(std::array::from_fn(|index| head[MAGIC.len() + index]));
        let (whole, _) = rest.as_chunks::<SIZE>();
        let records = whole.iter().filter_map(GpuRecord::decode).collect();
        Ok(Some(Self { every: Duration::from_secs(u64::from(every.max(1))), records }))
    }

    /// Half as many looks.
    fn thinned(&self) -> Self {
        let mut records = vec![];
        let mut open: Vec<GpuRecord> = vec![];
        for record in &self.records {
            match open.iter().position(|it| it.gpu == record.gpu) {
                Some(at) => records.push(open.swap_remove(at).with(record)),
                None => open.push(*record),
            }
        }
        records.append(&mut open);
        records.sort_by_key(|it| (it.time, it.gpu));
        Self { every: self.every * 2, records }
    }

    /// At most so many looks at each GPU.
    #[must_use]
    pub fn with_at_most(mut self, looks: usize) -> Self {
        let most = |records: &[GpuRecord]| {
            let mut counts = std::collections::BTreeMap::<u32, usize>::new();
            for it in records {
                *counts.entry(it.gpu).or_default() += 1;
            }
            counts.into_values().max().unwrap_or(0)
        };
        while most(&self.records) > looks.max(1) {
            self = self.thinned();
        }
        self
    }

    /// The numbers of the GPUs, the first one first.
    pub fn gpus(&self) -> BTreeSet<u32> {
        self.records.iter().map(|it| it.gpu).collect()
    }

    /// Each GPU, the first one first.
    pub fn summaries(&self) -> Vec<GpuSummary> {
        self.gpus().into_iter().map(|gpu| self.summary(gpu)).collect()
    }

    fn summary(&self, gpu: u32) -> GpuSummary {
        let all = || self.records.iter().filter(|it| it.gpu == gpu);
        let mean = |of: fn(&GpuRecord) -> Option<u32>| {
            let (sum, count) =
                all().filter_map(of).fold((0, 0), |(sum, count), it| (sum + u64::from(it), count + 1));
            (sum + count / 2).checked_div(count)
        };
        GpuSummary {
            gpu,
            utilisation_percent: mean(|it| it.utilisation_percent),
            memory_used: all().filter_map(|it| it.memory_used).max(),
            power_w: mean(|it| it.power_milliwatts).map(|it| (it + 500) / 1000),
            temperature_c: all().filter_map(|it| it.temperature_c).max(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let every = u32::try_from(self.every.as_secs()).unwrap_or(NONE);
        let mut bytes = [&MAGIC[..], &every.to_le_bytes()].concat();
        bytes.extend(self.records.iter().flat_map(GpuRecord::encode));
        bytes
    }
}

impl<'a> GpuWriter<'a> {
    /// Goes on after the last whole record: what a kill left of another is cut off.
    ///
    /// # Errors
    /// When something else is there, or it cannot be written.
    pub fn open(path: &'a Path) -> Result<Self, FsError> {
        Self::limited(path, MOST)
    }

    fn limited(path: &'a Path, most: usize) -> Result<Self, FsError> {
        let known = GpuHistory::read(path)?;
        if known.is_none() && fs::exists(path) {
            let source = io::Error::new(io::ErrorKind::InvalidData, "it is of a newer dpgui, or damaged");
            return Err(fs::context("add to", path)(source));
        }
        let history = known
            .unwrap_or_else(|| GpuHistory { every: Duration::from_secs(u64::from(EVERY)), records: vec![] });
        let mut writer = Self { path, every: EVERY, count: 0, most };
        writer.replace(&history)?;
        Ok(writer)
    }

    /// Between two looks.
    pub fn every(&self) -> Duration {
        Duration::from_secs(u64::from(self.every))
    }

    /// Adds one look. Without room on the disk it is left out.
    pub fn push(&mut self, records: &[GpuRecord]) {
        // Whoever has deleted it has not deleted what comes.
        if fs::is_missing(self.path) {
            let _ = self.replace(&GpuHistory { every: self.every(), records: vec![] });
        }
        let bytes: Vec<u8> = records.iter().flat_map(GpuRecord::encode).collect();
        let append = || fs::append(&mut fs::open_append(self.path)?, self.path, &bytes);
        if append().is_ok() {
            self.count += records.len();
        }
        if self.count > self.most
            && let Ok(Some(history)) = GpuHistory::read(self.path)
        {
            // What cannot be made smaller now is so after a later look.
            let _ = self.replace(&history.thinned());
        }
    }

    fn replace(&mut self, history: &GpuHistory) -> Result<(), FsError> {
        fs::write_snapshot(self.path, history.encode())?;
        self.every = u32::try_from(history.every.as_secs()).unwrap_or(EVERY);
        self.count = history.records.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time: u64, gpu: u32, used: u32) -> GpuRecord {
        GpuRecord {
            time,
            gpu,
            utilisation_percent: Some(used),
            memory_used: Some(u64::from(used) * MEBIBYTE),
            memory_total: Some(100 * MEBIBYTE),
            power_milliwatts: None,
            temperature_c: Some(60 + used / 10),
        }
    }

    #[test]
    fn what_was_seen_comes_back_and_damage_costs_itself_alone() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("gpus.bin");
        assert_eq!(GpuHistory::read(&path).expect("read"), None);
        let looks = [[record(1, 0, 50), record(1, 3, 100)], [record(1 << 40, 0, 0), record(1 << 40, 3, 7)]];
        let mut writer = GpuWriter::open(&path).expect("opened");
        writer.push(&looks[0]);
        // What a kill leaves of a record is no record, and in nobody's way.
        fs::append(&mut fs::open_append(&path).expect("there"), &path, [1, 2, 3]).expect("written");
        let mut writer = GpuWriter::open(&path).expect("opened");
        writer.push(&looks[1]);
        let read = || GpuHistory::read(&path).expect("read").expect("there");
        assert_eq!(read(), GpuHistory { every: Duration::from_secs(10), records: looks.concat() });
        let mut bytes = fs::read(&path).expect("there");
        bytes[HEADER + 9] ^= 1;
        fs::write_snapshot(&path, &bytes).expect("written");
        assert_eq!(read().records, looks.concat()[1..]);
        // It goes on where it was deleted.
        fs::remove_tree(&path).expect("removed");
        writer.push(&looks[1]);
        assert_eq!(read().records, looks[1]);
        fs::write_snapshot(&path, "something else").expect("written");
        assert_eq!(GpuHistory::read(&path).expect("read"), None);
        assert!(GpuWriter::open(&path).is_err(), "what is not ours stays");
        assert_eq!(fs::read(&path).expect("there"), b"something else");
    }

    #[test]
    fn beyond_its_size_two_looks_are_made_one() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("gpus.bin");
        let mut writer = GpuWriter::limited(&path, 4).expect("opened");
        for (time, used) in [(10, 10), (20, 30), (30, 50)] {
            writer.push(&[record(time, 0, used), record(time, 1, 2 * used)]);
        }
        assert_eq!(writer.every(), Duration::from_secs(20));
        let thin = |time, gpu, used, peak| GpuRecord {
            memory_used: Some(peak * MEBIBYTE),
            temperature_c: Some(60 + u32::try_from(peak).expect("small") / 10),
            ..record(time, gpu, used)
        };
        let history = GpuHistory::read(&path).expect("read").expect("there");
        let expected = [thin(10, 0, 20, 30), thin(10, 1, 40, 60), thin(30, 0, 50, 50), thin(30, 1, 100, 100)];
        assert_eq!(history, GpuHistory { every: Duration::from_secs(20), records: expected.to_vec() });
        let whole = GpuSummary {
            gpu: 1,
            utilisation_percent: Some(70),
            memory_used: Some(100 * MEBIBYTE),
            power_w: None,
            temperature_c: Some(70),
        };
        assert_eq!(history.summaries()[1..], [whole]);
        assert_eq!(history.with_at_most(1).records.len(), 2);
        assert_eq!(GpuWriter::limited(&path, 4).expect("opened").every(), Duration::from_secs(20));
    }
}
