//! The workspace: what it is for, who works on it, and what lies in it that should not, or not so.

use std::path::{Path, PathBuf};

use crate::{
    error::{Report as _, in_one_line},
    output::size,
    platform::{fs, lock::Lock},
    vendor::{
        git::{self, GitError, State},
        sources,
    },
    workspace::Workspace,
};

use super::{
    super::{
        cache::sweep::{Sweep, Swept},
        error::set_aside,
        leftovers, purpose_of,
        receipt::{self, Receipt},
    },
    Scene,
    check::{Check, Fix},
};

/// Paths that a line names; the others are counted.
const NAMED: usize = 3;

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let workspace = &scene.site.workspace;
    let mut checks = vec![kind(workspace), lock(workspace)];
    checks.push(match leftovers(workspace) {
        Ok(paths) => judge_leftovers(&paths, Lock::is_held(&workspace.setup_lock())),
        Err(error) => Check::failed("leftovers", error),
    });
    checks.push(match scene.site.cache.sweep(Sweep::Unneeded, true) {
        Ok(found) => judge_cache(&found),
        Err(error) => Check::failed("cache", error),
    });
    if fs::exists(&workspace.venv()) {
        checks.push(interpreter(workspace));
    }
    let previous = workspace.previous().records();
    if fs::exists(&previous) {
        let size = size::bytes(fs::tree_size(&previous));
        let what = format!("{size} of what the last update replaced, for `dpgui rollback`");
        checks.push(Check::note("previous", what).advise("`dpgui clean --all` removes it"));
    }
    checks
}

fn kind(workspace: &Workspace) -> Check {
    let root = workspace.root().display();
    match purpose_of(workspace) {
        Some(purpose) => Check::ok("workspace", format_args!("`{root}`, for {purpose}")),
        None => Check::warning("workspace", format_args!("nothing is set up in `{root}` yet"))
            .advise("run `dpgui setup` here, or name your workspace with `-C DIR`"),
    }
}

/// The lock is the kernel's and goes with its holder, so there is no stale one to remove.
fn lock(workspace: &Workspace) -> Check {
    let path = workspace.setup_lock();
    match (Lock::is_held(&path), Lock::holder(&path)) {
        (false, None) => Check::ok("setup-lock", "nobody holds it"),
        (false, Some(sharers)) => Check::ok("setup-lock", format_args!("shared by {sharers}")),
        (true, holder) => {
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            Check::note("setup-lock", format_args!("a setup is under way: {holder}"))
                .advise("what else is said here of the workspace may be different when it is done")
        }
    }
}

fn judge_leftovers(paths: &[PathBuf], setup_is_under_way: bool) -> Check {
    if paths.is_empty() {
        return Check::ok("leftovers", "none");
    }
    let names = named(&paths.iter().map(|it| it.display().to_string()).collect::<Vec<_>>());
    if setup_is_under_way {
        return Check::ok("leftovers", format_args!("{names}: of the setup that is under way"));
    }
    Check::warning("leftovers", format_args!("setups that were killed left {names}"))
        .advise("`dpgui doctor --fix` removes them, as does the next `dpgui setup`")
        .mended_by(Fix::RemoveLeftovers { paths: paths.to_vec() })
}

/// What lies in the cache for nothing. What a setup needs at the moment is none of that.
fn judge_cache(found: &[Swept]) -> Check {
    let unneeded = |it: &Swept| match it {
        Swept::WouldRemove(junk) | Swept::Removed(junk) => Some(junk.bytes),
        Swept::InUse(_) => None,
    };
    let bytes: Vec<u64> = found.iter().filter_map(unneeded).collect();
    match bytes.len() {
        0 => Check::ok("cache", "nothing in it that nobody needs"),
        count => Check::note(
            "cache",
            format_args!("{} in it that nobody needs, in {count} pieces", size::bytes(bytes.iter().sum())),
        )
        .advise("`dpgui doctor --fix` removes that, as does `dpgui clean`")
        .mended_by(Fix::SweepCache),
    }
}

/// An environment is links into the Python that it was made with, which an update of the system may have removed.
fn interpreter(workspace: &Workspace) -> Check {
    let python = workspace.python();
    if fs::is_file(&python) {
        return Check::ok("interpreter", format_args!("`{}`", fs::real_path(&python).display()));
    }
    let lost = fs::link_target(&python).map_or(String::new(), |it| format!(", a link to `{}`", it.display()));
    let check = Check::problem("interpreter", format_args!("`{}`{lost} leads nowhere", python.display()));
    // Where a setup would refuse, it is no advice.
    if let Some(hint) = receipt::obstacle(&workspace.venv()).and_then(|it| it.hint()) {
        return check.advise(hint);
    }
    check
        .advise("run `dpgui setup`, which brings its Python back or makes it anew; `dpgui doctor --fix` does it too")
        .mended_by(Fix::SetUp)
}

