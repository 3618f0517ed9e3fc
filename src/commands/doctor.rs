//! `dpgui doctor`: what is wrong here and with this machine, and what to do about it.

mod report;

use std::process::ExitCode;

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    install::{
        Purpose, Wish,
        cache::sweep::Sweep,
        doctor::{self, Check, Examined, Fix, Group, LostRun, Scene, Verdict},
        lock::{Policy, Scope},
        manifest::Depth as FileDepth,
        plan::StepId,
        repair,
    },
    output::{Event, Line, Mode, Output},
    platform::{clock::Stopwatch, fs},
    run::adopt,
    vendor::sources::Sources,
    workspace::{Settings, Workspace},
};

use super::{Context, demo, setup};

/// Look at everything that a training depends on, and say what is wrong and what to do about it
///
/// Exits with 1 if there is a problem, else with 0. Touches nothing without `--fix`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do what is safe to do about it, and say what that was
    #[arg(long)]
    fix: bool,
    #[command(flatten)]
    depth: Depth,
    /// Show also what is fine
    #[arg(long)]
    verbose: bool,
}

/// How hard to look.
#[derive(Debug, clap::Args)]
struct Depth {
    /// Read every file and compare it with what was installed; import all of DeepSpeed
    #[arg(long)]
    full: bool,
    /// Ask the servers too that a setup gets things from
    #[arg(long)]
    online: bool,
}

