//! `dpgui __node`: what the first machine of a run on several starts over ssh on the others. Only dpgui itself types it.

use std::{
    io::{self, BufReader},
    process::ExitCode,
};

use crate::{
    error::Error,
    run::{Site, nodes::guest},
};

use super::{Context, train};

#[derive(Debug, clap::Args)]
pub struct Args {}

pub fn run(_: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    let settings = context.settings()?;
    let site = Site { host, workspace, settings: &settings, output };
    guest::attend(site, BufReader::new(io::stdin()), || train::hold_setup(context, site))?;
    Ok(ExitCode::SUCCESS)
}
