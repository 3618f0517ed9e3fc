//! The step that keeps `dpgui.lock` true.

mod difference;
mod error;
mod locks;
pub mod resolve;
mod sizes;

use std::{collections::BTreeMap, path::Path};

use crate::{
    platform::{
        Arch,
        checkpoint::{Checkpoint, reach},
        digest::Sha256,
    },
    vendor::{
        lock::{Environment, Key, LockFile, LockedArchive, LockedFile},
        requirements::{self, Rules},
        sources,
    },
    workspace::commit::CommitId,
};

use self::{difference::difference, resolve::Resolver};
pub use self::{error::LockedError, locks::Locks, sizes::note};
use super::{
    InstallError,
    offline::Missing,
    packages::{self, List, Question, Requirements, TorchIndex, tag},
    pinned,
    plan::{Cost, Status, StepId, Tie},
    python::{Python, Version},
    repositories,
    step::{Site, Step, Turn},
    torch::Profile,
    uv::Uv,
};

/// Pythons that a locked environment can be for.
const PYTHONS: [Version; 5] =
    [Version(3, 10, 0), Version(3, 11, 0), Version(3, 12, 0), Version(3, 13, 0), Version(3, 14, 0)];

/// How a setup treats the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// It is brought up to date.
    #[default]
    Update,
    /// A lock that is not up to date is an error.
    Locked,
    /// It is taken as it is, and nothing is asked about it.
    Frozen,
}

#[derive(Debug)]
pub struct Lock<'a> {
    pub site: &'a Site,
    pub uv: Uv<'a>,
    pub python: Python<'a>,
    pub profile: Profile,
    pub list: List,
    pub scope: Scope,
}

/// What a lock is made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// This machine and profile, and whatever is known of others without asking.
    #[default]
    Here,
    /// Every profile and architecture.
    Everywhere,
    /// The same, all resolved anew.
    Upgrade,
}

