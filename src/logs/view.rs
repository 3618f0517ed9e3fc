//! What a reader of a log sees: lines, or the metrics in them.

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use super::{Entry, Mark, Step, Stream};

/// The columns of the metrics for programs that read tab-separated values.
const HEADER: &str = "step\tloss\tseconds_per_step\tsamples_per_second";

/// One line of the view for each line, or each step, of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    Text,
    /// `{"time":…,"stream":…,"offset":…,"text":…}`
    JsonText,
    /// Tab-separated, after a header.
    Steps,
    JsonSteps,
}

/// How entries of a log become lines of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    pub show: Show,
    /// Ranks are named before what they say, because there are several.
    pub labelled: bool,
    /// So are times.
    pub timed: bool,
}

#[derive(Serialize)]
struct JsonLine<'a> {
    time: Option<Timestamp>,
    stream: Stream,
    offset: u64,
    text: &'a str,
}

/// A step, and which try of its run did it.
#[derive(Serialize)]
struct JsonStep {
    #[serde(flatten)]
    step: Step,
    attempt: Option<u32>,
}

impl View {
    /// The text of so many streams.
    pub const fn text(streams: usize) -> Self {
        Self { show: Show::Text, labelled: streams > 1, timed: false }
    }

    /// One line of text.
    pub fn line(self, entry: &Entry<'_>) -> String {
        self.margin(entry) + entry.line.text
    }

    /// What stands above all lines.
    pub fn begin(self, page: &mut Vec<u8>) {
        if self.show == Show::Steps {
            page.extend(HEADER.bytes().chain([b'\n']));
        }
    }

    /// Appends what is shown of `entry` to `page`. `attempt` says in which try of the run it was printed, from 1 on, where
    /// that is known; programs are told.
    pub fn append(
        self,
        entry: &Entry<'_>,
        page: &mut Vec<u8>,
        attempt: impl FnOnce(Option<Timestamp>) -> Option<u32>,
    ) {
        let text = entry.line.text;
        match self.show {
            Show::Text => {
                page.extend_from_slice(self.margin(entry).as_bytes());
                page.extend_from_slice(text.as_bytes());
            }
            Show::JsonText => {
                let Entry { stream, time, line } = *entry;
                append_json(&JsonLine { time, stream, offset: line.offset, text }, page);
            }
            Show::Steps | Show::JsonSteps => {
                let Some(Mark::Step(step)) = Mark::parse(text) else { return };
                if self.show == Show::JsonSteps {
                    append_json(&JsonStep { step, attempt: attempt(entry.time) }, page);
                } else {
                    page.extend(columns(&step).bytes());
                }
            }
        }
        page.push(b'\n');
    }

    /// `2026-11-27T10:00:00.123Z [rank1] `, or what of it is wanted.
    fn margin(self, entry: &Entry<'_>) -> String {
        let mut margin = String::new();
        if self.timed {
            // A line from before there were times lines up with the others.
            margin =
                entry.time.map_or_else(|| format!("{:29} ", "-"), |time| stamp(time, TimeZone::system()));
        }
        match entry.stream {
            stream @ (Stream::Rank(_) | Stream::Node(_)) if self.labelled => {
                margin.extend(["[", &stream.to_string(), "] "]);
            }
            Stream::Rank(_) | Stream::Node(_) | Stream::Launcher => {}
        }
        margin
    }
}

/// As the clock on the wall has it, with its distance from UTC: `--since` understands it wherever it is copied to.
fn stamp(time: Timestamp, zone: TimeZone) -> String {
    time.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z ").to_string()
}

fn columns(step: &Step) -> String {
    let Step { step, loss, seconds_per_step, samples_per_second } = step;
    format!("{step}\t{loss}\t{seconds_per_step}\t{samples_per_second}")
}

fn append_json(value: &impl Serialize, page: &mut Vec<u8>) {
    // Our own types have string keys and no foreign serialisers, and a `Vec` can always be written to.
    let _ = serde_json::to_writer(page, value);
}

#[cfg(test)]
mod tests {
    use crate::logs::{Colours, Fold, Line};

    use super::*;

    const LOG: &str = "Started new epoch: 2\n 50%|█\rsteps: 1 loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\n\
         steps: 2 loss: nan iter time (s): 0.071 samples/sec: 450.704\nKilling sub";

    fn shown(show: Show) -> String {
        let mut page = vec![];
        let view = View { show, labelled: true, timed: false };
        view.begin(&mut page);
        let mut fold = Fold::new(0, Colours::Drop);
        let time = Timestamp::from_millisecond(1_764_237_600_123).ok();
        let mut append = |line: Line<'_>| {
            let stream = if line.offset == 0 { Stream::Launcher } else { Stream::Rank(0) };
            view.append(&Entry { stream, line, time }, &mut page, |time| time.map(|_| 2));
        };
        fold.feed(LOG.as_bytes(), &mut append);
        fold.finish(append);
        String::from_utf8(page).expect("text")
    }

    #[test]
    fn times_are_those_of_the_place_and_can_be_given_back() {
        let time = Timestamp::from_millisecond(1_764_237_600_123).expect("a time");
        let said = stamp(time, TimeZone::fixed(jiff::tz::offset(2)));
        assert_eq!(said, "2025-11-27T12:00:00.123+02:00 ");
        assert_eq!(said.trim().parse::<Timestamp>().expect("understood"), time);
    }

    #[test]
    fn a_log_is_shown_as_text_as_metrics_and_for_programs() {
        let all = [Show::Text, Show::JsonText, Show::Steps, Show::JsonSteps].map(shown);
        insta::assert_snapshot!(all.join("----\n"));
    }
}
