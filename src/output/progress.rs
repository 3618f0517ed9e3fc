//! How far one long thing is: a bar on a terminal, now and then a line elsewhere.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use console::Term;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde::Serialize;

use crate::platform::clock::Stopwatch;

use super::{Mode, Output, size};

/// Between two lines of the same thing where there is no bar.
pub(super) const LINE_EVERY: Duration = Duration::from_secs(10);

/// Between two objects of the same thing for scripts.
pub(super) const JSON_EVERY: Duration = Duration::from_secs(1);

/// Between two lines of what is waited for.
const WAITS_EVERY: Duration = Duration::from_secs(1);

/// How long a transfer goes on before its end is foretold: the first seconds are those of slow starts and of what was there
/// already.
pub(super) const SETTLED: Duration = Duration::from_secs(5);

/// Columns that labels are aligned to.
pub(super) const LABEL: usize = 12;

/// The shortest and the longest bar, in columns.
const BAR: [usize; 2] = [8, 28];

/// Shown until it is dropped.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    label: String,
    bar: ProgressBar,
    /// When a line was due last; the next one is at once without it.
    last_said: Mutex<Option<Stopwatch>>,
    /// When a wait was told last.
    last_waited: Mutex<Option<Stopwatch>>,
    /// The bytes come from somewhere else, and count in the overall sum.
    fetching: AtomicBool,
}

/// How far a transfer is, as one line of whatever width there is.
pub(super) struct Far {
    pub(super) done: u64,
    pub(super) total: u64,
    /// Bytes per second.
    pub(super) rate: u64,
    /// `None` while it cannot be foretold.
    pub(super) left: Option<Duration>,
}

#[derive(Serialize)]
struct Said<'a> {
    event: &'static str,
    what: &'a str,
    /// Bytes done, where bytes are what is counted.
    bytes: Option<u64>,
    total: Option<u64>,
    doing: &'a str,
}

impl Progress {
    pub(super) fn new(output: Output, label: &str) -> Self {
        let bar = output.bars.add(ProgressBar::new_spinner());
        bar.set_prefix(label.to_owned());
        if matches!(output.mode, Mode::Terminal { .. }) {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        let progress = Self {
            output,
            label: label.to_owned(),
            bar,
            last_said: Mutex::new(Some(Stopwatch::start())),
            last_waited: Mutex::new(None),
            fetching: AtomicBool::new(false),
        };
        progress.expect_no_bytes();
        progress
    }

    /// From now on this many bytes are to be fetched; [`Output::overall`] adds them up.
    pub fn expect_download(&self, total: u64) {
        self.expect_bytes(total);
        self.fetching.store(true, Ordering::Relaxed);
        self.output.sum.expect(&self.label, total);
    }

    /// From now on this many bytes are to come.
    pub fn expect_bytes(&self, total: u64) {
        self.fetching.store(false, Ordering::Relaxed);
        self.bar.set_length(total);
        // The label and the spaces around what is drawn here.
        let taken = self.label.chars().count().max(LABEL) + 2;
        let since = Stopwatch::start();
        let draw = move |state: &ProgressState, to: &mut dyn fmt::Write| {
            let far = Far::of(state, total, since.elapsed());
            // A line that cannot be drawn is drawn 120 ms later.
            let _ = to.write_str(&far.line(columns().saturating_sub(taken)));
        };
        self.bar.set_style(style("{prefix:>12.cyan.bold} {far} {wide_msg}").with_key("far", draw));
    }

    /// From now on nothing is counted: what is going on and for how long is all there is to say.
    pub fn expect_no_bytes(&self) {
        self.bar.unset_length();
        self.bar.set_style(style("{prefix:>12.cyan.bold} {spinner} {wide_msg} {elapsed}"));
    }

    /// So much has come of what somebody else fetches and counts in their own way; `total` as far as it can be told. It has
    /// no bar of bytes, and counts in the overall sum.
    pub fn fetched(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total {
            self.output.sum.expect(&self.label, total);
        }
        self.output.sum.at(&self.label, done, &self.output);
    }

    /// This many bytes are there in all.
    pub fn bytes(&self, done: u64) {
        self.bar.set_position(done);
        if self.fetching.load(Ordering::Relaxed) {
            self.output.sum.at(&self.label, done, &self.output);
        }
        self.say_if_due();
    }

    /// So much has come in all, of so much, by what others say now and then: nothing tells how fast.
    pub fn arrived(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        self.output.sum.expect(&self.label, total);
        self.output.sum.has_come(&self.label, done);
        self.say_if_due();
    }

    /// What is going on right now.
    pub fn doing(&self, what: impl Into<String>) {
        // What another program said may have lines.
        self.bar.set_message(what.into().replace('\n', " "));
        self.say_if_due();
    }

    /// Something is waited for before it is tried again.
    pub fn waits(&self, what: &str) {
        self.bar.set_message(what.replace('\n', " "));
        self.mention_wait(what);
    }

    /// The same of one of many things. A bar has more to say; elsewhere it is told at once, and once a second at most, for many
    /// may wait for the same.
    pub fn mention_wait(&self, what: &str) {
        if matches!(self.output.mode, Mode::Terminal { .. }) {
            return;
        }
        let Ok(mut last) = self.last_waited.lock() else { return };
        if last.is_none_or(|it| it.elapsed() >= WAITS_EVERY) {
            *last = Some(Stopwatch::start());
            match self.output.mode {
                Mode::Json => self.say(&what.replace('\n', " ")),
                Mode::Plain | Mode::Terminal { .. } => {
                    self.output.status("...", format_args!("{}: {}", self.label, what.replace('\n', " ")));
                }
            }
        }
    }

    /// What comes next is said at once: where there is no bar, silence looks like a hang.
    pub fn say_at_once(&self) {
        if let Ok(mut last) = self.last_said.lock() {
            *last = None;
        }
    }

    fn say_if_due(&self) {
        let every = match self.output.mode {
            Mode::Terminal { .. } => return,
            Mode::Plain => LINE_EVERY,
            Mode::Json => JSON_EVERY,
        };
        let Ok(mut last) = self.last_said.lock() else { return };
        if last.is_some_and(|it| it.elapsed() < every) {
            return;
        }
        *last = Some(Stopwatch::start());
        drop(last);
        self.say(&self.bar.message());
    }

    /// One line, where there is no bar.
    fn say(&self, doing: &str) {
        let (done, total) = (self.bar.position(), self.bar.length());
        let bytes = total.map(|_| done);
        if self.output.mode == Mode::Json {
            let what = &self.label;
            return self.output.json(&Said { event: "progress", what, bytes, total, doing });
        }
        let far = match total {
            Some(total) => format!("{} of {} ", size::bytes(done), size::bytes(total)),
            None => String::new(),
        };
        self.output.status("...", format_args!("{}: {far}{doing}", self.label));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.output.sum.is_over(&self.label);
        self.bar.finish_and_clear();
        self.output.bars.remove(&self.bar);
    }
}

impl Far {
    fn of(state: &ProgressState, total: u64, elapsed: Duration) -> Self {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate of bytes, for the eye"
        )]
        let rate = state.per_sec() as u64;
        let left = (elapsed >= SETTLED).then(|| state.eta());
        Self { done: state.pos(), total, rate, left }
    }

    /// In at most `room` columns: the counts always, then the rate, the time left and the bar as they fit.
    pub(super) fn line(&self, room: usize) -> String {
        let mut text = format!("{} of {}", size::bytes(self.done), size::bytes(self.total));
        let rate = format!(", {}/s", size::bytes(self.rate));
        let further = [Some(rate), self.left.map(time_left)];
        // The brackets and the space after them.
        let frame = 3;
        for more in further.into_iter().flatten().take_while(|_| self.is_moving()) {
            if text.len() + more.len() + frame + BAR[0] <= room {
                text += &more;
            }
        }
        let columns = room.saturating_sub(text.len() + frame).min(BAR[1]);
        if columns < BAR[0] {
            return text;
        }
        format!("[{}] {text}", self.bar(columns))
    }

    /// Without a bar.
    pub(super) fn text(&self) -> String {
        let counts = format!("{} of {}", size::bytes(self.done), size::bytes(self.total));
        if !self.is_moving() {
            return counts;
        }
        let left = self.left.map(time_left).unwrap_or_default();
        format!("{counts}, {}/s{left}", size::bytes(self.rate))
    }

    /// Else there is no end to foretell: it stands still, does not tell how fast it is, or is through.
    const fn is_moving(&self) -> bool {
        self.rate > 0 && self.done < self.total
    }

    fn bar(&self, columns: usize) -> String {
        let filled = (u128::from(self.done.min(self.total)) * columns as u128)
            .checked_div(u128::from(self.total))
            .map_or(columns, |it| it as usize);
        "█".repeat(filled) + &"░".repeat(columns - filled)
    }
}

