//! `dpgui train`: starts a run and shows it.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    install::IfLocked,
    output::{Event, Line, Mode, Output, Waiting},
    platform::{fs, lock::Lock},
    run::{
        self, Outcome, Request, Resume, RunDir, RunId, RunName, Site, Started,
        data::DataSummary,
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
    #[arg(required_unless_present = "resume")]
    config: Option<PathBuf>,
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
    /// Who starts the ranks: DeepSpeed's launcher, or dpgui itself, which is faster and takes less memory
    #[arg(long, value_enum, default_value_t)]
    launcher: Launcher,
    /// More arguments for the trainer
    #[arg(last = true, value_name = "ARGS")]
    passed_on: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Launcher {
    #[default]
    Deepspeed,
    Direct,
}

impl From<Launcher> for run::spec::Launcher {
    fn from(chosen: Launcher) -> Self {
        match chosen {
            Launcher::Deepspeed => Self::Deepspeed,
            Launcher::Direct => Self::Direct,
        }
    }
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
    /// Whose checkpoint that is, if it was a run of this workspace.
    resumes_run: Option<&'a RunId>,
    /// The trainer's folder that it goes on in.
    resumes_folder: Option<&'a Path>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    context.adopt_runs()?;
    let settings = context.settings()?;
    let (config, resume) = args.wanted()?;
    let request = Request {
        config: existing(&config, context)?,
        gpus: args.gpus.clone(),
        name: args.name.clone(),
        resume,
        launcher: args.launcher.into(),
        args: args.passed_on.clone(),
    };
    if !args.detach {
        let show = if args.watch { Show::Status } else { Show::Log };
        return Ok(to_the_end(context, &settings, &request, show)?.1);
    }
    let site = Site { host, workspace, settings: &settings };
    let started = run::start(site, &request, &hold_setup(context, site)?)?;
    announce(&started, output);
    // Scripts have it from the event.
    if output.mode() != Mode::Json {
        output.data(started.dir.id());
    }
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// `--resume CONFIG` means `--resume` and CONFIG: what follows an option is taken for its value.
    fn wanted(&self) -> Result<(PathBuf, Option<Resume>), Error> {
        let named = |run: &Option<String>| run.clone().map_or(Resume::Newest, Resume::Run);
        match (&self.config, &self.resume) {
            (Some(config), resume) => Ok((config.clone(), resume.as_ref().map(named))),
            (None, Some(Some(word))) if Path::new(word).extension().is_some_and(|it| it == "toml") => {
                Ok((PathBuf::from(word), Some(Resume::Newest)))
            }
            (None, _) => Err(Error::new(Kind::Usage, "CONFIG is missing: what to train with is not said")
                .with_hint("put it first: `dpgui train CONFIG --resume [RUN]`")),
        }
    }
}

/// `config` as an absolute path. It is relative to the working directory, not to the workspace; who takes it for the
/// other is told.
fn existing(config: &Path, Context { host, workspace, .. }: &Context) -> Result<PathBuf, Error> {
    let path = host.absolute(config);
    let meant = workspace.root().join(config);
    if !fs::exists(&path) && fs::exists(&meant) {
        let message = format!("there is no configuration file `{}`", path.display());
        return Err(
            Error::new(Kind::Usage, message).with_hint(format!("did you mean `{}`?", meant.display()))
        );
    }
    Ok(path)
}

/// Starts a run and shows it until it ends. The exit code tells complete and stopped apart; a failure is an error.
pub fn to_the_end(
    context: &Context,
    settings: &Settings,
    request: &Request,
    show: Show,
) -> Result<(RunDir, ExitCode), Error> {
    let Context { host, workspace, output } = context;
    let site = Site { host, workspace, settings };
    // Ctrl-C ends this wait like any other.
    let setup = hold_setup(context, site)?;
    // Before the start: a run that begins in the moment of a Ctrl-C must not go on unseen.
    let interrupts = Interrupts::catch(context)?;
    let starting = output.progress("starting");
    let started = run::start(site, request, &setup)?;
    drop((starting, setup));
    announce(&started, output);
    let dir = started.dir;
    interrupts.stop(&dir);
    let outcome = watch::follow(host, &dir, output, show)?;
    output.event(&Ended::new(&dir, outcome.clone())?);
    match outcome.failure() {
        None => Ok((dir, ExitCode::SUCCESS)),
        Some(Kind::Interrupted) => Ok((dir, ExitCode::from(Kind::Interrupted.exit_code()))),
        Some(kind) => Err(failure(&dir, &outcome, kind, watch::shows_log(output, show))?),
    }
}

fn hold_setup(context: &Context, site: Site<'_>) -> Result<Lock, Error> {
    context.finish_switch(IfLocked::Wait)?;
    Ok(run::hold_setup(site, &|holder| context.output.event(&Waiting { holder }))?)
}

fn announce(started: &Started, output: &Output) {
    for warning in &started.warnings {
        output.warn(warning);
    }
    for data in &started.data {
        output.event(data);
    }
    let (spec, resumed) = (&started.spec, started.resumed.as_ref());
    output.event(&Begun {
        run: started.dir.id(),
        folder: started.dir.path().to_owned(),
        on: spec.devices.to_string(),
        port: spec.master_port,
        resumes_step: resumed.map(|it| it.checkpoint.step),
        resumes_run: resumed.and_then(|it| it.run.as_ref()).map(RunDir::id),
        resumes_folder: resumed.map(|it| it.folder.path()),
    });
}

/// What failed and, if the log says so, why; the end of the log for those who have not seen it.
fn failure(dir: &RunDir, outcome: &Outcome, kind: Kind, seen: bool) -> Result<Error, Error> {
    let end = watch::last_words(dir, LAST_LINES)?;
    let cause = end.cause.as_deref().unwrap_or_default();
    let mut message = format!("the training {}", outcome.sentence());
    if !cause.is_empty() {
        message = format!("{message}: `{cause}`");
    }
    if !seen && !end.lines.is_empty() {
        message = format!("{message}; its last lines:\n{}", end.lines.join("\n"));
    }
    let has_trained = dir.snapshot()?.is_some_and(|it| it.last_step.is_some());
    let lacks_module = cause.starts_with("ModuleNotFoundError:") || cause.starts_with("ImportError:");
    let hint = if lacks_module && !has_trained {
        "mend the environment with `dpgui setup`".to_owned()
    } else {
        format!("see all of it with `dpgui logs {}`", dir.id())
    };
    Ok(Error::new(kind, message).with_hint(hint))
}

impl Event for DataSummary {
    fn line(&self) -> Option<Line> {
        let all = self.files == self.files_trained && self.samples == self.samples_trained;
        let more =
            if all { String::new() } else { format!(": `dpgui data check {}`", self.dataset.display()) };
        Some(Line { verb: "Data", text: format!("{}{more}", self.text) })
    }
}

impl Event for Begun<'_> {
    fn line(&self) -> Option<Line> {
        let of = self.resumes_run.map(|run| format!(" of {run}")).unwrap_or_default();
        let folder = self.resumes_folder.map(|it| format!(", in `{}`", it.display())).unwrap_or_default();
        let resumed = self.resumes_step.map(|it| format!(", from the checkpoint at step {it}{of}{folder}"));
        let text = format!("{} on {}{}", self.run, self.on, resumed.unwrap_or_default());
        Some(Line { verb: "Training", text })
    }
}
