//! What a checkout says of itself, in its `.git`: the commit, whose tree is its manifest, what it takes, and how long each
//! part took. Written last, like every receipt, but the proof is git's own: the commit that is checked out.

use std::path::Path;

use git2::Repository;
use serde::Serialize;

use crate::platform::{
    clock::{self, Stopwatch},
    fs, net,
};

use super::{CommitId, GitError, Pin, libgit2::Libgit2};

/// Raised when an older dpgui could misread a newer one.
const SCHEMA: u32 = 1;

/// Where it lies in `.git`.
const NAME: &str = ".dpgui-receipt.json";

#[derive(Debug, Serialize)]
struct Receipt<'a> {
    schema: u32,
    commit: String,
    /// The digest of all names and files.
    tree: String,
    /// An address without secrets, or the place on this machine that the objects are from.
    from: String,
    dpgui: &'a str,
    finished: String,
    contents: Contents,
    durations: &'a Durations,
}

/// Of the checked out files.
#[derive(Debug, Serialize)]
struct Contents {
    files: usize,
    bytes: u64,
}

/// In milliseconds.
#[derive(Debug, Default, Serialize)]
pub(super) struct Durations {
    fetch: u64,
    write: u64,
    verify: u64,
}

impl Durations {
    pub(super) fn fetched(&mut self, watch: &mut Stopwatch) {
        self.fetch = lap(watch);
    }

    pub(super) fn written(&mut self, watch: &mut Stopwatch) {
        self.write = lap(watch);
    }

    pub(super) fn verified(&mut self, watch: &mut Stopwatch) {
        self.verify = lap(watch);
    }
}

/// Writes it into `repository`, which is whole. The caller makes sure that it is on the disk.
pub(super) fn write(repository: &Repository, pin: &Pin, durations: &Durations) -> Result<(), GitError> {
    let (contents, tree) = describe(repository, pin.commit).map_err(GitError::writing(repository.path()))?;
    let from = pin.nearby.as_deref().map_or(net::without_secrets(&pin.url), |it| it.display().to_string());
    let receipt = Receipt {
        schema: SCHEMA,
        commit: pin.commit.to_string(),
        tree,
        from,
        dpgui: env!("CARGO_PKG_VERSION"),
        finished: clock::now().to_string(),
        contents,
        durations,
    };
    // Our own types have string keys and no foreign serialisers, so this cannot fail.
    let text = serde_json::to_string_pretty(&receipt).unwrap_or_default() + "\n";
    Ok(fs::write_snapshot(&repository.path().join(NAME), text)?)
}

/// dpgui made the checkout at `target`, whatever became of it.
pub(super) fn is_there(target: &Path) -> bool {
    fs::is_file(&target.join(".git").join(NAME))
}

fn describe(repository: &Repository, commit: CommitId) -> Result<(Contents, String), Libgit2> {
    let tree = repository.find_commit(commit.oid())?.tree_id().to_string();
    let index = repository.index()?;
    let bytes = index.iter().map(|it| u64::from(it.file_size)).sum();
    Ok((Contents { files: index.len(), bytes }, tree))
}

fn lap(watch: &mut Stopwatch) -> u64 {
    let took = u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX);
    *watch = Stopwatch::start();
    took
}