impl Lock<'_> {
    /// What the lock should be, as far as it is known by now. `None` while its packages are not.
    fn desired(&self, locks: &Locks) -> Result<Option<LockFile>, InstallError> {
        let requirements = packages::requirements_of(self.site, self.list, locks)?;
        let Some(digest) = requirements.digest() else { return Ok(None) };
        let mut lock = LockFile::new(Rules::digest());
        lock.archives = self.archives(locks);
        if self.list == List::Trainer {
            lock.requirements = Some(digest);
            lock.repositories = self.repositories(locks)?;
        }
        lock.python = self.environments(locks, digest);
        let is_locked = |it: &Question| it.ask(locks, digest).is_some();
        let enough = match self.scope {
            Scope::Here => self.here().iter().any(is_locked),
            Scope::Everywhere | Scope::Upgrade => self.everywhere().iter().all(is_locked),
        };
        Ok(enough.then_some(lock))
    }

    /// What serves this machine: any of these will do.
    fn here(&self) -> Vec<Question<'_>> {
        let (arch, profile, python) = (self.site.host.arch, self.profile, self.python.expected());
        let of = |it: &Question| it.arch == arch && it.profile == profile && tag(it.python) == tag(python);
        self.all_questions().filter(of).collect()
    }

    /// All machines that this Python serves. PyTorch's own index is another place, which not everybody reaches.
    fn everywhere(&self) -> Vec<Question<'_>> {
        let python = tag(self.python.expected());
        let of = |it: &Question| tag(it.python) == python && it.index == TorchIndex::Usual;
        self.all_questions().filter(of).collect()
    }

    fn archives(&self, locks: &Locks) -> BTreeMap<String, LockedArchive> {
        let own = |name: &str, arch| Some(*locks.own.as_ref()?.archives.get(name)?.files.get(&arch)?);
        let lock = |(name, archive): (&String, &sources::Archive)| {
            let digest = |arch| Some((arch, archive.sha256(name, arch).ok()?));
            let files = [Arch::X86_64, Arch::Aarch64].into_iter().filter_map(digest);
            let files = files.map(|(arch, sha256)| {
                let known = own(name, arch).filter(|it: &LockedFile| it.sha256 == sha256);
                (arch, known.unwrap_or(LockedFile { sha256, size: archive.size(arch) }))
            });
            (name.clone(), LockedArchive { version: archive.version.clone(), files: files.collect() })
        };
        self.site.sources.archives.iter().map(lock).collect()
    }

    /// Every repository that dpgui knows, also those that this workspace does not have: the next model type may
    /// need them.
    fn repositories(&self, locks: &Locks) -> Result<BTreeMap<String, CommitId>, InstallError> {
        let sources = &self.site.sources;
        let pins = repositories::pins_here(self.site)?;
        let mut commits = BTreeMap::new();
        for (name, it) in &sources.repositories {
            let commit = match (&it.submodule, &pins) {
                (Some(path), Some(pins)) if !it.commit_is_override => {
                    let pinned = pins.iter().find(|pin| pin.path == Path::new(path));
                    // Of one that the trainer does not have any more, the checkout is what it was.
                    Some(pinned.map_or(it.commit, |pin| pin.commit))
                }
                (Some(_), None) if !it.commit_is_override => locks.submodule(sources, name),
                (Some(_) | None, _) => Some(it.commit),
            };
            commits.extend(commit.map(|commit| (name.clone(), commit)));
        }
        Ok(commits)
    }

    /// All that are locked for this list, for other machines too.
    fn environments(&self, locks: &Locks, list: Sha256) -> BTreeMap<Key, Environment> {
        let mut environments = BTreeMap::new();
        for question in self.all_questions() {
            let (key, made_from) = (question.key(), question.made_from(list));
            if let Some(packages) = locks.environment(&key, made_from) {
                let packages = packages.clone();
                environments.entry(key).or_insert(Environment { made_from, packages });
            }
        }
        environments
    }

    fn all_questions(&self) -> impl Iterator<Item = Question<'_>> {
        let sources = &self.site.sources;
        let kinds = [
            (Profile::Cpu, TorchIndex::Cpu),
            (Profile::Cu13, TorchIndex::Usual),
            (Profile::Cu12, TorchIndex::Usual),
            (Profile::Cpu, TorchIndex::Usual),
        ];
        let machines =
            [Arch::X86_64, Arch::Aarch64].into_iter().flat_map(|arch| PYTHONS.map(|it| (arch, it)));
        let all = machines.flat_map(move |(arch, python)| {
            kinds.map(|(profile, index)| Question { sources, list: self.list, profile, arch, index, python })
        });
        let exists = |it: &Question| match (it.profile, it.index) {
            (profile, TorchIndex::Cpu) => profile.has_cpu_index(it.arch),
            // The index has this torch for arm64 without CUDA only.
            (Profile::Cu12, TorchIndex::Usual) => it.arch == Arch::X86_64,
            (Profile::Cu13 | Profile::Cpu, TorchIndex::Usual) => true,
        };
        all.filter(exists)
    }

    /// What is still to be resolved.
    fn open(&self) -> Vec<Question<'_>> {
        match self.scope {
            Scope::Here => {
                let mut here = self.here();
                let first =
                    |it: &Question| it.index == TorchIndex::Usual || packages::cpu_index_answers(self.site);
                let usable = here.iter().position(first).unwrap_or(0);
                vec![here.swap_remove(usable)]
            }
            Scope::Everywhere | Scope::Upgrade => {
                let mut all = self.everywhere();
                if packages::cpu_index_answers(self.site) {
                    let python = tag(self.python.expected());
                    let of = |it: &Question| tag(it.python) == python && it.index == TorchIndex::Cpu;
                    all.extend(self.all_questions().filter(of));
                }
                all
            }
        }
    }

    /// # Errors
    /// When the lock would change.
    pub fn confirm(&self) -> Result<String, InstallError> {
        match self.inspect()? {
            Status::Satisfied { what } => Ok(what),
            Status::Missing { why, .. } => Err(LockedError::Outdated { why }.into()),
        }
    }

    /// Whether `lock`, as the workspace's, would be as it is to be, as far as that can be told before anything is there.
    ///
    /// # Errors
    /// When it would change.
    pub fn confirm_brought(&self, lock: &LockFile) -> Result<(), InstallError> {
        let locks = Locks { own: Some(lock.clone()), shipped: None, policy: Policy::Locked };
        let desired = self.desired(&locks)?;
        match desired.and_then(|it| difference(&it, lock)) {
            Some(part) => Err(LockedError::Brought { part }.into()),
            None => Ok(()),
        }
    }

    /// What it is to hold is locked already, by the user or by us.
    pub fn knows_all(&self) -> Result<bool, InstallError> {
        Ok(self.scope != Scope::Upgrade && self.desired(&self.site.locks()?)?.is_some())
    }

    fn resolve(&self, turn: &Turn) -> Result<LockFile, InstallError> {
        let mut locks = self.site.locks()?;
        if self.scope == Scope::Upgrade {
            locks.forget_environments();
        }
        if let Some(lock) = self.desired(&locks)? {
            return Ok(lock);
        }
        let Requirements::Known { text } = packages::requirements_of(self.site, self.list, &locks)? else {
            return Err(InstallError::Verify {
                problem: "the requirements to lock are not there".to_owned(),
                hint: "run `dpgui setup` without `--only` and `--skip`".to_owned(),
            });
        };
        let list = requirements::digest(&text);
        let resolver = Resolver { site: self.site, uv: &self.uv, python: &self.python };
        for question in self.open() {
            // Two questions may be one: the CPU's packages of the usual index.
            if question.ask(&locks, list).is_some() {
                continue;
            }
            let packages = resolver.resolve(&question, &text, turn.progress)?;
            let environment = Environment { made_from: question.made_from(list), packages };
            let own = locks.own.get_or_insert_with(|| LockFile::new(Rules::digest()));
            own.python.insert(question.key(), environment);
        }
        self.desired(&locks)?.ok_or(InstallError::Surprise)
    }
}

