//! What a start has to say, for people and for programs.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    config::on_resume::Change,
    output::{Event, Line},
    platform::process::as_typed,
    run::{RunId, data::DataSummary},
};

/// A run waits for its turn.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "run-queued")]
pub(super) struct Queued<'a> {
    pub(super) run: &'a RunId,
    pub(super) folder: PathBuf,
    pub(super) on: String,
    pub(super) place: usize,
}

/// What one could type.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "command")]
pub(super) struct Command<'a> {
    /// A line for a shell.
    pub(super) command: &'a str,
}

/// A run has begun.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "run-started")]
pub(super) struct Begun<'a> {
    pub(super) run: &'a RunId,
    pub(super) folder: PathBuf,
    pub(super) on: String,
    pub(super) port: u16,
    /// The step of the checkpoint that it goes on from.
    pub(super) resumes_step: Option<u64>,
    /// Whose checkpoint that is, if it was a run of this workspace.
    pub(super) resumes_run: Option<&'a RunId>,
    /// The trainer's folder that it goes on in.
    pub(super) resumes_folder: Option<&'a Path>,
}

/// A script goes on with a run again and again, and there is nothing left to do.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "run-complete")]
pub(super) struct Done {
    pub(super) run: RunId,
    pub(super) step: Option<u64>,
}

impl Event for DataSummary {
    fn line(&self) -> Option<Line> {
        let all = self.files == self.files_trained && self.samples == self.samples_trained;
        let look =
            || as_typed(["dpgui".as_ref(), "data".as_ref(), "check".as_ref(), self.config.as_os_str()]);
        let more = if all { String::new() } else { format!(": `{}`", look()) };
        Some(Line { verb: "Data", text: format!("{}{more}", self.text) })
    }
}

impl Event for Change {
    fn line(&self) -> Option<Line> {
        Some(Line { verb: "Changed", text: self.sentence() })
    }
}

impl Event for Queued<'_> {
    fn line(&self) -> Option<Line> {
        let text = format!(
            "{} for {}, at place {}; `dpgui queue` shows what it waits for",
            self.run, self.on, self.place
        );
        Some(Line { verb: "Queued", text })
    }
}

impl Event for Begun<'_> {
    fn line(&self) -> Option<Line> {
        let of = self.resumes_run.map(|run| format!(" of {run}")).unwrap_or_default();
        let folder = self.resumes_folder.map(|it| format!(", in `{}`", it.display())).unwrap_or_default();
        let resumed = self.resumes_step.map(|it| format!(", from the checkpoint at step {it}{of}{folder}"));
        let text = format!("{} on {}{}", self.run, self.on, resumed.unwrap_or_default());
        Some(Line { verb: "Training", text })
    }
}

impl Event for Done {
    fn line(&self) -> Option<Line> {
        let step = self.step.map(|it| format!(", at step {it}")).unwrap_or_default();
        let text = format!("{} is complete{step}: nothing is left to train", self.run);
        Some(Line { verb: "Already", text })
    }
}
