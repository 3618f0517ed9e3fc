//! The run that a new one goes on from.

use std::path::{Path, PathBuf};

use crate::{
    config::{
        ConfigError, Hidden, Resume as ConfigResume, Secret, Sight, TrainConfig,
        on_resume::{self, Change},
    },
    metrics::figures,
    platform::fs,
    workspace::Workspace,
};

use super::{
    RunError,
    checkpoints::{self, Checkpoint, Contents},
    dir::RunDir,
    folder::TrainerFolder,
    gauge,
    id::RunId,
    journal::Journal,
    lineage::Lineage,
    list,
    outcome::Outcome,
    request::{Request, Resume},
    start::Site,
    state::RunState,
};

/// The trainer's folder to continue in.
#[derive(Clone, Debug)]
pub struct Continued {
    pub folder: TrainerFolder,
    /// Whole.
    pub checkpoint: Checkpoint,
    /// All that is in the folder.
    pub contents: Contents,
    /// Whose it is; unknown where the configuration names a folder.
    pub run: Option<RunDir>,
    /// The user named its step.
    pub is_named: bool,
    /// What there is to know of the loss at its step.
    without_number: Option<String>,
}

/// What a run is trained with.
pub(super) struct Chosen {
    pub(super) config: TrainConfig,
    /// The file that the user named.
    pub(super) source: PathBuf,
    /// Keys are in the user's file alone, and in no copy of it.
    pub(super) secrets: Option<Vec<Secret>>,
    pub(super) warning: Option<String>,
}

impl Chosen {
    /// The user's file; or the copy of it, if there is one and the file is gone or says something else by now: what was
    /// started goes on as it was, whatever is tried out next.
    ///
    /// # Errors
    /// When it cannot be read, or names what may not be looked at for who asks: what is started is what was looked at.
    pub(super) fn of(site: Site<'_>, request: &Request) -> Result<Self, RunError> {
        let chosen = Self::read(site, request)?;
        chosen.config.hidden().into_iter().next().map_or(Ok(chosen), |it| Err(RunError::OutOfSight(it)))
    }

    fn read(site: Site<'_>, request: &Request) -> Result<Self, RunError> {
        let load = |path: &Path| TrainConfig::load_for(path, site.workspace, &site.host.env, &request.sight);
        let (source, theirs) = (request.config.clone(), load(&request.config));
        let Some(kept) = &request.kept else {
            return Ok(Self { config: theirs?, source, secrets: None, warning: None });
        };
        let kept = load(kept)?;
        let (keys, secrets) = match &theirs {
            Ok(theirs) => {
                let changed = on_resume::changes(&kept, theirs, &request.args);
                let keys: Vec<String> = changed.into_iter().map(|it| format!("`{}`", it.key)).collect();
                (keys.join(", "), Some(theirs.secrets()))
            }
            Err(ConfigError::Hidden { path }) => {
                return Err(ConfigError::Hidden { path: path.clone() }.into());
            }
            Err(_) => ("it cannot be read".to_owned(), None),
        };
        if let (Ok(config), true) = (theirs, keys.is_empty()) {
            return Ok(Self { config, source, secrets: None, warning: None });
        }
        let file = source.display();
        let warning = format!(
            "`{file}` is not what it was ({keys}): the training goes on as it was started; `dpgui train {file} --resume` \
             goes on with what the file says now"
        );
        Ok(Self { config: kept, source, secrets, warning: Some(warning) })
    }
}

/// The folder to go on in. The trainer itself would make an empty one of a wrong name, and start from step 1.
///
/// # Errors
/// Nothing to go on from, nothing left to do, or a live run there.
pub fn find(site: Site<'_>, config: &TrainConfig, request: &Request) -> Result<Option<Continued>, RunError> {
    let all = RunDir::all(site.workspace)?;
    let Some(found) = wanted(site, config, request, &all)? else { return Ok(None) };
    // Two trainers in one folder would overwrite each other's checkpoints. It may be called by several names.
    let place = found.folder.place();
    let trains_there =
        |dir: &&RunDir| list::is_live(dir) && TrainerFolder::of(dir).is_some_and(|it| it.place() == place);
    if let Some(dir) = all.iter().find(trains_there) {
        return Err(RunError::StillRunning { id: dir.id().clone() });
    }
    match &found.run {
        // Who names an earlier step wants to go another way from there.
        Some(run) if is_complete(run, config, site) && !found.goes_back_in(run) => {
            Err(RunError::AlreadyComplete { id: run.id().clone(), step: found.checkpoint.step })
        }
        _ => Ok(Some(found)),
    }
}

/// The run that a script goes on with whenever it is started, and its last step, if nothing is left to be done.
pub fn done(site: Site<'_>, request: &Request) -> Option<(RunId, Option<u64>)> {
    let Some(Resume::IfAny(name)) = &request.resume else { return None };
    // What is wrong with it is said by the start.
    let config = TrainConfig::load(&request.config, site.workspace, &site.host.env).ok()?;
    let run = named(site.workspace, name).ok().filter(|run| is_complete(run, &config, site))?;
    Some((run.id().clone(), run.snapshot().ok()??.step()))
}

