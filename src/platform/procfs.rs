//! The processes of this machine as `/proc` shows them.

use std::{
    ffi::{OsStr, OsString},
    fmt, fs,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// One process and no later one that got its number: the number and the time it started at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: i32,
    /// Clock ticks since boot.
    pub started: u64,
}

/// A living process. Zombies are not: they hold nothing and cannot be signalled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub id: ProcessId,
    pub parent: i32,
    pub session: i32,
}

impl ProcessId {
    /// The calling process.
    pub fn own() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// The process that has this number now, zombies excepted.
    pub fn of(pid: i32) -> Option<Self> {
        read(pid).map(|process| process.id)
    }

    /// Whoever ends is told of to us.
    pub fn is_our_child(self) -> bool {
        let own = i32::try_from(std::process::id()).ok();
        // A zombie is one still.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        let parent = |stat: &str| stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(1)?.parse().ok();
        parent(&stat) == own
    }

    pub fn is_alive(self) -> bool {
        Self::of(self.pid) == Some(self)
    }
}

/// Bytes that the process has handed to `write` so far; 0 if it cannot be asked. Sockets are not counted.
pub fn bytes_written(pid: u32) -> u64 {
    let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let written = io.lines().find_map(|line| line.strip_prefix("wchar: ")?.parse().ok());
    written.unwrap_or(0)
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pid.fmt(f)
    }
}

impl Process {
    /// The value of a variable in the environment that the process was started with; `None` if it is another user's.
    pub fn variable(&self, name: &str) -> Option<String> {
        let environ = fs::read(self.path("environ")).ok()?;
        environ.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(String::from_utf8_lossy(value).into_owned())
        })
    }

    /// The process has one of these files open for writing. They must be as the kernel names them: real paths, without
    /// links in them, and ` (deleted)` behind them if they are.
    pub fn writes_to(&self, files: &[PathBuf]) -> bool {
        self.handle_for_writing(files).is_some()
    }

    /// By which it has one of these files open for writing; whoever opens that opens the file.
    pub fn handle_for_writing(&self, files: &[PathBuf]) -> Option<PathBuf> {
        // The links are read and not followed: what they lead to may be on a server that does not answer.
        self.handles_for_writing(|target| files.iter().any(|it| it == target)).next()
    }

    /// By which it has the pipe open for writing that is called `name`, wherever it is now, and is the very one of `like`.
    pub fn handle_of_pipe(&self, name: &OsStr, like: &fs::Metadata) -> Option<PathBuf> {
        let named = |link: &Path| {
            let last = link.file_name().map(OsStr::as_bytes).unwrap_or_default();
            last.strip_suffix(b" (deleted)").unwrap_or(last) == name.as_bytes()
        };
        let is_like = |it: &fs::Metadata| (it.dev(), it.ino()) == (like.dev(), like.ino());
        // Only what is called like it is looked at: see `handle_for_writing`.
        self.handles_for_writing(named).find(|handle| fs::metadata(handle).is_ok_and(|it| is_like(&it)))
    }

    fn handles_for_writing(&self, is_wanted: impl Fn(&Path) -> bool) -> impl Iterator<Item = PathBuf> {
        let handles = fs::read_dir(self.path("fd")).into_iter().flatten().flatten();
        handles.filter_map(move |handle| {
            let info = self.path("fdinfo").join(handle.file_name());
            let is_one = fs::read_link(handle.path()).is_ok_and(|target| is_wanted(&target))
                && fs::read_to_string(info).is_ok_and(|info| is_for_writing(&info));
            is_one.then(|| handle.path())
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.id.pid))
    }
}

/// A living process that holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockHolder {
    pub pid: i32,
    /// Who took it, which may have ended: a lock is inherited with the file.
    pub taker: i32,
}

/// Who holds a `flock` on the file, as far as this user may see. Those who wait for it do not count.
pub fn lock_holders(file: &Path) -> Vec<LockHolder> {
    let Ok(found) = fs::metadata(file) else { return vec![] };
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let holders = processes().into_iter().filter_map(|process| {
        let handles = fs::read_dir(process.path("fd")).ok()?;
        let ours = handles.flatten().filter(|it| fs::read_link(it.path()).is_ok_and(|to| to == file));
        let taker = ours.into_iter().find_map(|handle| {
            let info = fs::read_to_string(process.path("fdinfo").join(handle.file_name())).ok()?;
            Some(parse_lock(info.lines().find_map(|line| line.strip_prefix("lock:"))?)?.0)
        })?;
        Some(LockHolder { pid: process.id.pid, taker })
    });
    let mut holders: Vec<LockHolder> = holders.collect();
    if holders.is_empty() {
        // The handles of other users' processes cannot be seen, their locks can.
        let all = fs::read_to_string("/proc/locks").unwrap_or_default();
        let held = all.lines().filter_map(parse_lock).filter(|(_, inode)| *inode == found.ino());
        // A number of 0 is a process of another container.
        holders.extend(held.filter(|(pid, _)| *pid > 0).map(|(pid, _)| LockHolder { pid, taker: pid }));
    }
    holders
}

/// How long these processes have computed, all together.
pub fn processor_time(of: &[ProcessId]) -> Duration {
    /// Per second, whatever the kernel's own clock does: see `proc_pid_stat(5)` and `sysconf(_SC_CLK_TCK)`.
    const TICKS: u64 = 100;
    let ticks = of.iter().filter(|it| it.is_alive()).filter_map(|process| {
        let stat = fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
        let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    });
    Duration::from_millis(ticks.sum::<u64>() * 1000 / TICKS)
}

