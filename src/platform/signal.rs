//! Signals, and the ties between processes: orphans, and who is told when a child ends.

use std::{fs::File, io, os::fd::AsFd, thread};

use nix::{
    errno::Errno,
    sys::{
        prctl,
        signal::{SigHandler, Signal, kill, signal},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{self, Pid},
};
use rustix::process::{PidfdFlags, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use signal_hook::iterator::Signals;

use super::procfs::ProcessId;

/// What a process can be told by us, mildest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Force {
    /// SIGINT: Python unwinds as from Ctrl-C.
    Int,
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// The machine went down with it.
    Reboot,
    /// Nobody was there to be told.
    Unknown,
}

/// Signals exactly this process: one that took over its number is left alone. Gone already is fine.
pub fn send(process: ProcessId, force: Force) {
    deliver(process, force.of_rustix(), force.of_nix());
}

/// Lets a process go on that SIGSTOP or a terminal has stopped.
pub fn go_on(process: ProcessId) {
    deliver(process, rustix::process::Signal::CONT, Signal::SIGCONT);
}

fn deliver(process: ProcessId, signal: rustix::process::Signal, of_nix: Signal) {
    let Some(pid) = rustix::process::Pid::from_raw(process.pid) else { return };
    let handle = pidfd_open(pid, PidfdFlags::empty());
    // Only now: whoever has the number at this moment is whom the handle stands for.
    if !process.is_alive() {
        return;
    }
    match handle {
        Ok(handle) => {
            let _ = pidfd_send_signal(handle, signal);
        }
        // Kernels before 5.3 and some sandboxes have no such handles.
        Err(_) => {
            let _ = kill(Pid::from_raw(process.pid), of_nix);
        }
    }
}

impl Force {
    const fn of_rustix(self) -> rustix::process::Signal {
        match self {
            Self::Int => rustix::process::Signal::INT,
            Self::Term => rustix::process::Signal::TERM,
            Self::Kill => rustix::process::Signal::KILL,
        }
    }

    const fn of_nix(self) -> Signal {
        match self {
            Self::Int => Signal::SIGINT,
            Self::Term => Signal::SIGTERM,
            Self::Kill => Signal::SIGKILL,
        }
    }
}

/// Cuts the ties to the program that started this one: no working directory is kept busy, signals that a parent
/// ignored (`nohup`) are heard again. Orphans below become children of this process.
pub fn become_supervisor() -> io::Result<()> {
    unistd::chdir("/")?;
    for which in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGCHLD] {
        set_default(which)?;
    }
    Ok(prctl::set_child_subreaper(true)?)
}

#[expect(unsafe_code, reason = "dispositions can be set in no other way")]
fn set_default(which: Signal) -> io::Result<()> {
    // SAFETY: the default disposition runs no code of ours.
    unsafe { signal(which, SigHandler::SigDfl) }?;
    Ok(())
}

/// Points stdout at `file` instead of what it was, for whoever reads the other end.
pub fn replace_stdout(file: &File) -> io::Result<()> {
    Ok(unistd::dup2_stdout(file.as_fd())?)
}

/// The same with stderr.
pub fn replace_stderr(file: &File) -> io::Result<()> {
    Ok(unistd::dup2_stderr(file.as_fd())?)
}

/// Points stdout and stderr at `file`.
pub fn replace_output(file: &File) -> io::Result<()> {
    unistd::dup2_stdout(file.as_fd())?;
    Ok(unistd::dup2_stderr(file.as_fd())?)
}

/// This process, whatever program it becomes, is killed when its parent ends.
pub fn end_with_parent() -> io::Result<()> {
    let parent = unistd::getppid();
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    // One that ended a moment ago sends no signal any more.
    if unistd::getppid() == parent && parent != Pid::from_raw(1) {
        return Ok(());
    }
    Err(io::Error::other("the launcher has ended"))
}

/// The children that have ended since the last call.
pub fn reap() -> Vec<(i32, Exit)> {
    let mut ended = vec![];
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) => ended.push((pid.as_raw(), Exit::Code(code))),
            Ok(WaitStatus::Signaled(pid, signal, _)) => {
                ended.push((pid.as_raw(), Exit::Signal(signal as i32)));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return ended,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return ended,
        }
    }
}

/// From now on Ctrl-C does not end this process: `on_interrupt` is called instead, in a thread of its own, with the
/// count so far.
pub fn catch_interrupts(mut on_interrupt: impl FnMut(u32) + Send + 'static) -> io::Result<()> {
    let mut interrupts = Signals::new([Signal::SIGINT as i32])?;
    thread::spawn(move || {
        for (_, count) in interrupts.forever().zip(1..) {
            on_interrupt(count);
        }
    });
    Ok(())
}

/// Ends this process by SIGINT, as if it had not been caught: whoever started it can tell.
pub fn end_interrupted() {
    let _ = signal_hook::low_level::emulate_default_handler(Signal::SIGINT as i32);
}

/// SIGHUP: the terminal is gone.
pub const HANG_UP: i32 = Signal::SIGHUP as i32;

/// From now on no signal that asks this process to end does so: `on_signal` is called instead, in a thread of its own.
pub fn catch_ends(mut on_signal: impl FnMut(i32) + Send + 'static) -> io::Result<()> {
    let ends = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT];
    let mut signals = Signals::new(ends.map(|it| it as i32))?;
    thread::spawn(move || {
        for signal in signals.forever() {
            on_signal(signal);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, path::Path};

    use crate::platform::{Env, process::CommandSpec};

    use super::*;

    #[test]
    fn a_process_that_took_over_a_number_is_not_signalled() {
        let sleep = CommandSpec::new("/bin/sleep", &Env::default(), Path::new("/")).arg("60");
        let mut child = sleep.command().spawn().expect("sleep starts");
        let id = ProcessId::of(child.id().try_into().expect("a number")).expect("it lives");
        send(ProcessId { started: id.started + 1, ..id }, Force::Kill);
        send(id, Force::Term);
        assert_eq!(child.wait().expect("ended").signal(), Some(15), "the first signal was for another");
    }
}
