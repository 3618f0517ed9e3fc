//! `dpgui demo`: the whole product for real, on any Linux machine.
//!
//! The same setup, configuration, training and supervision as for the real trainer, with a small trainer of our own.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use serde::Serialize;

use crate::{
    config::{sample, template},
    error::{Error, Kind},
    install::{
        IfLocked, Purpose, Setup, Wish,
        lock::{Policy, Scope},
        plan::Selection,
    },
    output::{Event, Line, Mode, chart, size},
    platform::{clock::Stopwatch, fs, gpu, process::as_typed},
    run::{
        Request, RunDir,
        stop::Kept,
        watch::{self, Show},
    },
    workspace::{Settings, remember::Choices},
};

use super::{Context, setup, train};

/// The trainer, its packages and its place in the workspace.
const TRAINER: &str = include_str!("../../templates/demo/train.py");
const REQUIREMENTS: &str = include_str!("../../templates/demo/requirements.txt");
const SCRIPT: &str = "trainer/train.py";

/// The configuration, the dataset and the run are called this.
const NAME: &str = "demo";

/// Processes on a machine without a GPU, each with half of the model's layers.
const CPU_STAGES: u32 = 2;

/// Set up and train a small diffusion model for real: no GPU, no model files, no GitHub needed
///
/// Its workspace is `./dpgui-demo`, unless `-C` names another.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The PyTorch build: auto, cu13, cu12 or cpu
    #[arg(long, value_name = "PROFILE")]
    torch: Option<String>,
    /// The interpreter to make the environment with, instead of a portable one
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Stop after the setup: the workspace is ready for `dpgui train`
    #[arg(long)]
    setup_only: bool,
}

/// How it went.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "demo-done")]
struct Done {
    adapter: Option<PathBuf>,
    steps: usize,
    /// Means of the first and of the last tenth of the steps.
    first_loss: f64,
    last_loss: f64,
    setup_seconds: f64,
    seconds: f64,
}

/// Where the demo is, unless `-C` says otherwise.
pub const WORKSPACE: &str = "dpgui-demo";

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let watch = Stopwatch::start();
    let Context { workspace, output, .. } = context;
    output.status("Demo", format_args!("in `{}`", workspace.root().display()));
    let settings = prepare(args, context)?;
    let setup_took = watch.elapsed();
    let config = configure(context)?;
    if args.setup_only {
        output.status(
            "Ready",
            format_args!(
                "`{}`",
                as_typed([&here(context)[..], &["train".as_ref(), config.as_ref()]].concat())
            ),
        );
        return Ok(ExitCode::SUCCESS);
    }
    let request = Request { config, ..Request::default() };
    output.note("  DeepSpeed takes 10 to 60 seconds to start; Ctrl-C asks the training to save and stop");
    let (dir, code) = train::to_the_end(context, &settings, &request, Show::Status)?;
    if code == ExitCode::SUCCESS {
        report(context, &dir, setup_took, watch.elapsed())?;
    }
    Ok(code)
}

/// A workspace with these settings is the demo's.
pub fn is_its_own(settings: &Settings) -> bool {
    settings.trainer.script.as_deref() == Some(Path::new(SCRIPT))
}

/// What its environment is for.
pub const PURPOSE: Purpose = Purpose::Demo { requirements: REQUIREMENTS };

