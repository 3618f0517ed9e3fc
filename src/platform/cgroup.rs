//! Control groups: how much memory a container, a service or a batch job may use of the machine's.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

const ROOT: &str = "/sys/fs/cgroup";

/// Version 1 says "unlimited" by the largest number of whole pages; nobody has that much memory.
const UNLIMITED: u64 = 1 << 60;

/// Bytes that this process and its neighbours in the group may use; `None` where nothing limits them.
pub fn memory_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    limit_in(Path::new(ROOT), &groups)
}

/// How many processes the kernel has killed so far because memory was short. Only differences mean something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomKills {
    /// In this process's control group and those below it.
    pub group: Option<u64>,
    /// On the whole machine.
    pub machine: Option<u64>,
}

impl OomKills {
    pub fn sample() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let machine = fs::read_to_string("/proc/vmstat").ok();
        Self { group: kills_in(Path::new(ROOT), &groups), machine: machine.and_then(|it| kills(&it)) }
    }

    /// Those since `before`: of the group if it counts them, else of the machine. `None` if nobody does.
    pub fn since(self, before: Self) -> Option<u64> {
        let rise = |now: Option<u64>, before: Option<u64>| Some(now?.saturating_sub(before?));
        rise(self.group, before.group).or_else(|| rise(self.machine, before.machine))
    }
}

/// Of the nearest group that counts them.
fn kills_in(root: &Path, groups: &str) -> Option<u64> {
    let names = ["memory.events", "memory.oom_control"];
    let files = files(root, groups, names);
    files.iter().find_map(|it| kills(&fs::read_to_string(it).ok()?))
}

/// All three files have a line `oom_kill 3`.
fn kills(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// The smallest limit on the way from the group up, because each holds.
fn limit_in(root: &Path, groups: &str) -> Option<u64> {
    let files = files(root, groups, ["memory.max", "memory.limit_in_bytes"]);
    files.iter().filter_map(|it| read(it)).min()
}

/// Of both versions, see `cgroups(7)`: `0::/a/b` is version 2, `4:memory:/a/b` version 1. Inside of a container the
/// paths may name groups that only its host sees; the root is then the container's own. `names` are the file's in
/// version 2 and in version 1.
fn files(root: &Path, groups: &str, names: [&'static str; 2]) -> Vec<PathBuf> {
    let mut found = vec![];
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (base, name) = match (number, controllers) {
            ("0", "") => (root.to_owned(), names[0]),
            (_, it) if it.split(',').any(|it| it == "memory") => (root.join("memory"), names[1]),
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
    fn kills_are_counted_in_the_nearest_group_else_on_the_machine() {
        let files = [
            ("a/memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 0\n"),
            ("memory.events", "oom_kill 9\n"),
            ("memory/d/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"),
        ];
        let check = |groups: &str, expected| assert_eq!(kills_in(root(&files).path(), groups), expected);
        check("0::/a\n", Some(3));
        check("0::/a/b\n", Some(3));
        check("0::/\n", Some(9));
        check("4:memory:/d\n", Some(5));
        check("1:name=systemd:/\n", None);
        let counted = |group, machine| OomKills { group, machine };
        assert_eq!(counted(Some(5), Some(50)).since(counted(Some(3), Some(10))), Some(2));
        assert_eq!(counted(None, Some(50)).since(counted(None, Some(49))), Some(1));
        assert_eq!(counted(None, None).since(counted(Some(3), None)), None);
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
