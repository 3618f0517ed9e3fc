//! `dpgui __link RUNDIR NUMBER`: keeps the head of a run in touch with another machine. Only the supervisor types it.

use std::{path::PathBuf, process::ExitCode};

use crate::{error::Error, run::nodes::link};

use super::{Context, run_folder};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, absolute
    dir: PathBuf,
    /// Which machine of its hostfile, from 0 on
    number: u32,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    link::keep_in_touch(&context.host, &run_folder(&args.dir)?, args.number)?;
    Ok(ExitCode::SUCCESS)
}
