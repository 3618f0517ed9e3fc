//! Two files that are written as one: both or none, also when the machine goes down between them.
//!
//! No file system renames two files at once. So what both shall be is written down before the first takes its place, where
//! only the user can read it, and whoever comes after a kill finishes it: the next server, or the next who saves.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    platform::{
        digest::Sha256,
        fs::{self, FsError},
    },
    workspace::Workspace,
};

/// A file that shall have another text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Change {
    pub path: PathBuf,
    pub before: Option<String>,
    pub after: String,
}

/// The two, in the order in which they take their places: the one that is named before the one that names it.
pub fn write(workspace: &Workspace, pair: &[Change; 2]) -> Result<(), FsError> {
    if pair.iter().any(Change::is_none) {
        return pair.iter().try_for_each(Change::write);
    }
    let journal = journal(workspace);
    // All that may lack room comes first, so that a full disk leaves both as they were.
    let staged = [stage(&pair[0])?, stage(&pair[1])?];
    fs::write_private(&journal, serde_json::to_vec(pair).unwrap_or_default())?;
    for it in staged {
        if let Err(cause) = it.take_place() {
            pair.iter().for_each(undo);
            fs::remove_tree(&journal)?;
            return Err(cause);
        }
    }
    fs::remove_synced(&journal)
}

/// Finishes what a kill left, unless somebody has changed one of the files since then.
///
/// # Errors
/// When it cannot be read or written: then it is left for the next time.
pub fn finish(workspace: &Workspace) -> Result<(), FsError> {
    let journal = journal(workspace);
    let Some(text) = fs::read_optional(&journal)? else { return Ok(()) };
    let pair: Vec<Change> = serde_json::from_str(&text).unwrap_or_default();
    let mut left = vec![];
    for change in &pair {
        let now = fs::read_optional(&change.path)?;
        if now.as_ref() == Some(&change.after) {
            continue;
        }
        if now != change.before {
            return fs::remove_synced(&journal);
        }
        left.push(change);
    }
    for change in left {
        stage(change)?.take_place()?;
    }
    fs::remove_synced(&journal)
}

impl Change {
    /// A file that stays as it is keeps its time as well: others go by that.
    pub fn write(&self) -> Result<(), FsError> {
        if self.is_none() {
            return Ok(());
        }
        fs::write_atomic(&self.path, &self.after)
    }

    fn is_none(&self) -> bool {
        self.before.as_ref() == Some(&self.after)
    }

    pub fn digest(&self) -> String {
        Sha256::of(&self.after).to_string()
    }
}

fn stage(change: &Change) -> Result<fs::Staged, FsError> {
    fs::stage(&change.path, &change.after)
}

/// As it was, as far as that is possible.
fn undo(change: &Change) {
    let _ = match &change.before {
        Some(text) if fs::read_optional(&change.path).is_ok_and(|it| it.as_ref() != Some(text)) => {
            fs::write_atomic(&change.path, text)
        }
        Some(_) => Ok(()),
        None => fs::remove_tree(&change.path),
    };
}

fn journal(workspace: &Workspace) -> PathBuf {
    super::super::folder(workspace).join("pair.json")
}
