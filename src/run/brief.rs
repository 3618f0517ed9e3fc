//! A run in short, by its files alone: what every list of runs is made from.

use jiff::Timestamp;

use crate::{diagnosis::Diagnosis, platform::clock};

use super::{
    RunError, dir::RunDir, journal::Snapshot, restart::Refusal, spec::Spec, state::RunState, watchdog::Alarm,
};

#[derive(Clone, Debug)]
pub struct Brief {
    pub spec: Spec,
    pub state: RunState,
    /// The state in a word; of a part what all of the run does.
    pub word: String,
    pub step: Option<u64>,
    /// `None` as well where it is not a number.
    pub loss: Option<f64>,
    /// It has a last loss, which is none.
    pub is_without_number: bool,
    /// What is wrong with it while it goes on, as it is by now.
    pub alarm: Option<Alarm>,
    /// Why it failed.
    pub diagnosis: Option<Diagnosis>,
    /// Why it was not tried again.
    not_restarted: Option<Refusal>,
    /// When the state was so.
    updated: Timestamp,
}

impl Brief {
    /// # Errors
    /// When a file of it is damaged or not there.
    pub fn of(dir: &RunDir) -> Result<Self, RunError> {
        let snapshot = dir.snapshot()?;
        let spec = dir.spec()?;
        // Without a state it is being started.
        let updated = snapshot.as_ref().map_or(spec.created, |it| it.updated);
        let last = snapshot.as_ref().and_then(|it| it.last_step);
        let not_restarted = snapshot.as_ref().and_then(|it| it.not_restarted);
        Ok(Self {
            word: snapshot.as_ref().map_or_else(|| RunState::Starting.word(), |it| it.word()).to_owned(),
            step: snapshot.as_ref().and_then(Snapshot::step),
            loss: last.and_then(|it| it.loss).filter(|it| it.is_finite()),
            is_without_number: last.is_some_and(|it| it.loss.is_none_or(|loss| !loss.is_finite())),
            alarm: snapshot.as_ref().and_then(Snapshot::alarm_now),
            diagnosis: snapshot.as_ref().and_then(|it| it.diagnosis.clone()),
            state: snapshot.map_or(RunState::Starting, |it| it.state),
            not_restarted,
            updated,
            spec,
        })
    }

    /// How it ended is known, and nothing of it is left.
    pub const fn is_over(&self) -> bool {
        self.state.outcome().is_some()
    }

    /// How it ended, after "the training".
    pub fn sentence(&self) -> Option<String> {
        let mut sentence = self.state.outcome()?.sentence_after(self.step);
        if self.is_without_number {
            sentence.push_str("; at its end the loss was no number");
        }
        Some(match self.not_restarted {
            Some(why) => format!("{sentence}; it is not tried again: {}", why.sentence()),
            None => sentence,
        })
    }

    /// Seconds from its start, which `created` has to the millisecond, to its end or until now.
    pub fn seconds(&self) -> f64 {
        let until = if self.is_over() { self.updated } else { clock::now() };
        until.duration_since(self.spec.created).as_secs_f64().max(0.0)
    }
}
