//! Whether a training that ended by itself is tried again, and from where. Pure: the supervisor does it.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::output::{Event, Line, size};

use super::{
    id::RunId,
    journal::Parsed,
    outcome::{Concern, Outcome},
    state::Again,
    watchdog::OnStall,
};

/// The longest pause before a try.
const LONGEST: Duration = Duration::from_mins(10);

/// Restarts in a row that reach no new checkpoint, where the user does not say how many.
pub const USUAL: u32 = 3;

/// What the user wants to happen after a failure that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Restarts in a row that reach no new checkpoint. A run that moves forward may restart all week.
    pub limit: u32,
    /// Before the first of them; each further one waits twice as long.
    pub delay: Duration,
}

/// How often a run was tried so far, and with what success.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempt {
    /// Restarts so far.
    pub number: u32,
    /// Of them, those since the last new checkpoint.
    pub without_progress: u32,
    /// The step of the newest checkpoint when it was last decided.
    pub checkpoint: Option<u64>,
    /// Of this attempt, where it is not the run's first.
    pub port: Option<u16>,
    /// The trainer's folder that this attempt goes on in.
    pub resumes: Option<String>,
    /// Where in the log it begins.
    pub log_from: Parsed,
}

/// For those who look on: that a run has failed, why, and when it is tried again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename = "run-restarting")]
pub struct Restarting {
    pub run: RunId,
    /// How the last try ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Why, as far as that is known.
    pub cause: Option<String>,
    /// Of this restart, from 1 on.
    pub number: u32,
    /// How many there have been since the last new checkpoint, this one included, and how many there may be.
    pub without_progress: u32,
    pub limit: Option<u32>,
    pub at: Timestamp,
    pub after_seconds: f64,
    /// Of the checkpoint that it goes on from; none where it begins anew.
    pub step: Option<u64>,
}

impl Event for Restarting {
    fn line(&self) -> Option<Line> {
        let Self { run, outcome, cause, without_progress, limit, after_seconds, at, step, .. } = self;
        let why = cause.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
        let from = step.map_or_else(
            || "from its beginning".to_owned(),
            |it| format!("from the checkpoint at step {it}"),
        );
        let of = limit.map(|it| format!(" of {it}")).unwrap_or_default();
        let after = size::duration(Duration::try_from_secs_f64(*after_seconds).unwrap_or_default());
        let when = at.strftime("%H:%M:%S");
        let text = format!(
            "{run}: the training {}{why}\n{:>12} in {after}, at {when} UTC, {from}; try {without_progress}{of} without a new checkpoint",
            outcome.sentence(),
            "again",
        );
        Some(Line { verb: "Restarting", text })
    }
}

/// All that decides.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    pub outcome: &'a Outcome,
    /// What is known about the cause: whether such a failure passes.
    pub passes: Option<bool>,
    pub on_stall: OnStall,
    /// It has done a step.
    pub has_trained: bool,
    /// The step of the run's own newest whole checkpoint.
    pub checkpoint: Option<u64>,
    /// Any number: pauses differ by it, so that runs that fell together do not rise together.
    pub seed: u64,
}

/// Why there is no further try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// It would end the same way.
    WouldFailAgain,
    /// It had trained, and everything would begin anew.
    NoCheckpoint,
    /// As many as the user allows, and none reached a new checkpoint.
    NoProgress,
}

impl Refusal {
    /// What follows "it is not tried again" in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::WouldFailAgain => "it would fail the same way",
            Self::NoCheckpoint => "it has no checkpoint to go on from, and would begin anew",
            Self::NoProgress => "its restarts are used up, and none has reached a new checkpoint",
        }
    }
}

impl Attempt {
    /// # Errors
    /// Why not.
    pub fn next(&self, policy: Policy, case: Case<'_>) -> Result<(Again, Self), Refusal> {
        if !may_pass(case) {
            return Err(Refusal::WouldFailAgain);
        }
        if case.has_trained && case.checkpoint.is_none() {
            return Err(Refusal::NoCheckpoint);
        }
        let moved = case.checkpoint > self.checkpoint;
        let without_progress = if moved { 1 } else { self.without_progress + 1 };
        if without_progress > policy.limit {
            return Err(Refusal::NoProgress);
        }
        let after = pause(policy.delay, without_progress, case.seed);
        let again = Again { number: self.number + 1, after, step: case.checkpoint };
        let next =
            Self { number: again.number, without_progress, checkpoint: case.checkpoint, ..Self::default() };
        Ok((again, next))
    }
}

