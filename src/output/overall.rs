//! How far everything that is fetched is, in one line over those of the single things.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressState};
use serde::Serialize;

use crate::platform::clock::Stopwatch;

use super::{
    Mode, Output,
    progress::{Far, JSON_EVERY, LABEL, LINE_EVERY, SETTLED, columns, style},
};

/// Between two looks at how fast it goes.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// How long what was fast or slow is remembered: an estimate that jumps is none.
const MEMORY: Duration = Duration::from_secs(10);

/// The sum of all transfers, shown until it is dropped.
#[derive(Debug)]
pub struct Overall {
    output: Output,
    bar: ProgressBar,
}

/// What all transfers together have said, shared by those who tell and those who show.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum(Arc<Mutex<Option<State>>>);

#[derive(Debug)]
struct State {
    parts: BTreeMap<String, Part>,
    pace: Pace,
    /// Since the first bytes came.
    since_first: Option<Stopwatch>,
    since_sample: Stopwatch,
    since_said: Stopwatch,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    done: u64,
    total: u64,
    /// Something was said of it: what is there at first is from an earlier time, and was not fetched just now.
    begun: bool,
}

/// Bytes per second, smoothed: a mean of the samples, the later ones weighing more.
#[derive(Clone, Copy, Debug, Default)]
struct Pace {
    /// Bytes since the last sample.
    fresh: u64,
    sum: f64,
    /// Of all samples, so that the first ones count equally and none of them is taken for the truth.
    weight: f64,
}

#[derive(Serialize)]
struct Said {
    event: &'static str,
    bytes: u64,
    total: u64,
    bytes_per_second: u64,
    seconds_left: Option<u64>,
}

impl Overall {
    /// `expected`: bytes by label, as far as they are known before.
    pub(super) fn new(output: Output, expected: impl IntoIterator<Item = (String, u64)>) -> Self {
        let part = |(label, total)| (label, Part { total, ..Part::default() });
        let state = State {
            parts: expected.into_iter().map(part).collect(),
            pace: Pace::default(),
            since_first: None,
            since_sample: Stopwatch::start(),
            since_said: Stopwatch::start(),
        };
        output.sum.set(Some(state));
        let bar = match output.mode {
            Mode::Terminal { .. } => output.bars.insert(0, ProgressBar::new_spinner()),
            Mode::Plain | Mode::Json => ProgressBar::hidden(),
        };
        let sum = output.sum.clone();
        let draw = move |_: &ProgressState, to: &mut dyn fmt::Write| {
            let line = match sum.far() {
                Some(far) => far.line(columns().saturating_sub(LABEL + 1)),
                None => "nothing to fetch yet".to_owned(),
            };
            // A line that cannot be drawn is drawn a second later.
            let _ = to.write_str(&line);
        };
        bar.set_style(style("{prefix:>12.cyan.bold} {far}").with_key("far", draw));
        bar.set_prefix("in all");
        if matches!(output.mode, Mode::Terminal { .. }) {
            bar.enable_steady_tick(SAMPLE_EVERY);
        }
        Self { output, bar }
    }
}

impl Drop for Overall {
    fn drop(&mut self) {
        if let (Mode::Json, Some(far)) = (self.output.mode, self.output.sum.far()) {
            self.output.json(&Said::of(&far));
        }
        self.output.sum.set(None);
        self.bar.finish_and_clear();
        self.output.bars.remove(&self.bar);
    }
}

impl Said {
    const fn of(far: &Far) -> Self {
        let Far { done: bytes, total, rate: bytes_per_second, left } = *far;
        let seconds_left = match left {
            Some(left) => Some(left.as_secs()),
            None => None,
        };
        Self { event: "progress-total", bytes, total, bytes_per_second, seconds_left }
    }
}

impl Sum {
    fn set(&self, state: Option<State>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    pub(super) fn expect(&self, label: &str, total: u64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = &mut *state {
            state.parts.entry(label.to_owned()).or_default().total = total;
        }
    }

    /// So much of it is there in all. Said aloud where there is no line that changes, now and then.
    pub(super) fn at(&self, label: &str, done: u64, output: &Output) {
        let every = match output.mode {
            Mode::Terminal { .. } => None,
            Mode::Plain => Some(LINE_EVERY),
            Mode::Json => Some(JSON_EVERY),
        };
        let far = {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(state) = &mut *state else { return };
            state.take(label, done);
            if every.is_none_or(|every| state.since_said.elapsed() < every) {
                return;
            }
            state.since_said = Stopwatch::start();
            state.far()
        };
        if output.mode == Mode::Json {
            return output.json(&Said::of(&far));
        }
        output.status("...", format_args!("in all: {}", far.text()));
    }

    /// So much of it is there in all, and nobody knows how fast it came.
    pub(super) fn has_come(&self, label: &str, done: u64) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = &mut *state {
            state.set(label, done);
        }
    }

    /// Nothing more comes of it, whatever was expected: something else may have done, as Python of the system does.
    pub(super) fn is_over(&self, label: &str) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = state.as_mut().and_then(|it| it.parts.get_mut(label)) {
            part.total = part.done;
        }
    }

    /// `None` while nothing is known of anything.
    fn far(&self) -> Option<Far> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.as_mut().map(State::far).filter(|it| it.total > 0)
    }
}

impl State {
    fn take(&mut self, label: &str, done: u64) {
        let part = self.parts.entry(label.to_owned()).or_default();
        if part.begun && done > part.done {
            self.pace.fresh += done - part.done;
            self.since_first.get_or_insert_with(Stopwatch::start);
        }
        self.set(label, done);
    }

