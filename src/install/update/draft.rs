//! The draft of an update: the copy of what is installed that is filled with a newer commit, and an environment for it.

use std::path::Path;

use crate::{
    platform::{
        checkpoint::{Checkpoint, reach},
        digest::Sha256,
        fs::{self, FsError},
        lock::Lock,
    },
    vendor::{git, sources},
    workspace::{
        Workspace,
        commit::CommitId,
        switch::{self, Item},
    },
};

use super::super::{
    InstallError,
    receipt::{self, Receipt},
};

/// Where the environment of the workspace lies, seen from a copy of it.
const LIVE_VENV: &str = "../../venv";

/// Makes the draft one for `commit`. What an earlier one has of it stays.
pub(super) fn begin(live: &Workspace, commit: CommitId) -> Result<(), InstallError> {
    let draft = live.draft();
    fs::create_dir_all(&draft.vendor())?;
    let inputs = inputs(live, commit)?;
    let record = switch::draft_record(&draft);
    if Receipt::read(&record).is_some_and(|it| it.inputs == inputs) {
        return Ok(());
    }
    // What is locked and did not change is not resolved again.
    match fs::read_optional(&live.lock_file())? {
        Some(text) => fs::write_atomic(&draft.lock_file(), text)?,
        None => fs::remove_tree(&draft.lock_file())?,
    }
    let details = serde_json::json!({ "commit": commit });
    Receipt::new(inputs, "draft of an update", "what is installed")
        .with_details(details)
        .write_loose(&record)?;
    reach(Checkpoint::DraftBegun);
    Ok(())
}

/// A draft is there, and it does not lead from what is installed to anything.
pub fn is_stale(workspace: &Workspace) -> bool {
    let (live, draft) = (workspace.live(), workspace.draft());
    if !fs::exists(&draft.records()) || Lock::is_held(&live.update_lock()) {
        return false;
    }
    let is_current = || {
        let record = Receipt::read(&switch::draft_record(&draft))?;
        let commit: CommitId = serde_json::from_value(record.details.get("commit")?.clone()).ok()?;
        Some(inputs(&live, commit).ok()? == record.inputs)
    };
    !is_current().unwrap_or(false)
}

/// Lets the draft have the environment that is installed, if it has none of its own.
pub(super) fn borrow(draft: &Workspace) -> Result<(), FsError> {
    fs::remove_tree(&draft.venv())?;
    fs::symlink(Path::new(LIVE_VENV), &draft.venv())
}

/// Ends that: nothing is ever installed into the environment that trainings use.
pub fn give_back(workspace: &Workspace) -> Result<(), FsError> {
    if is_borrowed(workspace) { fs::remove_tree(&workspace.venv()) } else { Ok(()) }
}

pub(super) fn is_borrowed(workspace: &Workspace) -> bool {
    !workspace.is_live() && fs::link_target(&workspace.venv()).is_some()
}

/// What of `copy` is to change places with what is live. A checkout of the same commit is not: the files that lie
/// between its own stay where they are.
pub(super) fn items(copy: &Workspace) -> Result<Vec<Item>, InstallError> {
    let live = copy.live();
    let (mut pairs, receipts) = (vec![], ["receipts/verify.json", "derived"]);
    for name in fs::names(&copy.vendor())? {
        let pair = (live.vendor().join(&name), copy.vendor().join(&name));
        let is_temporary = name.to_string_lossy().starts_with('.');
        let head = git::head(&pair.1)?;
        if !is_temporary && (head.is_none() || git::head(&pair.0)? != head) {
            pairs.push(pair);
        }
    }
    if !is_borrowed(copy) {
        pairs.push((live.venv(), copy.venv()));
    }
    pairs.push((live.lock_file(), copy.lock_file()));
    pairs.extend(receipts.map(|name| (live.records().join(name), copy.records().join(name))));
    pairs.retain(|(_, copy)| fs::exists(copy));
    Ok(pairs.iter().map(|(of_live, of_copy)| Item::new(&live, of_live, of_copy)).collect())
}

/// The commit of the trainer in this copy.
pub(super) fn head(copy: &Workspace) -> Result<Option<CommitId>, InstallError> {
    Ok(git::head(&copy.vendor().join(sources::TRAINER))?)
}

/// What a draft for `commit` begins with.
fn inputs(live: &Workspace, commit: CommitId) -> Result<Sha256, InstallError> {
    Ok(receipt::inputs(&(commit, head(live)?, fs::read_optional(&live.lock_file())?)))
}
