//! The trainer's repository and its submodules, each a clean checkout of exactly one commit in `vendor/`.

use std::path::PathBuf;

use crate::{
    output::Progress,
    vendor::{
        git::{self, Git, GitProgress, Outcome, Pin},
        sources::{self, Repository},
    },
};

use super::{
    InstallError,
    plan::{Status, StepId},
    step::{Site, Step},
};

/// One repository: the trainer, or a submodule of it that lies beside it.
#[derive(Debug)]
pub struct Checkout<'a> {
    site: &'a Site,
    name: &'a str,
    repository: &'a Repository,
}

impl<'a> Checkout<'a> {
    pub const fn new(site: &'a Site, name: &'a str, repository: &'a Repository) -> Self {
        Self { site, name, repository }
    }

    fn dir(&self) -> PathBuf {
        self.site.workspace.vendor().join(self.name)
    }

    /// What this must be. The trainer's own tree decides for its submodules, unless the user overrides it; before
    /// the trainer is there, the declaration stands in.
    fn pin(&self) -> Result<Pin, InstallError> {
        let mut pin = Pin { url: self.repository.url.clone(), commit: self.repository.commit };
        let Some(path) = &self.repository.submodule else { return Ok(pin) };
        let trainer = self.site.workspace.vendor().join(sources::TRAINER);
        if git::head(&trainer)?.is_none() {
            return Ok(pin);
        }
        if let Some(found) = git::submodule_pins(&trainer)?.into_iter().find(|it| it.path == *path) {
            if !self.repository.commit_is_override {
                pin.commit = found.commit;
            }
            if !self.repository.url_is_override {
                pin.url = found.url;
            }
        }
        Ok(pin)
    }
}

impl Step for Checkout<'_> {
    fn id(&self) -> StepId {
        StepId::Repository(self.name.to_owned())
    }

    fn needs(&self) -> Vec<StepId> {
        match self.repository.submodule {
            Some(_) => vec![StepId::Repository(sources::TRAINER.to_owned())],
            None => vec![],
        }
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let pin = self.pin()?;
        let what = format!("commit {}", pin.commit.short());
        // The head alone: a look at every file is for the doctor, and an edit of the user's is theirs to keep.
        Ok(match git::head(&self.dir())? {
            Some(head) if head == pin.commit => Status::Satisfied { what },
            Some(head) => Status::Missing { what, why: format!("{} is checked out", head.short()) },
            None => Status::Missing { what, why: "not cloned".to_owned() },
        })
    }

    fn apply(&self, progress: &Progress) -> Result<String, InstallError> {
        let pin = self.pin()?;
        progress.doing(format!("from {}", crate::platform::net::without_secrets(&pin.url)));
        let git = Git::new(self.site.http.clone(), &self.site.host.env)?;
        let outcome = git.checkout(&pin, &self.dir(), &mut |far| match far {
            GitProgress::Receiving { objects, of, bytes } => {
                let size = crate::output::size::bytes(bytes as u64);
                progress.doing(format!("receiving {objects} of {of} objects, {size}"));
            }
            GitProgress::Writing { files, of } => progress.doing(format!("writing {files} of {of} files")),
        })?;
        let commit = pin.commit.short();
        Ok(match outcome {
            Outcome::AlreadyThere => format!("commit {commit} was there"),
            Outcome::Made => format!("commit {commit}"),
            Outcome::Replaced(old) => format!("commit {commit} in the place of {}", old.short()),
        })
    }
}
