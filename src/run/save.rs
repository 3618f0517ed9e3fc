//! A checkpoint on request, while the training goes on.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    output::{Event, Line},
    platform::{Host, clock::Stopwatch, fifo, watch::Watch},
};

use super::{
    RunError, adopt,
    checkpoints::Checkpoint,
    dir::RunDir,
    folder::TrainerFolder,
    id::RunId,
    nodes::NodesError,
    state::{RunState, Save},
    stop::{ASK_EVERY, LOOK_EVERY},
    supervise::Command,
};

/// A checkpoint was written because somebody asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "checkpoint-saved")]
pub struct Saved {
    pub run: RunId,
    pub step: u64,
    pub checkpoint: PathBuf,
}

/// Asks for a checkpoint, without waiting for it: the log says when it is written.
pub fn request(host: &Host, dir: &RunDir) -> Result<(), RunError> {
    NodesError::if_part(dir, "save")?;
    adopt::adopt(host, dir)?;
    fifo::send(&dir.control(), &serde_json::to_string(&Command::Save).unwrap_or_default())?;
    Ok(())
}

/// Asks for a checkpoint and waits until it is there, telling `on_stage` what is being waited for.
///
/// # Errors
/// When the run does not train, ends meanwhile, or has not saved in the time that a save may take.
pub fn save(host: &Host, dir: &RunDir, mut on_stage: impl FnMut(&'static str)) -> Result<Saved, RunError> {
    NodesError::if_part(dir, "save")?;
    let watch = Watch::new(dir.path());
    let spec = dir.spec()?;
    let newest = || -> Result<Option<Checkpoint>, RunError> {
        Ok(TrainerFolder::find(&spec)?.map(|it| it.checkpoint()).transpose()?.flatten())
    };
    let before = newest()?.map(|it| it.step);
    let since = Stopwatch::start();
    let mut asked: Option<Stopwatch> = None;
    let mut patience = None;
    loop {
        adopt::adopt(host, dir)?;
        let running = match dir.snapshot()?.map(|it| it.state) {
            Some(RunState::Running(running)) => running,
            Some(RunState::Ended(_)) => return Err(RunError::EndedMeanwhile { id: dir.id().clone() }),
            Some(state) => return Err(RunError::NothingToSave { id: dir.id().clone(), doing: state.word() }),
            None => return Err(RunError::NothingToSave { id: dir.id().clone(), doing: "starting" }),
        };
        if !running.has_trained() {
            let doing = running.evidence.phase.word();
            return Err(RunError::NothingToSave { id: dir.id().clone(), doing });
        }
        let patience = *patience.get_or_insert_with(|| running.evidence.patience());
        if running.save.is_none()
            && let Some(Checkpoint { step, path, .. }) = newest()?.filter(|it| Some(it.step) > before)
        {
            return Ok(Saved { run: dir.id().clone(), step, checkpoint: path });
        }
        if since.elapsed() > patience {
            return Err(RunError::NotSaved { id: dir.id().clone(), after: patience });
        }
        on_stage(running.save.map_or("asking", Save::sentence));
        // A supervisor may die with the request in its hands.
        if running.save.is_none() && asked.is_none_or(|it| it.elapsed() >= ASK_EVERY) {
            request(host, dir)?;
            asked = Some(Stopwatch::start());
        }
        watch.wait(LOOK_EVERY);
    }
}

impl Save {
    /// What is being waited for, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Wanted => "waiting for the end of a step",
            Self::Asked => "waiting for the trainer to look",
            Self::Writing => "writing the checkpoint",
        }
    }
}

impl Event for Saved {
    fn line(&self) -> Option<Line> {
        let text = format!("{}: step {}: {}", self.run, self.step, self.checkpoint.display());
        Some(Line { verb: "Saved", text })
    }
}
