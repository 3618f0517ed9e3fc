//! What is wrong with a training that goes on: nothing happens, the loss is not a number, it has become slow.
//!
//! Pure: the supervisor tells it what it sees and when, and asks it once a second.

use std::{collections::VecDeque, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{output::size, workspace::RunSettings};

use super::{evidence::Phase, outcome::Concern};

mod lasting;
mod wishes;

pub use lasting::Since;

/// Steps whose times are remembered: enough that one slow step does not look like a change.
const RECENT: usize = 20;

/// The first steps of a run compile and warm up; what is usual is taken from those after them.
const WARM_UP: usize = 10;

/// A step that takes as many times the median is missing.
const MISSING: u32 = 5;

/// A pause between steps for a save or an evaluation may be this many times longer still.
const BUSY: u32 = 4;

/// No step is missing before this.
const LEAST: Duration = Duration::from_secs(30);

/// What the user wants to be done when something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    pub on_nan: OnNan,
    pub on_stall: OnStall,
    /// Steps in a row without a loss that is a number.
    pub nan_steps: u32,
    /// Time without a sign of life.
    pub stall_after: Duration,
}

impl Default for Wishes {
    fn default() -> Self {
        let RunSettings { nan_steps, stall_after, .. } = RunSettings::default();
        Self { on_nan: OnNan::default(), on_stall: OnStall::default(), nan_steps, stall_after }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnNan {
    /// Say so and go on: the trainer does not stop by itself either.
    #[default]
    Keep,
    Stop,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnStall {
    /// Say so and go on.
    #[default]
    Notify,
    Stop,
    /// From the newest checkpoint.
    Restart,
}

/// Something a person should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "alarm")]
pub enum Alarm {
    /// No output, and nobody computes.
    Silent {
        seconds: u64,
    },
    /// It still says something or computes, but does no step.
    NoStep {
        seconds: u64,
        usual_seconds: f64,
    },
    /// The process that caches the dataset is gone: the real trainer waits for it for ever.
    CachingDied,
    NotANumber {
        steps: u32,
    },
    /// It was to go on after a checkpoint, and began before it.
    NotResumed {
        checkpoint: u64,
        step: u64,
    },
    Slower {
        seconds: f64,
        usual_seconds: f64,
    },
}

/// Whether the processes of a run do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// Neither the processors nor the GPUs were used since the last look.
    pub idle: bool,
    /// A rank has a dead child that it does not look after.
    pub dead_child: bool,
}

#[derive(Clone, Debug)]
pub struct Watchdog {
    wishes: Wishes,
    last_output: Duration,
    last_step: Option<Duration>,
    /// A save or an evaluation was announced since the last step.
    busy: bool,
    times: VecDeque<Duration>,
    /// The longest step so far: all that is known before there is a median.
    longest: Duration,
    steps: usize,
    /// The median after the warm-up.
    usual: Option<Duration>,
    not_numbers: u32,
    /// The step of the checkpoint that it is to go on from, until the first step shows whether it does.
    resumes: Option<u64>,
    not_resumed: Option<Alarm>,
    raised: Raised,
}

/// What was said already and is not to be said again until it is over.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is independent of the others")]
struct Raised {
    stall: bool,
    missing: bool,
    slower: bool,
    not_a_number: bool,
    /// It was to be ended once; the rest is not ours.
    concern: bool,
}

impl Watchdog {
    /// At the start of the supervisor's clock. `resumes` is the step of the checkpoint that the training goes on from.
    pub fn new(wishes: Wishes, resumes: Option<u64>) -> Self {
        Self {
            wishes,
            last_output: Duration::ZERO,
            last_step: None,
            busy: false,
            times: VecDeque::with_capacity(RECENT),
            longest: Duration::ZERO,
            steps: 0,
            usual: None,
            not_numbers: 0,
            resumes,
            not_resumed: None,
            raised: Raised::default(),
        }
    }

    /// Something was printed. Says whether it had been missed.
    pub fn output(&mut self, at: Duration) -> bool {
        self.last_output = at;
        std::mem::take(&mut self.raised.stall)
    }

    /// A save or an evaluation begins.
    pub const fn busy(&mut self) {
        self.busy = true;
    }

    /// A step is done. `loss` is `None` if it is not a number.
    pub fn step(&mut self, at: Duration, number: u64, loss: Option<f64>, took: Duration) {
        // The trainer makes a new folder where there is none, and trains from step 1 without a word.
        if let Some(checkpoint) = self.resumes.take().filter(|it| number <= *it) {
            self.not_resumed = Some(Alarm::NotResumed { checkpoint, step: number });
        }
        self.last_step = Some(at);
        self.steps += 1;
        self.raised.missing = false;
        self.not_numbers = if loss.is_some() { 0 } else { self.not_numbers + 1 };
        self.longest = self.longest.max(took);
        let was_busy = std::mem::take(&mut self.busy);
        if self.steps <= WARM_UP || was_busy {
            return;
        }
        if self.times.len() == RECENT {
            self.times.pop_front();
        }
        self.times.push_back(took);
        if self.usual.is_none() && self.times.len() == RECENT {
            self.usual = self.median();
        }
    }

    /// Whether it is time to find out what the processes do, which costs a look at all of them.
    pub fn is_suspicious(&self, at: Duration) -> bool {
        let patience = self.wishes.stall_after.min(LEAST);
        at.saturating_sub(self.last_output) >= patience
    }

    /// What is wrong now and was not said yet. `activity` is `None` while nothing is suspicious.
    pub fn check(&mut self, at: Duration, phase: &Phase, activity: Option<Activity>) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> = self.not_resumed.take().into_iter().collect();
        alarms.extend(self.nothing_happens(at, phase, activity));
        alarms.extend(self.no_step(at, phase));
        let worthless = self.not_numbers >= self.wishes.nan_steps.max(1);
        if worthless && !self.raised.not_a_number {
            alarms.push(Alarm::NotANumber { steps: self.not_numbers });
        }
        self.raised.not_a_number = worthless;
        alarms.extend(self.slower());
        alarms
    }

    /// Its steps take long, and it was said.
    pub const fn is_slow(&self) -> bool {
        self.raised.slower
    }

    /// What `alarm` means for the run, if the user wants it ended then.
    pub fn concern(&mut self, alarm: Alarm) -> Option<Concern> {
        let concern = match alarm {
            Alarm::Silent { .. } | Alarm::CachingDied if self.wishes.on_stall != OnStall::Notify => {
                Concern::Stalled
            }
            // A GPU that computes without end is a stall too, once it has had as long as a silent one.
            Alarm::NoStep { seconds, .. }
                if self.wishes.on_stall != OnStall::Notify
                    && seconds >= self.wishes.stall_after.as_secs() =>
            {
                Concern::Stalled
            }
            Alarm::NotANumber { .. } if self.wishes.on_nan == OnNan::Stop => Concern::NotANumber,
            // Nobody wants this: who does starts without `--resume`.
            Alarm::NotResumed { .. } => Concern::NotResumed,
            _ => return None,
        };
        (!std::mem::replace(&mut self.raised.concern, true)).then_some(concern)
    }

    fn nothing_happens(&mut self, at: Duration, phase: &Phase, activity: Option<Activity>) -> Option<Alarm> {
        let activity = activity?;
        let silent = at.saturating_sub(self.last_output);
        if self.raised.stall || !activity.idle {
            return None;
        }
        let alarm = if activity.dead_child && *phase == Phase::Caching {
            Alarm::CachingDied
        } else if silent >= self.wishes.stall_after {
            Alarm::Silent { seconds: silent.as_secs() }
        } else {
            return None;
        };
        self.raised.stall = true;
        Some(alarm)
    }

    fn no_step(&mut self, at: Duration, phase: &Phase) -> Option<Alarm> {
        let (Phase::Training(_), Some(last)) = (phase, self.last_step) else {
            return None;
        };
        let (usual, patience) = match self.median() {
            Some(median) => (median, LEAST.min(self.wishes.stall_after)),
            // The first steps compile, each for as long as it takes.
            None => (self.longest, self.wishes.stall_after),
        };
        let patience = (usual * MISSING).max(patience);
        let patience = if self.busy { patience.max(self.wishes.stall_after) * BUSY } else { patience };
        let missing = at.saturating_sub(last);
        // Once when it is noticed, and once more when it has lasted long enough to act.
        let limit = if self.raised.missing { self.wishes.stall_after.max(patience) } else { patience };
        let acted = self.raised.concern || (self.raised.missing && self.wishes.on_stall == OnStall::Notify);
        if missing < limit || acted || self.raised.stall {
            return None;
        }
        self.raised.missing = true;
        Some(Alarm::NoStep { seconds: missing.as_secs(), usual_seconds: usual.as_secs_f64() })
    }

    fn slower(&mut self) -> Option<Alarm> {
        let (usual, now) = (self.usual?, self.median()?);
        if now < usual * 3 / 2 {
            self.raised.slower = false;
        }
        if now < usual * 2 || std::mem::replace(&mut self.raised.slower, true) {
            return None;
        }
        Some(Alarm::Slower { seconds: now.as_secs_f64(), usual_seconds: usual.as_secs_f64() })
    }

    /// Of the last steps, once there are a few.
    fn median(&self) -> Option<Duration> {
        let mut times: Vec<Duration> = self.times.iter().copied().collect();
        times.sort_unstable();
        (times.len() >= 3).then(|| times[times.len() / 2])
    }
}

impl Alarm {
    /// A step, with a loss that is a number or without one, shows that it is over.
    pub const fn is_over(self, loss: Option<f64>) -> bool {
        match self {
            Self::Silent { .. } | Self::NoStep { .. } | Self::CachingDied => true,
            Self::NotANumber { .. } => loss.is_some(),
            Self::NotResumed { .. } | Self::Slower { .. } => false,
        }
    }
}

impl FromStr for OnNan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "keep" => Ok(Self::Keep),
            "stop" => Ok(Self::Stop),
            _ => Err("`keep` or `stop` is expected".to_owned()),
        }
    }
}

