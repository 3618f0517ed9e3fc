//! What is left of a run after SIGKILL: it is in the hands of the kernel, which people have to know.

use serde::{Deserialize, Serialize};

use crate::platform::procfs::{self, Process, ProcessId};

/// A process that was killed and does not end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    #[serde(flatten)]
    pub process: ProcessId,
    pub name: String,
    /// It waits for something in the kernel where no signal reaches it.
    pub uninterruptible: bool,
}

/// Those that do not end.
pub(super) fn among(all: &[Process]) -> Vec<Stuck> {
    let look = |process: &Process| {
        let (name, state) = procfs::condition(process.id)?;
        Some(Stuck { process: process.id, name, uninterruptible: state == 'D' })
    };
    all.iter().filter_map(look).collect()
}

/// For people: who does not end, and why as far as that can be seen.
pub fn sentence(all: &[Stuck]) -> String {
    let named = all.iter().map(|Stuck { process, name, uninterruptible }| {
        let why =
            if *uninterruptible { ": it is uninterruptible, in the kernel, usually in a driver" } else { "" };
        format!("process {} (`{name}`) was killed and does not end{why}", process.pid)
    });
    named.collect::<Vec<_>>().join("; ")
}
