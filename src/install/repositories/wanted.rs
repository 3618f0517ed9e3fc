//! What a checkout must be, as far as that can be known by now: the trainer's commit names those of its submodules, and
//! what nobody has seen of it yet is not guessed.

use std::path::PathBuf;

use crate::{
    platform::{fs, net},
    vendor::{
        git::{self, CommitId, Git, GitError, SubmodulePin},
        lock::LockFile,
        sources::{self, Repository},
    },
};

use super::{
    super::{InstallError, step::Site},
    Checkout,
};

/// What is known of a checkout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// `None`: the trainer's commit names it, and nobody has seen that.
    pub(super) commit: Option<CommitId>,
    /// `None`: likewise.
    pub(super) url: Option<String>,
}

/// What the trainer's tree says of a submodule.
pub(super) enum InTrainer {
    /// This is no submodule.
    NotItsBusiness,
    /// The commit that is wanted is not on this machine.
    Unknown,
    At(SubmodulePin),
    /// The trainer does not have it.
    Missing,
}

impl Wanted {
    fn declared(repository: &Repository) -> Self {
        Self { commit: Some(repository.commit), url: Some(repository.url.clone()) }
    }
}

impl Checkout<'_> {
    /// The trainer's own tree decides for its submodules, unless the user overrides it. Before it is there, a lock for its
    /// commit says what it names, and the declarations do for the commit that they are for.
    pub(super) fn wanted(&self) -> Result<Wanted, InstallError> {
        let declared = Wanted::declared(self.repository);
        let Repository { commit_is_override, url_is_override, .. } = *self.repository;
        let (commit, url) = match self.in_trainer()? {
            InTrainer::NotItsBusiness | InTrainer::Missing => return Ok(declared),
            InTrainer::At(found) => (Some(found.commit), Some(found.url)),
            InTrainer::Unknown => {
                let sources = &self.site.sources;
                let is_declared =
                    LockFile::shipped()?.repositories.get(sources::TRAINER) == self.trainer_commit().as_ref();
                let locked = self.site.locks()?.submodule(sources, self.name);
                (locked, declared.url.clone().filter(|_| is_declared))
            }
        };
        Ok(Wanted {
            commit: if commit_is_override { declared.commit } else { commit },
            url: if url_is_override { declared.url } else { url },
        })
    }

    /// The commit of the trainer that is wanted.
    pub(super) fn trainer_commit(&self) -> Option<CommitId> {
        self.site.sources.repositories.get(sources::TRAINER).map(|it| it.commit)
    }

    pub(super) fn in_trainer(&self) -> Result<InTrainer, InstallError> {
        let Some(path) = &self.repository.submodule else { return Ok(InTrainer::NotItsBusiness) };
        let Some(pins) = self.trainer_pins()? else { return Ok(InTrainer::Unknown) };
        let found = pins.into_iter().find(|it| it.path == *path);
        Ok(found.map_or(InTrainer::Missing, InTrainer::At))
    }

    /// The submodules of the trainer's commit, if that is checked out, or elsewhere on this machine.
    fn trainer_pins(&self) -> Result<Option<Vec<SubmodulePin>>, InstallError> {
        let Some(trainer) = self.site.sources.repositories.get(sources::TRAINER) else { return Ok(None) };
        if let Some(pins) = pins_here(self.site)? {
            return Ok(Some(pins));
        }
        let brought = Some(self.site.cache.repository(trainer.commit)).filter(|it| fs::is_dir(it));
        let elsewhere: Option<PathBuf> = match brought {
            Some(path) => Some(path),
            None => Git::new(self.site.http.clone(), &self.site.host.env)?.local(&trainer.url)?,
        };
        let Some(path) = elsewhere else { return Ok(None) };
        Ok(git::submodule_pins_of(&path, trainer.commit, &net::without_secrets(&trainer.url))?)
    }
}

/// The submodules of the trainer's commit, if that is checked out. A repository that cannot be read says nothing of them, as
/// if it were not there: that it cannot be is its own step's to tell.
pub(in super::super) fn pins_here(site: &Site) -> Result<Option<Vec<SubmodulePin>>, InstallError> {
    let Some(trainer) = site.sources.repositories.get(sources::TRAINER) else { return Ok(None) };
    let checkout = site.workspace.vendor().join(sources::TRAINER);
    if git::head(&checkout)? != Some(trainer.commit) {
        return Ok(None);
    }
    match git::submodule_pins(&checkout) {
        Err(GitError::Read { .. }) => Ok(None),
        pins => Ok(Some(pins?)),
    }
}
