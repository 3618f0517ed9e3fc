//! Programs of others that do part of the work: uv and pip, with their failures sorted into ours.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::Duration,
};

use crate::{
    error::Kind,
    platform::{halt::Halt, process::CommandSpec},
};

use super::InstallError;

/// Lines of a failed program's output that are shown.
const TAIL: usize = 20;

/// Between two looks at a program that is under way.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Runs it to the end, handing over each line. `what` is how people call it.
///
/// # Errors
/// When it fails, with its last lines and the exit code of the cause that they name; [`InstallError::GivenUp`] when `halt`
/// is called.
pub fn run(
    halt: &Halt,
    command: &CommandSpec,
    what: &str,
    on_line: &mut dyn FnMut(&str),
) -> Result<(), InstallError> {
    run_watched(halt, command, what, on_line, &|_| ())
}

/// As [`run`]; between its lines `look` is called twice a second with the number of its process.
pub fn run_watched(
    halt: &Halt,
    command: &CommandSpec,
    what: &str,
    on_line: &mut dyn FnMut(&str),
    look: &(dyn Fn(u32) + Sync),
) -> Result<(), InstallError> {
    let mut said = vec![];
    let status = thread::scope(|scope| {
        // Its end is dropped when the program has ended, and that ends the looking.
        let (_running, ended) = mpsc::channel::<()>();
        let watch = move |pid| {
            scope.spawn(move || {
                while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                    look(pid);
                }
            });
        };
        command.stream(halt, watch, &mut |line| {
            said.push(line.to_owned());
            on_line(line);
        })
    })?;
    if status.success() {
        return Ok(());
    }
    if halt.is_called() {
        return Err(InstallError::GivenUp);
    }
    let tail = said[said.len().saturating_sub(TAIL)..].join("\n");
    Err(InstallError::Program { what: what.to_owned(), status, kind: kind_of(&tail), tail })
}

/// uv and pip have one exit code for everything; their texts tell the cases apart that need exit codes of their own.
fn kind_of(said: &str) -> Kind {
    let says = |signs: &[&str]| signs.iter().any(|sign| said.contains(sign));
    if says(&[
        "No space left on device",
        "Permission denied",
        "Read-only file system",
        "Failed to initialize cache",
        "ENOSPC",
        "EACCES",
    ]) {
        Kind::Disk
    } else if says(&["Hash mismatch", "hash mismatch", "EINTEGRITY", "DO NOT MATCH THE HASHES"]) {
        Kind::Integrity
    } else if says(&[
        "Failed to fetch",
        "error sending request",
        "Request failed",
        "dns error",
        "Connect",
        // uv of an index that wants a password: 401 or 403.
        "could not be queried",
        "No matching distribution found",
        "Could not find a version that satisfies",
        // npm's.
        "ECONNREFUSED",
        "ENOTFOUND",
        "ETIMEDOUT",
        "ECONNRESET",
        "EAI_AGAIN",
    ]) {
        // pip says that it found no distribution when it could not ask; a pinned version is there if the index is.
        Kind::Network
    } else {
        Kind::Failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_gets_the_exit_code_of_its_cause() {
        let check = |said, expected| assert_eq!(kind_of(said), expected, "{said}");
        check(
            "error: Failed to fetch: `http://127.0.0.1:1/simple/toml/`\n  Caused by: dns error",
            Kind::Network,
        );
        check("ERROR: No matching distribution found for uv==0.12.5", Kind::Network);
        // uv 0.12.5 of an index that answers with 401.
        check(
            "  × No solution found when resolving dependencies:\n  ╰─▶ Because toml was not found in the package registry\n\n      \
             hint: An index URL (http://127.0.0.1:1/simple/) could not be queried due to a lack of valid authentication \
             credentials (401 Unauthorized).",
            Kind::Network,
        );
        check(
            "error: failed to write to file\n  Caused by: No space left on device (os error 28)",
            Kind::Disk,
        );
        // uv 0.12.5 with `HOME=/proc`.
        check(
            "error: Failed to initialize cache at `/proc/.cache/uv`\n  Caused by: No such file or directory",
            Kind::Disk,
        );
        check("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", Kind::Integrity);
        check("  × No solution found when resolving dependencies", Kind::Failed);
    }
}
