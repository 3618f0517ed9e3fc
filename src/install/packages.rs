//! Which Python packages an environment gets: the question (lists, profile, Python) and the locked answer.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use crate::{
    platform::{Arch, digest::Sha256, fs},
    vendor::{
        git,
        lock::{Key, Packages},
        requirements,
        sources::{self, Sources},
    },
};

use super::{
    InstallError, index_settings, lock::Locks, python::Version, receipt, requirements::derived, step::Site,
    torch::Profile,
};

/// Packages that every environment has: for what the user installs by hand later, and to build the source
/// distributions with.
pub const TOOLS: [&str; 3] = ["pip", "setuptools", "wheel"];

/// Where the list of packages comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// The derived requirements of the checkouts.
    Trainer,
    /// A list of our own, embedded.
    Demo(&'static str),
}

/// Where the torch of a profile comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TorchIndex {
    /// The same index as everything else.
    Usual,
    /// PyTorch's own, of builds without CUDA.
    Cpu,
}

/// What decides on the packages of an environment.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub sources: &'a Sources,
    pub list: List,
    pub profile: Profile,
    pub arch: Arch,
    pub index: TorchIndex,
    pub python: Version,
}

/// Locked packages, and what they are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub key: Key,
    pub packages: Packages,
    pub index: TorchIndex,
}

impl Question<'_> {
    /// `trainer-cu13-x86_64-cp312`. The CPU's packages from the usual index are those of CUDA 13, where it has no
    /// others: its torch runs without a GPU too.
    pub fn key(&self) -> Key {
        let list = match self.list {
            List::Trainer => "trainer",
            List::Demo(_) => "demo",
        };
        let profile = match (self.profile, self.index, self.arch) {
            (Profile::Cpu, TorchIndex::Usual, Arch::X86_64) => Profile::Cu13,
            (profile, _, _) => profile,
        };
        Key::new(list, &profile.to_string(), self.arch, &tag(self.python))
    }

    /// Exact versions of the packages that are built together.
    pub fn pins(&self) -> Vec<String> {
        let wanted = |name: &str| self.list == List::Trainer || name == "torch";
        let build = match self.index {
            TorchIndex::Usual => "",
            TorchIndex::Cpu => "+cpu",
        };
        let torch = self.profile.packages(self.sources, self.arch);
        torch
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, version)| format!("{name}=={version}{build}"))
            .collect()
    }

    /// One digest for all that decides on the packages; `list` is the one of the requirements.
    pub fn made_from(&self, list: Sha256) -> Sha256 {
        receipt::inputs(&(list, self.pins(), TOOLS, tag(self.python), self.arch))
    }

    /// The requirements for the resolver.
    pub fn requirements(&self, list: &str) -> String {
        let (key, pins, tools) = (self.key(), self.pins().join("\n"), TOOLS.join("\n"));
        format!("# {key}\n{pins}\n{tools}\n\n{list}")
    }

    /// The answer, if one is locked.
    pub fn ask(&self, locks: &Locks, list: Sha256) -> Option<Answer> {
        let key = self.key();
        let packages = locks.environment(&key, self.made_from(list))?.clone();
        Some(Answer { key, packages, index: self.index })
    }
}

/// What is known about the requirements by now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirements {
    Known {
        text: String,
    },
    /// The checkouts are not there yet; the lock says what their list will be.
    Foreseen {
        digest: Sha256,
    },
    Unknown,
}

impl Requirements {
    pub fn digest(&self) -> Option<Sha256> {
        match self {
            Self::Known { text } => Some(requirements::digest(text)),
            Self::Foreseen { digest } => Some(*digest),
            Self::Unknown => None,
        }
    }
}

/// The requirements of `list`, from the derived file where it is there.
pub fn requirements_of(site: &Site, list: List, locks: &Locks) -> Result<Requirements, InstallError> {
    match list {
        List::Demo(text) => Ok(Requirements::Known { text: text.to_owned() }),
        List::Trainer => Ok(match fs::read_optional(&derived(&site.workspace))? {
            Some(text) if trainer_is_current(site)? => Requirements::Known { text },
            Some(_) | None => {
                let foreseen =
                    locks.requirements(&site.sources).map(|digest| Requirements::Foreseen { digest });
                foreseen.unwrap_or(Requirements::Unknown)
            }
        }),
    }
}

/// A list that was derived from another commit says nothing about this one.
fn trainer_is_current(site: &Site) -> Result<bool, InstallError> {
    let wanted = site.sources.repositories.get(sources::TRAINER).map(|it| it.commit);
    Ok(git::head(&site.workspace.vendor().join(sources::TRAINER))? == wanted)
}

/// How long PyTorch's own index may take to answer before the usual one is taken.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether PyTorch's own index answers, once it was asked: a plan and the setup after it are to agree.
#[derive(Clone, Debug, Default)]
pub struct CpuIndex(Arc<OnceLock<bool>>);

/// PyTorch's own index can be used. Who has an index of their own does not want anybody else asked.
pub fn cpu_index_answers(site: &Site) -> bool {
    *site.cpu_index.0.get_or_init(|| {
        !index_settings::is_private(&index_settings::uv_env(site))
            && site.http.answers(&site.sources.torch.cpu_index, ANSWER)
    })
}

/// `cp312`
pub fn tag(python: Version) -> String {
    format!("cp{}{}", python.0, python.1)
}