/// Makes the workspace and its environment.
fn prepare(args: &Args, context: &Context) -> Result<Settings, Error> {
    let workspace = &context.workspace;
    let mut settings = context.settings()?;
    if fs::exists(&workspace.settings_file()) && !is_its_own(&settings) {
        let what = format!("`{}` is a workspace, and not the demo's", workspace.root().display());
        return Err(Error::new(Kind::Usage, what).with_hint("choose an empty directory with `-C DIR`"));
    }
    let site = setup::site(context, &settings, Policy::Update)?;
    let profile = setup::profile(args.torch.as_deref().or(settings.torch.profile.as_deref()))?;
    let python = setup::python(context, args.python.as_deref(), &settings);
    let keep_downloads = settings.cache.keep_downloads;
    let wish = Wish { purpose: PURPOSE, profile, python, keep_downloads, lock: Scope::Here };
    let setup = Setup::new(&site, &wish, &Selection::default())?;
    setup.require_all_here()?;

    let script = workspace.root().join(SCRIPT);
    fs::create_dir_all(script.parent().unwrap_or(&script))?;
    fs::write_atomic(&script, TRAINER)?;
    if !fs::exists(&workspace.settings_file()) {
        let text = format!(
            "# The workspace of `dpgui demo`: a trainer of its own.\n[trainer]\nscript = \"{SCRIPT}\"\n"
        );
        fs::write_atomic(&workspace.settings_file(), text)?;
        settings = context.settings()?;
    }
    let python = wish.python.as_deref().filter(|_| args.python.is_some());
    let choices = Choices { torch: args.torch.as_deref(), python, ..Choices::NONE };
    let done = setup.apply(IfLocked::Wait, choices)?;
    context.output.event(&done);
    Ok(settings)
}

/// Draws the dataset and writes the TOML pair, unless an earlier demo did.
fn configure(context: &Context) -> Result<PathBuf, Error> {
    let Context { host, workspace, output } = context;
    let mut options = template::TemplateOptions::in_workspace(workspace, NAME);
    let has_gpu = gpu::detect(host).is_some_and(|it| !it.gpus.is_empty());
    options.stages = if has_gpu { 1 } else { CPU_STAGES };
    sample::write(&options.data, sample::COUNT)?;
    output.status(
        "Dataset",
        format_args!("{} images with captions in `{}`", sample::COUNT, options.data.display()),
    );
    let [training, dataset] = template::files(workspace, NAME);
    if !(fs::exists(&training) && fs::exists(&dataset)) {
        template::write(workspace, NAME, &template::new(NAME, &options, &template::Wish::default())?)?;
    }
    output.status("Config", format_args!("`{}`", training.display()));
    Ok(training)
}

fn report(context: &Context, dir: &RunDir, setup: Duration, took: Duration) -> Result<(), Error> {
    let losses: Vec<f64> = watch::steps(dir)?.iter().map(|it| it.loss).collect();
    let tenth = (losses.len() / 10).max(1).min(losses.len());
    let done = Done {
        adapter: Kept::of(dir)?.model,
        steps: losses.len(),
        first_loss: chart::mean(&losses[..tenth]),
        last_loss: chart::mean(&losses[losses.len() - tenth..]),
        setup_seconds: setup.as_secs_f64(),
        seconds: took.as_secs_f64(),
    };
    context.output.event(&done);
    if context.output.mode() != Mode::Json {
        if let Some(curve) = chart::curve(&losses) {
            context.output.note(format_args!("\n{curve}\n  loss over {} steps\n", done.steps));
        }
        let logs = as_typed([&here(context)[..], &["logs".as_ref()]].concat());
        context.output.note(format_args!(
            "Next: `{logs}` shows what the trainer printed,\n      `dpgui setup` in an empty directory installs the real one"
        ));
    }
    Ok(())
}

/// The beginning of every command for this workspace.
fn here(context: &Context) -> [&OsStr; 3] {
    ["dpgui".as_ref(), "-C".as_ref(), context.workspace.root().as_ref()]
}

impl Event for Done {
    fn line(&self) -> Option<Line> {
        let seconds = |it| size::duration(Duration::from_secs_f64(it));
        let adapter = self.adapter.as_ref().map_or("none".to_owned(), |it| format!("`{}`", it.display()));
        let text = format!(
            "in {} ({} of them setup)\n     Adapter {adapter}\n        Loss {:.4} at first, {:.4} at last (means of a tenth of the steps)",
            seconds(self.seconds),
            seconds(self.setup_seconds),
            self.first_loss,
            self.last_loss
        );
        Some(Line { verb: "Trained", text })
    }
}