/// A failure that comes from outside, or of a kind that is known to pass.
fn may_pass(case: Case<'_>) -> bool {
    match case.outcome {
        // Another machine may be back by then.
        Outcome::NodeFailed { end: None, .. } => true,
        Outcome::NodeFailed { end: Some(end), .. } => may_pass(Case { outcome: end, ..case }),
        // By itself it is nobody's fault; where something is known of the cause, that decides.
        Outcome::Killed { signal: None | Some(9) } => case.passes != Some(false),
        Outcome::Failed { .. } => case.passes == Some(true),
        Outcome::Abandoned { concern: Concern::Stalled } => case.on_stall == OnStall::Restart,
        Outcome::Abandoned { concern: Concern::NotANumber | Concern::NotResumed | Concern::HeadLost }
        | Outcome::Killed { signal: Some(_) }
        | Outcome::OutOfMemory { .. }
        | Outcome::Completed
        | Outcome::Stopped { .. }
        | Outcome::ExitedEarly
        | Outcome::NotStarted { .. }
        | Outcome::Withdrawn
        | Outcome::Interrupted
        | Outcome::Lost => false,
    }
}

/// Twice as long for each restart without progress, a fifth more or less.
fn pause(delay: Duration, without_progress: u32, seed: u64) -> Duration {
    let doubled = delay.saturating_mul(1 << (without_progress - 1).min(16)).min(LONGEST);
    // 80 to 120 of a hundred.
    let percent = u32::try_from(80 + seed % 41).unwrap_or(100);
    doubled * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy { limit: 3, delay: Duration::from_secs(10) };

    fn case(outcome: &Outcome) -> Case<'_> {
        let checkpoint = Some(100);
        Case { outcome, passes: None, on_stall: OnStall::Notify, has_trained: true, checkpoint, seed: 20 }
    }

    #[test]
    fn what_may_pass_is_tried_again_from_the_newest_checkpoint_and_later_each_time() {
        let killed = Outcome::Killed { signal: Some(9) };
        let mut attempt = Attempt::default();
        let mut pauses = vec![];
        loop {
            match attempt.next(POLICY, case(&killed)) {
                Ok((again, next)) => {
                    assert_eq!(again.step, Some(100));
                    pauses.push(again.after.as_secs());
                    attempt = next;
                }
                Err(refusal) => {
                    assert_eq!(refusal, Refusal::NoProgress);
                    break;
                }
            }
        }
        assert_eq!(pauses, [10, 20, 40]);
        // A new checkpoint is worth as many tries again.
        let (again, next) =
            attempt.next(POLICY, Case { checkpoint: Some(200), ..case(&killed) }).expect("moved");
        assert_eq!((again.number, again.after.as_secs(), next.without_progress), (4, 10, 1));
    }

    #[test]
    fn what_would_end_the_same_way_is_not_tried_again() {
        let refused = |case: Case<'_>| Attempt::default().next(POLICY, case).expect_err("no");
        let failed = Outcome::Failed { exit: crate::platform::signal::Exit::Code(1) };
        let stalled = Outcome::Abandoned { concern: Concern::Stalled };
        let nan = Outcome::Abandoned { concern: Concern::NotANumber };
        let node = |end| Outcome::NodeFailed { host: "node2".to_owned(), end };
        let failed_there = node(Some(Box::new(failed.clone())));
        for outcome in
            [&failed, &failed_there, &stalled, &nan, &Outcome::Stopped { saved: true }, &Outcome::Lost]
        {
            assert_eq!(refused(case(outcome)), Refusal::WouldFailAgain, "{outcome:?}");
        }
        assert_eq!(refused(Case { passes: Some(false), ..case(&failed) }), Refusal::WouldFailAgain);
        assert!(Attempt::default().next(POLICY, Case { passes: Some(true), ..case(&failed) }).is_ok());
        assert!(Attempt::default().next(POLICY, case(&node(None))).is_ok(), "it may be back");
        assert!(
            Attempt::default().next(POLICY, Case { on_stall: OnStall::Restart, ..case(&stalled) }).is_ok()
        );
    }

    #[test]
    fn a_training_without_a_checkpoint_is_not_begun_anew_behind_the_users_back() {
        let killed = Outcome::Killed { signal: None };
        let none = Case { checkpoint: None, ..case(&killed) };
        assert_eq!(Attempt::default().next(POLICY, none), Err(Refusal::NoCheckpoint));
        let fresh = Case { has_trained: false, ..none };
        assert_eq!(Attempt::default().next(POLICY, fresh).expect("nothing is lost").0.step, None);
    }

    #[test]
    fn the_pause_grows_to_ten_minutes() {
        assert_eq!(pause(POLICY.delay, 40, 20), LONGEST);
        assert_eq!(pause(POLICY.delay, 1, 0).as_secs(), 8);
        assert_eq!(pause(POLICY.delay, 1, 40).as_secs(), 12);
    }
}
