//! Every archive and repository that setup fetches: `vendor/sources.toml`, with the user's overrides laid over it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    platform::{Arch, Env, digest::Sha256},
    workspace::{Settings, settings::SourceOverride},
};

use super::{
    VendorError,
    git::{BadCommitId, CommitId},
};

const FILE: &str = "vendor/sources.toml";
const TEXT: &str = include_str!("../../vendor/sources.toml");

/// The name of the repository that holds the trainer; the others are its submodules.
pub const TRAINER: &str = "diffusion-pipe";

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    pub archives: BTreeMap<String, Archive>,
    pub repositories: BTreeMap<String, Repository>,
}

/// A file of one pinned version, for each architecture.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    pub version: String,
    pub why: String,
    /// URL templates in the order to try them.
    places: Vec<String>,
    /// How the publisher spells the architectures, where not as `uname -m`.
    #[serde(default)]
    arch_names: BTreeMap<Arch, String>,
    #[serde(default)]
    mirrors: Vec<Mirror>,
    sha256: BTreeMap<Arch, Sha256>,
    /// The same thing in the Python package index.
    pub wheel: Option<Wheel>,
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
    /// `commit` is the user's own and wins over the trainer's tree.
    #[serde(skip)]
    pub commit_is_override: bool,
    /// `url` is the user's own and wins over the trainer's `.gitmodules`.
    #[serde(skip)]
    pub url_is_override: bool,
}

impl Sources {
    /// What is declared, with the overrides of `settings` laid over it field by field.
    ///
    /// # Errors
    /// When `settings` overrides a source that does not exist, or names a commit that is none.
    pub fn load(settings: &Settings) -> Result<Self, VendorError> {
        let mut sources: Self = toml::from_str(TEXT)
            .map_err(|cause| VendorError::Embedded { file: FILE, details: cause.to_string() })?;
        for (name, change) in &settings.sources {
            if let Some(archive) = sources.archives.get_mut(name) {
                archive.lay_over(change);
            } else if let Some(repository) = sources.repositories.get_mut(name) {
                let bad = |source| VendorError::BadCommit { name: name.clone(), source };
                repository.lay_over(change).map_err(bad)?;
            } else {
                let known = sources.archives.keys().chain(sources.repositories.keys()).cloned().collect();
                return Err(VendorError::UnknownSource { name: name.clone(), known });
            }
        }
        Ok(sources)
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
                let known = known_models.iter().map(|it| (*it).to_owned()).chain(extra.cloned()).collect();
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

impl Archive {
    /// The URLs to try, in order. A mirror that the user's environment names is the only place: whoever sets
    /// one does not want the public server asked behind their back.
    pub fn places(&self, arch: Arch, env: &Env) -> Vec<String> {
        let arch_name = self.arch_names.get(&arch).cloned().unwrap_or_else(|| arch.to_string());
        let mirror = self.mirrors.iter().find_map(|it| Some((it, env.text(&it.variable)?)));
        let place = |template: &String| {
            let template = match mirror {
                Some((mirror, base)) => {
                    let rest = template.strip_prefix(&mirror.replaces)?;
                    format!("{}{rest}", base.trim_end_matches('/'))
                }
                None => template.clone(),
            };
            Some(template.replace("{version}", &self.version).replace("{arch}", &arch_name))
        };
        let mirrored: Vec<String> = self.places.iter().filter_map(place).collect();
        if mirrored.is_empty() { self.places.clone() } else { mirrored }
    }

    pub fn sha256(&self, name: &str, arch: Arch) -> Result<Sha256, VendorError> {
        self.sha256.get(&arch).copied().ok_or_else(|| VendorError::NoDigest { name: name.to_owned(), arch })
    }

    fn lay_over(&mut self, change: &SourceOverride) {
        let changed = |field: &mut BTreeMap<Arch, Sha256>, new: &BTreeMap<Arch, Sha256>| field.extend(new);
        if let Some(version) = &change.version {
            self.version.clone_from(version);
        }
        if let Some(places) = &change.places {
            self.places.clone_from(places);
            // These are the user's own addresses: no variable rewrites them.
            self.mirrors.clear();
        }
        if let Some(sha256) = &change.sha256 {
            changed(&mut self.sha256, sha256);
        }
    }
}

impl Repository {
    fn lay_over(&mut self, change: &SourceOverride) -> Result<(), BadCommitId> {
        if let Some(url) = &change.url {
            self.url.clone_from(url);
            self.url_is_override = true;
        }
        if let Some(commit) = &change.commit {
            self.commit = commit.parse()?;
            self.commit_is_override = true;
        }
        Ok(())
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
                let wheel_is_pinned = archive.wheel.as_ref().is_none_or(|it| it.sha256.contains_key(&arch));
                assert!(wheel_is_pinned, "{name} {arch}");
                for place in archive.places(arch, &Env::default()) {
                    assert!(place.starts_with("https://") && !place.contains('{'), "{place}");
                }
            }
        }
        for (name, repository) in declared().repositories {
            assert!(repository.url.starts_with("https://github.com/"), "{name}");
        }
    }

    #[test]
    fn a_mirror_from_the_environment_replaces_the_public_place() {
        let check = |variable: &str, value: &str, archive: &str, expected: &str| {
            let env = Env::from([(variable, value)]);
            assert_eq!(declared().archives[archive].places(Arch::X86_64, &env), [expected]);
        };
        let node = "v22.12.0/node-v22.12.0-linux-x64.tar.gz";
        check("UNRELATED", "x", "node", &format!("https://nodejs.org/dist/{node}"));
        check("NODEJS_ORG_MIRROR", "http://m/node/", "node", &format!("http://m/node/{node}"));
        check(
            "UV_INSTALLER_GITHUB_BASE_URL",
            "http://m",
            "uv",
            "http://m/astral-sh/uv/releases/download/0.12.5/uv-x86_64-unknown-linux-musl.tar.gz",
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
