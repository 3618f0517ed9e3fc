//! `dpgui __reap MARK`: kills what a dpgui that has ended left at work. Only that dpgui types it.

use std::{io, process::ExitCode};

use crate::{
    error::{Error, Kind},
    platform::reaper,
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is in the environment of the programs that it started
    mark: String,
}

pub fn run(args: &Args) -> Result<ExitCode, Error> {
    reaper::reap(io::stdin(), &args.mark)
        .map_err(|cause| Error::new(Kind::Bug, format!("cannot wait for dpgui: {cause}")))?;
    Ok(ExitCode::SUCCESS)
}
