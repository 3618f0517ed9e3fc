//! One file a subcommand: its arguments, and the lines between them and the domain.

pub mod config;

use crate::{
    output::Output,
    platform::Host,
    workspace::{Settings, SettingsError, Workspace},
};

/// What every command works with: the machine, the workspace, the way out.
#[derive(Clone, Debug)]
pub struct Context {
    pub host: Host,
    pub workspace: Workspace,
    pub output: Output,
}

impl Context {
    pub fn settings(&self) -> Result<Settings, SettingsError> {
        Settings::load(&self.workspace)
    }
}
