//! The sizes of archives that nobody declares: known once an archive is here, and kept in the lock from then on.
//!
//! An archive may come before the lock is written or after: whichever is second adds the size. A lock that has none is as
//! good as one that has, so none is written for their sake alone.

use std::sync::{Mutex, PoisonError};

use crate::{
    platform::{digest::Sha256, fs},
    vendor::lock::LockFile,
};

use super::{
    super::{InstallError, cache::There, step::Site},
    Policy,
};

/// Held by who writes the lock: archives come beside the step that makes it.
static WRITING: Mutex<()> = Mutex::new(());

/// Writes `lock` as the workspace's, with the sizes of the archives that are in the cache.
pub(super) fn write(site: &Site, mut lock: LockFile) -> Result<(), InstallError> {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let files = lock.archives.values_mut().filter_map(|it| it.files.get_mut(&site.host.arch));
    for file in files.filter(|it| it.size.is_none()) {
        if site.cache.look_into(file.sha256)? == There::It {
            file.size = Some(site.cache.bytes_of(file.sha256));
        }
    }
    Ok(fs::write_atomic(&site.workspace.lock_file(), lock.to_string())?)
}

/// The archive of this digest is here, and has so many bytes. For who holds the setup's lock.
pub fn note(site: &Site, sha256: Sha256, bytes: u64) -> Result<(), InstallError> {
    if site.policy != Policy::Update {
        return Ok(());
    }
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(mut lock) = site.locks()?.own else { return Ok(()) };
    let mut files = lock.archives.values_mut().filter_map(|it| it.files.get_mut(&site.host.arch));
    let Some(file) = files.find(|it| it.sha256 == sha256 && it.size.is_none()) else { return Ok(()) };
    file.size = Some(bytes);
    Ok(fs::write_atomic(&site.workspace.lock_file(), lock.to_string())?)
}
