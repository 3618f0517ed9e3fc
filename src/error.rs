//! What every failure of dpgui is made of: a kind (the exit code), a chain of causes and one hint.
//!
//! Domain modules have their own `thiserror` enums and say by [`Report`] what kind each variant is and what
//! the reader should do next. [`Error`] captures all three at the border; only `main` turns it into an exit code.

use std::{error::Error as StdError, fmt, io::ErrorKind};

/// What went wrong, in the one dimension a script can act on. The numbers are documented API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The thing itself failed: a training, a check.
    Failed,
    /// The command line, or a file the user wrote, is wrong.
    Usage,
    /// A server cannot be reached or does not answer properly.
    Network,
    /// A digest does not match, an archive is damaged or hostile.
    Integrity,
    /// Somebody else holds the lock.
    Locked,
    /// The disk is full, or a permission is missing.
    Disk,
    /// Offline, and something that is needed is not here.
    Offline,
    /// This machine's architecture, driver, Python or file system cannot do it.
    Unsupported,
    /// `dpgui.lock` does not describe what is wanted any more.
    LockOutdated,
    /// `--plan --detailed-exitcode`: there is something to do.
    ChangesPending,
    /// dpgui itself is wrong.
    Bug,
    /// Ended by SIGINT, or a run that was stopped on request.
    Interrupted,
    /// Ended by SIGTERM.
    Terminated,
}

impl Kind {
    /// The process exit code of this kind.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Network => 3,
            Self::Integrity => 4,
            Self::Locked => 5,
            Self::Disk => 6,
            Self::Offline => 7,
            Self::Unsupported => 8,
            Self::LockOutdated => 9,
            Self::ChangesPending => 10,
            Self::Bug => 70,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The kind of a failed file operation: nearly always the disk or a permission; else the path does not name what
    /// its user thinks, or the text there is none.
    pub fn of_io(source: &std::io::Error) -> Self {
        match source.kind() {
            ErrorKind::NotADirectory | ErrorKind::InvalidFilename | ErrorKind::InvalidData => Self::Usage,
            _ => Self::Disk,
        }
    }
}

/// What a domain error adds to its text: the kind, and the reader's next move.
pub trait Report: StdError + Send + Sync + 'static {
    fn kind(&self) -> Kind;
    /// One thing to do, as an imperative without a full stop.
    fn hint(&self) -> Option<String>;
}

/// An error on its way to the user: kind, the chain of messages from effect to cause, one hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    messages: Vec<String>,
    hint: Option<String>,
}

impl Error {
    /// An error without a domain type of its own, for the commands' own checks.
    pub fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self { kind, messages: vec![message.to_string()], hint: None }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    #[must_use]
    pub fn caused_by(mut self, cause: impl fmt::Display) -> Self {
        self.messages.push(cause.to_string());
        self
    }

    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The effect first, its cause after it, and so on.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }

    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl<E: Report> From<E> for Error {
    fn from(error: E) -> Self {
        let mut messages = vec![error.to_string()];
        let mut source = error.source();
        while let Some(cause) = source {
            messages.push(cause.to_string());
            source = cause.source();
        }
        // Libraries like to repeat their cause in their own text; each fact is said once.
        messages.dedup_by(|cause, effect| effect.ends_with(cause.as_str()));
        Self { kind: error.kind(), messages, hint: error.hint() }
    }
}

/// An error in one line, for where no chain is shown: what failed, and in brackets what it came down to.
pub fn in_one_line(error: &dyn StdError) -> String {
    let innermost = std::iter::successors(error.source(), |cause| StdError::source(*cause)).last();
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    let told = first_line(error.to_string());
    match innermost.map(|it| first_line(it.to_string())) {
        Some(cause) if !told.ends_with(&cause) => format!("{told} ({cause})"),
        _ => told,
    }
}

/// `error: …`, indented causes, a blank line and the hint, as the user sees it.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut messages = self.messages.iter();
        write!(f, "error: {}", messages.next().map_or("unknown", String::as_str))?;
        for cause in messages {
            write!(f, "\n  caused by: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n\nhint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot write `/w/venv`")]
    struct Outer(#[source] std::io::Error);

    impl Report for Outer {
        fn kind(&self) -> Kind {
            Kind::Disk
        }
        fn hint(&self) -> Option<String> {
            Some("free 12 GiB on `/w`, then run `dpgui setup` again".to_owned())
        }
    }

    #[test]
    fn an_error_in_one_line_keeps_its_innermost_cause() {
        let cause = std::io::Error::other(Outer(std::io::Error::other("refused\nsaid the server")));
        assert_eq!(in_one_line(&Outer(cause)), "cannot write `/w/venv` (refused)");
    }

    #[test]
    fn an_error_shows_its_causes_once_and_then_the_hint() {
        let error = Error::from(Outer(std::io::Error::other("no space left on device")));
        assert_eq!(
            error.to_string(),
            "error: cannot write `/w/venv`\n  caused by: no space left on device\n\n\
             hint: free 12 GiB on `/w`, then run `dpgui setup` again"
        );
        assert_eq!(error.kind().exit_code(), 6);
    }
}
