//! `dpgui export`: an adapter from a checkpoint.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    error::{Error, Kind},
    output::Waiting,
    platform::fs,
    run::{
        self, Outcome, RunDir, Site,
        export::{Source, after_stop},
        list, resume,
    },
};

use super::Context;

/// Make an adapter of a checkpoint, as the trainer would have saved it at that step
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run, as `RUN` or `RUN@STEP`, a `global_stepN` or the folder that holds it [default: the newest run]
    #[arg(value_name = "RUN|CHECKPOINT")]
    source: Option<String>,
    /// The checkpoint of this step [default: the one that training would go on from]
    #[arg(long)]
    step: Option<u64>,
    /// A folder to make, or a file for the weights alone [default: `stepN` beside the checkpoint]
    #[arg(long, short, value_name = "FILE|DIR")]
    output: Option<PathBuf>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    let settings = context.settings()?;
    let site = Site { host, workspace, settings: &settings, output: &context.output };
    let source = source(args, context)?;
    if let Some(note) = &source.note {
        output.warn(note);
    }
    let place = args.output.as_deref().map(|it| host.absolute(it));
    if let Some(place) = place.as_deref().filter(|it| fs::exists(it)) {
        let message = format!("`{}` is there already", place.display());
        return Err(Error::new(Kind::Usage, message).with_hint("name one that is not, or remove it"));
    }
    let _setup = run::hold_setup(site, &|holder| output.event(&Waiting { holder }))?;
    let progress = output.progress("exporting");
    progress.doing("reading the checkpoint");
    let exported = source.export(site, place.as_deref())?;
    drop(progress);
    output.event(&exported);
    Ok(ExitCode::SUCCESS)
}

/// Keeps the adapter of a training that was stopped and saved, and says so.
pub(super) fn after_stop_saying(context: &Context, dir: &RunDir, outcome: &Outcome) -> Result<(), Error> {
    let Context { host, workspace, output } = context;
    let settings = context.settings()?;
    let site = Site { host, workspace, settings: &settings, output: &context.output };
    let progress = output.progress("stopped");
    progress.doing("making an adapter of its checkpoint");
    let exported = after_stop(site, dir, outcome);
    drop(progress);
    match exported {
        None => {}
        Some(Ok(exported)) => output.event(&exported),
        Some(Err(cause)) => {
            // What Python said besides is for whoever asks for it.
            let why = cause.to_string();
            output.warn(format_args!("{why}; try again with `dpgui export {}`", dir.id()));
        }
    }
    Ok(())
}

/// What names a folder that is there is one.
fn source(args: &Args, Context { host, workspace, .. }: &Context) -> Result<Source, Error> {
    let path = args.source.as_deref().map(|it| host.absolute(it.as_ref())).filter(|it| fs::is_dir(it));
    if let Some(path) = path {
        return Ok(Source::of_path(&path, args.step)?);
    }
    let (name, step) = match args.source.as_deref() {
        Some(text) => resume::split(text)?,
        None => (None, None),
    };
    if let (Some(named), Some(step)) = (step, args.step) {
        let message = format!("two steps are named: `@{named}` and `--step {step}`");
        return Err(Error::new(Kind::Usage, message).with_hint("leave one of them out"));
    }
    let dir = list::find_or_newest(workspace, name)?;
    Ok(Source::of_run(&dir, args.step.or(step))?)
}
