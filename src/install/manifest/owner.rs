//! Which packages of a Python environment a file belongs to.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use crate::{platform::fs::FsError, vendor::requirements::package_name};

use super::{
    Manifest, is_record,
    known::{each_record, listed},
};

/// A package that says of some files that they are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Normalised as in PEP 503.
    pub name: String,
    /// Relative to the environment, all of them.
    pub files: HashSet<PathBuf>,
}

impl Owner {
    /// Those to whom at least one of `damaged` belongs, of the environment in `dir` that is to consist of `all`. Where the
    /// very list of a package is damaged, what no other one lists is taken for its own.
    pub fn of_damaged(dir: &Path, all: &Manifest, damaged: &HashSet<&Path>) -> Result<Vec<Self>, FsError> {
        let lost: Vec<&&Path> = damaged.iter().filter(|it| is_record(it)).collect();
        let mut owners = vec![];
        let mut claimed = HashSet::new();
        each_record(dir, &mut |packages, info, text| {
            if lost.iter().any(|it| it.parent() == Some(&packages.join(info))) {
                return;
            }
            let files: HashSet<PathBuf> =
                text.lines().filter_map(|line| Some(listed(packages, line)?.0)).collect();
            if !lost.is_empty() {
                claimed.extend(files.iter().cloned());
            }
            if files.iter().any(|it| damaged.contains(it.as_path())) {
                owners.push(Self { name: name(&info.to_string_lossy()), files });
            }
        })?;
        let paths = all.entries().iter().map(|(path, _)| path);
        let unclaimed: HashSet<PathBuf> =
            paths.filter(|it| !claimed.contains(*it) && !is_bare(it)).cloned().collect();
        owners.extend(lost.into_iter().filter_map(|record| {
            let info = record.parent()?.file_name()?;
            Some(Self { name: name(&info.to_string_lossy()), files: unclaimed.clone() })
        }));
        Ok(owners)
    }
}

/// Made with the environment itself, by uv 0.12.5, and by no package.
fn is_bare(path: &Path) -> bool {
    let Some(name) = path.file_name().and_then(|it| it.to_str()) else { return false };
    let starts_with = |starts: &[&str]| starts.iter().any(|it| name.starts_with(it));
    match path.parent().and_then(|it| it.file_name()?.to_str()) {
        None => ["pyvenv.cfg", ".gitignore", ".lock", "CACHEDIR.TAG", "lib64"].contains(&name),
        Some("bin") => starts_with(&["python", "activate", "deactivate.", "pydoc."]),
        Some("site-packages") => starts_with(&["_virtualenv."]),
        Some(_) => false,
    }
}

/// `NVIDIA_cublas-13.0.dist-info` is about `nvidia-cublas`.
fn name(info: &str) -> String {
    let stem = info.rsplit_once('.').map_or(info, |(stem, _)| stem);
    package_name(stem.rsplit_once('-').map_or(stem, |(name, _version)| name))
}

#[cfg(test)]
mod tests {
    use super::{super::Known, *};
    use crate::platform::fs;

    const PACKAGES: &str = "lib/python3.12/site-packages";

    /// An environment with these packages, each with what its `RECORD` lists, and a manifest of it.
    fn environment(packages: &[(&str, &str)]) -> (tempfile::TempDir, Manifest) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let write = |path: &Path, text: &str| {
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write_atomic(path, text).expect("written");
        };
        for bare in ["pyvenv.cfg", "bin/python3", &format!("{PACKAGES}/_virtualenv.py")] {
            write(&dir.path().join(bare), "");
        }
        for (info, files) in packages {
            let packages = dir.path().join(PACKAGES);
            files.lines().for_each(|it| write(&packages.join(it.split(',').next().expect("a path")), ""));
            write(&packages.join(info).join("RECORD"), files);
        }
        let manifest = Manifest::of_tree(dir.path(), &Known::default()).expect("looked at");
        (dir, manifest)
    }

    fn owners(dir: &Path, all: &Manifest, damaged: &[&str]) -> Vec<Owner> {
        let paths: Vec<PathBuf> = damaged
            .iter()
            .map(|it| {
                Path::new(it.strip_prefix("/").map_or(PACKAGES, |_| "")).join(it.trim_start_matches('/'))
            })
            .collect();
        Owner::of_damaged(dir, all, &paths.iter().map(PathBuf::as_path).collect()).expect("read")
    }

    #[test]
    fn a_file_belongs_to_all_who_list_it() {
        let (dir, all) = environment(&[
            ("NVIDIA_cublas.x-13.0.dist-info", "nvidia/__init__.py,,\nnvidia/blas.so,sha256=x,1\n"),
            ("nvidia_nccl-2.0+cu13.dist-info", "nvidia/__init__.py,,\n../../../bin/nccl,,\n"),
            ("numpy-1.0.dist-info", "numpy.py,,\nnumpy-1.0.dist-info/RECORD,,\n"),
        ]);
        let check = |damaged: &[&str], expected: &[&str]| {
            let owners = owners(dir.path(), &all, damaged);
            let names: Vec<&str> = owners.iter().map(|it| it.name.as_str()).collect();
            assert_eq!(names, expected, "{damaged:?}");
        };
        check(&["nvidia/__init__.py"], &["nvidia-cublas-x", "nvidia-nccl"]);
        check(&["/bin/nccl"], &["nvidia-nccl"]);
        check(&["/pyvenv.cfg", "numpy.py"], &["numpy"]);
        check(&["/pyvenv.cfg"], &[]);
    }

    #[test]
    fn what_nobody_lists_belongs_to_the_package_whose_list_is_damaged() {
        let (dir, all) = environment(&[
            ("numpy-1.0.dist-info", "numpy.py,,\n../../../bin/f2py,,\nnumpy-1.0.dist-info/METADATA,,\n"),
            ("toml-1.0.dist-info", "toml.py,,\ntoml-1.0.dist-info/RECORD,,\n"),
        ]);
        let record = "numpy-1.0.dist-info/RECORD";
        // It is there, but nobody knows what it says by now.
        fs::write_atomic(&dir.path().join(PACKAGES).join(record), "toml.py,,\n").expect("written");
        let found = owners(dir.path(), &all, &[record]);
        let packages = Path::new(PACKAGES);
        let own =
            [packages.join("numpy.py"), packages.join("numpy-1.0.dist-info/METADATA"), packages.join(record)];
        let files = own.into_iter().chain([PathBuf::from("bin/f2py")]).collect();
        assert_eq!(found, [Owner { name: "numpy".to_owned(), files }]);
    }
}
