//! What the supervisor reads out of the log: few things, each on a line of its own.

use serde::{Deserialize, Serialize};

use crate::logs::{Mark, Step};

use super::evidence::Sight;

/// The newest step line of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastStep {
    pub step: u64,
    /// `None` when it is not a number any more, which JSON cannot say.
    pub loss: Option<f64>,
    pub seconds_per_step: f64,
}

/// The two things a line can tell.
pub type Told = (Option<Sight>, Option<LastStep>);

/// What one line means, if it means anything to a supervisor.
pub fn read(line: &str) -> Told {
    match Mark::parse(line) {
        Some(Mark::Step(step)) => (Some(Sight::Step), Some(LastStep::from(step))),
        Some(Mark::Caching) => (Some(Sight::Caching), None),
        Some(Mark::Saving(_) | Mark::Checkpoint(_)) => (Some(Sight::Saving), None),
        Some(Mark::Evaluating) => (Some(Sight::Evaluating), None),
        Some(Mark::Complete) => (Some(Sight::Complete), None),
        Some(Mark::Quitting) => (Some(Sight::Quit), None),
        Some(Mark::Exited { code }) => (Some(Sight::Returned(code)), None),
        Some(Mark::Epoch(_) | Mark::Resumed { .. }) | None => (None, None),
    }
}

impl From<Step> for LastStep {
    fn from(step: Step) -> Self {
        let loss = step.loss.is_finite().then_some(step.loss);
        Self { step: step.step, loss, seconds_per_step: step.seconds_per_step }
    }
}
