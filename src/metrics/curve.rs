//! The steps of a training in pieces, for whoever asks again and again: what is new is read, and hardly more.

use std::path::{Path, PathBuf};

use super::{Reader, Record, StoreError, figures::Average};

/// Records between two places where one can begin to read: 64 KiB.
const APART: usize = 1024;

/// A file of metrics, and what is remembered of it.
#[derive(Debug)]
pub struct Curve {
    path: PathBuf,
    /// Before each [`APART`]th record.
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    offset: u64,
    average: Average,
}

/// The steps from one on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub steps: Vec<Record>,
    /// The smoothed loss after each.
    pub smoothed: Vec<f64>,
    /// How many steps there are by now, those before this part included.
    pub next: usize,
}

impl Curve {
    pub fn of(path: &Path) -> Self {
        let start = Mark { offset: Reader::new(path).offset(), average: Average::default() };
        Self { path: path.to_owned(), marks: vec![start] }
    }

    /// The steps from the one with the number `from` on, counted from 0 in the file and not as the trainer counts.
    pub fn from(&mut self, from: usize) -> Result<Part, StoreError> {
        let place = (from / APART).min(self.marks.len() - 1);
        let Mark { offset, average } = self.marks[place];
        let mut reader = Reader::at(&self.path, offset);
        let mut filling = Filling { from, average, part: Part { next: place * APART, ..Part::default() } };
        loop {
            let before = reader.offset();
            for (offset, record) in reader.piece()? {
                if filling.part.next == self.marks.len() * APART {
                    self.marks.push(Mark { offset, average: filling.average });
                }
                filling.take(record);
            }
            if reader.offset() == before {
                return Ok(filling.part);
            }
        }
    }
}

impl Part {
    /// The same of records that are in no file.
    pub fn of(records: impl IntoIterator<Item = Record>, from: usize) -> Self {
        let mut filling = Filling { from, average: Average::default(), part: Self::default() };
        for record in records {
            filling.take(record);
        }
        filling.part
    }
}

/// A part that is being filled, and the average so far.
struct Filling {
    from: usize,
    average: Average,
    part: Part,
}

impl Filling {
    fn take(&mut self, record: Record) {
        let smoothed = self.average.push(record.loss).unwrap_or(f64::NAN);
        if self.part.next >= self.from {
            self.part.steps.push(record);
            self.part.smoothed.push(smoothed);
        }
        self.part.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        metrics::{Writer, figures, record::SIZE},
        platform::fs,
    };

    use super::*;

    fn records(numbers: std::ops::Range<u32>) -> Vec<Record> {
        let record = |number: u32| Record {
            step: u64::from(number) + 1,
            time: 1.8e9,
            loss: if number.is_multiple_of(97) { f64::NAN } else { f64::from(number % 31) },
            seconds_per_step: 0.5,
            samples_per_second: 2.0,
            lr: 1e-4,
            grad_norm: 1.5,
            epoch: Some(1),
        };
        numbers.map(record).collect()
    }

    fn append(path: &Path, records: &[Record]) {
        let mut writer = Writer::open(path).expect("opened");
        // What waits is not kept without end.
        for some in records.chunks(1000) {
            for it in some {
                writer.push(it);
            }
            writer.flush();
        }
    }

    /// To the last bit: a NaN is equal to none.
    fn text(part: &Part) -> String {
        format!("{part:?}")
    }

    #[test]
    fn what_is_asked_for_in_pieces_is_what_is_asked_for_at_once() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("metrics.bin");
        assert_eq!(Curve::of(&path).from(7).expect("no file"), Part::default());
        let all = records(0..5000);
        let (mut growing, mut pieces) = (Curve::of(&path), Part::default());
        for piece in all.chunks(700) {
            append(&path, piece);
            let part = growing.from(pieces.next).expect("read");
            assert_eq!(part.steps.len(), piece.len(), "what is new and nothing else");
            pieces.steps.extend(part.steps);
            pieces.smoothed.extend(part.smoothed);
            pieces.next = part.next;
        }
        // One record is damaged: it is left out, and all others keep their places.
        let mut bytes = fs::read(&path).expect("read");
        let damaged = 1500;
        bytes[16 + damaged * SIZE + 20] ^= 1;
        let other = dir.path().join("damaged.bin");
        fs::write_snapshot(&other, bytes).expect("written");
        let mut left = all.clone();
        left.remove(damaged);
        for (path, all) in [(&path, &all), (&other, &left)] {
            let mut curve = Curve::of(path);
            let whole = Part::of(all.iter().copied(), 0);
            let smoothed = figures::smoothed(all.iter().map(|it| it.loss));
            assert_eq!(format!("{:?}", whole.smoothed), format!("{smoothed:?}"));
            // Before and after it remembers anything.
            for from in [4000, 0, 1, 1023, 1024, 1025, 2048, 3333, 4998, 4999, 5000, 9999] {
                let expected = Part::of(all.iter().copied(), from);
                assert_eq!(text(&curve.from(from).expect("read")), text(&expected), "{from}");
                let at = from.min(all.len());
                assert_eq!(format!("{:?}", expected.smoothed), format!("{:?}", &smoothed[at..]));
            }
        }
        assert_eq!(text(&pieces), text(&Part::of(all, 0)));
    }

    #[test]
    fn a_question_costs_what_is_new() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("metrics.bin");
        append(&path, &records(0..20_000));
        let mut curve = Curve::of(&path);
        let next = curve.from(0).expect("read").next;
        // What is before is not looked at any more: it may be anything.
        let mut bytes = fs::read(&path).expect("read");
        bytes[16..16 + 18_000 * SIZE].fill(0);
        fs::write_snapshot(&path, bytes).expect("written");
        append(&path, &records(20_000..20_010));
        let part = curve.from(next).expect("read");
        assert_eq!(text(&part), text(&Part::of(records(0..20_010), next)));
    }
}