    fn set(&mut self, label: &str, done: u64) {
        let part = self.parts.entry(label.to_owned()).or_default();
        *part = Part { done, total: part.total.max(done), begun: true };
    }

    fn far(&mut self) -> Far {
        let elapsed = self.since_sample.elapsed();
        if elapsed >= SAMPLE_EVERY {
            self.pace.sample(elapsed);
            self.since_sample = Stopwatch::start();
        }
        let (done, total) =
            self.parts.values().fold((0, 0), |(done, total), it| (done + it.done, total + it.total));
        let rate = self.pace.bytes_per_second();
        let since_first = self.since_first.map_or(Duration::ZERO, Stopwatch::elapsed);
        Far { done, total, rate, left: foretell(total - done, rate, since_first) }
    }
}

/// How long `bytes` will take, once it is known how fast they come.
fn foretell(bytes: u64, rate: u64, since_first: Duration) -> Option<Duration> {
    if since_first < SETTLED { None } else { bytes.checked_div(rate).map(Duration::from_secs) }
}

impl Pace {
    /// What came in `elapsed` counts the more the longer that was, and what was before fades.
    fn sample(&mut self, elapsed: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a rate of bytes, for the eye")]
        let now = self.fresh as f64 / elapsed.as_secs_f64();
        let kept = (-elapsed.as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.sum = self.sum.mul_add(kept, now * (1.0 - kept));
        self.weight = self.weight.mul_add(kept, 1.0 - kept);
        self.fresh = 0;
    }

    fn bytes_per_second(self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is never negative"
        )]
        let rate = if self.weight > 0.0 { self.sum / self.weight } else { 0.0 } as u64;
        rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_added_up_corrected_and_never_more_done_than_there_is() {
        let output = Output::new(Mode::Plain);
        let overall = output.overall([("node".to_owned(), 50), ("venv".to_owned(), 100)]);
        let check = |expected: (u64, u64)| {
            let far = output.sum.far().expect("something is known");
            assert_eq!((far.done, far.total), expected);
        };
        check((0, 150));
        output.sum.expect("node", 60);
        output.sum.at("node", 20, &output);
        check((20, 160));
        output.sum.at("uv", 7, &output);
        check((27, 167));
        output.sum.at("venv", 130, &output);
        check((157, 197));
        output.sum.at("venv", 0, &output);
        check((27, 197));
        drop(overall);
        assert!(output.sum.far().is_none(), "it is over");
    }

    #[test]
    fn what_others_fetch_in_their_own_way_counts_in_the_sum() {
        let output = Output::new(Mode::Plain);
        let _overall = output.overall([("ComfyUI".to_owned(), 70)]);
        let progress = output.progress("ComfyUI");
        let check = |(done, total), expected: (u64, u64)| {
            progress.fetched(done, total);
            let far = output.sum.far().expect("something is known");
            assert_eq!((far.done, far.total), expected);
        };
        check((5, None), (5, 70));
        check((10, Some(50)), (10, 50));
        check((60, None), (60, 60));
    }

    #[test]
    fn what_was_expected_and_did_not_come_is_not_waited_for() {
        let output = Output::new(Mode::Plain);
        let _overall =
            output.overall([("python".to_owned(), 70), ("uv".to_owned(), 30), ("venv".to_owned(), 9)]);
        let (python, uv) = (output.progress("python"), output.progress("uv"));
        python.doing("of the system");
        uv.expect_download(40);
        uv.bytes(40);
        drop((python, uv));
        let far = output.sum.far().expect("something is known");
        assert_eq!((far.done, far.total), (40, 49));
    }

    #[test]
    fn the_end_is_foretold_once_enough_has_been_seen() {
        let check = |since_first, rate, expected: Option<u64>| {
            let left = foretell(1000, rate, Duration::from_secs(since_first));
            assert_eq!(left, expected.map(Duration::from_secs), "{since_first} s, {rate} B/s");
        };
        check(0, 10, None);
        check(4, 10, None);
        check(5, 10, Some(100));
        check(60, 0, None);
        let output = Output::new(Mode::Plain);
        let _overall = output.overall([("node".to_owned(), 100)]);
        for done in [0, 50] {
            output.sum.at("node", done, &output);
        }
        let far = output.sum.far().expect("something is known");
        assert_eq!((far.left, far.text()), (None, "50 B of 100 B".to_owned()));
    }

    #[test]
    fn a_rate_follows_slowly_and_what_was_there_before_is_no_speed() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        let mut sample = |fresh| {
            pace.fresh = fresh;
            pace.sample(second);
            pace.bytes_per_second()
        };
        let first = [sample(1000), sample(0), sample(1000)];
        assert_eq!(first, [1000, 475, 667], "none of the first ones is taken for all");
        for _ in 0..60 {
            sample(1000);
        }
        assert_eq!(sample(0), 904, "one second of nothing is not the end");
        pace.sample(Duration::from_mins(2));
        assert_eq!(pace.bytes_per_second(), 0);

        let output = Output::new(Mode::Plain);
        let _overall = output.overall([]);
        output.sum.at("node", 1 << 30, &output);
        output.sum.at("node", (1 << 30) + 5, &output);
        let fresh = output.sum.0.lock().expect("sound").as_ref().map(|it| it.pace.fresh);
        assert_eq!(fresh, Some(5));
        output.sum.has_come("node", 2 << 30);
        let after = output.sum.0.lock().expect("sound").as_ref().map(|it| it.pace.fresh);
        assert_eq!(after, Some(5), "when it came nobody knows");
        assert_eq!(output.sum.far().map(|it| it.done), Some(2 << 30));
    }
}
