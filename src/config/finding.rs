//! What is wrong with a configuration, where, and what to do: one line that an editor can jump to.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    pub file: PathBuf,
    #[serde(flatten)]
    pub position: Position,
    pub message: String,
    /// One thing to do, as an imperative.
    pub fix: Option<String>,
}

impl Finding {
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
    pub fn fix(mut self, fix: impl fmt::Display) -> Self {
        self.fix = Some(fix.to_string());
        self
    }

    fn new(
        severity: Severity,
        id: &'static str,
        (file, position): (&Path, Position),
        message: impl fmt::Display,
    ) -> Self {
        Self { id, severity, file: file.to_owned(), position, message: message.to_string(), fix: None }
    }
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
