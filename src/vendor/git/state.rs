//! What is at the place where a checkout belongs.

use std::path::Path;

use git2::{Repository, Status, StatusOptions};

use crate::platform::fs;

use super::{CommitId, Files, GitError, PIN, libgit2, receipt};

/// Names of changed files that a message shows.
const SHOWN: usize = 5;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Absent,
    /// All of the commit's files are there, unchanged. Further ones may lie between them.
    AtCommit,
    /// Another commit, put there by dpgui, and nothing else that anybody could miss.
    OtherCommit {
        head: CommitId,
    },
    /// The user changed files, or would lose some if the commit changed.
    Edited {
        head: CommitId,
        files: Files,
    },
    /// Another commit that the user chose or made, or a branch.
    Moved {
        head: CommitId,
    },
    /// No checkout, or one of another place behind a link.
    Foreign,
}

/// The commit that is checked out at `target`, if it is a checkout: a look at two small files.
pub fn head(target: &Path) -> Result<Option<CommitId>, GitError> {
    libgit2::prepare()?;
    Ok(open(target).and_then(|repository| head_of(&repository)))
}

/// What keeps git from reading the checkout at `target`, as far as a glance at its commit shows; a look at every file is
/// [`inspect`]'s. `None` where it can be read, and where there is none.
pub fn damage(target: &Path) -> Result<Option<GitError>, GitError> {
    libgit2::prepare()?;
    let glance = || Repository::open(target)?.head()?.peel_to_tree().map(drop);
    let Err(cause) = glance() else { return Ok(None) };
    // What somebody else put there may be anything; that dpgui made it, or which commit it is at, can be told all the same.
    let is_checkout = receipt::is_there(target) || open(target).is_some_and(|it| head_of(&it).is_some());
    Ok(is_checkout.then(|| GitError::reading(target)(cause)))
}

/// Compares `target`, file by file, with what it should be.
///
/// # Errors
/// [`GitError::Read`] when `target` is a checkout and cannot be read.
pub fn inspect(target: &Path, wanted: &CommitId) -> Result<State, GitError> {
    libgit2::prepare()?;
    if !fs::exists(target) {
        return Ok(State::Absent);
    }
    if let Some(damage) = damage(target)? {
        return Err(damage);
    }
    let Some(repository) = open(target) else {
        let link = fs::link_target(target).is_some();
        let empty = !link && fs::names(target).is_ok_and(|names| names.is_empty());
        return Ok(if empty { State::Absent } else { State::Foreign });
    };
    let Some(head) = head_of(&repository) else { return Ok(State::Foreign) };
    let judge = || {
        let moving = head != *wanted;
        let files = at_stake(&repository, moving)?;
        if files.count > 0 {
            return Ok(State::Edited { head, files });
        }
        Ok(match moving {
            false => State::AtCommit,
            true if fs::link_target(target).is_some() => State::Foreign,
            true if is_ours(&repository, head)? => State::OtherCommit { head },
            true => State::Moved { head },
        })
    };
    judge().map_err(GitError::reading(target))
}

/// The commit that is checked out at `target`, and how its files differ from it; `None` where there is no checkout. Which
/// commit is wanted is not looked at.
///
/// # Errors
/// [`GitError::Read`] when `target` is a checkout and cannot be read.
pub fn look(target: &Path) -> Result<Option<(CommitId, State)>, GitError> {
    match head(target)? {
        Some(head) => Ok(Some((head, inspect(target, &head)?))),
        None => damage(target)?.map_or(Ok(None), Err),
    }
}

/// Why a checkout that is [`State::Edited`] is not replaced. Where its commit is the user's too, putting the files in order
/// would not be enough.
pub fn refusal(target: &Path, head: CommitId, files: Files) -> GitError {
    let path = target.to_owned();
    match open(target).map(|repository| is_ours(&repository, head)) {
        Some(Ok(false)) => GitError::Moved { path, head },
        Some(_) | None => GitError::Edited { path, files },
    }
}

fn open(target: &Path) -> Option<Repository> {
    Repository::open(target).ok().filter(|repository| !repository.is_bare())
}

fn head_of(repository: &Repository) -> Option<CommitId> {
    repository.head().ok()?.target().map(CommitId::from)
}

/// Files that are not what the commit says; those that are not in it count when the whole tree is to go.
fn at_stake(repository: &Repository, moving: bool) -> Result<Files, git2::Error> {
    let mut options = StatusOptions::new();
    options.include_untracked(moving).include_ignored(moving).exclude_submodules(true);
    let statuses = repository.statuses(Some(&mut options))?;
    let changed = statuses.iter().filter(|it| it.status() != Status::CURRENT);
    let changed = changed.map(|it| (String::from_utf8_lossy(it.path_bytes()).into_owned(), it.status()));
    let (mut names, states): (Vec<String>, Vec<Status>) = changed.filter(|(name, _)| !is_cache(name)).unzip();
    let gone = Status::WT_DELETED | Status::INDEX_DELETED;
    let are_gone = !moving && states.into_iter().all(|it| gone.contains(it));
    if moving {
        names.extend(filled_submodules(repository)?);
    }
    Ok(Files { count: names.len(), some: names.into_iter().take(SHOWN).collect(), are_gone })
}

/// dpgui leaves the places of submodules empty; git's status does not look into them.
fn filled_submodules(repository: &Repository) -> Result<Vec<String>, git2::Error> {
    let links = repository.index()?;
    let links = links.iter().filter(|entry| entry.mode == u32::from(git2::FileMode::Commit));
    let paths = links.map(|entry| String::from_utf8_lossy(&entry.path).into_owned());
    let work_tree = repository.workdir().unwrap_or(repository.path());
    // One that cannot be listed is not known to be empty.
    let empty = |path: &String| fs::names(&work_tree.join(path)).is_ok_and(|names| names.is_empty());
    Ok(paths.filter(|path| !empty(path)).collect())
}

/// What Python makes by itself beside the modules it imports.
fn is_cache(name: &str) -> bool {
    name.split('/').any(|part| part == "__pycache__")
}

fn is_ours(repository: &Repository, head: CommitId) -> Result<bool, git2::Error> {
    let pinned = repository.refname_to_id(PIN).is_ok_and(|pin| pin == head.oid());
    let mut of_the_user = false;
    for name in repository.references()?.names() {
        of_the_user |= !name?.starts_with("refs/dpgui/");
    }
    Ok(pinned && !of_the_user)
}
