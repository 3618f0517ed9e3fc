//! The queue: who waits, and who is put where.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Kind},
    run::{
        RunError, RunId,
        queue::{self, Queue},
    },
    workspace::Workspace,
};

use super::{
    App,
    failure::{Answer, Failure},
    routes::Nothing,
    runs::{OfRun, dir},
};

/// Who waits, the next one first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct QueueState {
    /// Nobody begins.
    held: bool,
    /// Why, and what lets them begin, as the terminal says it.
    why_held: Option<String>,
    entries: Vec<Waiting>,
    /// Why it cannot be told.
    problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Waiting {
    run: String,
    /// It lets others pass.
    held: bool,
    /// What it waits for, in words.
    waits_for: String,
    devices: String,
}

impl QueueState {
    pub fn of(workspace: &Workspace) -> Self {
        match Queue::load(workspace) {
            Ok(queue) => {
                let entries = (0..queue.entries.len()).map(|at| Waiting::of(&queue, at)).collect();
                Self { held: queue.is_held(), why_held: queue.why_held(), entries, problem: None }
            }
            Err(cause) => Self { problem: Some(cause.to_string()), ..Self::default() },
        }
    }
}

impl Waiting {
    fn of(queue: &Queue, at: usize) -> Self {
        let entry = &queue.entries[at];
        Self {
            run: entry.run.to_string(),
            held: entry.held,
            waits_for: queue.waits_for(at),
            devices: entry.claim.to_string(),
        }
    }
}

pub fn show(app: &App, _: &Nothing) -> Answer<QueueState> {
    Ok(QueueState::of(&app.workspace))
}

/// Whether anybody begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    held: bool,
}

pub fn hold(app: &App, _: &Nothing, body: &Hold) -> Answer<()> {
    Queue::change(&app.workspace, |queue| {
        queue.hold(body.held);
        Ok(())
    })?;
    told(app);
    Ok(())
}

/// Where a run is to be, from 0, or whether it lets others pass.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    to: Option<usize>,
    held: Option<bool>,
}

pub fn place(app: &App, asked: &OfRun, body: &Place) -> Answer<()> {
    let run = dir(&app.workspace, &asked.id)?.id().clone();
    Queue::change(&app.workspace, |queue| {
        let at = queue.position(&run).ok_or_else(|| RunError::NotQueued { id: run.clone() })?;
        if let Some(held) = body.held {
            queue.entries[at].held = held;
        }
        if let Some(to) = body.to {
            queue.put(&run, to);
        }
        Ok(())
    })?;
    told(app);
    Ok(())
}

pub fn remove(app: &App, asked: &OfRun, _: &Nothing) -> Answer<()> {
    let dir = dir(&app.workspace, &asked.id)?;
    if !crate::run::list::is_queued(&dir) {
        return Err(Failure::conflict(RunError::NotQueued { id: asked.id.clone() }));
    }
    if !queue::withdraw(&app.host, &dir)? {
        return Err(Failure::conflict(began(&asked.id)));
    }
    told(app);
    Ok(())
}

fn began(id: &RunId) -> Error {
    Error::new(Kind::Usage, format!("`{id}` has begun meanwhile")).with_hint("stop it instead")
}

fn told(app: &App) {
    queue::wake(&app.workspace);
    app.hub.look();
}
