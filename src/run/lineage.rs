//! Runs that went on in the trainer's folder of another one: who came before a run, and who after.

use jiff::Timestamp;

use crate::platform::fs;

use super::{RunError, checkpoints::Contents, dir::RunDir, folder::TrainerFolder, id::RunId, spec::Spec};

/// What a run shares with others.
#[derive(Debug, Default)]
pub struct Lineage {
    pub folder: Option<TrainerFolder>,
    /// The one that this one went on from, if it is still there.
    pub before: Option<RunId>,
    /// When the next one took over. What is in the folder from then on is not this one's.
    pub until: Option<Timestamp>,
}

impl Lineage {
    /// # Errors
    /// When the workspace's runs or the trainer's folder cannot be listed.
    pub fn of(dir: &RunDir, spec: &Spec) -> Result<Self, RunError> {
        let Some(folder) = TrainerFolder::find(spec)? else { return Ok(Self::default()) };
        let place = fs::real_path(folder.path());
        let mut lineage = Self { folder: Some(folder), before: None, until: None };
        // The newest first.
        for other in RunDir::all(&dir.workspace())?.into_iter().filter(|it| it.id() != dir.id()) {
            let Ok(theirs) = other.spec() else { continue };
            let is_there = || {
                let folder = TrainerFolder::find(&theirs).ok().flatten();
                folder.is_some_and(|it| fs::real_path(it.path()) == place)
            };
            if theirs.created > spec.created {
                if theirs.resumes.is_some() && is_there() {
                    lineage.until = Some(theirs.created);
                }
            } else if spec.resumes.is_none() {
                break;
            } else if is_there() {
                lineage.before = Some(other.id().clone());
                break;
            }
        }
        Ok(lineage)
    }

    /// What the run has left in its folder.
    pub fn contents(&self) -> Result<Contents, RunError> {
        let Some(folder) = &self.folder else { return Ok(Contents::default()) };
        let mut contents = folder.contents()?;
        if let Some(until) = self.until {
            contents.checkpoints.retain(|it| it.written < until);
            contents.models.retain(|it| it.written < until);
            // What `latest` names by now is somebody else's; at this run's end it named the last one.
            if let (None, Some(last)) = (contents.latest(), contents.checkpoints.last()) {
                let step = last.step;
                contents.checkpoints.iter_mut().for_each(|it| it.is_latest = it.step == step);
            }
        }
        Ok(contents)
    }
}
