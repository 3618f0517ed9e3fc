//! Where the state of a run goes while a full disk takes no new file: bytes that the run has had from its start, written
//! over where they are. Who reads sees the truth, though it is not at its usual place.

use std::path::Path;

use crate::platform::fs::{self, FsError};

use super::journal::Snapshot;

/// Bytes: a state with a long diagnosis has a third of that.
const SIZE: usize = 32 * 1024;

/// Has the room, if it is not there yet.
pub(super) fn make(path: &Path) -> Result<(), FsError> {
    if fs::exists(path) { Ok(()) } else { fs::write_snapshot(path, vec![b' '; SIZE]) }
}

/// Puts the state there. One that is too long for it goes without its diagnosis.
pub(super) fn put(path: &Path, now: &Snapshot) -> Result<(), FsError> {
    let whole = serde_json::to_string(now).unwrap_or_default();
    let short = || serde_json::to_string(&Snapshot { diagnosis: None, numbers: None, ..now.clone() });
    let mut text = if whole.len() > SIZE { short().unwrap_or_default() } else { whole };
    // More would need new room.
    text.extend(std::iter::repeat_n(' ', SIZE.saturating_sub(text.len())));
    fs::overwrite(path, text)
}

/// The state is at its usual place again.
pub(super) fn clear(path: &Path) -> Result<(), FsError> {
    fs::overwrite(path, " ")
}

/// The state that is there, if there is one.
pub(super) fn read(path: &Path) -> Option<Snapshot> {
    // One that is just being written is not there yet, and neither is one that was cleared.
    serde_json::from_str(&fs::read_optional(path).ok()??).ok()
}
