//! `dpgui rollback`: goes back to what the last update replaced, and forward again.

use std::process::ExitCode;

use crate::{
    error::Error,
    install::{
        Setup,
        lock::Policy,
        plan::{Selection, StepId},
        update,
    },
};

use super::{Context, LockArgs, setup};

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
    // It is done: what cannot be told any more is the next setup's business.
    if let Ok(changes) = undone_by_setup(context)
        && !changes.is_empty()
    {
        context.output.warn(format_args!(
            "`dpgui.toml` asks for something else than what is there now: the next `dpgui setup` changes {}",
            changes.join(", ")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What of it would not stay.
fn undone_by_setup(context: &Context) -> Result<Vec<String>, Error> {
    let settings = context.settings()?;
    let site = setup::site(context, &settings, Policy::Update)?;
    let wish = setup::settled_wish(context, &settings)?;
    let plan = Setup::new(&site, &wish, &Selection::default())?.plan()?;
    let exchanged = |it: &StepId| matches!(it, StepId::Repository(_) | StepId::Venv);
    let changes = plan.into_iter().filter(|it| it.pending && exchanged(&it.step));
    Ok(changes.map(|it| it.step.to_string()).collect())
}
