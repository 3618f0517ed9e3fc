//! Which files of packages are in the cache for this environment alone: those that were not there before. When it is
//! installed they go; all others are somebody's, who kept or brought them.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    platform::{
        checkpoint::{Checkpoint, reach},
        digest::Sha256,
        fs,
    },
    vendor::lock::Package,
    workspace::Workspace,
};

use super::super::{InstallError, cache::Cache};

/// Notes that these are about to be fetched: before they are, so that the next setup knows what a killed one fetched.
pub(super) fn note(workspace: &Workspace, missing: &[&Package]) -> Result<(), InstallError> {
    let mut noted = noted(workspace)?;
    let before = noted.len();
    noted.extend(missing.iter().map(|it| it.sha256));
    if noted.len() > before { write(workspace, &noted) } else { Ok(()) }
}

/// There is something that [`discard`] is to remove.
pub(super) fn is_any(workspace: &Workspace) -> bool {
    fs::exists(&list(workspace))
}

/// Removes what was noted from the cache. What somebody uses stays noted, for the next time.
pub(super) fn discard(workspace: &Workspace, cache: &Cache) -> Result<(), InstallError> {
    let mut used = BTreeSet::new();
    for sha256 in noted(workspace)? {
        if !cache.discard(sha256)? {
            used.insert(sha256);
        }
    }
    reach(Checkpoint::DownloadsDiscarded);
    if used.is_empty() { forget(workspace) } else { write(workspace, &used) }
}

/// From now on they are as good as kept.
pub(super) fn forget(workspace: &Workspace) -> Result<(), InstallError> {
    Ok(fs::remove_tree(&list(workspace))?)
}

fn write(workspace: &Workspace, noted: &BTreeSet<Sha256>) -> Result<(), InstallError> {
    fs::create_dir_all(&workspace.derived())?;
    let lines: Vec<String> = noted.iter().map(Sha256::to_string).collect();
    Ok(fs::write_atomic(&list(workspace), lines.join("\n"))?)
}

fn list(workspace: &Workspace) -> PathBuf {
    workspace.derived().join("fetched.txt")
}

fn noted(workspace: &Workspace) -> Result<BTreeSet<Sha256>, InstallError> {
    let text = fs::read_optional(&list(workspace))?.unwrap_or_default();
    // What cannot be made sense of stays in the cache until its limit is reached.
    Ok(text.lines().filter_map(|it| it.parse().ok()).collect())
}
