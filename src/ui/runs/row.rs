//! A run as one row of a table, kept up to date while it trains.

use std::collections::HashMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    output::plain,
    platform::Host,
    run::{RunDir, RunId, brief::Brief, scene::Look, state::RunState, watchdog::Alarm},
    workspace::Workspace,
};

/// A run in a table.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct RunRow {
    pub id: String,
    pub name: String,
    /// One word: `queued`, `training`, `completed`.
    pub state: String,
    /// It is not over.
    pub live: bool,
    /// It waits for its turn.
    pub queued: bool,
    /// How it ended, after "the training".
    pub sentence: Option<String>,
    /// Why it failed, in one sentence.
    pub diagnosis: Option<String>,
    /// What is wrong with it while it goes on, in few words.
    pub wrong: Option<String>,
    pub epoch: Option<u64>,
    pub epochs: Option<u64>,
    pub step: Option<u64>,
    pub total_steps: Option<u64>,
    pub loss: Option<f64>,
    /// Seconds of a step.
    pub pace: Option<f64>,
    pub left_seconds: Option<f64>,
    pub devices: String,
    /// The name of the configuration's file.
    pub config: String,
    pub started: Timestamp,
    /// From its start to its end; `null` while it goes on.
    pub seconds: Option<f64>,
}

/// Rows of all runs, those that are over kept in mind: their files do not change any more.
#[derive(Debug, Default)]
pub struct Rows {
    over: HashMap<RunId, RunRow>,
    live: HashMap<RunId, Look>,
}

impl Rows {
    /// The newest first. What cannot be read is left out.
    pub fn refresh(&mut self, host: &Host, workspace: &Workspace) -> Vec<RunRow> {
        let dirs = RunDir::all(workspace).unwrap_or_default();
        self.over.retain(|id, _| dirs.iter().any(|dir| dir.id() == id));
        self.live.retain(|id, _| dirs.iter().any(|dir| dir.id() == id));
        dirs.iter().filter_map(|dir| self.row(host, dir)).collect()
    }

    fn row(&mut self, host: &Host, dir: &RunDir) -> Option<RunRow> {
        if let Some(row) = self.over.get(dir.id()) {
            return Some(row.clone());
        }
        let look = match self.live.remove(dir.id()) {
            Some(look) => Some(look),
            None => Look::new(host, dir).ok(),
        };
        let mut row = row(dir)?;
        if let Some(mut look) = look {
            if look.refresh().is_ok() {
                let scene = look.scene();
                row.epoch = scene.epoch;
                row.epochs = scene.epochs;
                row.total_steps = scene.total_steps;
                row.pace = scene.pace;
                row.left_seconds = scene.left.map(|it| it.as_secs_f64()).filter(|_| row.live);
                if row.live && !scene.doing.is_empty() {
                    row.state.clone_from(&scene.doing);
                }
            }
            if row.live {
                self.live.insert(dir.id().clone(), look);
            }
        }
        if !row.live {
            self.over.insert(dir.id().clone(), row.clone());
        }
        Some(row)
    }
}

impl RunRow {
    /// What is found out from step to step, taken from an earlier look; how the run is, is known better now.
    pub(super) fn take_pace(&mut self, known: Self) {
        self.epoch = known.epoch;
        self.epochs = known.epochs;
        self.total_steps = known.total_steps.or(self.total_steps);
        self.pace = known.pace;
        if self.live && known.live {
            self.left_seconds = known.left_seconds;
            self.state = known.state;
        }
    }
}

/// `None` for a damaged one.
pub(super) fn row(dir: &RunDir) -> Option<RunRow> {
    let run = Brief::of(dir).ok()?;
    let outcome = run.state.outcome();
    Some(RunRow {
        id: dir.id().to_string(),
        name: dir.id().name().as_str().to_owned(),
        state: run.word.clone(),
        live: outcome.is_none(),
        queued: run.state == RunState::Queued,
        sentence: run.sentence(),
        diagnosis: run.diagnosis.as_ref().filter(|it| it.is_known()).map(|it| it.cause.to_string()),
        wrong: run.alarm.map(Alarm::short),
        epoch: None,
        epochs: None,
        step: run.step,
        total_steps: run.spec.total_steps(),
        loss: run.loss,
        pace: None,
        left_seconds: None,
        devices: run.spec.place(),
        config: run.spec.source.file_name().map(plain::name).unwrap_or_default(),
        started: run.spec.created,
        seconds: run.is_over().then(|| run.seconds()),
    })
}