/// The newest run of this very name: `job-71` is none of `job-7`.
fn named(workspace: &Workspace, name: &str) -> Result<RunDir, RunError> {
    let is_it = |dir: &RunDir| dir.id().name().as_str() == name || dir.id().to_string() == name;
    let unknown = || RunError::Unknown { name: name.to_owned(), nearest: vec![] };
    list::find(workspace, name).ok().filter(is_it).ok_or_else(unknown)
}

/// Runs that the machine's end cut off, or that vanished, with a checkpoint to go on from: each trainer's folder once,
/// unless a later run went on in it; those that were started first come first.
pub fn cut_off(workspace: &Workspace) -> Result<Vec<RunDir>, RunError> {
    let mut seen = vec![];
    let mut found = vec![];
    // The newest first.
    for dir in RunDir::all(workspace)? {
        let Some(folder) = TrainerFolder::of(&dir) else { continue };
        let place = folder.place();
        if seen.contains(&place) {
            continue;
        }
        seen.push(place);
        let outcome = dir.snapshot().ok().flatten().and_then(|it| it.state.outcome().cloned());
        let is_cut_off = matches!(outcome, Some(Outcome::Interrupted | Outcome::Lost));
        if is_cut_off && folder.checkpoint().ok().flatten().is_some() {
            found.push(dir);
        }
    }
    found.reverse();
    Ok(found)
}

fn wanted(
    Site { host, workspace, .. }: Site<'_>,
    config: &TrainConfig,
    request: &Request,
    all: &[RunDir],
) -> Result<Option<Continued>, RunError> {
    let asked = Asked { config: &request.config, step: request.step, sight: &request.sight };
    let of_run = |dir: &RunDir| -> Result<Continued, RunError> {
        let spec = dir.spec()?;
        let nothing = || match dir.snapshot().ok().flatten().map(|it| it.state) {
            Some(state) if !state.began() => {
                let (id, config) = (dir.id().clone(), spec.source.clone());
                RunError::NeverBegan { id, config, waits: state == RunState::Queued }
            }
            Some(_) | None => RunError::NoCheckpoint { folder: dir.id().to_string() },
        };
        let folder = TrainerFolder::find(&spec)?.ok_or_else(nothing)?;
        Continued::of(folder, Some(dir.clone()), asked)
    };
    match (&request.resume, &config.training.resume) {
        (Some(Resume::Run(name)), _) => of_run(&list::find(workspace, name)?).map(Some),
        (Some(Resume::IfAny(name)), _) => match named(workspace, name).and_then(|dir| of_run(&dir)) {
            Err(RunError::Unknown { .. } | RunError::NoCheckpoint { .. } | RunError::NeverBegan { .. }) => {
                Ok(None)
            }
            found => found.map(Some),
        },
        (Some(Resume::Newest), _) | (None, ConfigResume::Newest) => {
            let same = |dir: &&RunDir| dir.spec().is_ok_and(|spec| spec.source == request.config);
            // A run that was over before its first checkpoint is passed over; one whose checkpoints are broken is not.
            let has_some = |dir: &&RunDir| {
                let contents = TrainerFolder::of(dir).and_then(|it| it.contents().ok());
                contents.is_some_and(|it| !it.checkpoints.is_empty())
            };
            let nothing = || RunError::NothingToResume { config: request.config.clone() };
            of_run(all.iter().filter(same).find(has_some).ok_or_else(nothing)?).map(Some)
        }
        (None, ConfigResume::Run(name)) => {
            let written = Path::new(config.training.output_dir.as_deref().unwrap_or_default());
            let output_dir = workspace.root().join(host.env.expand_home(written));
            Continued::of(TrainerFolder::at(output_dir.join(name)), None, asked).map(Some)
        }
        (None, ConfigResume::No) => Ok(None),
    }
}

/// What the user said.
#[derive(Clone, Copy)]
struct Asked<'a> {
    config: &'a Path,
    step: Option<u64>,
    sight: &'a Sight,
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

/// The first step whose checkpoint may have no numbers in it: the loss was none from the next step on, to the end. What is
/// in the folder was written last by the newest of its runs that did a step: that one's losses count.
fn spoilt_from(run: &RunDir) -> Option<u64> {
    let workspace = run.workspace();
    let dir = |id: &RunId| RunDir::new(&workspace, id.clone());
    let lineage = |run: &RunDir| Lineage::of(run, &run.spec().ok()?).ok();
    let mut judge = lineage(run)?.after.last().map_or_else(|| run.clone(), dir);
    loop {
        // Numbers that cannot be read are no reason not to go on.
        let records = gauge::records(&judge).unwrap_or_default();
        if !records.is_empty() {
            // The weights after a step are shown to be numbers by the loss of the step after it.
            return Some(figures::lost_from(&records)?.saturating_sub(1));
        }
        judge = dir(&lineage(&judge)?.before?);
    }
}

