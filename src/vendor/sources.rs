//! Every archive and repository that setup fetches: `vendor/sources.toml`, with the user's overrides laid over it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    platform::{
        Arch, Env,
        digest::Sha256,
        place::{NotAPlace, Place, PlaceTemplate},
    },
    workspace::{Settings, commit::CommitId, settings::SourceOverride},
};

use super::{
    VendorError,
    lock::{LockFile, LockedArchive},
};

const FILE: &str = "vendor/sources.toml";
const TEXT: &str = include_str!("../../vendor/sources.toml");

/// The name of the repository that holds the trainer; the others are its submodules.
pub const TRAINER: &str = "diffusion-pipe";

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    pub archives: BTreeMap<String, Archive>,
    pub torch: Torch,
    pub repositories: BTreeMap<String, Repository>,
}

/// A file of one pinned version, for each architecture.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    pub version: String,
    pub why: String,
    /// In the order to try them.
    places: Vec<PlaceTemplate>,
    /// How the publisher spells the architectures, where not as `uname -m`.
    #[serde(default)]
    arch_names: BTreeMap<Arch, String>,
    #[serde(default)]
    mirrors: Vec<Mirror>,
    sha256: BTreeMap<Arch, Sha256>,
    /// Bytes, where they are known before it is fetched.
    #[serde(default)]
    size: BTreeMap<Arch, u64>,
    /// The same thing in the Python package index.
    pub wheel: Option<Wheel>,
    pub about: Option<About>,
    /// `version` is the user's own: no digest and no wheel of the declared one speaks of it.
    #[serde(skip)]
    version_is_override: bool,
    /// After a mirror, the declared places and the package index are tried too.
    #[serde(skip)]
    mirror_fallback: bool,
    #[serde(skip)]
    whose_places: Whose,
}

/// Who named the places.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Whose {
    #[default]
    Ours,
    Users,
}

/// What something takes, as it was measured once: enough for a plan, and nothing is held against it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// Bytes to fetch.
    pub bytes: u64,
    /// Bytes on the disk.
    pub disk: u64,
}

/// An environment variable whose value stands for the beginning of a place.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mirror {
    variable: String,
    replaces: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wheel {
    pub package: String,
    pub version: String,
    pub sha256: BTreeMap<Arch, Sha256>,
}

/// PyTorch by profile.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Torch {
    /// PyTorch's own index of builds without CUDA.
    pub cpu_index: String,
    pub cu13: TorchBuild,
    pub cu12: TorchBuild,
    pub cpu: TorchBuild,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TorchBuild {
    pub why: String,
    packages: TorchPackages,
    /// Where an architecture has others.
    #[serde(default)]
    instead: BTreeMap<Arch, TorchPackages>,
}

/// Versions that were built for each other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct TorchPackages {
    torch: String,
    torchvision: String,
    torchaudio: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    pub url: String,
    /// For a submodule: what the pinned trainer's tree names.
    pub commit: CommitId,
    /// Its path in the trainer's tree, whose pin wins over `commit`.
    pub submodule: Option<String>,
    /// The model types that need it. Empty: all do.
    #[serde(default)]
    pub models: Vec<String>,
    pub why: String,
    #[serde(default)]
    pub about: Option<About>,
    /// `commit` is the user's own and wins over the trainer's tree.
    #[serde(skip)]
    pub commit_is_override: bool,
    /// `url` is the user's own and wins over the trainer's `.gitmodules`.
    #[serde(skip)]
    pub url_is_override: bool,
}

impl Sources {
    /// The variables that name a mirror.
    pub fn mirror_variables(&self) -> impl Iterator<Item = &str> {
        self.archives.values().flat_map(|it| &it.mirrors).map(|it| it.variable.as_str())
    }