/// A file of the user's that something else stands in for, as it cannot be read.
#[derive(Clone, Copy, Debug)]
struct Unread(&'static str);

/// Something that `--fix` did.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "fixed")]
struct Fixed {
    id: &'static str,
    what: String,
}

/// The last word: how many checks came out how.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "doctor-done")]
struct Done {
    ok: usize,
    notes: usize,
    warnings: usize,
    problems: usize,
    seconds: f64,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let watch = Stopwatch::start();
    let live = context.output.live();
    live.show("looking; to import torch takes a moment");
    let (scene, mut examined, unread) = scene(args, context)?;
    examined.extend(doctor::examine(&scene));
    drop(live);
    if args.fix {
        fix(context, &scene, &mut examined, unread);
    }
    if let Some(Unread(file)) = unread {
        for check in examined.iter_mut().map(|it| &mut it.check) {
            if check.fix.take_if(|it| goes_by_the_settings(it)).is_some() {
                check.advice = Some(format!("mend `{file}` first, which decides on it"));
            }
        }
    }
    let count = |verdict| examined.iter().filter(|it| it.check.verdict == verdict).count();
    let done = Done {
        ok: count(Verdict::Ok),
        notes: count(Verdict::Note),
        warnings: count(Verdict::Warning),
        problems: count(Verdict::Problem),
        seconds: watch.elapsed().as_secs_f64(),
    };
    show(args, context, &examined, &done);
    Ok(if done.problems > 0 { ExitCode::from(Kind::Failed.exit_code()) } else { ExitCode::SUCCESS })
}

/// Everything that was found, fine or not, for a report. No server is asked.
pub(super) fn as_text(context: &Context) -> Result<String, Error> {
    let args = Args { fix: false, depth: Depth { full: false, online: false }, verbose: true };
    let (scene, mut examined, _) = scene(&args, context)?;
    examined.extend(doctor::examine(&scene));
    Ok(report::report(&examined, true, &|_, text| text.to_owned()))
}

/// What is to be looked at. Settings that cannot be read are a finding, and the usual ones stand in for them; which file
/// that was comes back too.
fn scene(args: &Args, context: &Context) -> Result<(Scene, Vec<Examined>, Option<Unread>), Error> {
    let (mut examined, mut unread) = (vec![], None);
    let mut told = |check: Check| examined.push(Examined::new(Group::Workspace, check));
    let readable =
        context.settings().map_err(|error| Check::failed("settings", error)).and_then(|settings| {
            Sources::load(&settings).map_err(|error| Check::failed("settings", error))?;
            let wish = wish(context, &settings).map_err(|error| Check::of_error("settings", &error))?;
            Ok((settings, wish))
        });
    let (settings, wish) = match readable {
        Ok(readable) => {
            let is_there = fs::exists(&context.workspace.settings_file());
            let found = if is_there { "`dpgui.toml` makes sense" } else { "no `dpgui.toml`, the usual ones" };
            told(Check::ok("settings", found));
            readable
        }
        Err(check) => {
            told(check);
            unread = Some(Unread("dpgui.toml"));
            let usual = Settings::default();
            let wish = wish(context, &usual)?;
            (usual, wish)
        }
    };
    let site = setup::site(context, &settings, Policy::Update).or_else(|error| {
        told(Check::of_error("lock", &error));
        unread = unread.or(Some(Unread("dpgui.lock")));
        setup::site_following(None, context, &settings, Policy::Update)
    })?;
    let mut scene = Scene::new(site, wish, lost_runs);
    scene.depth = if args.depth.full { FileDepth::Full } else { FileDepth::Fast };
    scene.deep = args.depth.full;
    scene.online = args.depth.online;
    Ok((scene, examined, unread))
}

/// What `dpgui setup`, or `dpgui demo`, would be asked for here without arguments.
fn wish(context: &Context, settings: &Settings) -> Result<Wish, Error> {
    let purpose = if demo::is_its_own(settings) {
        demo::PURPOSE
    } else {
        Purpose::Trainer { wanted: settings.models.iter().chain(&settings.submodules).cloned().collect() }
    };
    let profile = setup::profile(settings.torch.profile.as_deref())?;
    let python = setup::python(context, None, settings);
    let keep_downloads = settings.cache.keep_downloads;
    Ok(Wish { purpose, profile, python, keep_downloads, lock: Scope::Here })
}

fn lost_runs(workspace: &Workspace) -> Vec<Result<LostRun, Error>> {
    let plain = |run: adopt::Lost| LostRun {
        id: run.id.to_string(),
        pids: run.processes.iter().map(|it| it.pid).collect(),
        is_over: run.is_over,
    };
    match adopt::lost(workspace) {
        Ok(runs) => runs.into_iter().map(|run| run.map(plain).map_err(Error::from)).collect(),
        Err(error) => vec![Err(error.into())],
    }
}

/// Carries out what the checks name, each thing once, and looks again. What cannot be done is said and left.
fn fix(context: &Context, scene: &Scene, examined: &mut Vec<Examined>, unread: Option<Unread>) {
    let output = &context.output;
    let warn = |error: Error| output.warn(error.messages().join(": "));
    let fixed = |id, what| output.event(&Fixed { id, what });
    let mut wanted: Vec<Fix> = vec![];
    for fix in examined.iter().filter_map(|it| it.check.fix.as_ref()) {
        if !wanted.contains(fix) {
            wanted.push(fix.clone());
        }
    }
    if let Some(Unread(file)) = unread.filter(|_| wanted.iter().any(goes_by_the_settings)) {
        output.warn(format_args!(
            "`{file}` cannot be read: nothing is removed or made anew that it decides on"
        ));
        wanted.retain(|it| !goes_by_the_settings(it));
    }
    let mut damaged = vec![];
    for fix in &wanted {
        match fix {
            Fix::RemoveLeftovers { .. } => match doctor::treat(&context.workspace) {
                Ok(removed) => {
                    for path in removed {
                        fixed("leftovers", format!("removed `{}`", path.display()));
                    }
                }
                Err(error) => warn(error.into()),
            },
            Fix::AdoptRuns => match adopt::adopt_all(&context.host, &context.workspace) {
                Ok(failures) => {
                    fixed("runs", "runs without a supervisor have got one".to_owned());
                    for error in failures {
                        warn(error.into());
                    }
                }
                Err(error) => warn(error.into()),
            },
            Fix::SweepCache => match scene.site.cache.sweep(Sweep::Unneeded, false) {
                Ok(swept) => swept.iter().for_each(|it| output.event(it)),
                Err(error) => warn(error.into()),
            },
            Fix::Rebuild { step } => damaged.push(StepId::clone(step)),
            // At last: nothing is to be made anew in what was just set up.
            Fix::SetUp => {}
        }
    }
    if !damaged.is_empty() {
        make_anew(output, scene, &damaged);
    }
    if wanted.contains(&Fix::SetUp) {
        match repair::complete(&scene.site, &scene.wish) {
            Ok(1) => fixed("setup", "set up what was missing, 1 step".to_owned()),
            Ok(steps) => fixed("setup", format!("set up what was missing, {steps} steps")),
            Err(error) => warn(error.into()),
        }
    }
    if !wanted.is_empty() {
        doctor::look_again(scene, examined);
    }
}

fn make_anew(output: &Output, scene: &Scene, damaged: &[StepId]) {
    match repair::rebuild(&scene.site, &scene.wish, damaged) {
        Ok(rebuilt) => {
            for step in &rebuilt {
                output.event(&Fixed { id: "files", what: format!("made `{step}` anew") });
            }
            for step in damaged.iter().filter(|it| !rebuilt.contains(it)) {
                output.warn(format_args!(
                    "`{step}` is left as it is: files in it were edited; `dpgui setup --repair` makes it anew"
                ));
            }
        }
        Err(error) => output.warn(Error::from(error).messages().join(": ")),
    }
}

/// With others than the user's it could remove what they keep, or make what they do not want.
const fn goes_by_the_settings(fix: &Fix) -> bool {
    match fix {
        Fix::SweepCache | Fix::Rebuild { .. } | Fix::SetUp => true,
        Fix::RemoveLeftovers { .. } | Fix::AdoptRuns => false,
    }
}

fn show(args: &Args, context: &Context, examined: &[Examined], done: &Done) {
    let output = &context.output;
    if output.mode() == Mode::Json {
        for check in examined {
            output.json(check);
        }
        return output.json(done);
    }
    output.data(report::report(examined, args.verbose, &|tone, text| output.toned(tone, text)));
    output.data(report::summary(done, args.verbose));
}

impl Event for Fixed {
    fn line(&self) -> Option<Line> {
        Some(Line { verb: "Fixed", text: self.what.clone() })
    }
}