/// Receipts that nobody can read: what they vouch for counts as not there.
pub(super) fn receipts(scene: &Scene) -> Vec<Check> {
    let workspace = &scene.site.workspace;
    let mut artefacts = vec![workspace.venv(), workspace.libs()];
    artefacts.extend(["node", "uv", "python"].map(|name| workspace.tools().join(name)));
    let there = artefacts.iter().filter(|dir| fs::names(dir).is_ok_and(|names| !names.is_empty()));
    let mut checks: Vec<Check> =
        there.map(|dir| judge_receipt(dir, Receipt::of(dir).map(|it| it.what))).collect();
    // Those of things that are no directories of ours lie by themselves.
    let loose = workspace.internal().join("receipts");
    for path in fs::names(&loose).unwrap_or_default().iter().map(|name| loose.join(name)) {
        if path.extension().is_some_and(|it| it == "json") && Receipt::read(&path).is_none() {
            checks.push(
                Check::warning("receipt", format_args!("`{}` cannot be read", path.display()))
                    .about(path.file_stem().unwrap_or_default().display())
                    .advise("run `dpgui setup`, which writes it anew"),
            );
        }
    }
    checks
}

fn judge_receipt(dir: &Path, receipt: Option<String>) -> Check {
    let check = match receipt {
        Some(what) => Check::ok("receipt", what),
        None if receipt::is_damaged(dir) => {
            Check::warning("receipt", format_args!("the receipt of `{}` cannot be read", dir.display()))
                .advise("run `dpgui setup`, which makes it anew")
        }
        None => Check::warning("receipt", format_args!("`{}` has no receipt", dir.display()))
            .advise("if it is yours, leave it; if dpgui made it, remove the folder and run `dpgui setup`"),
    };
    check.about(dir.file_name().unwrap_or_default().display())
}

/// Every checkout, file by file. A commit other than the declared one is told of by the step.
pub(super) fn checkouts(scene: &Scene) -> Vec<Check> {
    let vendor = scene.site.workspace.vendor();
    let look = |name: &String| {
        let looked = git::look(&vendor.join(name)).transpose()?;
        Some(judge_checkout(name, looked.map(|(_, state)| state)))
    };
    scene.site.sources.repositories.keys().filter_map(look).collect()
}

fn judge_checkout(name: &str, state: Result<State, GitError>) -> Check {
    let check = match state {
        Ok(State::Edited { files, .. }) if files.are_gone => {
            let verb = if files.count == 1 { "is" } else { "are" };
            Check::problem("checkout", format_args!("{files} {verb} missing"))
                .advise("`dpgui setup --repair` checks out again what is missing")
        }
        Ok(State::Edited { files, .. }) => {
            let rest = files.count.saturating_sub(files.some.len());
            let some = files.some.join("`, `");
            let more = if rest == 0 { String::new() } else { format!(" and {rest} more") };
            let what = format!("edited: `{some}`{more}; dpgui leaves them as they are");
            // An edit in the trainer is a wish; in what it imports, an accident as often.
            let check = if name == sources::TRAINER {
                Check::note("checkout", what)
            } else {
                Check::warning("checkout", what)
            };
            check.advise(format_args!(
                "`git -C vendor/{name} diff` shows them; `dpgui setup --repair --discard` undoes all edits and keeps them \
                 as patches"
            ))
        }
        Ok(State::AtCommit) => Check::ok("checkout", "as committed"),
        Ok(State::OtherCommit { head } | State::Moved { head }) => {
            Check::note("checkout", format_args!("commit {} is checked out", head.short()))
        }
        Ok(State::Absent | State::Foreign) => Check::note("checkout", "it went away meanwhile"),
        Err(error @ GitError::Read { .. }) => {
            Check::problem("checkout", in_one_line(&error)).advise(set_aside(name))
        }
        Err(error) => Check::failed("checkout", error),
    };
    check.about(name)
}

/// The first few in backticks, and how many more there are.
fn named(names: &[String]) -> String {
    let shown = names.iter().take(NAMED).map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
