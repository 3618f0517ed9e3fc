//! `dpgui bundle`: everything that a setup fetches, in one file for a machine without a network.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    error::Error,
    install::{
        InstallError, Setup,
        bundle::{self, Afterwards},
        lock::Policy,
        plan::Selection,
    },
    output::Waiting,
    platform::{fs, lock::Lock, mounts},
};

use super::{Context, LockArgs, setup};

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
        /// Remove from the download cache what had to be fetched for this alone
        #[arg(long)]
        drop_downloads: bool,
        #[command(flatten)]
        lock: LockArgs,
    },
}

pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    let Command::Create { file, drop_downloads, lock } = command;
    let (file, workspace) = (context.host.absolute(file), &context.workspace);
    // Before gigabytes are fetched.
    if fs::is_dir(&file) {
        let problem = format!("`{}` is a directory", file.display());
        return Err(InstallError::NoBundle { problem, hint: "give the name of a file" }.into());
    }
    let folder = file.parent().unwrap_or(&file);
    if !fs::is_dir(folder) {
        let problem = format!("the folder `{}` is not there", folder.display());
        return Err(InstallError::NoBundle { problem, hint: "make it, or give another place" }.into());
    }
    if !mounts::is_writable(folder) {
        let problem = format!("the folder `{}` cannot be written by this user", folder.display());
        return Err(InstallError::NoBundle { problem, hint: "give another place" }.into());
    }
    if !fs::is_dir(&workspace.internal()) {
        let problem = format!("no setup was made in `{}`", workspace.root().display());
        return Err(InstallError::NoBundle { problem, hint: "run `dpgui setup` first" }.into());
    }
    context.finish_switch(lock.if_locked())?;
    // Nobody is to change the checkouts while they are read.
    let tell = |holder: &str| context.output.event(&Waiting { holder });
    let wait = lock.if_locked().wait(&tell);
    let _lock =
        Lock::shared(&workspace.setup_lock(), "dpgui bundle create", wait).map_err(InstallError::from)?;
    let settings = context.settings()?;
    let site = setup::site(context, &settings, Policy::Locked)?;
    let wish = setup::settled_wish(context, &settings)?;
    let setup = Setup::new(&site, &wish, &Selection::default())?;
    let venv = setup.environment(&wish)?;
    let progress = context.output.progress("bundle");
    let afterwards = if *drop_downloads { Afterwards::Drop } else { Afterwards::Keep };
    let bundled = bundle::create(&site, &venv, &file, (afterwards, &progress))?;
    drop(progress);
    context.output.event(&bundled);
    Ok(ExitCode::SUCCESS)
}
