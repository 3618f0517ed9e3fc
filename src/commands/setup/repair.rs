//! `dpgui setup --verify` and `--repair`: whether everything is as setup made it, and making so what is not.

use std::process::ExitCode;

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    install::{
        IfLocked, Setup, Wish,
        manifest::Depth,
        repair::{Broken, Cure, Findings},
    },
    output::{Event, Line, size},
    platform::clock::Stopwatch,
    workspace::remember::Choices,
};

use super::Context;

/// To look at what is there, file by file.
#[derive(Clone, Copy, Debug, clap::Args)]
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
    /// Look as --verify does, then make anew what is damaged, and nothing else
    #[arg(long, conflicts_with_all = ["plan", "only", "skip"])]
    repair: bool,
}

#[derive(Clone, Copy, Debug, clap::Args)]
#[group(skip)]
struct How {
    /// With --verify or --repair: read every file, rather than look at its size
    #[arg(long, requires = "looking")]
    full: bool,
    /// With --repair: undo edits in the checkouts too, after keeping them as patches
    #[arg(long, requires = "repair")]
    discard: bool,
}

/// The last word of a look.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "verify-done")]
struct Verified {
    whole: usize,
    damaged: usize,
    seconds: f64,
}

impl Event for Verified {
    fn line(&self) -> Option<Line> {
        let took = size::duration(std::time::Duration::from_secs_f64(self.seconds));
        let all = self.whole + self.damaged;
        Some(match self.damaged {
            0 => Line { verb: "Verified", text: format!("all {all} parts are whole, looked in {took}") },
            damaged => Line {
                verb: "Verified",
                text: format!(
                    "{damaged} of {all} parts are not as they should be; `dpgui setup --repair` mends them"
                ),
            },
        })
    }
}

impl Args {
    /// Either of them was asked for.
    pub(super) const fn is_given(self) -> bool {
        self.what.verify || self.what.repair
    }

    const fn depth(self) -> Depth {
        if self.how.full { Depth::Full } else { Depth::Fast }
    }
}

pub(super) fn run(
    args: Args,
    context: &Context,
    (mut setup, wish, choices): (Setup<'_>, &Wish, Choices<'_>),
    if_locked: IfLocked,
) -> Result<ExitCode, Error> {
    let watch = Stopwatch::start();
    let live = context.output.live();
    live.show("looking at every file; to import torch takes a moment");
    let findings = setup.verify(wish, args.depth())?;
    drop(live);
    if args.what.verify {
        return Ok(tell(context, &findings, watch));
    }
    for broken in &findings.broken {
        context.output.event(broken);
    }
    let (mended, left): (Vec<&Broken>, Vec<&Broken>) =
        findings.broken.iter().partition(|it| is_to_be_mended(args, context, it));
    for broken in &left {
        context.output.warn(why_left(broken));
    }
    setup.mend(&mended);
    setup.require_all_here()?;
    let done = setup.apply(if_locked, choices)?;
    context.output.event(&done);
    Ok(exit_code(left.is_empty()))
}

fn tell(context: &Context, findings: &Findings, watch: Stopwatch) -> ExitCode {
    for whole in &findings.whole {
        context.output.event(whole);
    }
    for broken in &findings.broken {
        context.output.event(broken);
    }
    let (whole, damaged) = (findings.whole.len(), findings.broken.len());
    context.output.event(&Verified { whole, damaged, seconds: watch.elapsed().as_secs_f64() });
    exit_code(damaged == 0)
}

fn is_to_be_mended(args: Args, context: &Context, broken: &Broken) -> bool {
    match broken.cure {
        Cure::Rebuild | Cure::Setup => true,
        Cure::Discard => {
            args.how.discard
                || context.output.confirm(format_args!(
                    "undo what was edited in `vendor/{}`, and keep it as a patch?",
                    broken.step
                ))
        }
        Cure::None => false,
    }
}

fn why_left(broken: &Broken) -> String {
    let Broken { step, what, .. } = broken;
    match broken.cure {
        Cure::Discard => format!(
            "`vendor/{step}` is left as you edited it; `dpgui setup --repair --discard` keeps the edits as a patch \
             and undoes them"
        ),
        Cure::None | Cure::Rebuild | Cure::Setup => {
            format!("{step}: {what}, so making it anew would not help; `dpgui doctor` looks at the machine")
        }
    }
}

fn exit_code(is_well: bool) -> ExitCode {
    if is_well { ExitCode::SUCCESS } else { ExitCode::from(Kind::Failed.exit_code()) }
}
