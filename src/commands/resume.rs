//! `dpgui resume`: goes on with runs as they were started.

use std::process::ExitCode;

use crate::{
    error::{Error, Kind},
    run::{self, Request, RunDir, Site, list, resume},
};

use super::{Context, train};

/// Go on with a run from its newest checkpoint, as it was started; in the background
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its id, the beginning of one, or its name
    #[arg(required_unless_present = "all")]
    run: Option<String>,
    /// Every run that ended with the machine, for instance when it was restarted
    #[arg(long, conflicts_with = "run")]
    all: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { workspace, output, .. } = context;
    context.adopt_runs()?;
    let Some(name) = &args.run else {
        let runs = resume::cut_off(workspace)?;
        if runs.is_empty() {
            output.note("no run was cut off that has a checkpoint");
        }
        // One that cannot go on does not keep the others from it.
        let failed: Vec<Error> = runs.iter().filter_map(|dir| go_on(dir, context).err()).collect();
        for failure in &failed {
            output.error(failure);
        }
        return Ok(ExitCode::from(failed.first().map_or(0, |it| it.kind().exit_code())));
    };
    go_on(&list::find(workspace, name)?, context)?;
    Ok(ExitCode::SUCCESS)
}

fn go_on(dir: &RunDir, context: &Context) -> Result<(), Error> {
    let Context { host, workspace, .. } = context;
    let settings = context.settings()?;
    let site = Site { host, workspace, settings: &settings, output: &context.output };
    let request = Request::again(dir)?;
    let setup = train::hold_setup(context, site)?;
    let started = run::start(site, &request, &setup).map_err(|cause| {
        let cause = Error::from(cause);
        Error::new(Kind::Failed, format!("{} cannot go on: {}", dir.id(), cause.messages().join(": ")))
    })?;
    train::announce(&started, &context.output);
    Ok(())
}
