//! `dpgui resume`: goes on with runs as they were started.

use std::process::ExitCode;

use crate::{
    error::{Error, Kind},
    run::{self, Request, RunDir, RunError, Site, Started, adopt, list, queue::Queue, resume},
};

use super::{Context, train};

/// Go on with a run from its newest checkpoint, as it was started; in the background
///
/// It computes where it did before, if nobody else does by now.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "options of a command line")]
#[command(override_usage = "dpgui resume [OPTIONS] <RUN>\n       dpgui resume --all")]
pub struct Args {
    /// Its id, the beginning of one, or its name
    #[arg(required_unless_present = "all")]
    run: Option<String>,
    /// Every run that ended with the machine, for instance when it was restarted
    #[arg(long, conflicts_with_all = ["run", "gpus", "queue", "share"])]
    all: bool,
    /// On other GPUs than before, as `nvidia-smi` counts them
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = train::gpu)]
    gpus: Option<Vec<u32>>,
    /// Wait for what it needs, behind those that wait already
    #[arg(long, conflicts_with = "share")]
    queue: bool,
    /// Use GPUs that another run has already
    #[arg(long)]
    share: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    let Some(name) = &args.run else {
        // What was cut off comes before those who wait: it had begun already.
        context.say_why_not(adopt::adopt_begun(host, workspace)?);
        let runs = resume::cut_off(workspace)?;
        if runs.is_empty() {
            output.note("no run was cut off that has a checkpoint");
        }
        let mut queued = 0;
        let mut failed: Vec<Error> = vec![];
        // One that cannot go on does not keep the others from it.
        for dir in runs {
            // What was cut off had begun before those who wait.
            let again = Request::again(&dir).map(|it| Request { goes_before: true, ..it });
            match again.map_err(Error::from).and_then(|again| go_on(&dir, again, context, Some(queued))) {
                Ok(started) => queued += usize::from(started.spec.queued),
                Err(cause) => failed.push(cause),
            }
        }
        for failure in &failed {
            output.error(failure);
        }
        if Queue::load(workspace)?.is_from_before_reboot() {
            Queue::change(workspace, |queue| {
                queue.go_on_after_reboot();
                Ok(())
            })?;
        }
        context.adopt_runs()?;
        return Ok(ExitCode::from(failed.first().map_or(0, |it| it.kind().exit_code())));
    };
    context.adopt_runs()?;
    let dir = list::find(workspace, name)?;
    let again = Request::again(&dir)?;
    let again = Request {
        gpus: args.gpus.clone().or(again.gpus),
        queue: args.queue,
        share: args.share || (again.share && !args.queue),
        ..again
    };
    go_on(&dir, again, context, None)?;
    Ok(ExitCode::SUCCESS)
}

/// Where it computed somebody else may compute by now: then it waits at the place `waits` in the queue, if it may.
fn go_on(dir: &RunDir, request: Request, context: &Context, waits: Option<usize>) -> Result<Started, Error> {
    let Context { host, workspace, .. } = context;
    let settings = context.settings()?;
    let site = Site { host, workspace, settings: &settings, output: &context.output };
    let setup = train::hold_setup(context, site)?;
    let refused = |cause: RunError| {
        if matches!(&cause, RunError::StillRunning { id } if id == dir.id()) {
            let hint = format!("look on with `dpgui watch {}`", dir.id());
            return Error::new(Kind::Locked, format!("`{}` is still running", dir.id())).with_hint(hint);
        }
        let cause = Error::from(cause);
        let said = format!("{} cannot go on: {}", dir.id(), cause.messages().join(": "));
        match cause.hint() {
            Some(hint) => Error::new(cause.kind(), said).with_hint(hint),
            None => Error::new(cause.kind(), said),
        }
    };
    let started = match (run::start(site, &request, &setup), waits) {
        (Err(RunError::Busy(_)), Some(place)) if request.part.is_none() => {
            let queued = Request { queue: true, ..request };
            let started = run::start(site, &queued, &setup).map_err(refused)?;
            Queue::change(workspace, |queue| Ok(queue.put(started.dir.id(), place)))?;
            started
        }
        (started, _) => started.map_err(refused)?,
    };
    train::announce(&started, &context.output);
    Ok(started)
}
