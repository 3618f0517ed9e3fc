//! `dpgui train`: starts a run and shows it.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    diagnosis::Diagnosis,
    error::{Error, Kind},
    install::IfLocked,
    output::{Mode, Output, Waiting, screen::Screen},
    platform::lock::Lock,
    run::{
        self, Outcome, Request, Resume, RunDir, RunName, Site, Started,
        nodes::{Hostfile, Part},
        queue::Queue,
        restart, resume,
        spec::Launcher,
        stop::{Ended, Kept},
        typed::{self, Starter},
        watch::{self, Show},
        watchdog::{OnNan, OnStall},
    },
    workspace::{Settings, settings::notify_target},
};

use super::{Context, export, interrupts::Interrupts};
use said::{Begun, Command, Done, Queued};

mod said;

/// Lines of the log that are shown with a failure.
const LAST_LINES: usize = 15;

/// Train with CONFIG, supervised; closing the terminal does not end it
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "options of a command line")]
pub struct Args {
    /// The training TOML file
    #[arg(required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Show how far it is on the whole terminal; elsewhere a line now and then
    #[arg(long, conflicts_with = "detach")]
    watch: bool,
    /// Start it, print its id and leave
    #[arg(long)]
    detach: bool,
    /// The GPUs to use, as `nvidia-smi` counts them [default: all]
    #[arg(long, value_name = "IDS", value_delimiter = ',', value_parser = gpu)]
    gpus: Option<Vec<u32>>,
    /// Go on from the last checkpoint of RUN, or from that of a step [default: the newest run of this configuration]
    #[arg(long, value_name = "RUN[@STEP]", num_args = 0..=1)]
    #[expect(
        clippy::option_option,
        reason = "clap's way to tell `--resume` from `--resume RUN` and from neither"
    )]
    resume: Option<Option<String>>,
    /// Go on from the last checkpoint of RUN if it has one, else begin: for scripts that are started again and again
    #[arg(long, value_name = "RUN", conflicts_with = "resume")]
    resume_or_start: Option<String>,
    /// Try again after a failure that may pass, from the newest checkpoint, N times without a new one [default N: 3]
    #[arg(long, value_name = "on-failure[:N]", value_parser = restarts)]
    restart: Option<u32>,
    /// When the loss is not a number for 10 steps (`nan-steps`): `keep` on or `stop`
    #[arg(long, value_name = "WHAT", default_value = "keep", hide_default_value = true)]
    on_nan: OnNan,
    /// When nothing happens for 10 minutes (`stall-after` in `dpgui.toml`): `notify`, `stop` or `restart`
    #[arg(long, value_name = "WHAT", default_value = "notify", hide_default_value = true)]
    on_stall: OnStall,
    /// A command or an address that hears of the run's end and of what goes wrong; may be given several times
    #[arg(long, value_name = "CMD|URL", value_parser = notify_target)]
    notify: Vec<String>,
    /// What to call the run [default: the name of CONFIG]
    #[arg(long)]
    name: Option<RunName>,
    /// Who starts the ranks: `deepspeed`, its own launcher, or dpgui itself, `direct`: sooner, with less memory
    ///
    /// With `--print-command --hostfile FILE` also another one of DeepSpeed's: `pdsh`, `openmpi`, `mpich`, `impi`,
    /// `mvapich`, `slurm`.
    #[arg(long, value_name = "WHO", default_value = "deepspeed", hide_default_value = true)]
    launcher: Starter,
    /// Wait for the GPUs that it needs, behind those that wait already; prints its id and leaves
    #[arg(long, conflicts_with_all = ["watch", "share"])]
    queue: bool,
    /// Train on several machines: this one first, then those that ssh reaches without a password
    ///
    /// The file is DeepSpeed's: a machine a line, `HOST slots=GPUS`.
    #[arg(long, value_name = "FILE")]
    hostfile: Option<PathBuf>,
    /// Use GPUs that another run has already
    #[arg(long)]
    share: bool,
    /// Start nothing: print the command that one could type instead
    #[arg(long, conflicts_with_all = ["resume", "detach", "watch", "queue", "share"])]
    print_command: bool,
    /// More arguments for the trainer
    #[arg(last = true, value_name = "ARGS")]
    passed_on: Vec<String>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    context.adopt_runs()?;
    let settings = context.settings()?;
    let (config, resume, step) = args.wanted()?;
    let hostfile = args.hostfile.as_ref().map(|path| host.absolute(path));
    let machines = hostfile.as_deref().map(Hostfile::load).transpose()?;
    let part = machines.map(|it| Part::at_head(it, settings.runs.node_patience));
    let request = Request {
        config: context.configuration(&config)?,
        kept: None,
        gpus: args.gpus.clone(),
        name: args.name.clone(),
        resume,
        step,
        launcher: args.launcher()?,
        queue: args.queue,
        share: args.share,
        goes_before: false,
        args: args.passed_on.clone(),
        restarts: args.restarts(),
        on_nan: args.on_nan,
        on_stall: args.on_stall,
        notify: args.notify.clone(),
        part,
        ..Request::default()
    };
    if args.print_command {
        let site = Site { host, workspace, settings: &settings, output };
        if request.launcher == Launcher::Direct {
            output.note(
                "this is DeepSpeed's own launcher; with `--launcher direct` dpgui starts the ranks itself",
            );
        }
        let command = typed::command(site, &request, hostfile.as_deref(), args.launcher)?;
        output.result(&Command { command: &command }, &command);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some((run, step)) = resume::done(Site { host, workspace, settings: &settings, output }, &request) {
        output.event(&Done { run, step });
        return Ok(ExitCode::SUCCESS);
    }
    if args.watch && Screen::is_possible(output) {
        let site = Site { host, workspace, settings: &settings, output };
        let started = run::start(site, &request, &hold_setup(context, site)?)?;
        announce(&started, output);
        return super::watch::show(context, &started.dir);
    }
    if !(args.detach || args.queue) {
        let show = if args.watch { Show::Status } else { Show::Log };
        return Ok(to_the_end(context, &settings, &request, show)?.1);
    }
    let site = Site { host, workspace, settings: &settings, output };
    let started = run::start(site, &request, &hold_setup(context, site)?)?;
    announce(&started, output);
    // Scripts have it from the event.
    if output.mode() != Mode::Json {
        output.data(started.dir.id());
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn gpu(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| "numbers as `nvidia-smi` counts them are expected, as `0,1`".to_owned())
}

/// `on-failure` or `on-failure:N`.
fn restarts(text: &str) -> Result<u32, String> {
    let count = match text.strip_prefix("on-failure") {
        Some("") => Some(restart::USUAL),
        Some(rest) => rest.strip_prefix(':').and_then(|count| count.parse().ok()),
        None => None,
    };
    count.ok_or_else(|| "`on-failure` or, with a count, `on-failure:3` is expected".to_owned())
}

impl Args {
    /// To restart after a stall is to restart.
    fn restarts(&self) -> Option<u32> {
        self.restart.or((self.on_stall == OnStall::Restart).then_some(restart::USUAL))
    }

    fn launcher(&self) -> Result<Launcher, Error> {
        match self.launcher {
            Starter::Supervised(launcher) => Ok(launcher),
            Starter::Foreign(_) if self.print_command && self.hostfile.is_some() => Ok(Launcher::Deepspeed),
            Starter::Foreign(name) => {
                let message = format!("what `{name}` starts on other machines, dpgui cannot see to its end");
                Err(Error::new(Kind::Usage, message).with_hint(
                    "leave out `--launcher`: with `--hostfile FILE` dpgui starts and supervises the ranks of every \
                     machine; or have the command printed with `--print-command --hostfile FILE`",
                ))
            }
        }
    }

    /// `--resume CONFIG` means `--resume` and CONFIG: what follows an option is taken for its value.
    fn wanted(&self) -> Result<(PathBuf, Option<Resume>, Option<u64>), Error> {
        if let (Some(config), Some(run)) = (&self.config, &self.resume_or_start) {
            return Ok((config.clone(), Some(Resume::IfAny(run.clone())), None));
        }
        match (&self.config, &self.resume) {
            (Some(config), None) => Ok((config.clone(), None, None)),
            (Some(config), Some(None)) => Ok((config.clone(), Some(Resume::Newest), None)),
            (Some(config), Some(Some(word))) => {
                let (run, step) = resume::split(word)?;
                let run = run.map_or(Resume::Newest, |run| Resume::Run(run.to_owned()));
                Ok((config.clone(), Some(run), step))
            }
            (None, Some(Some(word))) if Path::new(word).extension().is_some_and(|it| it == "toml") => {
                Ok((PathBuf::from(word), Some(Resume::Newest), None))
            }
            (None, _) => Err(Error::new(Kind::Usage, "CONFIG is missing: what to train with is not said")
                .with_hint("put it first: `dpgui train CONFIG --resume [RUN]`")),
        }
    }
}

/// Starts a run and shows it until it ends. The exit code tells complete and stopped apart; a failure is an error.
pub fn to_the_end(
    context: &Context,
    settings: &Settings,
    request: &Request,
    show: Show,
) -> Result<(RunDir, ExitCode), Error> {
    let Context { host, workspace, output } = context;
    let site = Site { host, workspace, settings, output };
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
    let code = ended(context, &dir, &outcome, watch::shows_log(output, show))?;
    Ok((dir, code))
}

/// Says how the run ended. The exit code tells complete and stopped apart; a failure is an error, with the end of the log
/// for those who have not `seen` it.
pub(super) fn ended(
    context: &Context,
    dir: &RunDir,
    outcome: &Outcome,
    seen: bool,
) -> Result<ExitCode, Error> {
    export::after_stop_saying(context, dir, outcome)?;
    context.output.event(&Ended::new(dir, outcome.clone())?);
    match outcome.failure() {
        None => Ok(ExitCode::SUCCESS),
        Some(Kind::Interrupted) => Ok(ExitCode::from(Kind::Interrupted.exit_code())),
        Some(kind) => Err(failure(dir, outcome, kind, seen)?),
    }
}

pub(super) fn hold_setup(context: &Context, site: Site<'_>) -> Result<Lock, Error> {
    context.finish_switch(IfLocked::Wait)?;
    Ok(run::hold_setup(site, &|holder| context.output.event(&Waiting { holder }))?)
}

pub(super) fn announce(started: &Started, output: &Output) {
    for warning in &started.warnings {
        output.warn(warning);
    }
    for data in &started.data {
        output.event(data);
    }
    let (spec, resumed) = (&started.spec, started.resumed.as_ref());
    if spec.queued {
        let queue = Queue::load(&started.dir.workspace()).ok();
        let place = queue.as_ref().and_then(|it| it.position(started.dir.id()));
        let folder = started.dir.path().to_owned();
        let on = spec.devices.to_string();
        if let Some(why) = queue.and_then(|it| it.why_held()) {
            output.note(why);
        }
        return output.event(&Queued {
            run: started.dir.id(),
            folder,
            on,
            place: place.map_or(1, |at| at + 1),
        });
    }
    for change in &started.changes {
        output.event(change);
    }
    for will in spec.watchdog.announced() {
        output.note(will);
    }
    output.event(&Begun {
        run: started.dir.id(),
        folder: started.dir.path().to_owned(),
        on: spec.place(),
        port: spec.master_port,
        resumes_step: resumed.map(|it| it.checkpoint.step),
        resumes_run: resumed.and_then(|it| it.run.as_ref()).map(RunDir::id),
        resumes_folder: resumed.map(|it| it.folder.path()),
    });
}

/// What failed and, if the log says so, why; the end of the log for those who have not seen it.
fn failure(dir: &RunDir, outcome: &Outcome, kind: Kind, seen: bool) -> Result<Error, Error> {
    let snapshot = dir.snapshot()?;
    let diagnosis = snapshot.as_ref().and_then(|it| it.diagnosis.as_ref());
    if let Some(known) = diagnosis.filter(|it| it.is_known()) {
        return Ok(explained(dir, outcome, kind, known));
    }
    let end = watch::last_words(dir, LAST_LINES)?;
    let cause = end.cause.as_deref().unwrap_or_default();
    let mut message = format!("the training {}", outcome.sentence());
    if !cause.is_empty() {
        message = format!("{message}: `{cause}`");
    }
    if diagnosis.is_some() {
        message.push_str("; why is unknown to dpgui");
    }
    if !seen && !end.lines.is_empty() {
        message = format!("{message}; its last lines:\n{}", end.lines.join("\n"));
    }
    let has_trained = snapshot.is_some_and(|it| it.last_step.is_some());
    let lacks_module = cause.starts_with("ModuleNotFoundError:") || cause.starts_with("ImportError:");
    let goes_on =
        matches!(outcome, Outcome::Interrupted | Outcome::Lost) && Kept::of(dir)?.checkpoint.is_some();
    let hint = if goes_on {
        format!("go on from its checkpoint with `dpgui resume {}`", dir.id())
    } else if lacks_module && !has_trained {
        "mend the environment with `dpgui setup`".to_owned()
    } else {
        let id = dir.id();
        format!("see all of it with `dpgui logs {id}`, and what is known of it with `dpgui diagnose {id}`")
    };
    Ok(Error::new(kind, message).with_hint(hint))
}

/// What failed, why, what shows it, and what to do first.
fn explained(dir: &RunDir, outcome: &Outcome, kind: Kind, diagnosis: &Diagnosis) -> Error {
    let mut message = format!("the training {}", outcome.sentence());
    // Such an outcome says the cause itself.
    if !matches!(outcome, Outcome::OutOfMemory { .. }) {
        let _ = write!(message, ": {}", diagnosis.cause);
    }
    for evidence in &diagnosis.evidence {
        let _ = write!(message, "\n  {evidence}");
    }
    let more = format!("`dpgui diagnose {}` says more", dir.id());
    let hint =
        diagnosis.advice.first().map_or_else(|| more.clone(), |first| format!("{first}\n      {more}"));
    Error::new(kind, message).with_hint(hint)
}
