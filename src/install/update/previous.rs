//! A glance at what the way back would make live: the lock, receipts, and whether every file is there in its size.
//!
//! Somebody may have cleared it up by hand, or a disk lost some of it. Half of it is worse than none.

use std::{collections::BTreeSet, ffi::OsString, path::Path};

use crate::{
    error::{Error, Report},
    platform::fs,
    vendor::{
        farm::Links,
        git::{self, CommitId, State},
        lock::LockFile,
        sources,
    },
    workspace::Workspace,
};

use super::{
    super::{doctor::files, receipt::Receipt},
    UpdateError,
};

/// # Errors
/// When `previous` lacks something, with what that is.
pub(super) fn must_be_whole(previous: &Workspace) -> Result<(), UpdateError> {
    let lock = fs::read_optional(&previous.lock_file()).ok().flatten();
    let lock = lock.and_then(|it| LockFile::parse(&it).ok());
    look(previous, lock.as_ref()).map_err(|problem| {
        let locked = lock.and_then(|it| it.repositories.get(sources::TRAINER).copied());
        let commit = locked.or_else(|| git::head(&previous.vendor().join(sources::TRAINER)).ok().flatten());
        UpdateError::HalfGone { problem, commit }
    })
}

/// The first thing that is not as it should be.
fn look(previous: &Workspace, lock: Option<&LockFile>) -> Result<(), String> {
    let lock = lock.ok_or_else(|| gone(&previous.lock_file()))?;
    let links = look_at_farm(&previous.libs())?;
    // A lock knows more repositories than a workspace has.
    let linked = links.values().filter_map(|it| it.components().nth(1)).map(|it| it.as_os_str().to_owned());
    let there = fs::names(&previous.vendor()).map_err(said)?.into_iter().filter(|it| it != "libs");
    let names: BTreeSet<OsString> = linked.chain(there).chain([sources::TRAINER.into()]).collect();
    for name in names.iter().map(|it| it.to_string_lossy()).filter(|it| !it.starts_with('.')) {
        look_at_checkout(previous, &name, lock.repositories.get(&*name).copied())?;
    }
    let venv = previous.venv();
    if fs::link_target(&venv).is_some() {
        // The environment that is installed serves it too.
        return Ok(());
    }
    if !fs::exists(&venv) {
        return Err(gone(&venv));
    }
    let damage = files::glance(&venv).map_err(said)?;
    damage.map_or(Ok(()), |it| Err(format!("of `{}` {it}", venv.display())))
}

fn look_at_checkout(previous: &Workspace, name: &str, locked: Option<CommitId>) -> Result<(), String> {
    let dir = previous.vendor().join(name);
    let Some(head) = git::head(&dir).map_err(said)? else {
        // One that is there at the same commit stays where it is.
        let live = git::head(&previous.live().vendor().join(name)).map_err(said)?;
        return if live.is_some() && live == locked { Ok(()) } else { Err(gone(&dir)) };
    };
    match git::inspect(&dir, &head).map_err(said)? {
        State::Edited { files, .. } => Err(format!("of `{}` {files} missing or changed", dir.display())),
        State::Absent
        | State::AtCommit
        | State::OtherCommit { .. }
        | State::Moved { .. }
        | State::Foreign => Ok(()),
    }
}

/// What it links is what else has to be there.
fn look_at_farm(libs: &Path) -> Result<Links, String> {
    let links = Receipt::of(libs).and_then(|it| serde_json::from_value::<Links>(it.details).ok());
    let links = links.ok_or_else(|| gone(libs))?;
    let is_lost = |(name, target): &(&String, _)| fs::link_target(&libs.join(name)).as_ref() != Some(*target);
    match links.iter().find(is_lost) {
        Some((name, _)) => Err(gone(&libs.join(name))),
        None => Ok(links),
    }
}

fn gone(path: &Path) -> String {
    format!("`{}` is missing or damaged", path.display())
}

fn said(error: impl Report) -> String {
    Error::from(error).messages().join(": ")
}
