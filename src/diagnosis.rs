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
