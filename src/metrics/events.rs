//! The event files that the trainer writes for TensorBoard: where its evaluations are, which it prints nowhere.
//!
//! A file is records: `u64 length | u32 masked CRC of it | data | u32 masked CRC of that`, little endian. One that is
//! not whole is being written, so a reader waits; one whose sum is wrong is the end of what can be told. torch flushes
//! every 120 s and at an evaluation's end, so what is read here lags behind the log.
//!
//! Source: TensorFlow's `core/lib/io/record_writer.h`, `core/util/event.proto`, `core/framework/summary.proto`.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::platform::fs::{self, FsError};

use super::{
    crc,
    protobuf::{Fields, Value},
};

/// A record longer than this is no scalar's; images are the largest things that people log.
const LONGEST: u64 = 64 << 20;

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// How the names of event files begin.
const NAME: &str = "events.out.tfevents.";

/// One number that was logged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scalar {
    /// `train/loss`, `NAME/loss` of an evaluation.
    pub tag: String,
    /// Steps; epochs for `train/epoch_loss`; examples for all others with `x_axis_examples`.
    pub step: u64,
    /// Seconds since 1970.
    pub time: f64,
    pub value: f64,
}

/// One file that may still grow.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: File,
    /// What was read and is no whole record yet.
    rest: Vec<u8>,
    offset: u64,
    damaged: bool,
}

/// All event files of a folder, those that are added later included.
#[derive(Debug)]
pub struct EventFolder {
    path: PathBuf,
    files: Vec<EventFile>,
}

impl EventFolder {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), files: vec![] }
    }

    /// The scalars that were written since the last time, in their files' order.
    pub fn read(&mut self) -> Result<Vec<Scalar>, FsError> {
        for name in fs::names(&self.path)? {
            let path = self.path.join(&name);
            let is_events = name.to_string_lossy().starts_with(NAME);
            if is_events && self.files.iter().all(|file| file.path != path) {
                self.files.push(EventFile::open(&path)?);
            }
        }
        let mut scalars = vec![];
        for file in &mut self.files {
            scalars.extend(file.read()?);
        }
        Ok(scalars)
    }
}

impl EventFile {
    pub fn open(path: &Path) -> Result<Self, FsError> {
        Ok(Self { path: path.to_owned(), file: fs::open(path)?, rest: vec![], offset: 0, damaged: false })
    }

    /// The scalars that are whole by now and were not read yet.
    pub fn read(&mut self) -> Result<Vec<Scalar>, FsError> {
        let mut scalars = vec![];
        while !self.damaged {
            let bytes = fs::read_at(&mut self.file, &self.path, self.offset, PIECE)?;
            if bytes.is_empty() {
                break;
            }
            self.offset += bytes.len() as u64;
            self.rest.extend(bytes);
            let parsed = parse(&self.rest, &mut scalars);
            self.damaged = parsed.is_err();
            self.rest.drain(..parsed.unwrap_or(self.rest.len()));
        }
        Ok(scalars)
    }

    /// A record's sum was wrong: nothing after it is read.
    pub const fn is_damaged(&self) -> bool {
        self.damaged
    }
}

/// The sum of a record is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// Reads the whole records at the start of `bytes`, and says how many bytes they are.
pub fn parse(bytes: &[u8], scalars: &mut Vec<Scalar>) -> Result<usize, Damaged> {
    let mut rest = bytes;
    while let Some((head, after)) = rest.split_first_chunk::<12>() {
        let (length, sum) = head.split_at(8);
        if crc::masked(length).to_le_bytes() != *sum {
            return Err(Damaged);
        }
        let length = u64::from_le_bytes(std::array::from_fn(|index| length[index]));
        let size = usize::try_from(length).ok().filter(|_| length <= LONGEST).ok_or(Damaged)?;
        let Some((data, after)) = after.split_at_checked(size) else { break };
        let Some((sum, after)) = after.split_first_chunk::<4>() else { break };
        if crc::masked(data).to_le_bytes() != *sum {
            return Err(Damaged);
        }
        event(data, scalars);
        rest = after;
    }
    Ok(bytes.len() - rest.len())
}

fn event(data: &[u8], scalars: &mut Vec<Scalar>) {
    let (mut time, mut step, mut summary) = (f64::NAN, 0, None);
    for field in Fields(data) {
        match field {
            (1, Value::Fixed64(bytes)) => time = f64::from_le_bytes(bytes),
            (2, Value::Varint(value)) => step = value,
            (5, Value::Bytes(bytes)) => summary = Some(bytes),
            _ => {}
        }
    }
    for (number, value) in Fields(summary.unwrap_or_default()) {
        if let (1, Value::Bytes(bytes)) = (number, value)
            && let Some((tag, value)) = tagged(bytes)
        {
            scalars.push(Scalar { tag, step, time, value });
        }
    }
}

