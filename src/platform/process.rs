//! Other programs: described as plain data, then run to their end, read line by line, or left running.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use crate::error::{Kind, Report};

use super::{Env, clock, halt::Halt, lock::Lock, mounts, procfs};

/// Far longer than a child takes from its fork to its program, and how often that is waited for.
const BUSY_PAUSE: Duration = Duration::from_millis(10);
const BUSY_TRIES: u32 = 100;

/// A signal takes far less to arrive, unless its process waits for a disk.
const GLANCE: Duration = Duration::from_millis(1);

/// A program to run, its whole environment spelled out: nothing is inherited by accident.
#[derive(Clone, Debug)]
pub struct CommandSpec {
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub env: Env,
    pub cwd: PathBuf,
}

/// How far a program is from our terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// In a process group of its own: Ctrl-C does not reach it.
    Group,
    /// In a session of its own: the end of the terminal does not reach it either.
    Session,
}

/// What a program said until it ended.
#[derive(Clone, Debug)]
pub struct Captured {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    #[error("cannot start `{}`", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("cannot read what `{}` prints", program.display())]
    Output { program: PathBuf, source: io::Error },
    #[error("`{}` did not end within {} s", program.display(), limit.as_secs())]
    TimedOut { program: PathBuf, limit: Duration },
}

impl ProcessError {
    /// Its file system starts no programs. Without that it is the program that may not be run, wherever it lies.
    fn may_not_start(&self) -> bool {
        match self {
            Self::Start { program, source } => {
                source.kind() == io::ErrorKind::PermissionDenied
                    && mounts::of(program).is_some_and(|it| it.has("noexec"))
            }
            Self::Output { .. } | Self::TimedOut { .. } => false,
        }
    }
}

impl Report for ProcessError {
    fn kind(&self) -> Kind {
        if self.may_not_start() { Kind::Disk } else { Kind::Failed }
    }

    fn hint(&self) -> Option<String> {
        self.may_not_start().then(|| {
            "choose a workspace where programs may be started (not mounted `noexec`) with `-C DIR`".to_owned()
        })
    }
}

impl CommandSpec {
    pub fn new(program: impl Into<PathBuf>, env: &Env, cwd: &Path) -> Self {
        Self { program: program.into(), args: vec![], env: env.clone(), cwd: cwd.to_owned() }
    }

    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// The same, started by `program`, which is given `args`, the command and its arguments.
    #[must_use]
    pub fn started_by(self, program: &str, args: &[&str]) -> Self {
        let mut words: Vec<OsString> = args.iter().map(Into::into).collect();
        words.push(self.program.into_os_string());
        words.extend(self.args);
        Self { program: program.into(), args: words, env: self.env, cwd: self.cwd }
    }

    /// The command as one would type it, for messages and logs.
    pub fn display(&self) -> String {
        let words =
            std::iter::once(self.program.as_os_str()).chain(self.args.iter().map(OsString::as_os_str));
        as_typed(words)
    }

