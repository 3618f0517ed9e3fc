//! File systems: which one a path lies on, before the path itself exists.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

/// Both lie, or would come to lie, on one file system: files can be linked from one to the other.
pub fn is_shared_by(one: &Path, other: &Path) -> bool {
    device(one).is_some_and(|it| Some(it) == device(other))
}

/// The device of the nearest directory that is there.
fn device(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|it| fs::metadata(it).ok()).map(|it| it.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_there_yet_counts_where_it_would_be() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let check = |one: &Path, other: &Path, expected| assert_eq!(is_shared_by(one, other), expected);
        check(&dir.path().join("a/b"), &dir.path().join("c"), true);
        check(&dir.path().join("a"), Path::new("/proc/self"), false);
    }
}
