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
    let found = gpu::processes(host).into_iter().filter(|it| ids.contains(&it.index) && !is_ours(it.pid));
    let stranger = |process: GpuProcess| {
        let command = procfs::command_line(process.pid).map(process::as_typed);
        Stranger { process, command }
    };
    found.map(stranger).collect()
}

/// It carries the mark of a run: whoever shares a GPU with that one has said so.
fn is_ours(pid: i32) -> bool {
    procfs::processes().iter().any(|it| it.id.pid == pid && it.variable(COOKIE).is_some())
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
