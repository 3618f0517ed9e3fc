//! What the supervisor reads out of the log: few things, each on a line of its own.

use serde::{Deserialize, Serialize};

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

/// What one line means, if it means anything to us.
pub fn read(line: &str) -> Told {
    if let Some(step) = step(line) {
        return (Some(Sight::Step), Some(step));
    }
    let starts = |prefix: &str| line.starts_with(prefix);
    let sight = if starts("TRAINING COMPLETE!") {
        Some(Sight::Complete)
    } else if starts("Manually quitting") {
        Some(Sight::Quit)
    } else if starts("caching latents: ") || starts("caching text embeddings: ") {
        Some(Sight::Caching)
    } else if starts("Saving model to directory ") || line.contains("Saving model checkpoint: ") {
        Some(Sight::Saving)
    } else {
        line.rsplit_once("exits with return code = ").and_then(|(_, code)| Some(Sight::Returned(code.trim().parse().ok()?)))
    };
    (sight, None)
}

fn step(line: &str) -> Option<LastStep> {
    let mut words = line.strip_prefix("steps: ")?.split_ascii_whitespace();
    let step = words.next()?.parse().ok()?;
    let loss: f64 = words.nth(1)?.parse().ok()?;
    let seconds_per_step = line.split_once("iter time (s): ")?.1.split(' ').next()?.parse().ok()?;
    Some(LastStep { step, loss: loss.is_finite().then_some(loss), seconds_per_step })
}
