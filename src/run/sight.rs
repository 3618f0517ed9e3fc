//! What the supervisor reads out of the log: few things, each on a line of its own.

use serde::{Deserialize, Serialize};

use crate::{
    logs::{Mark, Step},
    metrics::Rate,
};

use super::evidence::Sight;

/// The newest step line of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastStep {
    pub step: u64,
    /// `None` when it is not a number any more, which JSON cannot say.
    pub loss: Option<f64>,
    pub seconds_per_step: f64,
}

/// What a line tells: something that it means, or the learning rate of the step that follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub mark: Option<Mark>,
    pub rate: Option<Rate>,
}

/// What one line means, if it means anything to a supervisor.
pub fn read(line: &str) -> Option<Told> {
    let mark = Mark::parse(line);
    let rate = if mark.is_none() { Rate::parse(line) } else { None };
    (mark.is_some() || rate.is_some()).then_some(Told { mark, rate })
}

impl Told {
    pub fn sight(&self) -> Option<Sight> {
        match self.mark.as_ref()? {
            Mark::Step(_) => Some(Sight::Step),
            Mark::Caching => Some(Sight::Caching),
            Mark::Saving(_) | Mark::Checkpoint(_) => Some(Sight::Saving),
            Mark::Evaluating => Some(Sight::Evaluating),
            Mark::Complete => Some(Sight::Complete),
            Mark::Quitting => Some(Sight::Quit),
            Mark::Exited { code } => Some(Sight::Returned(*code)),
            Mark::Killing => Some(Sight::GivenUp),
            Mark::Epoch(_) | Mark::Resumed { .. } => None,
        }
    }

    pub fn step(&self) -> Option<LastStep> {
        match &self.mark {
            Some(Mark::Step(step)) => Some(LastStep::from(*step)),
            _ => None,
        }
    }
}

impl From<Step> for LastStep {
    fn from(step: Step) -> Self {
        let loss = step.loss.is_finite().then_some(step.loss);
        Self { step: step.step, loss, seconds_per_step: step.seconds_per_step }
    }
}
