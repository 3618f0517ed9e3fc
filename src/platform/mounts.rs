//! Mounted file systems: which one a path lies on, how it is mounted, and how full it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::unistd::AccessFlags;

/// A line of `/proc/self/mountinfo`, see `proc_pid_mountinfo(5)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    pub point: PathBuf,
    /// `ext4`, `overlay`, `nfs4`.
    pub kind: String,
    /// `ro`, `noexec`: of the mount and of the file system below it.
    pub options: Vec<String>,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes.
    pub total: u64,
    /// Bytes that this user can still write.
    pub available: u64,
    /// How many files can still be made; `None` where they are not counted.
    pub files: Option<u64>,
}

impl Mount {
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|it| it == option)
    }
}

/// The file system of `path` or, if that is not there yet, of the nearest directory that is.
pub fn of(path: &Path) -> Option<Mount> {
    find(&fs::read_to_string("/proc/self/mountinfo").ok()?, &nearest(path))
}

/// # Errors
/// When the file system does not answer.
pub fn space(path: &Path) -> std::io::Result<Space> {
    let stat = nix::sys::statvfs::statvfs(&nearest(path))?;
    let block = stat.fragment_size();
    Ok(Space {
        total: stat.blocks().saturating_mul(block),
        available: stat.blocks_available().saturating_mul(block),
        // btrfs and some network file systems have no fixed number of them, and say 0.
        files: (stat.files() > 0).then(|| stat.files_available()),
    })
}

/// This user may make files in `path` or, if that is not there yet, in the nearest directory that is. Nothing is
/// written to find out.
pub fn is_writable(path: &Path) -> bool {
    nix::unistd::access(&nearest(path), AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// Without links, because mount points have none.
fn nearest(path: &Path) -> PathBuf {
    path.ancestors().find_map(|it| it.canonicalize().ok()).unwrap_or_else(|| PathBuf::from("/"))
}

/// The innermost mount that `path` lies in; of several at the same place the last one hides the others.
fn find(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(parse).filter(|it| path.starts_with(&it.point));
    mounts.max_by_key(|it| it.point.components().count())
}

fn parse(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(4);
    let (point, options) = (fields.next()?, fields.next()?);
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?.to_owned();
    let options = options.split(',').chain(filesystem.nth(1)?.split(','));
    Some(Mount { point: unescaped(point), kind, options: options.map(str::to_owned).collect() })
}

/// The kernel writes blanks, tabs, line ends and backslashes as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 0:20 / / rw,relatime - overlay overlay rw,lowerdir=/l
30 22 0:25 / /dev/shm rw,nosuid,nodev,noexec - tmpfs shm rw,size=65536k
31 22 8:1 / /work rw,relatime shared:1 - ext4 /dev/sda1 rw
32 31 0:40 / /work/my\\040data rw,noexec - nfs4 server:/x rw,vers=4.2
33 31 0:41 / /work rw - xfs /dev/sdb1 ro,noquota
";

    #[test]
    fn a_path_lies_on_the_innermost_mount_that_nothing_hides() {
        let check = |path: &str, expected: &str| {
            let found = find(MOUNTS, Path::new(path)).expect("a mount");
            assert_eq!(format!("{} {}", found.point.display(), found.kind), expected, "{path}");
        };
        check("/home/u", "/ overlay");
        check("/dev/shm", "/dev/shm tmpfs");
        check("/dev/shmem", "/ overlay");
        check("/work/x", "/work xfs");
        check("/work/my data/x", "/work/my data nfs4");
    }

    #[test]
    fn options_of_the_mount_and_of_what_is_mounted_both_count() {
        let has = |path: &str, option| find(MOUNTS, Path::new(path)).expect("a mount").has(option);
        assert!(has("/work/my data", "noexec"));
        assert!(has("/work/x", "ro"));
        assert!(!has("/home", "ro"));
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_judged_by_the_nearest_that_is() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let deep = dir.path().join("a/b");
        assert!(is_writable(&deep));
        assert_eq!(of(&deep), of(dir.path()));
        let space = space(&deep).expect("an answer");
        assert!(0 < space.available && space.available <= space.total, "{space:?}");
    }
}
