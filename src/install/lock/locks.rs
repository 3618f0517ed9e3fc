//! The locks that the steps read: the user's own, and the one that dpgui ships.

use crate::{
    platform::{digest::Sha256, fs},
    vendor::{
        lock::{Key, LockFile, Packages},
        requirements::Rules,
        sources::{self, Sources},
    },
    workspace::{Workspace, commit::CommitId},
};

use super::{super::InstallError, LockedError, Policy};

/// The workspace's lock and the one that dpgui ships.
#[derive(Clone, Debug)]
pub struct Locks {
    pub own: Option<LockFile>,
    /// `None`: as if none were shipped.
    pub(super) shipped: Option<&'static LockFile>,
    pub(super) policy: Policy,
}

impl Locks {
    /// # Errors
    /// When the workspace's lock is damaged or one of a newer dpgui.
    pub fn load(workspace: &Workspace, policy: Policy) -> Result<Self, InstallError> {
        let path = workspace.lock_file();
        let read = |text: String| {
            LockFile::parse(&text).map_err(|source| LockedError::Unreadable { path: path.clone(), source })
        };
        let own = fs::read_optional(&path)?.map(read).transpose()?;
        if own.is_none() && policy != Policy::Update {
            let why = format!("`{}` is not there", path.display());
            return Err(LockedError::Outdated { why }.into());
        }
        Ok(Self { own, shipped: Some(LockFile::shipped()?), policy })
    }

    /// The user's own first: whoever has locked something wants that.
    fn in_order(&self) -> impl Iterator<Item = &LockFile> {
        self.own.iter().chain(self.shipped)
    }

    pub fn environment(&self, key: &Key, made_from: Sha256) -> Option<&Packages> {
        match self.policy {
            Policy::Update => self.in_order().find_map(|it| it.environment(key, made_from)),
            Policy::Locked => self.own.as_ref()?.environment(key, made_from),
            Policy::Frozen => self.own.as_ref()?.python.get(key).map(|it| &it.packages),
        }
    }

    /// As if no packages had ever been locked.
    pub(super) fn forget_environments(&mut self) {
        if let Some(own) = &mut self.own {
            own.python.clear();
        }
        self.shipped = None;
    }

    /// The digest of the requirements that the wanted checkouts will give, if a lock foresaw it.
    pub fn requirements(&self, sources: &Sources) -> Option<Sha256> {
        if self.policy == Policy::Frozen {
            return self.own.as_ref()?.requirements;
        }
        let same_rules = |it: &&LockFile| it.rules == Rules::digest();
        self.in_order().filter(same_rules).find(|it| foresees(it, sources))?.requirements
    }

    /// The commit that a submodule will have at the wanted commit of the trainer.
    pub fn submodule(&self, sources: &Sources, name: &str) -> Option<CommitId> {
        let trainer = sources.repositories.get(sources::TRAINER)?.commit;
        let knows = |it: &&LockFile| it.repositories.get(sources::TRAINER) == Some(&trainer);
        self.in_order().find(knows)?.repositories.get(name).copied()
    }
}

/// The lock speaks of the very commits that are wanted. The trainer's own tree decides on its submodules.
fn foresees(lock: &LockFile, sources: &Sources) -> bool {
    sources.repositories.iter().all(|(name, it)| {
        let decides = name == sources::TRAINER || it.commit_is_override;
        !decides || lock.repositories.get(name) == Some(&it.commit)
    })
}
