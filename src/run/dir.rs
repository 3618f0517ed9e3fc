//! The folder of one run: the only builder of the paths in it, and the readers of what is written there.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    logs::Stream,
    platform::{
        clock,
        fs::{self, FsError},
        lock::Lock,
    },
    workspace::Workspace,
};

use super::{
    RunError,
    id::{RunId, RunName},
    journal::Snapshot,
    reserve,
    spec::{self, Spec},
};

/// `runs/ID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
    id: RunId,
}

impl RunDir {
    pub fn new(workspace: &Workspace, id: RunId) -> Self {
        Self { path: workspace.runs().join(id.to_string()), id }
    }

    /// A folder that was not there before. Runs of one name that start in the same second get numbers.
    pub fn create(workspace: &Workspace, name: &RunName) -> Result<Self, FsError> {
        fs::create_dir_all(&workspace.runs())?;
        let mut id = RunId::new(clock::now(), name.clone());
        loop {
            let dir = Self::new(workspace, id.clone());
            match fs::create_dir_new(dir.path()) {
                Err(cause) if cause.source.kind() == io::ErrorKind::AlreadyExists => id = id.next(),
                created => return created.map(|()| dir),
            }
        }
    }

    /// The folder at `path`, if its name is a run's id.
    pub fn at(path: &Path) -> Option<Self> {
        let id = path.file_name()?.to_str()?.parse().ok()?;
        Some(Self { path: path.to_owned(), id })
    }

    /// Every run of the workspace that was really started, the newest first.
    pub fn all(workspace: &Workspace) -> Result<Vec<Self>, FsError> {
        let names = fs::names(&workspace.runs())?;
        let runs = names.iter().filter_map(|name| Self::at(&workspace.runs().join(name)));
        let mut runs: Vec<_> = runs.filter(|run| !fs::is_missing(&run.spec_file())).collect();
        runs.sort_by(|one, other| other.id.cmp(&one.id));
        Ok(runs)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub const fn id(&self) -> &RunId {
        &self.id
    }

    /// Whose run this is: the folder is `runs/ID` in it.
    pub fn workspace(&self) -> Workspace {
        Workspace::at(self.path.ancestors().nth(2).unwrap_or(&self.path))
    }

    pub fn spec_file(&self) -> PathBuf {
        self.path.join("spec.json")
    }

    /// The resolved TOML files. The trainer copies them at every save, so they stay as long as the run.
    pub fn config(&self) -> PathBuf {
        self.path.join("config")
    }

    /// Held by the living supervisor.
    pub fn lock(&self) -> PathBuf {
        self.path.join("supervisor.lock")
    }

    /// Held by the living keeper.
    pub fn keeper_lock(&self) -> PathBuf {
        self.path.join("keeper.lock")
    }

    /// Held by the living process that keeps in touch with another machine.
    pub fn link_lock(&self, number: u32) -> PathBuf {
        self.path.join(format!("link{number}.lock"))
    }

    /// The machines of the run, for DeepSpeed.
    pub fn hostfile(&self) -> PathBuf {
        self.path.join("hostfile")
    }

    /// How somebody on this machine wants the run to stop that this is a part of, for whoever is in touch with its head.
    pub fn passed_on(&self) -> PathBuf {
        self.path.join("passed-on.json")
    }

    /// Commands to the supervisor.
    pub fn control(&self) -> PathBuf {
        self.path.join("control")
    }

    /// What the trainer's processes write into.
    pub fn pipe(&self, stream: Stream) -> PathBuf {
        self.path.join(format!("{stream}.fifo"))
    }

    /// The folder with the bytes that they wrote, unchanged, one folder a stream.
    pub fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    /// A record of each step, see [`crate::metrics::store`].
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.bin")
    }

    /// What its GPUs did, see [`crate::metrics::GpuHistory`].
    pub fn gpus(&self) -> PathBuf {
        self.path.join("gpus.bin")
    }

    pub fn events(&self) -> PathBuf {
        self.path.join("events.jsonl")
    }

    pub fn snapshot_file(&self) -> PathBuf {
        self.path.join("state.json")
    }

    /// Room for the state where a full disk has none.
    pub fn reserve(&self) -> PathBuf {
        self.path.join("state.reserve")
    }

    /// Whom to tell of the run.
    pub fn notify_file(&self) -> PathBuf {
        self.path.join("notify.json")
    }

    /// What the supervisor has to say about itself.
    pub fn supervisor_log(&self) -> PathBuf {
        self.path.join("supervisor.log")
    }

    pub fn spec(&self) -> Result<Spec, RunError> {
        let path = self.spec_file();
        read_json(&path, &fs::read_text(&path)?)
    }

    /// The last state that the supervisor could put anywhere; `None` until there is one.
    pub fn snapshot(&self) -> Result<Option<Snapshot>, RunError> {
        let written = self.written()?;
        if written.as_ref().is_some_and(|it| it.state.outcome().is_some()) {
            return Ok(written);
        }
        let reserved = reserve::read(&self.reserve());
        // One that was put aside and outlived by a state in the usual place means nothing any more.
        Ok(match (reserved, written) {
            (Some(reserved), Some(written)) if reserved.updated < written.updated => Some(written),
            (reserved, written) => reserved.or(written),
        })
    }

    /// What is in `state.json`. A full disk may have kept what came after it out.
    pub fn written(&self) -> Result<Option<Snapshot>, RunError> {
        let path = self.snapshot_file();
        fs::read_optional(&path)?.map(|text| read_json(&path, &text)).transpose()
    }

    /// A supervisor is alive. This lock, never a process number, says so.
    pub fn is_supervised(&self) -> bool {
        Lock::is_held(&self.lock())
    }
}

/// The version is looked at first: what a newer dpgui wrote is not damaged because we do not understand it.
fn read_json<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, RunError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let damaged = |source| RunError::Damaged { path: path.to_owned(), source };
    let Versioned { version } = serde_json::from_str(text).map_err(damaged)?;
    if version > spec::VERSION {
        return Err(RunError::Newer { path: path.to_owned() });
    }
    serde_json::from_str(text).map_err(damaged)
}
