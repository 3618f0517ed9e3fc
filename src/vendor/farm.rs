//! The symlink farm `vendor/libs`: the only entry of a run's `PYTHONPATH`, with exactly what the trainer imports.
//!
//! The links are relative, so a workspace can be moved. Only links that an earlier farm made are ever removed;
//! anything else in their way belongs to somebody else and is an error.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    error::{Kind, Report},
    platform::{
        checkpoint::{Checkpoint, reach},
        fs::{self, FsError},
    },
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
    pub fn target(&self) -> PathBuf {
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
    #[error("the repository `{repository}` is not cloned")]
    NotCloned { repository: String },
    #[error("`{name}` of the repository `{repository}` is not there, at `{}`", path.display())]
    NoTarget { name: String, repository: String, path: PathBuf },
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Report for FarmError {
    fn kind(&self) -> Kind {
        match self {
            Self::InTheWay { .. } => Kind::Usage,
            Self::NotCloned { .. } | Self::NoTarget { .. } => Kind::Failed,
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::InTheWay { path } => {
                Some(format!("move `{}` elsewhere, then run `dpgui setup` again", path.display()))
            }
            Self::NotCloned { .. } => Some("run `dpgui setup` without `--only` and `--skip`".to_owned()),
            Self::NoTarget { repository, .. } => Some(format!(
                "`dpgui setup --repair` brings back what was deleted from `vendor/{repository}`; if nothing was, its \
                     commit does not fit this dpgui: pin the one it knows"
            )),
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

/// Links by name, with where they point: a link of ours is one that still points where we let it.
pub type Links = BTreeMap<String, PathBuf>;

/// The links of `entries` are all in `libs` and lead somewhere.
pub fn is_complete(libs: &Path, entries: &[Entry]) -> bool {
    entries.iter().all(|it| {
        let link = libs.join(&it.name);
        fs::link_target(&link) == Some(it.target()) && link.exists()
    })
}

/// What is in `libs` beside the links of `entries`: it could shadow a module of the trainer. Receipts do not count.
pub fn strangers(libs: &Path, entries: &[Entry]) -> Result<Vec<PathBuf>, FsError> {
    let names = fs::names(libs)?.into_iter();
    let expected = |name: &str| name.starts_with('.') || entries.iter().any(|it| it.name == name);
    Ok(names.filter(|name| !expected(&name.to_string_lossy())).map(|name| libs.join(name)).collect())
}

/// What stands where a link of `entries` is to be, and is none of `ours`: somebody else's.
pub fn in_the_way(libs: &Path, entries: &[Entry], ours: &Links) -> Option<PathBuf> {
    let is_in_the_way = |it: &&Entry| {
        let link = libs.join(&it.name);
        let target = fs::link_target(&link);
        fs::exists(&link)
            && target != Some(it.target())
            && (target.is_none() || target.as_ref() != ours.get(&it.name))
    };
    entries.iter().find(is_in_the_way).map(|it| libs.join(&it.name))
}

/// Makes `libs` hold `entries`. `ours` are the links of an earlier farm; those not wanted any more go.
pub fn build(libs: &Path, entries: &[Entry], ours: &Links) -> Result<(), FarmError> {
    let is_ours = |name: &String| ours.get(name) == fs::link_target(&libs.join(name)).as_ref();
    // Look at everything first: a farm is built whole or left as it was.
    if let Some(path) = in_the_way(libs, entries, ours) {
        return Err(FarmError::InTheWay { path });
    }
    for entry in entries {
        let vendor = libs.parent().unwrap_or(libs);
        let (repository, target) =
            (vendor.join(&entry.repository), vendor.join(&entry.repository).join(&entry.path));
        if !fs::exists(&repository) {
            return Err(FarmError::NotCloned { repository: entry.repository.clone() });
        }
        if !fs::exists(&target) {
            let (name, repository) = (entry.name.clone(), entry.repository.clone());
            return Err(FarmError::NoTarget { name, repository, path: target });
        }
    }
    fs::create_dir_all(libs)?;
    for name in ours.keys().filter(|name| !entries.iter().any(|it| it.name == **name)) {
        if is_ours(name) {
            fs::remove_tree(&libs.join(name))?;
            reach(Checkpoint::LinkRemoved);
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
        reach(Checkpoint::LinkMade);
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
        build(&libs, &first, &Links::new()).expect("built");
        assert!(is_complete(&libs, &first));
        assert_eq!(fs::link_target(&libs.join("whole")), Some(PathBuf::from("../Repo")));
        let ours: Links = first.iter().map(|it| (it.name.clone(), it.target())).collect();
        fs::write_atomic(&libs.join("note.txt"), "the user's own").expect("written");
        build(&libs, &[entry("comfy", "extra")], &ours).expect("rebuilt");
        assert_eq!(fs::names(&libs).expect("listed"), ["comfy", "note.txt"]);
        assert_eq!(fs::link_target(&libs.join("comfy")), Some(PathBuf::from("../Repo/extra")));
        let strangers = strangers(&libs, &[entry("comfy", "extra")]).expect("listed");
        assert_eq!(strangers, [libs.join("note.txt")]);
    }

    #[test]
    fn what_is_not_ours_stops_the_farm_and_stays() {
        let (dir, libs) = vendor_with(&["Repo/comfy", "libs", "mine"]);
        let check = |expected: &str| {
            let ours = Links::from([("comfy".to_owned(), PathBuf::from("../Repo/comfy"))]);
            let error = build(&libs, &[entry("comfy", "comfy")], &ours).expect_err("in the way");
            assert_eq!(error.to_string().replace(&dir.path().display().to_string(), "W"), expected);
        };
        fs::write_atomic(&libs.join("comfy"), "a real file").expect("written");
        check("`W/libs/comfy` is in the way of a link that the trainer needs");
        assert_eq!(fs::read_text(&libs.join("comfy")).expect("still there"), "a real file");
        fs::remove_tree(&libs.join("comfy")).expect("removed");
        // A link of the user's own, where ours was.
        fs::symlink(Path::new("/somewhere/else"), &libs.join("comfy")).expect("linked");
        check("`W/libs/comfy` is in the way of a link that the trainer needs");
        fs::remove_tree(&libs.join("comfy")).expect("removed");
        fs::remove_tree(&dir.path().join("Repo/comfy")).expect("removed");
        check("`comfy` of the repository `Repo` is not there, at `W/Repo/comfy`");
    }
}
