//! What an artefact consists of, file by file: kinds, sizes, digests. A receipt vouches for it by its digest.
//!
//! Left out are what Python compiles by itself (`__pycache__`, `*.pyc`: it holds times), our own receipt and the
//! manifest itself, and directories that have something in them, because that names them.
//!
//! Two machines with equal inputs have equal artefacts, but not byte by byte. Measured with uv 0.12.5, two caches, two
//! interpreters and two places: every difference between two environments was in one of these, and
//! [`Manifest::portable`], the digest to compare machines by, leaves them out:
//!
//! - `pyvenv.cfg` names the folder of the interpreter; links with absolute targets (`bin/python`) lead to it;
//! - `direct_url.json` names the place that a package was installed from, where that was a file of this machine;
//! - `uv_cache.json` holds the time at which that file was written;
//! - `RECORD` holds the digests of those two. Everything else in it stands in the manifest too.
//!
//! Scripts in `bin/` are equal because uv's `--relocatable` makes them find their Python by themselves. Node, uv and
//! Python are what was in their archives, with nothing left out.

mod check;
mod known;
mod owner;

use std::{
    collections::HashSet,
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use crate::platform::{
    cores,
    digest::{Hasher, Sha256},
    fs::{self, FsError},
    tree::{self, Node},
};

pub use check::{Comparison, Depth, Difference, Wrong};
pub use known::Known;
pub use owner::Owner;

/// Where it lies in the artefact.
pub const NAME: &str = ".dpgui-manifest";

/// The first line. Raised when an older dpgui could misread a newer manifest.
const HEADER: &str = "# dpgui manifest 1\n";

/// See the module's own words.
const BOUND_TO_THE_MACHINE: [&str; 3] = ["RECORD", "direct_url.json", "uv_cache.json"];

/// Everything that an artefact consists of, sorted by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    entries: Vec<(PathBuf, Entry)>,
}

/// One path of an artefact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    File {
        size: u64,
        executable: bool,
        sha256: Sha256,
    },
    /// With its target as written.
    Link {
        target: PathBuf,
    },
    /// With nothing in it that counts.
    Directory,
}

impl Manifest {
    /// Looks at everything in `dir`. Only files whose digests are not `known` are read.
    pub fn of_tree(dir: &Path, known: &Known) -> Result<Self, FsError> {
        let mut places = tree::walk(dir, &is_left_out)?;
        let parents: HashSet<PathBuf> =
            places.iter().filter_map(|it| it.path.parent().map(Path::to_owned)).collect();
        places.retain(|it| !it.is_dir || !parents.contains(&it.path));
        places.sort_by(|one, other| one.path.as_os_str().cmp(other.path.as_os_str()));
        let entries = cores::map(&places, |it| entry(dir, &it.path, known));
        let entries = entries.into_iter().zip(places).filter_map(|(entry, place)| {
            // A pipe or a socket belongs to somebody who is at work there.
            entry.transpose().map(|entry| Ok((place.path, entry?)))
        });
        Ok(Self { entries: entries.collect::<Result<_, FsError>>()? })
    }

    /// The one that is stored in `dir`, if it is whole: the receipt knows its digest.
    pub fn stored(dir: &Path, sha256: Sha256) -> Result<Option<Self>, FsError> {
        let text = fs::read_optional(&dir.join(NAME))?;
        Ok(text.filter(|it| Sha256::of(it) == sha256).and_then(|it| Self::parse(&it)))
    }

    /// Stores it in `dir`, unsynced: that is up to whoever makes the artefact.
    pub fn store(&self, dir: &Path) -> Result<Sha256, FsError> {
        // Not as one text: that of an environment is 6 MB, and most of what setup has in memory then.
        let mut hasher = Hasher::default();
        let lines = self.lines().inspect(|it| hasher.update(it.as_bytes()));
        fs::write_snapshot_of(&dir.join(NAME), lines)?;
        Ok(hasher.finish())
    }

    /// Equal on every machine that made the same artefact, see the module's own words.
    pub fn portable(&self) -> Sha256 {
        let portable = self.entries.iter().filter(|(path, entry)| !is_bound_to_the_machine(path, entry));
        let mut hasher = Hasher::default();
        portable.for_each(|(path, entry)| hasher.update(line(path, entry).as_bytes()));
        hasher.finish()
    }

    /// What of it stands at these paths.
    #[must_use]
    pub fn part(&self, paths: &HashSet<PathBuf>) -> Self {
        Self { entries: self.entries.iter().filter(|(path, _)| paths.contains(path)).cloned().collect() }
    }

