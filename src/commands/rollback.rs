//! `dpgui rollback`: goes back to what the last update replaced, and forward again.

use std::process::ExitCode;

use crate::{error::Error, install::update};

use super::{Context, LockArgs};

/// Go back to what the last update replaced; a second time, forward again
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    lock: LockArgs,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let if_locked = args.lock.if_locked();
    context.finish_switch(if_locked)?;
    context.output.event(&update::go_back(&context.workspace, &context.output, if_locked)?);
    Ok(ExitCode::SUCCESS)
}