    /// What is declared, with the overrides of `settings` laid over it field by field.
    ///
    /// # Errors
    /// When `settings` overrides a source that does not exist, or a field that this source does not have.
    pub fn load(settings: &Settings) -> Result<Self, VendorError> {
        let mut sources: Self = toml::from_str(TEXT)
            .map_err(|cause| VendorError::Embedded { file: FILE, details: cause.to_string() })?;
        for archive in sources.archives.values_mut() {
            archive.mirror_fallback = settings.mirror_fallback;
        }
        for (name, change) in &settings.sources {
            if let Some(archive) = sources.archives.get_mut(name) {
                change.must_be_for_an_archive(name)?;
                archive.lay_over(change);
            } else if let Some(repository) = sources.repositories.get_mut(name) {
                change.must_be_for_a_repository(name)?;
                repository.lay_over(change);
            } else {
                let known = sources.archives.keys().chain(sources.repositories.keys()).cloned().collect();
                return Err(VendorError::UnknownSource { name: name.clone(), known });
            }
        }
        Ok(sources)
    }

    /// What the workspace's lock says goes before what dpgui ships. A commit that the user names goes before both. Archives
    /// come with dpgui, so a lock speaks of other ones only where it is `frozen`; there it is taken as it is, and its
    /// commits, versions and digests go before the user's too, whose places stay.
    pub fn follow(&mut self, lock: &LockFile, frozen: bool) {
        for (name, repository) in &mut self.repositories {
            if let Some(commit) =
                lock.repositories.get(name).filter(|_| frozen || !repository.commit_is_override)
            {
                repository.commit = *commit;
            }
        }
        for (name, locked) in lock.archives.iter().filter(|_| frozen) {
            if let Some(archive) = self.archives.get_mut(name) {
                archive.lay_locked_over(locked);
            }
        }
    }

    pub fn archive(&self, name: &str) -> Result<&Archive, VendorError> {
        let details = || format!("no archive `{name}`");
        self.archives.get(name).ok_or_else(|| VendorError::Embedded { file: FILE, details: details() })
    }

    /// The repositories that a setup for these model types and submodules clones, the trainer first.
    ///
    /// # Errors
    /// When a model type or submodule is unknown. Types that need no submodule of their own are not listed in
    /// the declarations, so `known_models` says which names are fine.
    pub fn repositories_for(
        &self,
        wanted: &[String],
        known_models: &[&str],
    ) -> Result<Vec<(&str, &Repository)>, VendorError> {
        let submodules = || self.repositories.iter().filter(|(_, it)| !it.models.is_empty());
        for name in wanted {
            let declared = submodules().any(|(key, it)| key == name || it.models.contains(name));
            if !declared && !known_models.contains(&name.as_str()) {
                let extra = submodules().flat_map(|(key, it)| it.models.iter().chain([key]));
                // Most submodules are called as their model types are, or nearly so.
                let mut known: Vec<String> = known_models.iter().map(|it| (*it).to_owned()).collect();
                for name in extra {
                    if !known.contains(name) {
                        known.push(name.clone());
                    }
                }
                return Err(VendorError::UnknownModel { name: name.clone(), known });
            }
        }
        let chosen = |name: &String, it: &Repository| {
            it.models.is_empty()
                || wanted.contains(name)
                || it.models.iter().any(|model| wanted.contains(model))
        };
        let mut repositories: Vec<_> = self
            .repositories
            .iter()
            .filter(|(name, it)| chosen(name, it))
            .map(|(name, it)| (name.as_str(), it))
            .collect();
        repositories.sort_by_key(|(name, _)| *name != TRAINER);
        Ok(repositories)
    }
}

