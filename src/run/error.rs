//! Why a run cannot be started, found or stopped.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    config::{
        ConfigError, Finding, Hidden, Severity,
        on_resume::{Change, Effect},
    },
    error::{Kind, Report},
    metrics::StoreError,
    output::size,
    platform::{
        fs::FsError,
        lock::LockError,
        process::{ProcessError, as_typed},
    },
};

use super::{
    checkpoints::Fault,
    id::{IdError, RunId},
    lease::Busy,
    nodes::NodesError,
    stuck::{self, Stuck},
};

#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("`{}` is not there: nothing can train yet", path.display())]
    NotSetUp { path: PathBuf },
    #[error("the trainer `{}` is not there", path.display())]
    NoTrainer { path: PathBuf },
    #[error("{}", listed(.0))]
    Findings(Vec<Finding>),
    #[error("`{}` in `{}` leads to `{}`, which may not be looked at from here", .0.key, .0.file.display(), .0.place.display())]
    OutOfSight(Hidden),
    #[error("the model type `{model}` needs an NVIDIA GPU, and no driver on this machine shows one")]
    NoGpu { model: String },
    #[error("there is no GPU {id} on this machine, which has {}", gpus(*.found))]
    UnknownGpu { id: u32, found: usize },
    #[error("the model type `{model}` needs an NVIDIA GPU, and `CUDA_VISIBLE_DEVICES` allows none")]
    NoVisibleGpu { model: String },
    #[error("`CUDA_VISIBLE_DEVICES` names `{name}`, which is not one GPU here: this machine has {found}")]
    UnknownVisibleGpu { name: String, found: String },
    #[error("`{by}` names GPU {id} twice")]
    GpuTwice { id: u32, by: &'static str },
    #[error("there is no run `{name}`")]
    Unknown { name: String, nearest: Vec<RunId> },
    #[error("the name of the run is empty")]
    NoName,
    #[error("`{name}` may mean {}", some_ids(candidates))]
    Ambiguous { name: String, candidates: Vec<RunId> },
    #[error("there is no run in this workspace")]
    NoRuns,
    #[error("the folder of `{id}` was deleted or moved")]
    FolderGone { id: RunId },
    #[error("the workspace `{}` is gone", root.display())]
    NoWorkspace { root: PathBuf },
    #[error("no run is running")]
    NoneRunning,
    #[error("several runs are running: {}", ids(.0))]
    SeveralRunning(Vec<RunId>),
    #[error("no run of `{}` has a whole checkpoint to resume from", config.display())]
    NothingToResume { config: PathBuf },
    #[error("{id} never began: it {}", if *.waits { "waits in the queue" } else { "was taken out of the queue" })]
    NeverBegan { id: RunId, config: PathBuf, waits: bool },
    #[error("{id} is a copy of `{}`, made before that one was over: it ends here, and goes on there", original.display())]
    Copied { id: RunId, original: PathBuf },
    #[error("`{folder}` holds no whole checkpoint to resume from")]
    NoCheckpoint { folder: String },
    #[error("{}", too_much(.0))]
    ChangedTooMuch(Vec<Change>),
    #[error("{place} has no checkpoint at step {step}")]
    NoSuchCheckpoint { place: String, step: u64, steps: Vec<u64> },
    #[error("the checkpoint of {place} at step {step} is not whole: {fault}")]
    BrokenCheckpoint { place: String, step: u64, fault: Fault, other: Option<u64>, command: String },
    #[error("`{text}` names no step: it has to be a number, or `latest`")]
    NotAStep { text: String },
    #[error("{place} has nothing that could be exported")]
    NothingToExport { place: String },
    #[error("no adapter can be made of the checkpoint at step {step}: {why}")]
    CannotExport { step: u64, why: String },
    #[error("no adapter was made of the checkpoint at step {step}: {said}")]
    NotExported { step: u64, said: String, source: Option<super::export::Traceback> },
    #[error("`{id}` is still running in the folder that is to be continued")]
    StillRunning { id: RunId },
    #[error("`{id}` is already complete, at step {step}")]
    AlreadyComplete { id: RunId, step: u64 },
    #[error("`{id}` is {doing}: there is nothing to save yet, or no more")]
    NothingToSave { id: RunId, doing: &'static str },
    #[error("`{id}` has not saved within {}", size::duration(*after))]
    NotSaved { id: RunId, after: Duration },
    #[error("`{id}` has ended, so nothing was saved")]
    EndedMeanwhile { id: RunId },
    #[error("nothing of `{id}` is left, and how it ended cannot be written: {why}")]
    EndNotWritten { id: RunId, why: String },
    #[error("`{id}` is not over: {}", stuck::sentence(stuck))]
    Stuck { id: RunId, stuck: Vec<Stuck> },
    #[error("`HOME` is not set: nobody knows where your units are")]
    NoHome,
    #[error("your systemd cannot be told of the unit: {said}")]
    NoUserManager { said: String },
    #[error("`{}` cannot be given to the trainer: it is not UTF-8", path.display())]
    NotText { path: PathBuf },
    #[error("this file system cannot hold the pipes of a run")]
    NoPipes { source: FsError },
    #[error("`deepspeed` could not be started: {reason}")]
    NotStarted { reason: String },
    #[error("the supervisor of `{id}` ended before the training was started\n{said}")]
    SupervisorDied { id: RunId, said: String },
    #[error("the supervisor cannot work")]
    Supervisor(#[source] io::Error),
    #[error("`{}` is damaged", path.display())]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("`{}` was written by a newer dpgui", path.display())]
    Newer { path: PathBuf },
    #[error("the queue in `{}` cannot be read", path.display())]
    DamagedQueue { path: PathBuf, source: serde_json::Error },
    #[error(transparent)]
    Nodes(#[from] NodesError),
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("`{id}` does not wait in the queue")]
    NotQueued { id: RunId },
    #[error("no free port was found for the ranks")]
    NoPort(#[source] io::Error),
    #[error(transparent)]
    Id(#[from] IdError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl From<StoreError> for RunError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::File(cause) => Self::Fs(cause),
            StoreError::Foreign { path } => Self::Newer { path },
        }
    }
}

impl Report for RunError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotSetUp { .. }
            | Self::NotQueued { .. }
            | Self::NoTrainer { .. }
            | Self::Findings(_)
            | Self::OutOfSight(_)
            | Self::UnknownGpu { .. }
            | Self::Unknown { .. }
            | Self::Ambiguous { .. }
            | Self::NoRuns
            | Self::NoWorkspace { .. }
            | Self::NoName
            | Self::NoneRunning
            | Self::SeveralRunning(_)
            | Self::NothingToResume { .. }
            | Self::NeverBegan { .. }
            | Self::Copied { .. }
            | Self::NoCheckpoint { .. }
            | Self::ChangedTooMuch(_)
            | Self::NoSuchCheckpoint { .. }
            | Self::BrokenCheckpoint { .. }
            | Self::NotAStep { .. }
            | Self::NothingToExport { .. }
            | Self::NoVisibleGpu { .. }
            | Self::UnknownVisibleGpu { .. }
            | Self::GpuTwice { .. }
            | Self::AlreadyComplete { .. }
            | Self::NotText { .. }
            | Self::NoHome
            | Self::Id(_) => Kind::Usage,
            Self::NoGpu { .. }
            | Self::CannotExport { .. }
            | Self::NoPipes { .. }
            | Self::Newer { .. }
            | Self::NoUserManager { .. } => Kind::Unsupported,
            Self::NotStarted { .. }
            | Self::NotExported { .. }
            | Self::NothingToSave { .. }
            | Self::NotSaved { .. }
            | Self::EndedMeanwhile { .. }
            | Self::FolderGone { .. }
            | Self::Stuck { .. }
            | Self::SupervisorDied { .. }
            | Self::Supervisor(_)
            | Self::NoPort(_) => Kind::Failed,
            Self::EndNotWritten { .. } => Kind::Disk,
            Self::Nodes(cause) => cause.kind(),
            Self::StillRunning { .. } => Kind::Locked,
            Self::Busy(cause) => cause.kind(),
            Self::Damaged { .. } | Self::DamagedQueue { .. } => Kind::Integrity,
            Self::Config(cause) => cause.kind(),
            Self::Process(cause) => cause.kind(),
            Self::Lock(cause) => cause.kind(),
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NotSetUp { .. } | Self::NoTrainer { .. } | Self::NotStarted { .. } => "run `dpgui setup`".to_owned(),
            Self::Findings(found) => {
                found.iter().filter(|it| it.severity == Severity::Error).find_map(|it| it.fix.clone())?
            }
            Self::NoGpu { .. } => "train on a machine with an NVIDIA GPU, or look at `dpgui demo`".to_owned(),
            Self::UnknownGpu { .. } => "name GPUs as `nvidia-smi` counts them: `--gpus 0,1`".to_owned(),
            Self::NoVisibleGpu { .. } | Self::UnknownVisibleGpu { .. } => "unset it, or name GPUs by index or UUID".to_owned(),
            Self::GpuTwice { .. } => "name each GPU once".to_owned(),
            Self::AlreadyComplete { .. } => "raise `epochs` or `max_steps` to train on".to_owned(),
            Self::Unknown { nearest, .. } if !nearest.is_empty() => format!("did you mean {}?", ids(nearest)),
            Self::Unknown { .. } | Self::NoneRunning => "list the runs with `dpgui runs`".to_owned(),
            Self::DamagedQueue { path, .. } => format!("mend `{}`, or delete it: then nobody is before anybody", path.display()),
            Self::NotQueued { .. } => "list the runs that wait with `dpgui queue`".to_owned(),
            Self::NoName => "name a run that `dpgui runs` lists, or leave the name out".to_owned(),
            Self::Ambiguous { .. } => "write more of the id".to_owned(),
            Self::FolderGone { id } => format!("if it trains on, it has another folder in a moment: `dpgui watch {id}` looks on"),
            Self::NoWorkspace { .. } => "put it back where it was".to_owned(),
            Self::NoRuns => "start one with `dpgui train CONFIG`".to_owned(),
            Self::SeveralRunning(_) => "name the one that is meant; `dpgui runs` says what they do".to_owned(),
            Self::NeverBegan { config, waits, .. } => about_never_begun(config, *waits),
            Self::NothingToResume { .. } | Self::NoCheckpoint { .. } => {
                "start anew with `dpgui train`, without `--resume`; `checkpoint_every_n_minutes` in the configuration makes checkpoints"
                    .to_owned()
            }
            Self::NothingToSave { id, .. } | Self::NotSaved { id, .. } => format!("look on with `dpgui logs -f {id}`"),
            Self::EndedMeanwhile { id } => format!("see how with `dpgui runs`, and its log with `dpgui logs {id}`"),
            Self::EndNotWritten { .. } => "mend that: its supervisor waits for it and writes the end then".to_owned(),
            Self::Stuck { .. } => "what it computes on stays its own until the kernel lets it go; if a driver hangs, only a reboot helps".to_owned(),
            Self::NoHome => "set `HOME`".to_owned(),
            Self::NoUserManager { .. } => WITHOUT_SYSTEMD.to_owned(),
            Self::ChangedTooMuch(_) => "set it as it was, or start anew without `--resume`".to_owned(),
            Self::NoSuchCheckpoint { steps, .. } if steps.is_empty() => "it has no whole checkpoint at all".to_owned(),
            Self::NoSuchCheckpoint { steps, .. } => {
                let steps: Vec<String> = steps.iter().map(u64::to_string).collect();
                format!("it has whole ones at steps {}", steps.join(", "))
            }
            Self::BrokenCheckpoint { command, other: Some(other), .. } => {
                format!("take the newest whole one: `{command}@{other}`")
            }
            Self::BrokenCheckpoint { other: None, .. } => ALL_BROKEN.to_owned(),
            Self::NotAStep { .. } => "write `RUN@200` or `RUN@latest`".to_owned(),
            Self::NothingToExport { .. } => "name a run that has a checkpoint".to_owned(),
            Self::NotExported { .. } => "check the environment with `dpgui doctor`".to_owned(),
            Self::StillRunning { id } => format!("stop it with `dpgui stop {id}`"),
            Self::NotText { .. } => "use a workspace whose path is plain text".to_owned(),
            Self::NoPipes { .. } => {
                "put the workspace on a Linux file system, not on a network or Windows drive".to_owned()
            }
            Self::Damaged { path, .. } => format!("look at `{}`, or delete the run's folder", path.display()),
            Self::Newer { .. } => "use the newest dpgui in this workspace".to_owned(),
            Self::Copied { .. } | Self::OutOfSight(_) | Self::CannotExport { .. } | Self::SupervisorDied { .. } | Self::Supervisor(_) | Self::NoPort(_) | Self::Id(_) => return None,
            Self::Nodes(cause) => return cause.hint(),
            Self::Busy(cause) => return cause.hint(),
            Self::Config(cause) => return cause.hint(),
            Self::Process(cause) => return cause.hint(),
            Self::Lock(cause) => return cause.hint(),
            Self::Fs(cause) => return cause.hint(),
        };
        Some(text)
    }
}

