//! Why a training failed: the cause in one sentence, what shows it, and what to do.
//!
//! It is pure: the bytes of a log and what was counted on the machine ([`Numbers`]) go in, a [`Diagnosis`] comes out.
//! What is known of failures is data, in `templates/failures` ([`catalogue`]). [`Diagnoser`] reads a log once, in pieces
//! of any size, and keeps of it only the first sight of each cause. [`judge`](Diagnoser::judge) weighs those sights:
//! numbers before text, the earliest failing rank before the others, a first cause before its consequences.

pub mod catalogue;
mod engine;
mod line;
mod numbers;
mod read;
mod traceback;
mod verdict;

use std::{borrow::Cow, fmt};

use serde::{Deserialize, Serialize};

pub use engine::Diagnoser;
pub use numbers::{Disk, Node, Numbers, Way};
pub use read::of_reader;

/// What a cause is called that is in no catalogue.
pub const UNKNOWN: &str = "unknown";

/// Why it failed, as far as can be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The name of the cause in the catalogue, or [`UNKNOWN`].
    pub id: Cow<'static, str>,
    /// One sentence.
    pub cause: Cow<'static, str>,
    /// What to do, the likeliest to help first.
    pub advice: Vec<Cow<'static, str>>,
    /// It may work when it is tried again as it is.
    pub recoverable: bool,
    /// What shows it, the decisive first.
    pub evidence: Vec<Evidence>,
}

/// Something that shows a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Evidence {
    /// A line of the log.
    Line {
        /// Where its first byte is in the log.
        offset: u64,
        /// The process that wrote it, where that is known.
        rank: Option<u32>,
        text: String,
    },
    /// Something that was counted or observed on the machine.
    Fact { text: String },
}

impl Diagnosis {
    /// Without what can only be done with a run, which nobody knows here.
    #[must_use]
    pub fn of_no_run(mut self) -> Self {
        self.advice.retain(|it| !it.split([' ', '`']).any(|word| word == "RUN"));
        if self.advice.is_empty() {
            self.advice.push("read the lines before the end of the log".into());
        }
        self
    }

    /// With the run and its configuration in the place of the words for them, so that what is advised can be typed.
    #[must_use]
    pub fn of_run(mut self, run: &str, config: &str) -> Self {
        let named = |text: &str| {
            let words =
                text.split_inclusive([' ', '`']).map(|word| match word.trim_end_matches([' ', '`']) {
                    "CONFIG" => word.replace("CONFIG", config),
                    "RUN" => word.replace("RUN", run),
                    _ => word.to_owned(),
                });
            words.collect::<String>().into()
        };
        self.advice = self.advice.iter().map(|it| named(it)).collect();
        self
    }

    pub fn is_known(&self) -> bool {
        self.id != UNKNOWN
    }
}

/// The cause, what shows it and what to do, for people: several lines without a newline at the end.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cause: {}", self.cause)?;
        for evidence in &self.evidence {
            write!(f, "\n  {evidence}")?;
        }
        match &self.advice[..] {
            [] => Ok(()),
            [only] => write!(f, "\nWhat to do: {only}"),
            several => {
                write!(f, "\nWhat to do:")?;
                several.iter().try_for_each(|one| write!(f, "\n  - {one}"))
            }
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line { offset, rank: None, text } => write!(f, "at byte {offset}: {text}"),
            Self::Line { offset, rank: Some(rank), text } => {
                write!(f, "at byte {offset}, rank {rank}: {text}")
            }
            Self::Fact { text } => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_for_a_run_names_it_and_its_configuration_and_nothing_else() {
        let check = |advice: &'static str, expected: &str| {
            let diagnosis = Diagnosis {
                id: "any".into(),
                cause: "any".into(),
                advice: vec![advice.into()],
                recoverable: false,
                evidence: vec![],
            };
            assert_eq!(diagnosis.of_run("42-wan", "configs/wan.toml").advice, [expected]);
        };
        check("see `dpgui config check CONFIG`", "see `dpgui config check configs/wan.toml`");
        check("`dpgui train CONFIG --resume`, then", "`dpgui train configs/wan.toml --resume`, then");
        check("`dpgui logs RUN -n 5`; CONFIG_ROOT stays", "`dpgui logs 42-wan -n 5`; CONFIG_ROOT stays");
    }
}
