//! The folder that the trainer makes for itself under `output_dir`: where it saves, and where it looks for requests.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;

use crate::platform::{
    clock,
    fs::{self, FsError},
};

use super::{dir::RunDir, list, spec::Spec};

/// How long a run may take to make its folder before others in the same `output_dir` are started all the same: those
/// that cache a dataset first take hours, and no two of them take the same.
const HEAD_START: SignedDuration = SignedDuration::from_secs(20);

/// Between two looks for the folder of another run.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// `OUTPUT_DIR/20260820_18-03-33` of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerFolder {
    path: PathBuf,
}

/// A state that training can go on from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    pub step: u64,
    pub path: PathBuf,
}

/// Waits until the live runs that were just started in `output_dir` have their folders.
///
/// The trainer calls its folder by the second in which it makes it, and takes one that is there already: two runs that
/// are started together would write into the same one.
pub fn keep_apart(live: &[(RunDir, Spec)], output_dir: &Path) {
    let place = fs::real_path(output_dir);
    let same = live.iter().filter(|(_, it)| it.resumes.is_none() && fs::real_path(&it.output_dir) == place);
    for (dir, spec) in same {
        let is_young = || clock::now().duration_since(spec.created) < HEAD_START;
        while is_young() && list::is_live(dir) && !has_second_of_its_own(spec) {
            clock::pause(LOOK_EVERY);
        }
    }
}

/// The folder is there, and no other will get its name any more.
fn has_second_of_its_own(spec: &Spec) -> bool {
    let Ok(Some(folder)) = TrainerFolder::find(spec) else { return false };
    let copy = folder.path.join(spec.config.file_name().unwrap_or_default());
    // The copy was made after the folder, which was made after its name.
    fs::modified(&copy).is_ok_and(|made| clock::now().duration_since(made) > SignedDuration::from_secs(1))
}

impl TrainerFolder {
    /// The newest folder that holds a copy of this very run's configuration, or the one that the run continues in.
    ///
    /// The trainer never prints its name, and the time in it has whole seconds only. The copy is told by its bytes:
    /// each run's resolved configuration ends with a line that names the run.
    pub fn find(spec: &Spec) -> Result<Option<Self>, FsError> {
        if let Some(name) = &spec.resumes {
            return Ok(Some(Self { path: spec.output_dir.join(name) }));
        }
        let Some(base) = spec.config.file_name() else { return Ok(None) };
        let Some(wanted) = fs::read_optional(&spec.config)? else { return Ok(None) };
        for name in fs::names(&spec.output_dir)?.into_iter().rev() {
            let path = spec.output_dir.join(name);
            let copy = path.join(base);
            // Files may lie beside the folders; what cannot be read is not ours.
            if fs::read_text(&copy).is_ok_and(|copy| copy == wanted) {
                return Ok(Some(Self { path }));
            }
        }
        Ok(None)
    }

    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks the trainer to save, and to `leave` then: it looks for these files after every step.
    pub fn request_save(&self, leave: bool) -> Result<(), FsError> {
        fs::write_snapshot(&self.path.join(if leave { "save_quit" } else { "save" }), "")
    }

    /// Takes back what was asked of a trainer that ended before it looked: the next one would obey at its first step.
    pub fn forget_requests(&self) -> Result<(), FsError> {
        fs::remove_tree(&self.path.join("save"))?;
        fs::remove_tree(&self.path.join("save_quit"))
    }

    /// The newest checkpoint, if it is whole: `latest` is written last.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, FsError> {
        let Some(latest) = fs::read_optional(&self.path.join("latest"))? else { return Ok(None) };
        let Some(step) = latest.trim().strip_prefix("global_step").and_then(|step| step.parse().ok()) else {
            return Ok(None);
        };
        let path = self.path.join(latest.trim());
        let states = fs::names(&path)?;
        let is_whole = states.iter().any(|name| name.to_string_lossy().ends_with("model_states.pt"))
            && states.iter().all(|name| fs::size(&path.join(name)).is_ok_and(|size| size > 0));
        Ok(is_whole.then_some(Checkpoint { step, path }))
    }

    /// The newest saved model: the `epochN` or `stepN` whose files were written last and whole.
    pub fn model(&self) -> Result<Option<PathBuf>, FsError> {
        let mut newest = None;
        for name in fs::names(&self.path)? {
            let name = name.to_string_lossy();
            let number = name.strip_prefix("epoch").or_else(|| name.strip_prefix("step"));
            if number.is_none_or(|number| number.parse::<u64>().is_err()) {
                continue;
            }
            let dir = self.path.join(&*name);
            let weights =
                fs::names(&dir)?.into_iter().find(|file| file.to_string_lossy().ends_with(".safetensors"));
            let Some(weights) = weights.map(|file| dir.join(file)) else { continue };
            newest = newest.max(Some((fs::modified(&weights)?, weights)));
        }
        Ok(newest.map(|(_, weights)| weights))
    }
}
