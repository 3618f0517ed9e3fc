//! One file a subcommand: its arguments, and the lines between them and the domain.

pub mod bundle;
pub mod clean;
pub mod config;
pub mod data;
pub mod demo;
pub mod diagnose;
pub mod doctor;
pub mod export;
mod interrupts;
pub mod keep;
pub mod link;
pub mod lock;
pub mod logs;
pub mod node;
pub mod notify;
pub mod queue;
pub mod rank;
pub mod reap;
pub mod report;
pub mod resume;
pub mod rollback;
pub mod runs;
pub mod save;
pub mod service;
pub mod setup;
pub mod slurm;
pub mod stop;
pub mod supervise;
pub mod train;
pub mod ui;
pub mod update;
pub mod watch;
mod when;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::{
    config::{ConfigError, meant},
    error::{Error, Kind},
    install::{self, IfLocked},
    output::Output,
    platform::{Host, fs, process::as_typed},
    run::{RunDir, RunError, adopt},
    workspace::{Settings, SettingsError, Workspace},
};

/// What every command works with: the machine, the workspace, the way out.
#[derive(Clone, Debug)]
pub struct Context {
    pub host: Host,
    pub workspace: Workspace,
    pub output: Output,
}

/// What a command does while somebody else is at work in the workspace.
#[derive(Debug, clap::Args)]
pub struct LockArgs {
    /// Fail with 5 instead of waiting for a setup or a training that uses the workspace
    #[arg(long)]
    no_wait: bool,
}

impl LockArgs {
    const fn if_locked(&self) -> IfLocked {
        if self.no_wait { IfLocked::Fail } else { IfLocked::Wait }
    }
}

/// The run whose folder is given to a command that only dpgui itself types.
fn run_folder(path: &Path) -> Result<RunDir, Error> {
    RunDir::at(path).ok_or_else(|| Error::new(Kind::Bug, format!("`{}` is no run's folder", path.display())))
}

impl Context {
    /// Looks after the runs whose supervisors were killed, before anything is said about any run.
    fn adopt_runs(&self) -> Result<(), Error> {
        let root = self.workspace.root();
        // Who mistypes it would take his runs for lost.
        if !fs::exists(root) {
            return Err(ConfigError::NoWorkspace { root: root.to_owned() }.into());
        }
        self.say_why_not(adopt::adopt_all(&self.host, &self.workspace)?);
        Ok(())
    }

    fn say_why_not(&self, adopted: Vec<RunError>) {
        for cause in adopted {
            self.output.warn(Error::from(cause).messages().join(": "));
        }
    }

    /// Brings an update to its end that was killed while it switched, before anything is read of what is installed.
    fn finish_switch(&self, if_locked: IfLocked) -> Result<(), Error> {
        if install::update::finish_switch(&self.workspace, &self.output, if_locked)? {
            self.output.status("Finished", "the switch of an update that had been killed");
        }
        Ok(())
    }

    /// A command of ours for this workspace, as one would type it here.
    fn command(&self, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
        let mut all: Vec<OsString> = vec!["dpgui".into()];
        if Workspace::find(&self.host, None).root() != self.workspace.root() {
            all.extend(["-C".into(), self.workspace.root().into()]);
        }
        all.extend(words.into_iter().map(|it| it.as_ref().to_owned()));
        as_typed(all)
    }

    /// `typed`, which is relative to the working directory, as the absolute path of a file that is there.
    fn configuration(&self, typed: &Path) -> Result<PathBuf, ConfigError> {
        let Self { host, workspace, .. } = self;
        // What a configuration names is looked for there; where nothing is, nothing could be found.
        if !fs::is_dir(workspace.root()) {
            return Err(ConfigError::NoWorkspace { root: workspace.root().to_owned() });
        }
        let path = host.absolute(typed);
        if fs::exists(&path) {
            return Ok(path);
        }
        let meant = meant(typed, &path, workspace);
        Err(ConfigError::Missing { path, meant })
    }

    pub fn settings(&self) -> Result<Settings, SettingsError> {
        Settings::load(&self.workspace)
    }
}
