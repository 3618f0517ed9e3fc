//! What is pinned: the sources that setup fetches, the symlink farm, the rules for Python requirements.
//!
//! The declarations are the TOML files in the repository's `vendor/`, embedded in the program. [`git`] fetches what
//! is pinned as a commit; everything else is installed elsewhere.

pub mod farm;
pub mod git;
pub mod lock;
pub mod requirements;
pub mod sources;

use crate::{
    error::{Kind, Report},
    platform::{Arch, place::NotAPlace},
};

/// A declaration, of ours or in the user's settings, that makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    #[error("`{file}`, which is part of dpgui, is damaged: {details}")]
    Embedded { file: &'static str, details: String },
    #[error("`[sources.{name}]` in `dpgui.toml` names a source that dpgui does not have")]
    UnknownSource { name: String, known: Vec<String> },
    #[error("`{field}` under `[sources.{name}]` in `dpgui.toml` has no effect")]
    NoEffect { name: String, field: &'static str, has: &'static str },
    #[error("`[sources.{name}]` in `dpgui.toml` names version `{version}` without its sha256 for `{arch}`")]
    UnpinnedVersion { name: String, version: String, arch: Arch },
    #[error("{what} cannot be used")]
    BadPlace { what: String, source: NotAPlace },
    #[error("`{name}` has no digest for the architecture `{arch}`")]
    NoDigest { name: String, arch: Arch },
    #[error("unknown model type or submodule `{name}`")]
    UnknownModel { name: String, known: Vec<String> },
}

impl Report for VendorError {
    fn kind(&self) -> Kind {
        match self {
            Self::Embedded { .. } => Kind::Bug,
            Self::UnknownSource { .. }
            | Self::NoEffect { .. }
            | Self::UnpinnedVersion { .. }
            | Self::BadPlace { .. }
            | Self::UnknownModel { .. } => Kind::Usage,
            Self::NoDigest { .. } => Kind::Unsupported,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Embedded { .. } => None,
            Self::UnknownSource { known, .. } | Self::UnknownModel { known, .. } => {
                Some(format!("choose one of {}", known.join(", ")))
            }
            Self::NoEffect { has, .. } => Some((*has).to_owned()),
            Self::UnpinnedVersion { arch, .. } => {
                Some(format!("give it there: `sha256 = {{ {arch} = \"...\" }}`"))
            }
            Self::BadPlace { .. } => Some("give another address".to_owned()),
            Self::NoDigest { name, .. } => {
                Some(format!("give its sha256 under `[sources.{name}]` in `dpgui.toml`"))
            }
        }
    }
}
