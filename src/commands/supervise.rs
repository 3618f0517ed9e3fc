//! `dpgui __supervise RUNDIR`: the supervisor's own command. Only dpgui itself types it.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    error::Error,
    run::supervise::{Begin, supervise},
};

use super::{Context, run_folder};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, absolute
    dir: PathBuf,
    /// Take over a run that was started before
    #[arg(long)]
    adopt: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let dir = run_folder(&args.dir)?;
    let begin = if args.adopt { Begin::Adopt } else { Begin::Start };
    supervise(&dir, &context.host, begin)?;
    Ok(ExitCode::SUCCESS)
}