fn time_left(left: Duration) -> String {
    format!(", {} left", size::duration(Duration::from_secs(left.as_secs())))
}

/// The terminal's, now: people change the size of windows.
pub(super) fn columns() -> usize {
    usize::from(Term::stderr().size().1)
}

pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_fits_one_line_of_any_width_and_says_more_where_there_is_room() {
        let far =
            Far { done: 57 << 20, total: 114 << 20, rate: 3 << 20, left: Some(Duration::from_secs(19)) };
        let check = |room, expected: &str| assert_eq!(far.line(room), expected, "{room} columns");
        check(97, "[██████████████░░░░░░░░░░░░░░] 57.0 MiB of 114 MiB, 3.00 MiB/s, 19 s left");
        check(67, "[███████████░░░░░░░░░░░] 57.0 MiB of 114 MiB, 3.00 MiB/s, 19 s left");
        check(47, "[██████░░░░░░░] 57.0 MiB of 114 MiB, 3.00 MiB/s");
        check(31, "[████░░░░░] 57.0 MiB of 114 MiB");
        check(27, "57.0 MiB of 114 MiB");
        let early = Far { left: None, ..far };
        assert_eq!(early.line(67), "[██████████████░░░░░░░░░░░░░░] 57.0 MiB of 114 MiB, 3.00 MiB/s");
        assert_eq!(early.text(), "57.0 MiB of 114 MiB, 3.00 MiB/s");
        let far = Far { rate: 0, left: None, ..far };
        assert_eq!(far.line(97), "[██████████████░░░░░░░░░░░░░░] 57.0 MiB of 114 MiB");
        let far = Far { rate: 5, done: far.total, ..far };
        assert_eq!((far.text(), far.line(19)), ("114 MiB of 114 MiB".to_owned(), far.text()));
    }

    #[test]
    fn the_bar_of_nothing_is_full_and_one_of_too_much_is_no_longer() {
        let bar = |done, total| Far { done, total, rate: 0, left: None }.bar(8);
        assert_eq!([bar(0, 0), bar(9, 8)], ["█".repeat(8), "█".repeat(8)]);
        assert_eq!(bar(0, 8), "░".repeat(8));
    }
}
