//! A program that is talked to: its input and output are pipes, what it complains about is kept for later.

use std::{
    io::{self, Read, Write},
    os::unix::process::CommandExt,
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use nix::{sys::signal::Signal, unistd::Pid};

use super::process::{CommandSpec, ProcessError, end_with_parent};

/// Of what a program complains about the end is kept, in bytes.
const KEPT: usize = 4096;

/// A program that runs. What is written here it reads.
#[derive(Debug)]
pub struct Conversation {
    child: Child,
    to: Mutex<ChildStdin>,
    complaints: JoinHandle<Vec<u8>>,
}

impl CommandSpec {
    /// Starts it, and returns what it says as well. It ends with us.
    pub fn converse(&self) -> Result<(Conversation, ChildStdout), ProcessError> {
        let mut command = self.command();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        end_with_parent(&mut command);
        let mut child = self.started(super::process::spawn(&mut command))?;
        let (Some(to), Some(from), Some(errors)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            let missing = io::Error::other("a pipe is missing");
            return Err(ProcessError::Start { program: self.program.clone(), source: missing });
        };
        let complaints = thread::spawn(move || last_of(errors));
        Ok((Conversation { child, to: Mutex::new(to), complaints }, from))
    }
}

impl Conversation {
    /// Ends the program at once. It is still waited for.
    pub fn break_off(&self) {
        // It is not waited for yet, so the number is still its own.
        let _ = nix::sys::signal::kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL);
    }

    /// Hangs up and waits for the program's end; the end of what it complained about, else how it ended.
    pub fn end(self) -> String {
        let Self { mut child, to, complaints } = self;
        drop(to);
        let status = child.wait();
        let said = complaints.join().unwrap_or_default();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        match status {
            Ok(status) if said.is_empty() => super::process::describe(status),
            Ok(_) | Err(_) => said,
        }
    }
}

impl Write for &Conversation {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

fn last_of(mut from: impl Read) -> Vec<u8> {
    let (mut kept, mut piece) = (vec![], [0; KEPT]);
    while let Ok(count @ 1..) = from.read(&mut piece) {
        kept.extend_from_slice(&piece[..count]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::{io::BufRead, path::Path};

    use crate::platform::Env;

    use super::*;

    fn shell(script: &str) -> CommandSpec {
        CommandSpec::new("/bin/sh", &Env::from([("PATH", "/usr/bin:/bin")]), Path::new("/"))
            .args(["-c", script])
    }

    #[test]
    fn what_is_said_is_answered_and_complaints_come_at_the_end() {
        let (conversation, from) =
            shell("read x; echo got $x; echo oh >&2; exit 3").converse().expect("started");
        writeln!(&conversation, "this").expect("written");
        let mut line = String::new();
        io::BufReader::new(from).read_line(&mut line).expect("read");
        assert_eq!((line.as_str(), conversation.end().as_str()), ("got this\n", "oh"));
        let (conversation, _from) = shell("exit 3").converse().expect("started");
        assert_eq!(conversation.end(), "exit code 3");
    }

    #[test]
    fn a_program_that_does_not_answer_is_broken_off() {
        let (conversation, mut from) = shell("exec sleep 600").converse().expect("started");
        conversation.break_off();
        assert_eq!(from.read(&mut [0; 8]).expect("its end"), 0);
        assert_eq!(conversation.end(), "signal 9");
    }
}
