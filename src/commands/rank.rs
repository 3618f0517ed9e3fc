//! `dpgui __rank RUNDIR PYTHON -u SCRIPT …`: stands between DeepSpeed's launcher and a rank, and becomes the rank.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use crate::{error::Error, run::rank};

use super::{Context, run_folder};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, absolute
    dir: PathBuf,
    /// The trainer's Python and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let dir = run_folder(&args.dir)?;
    match rank::become_rank(&dir, &context.host, &args.command)? {}
}
