//! What killed commands left behind in a workspace, and its removal before the next setup begins.

use std::path::PathBuf;

use crate::{
    platform::{
        checkpoint::{Checkpoint, reach},
        fs::{self, FsError},
    },
    workspace::Workspace,
};

use super::{bundle, step::Site};

/// Removes it, aloud: half an environment takes a while.
pub(super) fn sweep(site: &Site) -> Result<(), FsError> {
    for leftover in leftovers(&site.workspace)? {
        let what = format_args!("`{}`, left by a command that was killed", leftover.display());
        site.output.status("Removing", what);
        fs::remove_tree(&leftover)?;
        reach(Checkpoint::LeftoverRemoved);
    }
    Ok(())
}

/// What setups that were killed left behind: half an environment is gigabytes. For who holds the setup's lock.
pub fn leftovers(workspace: &Workspace) -> Result<Vec<PathBuf>, FsError> {
    let of_copy = ["", "receipts", "derived"].map(|name| workspace.records().join(name));
    let shared = [workspace.root().to_owned(), workspace.tools()];
    let shared = if workspace.is_live() { &shared[..] } else { &[] };
    let dirs = [shared, &[workspace.vendor(), workspace.libs()], &of_copy].concat();
    let found = dirs.iter().map(|dir| fs::leftovers(dir)).collect::<Result<Vec<_>, _>>()?;
    // Where downloads were before they were shared.
    let downloads = workspace.internal().join("downloads");
    let downloads = Some(downloads).filter(|it| workspace.is_live() && fs::exists(it));
    let bundles = if workspace.is_live() { bundle::abandoned(workspace)? } else { vec![] };
    Ok(found.into_iter().flatten().chain(downloads).chain(bundles).collect())
}
