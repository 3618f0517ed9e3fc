//! What is wrong with a configuration, where, what happens if it stays so, and what to do: one line that an editor
//! can jump to, and what belongs to it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Serialize, Serializer};

use super::{
    edit::Edit,
    facts,
    schema::{Effect, When},
};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The training cannot work.
    Error,
    /// It can, but hardly as meant.
    Warning,
    /// Worth knowing; nothing to do.
    Note,
}

/// A place in a file, both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    /// Where a finding points that is about the whole file.
    pub const START: Self = Self { line: 1, column: 1 };
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's name: stable, so that scripts can look for it.
    pub id: &'static str,
    pub severity: Severity,
    #[serde(serialize_with = "crate::output::lossy")]
    pub file: PathBuf,
    #[serde(flatten)]
    pub position: Position,
    pub message: String,
    /// When the trainer would notice, or when it would count.
    pub when: Option<When>,
    /// What happens if it stays as it is.
    pub consequence: Option<String>,
    /// One thing to do, as an imperative.
    pub fix: Option<String>,
    /// The key that it is about, as `config set` takes it, where the rule said which.
    #[serde(skip)]
    pub key: Option<String>,
    /// What `--fix` would do; only what keeps the meaning, or gives it back.
    #[serde(rename = "fixable", serialize_with = "is_some")]
    pub edit: Option<Edit>,
}

impl Finding {
    /// As bad as the rule says: what the trainer does in silence is a warning.
    pub fn of(id: &'static str, at: (&Path, Position), message: impl fmt::Display) -> Self {
        let silent = facts::of(id).is_some_and(|it| it.effect == Effect::Silent);
        Self::new(if silent { Severity::Warning } else { Severity::Error }, id, at, message)
    }

    pub fn error(id: &'static str, at: (&Path, Position), message: impl fmt::Display) -> Self {
        Self::new(Severity::Error, id, at, message)
    }

    pub fn warning(id: &'static str, at: (&Path, Position), message: impl fmt::Display) -> Self {
        Self::new(Severity::Warning, id, at, message)
    }

    pub fn note(id: &'static str, at: (&Path, Position), message: impl fmt::Display) -> Self {
        Self::new(Severity::Note, id, at, message)
    }

    #[must_use]
    pub(super) fn about(mut self, key: String) -> Self {
        self.key = Some(key).filter(|it| !it.is_empty());
        self
    }

    #[must_use]
    pub fn fix(mut self, fix: impl fmt::Display) -> Self {
        self.fix = Some(fix.to_string());
        self
    }

    /// What happens here, where that is more, or less, than what the rule says of all cases.
    #[must_use]
    pub fn consequence(mut self, consequence: impl fmt::Display) -> Self {
        self.consequence = Some(consequence.to_string());
        self
    }

    #[must_use]
    pub fn edit(mut self, edit: impl Into<Option<Edit>>) -> Self {
        self.edit = edit.into();
        self
    }

    /// `AssertionError (after caching and loading)`; what people read who ask whether they have to care.
    pub fn outcome(&self) -> Option<String> {
        let consequence = self.consequence.as_deref()?;
        Some(match self.when.map(facts::moment) {
            Some(moment) if !says_when(consequence) => format!("{consequence} ({moment})"),
            _ => consequence.to_owned(),
        })
    }

    fn new(
        severity: Severity,
        id: &'static str,
        (file, position): (&Path, Position),
        message: impl fmt::Display,
    ) -> Self {
        let fact = facts::of(id);
        Self {
            id,
            severity,
            file: file.to_owned(),
            position,
            message: message.to_string(),
            when: fact.map(|it| it.when),
            consequence: fact.map(|it| it.if_broken.to_owned()),
            fix: None,
            key: None,
            edit: None,
        }
    }
}

/// A rule's own words about when are more exact.
fn says_when(consequence: &str) -> bool {
    [" after ", " while ", " at the ", " before ", " says nothing"]
        .iter()
        .any(|word| consequence.contains(word))
}

/// `/w/configs/a.toml:3:1: error[epochs-present]: the key `epochs` is missing`, as compilers do.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, severity, file, position: Position { line, column }, message, .. } = self;
        write!(f, "{}:{line}:{column}: {severity}[{id}]: {message}", file.display())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn is_some<S: Serializer>(edit: &Option<Edit>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(edit.is_some())
}
