//! Runs that went on in the trainer's folder of another one: who came before a run, and who after.

use jiff::Timestamp;

use super::{
    RunError, checkpoints::Contents, dir::RunDir, folder::TrainerFolder, id::RunId, outcome::Outcome,
    spec::Spec,
};

/// What a run shares with others.
#[derive(Debug, Default)]
pub struct Lineage {
    pub folder: Option<TrainerFolder>,
    /// The one that this one went on from, if it is still there.
    pub before: Option<RunId>,
    /// Those that went on in its folder later, the first one first.
    pub after: Vec<RunId>,
    /// When the next one took over. What is in the folder from then on is not this one's.
    pub until: Option<Timestamp>,
}

impl Lineage {
    /// # Errors
    /// When the workspace's runs or the trainer's folder cannot be listed.
    pub fn of(dir: &RunDir, spec: &Spec) -> Result<Self, RunError> {
        let Some(folder) = TrainerFolder::find(spec)? else { return Ok(Self::default()) };
        let place = folder.place();
        let mut lineage = Self { folder: Some(folder), ..Self::default() };
        // The newest first.
        for other in RunDir::all(&dir.workspace())?.into_iter().filter(|it| it.id() != dir.id()) {
            let Ok(theirs) = other.spec() else { continue };
            let is_there = || {
                let folder = TrainerFolder::find(&theirs).ok().flatten();
                folder.is_some_and(|it| it.place() == place) && !was_withdrawn(&other)
            };
            // The machines of one run have the same folder at the same time.
            if is_part_of(&theirs, dir) || is_part_of(spec, &other) {
                continue;
            }
            if theirs.created > spec.created {
                if theirs.resumes.is_some() && is_there() {
                    lineage.until = Some(theirs.created);
                    lineage.after.insert(0, other.id().clone());
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

fn is_part_of(spec: &Spec, dir: &RunDir) -> bool {
    spec.origin().is_some_and(|it| it.run == *dir.id())
}

/// It never began.
fn was_withdrawn(dir: &RunDir) -> bool {
    dir.snapshot().ok().flatten().is_some_and(|it| it.state.outcome() == Some(&Outcome::Withdrawn))
}
