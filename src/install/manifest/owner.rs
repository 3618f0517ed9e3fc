//! Which packages of a Python environment a file belongs to.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use crate::{platform::fs::FsError, vendor::requirements::package_name};

use super::known::{each_record, listed};

/// A package that says of some files that they are its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Normalised as in PEP 503.
    pub name: String,
    /// Relative to the environment, all of them.
    pub files: HashSet<PathBuf>,
}

impl Owner {
    /// Those in the environment in `dir` to whom at least one of `paths` belongs.
    pub fn of_any(dir: &Path, paths: &HashSet<&Path>) -> Result<Vec<Self>, FsError> {
        let mut owners = vec![];
        each_record(dir, &mut |packages, info, text| {
            let files = || text.lines().filter_map(|line| Some(listed(packages, line)?.0));
            if files().any(|it| paths.contains(it.as_path())) {
                owners.push(Self { name: name(&info.to_string_lossy()), files: files().collect() });
            }
        })?;
        Ok(owners)
    }
}

/// `NVIDIA_cublas-13.0.dist-info` is about `nvidia-cublas`.
fn name(info: &str) -> String {
    let stem = info.rsplit_once('.').map_or(info, |(stem, _)| stem);
    package_name(stem.rsplit_once('-').map_or(stem, |(name, _version)| name))
}

#[cfg(test)]
mod tests {
    use crate::platform::fs;

    use super::*;

    #[test]
    fn a_file_belongs_to_all_who_list_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let site = Path::new("lib/python3.12/site-packages");
        for (info, files) in [
            ("NVIDIA_cublas.x-13.0.dist-info", "nvidia/__init__.py,,\nnvidia/blas.so,sha256=x,1\n"),
            ("nvidia_nccl-2.0+cu13.dist-info", "nvidia/__init__.py,,\n../../../bin/nccl,,\n"),
            ("numpy-1.0.dist-info", "numpy.py,,\nnumpy-1.0.dist-info/RECORD,,\n"),
        ] {
            let info = dir.path().join(site).join(info);
            fs::create_dir_all(&info).expect("created");
            fs::write_atomic(&info.join("RECORD"), files).expect("written");
        }
        let check = |paths: &[&str], expected: &[&str]| {
            let paths = paths.iter().map(Path::new).collect();
            let owners = Owner::of_any(dir.path(), &paths).expect("read");
            let names: Vec<&str> = owners.iter().map(|it| it.name.as_str()).collect();
            assert_eq!(names, expected, "{paths:?}");
        };
        check(&["lib/python3.12/site-packages/nvidia/__init__.py"], &["nvidia-cublas-x", "nvidia-nccl"]);
        check(&["bin/nccl"], &["nvidia-nccl"]);
        check(&["pyvenv.cfg", "lib/python3.12/site-packages/numpy.py"], &["numpy"]);
        check(&["pyvenv.cfg"], &[]);
    }
}