impl TorchBuild {
    /// Names and exact versions, torch itself first.
    pub fn packages(&self, arch: Arch) -> [(&'static str, &str); 3] {
        let TorchPackages { torch, torchvision, torchaudio } =
            self.instead.get(&arch).unwrap_or(&self.packages);
        [("torch", torch), ("torchvision", torchvision), ("torchaudio", torchaudio)]
    }
}

impl Archive {
    /// Where to get it, in order. A mirror that the user's environment names is the only place, unless the settings
    /// allow the declared ones after it: whoever sets one may not want the public server asked behind their back. The
    /// same goes for the package index, see [`Self::wheel_beside_places`].
    ///
    /// # Errors
    /// When the variable holds no address, or the user's version makes none of a place.
    pub fn places(&self, arch: Arch, env: &Env) -> Result<Vec<Place>, VendorError> {
        let bad = |what: String| move |source| VendorError::BadPlace { what, source };
        let arch_name = self.arch_names.get(&arch).cloned().unwrap_or_else(|| arch.to_string());
        let fill = |it: &PlaceTemplate| it.fill(&self.version, &arch_name);
        let mut places = vec![];
        if let Some((mirror, base)) = self.mirrors.iter().find_map(|it| Some((it, env.text(&it.variable)?))) {
            let moved = self.places.iter().filter_map(|it| it.moved(&mirror.replaces, base));
            let moved: Result<Vec<Place>, NotAPlace> = moved.map(|it| fill(&it?)).collect();
            places = moved.map_err(bad(format!("the address in `{}`", mirror.variable)))?;
        }
        if places.is_empty() || self.mirror_fallback {
            let declared: Result<Vec<Place>, NotAPlace> = self.places.iter().map(fill).collect();
            places.extend(declared.map_err(bad(format!("the places of version `{}`", self.version)))?);
        }
        Ok(places)
    }

    /// The same thing in the package index, for who does not want it from a place of their own alone.
    pub fn wheel_beside_places(&self, env: &Env) -> Option<&Wheel> {
        let has_mirror = || self.mirrors.iter().any(|it| env.text(&it.variable).is_some());
        let is_their_own = self.whose_places == Whose::Users || has_mirror();
        self.wheel.as_ref().filter(|_| self.mirror_fallback || !is_their_own)
    }

    pub fn sha256(&self, name: &str, arch: Arch) -> Result<Sha256, VendorError> {
        self.sha256.get(&arch).copied().ok_or_else(|| {
            let name = name.to_owned();
            if self.version_is_override {
                VendorError::UnpinnedVersion { name, version: self.version.clone(), arch }
            } else {
                VendorError::NoDigest { name, arch }
            }
        })
    }

    /// Bytes of the publisher's file, where somebody has counted them.
    pub fn size(&self, arch: Arch) -> Option<u64> {
        self.size.get(&arch).copied()
    }

    fn lay_locked_over(&mut self, locked: &LockedArchive) {
        if locked.version != self.version {
            self.version.clone_from(&locked.version);
            (self.wheel, self.about) = (None, None);
        }
        self.sha256 = locked.files.iter().map(|(arch, it)| (*arch, it.sha256)).collect();
        self.size = locked.files.iter().filter_map(|(arch, it)| Some((*arch, it.size?))).collect();
    }

    fn lay_over(&mut self, change: &SourceOverride) {
        if let Some(version) = change.version.as_ref().filter(|it| **it != self.version) {
            self.version.clone_from(version);
            self.version_is_override = true;
            self.sha256.clear();
            (self.wheel, self.about) = (None, None);
        }
        if let Some(places) = &change.places {
            self.places.clone_from(places);
            // These are the user's own addresses: no variable rewrites them.
            self.mirrors.clear();
            self.whose_places = Whose::Users;
        }
        if let Some(sha256) = &change.sha256 {
            self.size.clear();
            self.about = None;
            self.sha256.extend(sha256);
        }
    }
}

impl Repository {
    fn lay_over(&mut self, change: &SourceOverride) {
        if let Some(url) = &change.url {
            self.url.clone_from(url);
            self.url_is_override = true;
        }
        if let Some(commit) = change.commit {
            // What was measured is what the declared one takes.
            self.about = self.about.take().filter(|_| commit == self.commit);
            self.commit = commit;
            self.commit_is_override = true;
        }
    }
}

// What an override says that no source of its kind has would change nothing, silently.

impl SourceOverride {
    fn must_be_for_an_archive(&self, name: &str) -> Result<(), VendorError> {
        let fields = [("url", self.url.is_some()), ("commit", self.commit.is_some())];
        refuse(name, &fields, "an archive has `version`, `places` and `sha256`")
    }

