//! The number of a commit, which settings name and checkouts are made of.

use std::{fmt, str::FromStr};

use git2::Oid;
use serde::{Deserialize, Serialize};

/// A commit by its full SHA-1, written as 40 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(Oid);

#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a commit: 40 hexadecimal digits are expected")]
pub struct BadCommitId(String);

impl CommitId {
    /// The first ten digits: enough for people.
    pub fn short(self) -> String {
        self.to_string()[..10].to_owned()
    }

    pub const fn oid(self) -> Oid {
        self.0
    }
}

impl FromStr for CommitId {
    type Err = BadCommitId;

    fn from_str(text: &str) -> Result<Self, BadCommitId> {
        // libgit2 takes short ones too and pads them with zeros.
        let oid = Some(text).filter(|it| it.len() == 40).and_then(|it| Oid::from_str(it).ok());
        oid.map(Self).ok_or_else(|| BadCommitId(text.to_owned()))
    }
}

impl TryFrom<String> for CommitId {
    type Error = BadCommitId;

    fn try_from(text: String) -> Result<Self, BadCommitId> {
        text.parse()
    }
}

impl From<CommitId> for String {
    fn from(commit: CommitId) -> Self {
        commit.to_string()
    }
}

impl From<Oid> for CommitId {
    fn from(oid: Oid) -> Self {
        Self(oid)
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_forty_hexadecimal_digits_and_nothing_that_only_looks_like_it() {
        let whole = "8f83dbf25d03219df705570ec03e62be04bc402f";
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(text.parse::<CommitId>().ok().map(String::from).as_deref(), expected, "{text}");
        };
        check(whole, Some(whole));
        check(&whole.to_uppercase(), Some(whole));
        check(&whole[..39], None);
        check(&format!("{whole}0"), None);
        check("main", None);
        check(&whole.replace('8', "g"), None);
        let json = serde_json::from_str::<CommitId>("\"v1.0\"").expect_err("a tag").to_string();
        assert_eq!(json, "`v1.0` is not a commit: 40 hexadecimal digits are expected");
    }
}
