//! Temporary names, which say whose they are, and what is left under such names by processes that were killed.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use super::{
    fs::{Result, names, remove_tree},
    process,
};

/// A name beside `path` that says it is temporary and whose it is: `.NAME.PURPOSE-PID`.
pub fn beside(path: &Path, purpose: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{purpose}-{}", std::process::id()))
}

/// A name beside `path` for its next content; threads that write the same file have one each.
pub(super) fn draft(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", COUNT.fetch_add(1, Ordering::Relaxed)));
    beside(&path.with_file_name(name), "tmp")
}

/// What was left [`beside`] something in `dir`. Only who holds the lock on `dir` may remove it: for directories the number
/// of a living process proves nothing, because in a container the next one has the same. Files are also written without
/// the lock, so those of others who live are theirs still.
pub fn leftovers(dir: &Path) -> Result<Vec<PathBuf>> {
    let is_left = |name: &OsString| {
        let owner = temporary(name).map(|(_, owner)| owner);
        owner.is_some_and(|it| !is_another(it) || dir.join(name).is_dir())
    };
    Ok(names(dir)?.into_iter().filter(is_left).map(|name| dir.join(name)).collect())
}

/// Removes what processes that are gone left [`beside`] `path`.
pub fn remove_leftovers(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    for name in names(dir)? {
        let Some((of, owner)) = temporary(&name) else { continue };
        if path.file_name().is_some_and(|it| is_of(it, &of)) && !process::is_alive(owner) {
            remove_tree(&dir.join(&name))?;
        }
    }
    Ok(())
}

/// `of` is the name itself, or one that [`draft`] made of it.
fn is_of(name: &OsStr, of: &str) -> bool {
    let number = of.rsplit_once('.').filter(|(_, number)| number.parse::<u64>().is_ok());
    name == of || number.is_some_and(|(rest, _)| name == rest)
}

/// The name and the owner in a name that [`beside`] made.
fn temporary(name: &OsStr) -> Option<(String, i32)> {
    let name = name.to_str()?;
    let (rest, owner) = name.strip_prefix('.')?.rsplit_once('-')?;
    let (of, purpose) = rest.rsplit_once('.')?;
    ["tmp", "old"].contains(&purpose).then_some(())?;
    Some((of.to_owned(), owner.parse().ok()?))
}

/// A living process, and not this one.
pub fn is_another(pid: i32) -> bool {
    pid.unsigned_abs() != std::process::id() && process::is_alive(pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fs::{create_dir_all, write_new};

    #[test]
    fn leftovers_are_known_by_their_names() {
        let dir = tempfile::tempdir().expect("a temp dir");
        for name in [".node.tmp-1", ".venv.old-3", ".node.tmp-x", ".dpgui", "node.tmp-4", ".gitignore-5"] {
            create_dir_all(&dir.path().join(name)).expect("created");
        }
        let (mine, of_the_dead) = (beside(&dir.path().join("b"), "tmp"), format!(".a.tmp-{}", i32::MAX));
        for name in [Path::new(".dpgui.toml.tmp-1"), Path::new(&of_the_dead), &mine] {
            write_new(&dir.path().join(name), "").expect("written");
        }
        let found: Vec<_> = leftovers(dir.path())
            .expect("listed")
            .into_iter()
            .map(|it| it.file_name().map(OsString::from))
            .collect();
        let mine = mine.file_name().map(OsString::from);
        assert_eq!(
            found,
            [Some(of_the_dead.into()), mine, Some(".node.tmp-1".into()), Some(".venv.old-3".into())]
        );
    }

    #[test]
    fn only_leftovers_of_processes_that_are_gone_are_removed() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("node");
        let mine = beside(&path, "tmp");
        let of_the_dead = dir.path().join(format!(".node.tmp-{}", i32::MAX));
        let draft_of_the_dead = dir.path().join(format!(".node.7.tmp-{}", i32::MAX));
        for made in [&mine, &of_the_dead, &draft_of_the_dead, &dir.path().join(".node.settings")] {
            create_dir_all(made).expect("created");
        }
        remove_leftovers(&path).expect("removed");
        let left = [mine.file_name().expect("a name"), ".node.settings".as_ref()];
        let mut left = left.map(OsString::from);
        left.sort();
        assert_eq!(names(dir.path()).expect("listed"), left);
    }
}
