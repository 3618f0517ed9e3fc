//! `dpgui clean`: gives back the disk that downloads and killed setups take.

use std::{fmt, path::PathBuf, process::ExitCode};

use serde::Serialize;

use crate::{
    error::Error,
    install::{
        self, bundle,
        cache::{
            Cache,
            sweep::{Junk, Sweep, Swept},
        },
        update,
    },
    output::{Event, Line, size},
    platform::{
        checkpoint::{Checkpoint, reach},
        fs,
        hold::Hold,
    },
    workspace::{Workspace, switch},
};

use super::Context;

/// Remove what nobody needs: downloads given up a month ago or over the limit, leftovers of killed setups
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "options of a command line, of which clap refuses most pairs"
)]
pub struct Args {
    /// Remove every whole download and every repository that was brought; another setup fetches again what it needs
    #[arg(long, group = "what")]
    cache: bool,
    /// Remove every part of a download, and what killed commands left of bundles
    #[arg(long, group = "what")]
    partials: bool,
    /// Remove all downloads, this workspace's leftovers of killed setups, and what `dpgui rollback` would go back to
    #[arg(long, group = "what")]
    all: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Name every single thing, as --json does, rather than count those of a kind
    #[arg(long, short)]
    verbose: bool,
}

/// So many things are named one by one; more are counted.
const NAMED: usize = 10;

/// Things of one kind that one thing became of, in one line.
#[derive(Debug, PartialEq, Eq)]
struct Kind {
    verb: &'static str,
    what: &'static str,
    count: usize,
    bytes: u64,
    /// The first one.
    path: PathBuf,
}

/// The end of it.
#[derive(Debug, Default, Serialize)]
#[serde(tag = "event", rename = "clean-done")]
struct Done {
    dry_run: bool,
    removed: usize,
    bytes: u64,
    /// Left because a setup uses it.
    in_use: usize,
}

impl Event for Done {
    fn line(&self) -> Option<Line> {
        let what = match self.removed {
            1 => "1 thing".to_owned(),
            count => format!("{count} things"),
        };
        let bytes = size::bytes(self.bytes);
        Some(match (self.removed, self.dry_run) {
            (0, _) if self.in_use > 0 => Line { verb: "Finished", text: "a setup uses all of it".to_owned() },
            (0, _) => Line { verb: "Clean", text: "nothing to remove".to_owned() },
            (_, true) => Line { verb: "Would free", text: format!("{bytes} by removing {what}") },
            (_, false) => Line { verb: "Freed", text: format!("{bytes} by removing {what}") },
        })
    }
}

impl Args {
    const fn sweep(&self) -> Sweep {
        match (self.cache, self.partials, self.all) {
            (true, ..) => Sweep::Whole,
            (_, true, _) => Sweep::Partials,
            (.., true) => Sweep::All,
            (false, false, false) => Sweep::Unneeded,
        }
    }
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let cache = Cache::of(&context.host, &context.workspace, &context.settings()?);
    let mut swept = cache.sweep(args.sweep(), args.dry_run)?;
    if args.partials {
        swept.extend(of_bundles(args, &context.workspace)?);
    } else if !args.cache {
        swept.extend(of_workspace(args, context)?);
    }
    let mut done = Done { dry_run: args.dry_run, ..Done::default() };
    if args.verbose || context.output.is_for_scripts() || swept.len() <= NAMED {
        for event in &swept {
            context.output.event(event);
        }
    } else {
        for kind in kinds(&swept) {
            context.output.status(kind.verb, &kind);
        }
    }
    for event in &swept {
        match event {
            Swept::Removed(junk) | Swept::WouldRemove(junk) => {
                (done.removed, done.bytes) = (done.removed + 1, done.bytes + junk.bytes);
            }
            Swept::InUse(_) => done.in_use += 1,
        }
    }
    context.output.event(&done);
    Ok(ExitCode::SUCCESS)
}

