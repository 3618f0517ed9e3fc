//! What a run is called: when it was created and a name, so that folders sort by age.

use std::{fmt, str::FromStr};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Serialize};

/// UTC, seconds: the part of an id before its name.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// `20261123T045512Z-wan`: the time of creation in UTC and a [`RunName`]; `20261123T045512Z.2-wan` is the second run of
/// that name within a second.
///
/// The number is no part of the name: what people call `wan` is never another run that they called `wan-2`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RunId {
    created: Timestamp,
    number: u32,
    name: RunName,
}

/// Letters, digits, `.`, `_` and `-`, the first one a letter or digit, at most 64: a file name anywhere, and never
/// taken for an option.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName(String);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error(
        "`{0}` is no name for a run: letters, digits, `.`, `_` and `-`, at most 64, the first a letter or digit"
    )]
    Name(String),
    #[error("`{0}` is not the id of a run")]
    Id(String),
}

impl RunId {
    pub fn new(now: Timestamp, name: RunName) -> Self {
        // What the id does not show it must not know either: it is read back from the folder's name.
        Self { created: Timestamp::from_second(now.as_second()).unwrap_or(now), number: 1, name }
    }

    /// For the next run of that name within the second.
    #[must_use]
    pub fn next(self) -> Self {
        Self { number: self.number + 1, ..self }
    }

    pub const fn created(&self) -> Timestamp {
        self.created
    }

    pub const fn name(&self) -> &RunName {
        &self.name
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.created.strftime(TIME))?;
        if self.number > 1 {
            write!(f, ".{}", self.number)?;
        }
        write!(f, "-{}", self.name)
    }
}

impl FromStr for RunId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let parts = text.split_once('-').and_then(|(start, name)| {
            let (time, number) = start.split_once('.').unwrap_or((start, "1"));
            let created = DateTime::strptime(TIME, time).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp();
            Some(Self { created, number: number.parse().ok()?, name: name.parse().ok()? })
        });
        // What is read is what would be written: no second spelling of an id.
        parts.filter(|id| id.to_string() == text).ok_or_else(|| IdError::Id(text.to_owned()))
    }
}

impl RunName {
    /// The nearest name to `text` that is one; `run` if nothing of it can stay.
    pub fn from_any(text: &str) -> Self {
        let allowed = |c: char| if is_inner(c) { c } else { '-' };
        let name: String =
            text.chars().map(allowed).skip_while(|c| !c.is_ascii_alphanumeric()).take(64).collect();
        Self(if name.is_empty() { "run".to_owned() } else { name })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RunName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = text.len() <= 64 && text.chars().all(is_inner);
        match text.chars().next() {
            Some(first) if fits && first.is_ascii_alphanumeric() => Ok(Self(text.to_owned())),
            _ => Err(IdError::Name(text.to_owned())),
        }
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for RunId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

fn is_inner(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_as_it_was_written_and_nothing_else_is_one() {
        let check = |text: &str, valid: bool| {
            let read = RunId::from_str(text);
            assert_eq!(read.is_ok(), valid, "{text}: {read:?}");
            assert!(read.is_err() || read.is_ok_and(|id| id.to_string() == text));
        };
        check("20261123T045512Z-wan", true);
        check("20261123T045512Z-wan-2.1_a", true);
        check("20261123T045512Z.2-wan", true);
        check("20261123T045512Z.1-wan", false);
        check("20261123T045512Z.0-wan", false);
        check("20261123T045512Z.02-wan", false);
        check("20261123T045512Z.-wan", false);
        check("20261123T045512Z-", false);
        check("20261123T045512Z", false);
        check("20261323T045512Z-wan", false);
        check("20261123T045512Z--wan", false);
        check("20261123T045512Z-../wan", false);
        check("2026-11-23", false);
        check(".20261123T045512Z-wan", false);
    }

    #[test]
    fn ids_sort_by_age_and_keep_the_time_of_creation() {
        let id = |time: &str| RunId::new(time.parse().expect("a time"), RunName::from_any("z"));
        let (early, late) = (id("2026-11-23T04:55:12Z"), id("2026-11-23T04:55:13Z"));
        assert!(early < late && early.to_string() < late.to_string());
        let second = early.clone().next();
        assert!(
            early < second && early.to_string() < second.to_string() && second.to_string() < late.to_string()
        );
        assert_eq!((second.name(), second.created()), (early.name(), early.created()));
        assert_eq!(early.created().to_string(), "2026-11-23T04:55:12Z");
    }

    #[test]
    fn any_file_name_gives_a_name() {
        let check = |text: &str, expected: &str| {
            let name = RunName::from_any(text);
            assert_eq!(name.as_str(), expected);
            assert_eq!(name.as_str().parse::<RunName>(), Ok(name.clone()));
        };
        check("wan_2.1", "wan_2.1");
        check("my config (1)", "my-config--1-");
        check("--help", "help");
        check("ж", "run");
        check("", "run");
    }
}
