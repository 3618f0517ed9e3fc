//! Undoing what was edited in a checkout, after it was kept as a patch.

use std::path::Path;

use git2::{DiffFormat, DiffLineType, DiffOptions, Repository, ResetType, build::CheckoutBuilder};

use super::{GitError, libgit2};

/// What `git diff --binary HEAD` would print: everything that [`restore`] undoes. Empty if nothing is edited.
///
/// # Errors
/// When `target` is no checkout that can be read.
pub fn patch(target: &Path) -> Result<Vec<u8>, GitError> {
    libgit2::prepare()?;
    let read = || {
        let repository = Repository::open(target)?;
        let committed = repository.head()?.peel_to_tree()?;
        let mut options = DiffOptions::new();
        options.show_binary(true).ignore_submodules(true);
        let diff = repository.diff_tree_to_workdir_with_index(Some(&committed), Some(&mut options))?;
        let mut text = vec![];
        diff.print(DiffFormat::Patch, |_, _, line| {
            let origin = line.origin_value();
            if matches!(origin, DiffLineType::Context | DiffLineType::Addition | DiffLineType::Deletion) {
                text.extend(u8::try_from(line.origin()));
            }
            text.extend_from_slice(line.content());
            true
        })?;
        Ok(text)
    };
    read().map_err(GitError::reading(target))
}

/// Every file of the commit that is checked out is as committed again. Files that are not in it stay.
///
/// # Errors
/// When `target` is no checkout, or cannot be written.
pub fn restore(target: &Path) -> Result<(), GitError> {
    libgit2::prepare()?;
    let write = || {
        let repository = Repository::open(target)?;
        let committed = repository.head()?.peel_to_commit()?.into_object();
        let mut checkout = CheckoutBuilder::new();
        repository.reset(&committed, ResetType::Hard, Some(checkout.force()))
    };
    write().map_err(|source: git2::Error| GitError::writing(target)(source.into()))
}