    pub fn entries(&self) -> &[(PathBuf, Entry)] {
        &self.entries
    }

    /// Files and links.
    pub fn files(&self) -> u64 {
        self.entries.iter().filter(|(_, entry)| *entry != Entry::Directory).count() as u64
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        let size = |entry: &Entry| match entry {
            Entry::File { size, .. } => *size,
            Entry::Link { .. } | Entry::Directory => 0,
        };
        self.entries.iter().map(|(_, entry)| size(entry)).sum()
    }

    fn lines(&self) -> impl Iterator<Item = String> {
        std::iter::once(HEADER.to_owned()).chain(self.entries.iter().map(|(path, entry)| line(path, entry)))
    }

    fn parse(text: &str) -> Option<Self> {
        let entries = text.strip_prefix(HEADER)?.lines().map(parse_line).collect::<Option<_>>()?;
        Some(Self { entries })
    }
}

/// The stored form: a line for each path, tabs between its fields.
impl std::fmt::Display for Manifest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines().try_for_each(|it| f.write_str(&it))
    }
}

/// `None` for what is neither file nor link nor directory, or is gone again.
fn entry(dir: &Path, path: &Path, known: &Known) -> Result<Option<Entry>, FsError> {
    let whole = dir.join(path);
    Ok(match tree::look(&whole)? {
        Some(Node::File { size, executable }) => {
            let sha256 = match known.digest(path, size) {
                Some(sha256) => sha256,
                None => Sha256::of_file(&whole)?,
            };
            Some(Entry::File { size, executable, sha256 })
        }
        Some(Node::Link { target }) => Some(Entry::Link { target }),
        Some(Node::Directory) => Some(Entry::Directory),
        Some(Node::Other) | None => None,
    })
}

/// What is no part of the artefact, or speaks about it.
fn is_left_out(path: &Path) -> bool {
    path.file_name().is_some_and(|it| it == "__pycache__")
        || path.extension().is_some_and(|it| it == "pyc")
        || is_about_the_artefact(path)
}

/// Our own receipt and the list itself.
pub fn is_about_the_artefact(path: &Path) -> bool {
    [NAME, super::receipt::NAME].iter().any(|it| path == Path::new(it))
}

/// A package's own list of its files.
pub fn is_record(path: &Path) -> bool {
    let in_info = path.parent().and_then(Path::extension).is_some_and(|it| it == "dist-info");
    in_info && path.file_name().is_some_and(|it| it == "RECORD")
}

fn is_bound_to_the_machine(path: &Path, entry: &Entry) -> bool {
    let in_dist_info = || path.parent().and_then(Path::extension).is_some_and(|it| it == "dist-info");
    match entry {
        Entry::Link { target } => target.is_absolute(),
        Entry::File { .. } if path == Path::new("pyvenv.cfg") => true,
        Entry::File { .. } => {
            path.file_name().is_some_and(|name| BOUND_TO_THE_MACHINE.iter().any(|it| name == *it))
                && in_dist_info()
        }
        Entry::Directory => false,
    }
}

fn line(path: &Path, entry: &Entry) -> String {
    let path = escaped(path);
    match entry {
        Entry::File { size, executable: false, sha256 } => format!("{path}\tfile\t{size}\t{sha256}\n"),
        Entry::File { size, executable: true, sha256 } => format!("{path}\tprogram\t{size}\t{sha256}\n"),
        Entry::Link { target } => format!("{path}\tlink\t{}\n", escaped(target)),
        Entry::Directory => format!("{path}\tdirectory\n"),
    }
}

fn parse_line(line: &str) -> Option<(PathBuf, Entry)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let (path, entry) = match fields[..] {
        [path, kind @ ("file" | "program"), size, sha256] => {
            let (size, executable) = (size.parse().ok()?, kind == "program");
            (path, Entry::File { size, executable, sha256: sha256.parse().ok()? })
        }
        [path, "link", target] => (path, Entry::Link { target: unescaped(target)? }),
        [path, "directory"] => (path, Entry::Directory),
        _ => return None,
    };
    Some((unescaped(path)?, entry))
}

/// On one line and as UTF-8, whatever is in it.
fn escaped(path: &Path) -> String {
    let (mut text, hex) = (String::new(), |byte: u8| format!("\\x{byte:02x}"));
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match u8::try_from(c) {
                Ok(b'\\') => text.push_str("\\\\"),
                Ok(byte) if byte.is_ascii_control() => text += &hex(byte),
                _ => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| hex(*byte)));
    }
    text
}

