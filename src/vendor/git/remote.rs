//! What a remote repository offers, without fetching anything of it.

use std::path::Path;

use git2::{Direction, ErrorCode, Remote, Repository};

use crate::platform::net;

use super::{CommitId, GitError, address::Address, fetch::explain, libgit2, transport::Call};

/// The commit at the end of the default branch; `None` in a repository without commits.
pub(super) fn default_branch(address: &Address, call: &Call) -> Result<Option<CommitId>, GitError> {
    libgit2::prepare()?;
    let url = match address {
        Address::Http(url) => url.as_str(),
        Address::Local(path) => {
            let reading = GitError::reading(path);
            let repository = Repository::open(path).map_err(|error| match error.code() {
                ErrorCode::NotFound => GitError::NoRepository { url: path.display().to_string() },
                _ => reading(error),
            })?;
            let head = repository.head().ok().and_then(|head| head.peel_to_commit().ok());
            return Ok(head.map(|it| it.id().into()));
        }
    };
    let ask = || {
        let mut remote = Remote::create_detached(url)?;
        remote.connect(Direction::Fetch)?;
        let head = remote.list()?.iter().find(|it| it.name() == "HEAD").map(|it| it.oid().into());
        remote.disconnect()?;
        Ok(head)
    };
    // Nothing is written, so no place can be at fault.
    call.within(ask).map_err(|failure| explain(failure, &net::without_secrets(url), Path::new("")))
}