    fn must_be_for_a_repository(&self, name: &str) -> Result<(), VendorError> {
        let fields = [
            ("version", self.version.is_some()),
            ("places", self.places.is_some()),
            ("sha256", self.sha256.is_some()),
        ];
        refuse(name, &fields, "a repository has `url` and `commit`")
    }
}

fn refuse(name: &str, fields: &[(&'static str, bool)], has: &'static str) -> Result<(), VendorError> {
    match fields.iter().find(|(_, is_set)| *is_set) {
        Some((field, _)) => Err(VendorError::NoEffect { name: name.to_owned(), field, has }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared() -> Sources {
        Sources::load(&Settings::default()).expect("the embedded declarations are valid")
    }

    #[test]
    fn every_source_is_pinned_for_both_architectures() {
        for (name, archive) in declared().archives {
            for arch in [Arch::X86_64, Arch::Aarch64] {
                archive.sha256(&name, arch).expect("a digest");
                assert!(archive.about.is_some(), "{name}: a plan says what it takes");
                let wheel_is_pinned = archive.wheel.as_ref().is_none_or(|it| it.sha256.contains_key(&arch));
                assert!(wheel_is_pinned, "{name} {arch}");
                for place in archive.places(arch, &Env::default()).expect("places") {
                    let place = place.to_string();
                    assert!(place.starts_with("https://") && !place.contains("%7B"), "{place}");
                }
            }
        }
        for (name, repository) in declared().repositories {
            assert!(repository.url.starts_with("https://github.com/"), "{name}");
            assert!(repository.about.is_some(), "{name}: a plan says what it takes");
        }
    }

    #[test]
    fn a_mirror_from_the_environment_replaces_the_public_place() {
        let check = |variable: &str, value: &str, archive: &str, expected: &str| {
            let env = Env::from([(variable, value)]);
            let told = match declared().archives[archive].places(Arch::X86_64, &env) {
                Ok(places) => places.iter().map(ToString::to_string).collect(),
                Err(error) => vec![error.to_string()],
            };
            assert_eq!(told, [expected]);
        };
        let node = "v22.12.0/node-v22.12.0-linux-x64.tar.gz";
        check("UNRELATED", "x", "node", &format!("https://nodejs.org/dist/{node}"));
        check("NODEJS_ORG_MIRROR", "", "node", &format!("https://nodejs.org/dist/{node}"));
        check("NODEJS_ORG_MIRROR", "mirror", "node", "the address in `NODEJS_ORG_MIRROR` cannot be used");
        check("NODEJS_ORG_MIRROR", "http://m/node/", "node", &format!("http://m/node/{node}"));
        check(
            "UV_INSTALLER_GITHUB_BASE_URL",
            "http://m",
            "uv",
            "http://m/astral-sh/uv/releases/download/0.12.5/uv-x86_64-unknown-linux-musl.tar.gz",
        );
    }

    #[test]
    fn the_public_place_is_asked_after_a_mirror_only_if_the_user_allows_it() {
        let env = Env::from([("NODEJS_ORG_MIRROR", "http://m/node/")]);
        let sources = with("mirror-fallback = true").expect("valid");
        let told = sources.archives["node"].places(Arch::X86_64, &env).expect("places");
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        let node = "v22.12.0/node-v22.12.0-linux-x64.tar.gz";
        assert_eq!(told, [format!("http://m/node/{node}"), format!("https://nodejs.org/dist/{node}")]);
    }

    #[test]
    fn the_package_index_is_no_way_round_a_place_of_the_users_own_unless_they_allow_it() {
        let check = |settings: &str, variable: &str, expected: bool| {
            let (sources, env) = (with(settings).expect("valid"), Env::from([(variable, "http://m")]));
            let wheel = sources.archives["uv"].wheel_beside_places(&env);
            assert_eq!(wheel.is_some(), expected, "{settings} {variable}");
        };
        let (mirror, places) = ("UV_INSTALLER_GITHUB_BASE_URL", "[sources.uv]\nplaces = [\"/uv.tar.gz\"]");
        check("", "UNRELATED", true);
        check("", "NODEJS_ORG_MIRROR", true);
        check("", mirror, false);
        check("mirror-fallback = true", mirror, true);
        check(places, "UNRELATED", false);
        check(&format!("mirror-fallback = true\n{places}"), "UNRELATED", true);
    }

    fn with(overrides: &str) -> Result<Sources, VendorError> {
        Sources::load(&toml::from_str(overrides).expect("valid settings"))
    }

    #[test]
    fn another_version_needs_its_own_digest_and_has_no_wheel() {
        let digest = "a".repeat(64);
        let same = with("sources.node.version = \"22.12.0\"").expect("the declared one");
        assert_eq!(same.archives["node"], declared().archives["node"]);
        let settings = format!("[sources.node]\nversion = \"23.1.0\"\nsha256 = {{ x86_64 = \"{digest}\" }}");
        let node = &with(&settings).expect("for one architecture").archives["node"];
        assert_eq!(node.wheel, None);
        assert_eq!(node.sha256("node", Arch::X86_64).expect("given"), digest.parse().expect("a digest"));
        let error = crate::error::Error::from(node.sha256("node", Arch::Aarch64).expect_err("not given"));
        assert_eq!(
            error.to_string(),
            "error: `[sources.node]` in `dpgui.toml` names version `23.1.0` without its sha256 for `aarch64`\n\n\
             hint: give it there: `sha256 = { aarch64 = \"...\" }`"
        );
        assert_eq!(error.kind().exit_code(), 2);
    }

    #[test]
    fn what_was_measured_of_a_commit_is_not_said_of_another() {
        let check = |settings: &str, expected: bool| {
            let sources = with(settings).expect("valid");
            assert_eq!(sources.repositories[TRAINER].about.is_some(), expected, "{settings}");
        };
        let declared = declared().repositories[TRAINER].commit;
        check("[sources.diffusion-pipe]\nurl = \"http://mirror\"", true);
        check(&format!("[sources.diffusion-pipe]\ncommit = \"{declared}\""), true);
        check(&format!("[sources.diffusion-pipe]\ncommit = \"{}\"", "1".repeat(40)), false);
    }

    #[test]
    fn an_override_that_would_do_nothing_is_refused() {
        let check = |overrides: &str, expected: &str| {
            let error = crate::error::Error::from(with(overrides).expect_err(expected));
            assert_eq!((error.to_string().as_str(), error.kind().exit_code()), (expected, 2));
        };
        check(
            "sources.node.url = \"https://host.example\"",
            "error: `url` under `[sources.node]` in `dpgui.toml` has no effect\n\n\
             hint: an archive has `version`, `places` and `sha256`",
        );
        check(
            "sources.ComfyUI.version = \"1\"",
            "error: `version` under `[sources.ComfyUI]` in `dpgui.toml` has no effect\n\n\
             hint: a repository has `url` and `commit`",
        );
    }

    #[test]
    fn only_submodules_that_were_asked_for_are_cloned() {
        let check = |wanted: &[&str], expected: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|it| (*it).to_owned()).collect();
            let sources = declared();
            let names = match sources.repositories_for(&wanted, &["wan"]) {
                Ok(found) => found.into_iter().map(|(name, _)| name.to_owned()).collect(),
                Err(error) => vec![error.to_string()],
            };
            assert_eq!(names, expected);
        };
        check(&[], &["diffusion-pipe", "ComfyUI", "HunyuanVideo"]);
        check(&["wan"], &["diffusion-pipe", "ComfyUI", "HunyuanVideo"]);
        check(&["chroma"], &["diffusion-pipe", "ComfyUI", "HunyuanVideo", "flow"]);
        check(&["flow"], &["diffusion-pipe", "ComfyUI", "HunyuanVideo", "flow"]);
        check(&["chrome"], &["unknown model type or submodule `chrome`"]);
    }
}
