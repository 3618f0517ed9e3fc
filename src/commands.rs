//! One file a subcommand: its arguments, and the lines between them and the domain.

pub mod bundle;
pub mod clean;
pub mod config;
pub mod data;
pub mod demo;
pub mod doctor;
mod interrupts;
pub mod lock;
pub mod logs;
pub mod rank;
pub mod rollback;
pub mod runs;
pub mod setup;
pub mod stop;
pub mod supervise;
pub mod train;
pub mod update;
mod when;

use crate::{
    error::Error,
    install::{self, IfLocked},
    output::Output,
    platform::Host,
    run::adopt,
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

impl Context {
    /// Looks after the runs whose supervisors were killed, before anything is said about any run.
    fn adopt_runs(&self) -> Result<(), Error> {
        for cause in adopt::adopt_all(&self.host, &self.workspace)? {
            self.output.warn(Error::from(cause).messages().join(": "));
        }
        Ok(())
    }

    /// Brings an update to its end that was killed while it switched, before anything is read of what is installed.
    fn finish_switch(&self, if_locked: IfLocked) -> Result<(), Error> {
        if install::update::finish_switch(&self.workspace, &self.output, if_locked)? {
            self.output.status("Finished", "the switch of an update that had been killed");
        }
        Ok(())
    }

    pub fn settings(&self) -> Result<Settings, SettingsError> {
        Settings::load(&self.workspace)
    }
}
