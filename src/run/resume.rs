//! The run that a new one goes on from.

use std::path::Path;

use crate::{
    config::{Resume as ConfigResume, TrainConfig},
    platform::fs,
    workspace::Workspace,
};

use super::{
    RunError,
    checkpoints::Checkpoint,
    dir::RunDir,
    folder::TrainerFolder,
    list,
    outcome::Outcome,
    start::{Request, Resume, Site},
};

/// The trainer's folder to continue in.
#[derive(Clone, Debug)]
pub struct Continued {
    pub folder: TrainerFolder,
    pub checkpoint: Checkpoint,
    /// Whose it is; unknown where the configuration names a folder.
    pub run: Option<RunDir>,
}

/// The folder to go on in. The trainer itself would make an empty one of a wrong name, and start from step 1.
///
/// # Errors
/// Nothing to go on from, nothing left to do, or a live run there.
pub fn find(site: Site<'_>, config: &TrainConfig, request: &Request) -> Result<Option<Continued>, RunError> {
    let all = RunDir::all(site.workspace)?;
    let Some(found) = wanted(site, config, request, &all)? else { return Ok(None) };
    // Two trainers in one folder would overwrite each other's checkpoints. It may be called by several names.
    let place = fs::real_path(found.folder.path());
    let trains_there = |dir: &&RunDir| {
        let folder = dir.spec().ok().and_then(|spec| TrainerFolder::find(&spec).ok().flatten());
        list::is_live(dir) && folder.is_some_and(|folder| fs::real_path(folder.path()) == place)
    };
    if let Some(dir) = all.iter().find(trains_there) {
        return Err(RunError::StillRunning { id: dir.id().clone() });
    }
    match &found.run {
        Some(run) if is_complete(run, config, site) => {
            Err(RunError::AlreadyComplete { id: run.id().clone(), step: found.checkpoint.step })
        }
        _ => Ok(Some(found)),
    }
}

fn wanted(
    Site { host, workspace, .. }: Site<'_>,
    config: &TrainConfig,
    request: &Request,
    all: &[RunDir],
) -> Result<Option<Continued>, RunError> {
    let of_run =
        |dir: &RunDir| Continued::of(TrainerFolder::find(&dir.spec().ok()?).ok()??, Some(dir.clone()));
    match (&request.resume, &config.training.resume) {
        (Some(Resume::Run(name)), _) => {
            let dir = list::find(workspace, name)?;
            let nothing = || RunError::NoCheckpoint { folder: dir.id().to_string() };
            of_run(&dir).ok_or_else(nothing).map(Some)
        }
        (Some(Resume::Newest), _) | (None, ConfigResume::Newest) => {
            let same = |dir: &&RunDir| dir.spec().is_ok_and(|spec| spec.source == request.config);
            let nothing = || RunError::NothingToResume { config: request.config.clone() };
            all.iter().filter(same).find_map(of_run).ok_or_else(nothing).map(Some)
        }
        (None, ConfigResume::Run(name)) => {
            let written = Path::new(config.training.output_dir.as_deref().unwrap_or_default());
            let output_dir = workspace.root().join(host.env.expand_home(written));
            let nothing = || RunError::NoCheckpoint { folder: name.clone() };
            Continued::of(TrainerFolder::at(output_dir.join(name)), None).ok_or_else(nothing).map(Some)
        }
        (None, ConfigResume::No) => Ok(None),
    }
}

/// It did all that the configuration asks for, then and now.
fn is_complete(run: &RunDir, config: &TrainConfig, site: Site<'_>) -> bool {
    let ended = run.snapshot().ok().flatten().and_then(|it| it.state.outcome().cloned());
    let asked = |workspace: &Workspace| {
        let old = TrainConfig::load(&run.spec().ok()?.config, workspace, &site.host.env).ok()?;
        Some((old.training.epochs, old.training.max_steps))
    };
    let now = (config.training.epochs, config.training.max_steps);
    ended == Some(Outcome::Completed) && asked(site.workspace) == Some(now)
}

/// `RUN`, `RUN@STEP`, `RUN@latest`, or one of the last two without `RUN`.
///
/// # Errors
/// What follows the `@` is no step.
pub fn split(text: &str) -> Result<(Option<&str>, Option<u64>), RunError> {
    let Some((run, step)) = text.rsplit_once('@') else { return Ok((Some(text), None)) };
    let step = match step {
        "latest" => None,
        step => Some(step.parse().map_err(|_| RunError::NotAStep { text: text.to_owned() })?),
    };
    Ok((Some(run).filter(|it| !it.is_empty()), step))
}

impl Continued {
    fn of(folder: TrainerFolder, run: Option<RunDir>) -> Option<Self> {
        let checkpoint = folder.checkpoint().ok().flatten()?;
        Some(Self { folder, checkpoint, run })
    }

    /// As the trainer wants to be told: a folder's name where it makes its folders now, a whole path elsewhere.
    pub fn name(&self, output_dir: &Path) -> String {
        let path = self.folder.path();
        path.strip_prefix(output_dir).unwrap_or(path).to_string_lossy().into_owned()
    }
}
