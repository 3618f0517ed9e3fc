//! Everything that a setup fetches, in one file, for a machine without a network.
//!
//! A plain tar: first a list of what is in it with digests, then this dpgui, the lock, the downloads by their
//! digests, and the repositories at their commits. Its user makes it and carries it; some wheels may not be passed on
//! to others (NVIDIA's licence).

mod draft;
mod pack;
mod unpack;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    output::{Event, Line, size},
    platform::{Arch, digest::Sha256},
};

pub use self::{
    draft::abandoned,
    pack::{Afterwards, create},
    unpack::{Terms, bring},
};

/// Raised when an older dpgui could misread a newer bundle.
const SCHEMA: u32 = 1;

const CONTENTS: &str = "dpgui-bundle.json";
const LOCK: &str = "dpgui.lock";
const PROGRAM: &str = "dpgui";
const DOWNLOADS: &str = "downloads";
const REPOSITORIES: &str = "repositories";

/// The first entry.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Contents {
    schema: u32,
    dpgui: String,
    arch: Arch,
    /// The environments that it has the packages of.
    environments: Vec<String>,
    /// In the order of the entries.
    files: Vec<Entry>,
}

impl Contents {
    /// A file that others are said to be in: no disk can have both.
    fn file_and_folder(&self) -> Option<&Path> {
        let files: BTreeSet<&Path> = self.files.iter().map(|it| &*it.path).collect();
        files.iter().flat_map(|it| it.ancestors().skip(1)).find(|it| files.contains(it))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    size: u64,
    sha256: Sha256,
}

/// A bundle that was made or brought in.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Bundled {
    BundleMade {
        path: PathBuf,
        files: usize,
        bytes: u64,
        /// Bytes of packages that were fetched for it, and are still in the cache.
        left_in_cache: u64,
    },
    BundleBrought {
        path: PathBuf,
        files: usize,
        bytes: u64,
    },
}

impl Event for Bundled {
    fn line(&self) -> Option<Line> {
        let (verb, path, files, bytes, left) = match self {
            Self::BundleMade { path, files, bytes, left_in_cache } => {
                ("Bundled", path, files, bytes, *left_in_cache)
            }
            Self::BundleBrought { path, files, bytes } => ("Brought", path, files, bytes, 0),
        };
        let left = match left {
            0 => String::new(),
            left => format!(
                "; {} that were fetched for it stay in the cache until `dpgui clean --cache`",
                size::bytes(left)
            ),
        };
        let bytes = size::bytes(*bytes);
        Some(Line { verb, text: format!("{files} files, {bytes} in `{}`{left}", path.display()) })
    }
}

/// What the other entries are, by their names.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Lock,
    Program,
    Download(Sha256),
    /// Of the repository with this directory's name, and the path in it.
    Repository(&'a str, &'a Path),
}

impl Entry {
    /// `None` for what is no part of a bundle.
    fn place(&self) -> Option<Place<'_>> {
        let path = self.path.to_str()?;
        let is_plain = |name: &str| !["", ".", ".."].contains(&name) && !name.contains(char::is_control);
        let plain = |it: &str| !it.is_empty() && it.split('/').all(is_plain);
        match path.split_once('/') {
            None if path == LOCK => Some(Place::Lock),
            None if path == PROGRAM => Some(Place::Program),
            Some((DOWNLOADS, digest)) => {
                digest.parse().ok().filter(|it| *it == self.sha256).map(Place::Download)
            }
            Some((REPOSITORIES, rest)) => {
                let (commit, inside) = rest.split_once('/')?;
                let digits = commit.strip_suffix(".git")?;
                let is_commit = digits.len() == 40 && digits.bytes().all(|it| it.is_ascii_hexdigit());
                (is_commit && plain(inside) && is_of_a_repository(Path::new(inside)))
                    .then(|| Place::Repository(commit, Path::new(inside)))
            }
            Some(_) | None => None,
        }
    }
}

/// Objects, and what names them. No settings and no hooks: a token may stand in the one, and the other would be run; and
/// no `info`, which can lead to the objects of other places.
fn is_of_a_repository(path: &Path) -> bool {
    let data = ["objects", "refs"].iter().any(|it| path.starts_with(it)) && !path.starts_with("objects/info");
    data || ["HEAD", "shallow", "packed-refs"].iter().any(|it| path == Path::new(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_bundle_is_made_of_has_a_place() {
        let check = |path: &str, expected: bool| {
            let entry = Entry { path: path.into(), size: 0, sha256: Sha256::of("") };
            assert_eq!(entry.place().is_some(), expected, "{path}");
        };
        let (commit, digest) = ("0123456789".repeat(4), Sha256::of(""));
        check("dpgui.lock", true);
        check("dpgui", true);
        check(&format!("downloads/{digest}"), true);
        check(&format!("downloads/{}", Sha256::of("other")), false);
        check(&format!("downloads/../{digest}"), false);
        check(&format!("repositories/{commit}.git/objects/ab/cd"), true);
        check(&format!("repositories/{commit}.git/HEAD"), true);
        check(&format!("repositories/{commit}.git/config"), false);
        check(&format!("repositories/{commit}.git/hooks/post-checkout"), false);
        check(&format!("repositories/{commit}.git/objects/info/alternates"), false);
        check(&format!("repositories/{commit}.git/objects/../config"), false);
        check(&format!("repositories/{commit}.git/../../x"), false);
        check(&format!("repositories/{commit}.git//x"), false);
        check(&format!("repositories/{commit}.git/objects/a\u{1b}b"), false);
        check(&format!("repositories/{commit}/x"), false);
        check("repositories/../x/y", false);
        check("/etc/passwd", false);
        check("other", false);
    }

    #[test]
    fn a_path_is_a_file_or_a_folder() {
        let check = |paths: &[&str], expected: Option<&str>| {
            let entry = |it: &&str| Entry { path: it.into(), size: 0, sha256: Sha256::of("") };
            let files = paths.iter().map(entry).collect();
            let contents = Contents {
                schema: SCHEMA,
                dpgui: "0".to_owned(),
                arch: Arch::X86_64,
                environments: vec![],
                files,
            };
            assert_eq!(contents.file_and_folder(), expected.map(Path::new), "{paths:?}");
        };
        check(&["r/objects/a", "r/objects/b", "r/objects/ab"], None);
        check(&["r/objects/b", "r/objects/b/c"], Some("r/objects/b"));
        check(&["r/objects/b/c/d", "r/objects/b"], Some("r/objects/b"));
    }
}
