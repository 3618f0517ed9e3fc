//! What can be wrong with `dpgui.lock`.

use std::path::PathBuf;

use crate::{
    error::{Kind, Report},
    vendor::lock::{Key, LockFileError},
};

#[derive(Debug, thiserror::Error)]
pub enum LockedError {
    #[error("`{}` is not a lock that dpgui can read: {source}", path.display())]
    Unreadable { path: PathBuf, source: LockFileError },
    #[error("`dpgui.lock` is not up to date: {why}")]
    Outdated { why: String },
    #[error("the lock that the bundle brings is not up to date here: `{part}` in it is not what is wanted")]
    Brought { part: String },
    #[error("`dpgui.lock` has no packages for `{key}`")]
    NoEnvironment { key: Key },
    #[error("`{package}` cannot be locked: the index has no file of it with a sha256 digest")]
    NoDigest { package: String },
    #[error("offline, and only the package index knows which packages are the newest")]
    OfflineUpgrade,
}

impl Report for LockedError {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreadable { .. } => Kind::Usage,
            Self::Outdated { .. } | Self::Brought { .. } | Self::NoEnvironment { .. } => Kind::LockOutdated,
            Self::NoDigest { .. } => Kind::Failed,
            Self::OfflineUpgrade => Kind::Offline,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { path, source: LockFileError::Newer(_) } => {
                format!("update dpgui, or remove `{}`", path.display())
            }
            Self::Unreadable { path, .. } => {
                let path = path.display();
                format!("get `{path}` back from git, or remove it: `dpgui setup` writes it anew")
            }
            Self::Outdated { .. } => "run `dpgui lock` and keep the changed `dpgui.lock` in git".to_owned(),
            Self::Brought { .. } => {
                "leave out `--locked` to take what the bundle has, or declare in `dpgui.toml` what it was made with".to_owned()
            }
            Self::NoEnvironment { .. } => {
                "run `dpgui lock`, which locks for every torch profile, and keep the changed `dpgui.lock` in git".to_owned()
            }
            Self::NoDigest { .. } => "use an index that gives digests".to_owned(),
            Self::OfflineUpgrade => {
                "unset `DPGUI_OFFLINE` where there is a network; `dpgui lock` alone stays with what is locked".to_owned()
            }
        })
    }
}
