//! `dpgui __notify RUNDIR NOTICE`: tells of a run what its supervisor wants told. Only dpgui itself types it.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    error::{Error, Kind},
    run::{RunDir, notify},
};

use super::Context;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, absolute
    dir: PathBuf,
    /// What happened, as JSON
    notice: String,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let bug = |what: &str| Error::new(Kind::Bug, format!("`{}` is no {what}", args.dir.display()));
    let dir = RunDir::at(&args.dir).ok_or_else(|| bug("run's folder"))?;
    let notice = serde_json::from_str(&args.notice).map_err(|_| bug("notice"))?;
    let failed = notify::tell_all(&context.host, &dir, &notice)?;
    for failure in &failed {
        context.output.warn(failure);
        notify::record(&dir, &notice, failure)?;
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
