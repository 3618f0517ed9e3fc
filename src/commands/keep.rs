//! `dpgui __keep RUNDIR`: the keeper's own command. Only the supervisor types it.

use std::{path::PathBuf, process::ExitCode};

use crate::{error::Error, run::keeper};

use super::{Context, run_folder};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, absolute
    dir: PathBuf,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    keeper::keep(&context.host, &run_folder(&args.dir)?)?;
    Ok(ExitCode::SUCCESS)
}
