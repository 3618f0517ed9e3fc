//! Locks that the kernel frees when their holders die, however they die.
//!
//! The `flock` on the file is the truth. The file's text only says what its holders call themselves: who holds it now
//! is asked of `/proc`, because a lock outlives its taker where a child has inherited it. Lock files are never removed.

use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind, Write},
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::error::{Kind, Report};

use super::{
    checkpoint::{Checkpoint, reach},
    clock,
    fs::{self, FsError},
    process, procfs,
};

/// Longer than anybody takes to see whether a lock is held, and how often that is waited for.
const GLANCE: Duration = Duration::from_millis(10);
const GLANCES: u32 = 10;

/// A wait that people notice, and how often they want to be told that it goes on.
const NOTICE: Duration = Duration::from_millis(200);
const REMIND: Duration = Duration::from_secs(30);

/// The text of the lock file is forgotten beyond this: it is a line for each that shared the lock, in bytes.
const LONGEST_TEXT: u64 = 1 << 14;

/// Held until it is dropped or the process ends, and by every child that it is handed on to (see
/// [`process::CommandSpec::spawn`]) until that one ends too.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

/// What to do about a lock that others hold.
#[derive(Clone, Copy)]
pub enum Wait<'a> {
    /// Fail, and say who they are.
    No,
    /// Wait. Who they are is told after a moment, again and again.
    Telling(&'a (dyn Fn(&str) + Sync)),
}

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("`{}` is locked by {holder}", path.display())]
    Held { path: PathBuf, holder: String },
    #[error("the file system of `{}` has no locks", path.display())]
    Unsupported { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Report for LockError {
    fn kind(&self) -> Kind {
        match self {
            Self::Held { .. } => Kind::Locked,
            Self::Unsupported { .. } => Kind::Unsupported,
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Held { holder, .. } => Some(match training(holder) {
                // Which may take days.
                Some(run) => format!(
                    "wait for it to finish or end it with `dpgui stop {run}`, then run the same command again"
                ),
                None => "wait for it to finish, then run the same command again".to_owned(),
            }),
            Self::Unsupported { .. } => Some(
                "choose a workspace on a local disk with `-C DIR`, or have locks turned on where this one is"
                    .to_owned(),
            ),
            Self::Fs(cause) => cause.hint(),
        }
    }
}

/// The run that holds a lock, if it is one: `process 7 (training 20261128T141237Z-wan)`.
fn training(holder: &str) -> Option<&str> {
    holder.split_once("(training ")?.1.split(')').next()
}

/// How a lock is held.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Exclusive,
    Shared,
}

impl Lock {
    /// Takes the lock for this process alone. `purpose` is what other people are told.
    pub fn exclusive(path: &Path, purpose: &str, wait: Wait<'_>) -> Result<Self, LockError> {
        Self::take(path, Mode::Exclusive, purpose, wait)
    }

    /// Takes the lock beside others that share it.
    pub fn shared(path: &Path, purpose: &str, wait: Wait<'_>) -> Result<Self, LockError> {
        Self::take(path, Mode::Shared, purpose, wait)
    }

