//! Whole directory trees: what is in one, link by link and file by file. No link is ever followed.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use super::fs::{FsError, context};

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    File {
        size: u64,
        /// By its owner.
        executable: bool,
    },
    Link {
        target: PathBuf,
    },
    Directory,
    /// A pipe, a socket, a device.
    Other,
}

/// A path below the root of a walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub path: PathBuf,
    pub is_dir: bool,
}

/// What is at `path`; `None` if nothing is.
pub fn look(path: &Path) -> Result<Option<Node>, FsError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(cause) => return Err(context("look at", path)(cause)),
    };
    Ok(Some(if found.is_file() {
        Node::File { size: found.len(), executable: found.permissions().mode() & 0o100 != 0 }
    } else if found.is_dir() {
        Node::Directory
    } else if found.is_symlink() {
        Node::Link { target: fs::read_link(path).map_err(context("read the link", path))? }
    } else {
        Node::Other
    }))
}

/// Everything below `root`, in no order and without asking for more than the names; what `skip` says yes to is left out
/// with all that is below it.
pub fn walk(root: &Path, skip: &dyn Fn(&Path) -> bool) -> Result<Vec<Place>, FsError> {
    let (mut found, mut todo) = (vec![], vec![PathBuf::new()]);
    while let Some(dir) = todo.pop() {
        let whole = root.join(&dir);
        for entry in fs::read_dir(&whole).map_err(context("list", &whole))? {
            let entry = entry.map_err(context("list", &whole))?;
            let path = dir.join(entry.file_name());
            if skip(&path) {
                continue;
            }
            let is_dir = entry.file_type().map_err(context("look at", &whole))?.is_dir();
            if is_dir {
                todo.push(path.clone());
            }
            found.push(Place { path, is_dir });
        }
    }
    Ok(found)
}

/// Makes at `to`, which is there, the `places` of a walk through `from`: directories anew, links as they are written, and each
/// file as a further name of the same one, or as a copy where a file system has no further names. Pipes and the like
/// are left out.
pub fn mirror(from: &Path, to: &Path, places: &[Place]) -> Result<(), FsError> {
    for Place { path, is_dir } in places {
        let (old, new) = (from.join(path), to.join(path));
        if *is_dir {
            fs::create_dir(&new).map_err(context("create the directory", &new))?;
            continue;
        }
        match look(&old)? {
            Some(Node::File { .. }) => fs::hard_link(&old, &new)
                .or_else(|_| fs::copy(&old, &new).map(drop))
                .map_err(context("copy", &old))?,
            Some(Node::Link { target }) => {
                std::os::unix::fs::symlink(target, &new).map_err(context("create the link", &new))?;
            }
            Some(Node::Directory | Node::Other) | None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fs::{create_dir_all, make_executable, symlink, write_atomic};

    #[test]
    fn a_walk_goes_into_directories_and_not_through_links() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let root = dir.path().join("tree");
        create_dir_all(&root.join("a/b")).expect("created");
        create_dir_all(&root.join("skipped/c")).expect("created");
        write_atomic(&root.join("a/file"), "four").expect("written");
        make_executable(&root.join("a/file")).expect("made so");
        symlink(dir.path(), &root.join("a/up")).expect("linked");
        let mut found = walk(&root, &|path| path.ends_with("skipped")).expect("walked");
        found.sort_by(|one, other| one.path.cmp(&other.path));
        let place = |path: &str, is_dir| Place { path: path.into(), is_dir };
        assert_eq!(
            found,
            [place("a", true), place("a/b", true), place("a/file", false), place("a/up", false)]
        );
        let check = |path: &str, expected| assert_eq!(look(&root.join(path)).expect("looked"), expected);
        check("a/file", Some(Node::File { size: 4, executable: true }));
        check("a/up", Some(Node::Link { target: dir.path().to_owned() }));
        check("a/b", Some(Node::Directory));
        check("a/c", None);
        check("a/file/d", None);
    }

    #[test]
    fn a_mirror_has_the_same_files_and_links_and_not_what_was_skipped() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        create_dir_all(&from.join("a/empty")).expect("created");
        create_dir_all(&to).expect("created");
        write_atomic(&from.join("a/file"), "four").expect("written");
        write_atomic(&from.join("a/not"), "").expect("written");
        symlink(Path::new("../elsewhere"), &from.join("a/link")).expect("linked");
        let places = walk(&from, &|path| path.ends_with("not")).expect("walked");
        mirror(&from, &to, &places).expect("mirrored");
        let mut found = walk(&to, &|_| false).expect("walked");
        let mut expected = places;
        for places in [&mut found, &mut expected] {
            places.sort_by(|one, other| one.path.cmp(&other.path));
        }
        assert_eq!(found, expected);
        assert_eq!(
            look(&to.join("a/link")).expect("looked"),
            Some(Node::Link { target: "../elsewhere".into() })
        );
        let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("there"));
        assert_eq!(inode(&from.join("a/file")), inode(&to.join("a/file")));
    }
}