fn kinds(swept: &[Swept]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = vec![];
    for event in swept {
        let (verb, Junk { what, path, bytes }) = match event {
            Swept::Removed(junk) => ("Removed", junk),
            Swept::WouldRemove(junk) => ("Would remove", junk),
            Swept::InUse(junk) => ("In use", junk),
        };
        match kinds.iter_mut().find(|it| it.verb == verb && it.what == *what) {
            Some(kind) => (kind.count, kind.bytes) = (kind.count + 1, kind.bytes + bytes),
            None => kinds.push(Kind { verb, what, count: 1, bytes: *bytes, path: path.clone() }),
        }
    }
    kinds
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, count, bytes, path, .. } = self;
        let (path, bytes) = (path.display(), size::bytes(*bytes));
        match count {
            1 => write!(f, "{what} `{path}`, {bytes}"),
            count => write!(f, "{what} `{path}` and {} more, {bytes}", count - 1),
        }
    }
}

/// What killed setups left in this workspace. A setup that is running may be making just that.
fn of_workspace(args: &Args, context: &Context) -> Result<Vec<Swept>, Error> {
    let workspace = &context.workspace;
    // Where no setup ever was, nothing is ours, whatever its name.
    let lock = workspace.internal().join("setup.lock");
    if !fs::exists(&lock) {
        return Ok(vec![]);
    }
    let free = if args.dry_run { None } else { Hold::alone_at_once(&lock)? };
    let in_use = free.is_none() && (!args.dry_run || Hold::is_used(&lock));
    let mut found = vec![];
    let leftovers = install::leftovers(workspace)?.into_iter().map(|path| ("leftover of a setup", path));
    for (what, path) in leftovers.chain(copies(args, workspace)) {
        let junk = Junk { what, bytes: fs::tree_size(&path), path };
        found.push(if in_use {
            Swept::InUse(junk)
        } else if args.dry_run {
            Swept::WouldRemove(junk)
        } else {
            fs::remove_tree(&junk.path)?;
            reach(Checkpoint::Cleaned);
            Swept::Removed(junk)
        });
    }
    Ok(found)
}

/// What killed commands left of bundles: nobody else can be at work on it.
fn of_bundles(args: &Args, workspace: &Workspace) -> Result<Vec<Swept>, Error> {
    let remove = |path: PathBuf| {
        let junk = Junk { what: "part of a bundle", bytes: fs::tree_size(&path), path };
        if args.dry_run {
            return Ok(Swept::WouldRemove(junk));
        }
        fs::remove_tree(&junk.path)?;
        reach(Checkpoint::Cleaned);
        Ok(Swept::Removed(junk))
    };
    bundle::abandoned(workspace)?.into_iter().map(remove).collect()
}

/// The copies of what is installed that nobody is to go to any more.
fn copies(args: &Args, workspace: &Workspace) -> Vec<(&'static str, PathBuf)> {
    let (next, previous) = (workspace.draft().records(), workspace.previous().records());
    let mut found = vec![];
    // What a switch was exchanging is no copy but a part of what is installed.
    if switch::is_pending(workspace) {
        return found;
    }
    let in_use = Hold::is_used(&workspace.update_lock());
    if fs::exists(&next) && !in_use && (args.all || update::is_stale(workspace)) {
        found.push(("what an update prepared", next));
    }
    if fs::exists(&previous) && args.all {
        found.push(("what the last update replaced", previous));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_things_of_a_kind_are_one_line() {
        let junk = |what, name: &str, bytes| Junk { what, path: PathBuf::from("/c").join(name), bytes };
        let swept = [
            Swept::WouldRemove(junk("download", "a", 1 << 20)),
            Swept::WouldRemove(junk("leftover of a setup", "x", 5)),
            Swept::WouldRemove(junk("download", "b", 2 << 20)),
            Swept::InUse(junk("download", "c", 7)),
        ];
        let lines: Vec<String> = kinds(&swept).iter().map(|it| format!("{} {it}", it.verb)).collect();
        let expected = [
            "Would remove download `/c/a` and 1 more, 3.00 MiB",
            "Would remove leftover of a setup `/c/x`, 5 B",
            "In use download `/c/c`, 7 B",
        ];
        assert_eq!(lines, expected);
    }
}
