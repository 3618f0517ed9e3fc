//! The memory of GPUs around a run's end: that it is free again is what a stop is for.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    output::{Event, Line, size},
    platform::{Host, gpu::Sampler},
};

use super::devices::Devices;

/// Bytes in use on each GPU of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InUse(BTreeMap<u32, u64>);

/// What a GPU has got back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "vram-freed")]
pub struct Freed {
    pub gpu: u32,
    pub bytes: u64,
    /// By whomever.
    pub still_used: u64,
}

/// As it is now; nothing for a run on the CPU.
pub fn in_use(host: &Host, devices: &Devices) -> InUse {
    let Devices::Gpus(_) = devices else { return InUse::default() };
    let samples = devices.own(Sampler::new(host).sample());
    InUse(samples.iter().filter_map(|it| Some((it.index, it.memory_used?))).collect())
}

impl InUse {
    /// What is free now and was not then.
    pub fn freed_since(&self, before: &Self) -> Vec<Freed> {
        let freed = |(gpu, now): (&u32, &u64)| {
            let bytes = before.0.get(gpu)?.checked_sub(*now).filter(|bytes| *bytes > 0)?;
            Some(Freed { gpu: *gpu, bytes, still_used: *now })
        };
        self.0.iter().filter_map(freed).collect()
    }
}

impl Event for Freed {
    fn line(&self) -> Option<Line> {
        let Self { gpu, bytes, still_used } = self;
        let text = format!("{} on GPU {gpu}, {} still in use", size::bytes(*bytes), size::bytes(*still_used));
        Some(Line { verb: "Freed", text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_gpu_got_back_is_told() {
        let in_use = |all: &[(u32, u64)]| InUse(all.iter().copied().collect());
        let freed =
            in_use(&[(0, 100), (1, 700), (3, 1)]).freed_since(&in_use(&[(0, 1100), (1, 700), (2, 9)]));
        assert_eq!(freed, [Freed { gpu: 0, bytes: 1000, still_used: 100 }]);
    }
}
