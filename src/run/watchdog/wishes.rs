//! What the user wants in words: what is wrong, what is done about it, and when.

use crate::output::size;

use super::{Alarm, OnNan, OnStall, Wishes};

impl Wishes {
    /// What is wrong, what is done about it, and when.
    pub fn tell(&self, alarm: Alarm) -> String {
        match self.consequence(alarm) {
            Some(consequence) => format!("{alarm}; {consequence}"),
            None => alarm.to_string(),
        }
    }

    fn consequence(&self, alarm: Alarm) -> Option<String> {
        let Self { on_nan, on_stall, stall_after, .. } = *self;
        let asked = on_stall.asked();
        Some(match (alarm, on_stall) {
            (Alarm::NotANumber { .. }, _) if on_nan == OnNan::Stop => {
                "it is stopped, by `--on-nan stop`".to_owned()
            }
            (Alarm::NotANumber { .. }, _) => {
                "it is left alone, which `--on-nan stop` would change".to_owned()
            }
            (Alarm::NotResumed { .. }, _) => "it is stopped".to_owned(),
            (Alarm::Slower { .. }, _) => return None,
            (Alarm::Silent { .. } | Alarm::NoStep { .. } | Alarm::CachingDied, OnStall::Notify) => {
                "it is left alone, which `--on-stall stop` or `restart` would change".to_owned()
            }
            (Alarm::NoStep { seconds, .. }, OnStall::Stop | OnStall::Restart)
                if seconds < stall_after.as_secs() =>
            {
                format!("if there is none for {}, {asked}", size::duration(stall_after))
            }
            (
                Alarm::Silent { .. } | Alarm::NoStep { .. } | Alarm::CachingDied,
                OnStall::Stop | OnStall::Restart,
            ) => {
                format!("now {asked}")
            }
        })
    }

    /// What will be done of which nobody thinks any more when it is, and when.
    pub fn announced(&self) -> Vec<String> {
        let mut said = vec![];
        if self.on_stall != OnStall::Notify {
            said.push(format!(
                "if nothing happens for {}, {}",
                size::duration(self.stall_after),
                self.on_stall.asked()
            ));
        }
        if self.on_nan == OnNan::Stop {
            let steps = self.nan_steps;
            said.push(format!(
                "if the loss is no number for {steps} steps, it is stopped, by `--on-nan stop`"
            ));
        }
        said
    }
}

impl OnStall {
    const fn asked(self) -> &'static str {
        match self {
            Self::Notify => "it is left alone",
            Self::Stop => "it is stopped, by `--on-stall stop`",
            Self::Restart => "it is started again from its newest checkpoint, by `--on-stall restart`",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_warned_is_told_what_is_done_and_when() {
        let check = |on_stall, seconds, expected: &str| {
            let wishes = Wishes { on_stall, ..Wishes::default() };
            let said = wishes.tell(Alarm::NoStep { seconds, usual_seconds: 2.0 });
            assert_eq!(said.split_once("; ").map(|(_, it)| it), Some(expected));
        };
        check(OnStall::Notify, 31, "it is left alone, which `--on-stall stop` or `restart` would change");
        check(OnStall::Stop, 31, "if there is none for 10 min 00 s, it is stopped, by `--on-stall stop`");
        check(OnStall::Stop, 600, "now it is stopped, by `--on-stall stop`");
        let restarted = "now it is started again from its newest checkpoint, by `--on-stall restart`";
        check(OnStall::Restart, 600, restarted);
    }
}
