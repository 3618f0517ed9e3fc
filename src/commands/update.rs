//! `dpgui update`: moves the trainer to a newer commit, with all that it needs.

use std::process::ExitCode;

use serde::Serialize;

use crate::{
    error::Error,
    install::{
        Wish,
        lock::Policy,
        plan::Total,
        step::Site,
        update::{self, Move, Preparing, UNPIN, Update, UpdateError},
    },
    output::{Event, Line},
    platform::{fs, net},
    vendor::sources,
    workspace::{commit::CommitId, switch},
};

use super::{Context, LockArgs, setup};

/// Move diffusion-pipe to a newer commit, built and verified beside the old one; `dpgui rollback` goes back
#[derive(Debug, clap::Args)]
pub struct Args {
    /// To this commit
    #[arg(long, value_name = "SHA", conflicts_with = "latest")]
    commit: Option<CommitId>,
    /// To the newest commit of the default branch, as it is without this option
    #[arg(long)]
    latest: bool,
    /// Print what would be done and why, and touch nothing
    #[arg(long)]
    plan: bool,
    #[command(flatten)]
    lock: LockArgs,
}

/// What there is to move to.
#[derive(Debug, Serialize)]
#[serde(tag = "event")]
enum Found<'a> {
    #[serde(rename = "update-found")]
    Newer {
        #[serde(flatten)]
        commits: Move,
        url: &'a str,
    },
    #[serde(rename = "update-none")]
    Nothing { commit: CommitId, url: &'a str },
    #[serde(rename = "update-pinned")]
    Pinned { commit: CommitId },
}

impl Event for Found<'_> {
    fn line(&self) -> Option<Line> {
        let name = sources::TRAINER;
        Some(match self {
            Self::Newer { commits: Move { from, to }, url } => {
                let (from, to) = (from.short(), to.short());
                Line { verb: "Updating", text: format!("{name} from commit {from} to {to} of {url}") }
            }
            Self::Nothing { commit, url } => {
                let text = format!("{name} is at commit {}, there is nothing newer at {url}", commit.short());
                Line { verb: "Up to date", text }
            }
            Self::Pinned { commit } => {
                let text = format!(
                    "{name} stays at commit {}, to which `dpgui.toml` pins it, and nobody was asked for a newer one: {UNPIN}",
                    commit.short()
                );
                Line { verb: "Pinned", text }
            }
        })
    }
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let if_locked = args.lock.if_locked();
    if args.plan {
        return plan(args, context);
    }
    // Nothing is written where no workspace is.
    if !fs::exists(&context.workspace.internal()) {
        let why = format!("no setup was made in `{}`", context.workspace.root().display());
        return Err(UpdateError::NotSetUp { why }.into());
    }
    context.finish_switch(if_locked)?;
    let preparing = Preparing::begin(&context.workspace, &context.output, if_locked)?;
    let (site, wish) = stage(context)?;
    let Some(commits) = find(args, context, &site, &wish)? else {
        switch::discard(&context.workspace.draft())?;
        return Ok(ExitCode::SUCCESS);
    };
    let update = Update::new(&site, &wish, commits);
    update.prepare(&preparing)?;
    context.output.event(&update.switch(preparing, if_locked)?);
    Ok(ExitCode::SUCCESS)
}

fn plan(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let (site, wish) = stage(context)?;
    if let Some(commits) = find(args, context, &site, &wish)? {
        let planned = Update::new(&site, &wish, commits).plan()?;
        for step in &planned {
            context.output.event(step);
        }
        context.output.event(&Total::of(&planned, fs::available_bytes(context.workspace.root()).ok()));
    }
    Ok(ExitCode::SUCCESS)
}

fn stage(context: &Context) -> Result<(Site, Wish), Error> {
    let settings = context.settings()?;
    Ok((setup::site(context, &settings, Policy::Update)?, setup::settled_wish(context, &settings)?))
}

/// Where to go from here, if there is anywhere to go.
fn find(args: &Args, context: &Context, site: &Site, wish: &Wish) -> Result<Option<Move>, Error> {
    let from = update::installed(site, wish)?;
    let trainer = update::trainer(site)?;
    let url = &*net::without_secrets(&trainer.url);
    let (to, pinned) = match args.commit {
        Some(commit) if trainer.commit_is_override && commit != trainer.commit => {
            return Err(UpdateError::Pinned { commit: trainer.commit }.into());
        }
        Some(commit) => (commit, false),
        None if trainer.commit_is_override => (trainer.commit, true),
        None => (update::latest(site)?, false),
    };
    let found = match (to == from, pinned) {
        (true, true) => Found::Pinned { commit: to },
        (true, false) => Found::Nothing { commit: to, url },
        (false, _) => Found::Newer { commits: Move { from, to }, url },
    };
    context.output.event(&found);
    Ok((to != from).then_some(Move { from, to }))
}
