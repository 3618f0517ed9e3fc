//! `dpgui setup --verify` and `--repair`: whether everything is as setup made it, and making so what is not.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    install::{
        IfLocked, Setup, Wish,
        error::set_aside,
        manifest::Depth,
        plan::StepId,
        repair::{Broken, Cure, Findings},
    },
    output::{Event, Line, Waiting, size},
    platform::{
        clock::Stopwatch,
        digest::Sha256,
        fs,
        lock::{Lock, LockError},
    },
    workspace::remember::Choices,
};

use super::{
    Context,
    against::{Compared, Digests},
};

/// To look at what is there, file by file.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    how: How,
}

#[derive(Clone, Copy, Debug, clap::Args)]
#[group(id = "looking", multiple = false)]
struct What {
    /// Look at every file and try the environment; exit with 1 if anything is damaged
    #[arg(long, conflicts_with_all = ["plan", "only", "skip"])]
    verify: bool,
    /// Look as --verify does, then make anew what is damaged, and nothing else; with --plan: say what that would be
    #[arg(long, conflicts_with_all = ["only", "skip"])]
    repair: bool,
}

#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
struct How {
    /// With --verify: compare with what `dpgui setup --verify --json` printed on another machine; exit with 1 if that has
    /// something else
    #[arg(long, requires = "verify", value_name = "FILE")]
    against: Option<PathBuf>,
    /// With --verify or --repair: read every file, rather than look at its size
    #[arg(long, requires = "looking")]
    full: bool,
    /// With --repair: undo edits too, in these checkouts or in all, after keeping them as patches; of a checkout that git
    /// cannot read the whole folder is kept
    #[arg(long, requires = "repair", value_name = "REPOSITORY", value_delimiter = ',', num_args = 0..)]
    discard: Option<Vec<String>>,
}

/// The last word of a look.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "verify-done")]
struct Verified {
    whole: usize,
    damaged: usize,
    seconds: f64,
    /// Of all parts together, if all are whole: equal on every machine that has the same.
    digest: Option<Sha256>,
    /// How many of the damaged `dpgui setup --repair` mends unasked.
    mendable: usize,
}

impl Event for Verified {
    fn line(&self) -> Option<Line> {
        let took = size::duration(std::time::Duration::from_secs_f64(self.seconds));
        let all = self.whole + self.damaged;
        Some(match self.damaged {
            0 => {
                let together = self.digest.map(|it| format!("; together `{it}`")).unwrap_or_default();
                Line {
                    verb: "Verified",
                    text: format!("all {all} parts are whole, looked in {took}{together}"),
                }
            }
            damaged => {
                let mends = match self.mendable {
                    0 => "see above what mends them".to_owned(),
                    some if some == damaged => "`dpgui setup --repair` mends them".to_owned(),
                    some => format!("`dpgui setup --repair` mends {some} of them, see above for the others"),
                };
                Line {
                    verb: "Verified",
                    text: format!("{damaged} of {all} parts are not as they should be; {mends}"),
                }
            }
        })
    }
}

/// The last word of a repair.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "repair-done")]
struct Repaired {
    mended: usize,
    left: usize,
}

impl Event for Repaired {
    fn line(&self) -> Option<Line> {
        let all = self.mended + self.left;
        Some(match (self.left, all) {
            (0, 0) => Line { verb: "Repaired", text: "nothing: all parts are whole".to_owned() },
            (0, all) => Line { verb: "Repaired", text: format!("{all} of {all} damaged parts") },
            (left, all) => Line { verb: "Left", text: format!("{left} of {all} damaged parts, see above") },
        })
    }
}

/// What a repair works on.
pub(super) struct Work<'a> {
    pub setup: Setup<'a>,
    pub wish: &'a Wish,
    pub choices: Choices<'a>,
}

impl Args {
    /// Either of them was asked for.
    pub(super) const fn is_given(&self) -> bool {
        self.what.verify || self.what.repair
    }

    const fn depth(&self) -> Depth {
        if self.how.full { Depth::Full } else { Depth::Fast }
    }

    /// What was edited in this checkout is to be undone, as far as the command line says.
    fn discards(&self, step: &StepId) -> bool {
        let named = |names: &Vec<String>| names.is_empty() || names.contains(&step.to_string());
        self.how.discard.as_ref().is_some_and(named)
    }
}

pub(super) fn run(
    args: &Args,
    context: &Context,
    mut work: Work<'_>,
    if_locked: IfLocked,
) -> Result<ExitCode, Error> {
    work.setup.check_checkouts(args.how.discard.as_deref().unwrap_or_default())?;
    let there = args.how.against.as_ref().map(|it| Digests::read(it, context)).transpose()?;
    let still = stand_still(context, if_locked)?;
    let watch = Stopwatch::start();
    let findings = look(args, context, &work)?;
    drop(still);
    if args.what.verify {
        let is_well = tell(context, &findings, watch);
        let is_equal = there.is_none_or(|it| compare(context, &findings, &it));
        return Ok(exit_code(is_well && is_equal));
    }
    for broken in &findings.broken {
        context.output.event(broken);
    }
    let (mended, left): (Vec<&Broken>, Vec<&Broken>) = findings
        .broken
        .iter()
        .partition(|it| is_to_be_mended(args, it) || (is_up_to_the_user(it) && may_discard(context, it)));
    work.setup.mend(&mended);
    work.setup.leave(&left);
    work.setup.require_all_here()?;
    let done = work.setup.apply(if_locked, work.choices)?;
    context.output.event(&done);
    for broken in &left {
        context.output.warn(why_left(broken));
    }
    context.output.event(&Repaired { mended: mended.len(), left: left.len() });
    Ok(exit_code(left.is_empty()))
}

