//! `dpgui __keep RUNDIR`: the keeper's own command. Only the supervisor types it.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    error::{Error, Kind},
    run::{RunDir, keeper},
};

use super::Context;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, absolute
    dir: PathBuf,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let no_run = || Error::new(Kind::Bug, format!("`{}` is no run's folder", args.dir.display()));
    keeper::keep(&context.host, &RunDir::at(&args.dir).ok_or_else(no_run)?)?;
    Ok(ExitCode::SUCCESS)
}
