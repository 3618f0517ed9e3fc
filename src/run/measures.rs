//! What a run measured of itself, whole: its steps, its evaluations, and what both come to.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    metrics::{Curve, Part, Record, Scalar, events::EventFolder, figures},
    platform::fs,
};

use super::{RunError, dir::RunDir, gauge, lineage::Lineage};

/// TensorBoard's name of the loss that the log prints too.
const LOSS: &str = "train/loss";

const GRAD_NORM: &str = "train/grad_norm";

#[derive(Clone, Debug, Default)]
pub struct Measures {
    /// With the norm of the gradient, where the trainer's optimizer tells one.
    pub steps: Vec<Record>,
    /// What is nowhere in the log: evaluations, losses of epochs.
    pub scalars: Vec<Scalar>,
}

/// The same while it grows, for whoever asks again and again: what is new is read, and hardly more.
#[derive(Debug)]
pub struct Growing {
    dir: RunDir,
    curve: Curve,
    logged: Logged,
}

/// What the trainer's files for TensorBoard say of one run.
#[derive(Debug, Default)]
struct Logged {
    folder: Option<EventFolder>,
    /// Seconds since 1970, if another run went on in the folder.
    until: Option<f64>,
    /// Of the gradient, by the step.
    norms: HashMap<u64, f64>,
    scalars: Vec<Scalar>,
}

/// All of it in a few numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    pub steps: Option<u64>,
    pub last_loss: Option<f64>,
    /// Smoothed: one lucky batch is no best.
    pub average_loss: Option<f64>,
    pub best_average_loss: Option<f64>,
    pub best_step: Option<u64>,
    pub seconds_per_step: Option<f64>,
}

impl Measures {
    pub fn of(dir: &RunDir) -> Result<Self, RunError> {
        let mut steps = gauge::records(dir)?;
        let mut logged = Logged::default();
        logged.refresh(dir)?;
        logged.join(&mut steps);
        Ok(Self { steps, scalars: logged.scalars })
    }

    /// What was logged last under the name `tag`, and the lowest of all, for people: `0.1234 at 50, lowest 0.1200 at 40`.
    pub fn told(&self, tag: &str) -> Option<String> {
        let all = || self.scalars.iter().filter(|it| it.tag == tag && it.value.is_finite());
        let last = all().max_by_key(|it| it.step)?;
        let lowest = all().min_by(|one, other| one.value.total_cmp(&other.value))?;
        let at = |it: &Scalar| format!("{:.4} at {}", it.value, it.step);
        Some(if lowest.step == last.step { at(last) } else { format!("{}, lowest {}", at(last), at(lowest)) })
    }

    pub fn summary(&self) -> Summary {
        let smoothed = figures::smoothed(self.steps.iter().map(|it| it.loss));
        let finite = self.steps.iter().zip(&smoothed).filter(|(_, it)| it.is_finite());
        let best = finite.min_by(|(_, one), (_, other)| one.total_cmp(other));
        Summary {
            steps: self.steps.last().map(|it| it.step),
            last_loss: self.steps.last().map(|it| it.loss),
            average_loss: smoothed.last().copied(),
            best_average_loss: best.map(|(_, average)| *average),
            best_step: best.map(|(record, _)| record.step),
            seconds_per_step: figures::median(self.steps.iter().map(|it| it.seconds_per_step)),
        }
    }
}

impl Growing {
    pub fn of(dir: &RunDir) -> Self {
        Self { dir: dir.clone(), curve: Curve::of(&dir.metrics()), logged: Logged::default() }
    }

    /// The steps from the one with the number `from` on, counted from 0 and not as the trainer counts.
    pub fn from(&mut self, from: usize) -> Result<Part, RunError> {
        self.logged.refresh(&self.dir)?;
        let mut part = self.curve.from(from)?;
        // By a dpgui that stored none. Where there is a file, a step that it has not yet comes with the next question.
        if part.next == 0 && !fs::exists(&self.dir.metrics()) {
            part = Part::of(gauge::records(&self.dir)?, from);
        }
        self.logged.join(&mut part.steps);
        Ok(part)
    }

    pub fn scalars(&self) -> &[Scalar] {
        &self.logged.scalars
    }
}

impl Logged {
    /// Reads what was written since the last time.
    fn refresh(&mut self, dir: &RunDir) -> Result<(), RunError> {
        let spec = dir.spec()?;
        let seconds = |time: Timestamp| time.as_duration().as_secs_f64();
        // One that waits for its turn has written nothing, and it is not known yet when it begins.
        if self.folder.is_none() && !spec.queued {
            let lineage = Lineage::of(dir, &spec)?;
            self.folder = lineage.folder.map(|it| EventFolder::new(it.path()));
            self.until = lineage.until.map(seconds);
        }
        let Some(folder) = &mut self.folder else { return Ok(()) };
        // A run that continues in an old folder finds the files of the runs before it there, and leaves it to those after.
        let (created, until) = (seconds(spec.created), self.until.unwrap_or(f64::INFINITY));
        for scalar in folder.read()?.into_iter().filter(|it| (created..until).contains(&it.time)) {
            match &*scalar.tag {
                GRAD_NORM => drop(self.norms.insert(scalar.step, scalar.value)),
                LOSS => {}
                _ => self.scalars.push(scalar),
            }
        }
        Ok(())
    }

    /// Gives each step the norm that was logged for it.
    fn join(&self, steps: &mut [Record]) {
        for record in steps {
            record.grad_norm = self.norms.get(&record.step).copied().unwrap_or(record.grad_norm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, loss: f64) -> Record {
        Record {
            step,
            time: 0.0,
            loss,
            seconds_per_step: 0.5,
            samples_per_second: 1.0,
            lr: f64::NAN,
            grad_norm: f64::NAN,
            epoch: Some(1),
        }
    }

    #[test]
    fn an_evaluation_is_told_by_its_last_and_its_lowest() {
        let scalar = |tag: &str, step, value| Scalar { tag: tag.to_owned(), step, time: 0.0, value };
        let scalars =
            vec![scalar("eval/loss", 10, 0.5), scalar("eval/loss", 30, 0.25), scalar("eval/loss", 20, 0.125)];
        let measures = Measures { steps: vec![], scalars };
        assert_eq!(measures.told("eval/loss").as_deref(), Some("0.2500 at 30, lowest 0.1250 at 20"));
        assert_eq!(measures.told("other"), None);
    }

    #[test]
    fn the_best_loss_is_a_smoothed_one_and_a_step_gets_its_norm() {
        let mut steps = vec![record(1, 1.0), record(2, 0.1), record(3, f64::NAN), record(4, 1.5)];
        Logged { norms: [(2, 7.5)].into(), ..Logged::default() }.join(&mut steps);
        assert_eq!(
            steps.iter().map(|it| it.grad_norm.is_nan()).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        let summary = Measures { steps, scalars: vec![] }.summary();
        assert_eq!((summary.steps, summary.last_loss, summary.best_step), (Some(4), Some(1.5), Some(2)));
        assert_eq!(summary.best_average_loss.map(|it| format!("{it:.4}")).as_deref(), Some("0.5385"));
        assert_eq!(Measures::default().summary(), Summary::default());
    }
}
