//! One commit into an empty repository, without its history wherever that can be had.

use std::{collections::BTreeSet, io, path::Path};

use git2::{
    AutotagOption, Commit, ErrorClass, ErrorCode, FetchOptions, ObjectType, Oid, RemoteCallbacks, Repository,
    TreeWalkMode, TreeWalkResult,
};

use crate::platform::{
    fs,
    net::{self, NetError},
};

use super::{
    CommitId, GitError, GitProgress, OnProgress, PIN,
    libgit2::Libgit2,
    transport::{Call, Failure},
};

/// Fetches `commit` alone. A server that only hands out what its branches and tags name has to send all of them.
pub(super) fn over_http(
    repository: &Repository,
    url: &str,
    commit: CommitId,
    call: &Call,
    progress: OnProgress<'_>,
) -> Result<(), GitError> {
    let shown = net::without_secrets(url);
    let unknown = || GitError::UnknownCommit { url: shown.clone(), commit };
    let mut fetch =
        |refspecs: &[&str], depth| call.within(|| run(repository, url, refspecs, depth, progress));
    match fetch(&[&format!("+{commit}:{PIN}")], 1) {
        // A server says where it cut as well, in words that no digest protects.
        Ok(()) => cut(repository, commit),
        Err(Failure::Ours(GitError::Refused { message, .. })) if message.contains("not our ref") => {
            Err(unknown())
        }
        // libgit2's own answer when the server does not offer any SHA to be asked for.
        Err(Failure::Libgit2(error)) if error.class == ErrorClass::Invalid => {
            let all = ["+refs/heads/*:refs/dpgui/heads/*", "+refs/tags/*:refs/dpgui/tags/*"];
            fetch(&all, 0).map_err(|failure| explain(failure, &shown, repository.path()))?;
            repository.find_commit(commit.oid()).map_err(|_| unknown())?;
            pin(repository, commit)
        }
        Err(failure) => Err(explain(failure, &shown, repository.path())),
    }
}

/// Copies `commit` from a repository on this machine. libgit2's own local transport knows no depth, and the packs it
/// builds for one take three times as long as the objects one by one.
pub(super) fn from_local(
    repository: &Repository,
    path: &Path,
    commit: CommitId,
    progress: OnProgress<'_>,
) -> Result<(), GitError> {
    let url = path.display().to_string();
    let reading = GitError::reading(path);
    let from = Repository::open(path).map_err(|error| match error.code() {
        ErrorCode::NotFound => GitError::NoRepository { url: url.clone() },
        _ => reading(error),
    })?;
    let found = from.find_commit(commit.oid()).map_err(|error| match error.code() {
        ErrorCode::NotFound => GitError::UnknownCommit { url, commit },
        _ => reading(error),
    })?;
    let writing = GitError::writing(repository.path());
    let (source, target) = (from.odb().map_err(&reading)?, repository.odb());
    let target = target.map_err(|error| writing(error.into()))?;
    let objects = objects_of(&found).map_err(&reading)?;
    let mut bytes = 0;
    for (copied, object) in (1..).zip(&objects) {
        let content = source.read(*object).map_err(&reading)?;
        target.write(content.kind(), content.data()).map_err(|error| writing(error.into()))?;
        bytes += content.len();
        progress(GitProgress::Receiving { objects: copied, of: objects.len(), bytes });
    }
    cut(repository, commit)?;
    pin(repository, commit)
}

/// Tells git that the history ends with `commit`, which has to be there.
fn cut(repository: &Repository, commit: CommitId) -> Result<(), GitError> {
    let found = repository.find_commit(commit.oid()).map_err(GitError::reading(repository.path()))?;
    // libgit2 hides the parents of a commit that is cut already.
    let has_parents = found.raw_header_bytes().split(|it| *it == b'\n').any(|it| it.starts_with(b"parent "));
    let path = repository.path().join("shallow");
    let written =
        if has_parents { fs::write_atomic(&path, format!("{commit}\n")) } else { fs::remove_tree(&path) };
    Ok(written?)
}

/// The commit, its trees and their files; not its parents, not the commits of submodules.
fn objects_of(commit: &Commit<'_>) -> Result<BTreeSet<Oid>, git2::Error> {
    let tree = commit.tree()?;
    let mut objects = BTreeSet::from([commit.id(), tree.id()]);
    tree.walk(TreeWalkMode::PreOrder, |_, entry| {
        if entry.kind() != Some(ObjectType::Commit) {
            objects.insert(entry.id());
        }
        TreeWalkResult::Ok
    })?;
    Ok(objects)
}

fn run(
    repository: &Repository,
    url: &str,
    refspecs: &[&str],
    depth: i32,
    progress: OnProgress<'_>,
) -> Result<(), git2::Error> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|now| {
        let (objects, of, bytes) = (now.received_objects(), now.total_objects(), now.received_bytes());
        progress(GitProgress::Receiving { objects, of, bytes });
        true
    });
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .download_tags(AutotagOption::None)
        .depth(depth)
        .update_fetchhead(false);
    repository.remote_anonymous(url)?.fetch(refspecs, Some(&mut options), None)
}

fn pin(repository: &Repository, commit: CommitId) -> Result<(), GitError> {
    let made = repository.reference(PIN, commit.oid(), true, "dpgui");
    made.map(|_| ()).map_err(|error| GitError::writing(repository.path())(error.into()))
}

/// What a fetch that failed means, as far as libgit2 can tell.
pub(super) fn explain(failure: Failure, url: &str, into: &Path) -> GitError {
    let error: Libgit2 = match failure {
        Failure::Ours(error) => return error,
        Failure::Libgit2(error) => error,
    };
    let url = url.to_owned();
    match (error.code, error.class) {
        (ErrorCode::Eof, _) => {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer ends too early");
            NetError::Broken { url, source }.into()
        }
        (_, ErrorClass::Os | ErrorClass::Filesystem) => GitError::writing(into)(error),
        (
            _,
            ErrorClass::Indexer | ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object | ErrorClass::Sha1,
        ) => GitError::Damaged { url, source: error },
        _ => GitError::Protocol { url, source: error },
    }
}
