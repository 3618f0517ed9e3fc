//! Which commits of which other repositories a checkout's own commit pins.

use std::path::{Path, PathBuf};

use git2::{Commit, Config, Oid, Repository};

use crate::platform::fs;

use super::{CommitId, GitError, address, libgit2};

const DECLARATIONS: &str = ".gitmodules";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmodulePin {
    pub name: String,
    /// In the tree of the checkout.
    pub path: PathBuf,
    /// Absolute, also where `.gitmodules` has a relative one.
    pub url: String,
    pub commit: CommitId,
}

/// The submodules of the commit that is checked out at `checkout`, by name: what was edited in its `.gitmodules` is not the
/// commit's.
///
/// # Errors
/// When `checkout` is none or cannot be read.
pub fn submodule_pins(checkout: &Path) -> Result<Vec<SubmodulePin>, GitError> {
    libgit2::prepare()?;
    let reading = GitError::reading(checkout);
    let repository = Repository::open(checkout).map_err(&reading)?;
    let commit = repository.head().and_then(|head| head.peel_to_commit()).map_err(&reading)?;
    let origin = repository.find_remote("origin").map_err(&reading)?;
    let parent = origin.url().map_err(&reading)?;
    pins_in(&repository, &commit, parent)
}

/// The same of `commit` in the repository at `path`, which is one of `url`, whatever is checked out there. `None` where it is
/// not.
///
/// # Errors
/// When it is there and cannot be read.
pub fn submodule_pins_of(
    path: &Path,
    commit: CommitId,
    url: &str,
) -> Result<Option<Vec<SubmodulePin>>, GitError> {
    libgit2::prepare()?;
    let Ok(repository) = Repository::open(path) else { return Ok(None) };
    let Ok(commit) = repository.find_commit(commit.oid()) else { return Ok(None) };
    pins_in(&repository, &commit, url).map(Some)
}

fn pins_in(repository: &Repository, commit: &Commit<'_>, url: &str) -> Result<Vec<SubmodulePin>, GitError> {
    let reading = GitError::reading(repository.workdir().unwrap_or(repository.path()));
    // A tree that is gone is none without submodules.
    commit.tree().map_err(&reading)?;
    let Some(declared) = id_in(commit, Path::new(DECLARATIONS)) else { return Ok(vec![]) };
    let blob = repository.find_blob(declared).map_err(&reading)?;
    // libgit2 reads settings from files only.
    let file = fs::in_memory(DECLARATIONS, blob.content())?;
    let declarations = Config::open(&file.path).map_err(&reading)?;
    pins(&declarations, commit, url).map_err(&reading)
}

fn pins(declarations: &Config, commit: &Commit<'_>, parent: &str) -> Result<Vec<SubmodulePin>, git2::Error> {
    let mut pins = vec![];
    for name in names(declarations)? {
        let text = |key| declarations.get_string(&format!("submodule.{name}.{key}"));
        let (path, url) = (PathBuf::from(text("path")?), text("url")?);
        // A declaration may outlive the submodule.
        if let Some(commit) = id_in(commit, &path) {
            let url = address::resolve(parent, &url);
            pins.push(SubmodulePin { name, path, url, commit: commit.into() });
        }
    }
    pins.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pins)
}

fn id_in(commit: &Commit<'_>, path: &Path) -> Option<Oid> {
    Some(commit.tree().ok()?.get_path(path).ok()?.id())
}

fn names(declarations: &Config) -> Result<Vec<String>, git2::Error> {
    let mut names = vec![];
    let mut entries = declarations.entries(Some(r"^submodule\..*\.path$"))?;
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.name()?.strip_prefix("submodule.").and_then(|it| it.strip_suffix(".path"));
        names.extend(name.map(str::to_owned));
    }
    Ok(names)
}
