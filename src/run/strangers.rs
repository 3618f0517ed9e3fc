//! Programs that are no runs of ours and compute where a run is to: they take memory that it will miss.

use serde::Serialize;

use crate::{
    output::size,
    platform::{
        Host,
        gpu::{self, GpuProcess},
        process, procfs,
    },
};

use super::{devices::Devices, spec::COOKIE};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stranger {
    #[serde(flatten)]
    process: GpuProcess,
    /// As it was typed, if it can be seen from here.
    command: Option<String>,
}

/// Those on these devices.
pub fn on(host: &Host, devices: &Devices) -> Vec<Stranger> {
    let Devices::Gpus(ids) = devices else { return vec![] };
    let mut found = gpu::processes(host);
    found.retain(|it| ids.contains(&it.index));
    if found.is_empty() {
        return vec![];
    }
    // Whoever shares a GPU with a run, which carries its mark, has said so.
    let all = procfs::processes();
    found.retain(|it| !all.iter().any(|one| one.id.pid == it.pid && one.variable(COOKIE).is_some()));
    let stranger = |process: GpuProcess| {
        let command = procfs::command_line(process.pid).map(process::as_typed);
        Stranger { process, command }
    };
    found.into_iter().map(stranger).collect()
}

impl Stranger {
    /// For people.
    pub fn sentence(&self) -> String {
        let GpuProcess { index, pid, memory } = self.process;
        let command = self.command.as_ref().map(|it| format!(" (`{it}`)")).unwrap_or_default();
        let memory =
            memory.map_or_else(String::new, |bytes| format!(" and has {} of it", size::bytes(bytes)));
        format!("process {pid}{command} computes on GPU {index}{memory}")
    }
}
