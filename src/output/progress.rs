//! How far one long thing is: a bar on a terminal, now and then a line elsewhere.

use std::{sync::Mutex, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::platform::clock::Stopwatch;

use super::{Mode, Output, size};

/// Between two lines of the same thing where there is no bar.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Between two objects of the same thing for scripts.
const JSON_EVERY: Duration = Duration::from_secs(1);

/// Shown until it is dropped.
#[derive(Debug)]
pub struct Progress {
    output: Output,
    label: String,
    bar: ProgressBar,
    last_said: Mutex<Stopwatch>,
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
        bar.set_style(style("{prefix:>12.cyan.bold} {spinner} {wide_msg} {elapsed}"));
        bar.set_prefix(label.to_owned());
        if matches!(output.mode, Mode::Terminal { .. }) {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        Self { output, label: label.to_owned(), bar, last_said: Mutex::new(Stopwatch::start()) }
    }

    /// From now on this many bytes are to come.
    pub fn expect_bytes(&self, total: u64) {
        self.bar.set_length(total);
        self.bar.set_style(style(
            "{prefix:>12.cyan.bold} [{bar:28}] {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left {wide_msg}",
        ));
    }

    /// This many bytes are there in all.
    pub fn bytes(&self, done: u64) {
        self.bar.set_position(done);
        self.say_if_due();
    }

    /// What is going on right now.
    pub fn doing(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
        self.say_if_due();
    }

    fn say_if_due(&self) {
        let every = match self.output.mode {
            Mode::Terminal { .. } => return,
            Mode::Plain => LINE_EVERY,
            Mode::Json => JSON_EVERY,
        };
        let Ok(mut last) = self.last_said.lock() else { return };
        if last.elapsed() < every {
            return;
        }
        *last = Stopwatch::start();
        drop(last);
        let (done, total, doing) = (self.bar.position(), self.bar.length(), self.bar.message());
        let bytes = total.map(|_| done);
        if self.output.mode == Mode::Json {
            let what = &self.label;
            return self.output.json(&Said { event: "progress", what, bytes, total, doing: &doing });
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
        self.bar.finish_and_clear();
        self.output.bars.remove(&self.bar);
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}