impl FromStr for OnStall {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "notify" => Ok(Self::Notify),
            "stop" => Ok(Self::Stop),
            "restart" => Ok(Self::Restart),
            _ => Err("`notify`, `stop` or `restart` is expected".to_owned()),
        }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |seconds: f64| size::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let whole = |seconds: u64| size::duration(Duration::from_secs(seconds));
        match *self {
            Self::Silent { seconds } => {
                write!(f, "nothing was printed or computed for {}: it seems to hang", whole(seconds))
            }
            Self::NoStep { seconds, usual_seconds } => {
                let usual = time(usual_seconds);
                write!(f, "no step for {}, where one usually takes {usual}", whole(seconds))
            }
            Self::CachingDied => f.write_str(
                "the process that caches the dataset is gone, probably killed for lack of memory: the trainer would wait \
                 for it for ever",
            ),
            Self::NotANumber { steps } => {
                write!(f, "the loss has not been a number for {steps} steps: nothing is learnt any more")
            }
            Self::NotResumed { checkpoint, step } => {
                write!(f, "it was to go on after step {checkpoint} and began at step {step}: the checkpoint was not loaded")
            }
            Self::Slower { seconds, usual_seconds } => {
                write!(f, "a step takes {} now, where it took {}", time(seconds), time(usual_seconds))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISHES: Wishes = Wishes {
        on_nan: OnNan::Stop,
        on_stall: OnStall::Stop,
        nan_steps: 5,
        stall_after: Duration::from_mins(10),
    };
    const IDLE: Activity = Activity { idle: true, dead_child: false };
    const AT_WORK: Activity = Activity { idle: false, dead_child: false };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn training() -> Phase {
        Phase::Training(super::super::evidence::Pace::default())
    }

    /// After forty steps of two seconds each.
    fn trained(wishes: Wishes) -> (Watchdog, Duration) {
        let mut dog = Watchdog::new(wishes, None);
        let mut at = Duration::ZERO;
        for _ in 0..40 {
            at += seconds(2);
            dog.output(at);
            dog.step(at, 1, Some(0.5), seconds(2));
            assert_eq!(dog.check(at, &training(), None), []);
        }
        (dog, at)
    }

    #[test]
    fn silence_counts_only_while_nobody_computes() {
        let mut dog = Watchdog::new(WISHES, None);
        assert!(!dog.is_suspicious(seconds(29)) && dog.is_suspicious(seconds(30)));
        assert_eq!(dog.check(seconds(700), &Phase::Loading, Some(AT_WORK)), []);
        let alarms = dog.check(seconds(701), &Phase::Loading, Some(IDLE));
        assert_eq!(alarms, [Alarm::Silent { seconds: 701 }]);
        assert_eq!(dog.concern(alarms[0]), Some(Concern::Stalled));
        assert_eq!(dog.concern(alarms[0]), None, "once is enough");
        assert_eq!(dog.check(seconds(702), &Phase::Loading, Some(IDLE)), []);
        assert!(dog.output(seconds(703)), "it was missed");
        assert!(!dog.output(seconds(704)));
    }

    #[test]
    fn a_caching_process_that_died_is_noticed_at_once() {
        let mut dog = Watchdog::new(WISHES, None);
        let dead = Activity { idle: true, dead_child: true };
        assert_eq!(dog.check(seconds(31), &Phase::Loading, Some(dead)), []);
        assert_eq!(dog.check(seconds(32), &Phase::Caching, Some(dead)), [Alarm::CachingDied]);
    }

    #[test]
    fn a_missing_step_is_told_and_acted_on_when_it_has_lasted() {
        let (mut dog, at) = trained(WISHES);
        let phase = training();
        assert_eq!(dog.check(at + seconds(29), &phase, None), []);
        let alarms = dog.check(at + seconds(30), &phase, Some(AT_WORK));
        assert_eq!(alarms, [Alarm::NoStep { seconds: 30, usual_seconds: 2.0 }]);
        assert_eq!(dog.concern(alarms[0]), None);
        assert_eq!(dog.check(at + seconds(300), &phase, Some(AT_WORK)), []);
        let alarms = dog.check(at + seconds(600), &phase, Some(AT_WORK));
        assert_eq!(dog.concern(alarms[0]), Some(Concern::Stalled));
        assert_eq!(dog.check(at + seconds(601), &phase, Some(AT_WORK)), []);
    }

    #[test]
    fn a_step_that_never_comes_is_missed_before_it_is_known_how_long_steps_take() {
        for (first, expected) in [(2, 600), (200, 1000)] {
            let mut dog = Watchdog::new(WISHES, None);
            dog.step(seconds(first), 1, Some(0.5), seconds(first));
            let check =
                |dog: &mut Watchdog, after| dog.check(seconds(first + after), &training(), Some(AT_WORK));
            assert_eq!(check(&mut dog, expected - 1), []);
            let alarms = check(&mut dog, expected);
            assert_eq!(alarms.len(), 1, "{alarms:?}");
            assert_eq!(dog.concern(alarms[0]), Some(Concern::Stalled));
        }
    }

    #[test]
    fn a_save_may_take_its_time() {
        let (mut dog, at) = trained(WISHES);
        dog.busy();
        assert_eq!(dog.check(at + seconds(599), &training(), Some(AT_WORK)), []);
        let alarms = dog.check(at + seconds(4 * 600), &training(), Some(AT_WORK));
        assert_eq!(alarms, [Alarm::NoStep { seconds: 2400, usual_seconds: 2.0 }]);
    }

    #[test]
    fn a_loss_that_is_no_number_counts_in_a_row_and_is_told_once() {
        let (mut dog, at) = trained(WISHES);
        for (loss, expected) in [None, None, Some(1.0), None, None, None, None, None, None]
            .into_iter()
            .zip([0, 0, 0, 0, 0, 0, 0, 1, 0])
        {
            dog.step(at, 1, loss, seconds(2));
            let alarms = dog.check(at, &training(), None);
            assert_eq!(alarms.len(), expected, "{alarms:?}");
            if let [alarm] = alarms[..] {
                assert_eq!(alarm, Alarm::NotANumber { steps: 5 });
                assert_eq!(dog.concern(alarm), Some(Concern::NotANumber));
            }
        }
        let (mut keeps, at) = trained(Wishes { on_nan: OnNan::Keep, nan_steps: 1, ..WISHES });
        keeps.step(at, 1, None, seconds(2));
        let alarms = keeps.check(at, &training(), None);
        assert_eq!((alarms.len(), keeps.concern(alarms[0])), (1, None));
    }

    #[test]
    fn a_training_that_begins_anew_instead_of_going_on_is_ended() {
        let check = |first: u64, expected: &[Alarm]| {
            let mut dog = Watchdog::new(WISHES, Some(200));
            for number in [first, first + 1] {
                dog.step(seconds(1), number, Some(0.5), seconds(1));
            }
            assert_eq!(dog.check(seconds(1), &training(), None), expected);
            dog
        };
        check(201, &[]);
        let alarm = Alarm::NotResumed { checkpoint: 200, step: 1 };
        let mut dog = check(1, &[alarm]);
        assert_eq!(dog.concern(alarm), Some(Concern::NotResumed));
        assert_eq!(dog.check(seconds(2), &training(), None), []);
    }

    #[test]
    fn a_training_that_has_become_slow_is_told_of_once() {
        let (mut dog, mut at) = trained(WISHES);
        let mut told = vec![];
        for _ in 0..40 {
            at += seconds(5);
            dog.step(at, 1, Some(0.1), seconds(5));
            told.extend(dog.check(at, &training(), None));
        }
        assert_eq!(told, [Alarm::Slower { seconds: 5.0, usual_seconds: 2.0 }]);
        assert!(dog.is_slow());
        for _ in 0..40 {
            at += seconds(2);
            dog.step(at, 1, Some(0.1), seconds(2));
            assert_eq!(dog.check(at, &training(), None), []);
        }
        assert!(!dog.is_slow(), "it has become as fast as it was");
    }
}