    /// The standard library's command, for the caller that has its own plans for the streams.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).env_clear().envs(self.env.iter()).current_dir(&self.cwd);
        command
    }

    /// Runs to the end and returns what was printed, whatever the exit status. Ctrl-C is for us and does not reach it:
    /// an answer that it broke off would be taken for the program's own.
    ///
    /// # Errors
    /// When it cannot start, or is not done within `limit`; then it is killed with all that it started.
    pub fn capture(&self, limit: Duration) -> Result<Captured, ProcessError> {
        let mut command = self.command();
        // Its own group: shims and wrappers start what they stand for, and that is to end at the limit too.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        end_with_parent(&mut command);
        let mut child = self.started(spawn(&mut command))?;
        let stdout = read_in_background(child.stdout.take());
        let stderr = read_in_background(child.stderr.take());
        let both = stdout.recv_timeout(limit).and_then(|out| Ok((out, stderr.recv_timeout(limit)?)));
        let Ok((stdout, stderr)) = both else {
            kill_group(&child);
            let _ = child.wait();
            return Err(ProcessError::TimedOut { program: self.program.clone(), limit });
        };
        let status = self.read(child.wait())?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Captured { status, stdout: text(stdout), stderr: text(stderr) })
    }

    /// Runs to the end with `input` as its own and returns what it printed, as bytes; `None` if it failed, or printed more
    /// than `most`.
    ///
    /// # Errors
    /// As [`Self::capture`].
    pub fn filter(&self, input: File, limit: Duration, most: u64) -> Result<Option<Vec<u8>>, ProcessError> {
        let mut command = self.command();
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        end_with_parent(&mut command);
        let mut child = self.started(spawn(&mut command))?;
        let stdout = read_in_background(child.stdout.take().map(|it| it.take(most + 1)));
        let Ok(bytes) = stdout.recv_timeout(limit) else {
            kill_group(&child);
            let _ = child.wait();
            return Err(ProcessError::TimedOut { program: self.program.clone(), limit });
        };
        let is_all = bytes.len() as u64 <= most;
        if !is_all {
            kill_group(&child);
        }
        let status = self.read(child.wait())?;
        Ok((is_all && status.success()).then_some(bytes))
    }

    /// Runs to the end, handing over its process number once and each line of stdout and stderr as it appears. It ends
    /// with us: killed, we leave nobody behind who would go on writing. And it ends when `halt` is called.
    pub fn stream(
        &self,
        halt: &Halt,
        started: impl FnOnce(u32),
        on_line: &mut dyn FnMut(&str),
    ) -> Result<ExitStatus, ProcessError> {
        let (reader, writer) = self.read(io::pipe())?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(self.read(writer.try_clone())?).stderr(writer);
        end_with_parent(&mut command);
        let mut child = self.started(spawn(&mut command))?;
        let under_way = halt.program(child.id());
        started(child.id());
        // The command holds our copies of the pipe's writing end: the reader would never see its end.
        drop(command);
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while self.read(reader.read_until(b'\n', &mut line))? > 0 {
            on_line(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
        drop(under_way);
        self.read(child.wait())
    }

    /// Starts it without input and leaves it running, its output going where it is told. It holds `lock` from then on
    /// as we do, and after us.
    pub fn spawn(
        &self,
        apart: Apart,
        locks: &[&Lock],
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Result<Child, ProcessError> {
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        match apart {
            Apart::Group => {
                command.process_group(0);
            }
            Apart::Session => start_session(&mut command),
        }
        for lock in locks {
            hand_on(&mut command, lock.as_fd());
        }
        self.started(spawn(&mut command))
    }

    pub(super) fn started<T>(&self, result: io::Result<T>) -> Result<T, ProcessError> {
        result.map_err(|source| ProcessError::Start { program: self.program.clone(), source })
    }

    fn read<T>(&self, result: io::Result<T>) -> Result<T, ProcessError> {
        result.map_err(|source| ProcessError::Output { program: self.program.clone(), source })
    }
}

impl Captured {
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// The last lines of stderr (of stdout if stderr is empty): where programs say why they failed.
    pub fn tail(&self) -> String {
        let text = if self.stderr.trim().is_empty() { &self.stdout } else { &self.stderr };
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

/// Starts it, although it may have been written a moment ago: a child of another thread that has not reached its own
/// program yet still has the file open for writing, and the kernel refuses to execute it.
pub(super) fn spawn(command: &mut Command) -> io::Result<Child> {
    for _ in 0..BUSY_TRIES {
        match command.spawn() {
            Err(cause) if cause.kind() == io::ErrorKind::ExecutableFileBusy => clock::pause(BUSY_PAUSE),
            started => return started,
        }
    }
    command.spawn()
}

/// Words as one would type them in a shell, so that a reader can copy the line.
pub fn as_typed(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    words.into_iter().map(|word| quoted(&word.as_ref().to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// Becomes another program, with the same environment and files; returns only if that cannot be.
pub fn replace_with(program: &str, args: &[String]) -> Result<std::convert::Infallible, ProcessError> {
    let source = Command::new(program).args(args).exec();
    Err(ProcessError::Start { program: PathBuf::from(program), source })
}

/// There is a process of this number, ours to signal or not.
pub fn is_alive(pid: i32) -> bool {
    let asked = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
    asked != Err(nix::Error::ESRCH)
}

/// The child leads its group and is not waited for yet, so the number is still that group's.
fn kill_group(leader: &Child) {
    if let Ok(group) = i32::try_from(leader.id()) {
        // One that has ended by itself meanwhile is what was wanted.
        let _ = nix::sys::signal::killpg(nix::unistd::Pid::from_raw(group), nix::sys::signal::SIGKILL);
    }
}

/// Kills a child of ours that is not waited for yet, with all that it started and they did. They stay in our process
/// group, so that Ctrl-C reaches them all.
///
/// Each is stopped before its children are listed: it could start another one meanwhile, and once it is dead its
/// children are nobody's any more.
pub(super) fn kill_tree(pid: i32) {
    use nix::sys::signal::{Signal, kill};
    let send = |pid, signal| {
        // One that has ended by itself meanwhile is as it should be.
        let _ = kill(nix::unistd::Pid::from_raw(pid), signal);
    };
    let (mut tree, mut next) = (vec![pid], 0);
    while let Some(parent) = tree.get(next).copied() {
        send(parent, Signal::SIGSTOP);
        (0..BUSY_TRIES).take_while(|_| !procfs::stands_still(parent)).for_each(|_| clock::pause(GLANCE));
        let children = procfs::processes().into_iter().filter(|it| it.parent == parent);
        tree.extend(children.map(|it| it.id.pid));
        next += 1;
    }
    for pid in tree {
        send(pid, Signal::SIGKILL);
    }
}

#[expect(unsafe_code, reason = "there is no other way to make the session before the program starts")]
pub(super) fn start_session(command: &mut Command) {
    // SAFETY: `setsid` is one of the functions that may be called between fork and exec.
    unsafe { command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?)) };
}

#[expect(unsafe_code, reason = "there is no other way to ask for it before the program starts")]
pub(super) fn end_with_parent(command: &mut Command) {
    let ask = || Ok(nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?);
    // SAFETY: `prctl` is a plain system call, which may be made between fork and exec.
    unsafe { command.pre_exec(ask) };
}

/// `file` stays open in the program. It must be open until the program has started.
#[expect(
    unsafe_code,
    reason = "files are closed in other programs, and only the child may make an exception"
)]
fn hand_on(command: &mut Command, file: BorrowedFd<'_>) {
    let number = file.as_raw_fd();
    let keep = move || {
        // SAFETY: the child has what its parent has open, under the same number.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        Ok(nix::fcntl::fcntl(file, nix::fcntl::F_SETFD(nix::fcntl::FdFlag::empty())).map(drop)?)
    };
    // SAFETY: `fcntl` is one of the functions that may be called between fork and exec.
    unsafe { command.pre_exec(keep) };
}

/// `exit code 3` or `signal 9`.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}

fn read_in_background(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_filter_there_is_all_that_it_prints_or_nothing() {
        let input = || {
            let mut file = tempfile::tempfile().expect("a file");
            io::Write::write_all(&mut file, b"ab\xff").expect("written");
            io::Seek::rewind(&mut file).expect("rewound");
            file
        };
        let said =
            |script: &str, most| shell(script).filter(input(), Duration::from_secs(20), most).expect("ran");
        assert_eq!(said("cat", 3), Some(b"ab\xff".to_vec()));
        assert_eq!(said("cat", 2), None);
        assert_eq!(said("cat /dev/zero", 1000), None);
        assert_eq!(said("cat; exit 1", 3), None);
        let slow = shell("sleep 60").filter(input(), Duration::from_millis(200), 3).expect_err("too slow");
        assert!(matches!(slow, ProcessError::TimedOut { .. }), "{slow}");
    }
    use crate::platform::{clock::Stopwatch, procfs::ProcessId};

    fn shell(script: &str) -> CommandSpec {
        CommandSpec::new("/bin/sh", &Env::from([("PATH", "/usr/bin:/bin")]), Path::new("/"))
            .args(["-c", script])
    }

    #[test]
    fn a_program_that_does_not_end_is_killed_at_the_limit() {
        let error = shell("exec sleep 60").capture(Duration::from_millis(200)).expect_err("too slow");
        assert_eq!(error.to_string(), "`/bin/sh` did not end within 0 s");
    }

    #[test]
    fn what_a_program_started_is_killed_with_it_at_the_limit() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let file = dir.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        shell(&script).capture(Duration::from_secs(1)).expect_err("too slow");
        let pid: i32 = std::fs::read_to_string(&file).expect("written").trim().parse().expect("a number");
        // Killed is not reaped: that is up to init, and a zombie does not count as a living process.
        let deadline = Stopwatch::start();
        while ProcessId::of(pid).is_some() {
            assert!(deadline.elapsed() < Duration::from_secs(10), "it lives on");
            thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_is_asked_does_not_hear_our_ctrl_c() {
        let captured = shell("cut -d' ' -f5 /proc/$$/stat").capture(Duration::from_secs(10)).expect("ran");
        assert_ne!(captured.stdout.trim(), nix::unistd::getpgrp().to_string());
    }

    #[test]
    fn a_program_that_is_still_open_for_writing_is_started_once_it_is_not() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("program");
        std::fs::write(&path, "#!/bin/sh\necho started\n").expect("written");
        crate::platform::fs::make_executable(&path).expect("made so");
        let writer = std::fs::File::options().append(true).open(&path).expect("opened");
        thread::scope(|scope| {
            let command = CommandSpec::new(&path, &Env::default(), dir.path());
            let said = scope.spawn(move || command.capture(Duration::from_secs(10)));
            clock::pause(BUSY_PAUSE * 3);
            drop(writer);
            assert_eq!(said.join().expect("it ran").expect("started").stdout, "started\n");
        });
    }

    #[test]
    fn lines_of_both_streams_arrive_in_the_order_they_were_written() {
        let mut lines = vec![];
        let status =
            shell("echo one; echo two >&2; printf three")
                .stream(&Halt::default(), drop, &mut |line| lines.push(line.to_owned()));
        assert!(status.expect("ran").success());
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn a_file_without_the_right_to_be_run_is_no_fault_of_the_workspace() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("program");
        std::fs::write(&path, "#!/bin/sh\n").expect("written");
        let error = CommandSpec::new(&path, &Env::default(), dir.path()).capture(Duration::from_secs(10));
        let error = error.expect_err("nobody may run it");
        assert_eq!((error.kind(), error.hint()), (Kind::Failed, None));
    }

    #[test]
    fn the_environment_is_only_what_was_given() {
        let captured = shell("echo [$HOME]").capture(Duration::from_secs(10)).expect("ran");
        assert_eq!(captured.stdout, "[]\n");
    }

    #[test]
    fn a_command_is_shown_as_it_could_be_typed() {
        assert_eq!(shell("it's").display(), r"/bin/sh -c 'it'\''s'");
        assert_eq!(as_typed(["dpgui", "-C", "/my runs/é", "logs"]), "dpgui -C '/my runs/é' logs");
    }
}
