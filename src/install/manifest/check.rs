//! Whether an artefact still is what its manifest says.

use std::{
    collections::HashSet,
    fmt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use serde::Serialize;

use crate::platform::{
    cores,
    digest::Sha256,
    tree::{self, Node},
};

use super::{Entry, Manifest, is_left_out};

/// How closely to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Existence, kind, size and permission to execute: nothing is read.
    Fast,
    /// The digests too.
    Full,
}

/// A path that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Relative to the artefact.
    pub path: PathBuf,
    pub what: Wrong,
}

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    Missing,
    /// A link where a file was, or the like.
    Kind,
    Size,
    /// Equal size, other bytes.
    Content,
    /// A link that leads elsewhere.
    Target,
    /// It can be executed and could not, or the other way round.
    Permission,
    Unreadable,
}

/// What a look at an artefact showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Sorted by path; none of them: whole.
    pub differences: Vec<Difference>,
    /// Files that the manifest does not know. They are no damage: people add some.
    pub extra: Vec<PathBuf>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "missing",
            Self::Kind => "replaced by something else",
            Self::Size | Self::Content => "changed",
            Self::Target => "a link that leads elsewhere",
            Self::Permission => "of other permissions",
            Self::Unreadable => "unreadable",
        })
    }
}

impl Manifest {
    /// Compares what is in `dir` with this, and tells `read` how many bytes were read so far.
    pub fn check(&self, dir: &Path, depth: Depth, read: &(dyn Fn(u64) + Sync)) -> Comparison {
        let wrong = cores::map(&self.entries, |(path, entry)| look(&dir.join(path), entry));
        let found = |(wrong, (path, _)): (Option<Wrong>, &(PathBuf, Entry))| {
            wrong.map(|what| Difference { path: path.clone(), what })
        };
        let mut differences: Vec<Difference> =
            wrong.iter().copied().zip(&self.entries).filter_map(found).collect();
        if depth == Depth::Full {
            let right = wrong.iter().zip(&self.entries).filter(|(wrong, _)| wrong.is_none());
            differences.extend(unequal(dir, right.map(|(_, it)| it), read));
            differences.sort_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
        }
        Comparison { differences, extra: self.extra(dir) }
    }

    fn extra(&self, dir: &Path) -> Vec<PathBuf> {
        let known: HashSet<&Path> = self.entries.iter().map(|(path, _)| path.as_path()).collect();
        // What cannot be listed cannot be counted; that its files are unreadable is among the differences.
        let found = tree::walk(dir, &is_left_out).unwrap_or_default();
        let added = found.into_iter().filter(|it| !it.is_dir && !known.contains(it.path.as_path()));
        added.map(|it| it.path).collect()
    }
}

fn look(path: &Path, expected: &Entry) -> Option<Wrong> {
    match (tree::look(path), expected) {
        (Err(_), _) => Some(Wrong::Unreadable),
        (Ok(None), _) => Some(Wrong::Missing),
        (Ok(Some(Node::File { size, .. })), Entry::File { size: expected, .. }) if size != *expected => {
            Some(Wrong::Size)
        }
        (Ok(Some(Node::File { executable, .. })), Entry::File { executable: expected, .. }) => {
            (executable != *expected).then_some(Wrong::Permission)
        }
        (Ok(Some(Node::Link { target })), Entry::Link { target: expected }) => {
            (target != *expected).then_some(Wrong::Target)
        }
        (Ok(Some(Node::Directory)), Entry::Directory) => None,
        (
            Ok(Some(Node::File { .. } | Node::Link { .. } | Node::Directory | Node::Other)),
            Entry::File { .. } | Entry::Link { .. } | Entry::Directory,
        ) => Some(Wrong::Kind),
    }
}

/// Reads the files, the big ones first: the last one to be read is not to be a library of gigabytes.
fn unequal<'a>(
    dir: &Path,
    entries: impl Iterator<Item = &'a (PathBuf, Entry)>,
    read: &(dyn Fn(u64) + Sync),
) -> Vec<Difference> {
    let bytes = AtomicU64::new(0);
    let file = |(path, entry): &'a (PathBuf, Entry)| match entry {
        Entry::File { size, sha256, .. } => Some((*size, path, *sha256)),
        Entry::Link { .. } | Entry::Directory => None,
    };
    let mut files: Vec<(u64, &PathBuf, Sha256)> = entries.filter_map(file).collect();
    files.sort_unstable_by_key(|(size, ..)| std::cmp::Reverse(*size));
    let look = |(size, path, expected): &(u64, &PathBuf, Sha256)| {
        let found = Sha256::of_file(&dir.join(path));
        read(bytes.fetch_add(*size, Ordering::Relaxed) + size);
        let what = match found {
            Ok(found) if found == *expected => return None,
            Ok(_) => Wrong::Content,
            Err(_) => Wrong::Unreadable,
        };
        Some(Difference { path: (*path).clone(), what })
    };
    cores::map(&files, look).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use crate::platform::fs;

    use super::{super::Known, *};

    #[test]
    fn every_damage_is_found_and_what_was_added_is_only_counted() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = dir.path();
        let at = |name: &str| root.join(name);
        let write = |name: &str, text: &str| {
            fs::create_dir_all(at(name).parent().expect("a parent")).expect("created");
            fs::write_atomic(&at(name), text).expect("written");
        };
        for name in ["content", "dir/missing", "kind", "permission", "right", "size"] {
            write(name, "1234");
        }
        fs::create_dir_all(&at("empty")).expect("created");
        fs::symlink(Path::new("right"), &at("link")).expect("linked");
        let manifest = Manifest::of_tree(root, &Known::default()).expect("told");
        let whole = Comparison { differences: vec![], extra: vec![] };
        assert_eq!(manifest.check(root, Depth::Fast, &|_| ()), whole);
        let bytes = AtomicU64::new(0);
        let read = |count| _ = bytes.fetch_max(count, Ordering::Relaxed);
        assert_eq!(manifest.check(root, Depth::Full, &read), whole);
        assert_eq!(bytes.into_inner(), manifest.bytes());

        write("content", "4321");
        write("size", "12345");
        for name in ["dir/missing", "kind", "link", "empty"] {
            fs::remove_tree(&at(name)).expect("removed");
        }
        fs::create_dir_all(&at("kind")).expect("created");
        fs::symlink(Path::new("size"), &at("link")).expect("linked");
        fs::make_executable(&at("permission")).expect("made so");
        write("dir/added", "");
        write("__pycache__/added.pyc", "");
        let found = |depth| -> Vec<(String, Wrong)> {
            let comparison = manifest.check(root, depth, &|_| ());
            assert_eq!(comparison.extra, [PathBuf::from("dir/added")]);
            let differences = comparison.differences.into_iter();
            differences.map(|it| (it.path.display().to_string(), it.what)).collect()
        };
        let expected = [
            ("content", Wrong::Content),
            ("dir/missing", Wrong::Missing),
            ("empty", Wrong::Missing),
            ("kind", Wrong::Kind),
            ("link", Wrong::Target),
            ("permission", Wrong::Permission),
            ("size", Wrong::Size),
        ]
        .map(|(path, what)| (path.to_owned(), what));
        assert_eq!(found(Depth::Full), expected);
        assert_eq!(found(Depth::Fast), expected[1..], "the same size is all that a glance can see");
    }
}
