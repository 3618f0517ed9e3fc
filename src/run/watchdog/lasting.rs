//! An alarm for as long as it lasts: what it counts goes on after it was raised.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::output::size;

use super::Alarm;

/// When an alarm was raised, by the clock and by the steps of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub at: Timestamp,
    pub step: Option<u64>,
}

impl Alarm {
    /// The same as it is `now`, at the step `step`.
    #[must_use]
    pub fn lasting(self, since: Since, now: Timestamp, step: Option<u64>) -> Self {
        let waited: Duration = now.duration_since(since.at).try_into().unwrap_or_default();
        let more = waited.as_secs();
        match self {
            Self::Silent { seconds } => Self::Silent { seconds: seconds + more },
            Self::NoStep { seconds, usual_seconds } => {
                Self::NoStep { seconds: seconds + more, usual_seconds }
            }
            Self::NotANumber { steps } => {
                let done = step.zip(since.step).map_or(0, |(now, then)| now.saturating_sub(then));
                Self::NotANumber { steps: steps.saturating_add(u32::try_from(done).unwrap_or(u32::MAX)) }
            }
            Self::CachingDied | Self::NotResumed { .. } | Self::Slower { .. } => self,
        }
    }

    /// In few words, for a table.
    pub fn short(self) -> String {
        let whole = |seconds: u64| size::whole(Duration::from_secs(seconds));
        match self {
            Self::Silent { seconds } => format!("nothing for {}", whole(seconds)),
            Self::NoStep { seconds, .. } => format!("no step for {}", whole(seconds)),
            Self::CachingDied => "caching has died".to_owned(),
            Self::NotANumber { steps } => format!("no number for {steps} steps"),
            Self::NotResumed { .. } => "began anew".to_owned(),
            Self::Slower { .. } => "slower than usual".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_alarm_counts_goes_on_while_it_lasts() {
        let since = Since { at: Timestamp::UNIX_EPOCH, step: Some(20) };
        let check = |alarm: Alarm, after: i64, step, expected: &str| {
            let now = Timestamp::from_second(after).expect("a time");
            assert_eq!(alarm.lasting(since, now, step).short(), expected);
        };
        let no_step = Alarm::NoStep { seconds: 30, usual_seconds: 2.0 };
        check(no_step, 0, Some(20), "no step for 30 s");
        check(no_step, 240, Some(20), "no step for 4 min 30 s");
        check(no_step, -9, Some(20), "no step for 30 s"); // a clock that was set back
        check(Alarm::Silent { seconds: 600 }, 60, None, "nothing for 11 min 00 s");
        check(Alarm::NotANumber { steps: 10 }, 60, Some(25), "no number for 15 steps");
        check(Alarm::NotANumber { steps: 10 }, 60, None, "no number for 10 steps");
        check(Alarm::CachingDied, 60, None, "caching has died");
    }
}