/// From now on `setup` is what a repair would do, which nobody is asked about.
pub(super) fn foresee(
    args: &Args,
    context: &Context,
    work: &mut Work<'_>,
    if_locked: IfLocked,
) -> Result<(), Error> {
    work.setup.check_checkouts(args.how.discard.as_deref().unwrap_or_default())?;
    let _still = stand_still(context, if_locked)?;
    let findings = look(args, context, work)?;
    let (mended, left): (Vec<&Broken>, Vec<&Broken>) =
        findings.broken.iter().partition(|it| is_to_be_mended(args, it));
    for broken in &left {
        context.output.warn(why_left(broken));
    }
    work.setup.mend(&mended);
    work.setup.leave(&left);
    Ok(())
}

/// Keeps setups off while everything is looked at: what one of them is about to exchange would seem damaged. Trainings go
/// on. `None` where nothing was ever set up, and where nothing can be written, so that nobody sets anything up.
fn stand_still(context: &Context, if_locked: IfLocked) -> Result<Option<Lock>, Error> {
    let path = context.workspace.setup_lock();
    if !fs::exists(&path) {
        return Ok(None);
    }
    let tell = |holder: &str| context.output.event(&Waiting { holder });
    match Lock::shared(&path, "dpgui setup, looking at every file", if_locked.wait(&tell)) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Fs(_) | LockError::Unsupported { .. }) => Ok(None),
        Err(held @ LockError::Held { .. }) => Err(held.into()),
    }
}

fn look(args: &Args, context: &Context, work: &Work<'_>) -> Result<Findings, Error> {
    context.output.status("Looking", "at every file, and whether torch can be imported");
    Ok(work.setup.verify(work.wish, args.depth())?)
}

fn tell(context: &Context, findings: &Findings, watch: Stopwatch) -> bool {
    for whole in &findings.whole {
        context.output.event(whole);
    }
    for broken in &findings.broken {
        context.output.event(broken);
        if !mends_itself(broken) {
            context.output.warn(why_left(broken));
        }
    }
    let mendable = findings.broken.iter().filter(|it| mends_itself(it)).count();
    let (whole, damaged) = (findings.whole.len(), findings.broken.len());
    let digest = (damaged == 0).then(|| Digests::of(&findings.whole).together());
    let seconds = watch.elapsed().as_secs_f64();
    context.output.event(&Verified { whole, damaged, seconds, digest, mendable });
    damaged == 0
}

fn compare(context: &Context, findings: &Findings, there: &Digests) -> bool {
    let compared = Digests::of(&findings.whole).compare(there);
    for part in &compared {
        context.output.event(part);
    }
    compared.iter().all(Compared::is_equal)
}

fn is_to_be_mended(args: &Args, broken: &Broken) -> bool {
    mends_itself(broken) || (is_up_to_the_user(broken) && args.discards(&broken.step))
}

/// It may be their own work that goes out of the way.
const fn is_up_to_the_user(broken: &Broken) -> bool {
    matches!(broken.cure, Cure::Discard | Cure::SetAside)
}

/// Nothing of the user's is touched by it.
const fn mends_itself(broken: &Broken) -> bool {
    match broken.cure {
        Cure::Rebuild | Cure::Restore | Cure::Setup => true,
        Cure::Discard | Cure::SetAside | Cure::Clear | Cure::None => false,
    }
}

fn may_discard(context: &Context, broken: &Broken) -> bool {
    let step = &broken.step;
    let question = if broken.cure == Cure::SetAside {
        format!("move `vendor/{step}` as it is to `.dpgui/discarded`, and clone it anew?")
    } else {
        format!("undo what was edited in `vendor/{step}`, and keep it as a patch?")
    };
    context.output.confirm(question)
}

fn why_left(broken: &Broken) -> String {
    let Broken { step, what, advice, .. } = broken;
    match broken.cure {
        Cure::Clear => format!("{step} is left: {}", advice.as_deref().unwrap_or(what)),
        Cure::Discard => format!(
            "`vendor/{step}` is left as you edited it; `dpgui setup --repair --discard {step}` keeps the edits as a \
             patch and undoes them"
        ),
        Cure::SetAside => format!("`vendor/{step}` is left as it is; {}", set_aside(&step.to_string())),
        Cure::None | Cure::Rebuild | Cure::Restore | Cure::Setup => {
            format!("{step}: {what}, so making it anew would not help; `dpgui doctor` looks at the machine")
        }
    }
}

fn exit_code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failed.exit_code()) }
}
