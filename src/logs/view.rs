//! What a reader of a log sees: the bytes, lines, or the metrics in them.

use serde::Serialize;

use super::{Colours, Fold, Line, Mark, Step};

/// The columns of the metrics for programs that read tab-separated values.
const HEADER: &str = "step\tloss\tseconds_per_step\tsamples_per_second";

/// Turns a log's bytes into what is shown of them.
#[derive(Debug)]
pub enum View {
    /// As written.
    Raw,
    Folded {
        fold: Fold,
        show: Show,
    },
}

/// One line of the view for each line, or each step, of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    Text,
    /// `{"offset":…,"text":…}`
    JsonText,
    /// Tab-separated, after a header.
    Steps,
    JsonSteps,
}

impl View {
    /// Of a log from `offset` on. `page` gets what stands above all lines.
    pub fn new(show: Show, colours: Colours, offset: u64, page: &mut Vec<u8>) -> Self {
        if show == Show::Steps {
            page.extend(HEADER.bytes().chain([b'\n']));
        }
        Self::Folded { fold: Fold::new(offset, colours), show }
    }

    /// Takes the log's next bytes and appends what they show to `page`.
    pub fn push(&mut self, bytes: &[u8], page: &mut Vec<u8>) {
        match self {
            Self::Raw => page.extend_from_slice(bytes),
            Self::Folded { fold, show } => fold.feed(bytes, |line| show.append(line, page)),
        }
    }

    /// The log has ended: appends the line that no newline ended.
    pub fn finish(&mut self, page: &mut Vec<u8>) {
        match self {
            Self::Raw => {}
            Self::Folded { fold, show } => fold.finish(|line| show.append(line, page)),
        }
    }

    /// The unfinished line, often a progress bar, for readers who can see it change.
    pub fn unfinished(&self) -> Option<String> {
        match self {
            Self::Folded { fold, show: Show::Text } => fold.unfinished(),
            Self::Folded { .. } | Self::Raw => None,
        }
    }
}

impl Show {
    fn append(self, line: Line<'_>, page: &mut Vec<u8>) {
        match self {
            Self::Text => page.extend_from_slice(line.text.as_bytes()),
            Self::JsonText => append_json(&line, page),
            Self::Steps | Self::JsonSteps => {
                let Some(Mark::Step(step)) = Mark::parse(line.text) else { return };
                if self == Self::JsonSteps {
                    append_json(&step, page);
                } else {
                    page.extend(columns(&step).bytes());
                }
            }
        }
        page.push(b'\n');
    }
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
    use super::*;

    const LOG: &str = "Started new epoch: 2\n 50%|█\rsteps: 1 loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\n\
         steps: 2 loss: nan iter time (s): 0.071 samples/sec: 450.704\nKilling sub";

    fn shown(show: Show) -> String {
        let mut page = vec![];
        let mut view = View::new(show, Colours::Drop, 0, &mut page);
        view.push(LOG.as_bytes(), &mut page);
        view.finish(&mut page);
        String::from_utf8(page).expect("text")
    }

    #[test]
    fn a_log_is_shown_as_text_as_metrics_and_for_programs() {
        let all = [Show::Text, Show::JsonText, Show::Steps, Show::JsonSteps].map(shown);
        insta::assert_snapshot!(all.join("----\n"));
    }
}