fn about_never_begun(config: &Path, waits: bool) -> String {
    if waits {
        return "`dpgui queue` says what it waits for".to_owned();
    }
    format!("start it anew with `dpgui train {}`", as_typed([config]))
}

const ALL_BROKEN: &str = "no other one of it is whole: name an older run that `dpgui runs` lists with `--resume RUN`, or start anew";

const WITHOUT_SYSTEMD: &str =
    "without systemd, have `dpgui -C WORKSPACE resume --all` run at boot, as by `@reboot` in `crontab -e`";

fn too_much(changes: &[Change]) -> String {
    let lines: Vec<String> =
        changes.iter().filter(|it| it.effect == Effect::Fails).map(Change::sentence).collect();
    format!("the training cannot go on with this configuration\n{}", lines.join("\n"))
}

fn listed(findings: &[Finding]) -> String {
    let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
    format!("the configuration cannot work\n{}", lines.join("\n"))
}

fn ids(ids: &[RunId]) -> String {
    let ids: Vec<String> = ids.iter().map(|id| format!("`{id}`")).collect();
    ids.join(", ")
}

/// Nobody reads more of them than a screen has lines.
fn some_ids(all: &[RunId]) -> String {
    const SOME: usize = 8;
    match all.len().saturating_sub(SOME) {
        0 => ids(all),
        more => format!("{}, or one of {more} more", ids(&all[..SOME])),
    }
}

fn gpus(count: usize) -> String {
    match count {
        0 => "none".to_owned(),
        1 => "GPU 0 only".to_owned(),
        count => format!("GPUs 0 to {}", count - 1),
    }
}
