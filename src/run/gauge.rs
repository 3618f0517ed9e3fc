//! From the lines of a log to the records of `metrics.bin`, each step once, whoever reads the log.

use serde::{Deserialize, Serialize};

use crate::{
    logs::{
        Mark, Step,
        reader::{beginnings, read_through},
    },
    metrics::{Rate, Record, Writer, store},
    platform::{clock, fs::FsError},
};

use super::{RunError, dir::RunDir, journal::Journal, sight::Told, supervise::Begin};

/// What earlier lines said that belongs to the next step. It is in the snapshot beside the place in the log up to which
/// that was read, so that a successor goes on with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gauge {
    epoch: Option<u32>,
    rate: Option<Rate>,
}

/// The supervisor's way to `metrics.bin`.
#[derive(Debug)]
pub(super) struct Meter {
    dir: RunDir,
    writer: Option<Writer>,
    /// The steps that had piled up when nobody looked: some of them may be stored already.
    piled: Option<Vec<Record>>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Note {
    /// Steps are not stored; the log tells of them all the same.
    NoMetrics { reason: String },
}

impl Gauge {
    /// Takes note of a line, and says what is to be stored of it.
    pub fn take(&mut self, mark: Option<&Mark>, rate: Option<Rate>, time: f64) -> Option<Record> {
        self.rate = rate.or(self.rate);
        match mark? {
            Mark::Step(step) => Some(self.record(step, time)),
            Mark::Epoch(epoch) | Mark::Resumed { epoch, .. } => {
                self.epoch = u32::try_from(*epoch).ok();
                None
            }
            Mark::Caching
            | Mark::Saving(_)
            | Mark::Checkpoint(_)
            | Mark::Evaluating
            | Mark::Complete
            | Mark::Quitting
            | Mark::Killing
            | Mark::Exited { .. } => None,
        }
    }

    fn record(&mut self, step: &Step, time: f64) -> Record {
        // The first epoch is not announced.
        self.epoch = self.epoch.or(Some(1));
        let rate = self.rate.filter(|rate| rate.step == step.step);
        Record {
            step: step.step,
            time,
            loss: step.loss,
            seconds_per_step: step.seconds_per_step,
            samples_per_second: step.samples_per_second,
            lr: rate.map_or(f64::NAN, |rate| rate.lr),
            grad_norm: f64::NAN,
            epoch: self.epoch,
        }
    }
}

impl Meter {
    /// What an adopter reads until [`Self::settle`] may have been stored by the supervisor before it. A training is
    /// looked after whether its steps can be stored or not.
    pub(super) fn open(dir: &RunDir, begin: Begin, journal: &mut Journal) -> Self {
        let writer = Writer::open(&dir.metrics());
        let writer =
            writer.inspect_err(|cause| journal.record(&Note::NoMetrics { reason: cause.to_string() }));
        Self { dir: dir.clone(), writer: writer.ok(), piled: (begin == Begin::Adopt).then(Vec::new) }
    }

    pub(super) fn take(&mut self, gauge: &mut Gauge, told: &Told) {
        let Some(record) = gauge.take(told.mark.as_ref(), told.rate, now()) else { return };
        match (&mut self.piled, &mut self.writer) {
            (Some(piled), _) => piled.push(record),
            (None, Some(writer)) => writer.push(&record),
            (None, None) => {}
        }
    }

    /// Writes the file to its place once more, whatever became of it.
    pub(super) fn put_back(&self) -> Result<(), FsError> {
        self.writer.as_ref().map_or(Ok(()), Writer::put_back)
    }

    pub(super) fn flush(&mut self) {
        self.writer.iter_mut().for_each(Writer::flush);
    }

    /// All that had piled up was read: stores what is new in it.
    pub(super) fn settle(&mut self) {
        let piled = self.piled.take().unwrap_or_default();
        // A file that cannot be read holds nothing that could be there twice.
        let stored = store::read(&self.dir.metrics()).unwrap_or_default();
        let new = &piled[store::overlap(&stored, &piled)..];
        self.writer.iter_mut().for_each(|writer| new.iter().for_each(|record| writer.push(record)));
        self.flush();
    }
}

/// Every step of a run, in the order of its log: as stored or, of a run that was started by a dpgui that stored none, as
/// its log tells.
pub fn records(dir: &RunDir) -> Result<Vec<Record>, RunError> {
    let stored = store::read(&dir.metrics())?;
    if !stored.is_empty() {
        return Ok(stored);
    }
    Ok(logged(dir)?)
}

fn logged(dir: &RunDir) -> Result<Vec<Record>, FsError> {
    let mut gauge = Gauge::default();
    let mut records = vec![];
    let log = dir.log();
    read_through(&log, &beginnings(&log)?, |entry| {
        let text = entry.line.text;
        records.extend(gauge.take(Mark::parse(text).as_ref(), Rate::parse(text), f64::NAN));
    })?;
    Ok(records)
}

fn now() -> f64 {
    clock::now().as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_has_the_rate_and_the_epoch_that_were_announced_before_it() {
        let log = "[Rank 0] step=1, skipped=0, lr=[0.1], mom=[]\n\
                   steps: 1 loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\n\
                   steps: 2 loss: nan iter time (s): 0.070 samples/sec: 457.143\n\
                   Started new epoch: 2\n\
                   [Rank 0] step=3, skipped=0, lr=[0.3], mom=[]\n\
                   steps: 3 loss: 0.4000 iter time (s): 0.070 samples/sec: 457.143\n\
                   Resuming training from checkpoint. Resuming at epoch: 1, step: 2\n\
                   steps: 2 loss: 0.4500 iter time (s): 0.070 samples/sec: 457.143\n";
        let mut gauge = Gauge::default();
        let records =
            log.lines().filter_map(|line| gauge.take(Mark::parse(line).as_ref(), Rate::parse(line), 7.0));
        let said: Vec<_> =
            records.map(|it| format!("{} {} {:?} {}", it.step, it.loss, it.epoch, it.lr)).collect();
        assert_eq!(
            said,
            ["1 0.5 Some(1) 0.1", "2 NaN Some(1) NaN", "3 0.4 Some(2) 0.3", "2 0.45 Some(1) NaN"]
        );
    }
}