/// `better`: the one that is used instead.
fn about_spoilt(from: u64, picked: &Checkpoint, better: Option<&Checkpoint>) -> String {
    let step = picked.step;
    let lost = format!("the loss was no number from step {} on", from + 1);
    match better {
        Some(better) => format!(
            "{lost}: the checkpoint at step {step} is passed over, and the one at step {} is used; `@{step}` after the run \
             takes the other one all the same",
            better.step
        ),
        None => format!("{lost}, so the checkpoint at step {step} may hold nothing that can be trained on"),
    }
}

impl Continued {
    fn of(folder: TrainerFolder, run: Option<RunDir>, asked: Asked<'_>) -> Result<Self, RunError> {
        if !asked.sight.reaches(folder.path()) {
            let (key, file) = ("output_dir".to_owned(), asked.config.to_owned());
            return Err(RunError::OutOfSight(Hidden { key, file, place: folder.path().to_owned() }));
        }
        let contents = folder.contents()?;
        let place =
            run.as_ref().map_or_else(|| folder.path().display().to_string(), |it| it.id().to_string());
        let command = format!("dpgui train {} --resume {place}", asked.config.display());
        let picked = contents.pick(&place, &command, asked.step)?;
        let spoilt = run.as_ref().and_then(spoilt_from).filter(|from| *from <= picked.step);
        let (checkpoint, without_number) = match spoilt {
            None => (picked, None),
            Some(from) => {
                let better = contents.whole().find(|it| it.step < from).filter(|_| asked.step.is_none());
                (better.unwrap_or(picked), Some(about_spoilt(from, picked, better)))
            }
        };
        let (checkpoint, is_named) = (checkpoint.clone(), asked.step.is_some());
        Ok(Self { folder, checkpoint, contents, run, is_named, without_number })
    }

    /// To a step before the last one of this run.
    fn goes_back_in(&self, run: &RunDir) -> bool {
        let last = run.snapshot().ok().flatten().and_then(|it| it.step());
        self.is_named && last.is_some_and(|last| self.checkpoint.step < last)
    }

    /// What is not as it was when the checkpoint was written. The trainer's own copy is of the folder's first run.
    pub(super) fn changes(&self, site: Site<'_>, now: &TrainConfig, args: &[String]) -> Vec<Change> {
        let before = self.run.as_ref().and_then(|run| Some(run.spec().ok()?.config));
        let before = before.or_else(|| checkpoints::configuration(self.folder.path()));
        let before = before.and_then(|path| TrainConfig::load(&path, site.workspace, &site.host.env).ok());
        before.map_or(vec![], |before| on_resume::changes(&before, now, args))
    }

    /// Removes what a trainer that was killed left in the way, and says so: requests that the next one would obey at its
    /// first step, and folders that the next save would stumble over.
    fn clean(&self) -> Result<Vec<String>, RunError> {
        self.folder.forget_requests()?;
        let mut said = vec![];
        for model in &self.contents.models {
            if let Some(leftover) = &model.leftover {
                fs::remove_tree(leftover)?;
                said.push(format!("removed `{}`, left of a save that broke off", leftover.display()));
            }
            if let Some(fault) = &model.fault {
                said.push(format!("`{}` cannot be used: {fault}", model.path.display()));
            }
        }
        Ok(said)
    }

    /// Clears the folder, and says what was in the way and what there is to know of the checkpoint that was chosen.
    pub(super) fn make_ready(&self) -> Result<Vec<String>, RunError> {
        let mut said = self.clean()?;
        let is_usual = !self.is_named && self.without_number.is_none();
        said.extend(self.contents.passed_over().filter(|_| is_usual));
        said.extend(self.without_number.clone());
        said.extend(self.newer_checkpoints());
        Ok(said)
    }

    /// What becomes of the checkpoints beyond the step from which it goes on.
    fn newer_checkpoints(&self) -> Option<String> {
        let step = self.checkpoint.step;
        let mut newer: Vec<u64> =
            self.contents.checkpoints.iter().map(|it| it.step).filter(|it| *it > step).collect();
        newer.sort_unstable();
        let newer: Vec<String> = newer.iter().map(u64::to_string).collect();
        (!newer.is_empty()).then(|| {
            format!(
                "the checkpoints beyond it ({}) stay until the training saves one at such a step and overwrites it",
                newer.join(", ")
            )
        })
    }

    /// Makes the trainer load this checkpoint. It has no option for that: DeepSpeed loads the one that the file `latest`
    /// names. It is on record in the run that goes on, and nothing else is touched.
    pub(super) fn rewind(&self, dir: &RunDir) -> Result<(), RunError> {
        if self.checkpoint.is_latest {
            return Ok(());
        }
        if let Some(rewound) = self.folder.rewind_to(self.checkpoint.step)? {
            Journal::open(dir)?.record(&rewound);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_with_its_step_or_without() {
        let check = |text, run, step| assert_eq!(split(text).expect("a run"), (run, step), "{text}");
        check("wan", Some("wan"), None);
        check("wan@200", Some("wan"), Some(200));
        check("wan@latest", Some("wan"), None);
        check("@200", None, Some(200));
        assert_eq!(
            split("wan@x").expect_err("no step").to_string(),
            "`wan@x` names no step: it has to be a number, or `latest`"
        );
    }
}
