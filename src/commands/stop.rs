//! `dpgui stop`: ends a run and returns when no process of it is left.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    error::Error,
    output::size,
    platform::signal,
    run::{
        Manner, Outcome, RunDir, list,
        state::RunState,
        stop::{self, Ended},
        vram,
    },
};

use super::{Context, export, interrupts};

/// Stop a run: let it save and leave, insist if it does not; returns when no process of it is left
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its id, the beginning of one, or its name [default: the one that is running]
    run: Option<String>,
    /// Do not wait for it to save, nor to end in order
    #[arg(long)]
    now: bool,
    /// Let it end in order, without a checkpoint
    #[arg(long, conflicts_with = "now")]
    no_save: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    context.adopt_runs()?;
    let dir = list::find_or_running(workspace, args.run.as_deref())?;
    let manner = match (args.now, args.no_save) {
        (true, _) => Manner::Now,
        (false, true) => Manner::NoSave,
        (false, false) => Manner::Graceful,
    };
    if !list::is_live(&dir) {
        let outcome = already(context, &dir)?;
        if !args.now {
            // Whoever stopped it may have been cut off before its adapter was made.
            export::after_stop_saying(context, &dir, &outcome)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let devices = dir.spec()?.devices;
    let before = vram::in_use(host, &devices);
    if let Some(whole) = whole(&dir, manner)? {
        output.status("Stopping", whole);
    } else if manner == Manner::Graceful {
        output.status("Stopping", format_args!("{}, {}", dir.id(), patience(&dir)?));
    }
    let progress = output.progress("stopping");
    while !stop::request(host, &dir, manner)? {
        output.warn(format_args!("{}; asking again", stop::silence(&dir)));
    }
    let has_ended = say_what_goes_on(context, &dir)?;
    let outcome = stop::wait(host, &dir, |state| {
        if let RunState::Stopping(stopping) = state {
            progress.doing(stopping.degree.sentence());
        }
    })?;
    has_ended.store(true, Ordering::SeqCst);
    drop(progress);
    if !args.now {
        export::after_stop_saying(context, &dir, &outcome)?;
    }
    output.event(&Ended::new(&dir, outcome)?);
    for freed in vram::in_use(host, &devices).freed_since(&before) {
        output.event(&freed);
    }
    stop::is_written(&dir)?;
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C ends this command, and not the stop; what returns is to be told when the run has ended.
fn say_what_goes_on(context: &Context, dir: &RunDir) -> Result<Arc<AtomicBool>, Error> {
    let has_ended = Arc::new(AtomicBool::new(false));
    let (seen, output, id) = (Arc::clone(&has_ended), context.output.clone(), dir.id().clone());
    interrupts::catch(move |_| {
        if seen.load(Ordering::SeqCst) {
            output.note(format_args!(
                "{id} has ended; `dpgui stop {id}` makes its adapter, if it is to have one"
            ));
        } else {
            output.note(format_args!(
                "the stop goes on without you; `dpgui stop {id}` waits for its end again"
            ));
        }
        signal::end_interrupted();
    })?;
    Ok(has_ended)
}

/// What there is to say to whoever wants something of a run that is over: how it ended, and what it left.
pub(super) fn already(context: &Context, dir: &RunDir) -> Result<Outcome, Error> {
    let outcome = stop::wait(&context.host, dir, |_| {})?;
    context.output.status("Already", format_args!("{} is not running", dir.id()));
    context.output.event(&Ended::new(dir, outcome.clone())?);
    stop::is_written(dir)?;
    Ok(outcome)
}

/// What a stop of a part of another machine's run does to all of it.
fn whole(dir: &RunDir, manner: Manner) -> Result<Option<String>, Error> {
    let Some(part) = dir.spec()?.part else { return Ok(None) };
    let (Some(origin), head, id) = (&part.of, part.master(), dir.id()) else { return Ok(None) };
    let run = &origin.run;
    Ok(Some(match manner {
        Manner::Now => format!("{id} alone, a part of `{run}` of `{head}`, which fails without it"),
        Manner::Graceful | Manner::NoSave => format!(
            "`{run}` of `{head}`, whose part on this machine is {id}; `dpgui stop --now {id}` ends this part alone"
        ),
    }))
}

/// How long it may take, for people.
fn patience(dir: &RunDir) -> Result<String, Error> {
    let state = dir.snapshot()?.map(|it| it.state);
    let evidence = state.as_ref().filter(|it| it.has_trained()).and_then(RunState::evidence);
    if state == Some(RunState::Queued) {
        return Ok("which has not begun".to_owned());
    }
    let text = match evidence {
        Some(it) => format!("which gets up to {} to save and leave", size::duration(it.patience())),
        None => "which has nothing to save yet and gets up to 30 s to end".to_owned(),
    };
    Ok(format!("{text}; `dpgui stop --now {}` does not wait", dir.id()))
}