fn unescaped(text: &str) -> Option<PathBuf> {
    let (mut bytes, mut rest) = (vec![], text);
    while let Some((before, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        if let Some(after) = escape.strip_prefix('\\') {
            bytes.push(b'\\');
            rest = after;
        } else {
            bytes.push(u8::from_str_radix(escape.strip_prefix('x')?.get(..2)?, 16).ok()?);
            rest = &escape[3..];
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(dir: &Path, path: impl AsRef<Path>, text: &str) {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write_atomic(&path, text).expect("written");
    }

    #[test]
    fn a_tree_is_told_path_by_path_and_what_python_compiles_is_left_out() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = dir.path();
        written(root, "lib/a b.py", "text");
        written(root, "bin/run", "");
        fs::make_executable(&root.join("bin/run")).expect("made so");
        fs::symlink(Path::new("run"), &root.join("bin/link")).expect("linked");
        written(root, "lib/__pycache__/a b.cpython-312.pyc", "compiled");
        written(root, "only/__pycache__/b.pyc", "compiled");
        written(root, "old.pyc", "compiled");
        written(root, NAME, "an old one");
        let manifest = Manifest::of_tree(root, &Known::default()).expect("told");
        let (empty, text) = (Sha256::of(""), Sha256::of("text"));
        let expected = format!(
            "{HEADER}bin/link\tlink\trun\nbin/run\tprogram\t0\t{empty}\nlib/a b.py\tfile\t4\t{text}\nonly\tdirectory\n"
        );
        assert_eq!(manifest.to_string(), expected);
        assert_eq!((manifest.files(), manifest.bytes()), (3, 4));

        let sha256 = manifest.store(root).expect("stored");
        assert_eq!(Manifest::stored(root, sha256).expect("read"), Some(manifest));
        assert_eq!(Manifest::stored(root, empty).expect("read"), None, "the receipt does not know it");
    }

    #[test]
    fn a_known_digest_is_taken_only_for_a_file_of_the_known_size() {
        let dir = tempfile::tempdir().expect("a temp dir");
        written(dir.path(), "a", "1234");
        let check = |size: u64, expected: Sha256| {
            let mut known = Known::default();
            known.add("a".into(), size, Sha256::of("claimed"));
            let manifest = Manifest::of_tree(dir.path(), &known).expect("told");
            let file = Entry::File { size: 4, executable: false, sha256: expected };
            assert_eq!(manifest.entries(), [("a".into(), file)]);
        };
        check(4, Sha256::of("claimed"));
        check(5, Sha256::of("1234"));
    }

    #[test]
    fn machines_are_compared_without_what_is_bound_to_one() {
        let site = "lib/python3.12/site-packages/a-1.dist-info";
        let portable = |home: &str, module: &str| {
            let dir = tempfile::tempdir().expect("a temp dir");
            written(dir.path(), "pyvenv.cfg", home);
            for name in BOUND_TO_THE_MACHINE {
                written(dir.path(), format!("{site}/{name}"), home);
            }
            fs::create_dir_all(&dir.path().join("bin")).expect("created");
            let target = Path::new("/opt").join(home);
            fs::symlink(&target, &dir.path().join("bin/python")).expect("linked");
            written(dir.path(), "lib/python3.12/site-packages/a.py", module);
            let manifest = Manifest::of_tree(dir.path(), &Known::default()).expect("told");
            (manifest.portable(), manifest)
        };
        let (one, other) = (portable("one", "a = 1"), portable("other", "a = 1"));
        assert_eq!(one.0, other.0);
        assert_ne!(one.1, other.1);
        assert_ne!(portable("one", "a = 2").0, one.0);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            names in prop::collection::vec(prop::collection::vec(1_u8.., 1..12), 1..20),
            size: u64,
            executable: bool,
        ) {
            let path = |bytes: &Vec<u8>| PathBuf::from(OsString::from_vec(bytes.clone()));
            let file = Entry::File { size, executable, sha256: Sha256::of(size.to_string()) };
            let kinds = [file, Entry::Link { target: path(&names[0]) }, Entry::Directory];
            let entries = names.iter().zip(kinds.iter().cycle()).map(|(it, kind)| (path(it), kind.clone()));
            let manifest = Manifest { entries: entries.collect() };
            prop_assert_eq!(Manifest::parse(&manifest.to_string()), Some(manifest));
        }
    }
}
