//! `dpgui service`: goes on after a reboot by itself.

use std::{path::Path, process::ExitCode};

use serde::Serialize;

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

#[derive(Serialize)]
#[serde(tag = "event", rename = "service")]
struct State<'a> {
    installed: bool,
    #[serde(serialize_with = "crate::output::lossy")]
    unit: &'a Path,
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
        Command::Remove if !service.is_installed() => {
            output.status(
                "Nothing",
                format_args!("is installed for this workspace: {}", service.file.display()),
            );
            output.note(
                "services are of one workspace each: `dpgui -C WORKSPACE service remove` names another",
            );
        }
        Command::Remove => {
            service.remove(host)?;
            output.status("Removed", service.file.display());
        }
        Command::Status => {
            let installed = service.is_installed();
            let said = if installed { "installed" } else { "not installed" };
            let state = State { installed, unit: &service.file };
            output.result(&state, format_args!("{said}: {}", service.file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}