/// One of these processes has a child that ended and that it has not waited for.
pub fn has_dead_child(of: &[ProcessId]) -> bool {
    let Ok(entries) = fs::read_dir("/proc") else { return false };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok()).any(|stat| {
        let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
        fields.next() == Some("Z")
            && fields
                .next()
                .and_then(|it| it.parse().ok())
                .is_some_and(|parent: i32| of.iter().any(|it| it.pid == parent))
    })
}

/// What a process was started with, word by word; `None` if it is gone or a thread of the kernel.
pub fn command_line(pid: i32) -> Option<Vec<OsString>> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.strip_suffix(b"\0").unwrap_or(&line).split(|byte| *byte == 0);
    (!line.is_empty()).then(|| words.map(|it| OsString::from_vec(it.to_vec())).collect())
}

/// It was stopped, or has ended.
pub(super) fn stands_still(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // Behind the name, which may have anything in it: `T` stopped, `t` traced, `Z` and `X` ended.
    stat.rsplit(") ").next().is_none_or(|it| it.is_empty() || it.starts_with(['T', 't', 'Z', 'X']))
}

/// Every living process that can be seen.
pub fn processes() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    entries.flatten().filter_map(|entry| read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// Differs after every boot of the machine; empty where the kernel does not tell.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// What this machine is called.
pub fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// 128 random bits as hexadecimal digits.
pub fn random_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    id.chars().filter(char::is_ascii_hexdigit).collect()
}

/// What a living process is called, and the letter of its state, see `proc_pid_stat(5)`.
pub fn condition(id: ProcessId) -> Option<(String, char)> {
    let stat = fs::read(format!("/proc/{}/stat", id.pid)).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    parse_stat(&stat).filter(|it| it.id == id)?;
    let (before, after) = stat.rsplit_once(") ")?;
    Some((before.split_once('(')?.1.to_owned(), after.chars().next()?))
}

fn read(pid: i32) -> Option<Process> {
    parse_stat(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// The access mode in `/proc/PID/fdinfo/N`, the last octal digit of its flags: 0 reads, 1 writes, 2 does both.
fn is_for_writing(info: &str) -> bool {
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags.is_some_and(|flags| flags.trim().ends_with(['1', '2']))
}

/// A line of `/proc/locks` or of a handle's `lock:`, see `proc_locks(5)`: who took the lock, and the file's inode.
///
/// `1: FLOCK  ADVISORY  WRITE 1234 fe:00:5742987 0 EOF`; with `->` before `FLOCK` it is one that waits.
fn parse_lock(line: &str) -> Option<(i32, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    if fields.next()? != "FLOCK" {
        return None;
    }
    let taker = fields.nth(2)?.parse().ok()?;
    let inode = fields.next()?.rsplit(':').next()?.parse().ok()?;
    Some((taker, inode))
}

/// Fields of `/proc/PID/stat`, see `proc_pid_stat(5)`: the name in brackets may hold spaces and brackets.
fn parse_stat(stat: &str) -> Option<Process> {
    let pid = stat.split(' ').next()?.parse().ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    let started = fields.nth(15)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(Process { id: ProcessId { pid, started }, parent, session })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_it_calls_itself() {
        let check = |stat: &str, expected: Option<Process>| assert_eq!(parse_stat(stat), expected);
        let tail = "1 7 6 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 81234 0 0";
        let process = Process { id: ProcessId { pid: 42, started: 81234 }, parent: 1, session: 6 };
        check(&format!("42 (python) S {tail}"), Some(process.clone()));
        check(&format!("42 (a) R (b) S {tail}"), Some(process));
        check(&format!("42 (python) Z {tail}"), None);
        check("42 (pyth", None);
    }

    #[test]
    fn a_process_knows_itself_and_its_number_alone_is_not_it() {
        let own = ProcessId::own().expect("we run");
        assert!(own.is_alive());
        assert!(!ProcessId { started: own.started + 1, ..own }.is_alive());
    }

    #[test]
    fn whoever_only_reads_a_file_does_not_write_to_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().canonicalize().expect("there").join("file");
        let own = read(std::process::id().cast_signed()).expect("we run");
        let writer = fs::File::create(&path).expect("created");
        assert!(own.writes_to(std::slice::from_ref(&path)));
        drop(writer);
        let _reader = fs::File::open(&path).expect("opened");
        assert!(!own.writes_to(std::slice::from_ref(&path)));
    }

    #[test]
    fn a_lock_is_read_as_the_kernel_writes_it() {
        let check = |line: &str, expected| assert_eq!(parse_lock(line), expected, "{line}");
        check("1: FLOCK  ADVISORY  WRITE 1234 fe:00:5742987 0 EOF", Some((1234, 5_742_987)));
        check("\t2: FLOCK  ADVISORY  READ 0 08:01:7 0 EOF", Some((0, 7)));
        check("1: -> FLOCK  ADVISORY  WRITE 1235 fe:00:5742987 0 EOF", None);
        check("3: POSIX  ADVISORY  WRITE 1234 fe:00:5742987 0 EOF", None);
        check("", None);
    }

    #[test]
    fn an_id_has_128_bits() {
        assert_eq!(random_id().len(), 32);
    }
}