/// A tag and its value: `simple_value`, as torch writes it, or a tensor of one number, as `tensorboard` itself does.
fn tagged(bytes: &[u8]) -> Option<(String, f64)> {
    let (mut tag, mut number) = (None, None);
    for field in Fields(bytes) {
        match field {
            (1, Value::Bytes(bytes)) => tag = std::str::from_utf8(bytes).ok(),
            (2, Value::Fixed32(bytes)) => number = Some(f64::from(f32::from_le_bytes(bytes))),
            (8, Value::Bytes(bytes)) => number = tensor(bytes),
            _ => {}
        }
    }
    Some((tag?.to_owned(), number?))
}

fn tensor(bytes: &[u8]) -> Option<f64> {
    /// Of `core/framework/types.proto`.
    const FLOAT: u64 = 1;
    const DOUBLE: u64 = 2;
    let (mut kind, mut content) = (0, None);
    for field in Fields(bytes) {
        match field {
            (1, Value::Varint(value)) => kind = value,
            // The tensor's memory, or the list of its values: packed, the bytes are the same.
            (4..=6, Value::Bytes(bytes)) => content = Some(bytes),
            (5, Value::Fixed32(bytes)) => return Some(f64::from(f32::from_le_bytes(bytes))),
            (6, Value::Fixed64(bytes)) => return Some(f64::from_le_bytes(bytes)),
            _ => {}
        }
    }
    match kind {
        FLOAT => Some(f64::from(f32::from_le_bytes(*content?.as_array()?))),
        DOUBLE => Some(f64::from_le_bytes(*content?.as_array()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by torch 2.13's `SummaryWriter` and by tensorboard 2.21's own writer: `tests/data/tensorboard/README.md`.
    const TORCH: &[u8] = include_bytes!("../../tests/data/tensorboard/torch.tfevents");
    const TENSORS: &[u8] = include_bytes!("../../tests/data/tensorboard/tensors.tfevents");

    fn scalars(bytes: &[u8]) -> (Result<usize, Damaged>, Vec<String>) {
        let mut scalars = vec![];
        let parsed = parse(bytes, &mut scalars);
        (parsed, scalars.iter().map(|it| format!("{} {} {:.4}", it.tag, it.step, it.value)).collect())
    }

    #[test]
    fn the_files_of_torch_and_of_tensorboard_are_read() {
        let (parsed, said) = scalars(TORCH);
        assert_eq!(parsed, Ok(TORCH.len()));
        // The histogram and the text between them are no scalars.
        let expected = [
            "train/loss 1 0.5000",
            "train/loss 2 NaN",
            "train/loss 3 inf",
            "val/loss_quantile_0.10 3 0.2500",
            "val/loss 3 0.1250",
            "train/epoch_loss 1 0.7500",
        ];
        assert_eq!(said, expected);
        let (parsed, said) = scalars(TENSORS);
        assert_eq!(parsed, Ok(TENSORS.len()));
        assert_eq!(said, ["val/loss 7 0.3125", "val/loss 8 0.2500", "val/double 9 0.1000"]);
    }

    #[test]
    fn a_record_that_is_not_whole_is_waited_for_however_it_arrives() {
        let (_, all) = scalars(TORCH);
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("events.out.tfevents.1.host.2.0");
        fs::write_snapshot(&path, "").expect("written");
        let mut folder = EventFolder::new(dir.path());
        let mut read = vec![];
        for piece in TORCH.chunks(7) {
            let mut file = fs::open_append(&path).expect("opened");
            fs::append(&mut file, &path, piece).expect("written");
            read.extend(folder.read().expect("read"));
        }
        let said: Vec<_> = read.iter().map(|it| format!("{} {} {:.4}", it.tag, it.step, it.value)).collect();
        assert_eq!(said, all);
        assert!(!folder.files[0].is_damaged());
    }

    #[test]
    fn what_follows_damage_is_not_read() {
        for at in 0..TORCH.len() {
            let mut bytes = TORCH.to_vec();
            bytes[at] ^= 4;
            let (parsed, said) = scalars(&bytes);
            assert_eq!(parsed, Err(Damaged), "byte {at}");
            assert!(said.len() < 6, "byte {at}");
        }
        let mut huge = (LONGEST + 1).to_le_bytes().to_vec();
        huge.extend(crc::masked(&huge).to_le_bytes());
        assert_eq!(scalars(&huge).0, Err(Damaged));
    }
}
