//! `dpgui service`: goes on after a reboot by itself.

use std::process::ExitCode;

use crate::{
    error::Error,
    platform::session::{self, Logout},
    run::service::Service,
};

use super::Context;

/// Go on with what a reboot cut off, by itself: a unit of your systemd for this workspace
#[derive(Clone, Copy, Debug, clap::Subcommand)]
pub enum Command {
    /// Have `dpgui resume --all` run after every boot
    Install,
    /// Not any more
    Remove,
    /// Whether it is installed
    Status,
}

pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    let service = Service::of(host, workspace)?;
    match command {
        Command::Install => {
            service.install(host, workspace)?;
            output.status("Installed", service.file.display());
            if !matches!(session::at_logout(host), Logout::Kills { lingers: true, .. }) {
                output
                    .note("your units start when you log in; at boot already after `loginctl enable-linger`");
            }
        }
        Command::Remove => {
            service.remove(host)?;
            output.status("Removed", service.file.display());
        }
        Command::Status => {
            let state = if service.is_installed() { "installed" } else { "not installed" };
            output.data(format_args!("{state}: {}", service.file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}
