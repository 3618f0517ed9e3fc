//! `dpgui save`: a checkpoint now, and the training goes on.

use std::process::ExitCode;

use crate::{
    error::Error,
    run::{RunError, list, save},
};

use super::{Context, stop};

/// Let a run write a checkpoint and go on; returns when it is written
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its id, the beginning of one, or its name [default: the one that is running]
    run: Option<String>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    context.adopt_runs()?;
    let dir = list::find_or_running(workspace, args.run.as_deref())?;
    if !list::is_live(&dir) {
        stop::already(context, &dir)?;
        return Err(RunError::EndedMeanwhile { id: dir.id().clone() }.into());
    }
    let progress = output.progress("saving");
    let saved = save::save(host, &dir, |stage| progress.doing(stage))?;
    drop(progress);
    output.event(&saved);
    Ok(ExitCode::SUCCESS)
}
