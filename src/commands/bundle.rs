//! `dpgui bundle`: everything that a setup fetches, in one file for a machine without a network.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    error::Error,
    install::{InstallError, Setup, bundle, lock::Policy, plan::Selection},
    output::Waiting,
    platform::{
        fs,
        lock::{Lock, Wait},
    },
};

use super::{Context, setup};

/// Carry a setup to a machine without a network
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write everything that this workspace's `dpgui.lock` names, and this dpgui, into FILE
    ///
    /// There, `dpgui setup --bundle FILE` does the rest. The file is for your own machines: some of the packages
    /// (NVIDIA's) may not be passed on.
    Create {
        /// Where to: some gigabytes
        file: PathBuf,
    },
}

pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    let Command::Create { file } = command;
    // Nobody is to change the checkouts while they are read.
    let internal = context.workspace.internal();
    let tell = |holder: &str| context.output.event(&Waiting { holder });
    let _lock = if fs::is_dir(&internal) {
        let path = context.workspace.setup_lock();
        Some(Lock::shared(&path, "dpgui bundle create", Wait::Telling(&tell)).map_err(InstallError::from)?)
    } else {
        None
    };
    let settings = context.settings()?;
    let site = setup::site(context, &settings, Policy::Locked)?;
    let wish = setup::settled_wish(context, &settings)?;
    let setup = Setup::new(&site, &wish, &Selection::default())?;
    let venv = setup.environment(&wish)?;
    let progress = context.output.progress("bundle");
    let bundled = bundle::create(&site, &venv, &context.host.absolute(file), &progress)?;
    drop(progress);
    context.output.event(&bundled);
    Ok(ExitCode::SUCCESS)
}
