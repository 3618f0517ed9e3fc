//! Control groups: how much memory a container, a service or a batch job may use of the machine's.

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = "/sys/fs/cgroup";

/// Version 1 says "unlimited" by the largest number of whole pages; nobody has that much memory.
const UNLIMITED: u64 = 1 << 60;

/// Bytes that this process and its neighbours in the group may use; `None` where nothing limits them.
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_in(Path::new(ROOT), &groups)
}

/// The smallest limit on the way from the group up, because each holds.
fn limit_in(root: &Path, groups: &str) -> Option<u64> {
    let files = files(root, groups);
    files.iter().filter_map(|it| read(it)).min()
}

/// Of both versions, see `cgroups(7)`: `0::/a/b` is version 2, `4:memory:/a/b` version 1. Inside of a container the
/// paths may name groups that only its host sees; the root is then the container's own.
fn files(root: &Path, groups: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (base, name) = match (number, controllers) {
            ("0", "") => (root.to_owned(), "memory.max"),
            (_, it) if it.split(',').any(|it| it == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let relative = Path::new(path.trim_start_matches('/'));
        // A group outside of our name space is written with `..`.
        let inside = relative.components().all(|it| matches!(it, std::path::Component::Normal(_)));
        let relative = if inside { relative } else { Path::new("") };
        found.extend(relative.ancestors().map(|it| base.join(it).join(name)));
    }
    found
}

fn read(file: &Path) -> Option<u64> {
    // `max` in version 2 is no number.
    fs::read_to_string(file).ok()?.trim().parse().ok().filter(|it| *it < UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temp dir");
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write(path, text).expect("written");
        }
        dir
    }

    #[test]
    fn the_smallest_limit_on_the_way_up_holds() {
        let check = |files: &[(&str, &str)], groups: &str, expected| {
            assert_eq!(limit_in(root(files).path(), groups), expected, "{groups}");
        };
        let v2 = [("a/memory.max", "4096\n"), ("a/b/memory.max", "max\n"), ("c/memory.max", "1\n")];
        check(&v2, "0::/a/b\n", Some(4096));
        check(&v2, "0::/\n", None);
        check(&[("memory.max", "8192\n")], "0::/../../host/only\n", Some(8192));
        let v1 = [
            ("memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("memory/d/memory.limit_in_bytes", "512\n"),
        ];
        check(&v1, "7:cpu,cpuacct:/d\n4:memory:/d\n0::/\n", Some(512));
        check(&v1, "4:memory:/\n", None);
        check(&[], "", None);
    }
}
