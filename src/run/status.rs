//! How far a training is, in one line.

use std::{fmt::Write, time::Duration};

use serde::Serialize;

use crate::{
    logs::{Mark, Step},
    output::size,
    platform::{gpu::GpuSample, memory::Memory},
};

use super::watchdog::Alarm;

/// Before the trainer has said anything.
pub const LOADING: &str = "loading";

/// Before its turn has come.
pub const QUEUED: &str = "waiting in the queue";

/// All that the line says, from what the log said so far and what the machine is doing.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// A few words until there are steps.
    pub doing: &'static str,
    /// Of a part of another machine's run, whose log has no steps: what that one says, in words.
    pub at_head: Option<String>,
    pub epoch: Option<u64>,
    pub step: Option<Step>,
    pub total_steps: Option<u64>,
    /// What is wrong, as it is by now.
    pub alarm: Option<Alarm>,
    pub gpus: Vec<GpuSample>,
    pub memory: Option<Memory>,
}

/// The same for programs.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "status")]
pub struct StatusEvent<'a> {
    doing: &'a str,
    epoch: Option<u64>,
    #[serde(flatten)]
    step: Option<Step>,
    total_steps: Option<u64>,
    seconds_left: Option<u64>,
    gpus: &'a [GpuSample],
    memory: Option<Memory>,
}

impl Status {
    pub fn new(total_steps: Option<u64>) -> Self {
        Self { doing: LOADING, total_steps, ..Self::default() }
    }

    /// Takes note of a mark in the log, and says whether it was a step.
    pub fn take(&mut self, mark: &Mark) -> bool {
        match mark {
            Mark::Caching => self.doing = "caching",
            Mark::Step(step) => {
                self.doing = "training";
                self.step = Some(*step);
                // The first epoch is not announced.
                self.epoch = self.epoch.or(Some(1));
                return true;
            }
            Mark::Epoch(epoch) | Mark::Resumed { epoch, .. } => self.epoch = Some(*epoch),
            Mark::Saving(_) | Mark::Checkpoint(_) => self.doing = "saving",
            Mark::Evaluating => self.doing = "evaluating",
            Mark::Complete | Mark::Quitting => self.doing = "finishing",
            Mark::Killing | Mark::Exited { .. } => {}
        }
        false
    }

    pub fn event(&self) -> StatusEvent<'_> {
        StatusEvent {
            doing: self.doing,
            epoch: self.epoch,
            step: self.step,
            total_steps: self.total_steps,
            seconds_left: self.left().map(|left| left.as_secs()),
            gpus: &self.gpus,
            memory: self.memory,
        }
    }

    /// `step 120/400, epoch 3, loss 0.2104, 0.08 s/step, 25 s left, GPU 0 93 % 12.1 GiB, RAM 3.2 GiB of 23.0 GiB`
    pub fn line(&self) -> String {
        let mut parts = vec![];
        match self.step {
            Some(step) => {
                let of = self.total_steps.map(|max| format!("/{max}")).unwrap_or_default();
                parts.push(format!("step {}{of}", step.step));
                parts.extend(self.epoch.map(|epoch| format!("epoch {epoch}")));
                parts.push(format!("loss {:.4}", step.loss));
                parts.push(format!("{:.2} s/step", step.seconds_per_step));
                parts.extend(self.left().map(|left| format!("{} left", size::duration(left))));
                if self.doing != "training" {
                    parts.push(self.doing.to_owned());
                }
            }
            None => parts.push(self.at_head.clone().unwrap_or_else(|| self.doing.to_owned())),
        }
        parts.extend(self.alarm.map(Alarm::short));
        parts.extend(self.gpus.iter().map(gpu));
        parts.extend(
            self.memory.map(|it| format!("RAM {} of {}", size::bytes(it.used), size::bytes(it.total))),
        );
        parts.join(", ")
    }

    /// Known where the data check or the configuration says how many steps there are: the trainer never does.
    fn left(&self) -> Option<Duration> {
        let (step, max) = (self.step?, self.total_steps?);
        let steps = u32::try_from(max.saturating_sub(step.step)).ok()?;
        Duration::try_from_secs_f64(step.seconds_per_step * f64::from(steps)).ok()
    }
}

fn gpu(sample: &GpuSample) -> String {
    let mut text = format!("GPU {}", sample.index);
    if let Some(percent) = sample.utilisation_percent {
        let _ = write!(text, " {percent} %");
    }
    if let Some(used) = sample.memory_used {
        let _ = write!(text, " {}", size::bytes(used));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_is_known_and_nothing_else() {
        let mut status = Status::new(Some(400));
        assert_eq!(status.line(), "loading");
        status.take(&Mark::Caching);
        assert_eq!(status.line(), "caching");
        let step =
            |step, loss| Mark::Step(Step { step, loss, seconds_per_step: 0.08, samples_per_second: 1.0 });
        assert!(status.take(&step(120, 0.21044)));
        assert_eq!(status.line(), "step 120/400, epoch 1, loss 0.2104, 0.08 s/step, 22 s left");
        status.take(&Mark::Epoch(3));
        status.take(&Mark::Checkpoint("global_step120".to_owned()));
        status.memory = Some(Memory { used: 3 << 30, total: 23 << 30 });
        status.gpus = vec![GpuSample { index: 0, utilisation_percent: Some(93), ..GpuSample::default() }];
        assert_eq!(
            status.line(),
            "step 120/400, epoch 3, loss 0.2104, 0.08 s/step, 22 s left, saving, GPU 0 93 %, \
             RAM 3.00 GiB of 23.0 GiB"
        );
        assert!(Status::new(None).left().is_none());
        status.take(&step(500, f64::NAN));
        assert!(status.line().starts_with("step 500/400, epoch 3, loss NaN, 0.08 s/step, 0.00 s left"));
    }
}
