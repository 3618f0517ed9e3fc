//! `dpgui train`: starts a run and shows it.

use std::{
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex},
};

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    output::{Event, Line, Mode, Output},
    platform::signal,
    run::{
        self, Manner, Outcome, Request, Resume, RunDir, RunId, RunName, Site, Started,
        stop::{self, Ended},
        watch::{self, Show},
    },
};

use super::Context;

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
    let site = Site { host, workspace, settings: &settings };
    // From here on: a run that begins in the moment of a Ctrl-C must not go on unseen.
    let interrupts = if args.detach { None } else { Some(Interrupts::catch(context)?) };
    let started = run::start(site, &request)?;
    announce(&started, output);
    let Some(interrupts) = interrupts else {
        // Scripts have it from the event.
        if output.mode() != Mode::Json {
            output.data(started.dir.id());
        }
        return Ok(ExitCode::SUCCESS);
    };
    interrupts.stop(&started.dir);
    see_through(context, &started.dir, if args.watch { Show::Status } else { Show::Log })
}

/// Shows the run to its end, which is the exit code's meaning.
pub fn see_through(context: &Context, dir: &RunDir, show: Show) -> Result<ExitCode, Error> {
    let Context { host, output, .. } = context;
    let outcome = watch::follow(host, dir, output, show)?;
    output.event(&Ended::new(dir, outcome.clone())?);
    match outcome.failure() {
        None => Ok(ExitCode::SUCCESS),
        Some(Kind::Interrupted) => Ok(ExitCode::from(Kind::Interrupted.exit_code())),
        Some(kind) => Err(failure(dir, &outcome, kind)?),
    }
}

pub fn announce(started: &Started, output: &Output) {
    for warning in &started.warnings {
        output.warn(warning);
    }
    let spec = &started.spec;
    output.event(&Begun {
        run: started.dir.id(),
        folder: started.dir.path().to_owned(),
        on: spec.devices.to_string(),
        port: spec.master_port,
        resumes_step: started.resumed.as_ref().map(|it| it.step),
    });
}

/// What Ctrl-C means while a run is watched: the first asks it to stop, the next insist.
pub struct Interrupts {
    context: Context,
    state: Arc<Mutex<Pressed>>,
}

#[derive(Default)]
struct Pressed {
    count: u32,
    /// What to stop, once it is there.
    dir: Option<RunDir>,
}

impl Interrupts {
    /// From now on Ctrl-C does not end this program.
    pub fn catch(context: &Context) -> Result<Self, Error> {
        let state = Arc::new(Mutex::new(Pressed::default()));
        let (seen, with) = (Arc::clone(&state), context.clone());
        let on_interrupt = move |count| {
            let Ok(mut pressed) = seen.lock() else { return };
            pressed.count = count;
            pressed.stop(&with);
        };
        signal::catch_interrupts(on_interrupt)
            .map_err(|cause| Error::new(Kind::Bug, format!("cannot wait for Ctrl-C: {cause}")))?;
        Ok(Self { context: context.clone(), state })
    }

    /// This is the run to stop, at once if Ctrl-C was pressed already.
    pub fn stop(&self, dir: &RunDir) {
        let Ok(mut pressed) = self.state.lock() else { return };
        pressed.dir = Some(dir.clone());
        pressed.stop(&self.context);
    }
}

impl Pressed {
    fn stop(&self, Context { host, output, .. }: &Context) {
        let Some(dir) = &self.dir else { return };
        let (manner, text) = match self.count {
            0 => return,
            1 => (Manner::Graceful, "the run, which may save first; Ctrl-C again insists"),
            _ => (Manner::Now, "the run at once"),
        };
        output.status("Stopping", text);
        if let Err(cause) = stop::request(host, dir, manner) {
            output.error(&cause.into());
        }
    }
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
