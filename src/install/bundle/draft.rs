//! The file that a bundle is until it is whole, anywhere on the machine: the workspace knows where, so that what a killed
//! command left there, gigabytes perhaps, is found again.
//!
//! `.dpgui/bundles/PID` holds the path. Nobody else may guess: in a folder of the user's a name proves nothing.

use std::path::{Path, PathBuf};

use crate::{
    platform::fs::{self, FsError},
    workspace::Workspace,
};

/// Removed with its note when it is dropped, unless it has got its name.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) path: PathBuf,
    note: PathBuf,
}

impl Draft {
    /// Of `target`; what processes that are gone left of theirs is removed.
    pub(super) fn begin(workspace: &Workspace, target: &Path) -> Result<Self, FsError> {
        for left in abandoned(workspace)? {
            fs::remove_tree(&left)?;
        }
        let notes = notes(workspace);
        fs::create_dir_all(&notes)?;
        let draft =
            Self { path: fs::beside(target, "tmp"), note: notes.join(std::process::id().to_string()) };
        fs::write_atomic(&draft.note, draft.path.to_str().unwrap_or_default())?;
        Ok(draft)
    }

    pub(super) fn becomes(&self, target: &Path) -> Result<(), FsError> {
        fs::rename(&self.path, target)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What stays is found by its note, or is not there.
        let _ = fs::remove_tree(&self.path).and_then(|()| fs::remove_tree(&self.note));
    }
}

/// What killed processes wrote of bundles, each before the note that tells of it. On a disk that is not there now, it may
/// still be found another time.
pub fn abandoned(workspace: &Workspace) -> Result<Vec<PathBuf>, FsError> {
    let notes = notes(workspace);
    let mut found = vec![];
    for note in fs::names(&notes)? {
        let owner = note.to_str().and_then(|it| it.parse().ok());
        if owner.is_none_or(fs::is_another) {
            continue;
        }
        let note = notes.join(note);
        let draft = PathBuf::from(fs::read_optional(&note)?.unwrap_or_default());
        // What has no parent is a name that is no text.
        if draft.parent().is_none_or(fs::is_dir) {
            found.extend(Some(draft).filter(|it| fs::is_file(it)));
            found.push(note);
        }
    }
    Ok(found)
}

fn notes(workspace: &Workspace) -> PathBuf {
    workspace.internal().join("bundles")
}
