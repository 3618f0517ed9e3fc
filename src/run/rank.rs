//! What makes a rank of the process that DeepSpeed's launcher has started: a pipe of its own, and an end with its
//! launcher.

use std::{convert::Infallible, ffi::OsString};

use crate::{
    logs::Stream,
    platform::{Host, fifo, process, procfs::ProcessId, signal},
};

use super::{RunError, dir::RunDir, launch, supervise::Command};

/// Set by the launcher, see `launcher/launch.py`: the first is counted on one machine, the other on all.
const LOCAL_RANK: &str = "LOCAL_RANK";
const RANK: &str = "RANK";

/// Does not return but with an error: from here on this process is the trainer's Python.
pub fn become_rank(dir: &RunDir, host: &Host, command: &[OsString]) -> Result<Infallible, RunError> {
    let number = host.env.text(LOCAL_RANK).unwrap_or("0");
    let stream = host.env.text(RANK).unwrap_or(number).parse().map_or(Stream::Launcher, Stream::Rank);
    // A launcher that is killed cannot tell its ranks.
    signal::end_with_parent().map_err(RunError::Supervisor)?;
    let pipe = fifo::open_for_writers(&dir.pipe(stream))?;
    signal::replace_output(&pipe).map_err(RunError::Supervisor)?;
    drop(pipe);
    // Its end is told to whoever is its parent then. A supervisor that does not listen looks for it by its marks.
    if let Some(process) = ProcessId::own() {
        let command = Command::RankStarted { rank: number.parse().unwrap_or(0), process };
        let _ = fifo::send(&dir.control(), &serde_json::to_string(&command).unwrap_or_default());
    }
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (program, args) = words.split_first().unwrap_or((&words[0], &[]));
    Ok(process::replace_with(program, &launch::with_local_rank(args, number))?)
}
