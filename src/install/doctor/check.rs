//! What a check says: how good or bad it is, what was found, what to do about it.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::error::{Error, Report};

use super::super::plan::StepId;

/// From fine to bad. Only a problem makes `dpgui doctor` fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// Nothing is wrong; somebody may want to know it.
    Note,
    /// It works, or some of it does; not for every training.
    Warning,
    /// A training, or the next setup, will fail by it.
    Problem,
}

/// The part of the world that is looked at. The order is the one in which a report is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    Workspace,
    Files,
    Environment,
    Machine,
    Storage,
    Network,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable, documented API: `dev-shm`.
    pub id: &'static str,
    /// Which one, where there are several: a repository, a GPU, a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub verdict: Verdict,
    pub found: String,
    /// One thing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What `--fix` does about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// What can be mended without asking: none of it touches anything that the user made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Fix {
    /// Removes what setups that were killed left behind.
    RemoveLeftovers { paths: Vec<PathBuf> },
    /// Gives runs whose supervisors are dead new ones.
    AdoptRuns,
    /// Makes anew what a setup made and somebody damaged, where it holds nothing of anybody else.
    Rebuild { step: Box<StepId> },
    /// Removes from the cache what nobody needs.
    SweepCache,
    /// Sets up what is not there in a workspace where a setup was begun.
    SetUp,
}

impl Check {
    pub fn new(id: &'static str, verdict: Verdict, found: impl fmt::Display) -> Self {
        Self { id, subject: None, verdict, found: found.to_string(), advice: None, fix: None }
    }

    pub fn ok(id: &'static str, found: impl fmt::Display) -> Self {
        Self::new(id, Verdict::Ok, found)
    }

    pub fn note(id: &'static str, found: impl fmt::Display) -> Self {
        Self::new(id, Verdict::Note, found)
    }

    pub fn warning(id: &'static str, found: impl fmt::Display) -> Self {
        Self::new(id, Verdict::Warning, found)
    }

    pub fn problem(id: &'static str, found: impl fmt::Display) -> Self {
        Self::new(id, Verdict::Problem, found)
    }

    /// A probe that failed: what failed with its causes, and its own hint.
    pub fn failed(id: &'static str, error: impl Report) -> Self {
        Self::of_error(id, &Error::from(error))
    }

    pub fn of_error(id: &'static str, error: &Error) -> Self {
        let check = Self::problem(id, error.messages().join(": "));
        match error.hint() {
            Some(hint) => check.advise(hint),
            None => check,
        }
    }

    #[must_use]
    pub fn about(mut self, subject: impl fmt::Display) -> Self {
        self.subject = Some(subject.to_string());
        self
    }

    #[must_use]
    pub fn advise(mut self, advice: impl fmt::Display) -> Self {
        self.advice = Some(advice.to_string());
        self
    }

    #[must_use]
    pub fn mended_by(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        })
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Workspace => "Workspace",
            Self::Files => "Files",
            Self::Environment => "Environment",
            Self::Machine => "Machine",
            Self::Storage => "Storage",
            Self::Network => "Network",
        })
    }
}

/// A check in one line, as tests compare it.
#[cfg(test)]
pub(super) fn told(check: &Check) -> String {
    let Check { id, subject, verdict, found, advice, .. } = check;
    let about = subject.as_ref().map_or(String::new(), |it| format!("({it})"));
    let advice = advice.as_ref().map_or(String::new(), |it| format!(" -> {it}"));
    format!("{verdict} {id}{about}: {found}{advice}")
}
