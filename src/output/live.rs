//! One line at the bottom of the terminal that changes in place while other lines go by above it.

use indicatif::{ProgressBar, ProgressStyle};

use super::{Mode, Output};

/// Shown until it is dropped; nothing at all where there is no terminal.
#[derive(Debug)]
pub struct Live {
    output: Output,
    bar: ProgressBar,
}

impl Live {
    pub(super) fn new(output: Output) -> Self {
        let bar = match output.mode {
            Mode::Terminal { .. } => output.bars.add(ProgressBar::new_spinner()),
            Mode::Plain | Mode::Json => ProgressBar::hidden(),
        };
        // Cut to the terminal's width: a line that wraps cannot be taken back.
        bar.set_style(
            ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        Self { output, bar }
    }

    pub fn show(&self, text: impl Into<String>) {
        self.bar.set_message(text.into());
        self.bar.tick();
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.output.bars.remove(&self.bar);
    }
}
