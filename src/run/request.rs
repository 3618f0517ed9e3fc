//! What the user wants to be trained, and how.

use std::path::PathBuf;

use crate::config::Sight;

use super::{
    RunError,
    devices::Devices,
    dir::RunDir,
    id::RunName,
    nodes::{NodesError, Part},
    notify,
    spec::Launcher,
    watchdog::{OnNan, OnStall},
};

/// What the user wants to be trained.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "wishes that are independent of each other")]
pub struct Request {
    /// Absolute.
    pub config: PathBuf,
    /// A copy of it. Where the file says something else by now, this one counts.
    pub kept: Option<PathBuf>,
    /// Instead of all that there are.
    pub gpus: Option<Vec<u32>>,
    /// Instead of the configuration's own.
    pub name: Option<RunName>,
    pub resume: Option<Resume>,
    /// Go on from the checkpoint of this step instead of the newest.
    pub step: Option<u64>,
    pub launcher: Launcher,
    /// It waits for its turn, and for what it computes on.
    pub queue: bool,
    /// Others may compute there too.
    pub share: bool,
    /// What those who wait are to have first is not kept from it: it had begun before them.
    pub goes_before: bool,
    /// For the trainer itself.
    pub args: Vec<String>,
    /// Restarts in a row without a new checkpoint, after failures that may pass.
    pub restarts: Option<u32>,
    pub on_nan: OnNan,
    pub on_stall: OnStall,
    /// Who hears of it, beside those in the settings.
    pub notify: Vec<String>,
    /// On several machines, and which of them this is.
    pub part: Option<Part>,
    /// Where it may lead for who asks.
    pub sight: Sight,
}

impl Request {
    /// What is kept for those who wait is not kept from it.
    pub(super) const fn overtakes(&self) -> bool {
        self.share || self.goes_before
    }

    /// What the run is called.
    pub(super) fn name(&self) -> RunName {
        let of_file = || RunName::from_any(&self.config.file_stem().unwrap_or_default().to_string_lossy());
        self.name.clone().unwrap_or_else(of_file)
    }

    /// To go on with a run as it was started.
    pub fn again(dir: &RunDir) -> Result<Self, RunError> {
        NodesError::if_part(dir, "resume")?;
        let spec = dir.spec()?;
        Ok(Self {
            config: spec.source,
            kept: Some(spec.config),
            // Those of several machines are the hostfile's.
            gpus: if let (Devices::Gpus(ids), None) = (spec.devices, &spec.part) { Some(ids) } else { None },
            name: Some(dir.id().name().clone()),
            resume: Some(Resume::Run(dir.id().to_string())),
            step: None,
            launcher: spec.launcher,
            queue: false,
            share: spec.claim.is_shared(),
            goes_before: false,
            args: spec.passed_on,
            restarts: spec.restart.map(|it| it.limit),
            on_nan: spec.watchdog.on_nan,
            on_stall: spec.watchdog.on_stall,
            notify: notify::targets(dir)?,
            part: spec.part,
            sight: Sight::default(),
        })
    }

    /// What cannot be wished of several machines.
    pub(super) fn check_machines(&self) -> Result<(), NodesError> {
        match &self.part {
            Some(_) if self.queue => Err(NodesError::Queued),
            Some(_) if self.gpus.is_some() => Err(NodesError::Gpus),
            Some(_) | None => Ok(()),
        }
    }
}

/// Which run to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The newest run of the same configuration that has a whole checkpoint.
    Newest,
    Run(String),
    /// The same if it is there and has a checkpoint; else the training begins.
    IfAny(String),
}