impl Step for Lock<'_> {
    fn id(&self) -> StepId {
        StepId::Lock
    }

    fn needs(&self) -> Vec<StepId> {
        let mut needs = vec![StepId::Uv, StepId::Python];
        if self.list == List::Trainer {
            needs.push(StepId::Requirements);
        }
        needs
    }

    fn tie(&self, need: &StepId) -> Tie {
        if *need == StepId::Uv { Tie::Tool } else { Tie::Perhaps }
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let locks = self.site.locks()?;
        let what = "dpgui.lock".to_owned();
        let missing = |why: &str| Status::Missing { what: what.clone(), why: why.to_owned() };
        if self.scope == Scope::Upgrade {
            return Ok(missing("asked for"));
        }
        Ok(match (self.desired(&locks)?, &locks.own) {
            (None, _) => missing("the Python packages for these sources are not locked yet"),
            (Some(_), None) => missing("not written"),
            (Some(desired), Some(own)) => match difference(&desired, own) {
                Some(part) => missing(&format!("`{part}` in it is not what is wanted now")),
                None => Status::Satisfied { what },
            },
        })
    }

    fn is_as_locked(&self) -> bool {
        let different = || {
            let locks = self.site.locks().ok()?;
            difference(&self.desired(&locks).ok()??, locks.own.as_ref()?)
        };
        different()
            .and_then(|it| Some(pinned::is_as_locked(self.site, it.strip_prefix("archives.")?)))
            .unwrap_or(false)
    }

    /// Written from what is known, it asks nobody.
    fn cost(&self) -> Cost {
        if self.knows_all().unwrap_or(false) { Cost::NONE } else { Cost::default() }
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        if self.desired(&self.site.locks()?)?.is_some() {
            return Ok(vec![]);
        }
        let name =
            "the packages for these sources, locked by `dpgui lock` where there is a network".to_owned();
        let put = Some(self.site.workspace.lock_file());
        let (step, is_another_there) = (self.id(), false);
        Ok(vec![Missing { step, name, size: None, digest: None, put, is_another_there, how: None }])
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        // It looked true before the checkouts were there, which say otherwise.
        if self.site.policy == Policy::Locked {
            return self.confirm();
        }
        let lock = self.resolve(turn)?;
        let (environments, sources) = (lock.python.len(), lock.repositories.len() + lock.archives.len());
        sizes::write(self.site, lock)?;
        reach(Checkpoint::LockWritten);
        let environments = if environments == 1 {
            "1 environment".to_owned()
        } else {
            format!("{environments} environments")
        };
        Ok(format!("{environments} and {sources} sources in `dpgui.lock`"))
    }
}

