//! The symlink farm `vendor/libs`: the only entry of a run's `PYTHONPATH`, with exactly what the trainer imports.
//!
//! The links are relative, so a workspace can be moved. Only links that an earlier farm made are ever removed;
//! anything else in their way belongs to somebody else and is an error.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{
    error::{Kind, Report},
    platform::fs::{self, FsError},
};

use super::VendorError;

const FILE: &str = "vendor/farm.toml";
const TEXT: &str = include_str!("../../vendor/farm.toml");

/// One top-level Python module.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// As Python imports it; a module file keeps its `.py`.
    pub name: String,
    pub repository: String,
    /// The folder or file in that repository; empty for the repository itself.
    pub path: String,
    pub why: String,
}

impl Entry {
    /// The name in an `import` statement.
    pub fn module(&self) -> &str {
        self.name.trim_end_matches(".py")
    }

    /// Relative to the farm.
    fn target(&self) -> PathBuf {
        // Pushed part by part: joining an empty path would leave a trailing slash.
        let mut target = PathBuf::from("..");
        target.push(&self.repository);
        if !self.path.is_empty() {
            target.push(&self.path);
        }
        target
    }
}

#[derive(Debug, thiserror::Error)]
pub enum FarmError {
    #[error("`{}` is in the way of a link that the trainer needs", path.display())]
    InTheWay { path: PathBuf },
    #[error("`{name}` of the repository `{repository}` is not there, at `{}`", path.display())]
    NoTarget { name: String, repository: String, path: PathBuf },
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Report for FarmError {
    fn kind(&self) -> Kind {
        match self {
            Self::InTheWay { .. } => Kind::Usage,
            Self::NoTarget { .. } => Kind::Failed,
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InTheWay { path } => {
                Some(format!("move `{}` elsewhere, then run `dpgui setup` again", path.display()))
            }
            Self::NoTarget { repository, .. } => {
                Some(format!("the commit of `{repository}` does not fit this dpgui: pin the one it knows"))
            }
            Self::Fs(cause) => cause.hint(),
        }
    }
}

/// The links for these repositories.
pub fn entries(repositories: &[&str]) -> Result<Vec<Entry>, VendorError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        link: Vec<Entry>,
    }
    let file: File = toml::from_str(TEXT)
        .map_err(|cause| VendorError::Embedded { file: FILE, details: cause.to_string() })?;
    Ok(file.link.into_iter().filter(|it| repositories.contains(&it.repository.as_str())).collect())
}

/// The links in `libs` are exactly `entries` and lead somewhere.
pub fn is_complete(libs: &Path, entries: &[Entry]) -> bool {
    entries.iter().all(|it| {
        let link = libs.join(&it.name);
        fs::link_target(&link) == Some(it.target()) && link.exists()
    })
}

/// Makes `libs` hold `entries`. `ours` names the links of an earlier farm; those not wanted any more go.
pub fn build(libs: &Path, entries: &[Entry], ours: &[String]) -> Result<(), FarmError> {
    fs::create_dir_all(libs)?;
    // Look at everything first: a farm is built whole or left as it was.
    for entry in entries {
        let link = libs.join(&entry.name);
        let known = ours.contains(&entry.name) || fs::link_target(&link) == Some(entry.target());
        let free = !fs::exists(&link) || (fs::link_target(&link).is_some() && known);
        if !free {
            return Err(FarmError::InTheWay { path: link });
        }
        let target = libs.join(entry.target());
        if !target.exists() {
            let (name, repository) = (entry.name.clone(), entry.repository.clone());
            return Err(FarmError::NoTarget { name, repository, path: target });
        }
    }
    for name in ours.iter().filter(|name| !entries.iter().any(|it| it.name == **name)) {
        let link = libs.join(name);
        if fs::link_target(&link).is_some() {
            fs::remove_tree(&link)?;
        }
    }
    for entry in entries {
        let link = libs.join(&entry.name);
        if fs::link_target(&link) == Some(entry.target()) {
            continue;
        }
        // Renamed over the old one, so that a run which starts now finds one or the other.
        let staged = fs::beside(&link, "tmp");
        fs::remove_tree(&staged)?;
        fs::symlink(&entry.target(), &staged)?;
        fs::rename(&staged, &link)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, path: &str) -> Entry {
        Entry { name: name.into(), repository: "Repo".into(), path: path.into(), why: String::new() }
    }

    fn vendor_with(paths: &[&str]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temp dir");
        for path in paths {
            fs::create_dir_all(&dir.path().join(path)).expect("created");
        }
        let libs = dir.path().join("libs");
        (dir, libs)
    }

    #[test]
    fn the_declared_links_name_no_module_of_the_trainer() {
        let repositories = ["ComfyUI", "HunyuanVideo"];
        let entries = entries(&repositories).expect("the embedded farm is valid");
        assert!(entries.iter().any(|it| it.name == "comfy"));
        for entry in entries {
            // diffusion-pipe's own top-level modules at the pinned commit.
            assert!(!["utils", "models", "optimizers", "train"].contains(&entry.module()), "{}", entry.name);
            assert!(!entry.why.is_empty(), "{}", entry.name);
        }
    }

    #[test]
    fn a_farm_is_built_changed_and_left_alone() {
        let (_dir, libs) = vendor_with(&["Repo/comfy", "Repo/extra"]);
        let first = [entry("comfy", "comfy"), entry("whole", "")];
        assert!(!is_complete(&libs, &first));
        build(&libs, &first, &[]).expect("built");
        assert!(is_complete(&libs, &first));
        assert_eq!(fs::link_target(&libs.join("whole")), Some(PathBuf::from("../Repo")));
        let ours = ["comfy".to_owned(), "whole".to_owned()];
        fs::write_atomic(&libs.join("note.txt"), "the user's own").expect("written");
        build(&libs, &[entry("comfy", "extra")], &ours).expect("rebuilt");
        assert_eq!(fs::names(&libs).expect("listed"), ["comfy", "note.txt"]);
        assert_eq!(fs::link_target(&libs.join("comfy")), Some(PathBuf::from("../Repo/extra")));
    }

    #[test]
    fn what_is_not_ours_stops_the_farm_and_stays() {
        let (dir, libs) = vendor_with(&["Repo/comfy", "libs", "mine"]);
        let check = |expected: &str| {
            let error =
                build(&libs, &[entry("comfy", "comfy")], &["comfy".to_owned()]).expect_err("in the way");
            assert_eq!(error.to_string().replace(&dir.path().display().to_string(), "W"), expected);
        };
        fs::write_atomic(&libs.join("comfy"), "a real file").expect("written");
        check("`W/libs/comfy` is in the way of a link that the trainer needs");
        assert_eq!(fs::read_text(&libs.join("comfy")).expect("still there"), "a real file");
        fs::remove_tree(&libs.join("comfy")).expect("removed");
        fs::remove_tree(&dir.path().join("Repo/comfy")).expect("removed");
        check("`comfy` of the repository `Repo` is not there, at `W/libs/../Repo/comfy`");
    }
}