    /// Takes the lock, alone or beside others, if that can be done in this very moment; who has it is not looked for.
    pub fn attempt(path: &Path, purpose: &str, shared: bool) -> Result<Option<Self>, LockError> {
        let file = open(path)?;
        let mode = if shared { Mode::Shared } else { Mode::Exclusive };
        match mode.attempt(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(cause)) => return Err(refused(path)(cause)),
        }
        sign(&file, mode, purpose);
        Ok(Some(Self { file }))
    }

    /// Waits for the lock. For work that is done in a moment, whoever does it.
    pub fn wait(path: &Path) -> Result<Self, LockError> {
        let file = open(path)?;
        Mode::Exclusive.block(&file).map_err(refused(path))?;
        Ok(Self { file })
    }

    /// Waits until nobody has the lock alone, and leaves it to others. In the kernel, for as long as it takes.
    pub fn wait_until_free(path: &Path) -> Result<(), LockError> {
        Mode::Shared.block(&open(path)?).map_err(refused(path))
    }

    /// Somebody has the lock alone right now. A file that is not there is not locked.
    pub fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Who holds the lock now, alone or with others; `None` if nobody does. The lock itself is left alone.
    pub fn holder(path: &Path) -> Option<String> {
        let holders = procfs::lock_holders(path);
        (!holders.is_empty()).then(|| described(path, &holders))
    }

    fn take(path: &Path, mode: Mode, purpose: &str, wait: Wait<'_>) -> Result<Self, LockError> {
        let file = open(path)?;
        match (mode.glance(&file, wait), wait) {
            (Ok(()), _) => {}
            (Err(TryLockError::WouldBlock), Wait::No) => {
                let holder = described(path, &procfs::lock_holders(path));
                return Err(LockError::Held { path: path.to_owned(), holder });
            }
            (Err(TryLockError::WouldBlock), Wait::Telling(tell)) => {
                block(&file, path, mode, tell).map_err(refused(path))?;
            }
            (Err(TryLockError::Error(cause)), _) => return Err(refused(path)(cause)),
        }
        sign(&file, mode, purpose);
        reach(Checkpoint::Locked);
        Ok(Self { file })
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Mode {
    /// [`Lock::is_held`] has the lock for a moment too: who does not wait for others waits for that one.
    fn glance(self, file: &File, wait: Wait<'_>) -> Result<(), TryLockError> {
        let glances = if matches!(wait, Wait::No) { GLANCES } else { 0 };
        for _ in 0..glances {
            match self.attempt(file) {
                Err(TryLockError::WouldBlock) => clock::pause(GLANCE),
                taken => return taken,
            }
        }
        self.attempt(file)
    }

    fn attempt(self, file: &File) -> Result<(), TryLockError> {
        match self {
            Self::Exclusive => file.try_lock(),
            Self::Shared => file.try_lock_shared(),
        }
    }

    fn block(self, file: &File) -> io::Result<()> {
        loop {
            let taken = match self {
                Self::Exclusive => file.lock(),
                Self::Shared => file.lock_shared(),
            };
            match taken {
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                taken => return taken,
            }
        }
    }
}

/// Waits in the kernel, so that the lock is had in the moment it is free, and tells about it meanwhile.
fn block(file: &File, path: &Path, mode: Mode, tell: &(dyn Fn(&str) + Sync)) -> io::Result<()> {
    thread::scope(|scope| {
        // Its end is dropped when the lock is taken, and that ends the telling.
        let (_waiting, taken) = mpsc::channel::<()>();
        scope.spawn(move || {
            let mut pause = NOTICE;
            while taken.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                tell(&described(path, &procfs::lock_holders(path)));
                pause = REMIND;
            }
        });
        mode.block(file)
    })
}

/// Says in the file who has it. A full disk has no room for that; the lock is held all the same.
fn sign(mut file: &File, mode: Mode, purpose: &str) {
    let long = file.metadata().is_ok_and(|found| found.len() > LONGEST_TEXT);
    if mode == Mode::Exclusive || long {
        let _ = file.set_len(0);
    }
    let _ = file.write_all(format!("process {} ({purpose})\n", std::process::id()).as_bytes());
}

/// `process 12 (dpgui setup)`: what the taker of a lock called itself, or the command line of whoever has it now.
fn described(path: &Path, holders: &[procfs::LockHolder]) -> String {
    let text = fs::read_optional(path).ok().flatten().unwrap_or_default();
    // A number may have been another process's before.
    let signed = |pid: i32| text.lines().rev().find(|line| line.starts_with(&format!("process {pid} (")));
    let mut told: Vec<String> = vec![];
    for holder in holders {
        let name = signed(holder.taker).map(str::to_owned).or_else(|| {
            let words = procfs::command_line(holder.pid)?;
            Some(format!("process {} (`{}`)", holder.pid, process::as_typed(words)))
        });
        let name = name.unwrap_or_else(|| format!("process {}", holder.pid));
        if !told.contains(&name) {
            told.push(name);
        }
    }
    if told.is_empty() {
        // In another container or on another machine: there is only the text, which may be an earlier holder's.
        return text.lines().last().filter(|it| !it.is_empty()).unwrap_or("another process").to_owned();
    }
    told.join(" and ")
}

fn refused(path: &Path) -> impl FnOnce(io::Error) -> LockError {
    let path = path.to_owned();
    move |source| match source.raw_os_error().map(nix::Error::from_raw) {
        Some(nix::Error::ENOLCK | nix::Error::EOPNOTSUPP | nix::Error::ENOSYS) => {
            LockError::Unsupported { path, source }
        }
        _ => fs::context("lock", &path)(source).into(),
    }
}

