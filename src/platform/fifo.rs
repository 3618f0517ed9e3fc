//! Named pipes: the trainer's output and the supervisor's commands go through them.
//!
//! A pipe lives as long as somebody has it open. The trainer's processes hold theirs for reading *and* writing, so
//! that no reader's death can break it, and its end is the exact moment at which the last of them is gone.

use std::{
    fs::File,
    io::{self, Write},
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::Path,
};

use nix::{
    fcntl::{FcntlArg, SpliceFFlags, fcntl, splice},
    libc::O_NONBLOCK,
    sys::stat::Mode,
    unistd::mkfifo,
};

use super::fs::{FsError, context};

/// Bytes the kernel keeps while nobody reads: the most an ordinary user may ask for, see `pipe(7)`.
const CAPACITY: i32 = 1 << 20;

/// The longest message that arrives in one piece; `PIPE_BUF` of Linux.
pub const LONGEST_MESSAGE: usize = 4096;

/// Creates a named pipe that only this user can open.
pub fn create(path: &Path) -> Result<(), FsError> {
    mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR)
        .map_err(|cause| context("create the pipe", path)(cause.into()))
}

/// A handle for a program to write to: open both ways, so that it neither blocks nor breaks without a reader.
pub fn open_for_writers(path: &Path) -> Result<File, FsError> {
    let file = File::options().read(true).write(true).open(path).map_err(context("open", path))?;
    // Refused where the user's pipes are many already; the default of 64 KiB works too.
    let _ = fcntl(&file, FcntlArg::F_SETPIPE_SZ(CAPACITY));
    Ok(file)
}

/// A handle that reads until the last writer is gone, without waiting.
pub fn open_for_reader(path: &Path) -> Result<File, FsError> {
    File::options().read(true).custom_flags(O_NONBLOCK).open(path).map_err(context("open", path))
}

/// A handle that reads messages, whoever sends them and whenever: it never sees an end.
pub fn open_for_messages(path: &Path) -> Result<File, FsError> {
    File::options().read(true).write(true).custom_flags(O_NONBLOCK).open(path).map_err(context("open", path))
}

/// Sends one line if somebody reads, and says whether somebody does. Who leaves so much unread that there is no room
/// does not.
pub fn send(path: &Path, message: &str) -> Result<bool, FsError> {
    let opened = File::options().write(true).custom_flags(O_NONBLOCK).open(path);
    let mut pipe = match opened {
        Err(cause) if cause.raw_os_error() == Some(nix::libc::ENXIO) => return Ok(false),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened.map_err(context("open", path))?,
    };
    let line = format!("{message}\n");
    debug_assert!(line.len() <= LONGEST_MESSAGE, "longer messages may be torn");
    match pipe.write_all(line.as_bytes()) {
        // Who went away while we were at it does not read any more.
        Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::BrokenPipe) => {
            Ok(false)
        }
        written => written.map(|()| true).map_err(context("write to", path)),
    }
}

/// Moves what is in `pipe` to the end of `file`, inside the kernel: a process killed at any moment has either
/// moved a byte or left it in the pipe. Returns 0 at the pipe's end.
pub fn move_into(pipe: impl AsFd, file: &File, limit: usize) -> io::Result<usize> {
    Ok(splice(pipe, None, file, None, limit, SpliceFFlags::SPLICE_F_NONBLOCK)?)
}

/// Bytes that are in `pipe` and were not taken yet.
pub fn waiting(pipe: impl AsFd) -> io::Result<u64> {
    Ok(rustix::io::ioctl_fionread(pipe)?)
}

/// Takes what is in `pipe` and fits into `bytes`, for where the kernel cannot move it by itself; 0 at the pipe's end.
pub fn read(pipe: impl AsFd, bytes: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(pipe, bytes)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_pipe_whose_reader_is_gone_keeps_what_is_written_for_the_next_one() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("output.fifo");
        create(&path).expect("created");
        let reader = open_for_reader(&path).expect("opened");
        let mut writer = open_for_writers(&path).expect("opened");
        drop(reader);
        writer.write_all(b"not lost").expect("neither blocks nor breaks");
        let mut next = open_for_reader(&path).expect("opened");
        drop(writer);
        let mut text = String::new();
        next.read_to_string(&mut text).expect("read to the end");
        assert_eq!(text, "not lost");
    }

    #[test]
    fn a_message_reaches_nobody_when_nobody_reads() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("control");
        assert!(!send(&path, "stop").expect("no pipe, no reader"));
        create(&path).expect("created");
        assert!(!send(&path, "stop").expect("no reader"));
        let mut reader = open_for_messages(&path).expect("opened");
        assert!(send(&path, "stop").expect("sent"));
        let mut bytes = [0; 64];
        let count = reader.read(&mut bytes).expect("read");
        assert_eq!(&bytes[..count], b"stop\n");
        let sent = (0..1 << 20).take_while(|_| send(&path, "stop").expect("sent or not")).count();
        assert!(sent < 1 << 20, "the pipe is full at some point");
    }
}
