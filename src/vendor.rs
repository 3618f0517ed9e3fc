//! What is pinned: the sources that setup fetches, the symlink farm, the rules for Python requirements.
//!
//! The declarations are the TOML files in the repository's `vendor/`, embedded in the program. [`git`] fetches what
//! is pinned as a commit; everything else is installed elsewhere.

pub mod farm;
pub mod git;
pub mod requirements;
pub mod sources;

use crate::error::{Kind, Report};

/// A declaration, of ours or in the user's settings, that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    #[error("`{file}`, which is part of dpgui, is damaged: {details}")]
    Embedded { file: &'static str, details: String },
    #[error("`[sources.{name}]` in `dpgui.toml` names a source that dpgui does not have")]
    UnknownSource { name: String, known: Vec<String> },
    #[error("`[sources.{name}]` in `dpgui.toml` names no commit")]
    BadCommit { name: String, source: git::BadCommitId },
    #[error("`{name}` has no digest for the architecture `{arch}`")]
    NoDigest { name: String, arch: crate::platform::Arch },
    #[error("unknown model type or submodule `{name}`")]
    UnknownModel { name: String, known: Vec<String> },
}

impl Report for VendorError {
    fn kind(&self) -> Kind {
        match self {
            Self::Embedded { .. } => Kind::Bug,
            Self::UnknownSource { .. } | Self::UnknownModel { .. } | Self::BadCommit { .. } => Kind::Usage,
            Self::NoDigest { .. } => Kind::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Embedded { .. } => None,
            Self::UnknownSource { known, .. } | Self::UnknownModel { known, .. } => {
                Some(format!("choose one of {}", known.join(", ")))
            }
            Self::BadCommit { name, .. } => {
                Some(format!("give all 40 digits of the commit under `[sources.{name}]`"))
            }
            Self::NoDigest { name, .. } => {
                Some(format!("give its sha256 under `[sources.{name}]` in `dpgui.toml`"))
            }
        }
    }
}
