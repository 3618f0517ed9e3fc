//! How fetching and checking out fail.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use reqwest::StatusCode;

use crate::{
    error::{Kind, Report},
    platform::{fs::FsError, net::NetError},
};

use super::{CommitId, libgit2::Libgit2};

/// A repository that is not what it should be, or cannot be had. Addresses have lost their user and password.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("cannot set up libgit2")]
    Library { source: Libgit2 },
    #[error("cannot read git's own configuration")]
    Config { source: Libgit2 },
    #[error("`{url}` is not an address that dpgui can clone from")]
    Address { url: String },
    #[error("there is no repository at `{url}`")]
    NoRepository { url: String },
    #[error("`{url}` answered {status}: the repository is private, or it does not exist")]
    Denied { url: String, status: StatusCode },
    #[error("`{url}` answered with `{content_type}`, which is not git's protocol")]
    NotGit { url: String, content_type: String },
    #[error("`{url}` refused: {message}")]
    Refused { url: String, message: String },
    #[error("cannot make sense of what `{url}` answered")]
    Protocol { url: String, source: Libgit2 },
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("the repository at `{url}` has no commit on its default branch")]
    Empty { url: String },
    #[error("`{url}` has no commit `{commit}`")]
    UnknownCommit { url: String, commit: CommitId },
    #[error("what `{url}` sent is damaged")]
    Damaged { url: String, source: Libgit2 },
    #[error("cannot read the repository `{}`", path.display())]
    Read { path: PathBuf, source: Libgit2 },
    #[error("cannot write the checkout `{}`", path.display())]
    Write { path: PathBuf, source: Libgit2 },
    #[error("`{}` did not become what commit `{commit}` says: {files}", path.display())]
    Altered { path: PathBuf, commit: CommitId, files: Files },
    #[error("`{}` has files that a new checkout would destroy: {files}", path.display())]
    Edited { path: PathBuf, files: Files },
    #[error("`{}` is at commit `{head}`, which dpgui did not put there, or has branches", path.display())]
    Moved { path: PathBuf, head: CommitId },
    #[error("`{}` is in the way: it is not a checkout that dpgui made", path.display())]
    Foreign { path: PathBuf },
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// A few of the files concerned, and how many there are in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    pub some: Vec<String>,
    pub count: usize,
    /// Nothing else is the matter with them than that they are gone: the commit has them still.
    pub are_gone: bool,
}

impl GitError {
    pub(super) fn writing(path: &Path) -> impl Fn(Libgit2) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    /// There is no room left for a checkout.
    pub fn is_full(&self) -> bool {
        match self {
            // libgit2 has no code of its own for it, and ends with what the system says.
            Self::Write { source, .. } => {
                let said = source.to_string();
                ["No space left on device", "Disk quota exceeded"].iter().any(|it| said.contains(it))
            }
            Self::Fs(cause) => cause.is_full(),
            _ => false,
        }
    }

    pub(super) fn reading(path: &Path) -> impl Fn(git2::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source: source.into() }
    }
}

impl Report for GitError {
    fn kind(&self) -> Kind {
        match self {
            Self::Library { .. } => Kind::Bug,
            Self::Config { .. }
            | Self::Address { .. }
            | Self::NoRepository { .. }
            | Self::Empty { .. }
            | Self::UnknownCommit { .. }
            | Self::Edited { .. }
            | Self::Moved { .. }
            | Self::Foreign { .. } => Kind::Usage,
            Self::Denied { .. } | Self::NotGit { .. } | Self::Refused { .. } | Self::Protocol { .. } => {
                Kind::Network
            }
            Self::Damaged { .. } | Self::Altered { .. } => Kind::Integrity,
            Self::Read { .. } | Self::Write { .. } => Kind::Disk,
            Self::Net(cause) => cause.kind(),
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Library { .. } => return None,
            Self::Config { .. } => "mend the file; `git config --list` shows the same error".to_owned(),
            Self::Address { .. } => "give an `https://`, `http://` or `file://` address or a path".to_owned(),
            Self::NoRepository { .. } | Self::Empty { .. } => {
                "check the repository's `url` under `[sources]` in `dpgui.toml`".to_owned()
            }
            Self::Denied { .. } => {
                "check the address; for a private repository on GitHub set `GITHUB_TOKEN`".to_owned()
            }
            Self::NotGit { .. } => {
                "open the address in a browser: a login page or a proxy may be in the way".to_owned()
            }
            Self::Refused { .. } | Self::Protocol { .. } => {
                "name a mirror of the repository under `[sources]` in `dpgui.toml`".to_owned()
            }
            Self::UnknownCommit { .. } => {
                "check the repository's `commit` under `[sources]` in `dpgui.toml`".to_owned()
            }
            Self::Damaged { .. } => "run the same command again; a proxy may have cut the answer".to_owned(),
            Self::Read { path, .. } => format!(
                "if dpgui cloned it, move `{}` to another place and run the same command again; `git fsck` in it says more",
                path.display()
            ),
            Self::Write { path, .. } => {
                format!("check the space and the permissions at `{}`", path.display())
            }
            Self::Altered { .. } => {
                "choose a workspace on a Linux file system, where names differ by case, with `-C DIR`"
                    .to_owned()
            }
            Self::Edited { path, .. } => {
                let path = path.display();
                format!(
                    "`dpgui setup --repair --discard` keeps edits as a patch and undoes them; move other files, or the \
                     whole of `{path}`, to another place"
                )
            }
            Self::Moved { path, head } => format!(
                "move `{}` to another place, or pin `commit = \"{head}\"` under `[sources]` in `dpgui.toml`",
                path.display()
            ),
            Self::Foreign { path } => format!("move `{}` to another place", path.display()),
            Self::Net(cause) => return cause.hint(),
            Self::Fs(cause) => return cause.hint(),
        })
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.some.iter().map(|name| format!("`{name}`")).collect();
        f.write_str(&named.join(", "))?;
        match self.count - self.some.len() {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
