//! The folder that the trainer makes for itself under `output_dir`: where it saves, and where it looks for requests.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use serde::Serialize;

use crate::platform::{
    clock,
    fs::{self, FsError},
};

use super::{
    checkpoints::{Checkpoint, Contents, LATEST},
    dir::RunDir,
    list,
    spec::Spec,
};

/// A line of `events.jsonl`.
#[derive(Debug, Serialize)]
pub struct Rewound {
    event: &'static str,
    from: String,
    to: String,
}

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

/// Waits until the live runs that were just started in `output_dir` have their folders.
///
/// The trainer calls its folder by the second in which it makes it, and takes one that is there already: two runs that
/// are started together would write into the same one.
pub fn keep_apart(live: &[(RunDir, Spec)], output_dir: &Path) {
    while is_crowded(live, output_dir) {
        clock::pause(LOOK_EVERY);
    }
}

/// One of the live runs was just started in `output_dir` and has no folder there yet.
pub fn is_crowded(live: &[(RunDir, Spec)], output_dir: &Path) -> bool {
    let place = fs::real_path(output_dir);
    live.iter().any(|(dir, spec)| {
        let is_young = clock::now().duration_since(spec.created) < HEAD_START;
        let is_there = spec.resumes.is_none() && fs::real_path(&spec.output_dir) == place;
        is_there && is_young && list::is_live(dir) && !has_second_of_its_own(spec)
    })
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

    /// That of a run; `None` as well where its files cannot be read.
    pub fn of(dir: &RunDir) -> Option<Self> {
        Self::find(&dir.spec().ok()?).ok()?
    }

    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// By the one name that it has, whatever links lead there.
    pub fn place(&self) -> PathBuf {
        fs::real_path(&self.path)
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

    /// As the trainer wants to be told: the name where it makes its folders now, a whole path elsewhere.
    pub fn name_in(&self, output_dir: &Path) -> String {
        self.path.strip_prefix(output_dir).unwrap_or(&self.path).to_string_lossy().into_owned()
    }

    /// Everything in it.
    pub fn contents(&self) -> Result<Contents, FsError> {
        Contents::of(&self.path)
    }

    /// Makes the checkpoint of `step` the one that the trainer loads; what there is to record, if another one was.
    pub fn rewind_to(&self, step: u64) -> Result<Option<Rewound>, FsError> {
        let latest = self.path.join(LATEST);
        let from = fs::read_optional(&latest)?.unwrap_or_default().trim().to_owned();
        let to = format!("global_step{step}");
        if from == to {
            return Ok(None);
        }
        fs::write_atomic(&latest, &to)?;
        Ok(Some(Rewound { event: "latest-rewritten", from, to }))
    }

    /// The checkpoint to go on from.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, FsError> {
        Ok(self.contents()?.usable().cloned())
    }
}
