//! libgit2 as dpgui wants it: deaf to the user's git settings, and with our HTTP transport.

use std::sync::OnceLock;

use git2::{ConfigLevel, ErrorClass, ErrorCode, opts};

use super::{GitError, transport};

/// What libgit2 said, without its class and code: they mean nothing to a reader.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Libgit2 {
    pub(super) class: ErrorClass,
    pub(super) code: ErrorCode,
    message: String,
}

impl From<git2::Error> for Libgit2 {
    fn from(error: git2::Error) -> Self {
        Self { class: error.class(), code: error.code(), message: error.message().to_owned() }
    }
}

/// Sets libgit2 up, once in the life of the process. Everything in [`super`] that opens a repository comes here first.
pub(super) fn prepare() -> Result<(), GitError> {
    static DONE: OnceLock<Result<(), Libgit2>> = OnceLock::new();
    let done = DONE.get_or_init(|| configure().map_err(Libgit2::from));
    done.clone().map_err(|source| GitError::Library { source })
}

fn configure() -> Result<(), git2::Error> {
    let levels = [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global];
    for level in levels {
        // `core.autocrlf`, `core.excludesFile` and their like would make one commit many different work trees.
        #[expect(unsafe_code, reason = "libgit2's options are process-wide variables")]
        // SAFETY: `prepare` runs this once, before any other call of ours into libgit2.
        unsafe {
            opts::set_search_path(level, "")?;
        }
    }
    // git asks who owns a repository because it runs programs that a repository's settings name. libgit2, without
    // ssh, runs none, and shared disks of rented machines seldom have the owner one expects.
    #[expect(unsafe_code, reason = "libgit2's options are process-wide variables")]
    // SAFETY: as above.
    unsafe {
        opts::set_verify_owner_validation(false)?;
    }
    transport::register()
}
