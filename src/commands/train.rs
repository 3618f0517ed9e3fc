//! `dpgui train`: starts a run and shows it.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    output::{Event, Line, Mode, Output},
    run::{
        self, Outcome, Request, Resume, RunDir, RunId, RunName, Site, Started,
        stop::Ended,
        watch::{self, Show},
    },
    workspace::Settings,
};

use super::{Context, interrupts::Interrupts};

/// Lines of the log that are shown with a failure.
const LAST_LINES: usize = 15;

/// Train with CONFIG, supervised; closing the terminal does not end it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The training TOML file
    config: PathBuf,
    /// Show one line that says how far it is
    #[arg(long, conflicts_with = "detach")]
    watch: bool,
    /// Start it, print its id and leave
    #[arg(long)]
    detach: bool,
    /// The GPUs to use, as `nvidia-smi` counts them [default: all]
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    gpus: Option<Vec<u32>>,
    /// Go on from the last checkpoint of RUN [default: of the newest run of this configuration]
    #[arg(long, value_name = "RUN", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "clap's way to tell `--resume` from `--resume RUN` and from neither"
    )]
    resume: Option<Option<String>>,
    /// What to call the run [default: the name of CONFIG]
    #[arg(long)]
    name: Option<RunName>,
    /// More arguments for the trainer
    #[arg(last = true, value_name = "ARGS")]
    passed_on: Vec<String>,
}

/// A run has begun.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "run-started")]
struct Begun<'a> {
    run: &'a RunId,
    folder: PathBuf,
    on: String,
    port: u16,
    /// The step of the checkpoint that it goes on from.
    resumes_step: Option<u64>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    context.adopt_runs()?;
    let settings = context.settings()?;
    let request = Request {
        config: host.absolute(&args.config),
        gpus: args.gpus.clone(),
        name: args.name.clone(),
        resume: args.resume.clone().map(|run| run.map_or(Resume::Newest, Resume::Run)),
        args: args.passed_on.clone(),
    };
    if !args.detach {
        let show = if args.watch { Show::Status } else { Show::Log };
        return Ok(to_the_end(context, &settings, &request, show)?.1);
    }
    let started = run::start(Site { host, workspace, settings: &settings }, &request)?;
    announce(&started, output);
    // Scripts have it from the event.
    if output.mode() != Mode::Json {
        output.data(started.dir.id());
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts a run and shows it until it ends. The exit code tells complete and stopped apart; a failure is an error.
pub fn to_the_end(
    context: &Context,
    settings: &Settings,
    request: &Request,
    show: Show,
) -> Result<(RunDir, ExitCode), Error> {
    let Context { host, workspace, output } = context;
    // Before the start: a run that begins in the moment of a Ctrl-C must not go on unseen.
    let interrupts = Interrupts::catch(context)?;
    let started = run::start(Site { host, workspace, settings }, request)?;
    announce(&started, output);
    let dir = started.dir;
    interrupts.stop(&dir);
    let outcome = watch::follow(host, &dir, output, show)?;
    output.event(&Ended::new(&dir, outcome.clone())?);
    match outcome.failure() {
        None => Ok((dir, ExitCode::SUCCESS)),
        Some(Kind::Interrupted) => Ok((dir, ExitCode::from(Kind::Interrupted.exit_code()))),
        Some(kind) => Err(failure(&dir, &outcome, kind)?),
    }
}

fn announce(started: &Started, output: &Output) {
    for warning in &started.warnings {
        output.warn(warning);
    }
    let spec = &started.spec;
    output.event(&Begun {
        run: started.dir.id(),
        folder: started.dir.path().to_owned(),
        on: spec.devices.to_string(),
        port: spec.master_port,
        resumes_step: started.resumed.as_ref().map(|it| it.checkpoint.step),
    });
}

fn failure(dir: &RunDir, outcome: &Outcome, kind: Kind) -> Result<Error, Error> {
    let last = watch::last_lines(dir, LAST_LINES)?;
    let mut message = format!("the training {}", outcome.sentence());
    if !last.is_empty() {
        message = format!("{message}; its last lines:\n{}", last.join("\n"));
    }
    Ok(Error::new(kind, message).with_hint(format!("see all of it with `dpgui logs {}`", dir.id())))
}

impl Event for Begun<'_> {
    fn line(&self) -> Option<Line> {
        let resumed = self.resumes_step.map(|step| format!(", from the checkpoint at step {step}"));
        let text = format!("{} on {}{}", self.run, self.on, resumed.unwrap_or_default());
        Some(Line { verb: "Training", text })
    }
}
