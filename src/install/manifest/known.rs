//! Digests that somebody has worked out already: the unpacker as it wrote, or the makers of Python packages.

use std::{
    collections::HashMap,
    ffi::OsStr,
    path::{Component, Path, PathBuf},
};

use crate::platform::{
    digest::Sha256,
    fs::{self, FsError},
};

/// Digests by path, relative to the artefact. One is used only for a file of the very size that it was given with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    files: HashMap<PathBuf, (u64, Sha256)>,
}

impl From<HashMap<PathBuf, (u64, Sha256)>> for Known {
    fn from(files: HashMap<PathBuf, (u64, Sha256)>) -> Self {
        Self { files }
    }
}

impl Known {
    pub fn add(&mut self, path: PathBuf, size: u64, sha256: Sha256) {
        self.files.insert(path, (size, sha256));
    }

    /// What the packages of the Python environment in `dir` say of their files: each has a `RECORD`, and an installer
    /// changes it where it changes a file.
    pub fn of_environment(dir: &Path) -> Result<Self, FsError> {
        let (mut known, mut disputed) = (Self::default(), vec![]);
        each_record(dir, &mut |packages, _, text| {
            for (path, size, sha256) in text.lines().filter_map(|line| claim(packages, line)) {
                match known.files.insert(path.clone(), (size, sha256)) {
                    Some(other) if other != (size, sha256) => disputed.push(path),
                    _ => {}
                }
            }
        })?;
        // Two packages with a file of the same name: whose is there only the file itself can tell.
        for path in disputed {
            known.files.remove(&path);
        }
        Ok(known)
    }

    pub(super) fn digest(&self, path: &Path, size: u64) -> Option<Sha256> {
        self.files.get(path).filter(|(claimed, _)| *claimed == size).map(|(_, sha256)| *sha256)
    }
}

/// Shows `see` the `RECORD` of each package of the Python environment in `dir`: the directory of the packages, the name of
/// what is written about this one, the text. One that is missing or no text is left out.
pub(super) fn each_record(dir: &Path, see: &mut dyn FnMut(&Path, &OsStr, &str)) -> Result<(), FsError> {
    for version in fs::names(&dir.join("lib"))? {
        let packages = Path::new("lib").join(version).join("site-packages");
        // `lib` holds other things than Pythons.
        let names = fs::names(&dir.join(&packages)).unwrap_or_default();
        for name in names.iter().filter(|it| Path::new(it).extension().is_some_and(|it| it == "dist-info")) {
            if let Ok(text) = fs::read_text(&dir.join(&packages).join(name).join("RECORD")) {
                see(&packages, name, &text);
            }
        }
    }
    Ok(())
}

/// The digest and the size that a line of a `RECORD` vouches for, if it does.
fn claim(packages: &Path, line: &str) -> Option<(PathBuf, u64, Sha256)> {
    let (path, digest, size) = listed(packages, line)?;
    Some((path, size.parse().ok()?, Sha256::from_base64(digest.strip_prefix("sha256=")?)?))
}

/// `PATH,sha256=DIGEST,SIZE`, as the packaging specification "Recording installed projects" has it; the last two may be
/// empty. The path is relative to the packages, and quoted if it has a comma or a quote in it.
pub(super) fn listed<'a>(packages: &Path, line: &'a str) -> Option<(PathBuf, &'a str, &'a str)> {
    let (rest, size) = line.trim_end().rsplit_once(',')?;
    let (path, digest) = rest.rsplit_once(',')?;
    let quoted = path.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    let path = quoted.map_or_else(|| path.to_owned(), |it| it.replace("\"\"", "\""));
    let mut inside = packages.to_owned();
    for part in Path::new(&path).components() {
        match part {
            Component::Normal(name) => inside.push(name),
            Component::CurDir => {}
            Component::ParentDir => inside.pop().then_some(())?,
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some((inside, digest, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claims_of_packages_are_read_as_they_are_written() {
        let digest = "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        let check = |line: String, expected: Option<&str>| {
            let found = claim(Path::new("lib/python3.12/site-packages"), &line);
            let expected = expected.map(|path| (PathBuf::from(path), 7, Sha256::of("")));
            assert_eq!(found, expected, "{line}");
        };
        check(format!("a/b c.py,{digest},7"), Some("lib/python3.12/site-packages/a/b c.py"));
        check(format!("../../../bin/tqdm,{digest},7\r"), Some("bin/tqdm"));
        check(format!("\"a,\"\"b\"\".py\",{digest},7"), Some("lib/python3.12/site-packages/a,\"b\".py"));
        check("a.dist-info/RECORD,,".to_owned(), None);
        check(format!("a.py,{},7", digest.replace("256", "384")), None);
        check(format!("a.py,{digest},"), None);
        check(format!("/etc/passwd,{digest},7"), None);
        check(format!("../../../../../x,{digest},7"), None);
        check("a.py".to_owned(), None);
    }

    #[test]
    fn two_packages_that_disagree_about_a_file_are_both_not_believed() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let packages = dir.path().join("lib/python3.12/site-packages");
        let one = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
        for (name, size) in [("a", 0), ("b", 1)] {
            let info = packages.join(format!("{name}.dist-info"));
            fs::create_dir_all(&info).expect("created");
            let record =
                format!("shared.py,sha256={one},{size}\nsame.py,sha256={one},0\n{name}.py,sha256={one},0\n");
            fs::write_atomic(&info.join("RECORD"), record).expect("written");
        }
        let known = Known::of_environment(dir.path()).expect("read");
        let mut paths: Vec<_> = known.files.keys().filter_map(|it| it.file_name()?.to_str()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["a.py", "b.py", "same.py"]);
    }
}
