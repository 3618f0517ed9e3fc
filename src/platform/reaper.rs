//! A process that outlives this one by a moment, and kills what this one started and left.
//!
//! The kernel kills the children of a program that dies ([`super::process`] asks it to), but not what they started: the
//! build that npm or uv runs would go on, and write into a folder that the next setup removes. Those processes are known
//! by a mark in their environment, never by name, so that it does not matter whose children they have become.

use std::{
    io::{self, Read},
    process::{Child, Stdio},
};

use super::{
    Env, Host,
    process::{self, CommandSpec, ProcessError},
    procfs::{self, ProcessId},
};

/// Whose program a process is: the number and start of the dpgui that runs it.
const MARK: &str = "DPGUI_STARTED_BY";

/// Far more often than anything can start another process before it is stopped.
const ROUNDS: u32 = 100;

/// Watches for as long as it is not dropped. Dropped, it makes sure that nothing is left and is gone.
#[derive(Debug)]
pub struct Reaper(Child);

impl Reaper {
    /// Starts it. It kills what has [`mark`]s of this process once this process has ended, in whatever way.
    ///
    /// # Errors
    /// When it cannot start.
    pub fn start(host: &Host) -> Result<Self, ProcessError> {
        let spec = CommandSpec::new(&host.program, &host.env, &host.cwd).args(["__reap", &own_mark()]);
        let mut command = spec.command();
        // The end of its input is the end of this process: nobody else has the other side.
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        process::start_session(&mut command);
        Ok(Self(spec.started(process::spawn(&mut command))?))
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // One that was killed meanwhile leaves no more than there would be without it.
        let _ = self.0.wait();
    }
}

/// Puts the mark of this process on those that are given `env`.
pub fn mark(env: &mut Env) {
    env.set(MARK, own_mark());
}

/// The reaper's own work: waits for the end of `input`, then kills every process with this mark, and what they started.
///
/// # Errors
/// When `input` cannot be read.
pub fn reap(mut input: impl Read, mark: &str) -> io::Result<()> {
    io::copy(&mut input, &mut io::sink())?;
    for _ in 0..ROUNDS {
        let all = procfs::processes();
        let marked: Vec<i32> =
            all.iter().filter(|it| it.variable(MARK).as_deref() == Some(mark)).map(|it| it.id.pid).collect();
        if marked.is_empty() {
            break;
        }
        marked.into_iter().for_each(process::kill_tree);
    }
    Ok(())
}

fn own_mark() -> String {
    ProcessId::own().map(|it| format!("{}-{}", it.pid, it.started)).unwrap_or_default()
}
