//! `dpgui __rank RUNDIR PYTHON -u SCRIPT …`: stands between DeepSpeed's launcher and a rank, and becomes the rank.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use crate::{
    error::{Error, Kind},
    run::{RunDir, rank},
};

use super::Context;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, absolute
    dir: PathBuf,
    /// The trainer's Python and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let no_run = || Error::new(Kind::Bug, format!("`{}` is no run's folder", args.dir.display()));
    let dir = RunDir::at(&args.dir).ok_or_else(no_run)?;
    match rank::become_rank(&dir, &context.host, &args.command)? {}
}
