//! A file that lies on no disk, for libraries that read from files alone.

use std::{
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::{Result, context};

/// A file that is there for as long as this lives.
#[derive(Debug)]
pub struct InMemory {
    /// Where this process finds it.
    pub path: PathBuf,
    _file: File,
}

/// A file with `bytes` in it; `name` is for messages.
pub fn in_memory(name: &str, bytes: &[u8]) -> Result<InMemory> {
    let made = memfd_create(name, MFdFlags::MFD_CLOEXEC).map_err(std::io::Error::from);
    let mut file = File::from(made.map_err(context("make in memory", Path::new(name)))?);
    file.write_all(bytes).map_err(context("write in memory", Path::new(name)))?;
    Ok(InMemory { path: PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())), _file: file })
}
