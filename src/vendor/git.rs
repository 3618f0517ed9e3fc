//! Repositories: exactly one commit of one, checked out in a directory, or nothing.
//!
//! libgit2 does the protocol and the work tree, [`transport`] carries its bytes over our own HTTP client. No `git`
//! program is needed, no hook, filter or setting of the user's takes part, and what is asked for is a commit:
//! its number is the digest of everything in it.

mod address;
mod error;
mod fetch;
mod libgit2;
mod receipt;
mod remote;
mod restore;
mod state;
mod submodules;
mod transport;

use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions, build::CheckoutBuilder};

use crate::platform::{
    Env,
    checkpoint::{Checkpoint, reach},
    clock::Stopwatch,
    fs,
    net::{self, Http},
};

use address::{Address, InsteadOf};
use libgit2::Libgit2;
use receipt::Durations;
use transport::Token;

pub use error::{Files, GitError};
pub use restore::{patch, restore};
pub use state::{State, damage, head, inspect, look, refusal};
pub use submodules::{SubmodulePin, submodule_pins, submodule_pins_of};

pub use crate::workspace::commit::CommitId;

/// The reference that marks a commit as put there by dpgui, and keeps it from git's own tidying up.
const PIN: &str = "refs/dpgui/pin";

/// What a checkout must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// `https://`, `http://`, `file://` or an absolute path.
    pub url: String,
    pub commit: CommitId,
    /// A repository on this machine that has the commit: nobody else is asked.
    pub nearby: Option<PathBuf>,
}

/// How far a checkout is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitProgress {
    Receiving { objects: usize, of: usize, bytes: usize },
    Writing { files: usize, of: usize },
}

/// Told again and again how far it is.
pub type OnProgress<'a> = &'a mut dyn FnMut(GitProgress);

/// What [`Git::checkout`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    AlreadyThere,
    Made,
    /// In the place of this other commit of ours.
    Replaced(CommitId),
}

/// Fetches commits, with the user's proxies, certificate authorities, rewritten addresses and GitHub token.
#[derive(Clone, Debug)]
pub struct Git {
    http: Http,
    token: Option<Token>,
    instead_of: InsteadOf,
}

impl Git {
    /// # Errors
    /// When git's own configuration, where `url.<base>.insteadOf` stands, cannot be read.
    pub fn new(http: Http, env: &Env) -> Result<Self, GitError> {
        libgit2::prepare()?;
        Ok(Self { http, token: Token::of(env), instead_of: InsteadOf::read(env)? })
    }

    /// Where the repository at `url` is, if that is on this machine.
    pub fn local(&self, url: &str) -> Result<Option<PathBuf>, GitError> {
        Ok(match Address::parse(&self.instead_of.apply(url))? {
            Address::Local(path) => Some(path),
            Address::Http(_) => None,
        })
    }

    /// Makes `target` a checkout of `pin`, whole or not at all. It is staged beside `target`; a process that is
    /// killed on the way leaves `target` as it was, and the next one tidies up.
    ///
    /// # Errors
    /// See [`GitError`]. What the user edited or put into `target` is never replaced.
    pub fn checkout(&self, pin: &Pin, target: &Path, progress: OnProgress<'_>) -> Result<Outcome, GitError> {
        let outcome = match inspect(target, &pin.commit)? {
            State::AtCommit => return Ok(Outcome::AlreadyThere),
            State::Absent => Outcome::Made,
            State::OtherCommit { head } => Outcome::Replaced(head),
            State::Edited { head, files } => return Err(refusal(target, head, files)),
            State::Moved { head } => return Err(GitError::Moved { path: target.to_owned(), head }),
            State::Foreign => return Err(GitError::Foreign { path: target.to_owned() }),
        };
        fs::create_dir_all(target.parent().unwrap_or(Path::new("/")))?;
        fs::remove_leftovers(target)?;
        let staged = fs::beside(target, "tmp");
        fs::remove_tree(&staged)?;
        if let Err(error) = self.stage(pin, &staged, progress) {
            // The error that is on its way says more than one about the tidying up.
            let _ = fs::remove_tree(&staged);
            return Err(error);
        }
        fs::replace_dir(&staged, target)?;
        Ok(outcome)
    }

    /// The commit at the end of the default branch of the repository at `url`: what a clone would check out.
    ///
    /// # Errors
    /// When the repository cannot be asked, or has no commit.
    pub fn latest(&self, url: &str) -> Result<CommitId, GitError> {
        let address = Address::parse(&self.instead_of.apply(url))?;
        let call = transport::Call::new(self.http.clone(), self.token.clone());
        let latest = remote::default_branch(&address, &call)?;
        latest.ok_or_else(|| GitError::Empty { url: net::without_secrets(url) })
    }

    fn stage(&self, pin: &Pin, staged: &Path, progress: OnProgress<'_>) -> Result<(), GitError> {
        let (mut watch, mut durations) = (Stopwatch::start(), Durations::default());
        let repository = create(staged, &pin.url).map_err(GitError::writing(staged))?;
        reach(Checkpoint::RepositoryCreated);
        let address = match &pin.nearby {
            Some(path) => Address::Local(path.clone()),
            None => Address::parse(&self.instead_of.apply(&pin.url))?,
        };
        match address {
            Address::Http(url) => {
                let call = transport::Call::new(self.http.clone(), self.token.clone());
                fetch::over_http(&repository, &url, pin.commit, &call, progress)?;
            }
            Address::Local(path) => fetch::from_local(&repository, &path, pin.commit, progress)?,
        }
        reach(Checkpoint::Fetched);
        durations.fetched(&mut watch);
        write_files(&repository, pin.commit, progress).map_err(GitError::writing(staged))?;
        reach(Checkpoint::CheckedOut);
        durations.written(&mut watch);
        verify(staged, pin.commit)?;
        durations.verified(&mut watch);
        receipt::write(&repository, pin, &durations)?;
        Ok(fs::sync_filesystem(staged)?)
    }
}

/// An empty repository whose `origin` is where the user would look for it: the address before any rewriting.
fn create(path: &Path, url: &str) -> Result<Repository, Libgit2> {
    let mut options = RepositoryInitOptions::new();
    let repository = Repository::init_opts(path, options.external_template(false).no_reinit(true))?;
    repository.remote("origin", &net::without_secrets(url))?;
    Ok(repository)
}

fn write_files(repository: &Repository, commit: CommitId, progress: OnProgress<'_>) -> Result<(), Libgit2> {
    let tree = repository.find_commit(commit.oid())?.into_object();
    let mut checkout = CheckoutBuilder::new();
    checkout.force().progress(|_, files, of| progress(GitProgress::Writing { files, of }));
    repository.checkout_tree(&tree, Some(&mut checkout))?;
    drop(checkout);
    Ok(repository.set_head_detached(commit.oid())?)
}

fn verify(staged: &Path, commit: CommitId) -> Result<(), GitError> {
    match inspect(staged, &commit)? {
        State::AtCommit => Ok(()),
        State::Edited { files, .. } => Err(GitError::Altered { path: staged.to_owned(), commit, files }),
        State::Absent | State::OtherCommit { .. } | State::Moved { .. } | State::Foreign => {
            Err(GitError::Altered { path: staged.to_owned(), commit, files: Files::default() })
        }
    }
}