fn open(path: &Path) -> Result<File, FsError> {
    File::options()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
        .map_err(fs::context("open the lock", path))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::platform::{
        Env,
        process::{Apart, CommandSpec},
    };

    #[test]
    fn who_is_held_up_by_a_training_is_told_how_to_end_it() {
        let hint = |holder: &str| {
            LockError::Held { path: "setup.lock".into(), holder: holder.to_owned() }.hint().expect("a hint")
        };
        assert!(
            hint("process 7 (training 20261128T141237Z-wan)").contains("`dpgui stop 20261128T141237Z-wan`")
        );
        assert!(!hint("process 7 (dpgui setup)").contains("stop"));
    }

    fn lock_file() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("setup.lock");
        (dir, path)
    }

    fn own(purpose: &str) -> String {
        format!("process {} ({purpose})", std::process::id())
    }

    #[test]
    fn a_second_taker_is_told_who_holds_the_lock() {
        let (_dir, path) = lock_file();
        assert!(!Lock::is_held(&path));
        let held = Lock::exclusive(&path, "dpgui setup", Wait::No).expect("free");
        assert!(Lock::is_held(&path));
        assert_eq!(Lock::holder(&path), Some(own("dpgui setup")));
        for taken in [Lock::exclusive(&path, "x", Wait::No), Lock::shared(&path, "x", Wait::No)] {
            let expected = format!("`{}` is locked by {}", path.display(), own("dpgui setup"));
            assert_eq!(taken.expect_err("held").to_string(), expected);
        }
        drop(held);
        assert_eq!(Lock::holder(&path), None, "its text says so still, and is not believed");
        Lock::exclusive(&path, "dpgui setup", Wait::No).expect("free again");
    }

    #[test]
    fn who_shares_a_lock_keeps_out_who_wants_it_alone() {
        let (_dir, path) = lock_file();
        let one = Lock::shared(&path, "training one", Wait::No).expect("free");
        let other = Lock::shared(&path, "training other", Wait::No).expect("shared");
        assert!(!Lock::is_held(&path), "nobody has it alone");
        let error = Lock::exclusive(&path, "dpgui setup", Wait::No).expect_err("shared");
        // Both are this process, and its last word counts.
        assert!(error.to_string().ends_with(&own("training other")), "{error}");
        drop((one, other));
        Lock::exclusive(&path, "dpgui setup", Wait::No).expect("free again");
    }

    #[test]
    fn a_lock_that_was_handed_on_outlives_its_taker_and_its_holder_is_named() {
        let (dir, path) = lock_file();
        let held = Lock::shared(&path, "training", Wait::No).expect("free");
        let null = || fs::open_null().expect("opened");
        let sleep = CommandSpec::new("/bin/sleep", &Env::default(), dir.path()).arg("600");
        let mut child = sleep.spawn(Apart::Group, &[&held], null(), null()).expect("started");
        let mut other = sleep.spawn(Apart::Group, &[], null(), null()).expect("started");
        drop(held);
        let error = Lock::exclusive(&path, "dpgui setup", Wait::No).expect_err("the child has it");
        assert!(error.to_string().ends_with(&own("training")), "{error}");
        std::fs::write(&path, "").expect("emptied");
        let error = Lock::exclusive(&path, "dpgui setup", Wait::No).expect_err("the child has it");
        let holder = format!("is locked by process {} (`/bin/sleep 600`)", child.id());
        assert!(error.to_string().ends_with(&holder), "{error}");
        child.kill().and_then(|()| child.wait()).expect("ended");
        Lock::exclusive(&path, "dpgui setup", Wait::No).expect("free: nobody else inherited it");
        other.kill().and_then(|()| other.wait()).expect("ended");
    }

    #[test]
    fn who_waits_is_told_for_whom_and_goes_on_when_the_lock_is_free() {
        let (_dir, path) = lock_file();
        let held = Mutex::new(Some(Lock::exclusive(&path, "dpgui setup", Wait::No).expect("free")));
        let told = Mutex::new(vec![]);
        let tell = |holder: &str| {
            told.lock().expect("not poisoned").push(holder.to_owned());
            held.lock().expect("not poisoned").take();
        };
        Lock::exclusive(&path, "another", Wait::Telling(&tell)).expect("free in the end");
        assert_eq!(*told.lock().expect("not poisoned"), [own("dpgui setup")]);
    }

    #[test]
    fn the_names_of_those_who_share_a_lock_do_not_pile_up() {
        let (_dir, path) = lock_file();
        let _one = Lock::shared(&path, "training one", Wait::No).expect("free");
        for _ in 0..1000 {
            Lock::shared(&path, "training other", Wait::No).expect("shared");
        }
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.len() as u64 <= LONGEST_TEXT + 100, "{} bytes", text.len());
        assert_eq!(Lock::holder(&path), Some(own("training other")));
    }

    #[test]
    fn a_file_system_without_locks_is_named() {
        let path = Path::new("/nfs/setup.lock");
        let check = |error: nix::Error, expected: &str, kind| {
            let error = refused(path)(error.into());
            assert_eq!((error.to_string().as_str(), error.kind()), (expected, kind));
        };
        let none = "the file system of `/nfs/setup.lock` has no locks";
        check(nix::Error::ENOLCK, none, Kind::Unsupported);
        check(nix::Error::EOPNOTSUPP, none, Kind::Unsupported);
        check(nix::Error::EIO, "cannot lock `/nfs/setup.lock`", Kind::Disk);
    }

    #[test]
    fn looking_whether_a_lock_is_held_keeps_nobody_from_taking_it() {
        let (_dir, path) = lock_file();
        let glance = File::create(&path).expect("created");
        glance.try_lock_shared().expect("free");
        thread::scope(|scope| {
            let taker = scope.spawn(|| Lock::exclusive(&path, "dpgui setup", Wait::No).map(drop));
            clock::pause(GLANCE);
            drop(glance);
            taker.join().expect("it ran").expect("free after a moment");
        });
    }
}
