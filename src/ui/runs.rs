//! Runs as the page shows them: a row each, one in full, its numbers, several side by side, and what begins and ends them.

pub mod begin;
pub mod detail;
pub mod gpus;
pub mod numbers;
pub mod row;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{
    platform::fs,
    run::{RunDir, RunError, RunId},
    workspace::Workspace,
};

use super::{
    App,
    failure::{Answer, Failure},
    routes::Nothing,
};

pub use row::{Rows, RunRow};

/// The run in the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfRun {
    #[schemars(with = "String")]
    pub id: RunId,
}

/// The folder of a run that is there.
pub fn dir(workspace: &Workspace, id: &RunId) -> Answer<RunDir> {
    let dir = RunDir::new(workspace, id.clone());
    if fs::exists(&dir.spec_file()) {
        return Ok(dir);
    }
    Err(Failure::not_found(RunError::Unknown { name: id.to_string(), nearest: vec![] }))
}

/// All runs, the newest first.
pub fn list(app: &App, _: &Nothing) -> Answer<Vec<RunRow>> {
    Ok(app.hub.runs())
}