#[cfg(test)]
mod tests {
    use crate::{vendor::sources::Sources, workspace::Settings};

    use super::*;

    const DEMO: &str = include_str!("../../templates/demo/requirements.txt");

    fn shipped() -> Locks {
        Locks { own: None, shipped: Some(LockFile::shipped().expect("valid")), policy: Policy::Update }
    }

    #[test]
    fn the_shipped_lock_is_for_the_declared_sources_and_rules() {
        let sources = Sources::load(&Settings::default()).expect("valid");
        let shipped = LockFile::shipped().expect("valid");
        assert_eq!(shipped.rules, Rules::digest(), "the rules changed: lock anew, see CONTRIBUTING.md");
        let pinned = |it: &sources::Repository| it.commit;
        assert_eq!(
            shipped.repositories.iter().map(|(name, it)| (name.as_str(), *it)).collect::<Vec<_>>(),
            sources.repositories.iter().map(|(name, it)| (name.as_str(), pinned(it))).collect::<Vec<_>>()
        );
        for (name, archive) in &sources.archives {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                let locked = shipped.archives[name].files[&arch].sha256;
                assert_eq!(Some(locked), archive.sha256(name, arch).ok(), "{name} for {arch}");
            }
        }
    }

    #[test]
    fn a_first_setup_with_the_portable_python_resolves_nothing() {
        let sources = Sources::load(&Settings::default()).expect("valid");
        let locks = shipped();
        let foreseen = locks.requirements(&sources).expect("the lock speaks of the declared commits");
        let python = sources.archive("python").expect("declared").version.parse().expect("a version");
        let lists = [(List::Trainer, foreseen), (List::Demo(DEMO), requirements::digest(DEMO))];
        for (list, digest) in lists {
            for (profile, index, arch) in machines() {
                let question = Question { sources: &sources, list, profile, arch, index, python };
                let packages = question.ask(&locks, digest).map(|it| it.packages).unwrap_or_default();
                let torch = packages.0.iter().find(|it| it.name == "torch").map(|it| it.version.as_str());
                let [(_, expected), ..] = profile.packages(&sources, arch);
                let build = if index == TorchIndex::Cpu { "+cpu" } else { "" };
                assert_eq!(torch, Some(&*format!("{expected}{build}")), "{}", question.key());
                for tool in packages::TOOLS {
                    assert!(packages.0.iter().any(|it| it.name == tool), "{tool} of {}", question.key());
                }
            }
        }
    }

    fn machines() -> [(Profile, TorchIndex, Arch); 6] {
        [
            (Profile::Cu13, TorchIndex::Usual, Arch::X86_64),
            (Profile::Cu13, TorchIndex::Usual, Arch::Aarch64),
            (Profile::Cu12, TorchIndex::Usual, Arch::X86_64),
            (Profile::Cpu, TorchIndex::Cpu, Arch::X86_64),
            (Profile::Cpu, TorchIndex::Usual, Arch::X86_64),
            (Profile::Cpu, TorchIndex::Usual, Arch::Aarch64),
        ]
    }
}
