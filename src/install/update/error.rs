//! How an update or the way back from one fails.

use std::path::PathBuf;

use crate::{
    error::{Kind, Report},
    platform::lock::LockError,
    vendor::git::GitError,
    workspace::{commit::CommitId, switch::SwitchError},
};

use super::super::InstallError;

#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("there is nothing here to update: {why}")]
    NotSetUp { why: String },
    #[error("`dpgui.toml` pins commit {} of the trainer", commit.short())]
    Pinned { commit: CommitId },
    #[error("commit {} cannot be prepared; what is installed is as it was", commit.short())]
    Unprepared { commit: CommitId, source: Box<InstallError> },
    #[error("commit {} is prepared, and what is installed is in use", commit.short())]
    InUse { commit: CommitId, source: LockError },
    #[error("commit {} is prepared, and what is installed cannot be exchanged; it is as it was", commit.short())]
    Unswitched { commit: CommitId, source: Box<InstallError> },
    #[error("what is installed changed while commit {} was prepared", commit.short())]
    Changed { commit: CommitId },
    #[error("there is nothing to go back to: no update was made in `{}`", root.display())]
    NoPrevious { root: PathBuf },
    #[error(
        "what the last update replaced is not whole any more, and what is installed is as it was: {problem}"
    )]
    HalfGone {
        problem: String,
        /// Of the trainer, where that can still be told.
        commit: Option<CommitId>,
    },
    #[error(transparent)]
    Install(Box<InstallError>),
}

impl<E: Into<InstallError>> From<E> for UpdateError {
    fn from(cause: E) -> Self {
        Self::Install(Box::new(cause.into()))
    }
}

impl Report for UpdateError {
    fn kind(&self) -> Kind {
        match self {
            Self::NotSetUp { .. }
            | Self::NoPrevious { .. }
            | Self::HalfGone { .. }
            | Self::Changed { .. } => Kind::Failed,
            Self::Pinned { .. } => Kind::Usage,
            Self::InUse { source, .. } => source.kind(),
            Self::Unprepared { source, .. } | Self::Unswitched { source, .. } | Self::Install(source) => {
                source.kind()
            }
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotSetUp { .. } => "run `dpgui setup` first".to_owned(),
            Self::Pinned { .. } => UNPIN.to_owned(),
            Self::Unprepared { source, .. } if is_of_the_commit(source) => {
                "choose another commit with `--commit SHA`, or stay with what is installed".to_owned()
            }
            Self::Unprepared { source, .. } | Self::Unswitched { source, .. } | Self::Install(source) => {
                return source.hint();
            }
            Self::InUse { .. } => {
                "run `dpgui update` again once it has ended: it only switches then".to_owned()
            }
            Self::Changed { .. } => "run `dpgui update` again".to_owned(),
            Self::NoPrevious { .. } => {
                "go to any commit of the trainer with `dpgui update --commit SHA`".to_owned()
            }
            Self::HalfGone { commit, .. } => {
                let commit = commit.map_or_else(|| "SHA".to_owned(), |it| it.to_string());
                format!("`dpgui update --commit {commit}` makes all of it anew and goes there")
            }
        })
    }
}

/// How the trainer's commit is left to updates again.
pub const UNPIN: &str =
    "remove `commit` under `[sources.diffusion-pipe]` in `dpgui.toml`, then run `dpgui update`";

/// Neither the network nor this machine is to blame, but what the commit wants.
fn is_of_the_commit(cause: &InstallError) -> bool {
    if matches!(cause, InstallError::Git(GitError::UnknownCommit { .. })) {
        return true;
    }
    let refused = matches!(cause, InstallError::Switch(SwitchError::Link { .. } | SwitchError::Apart { .. }));
    cause.kind() == Kind::Failed && !refused
}
