//! What a run computes on.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::{
    config::Training,
    platform::{
        Env,
        gpu::{Gpu, GpuSample},
    },
};

use super::RunError;

/// The model type that trains on a CPU too.
const DEMO: &str = "demo";

/// What CUDA programs look at to know which GPUs they may use.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The processors of one run, each with one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Devices {
    /// GPUs by their index in PCI order.
    Gpus(Vec<u32>),
    /// No GPU: this many ranks on the CPU.
    Cpu { ranks: u32 },
}

impl Devices {
    /// Of what was measured of all GPUs of the machine, that of these.
    pub fn own(&self, mut samples: Vec<GpuSample>) -> Vec<GpuSample> {
        let Self::Gpus(ids) = self else { return vec![] };
        samples.retain(|it| ids.contains(&it.index));
        samples
    }

    /// `wanted`, else what `CUDA_VISIBLE_DEVICES` allows, else all; the CPU for the demo where there are none.
    pub fn choose(
        training: &Training,
        wanted: Option<&[u32]>,
        found: &[Gpu],
        env: &Env,
    ) -> Result<Self, RunError> {
        if let Some(ids) = wanted {
            return wanted_gpus(ids, found).map(Self::Gpus);
        }
        // Where there is nothing to choose from, nothing can be chosen wrongly.
        let allowed = env.text_or_empty(VISIBLE).filter(|_| !found.is_empty());
        let ids = match allowed {
            Some(text) => visible(text, found)?,
            None => found.iter().map(|gpu| gpu.index).collect(),
        };
        match training.model.as_deref() {
            _ if !ids.is_empty() => Ok(Self::Gpus(ids.into_iter().collect())),
            Some(DEMO) | None => {
                Ok(Self::Cpu { ranks: u32::try_from(training.pipeline_stages).unwrap_or(u32::MAX) })
            }
            Some(model) if found.is_empty() => Err(RunError::NoGpu { model: model.to_owned() }),
            Some(model) => Err(RunError::NoVisibleGpu { model: model.to_owned() }),
        }
    }

    /// The first `slots` of a machine of a hostfile, as DeepSpeed takes them.
    pub fn for_slots(training: &Training, slots: u32, found: &[Gpu]) -> Result<Self, RunError> {
        match training.model.as_deref() {
            Some(DEMO) | None if found.is_empty() => Ok(Self::Cpu { ranks: slots }),
            Some(model) if found.is_empty() => Err(RunError::NoGpu { model: model.to_owned() }),
            Some(_) | None => wanted_gpus(&(0..slots).collect::<Vec<_>>(), found).map(Self::Gpus),
        }
    }

    /// As `CUDA_VISIBLE_DEVICES` has them; on the CPU DeepSpeed counts ranks there.
    pub fn ids(&self) -> String {
        let ids = match self {
            Self::Gpus(ids) => ids.clone(),
            Self::Cpu { ranks } => (0..*ranks).collect(),
        };
        ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
    }

    pub fn ranks(&self) -> u32 {
        match self {
            Self::Gpus(ids) => u32::try_from(ids.len()).unwrap_or(u32::MAX),
            Self::Cpu { ranks } => *ranks,
        }
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpus(ids) if ids.len() == 1 => write!(f, "GPU {}", ids[0]),
            Self::Gpus(ids) => {
                let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
                write!(f, "GPUs {}", ids.join(", "))
            }
            Self::Cpu { ranks: 1 } => f.write_str("the CPU"),
            Self::Cpu { ranks } => write!(f, "the CPU, {ranks} ranks"),
        }
    }
}

fn wanted_gpus(ids: &[u32], found: &[Gpu]) -> Result<Vec<u32>, RunError> {
    let mut chosen = BTreeSet::new();
    for id in ids {
        if !found.iter().any(|gpu| gpu.index == *id) {
            return Err(RunError::UnknownGpu { id: *id, found: found.len() });
        }
        if !chosen.insert(*id) {
            return Err(RunError::GpuTwice { id: *id, by: "--gpus" });
        }
    }
    Ok(chosen.into_iter().collect())
}

/// The GPUs that `CUDA_VISIBLE_DEVICES` names, by index or by the beginning of a UUID. As CUDA has it, `-1` and what
/// follows it mean none.
fn visible(text: &str, found: &[Gpu]) -> Result<BTreeSet<u32>, RunError> {
    let names = text.split(',').map(str::trim).take_while(|name| !["", "-1", "NoDevFiles"].contains(name));
    let mut chosen = BTreeSet::new();
    for name in names {
        let is_it = |gpu: &&Gpu| {
            let by_uuid = gpu.uuid.as_deref().is_some_and(|uuid| uuid.starts_with(name));
            gpu.index.to_string() == name || (name.starts_with("GPU-") && by_uuid)
        };
        let mut matches = found.iter().filter(is_it);
        // The beginning of two UUIDs names neither.
        let (Some(gpu), None) = (matches.next(), matches.next()) else {
            return Err(RunError::UnknownVisibleGpu { name: name.to_owned(), found: described(found) });
        };
        if !chosen.insert(gpu.index) {
            return Err(RunError::GpuTwice { id: gpu.index, by: VISIBLE });
        }
    }
    Ok(chosen)
}

/// `0 (GPU-8f2c…), 1 (GPU-91ab…)`
fn described(found: &[Gpu]) -> String {
    let one = |gpu: &Gpu| match &gpu.uuid {
        Some(uuid) => format!("{} ({uuid})", gpu.index),
        None => gpu.index.to_string(),
    };
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cuda_may_see_is_all_that_is_used() {
        let gpu = |(index, uuid): (u32, &str)| Gpu {
            index,
            name: "NVIDIA A100".to_owned(),
            uuid: Some(uuid.to_owned()),
            capability: None,
            memory_bytes: None,
        };
        let found: Vec<Gpu> = (0..).zip(["GPU-aa11", "GPU-aa22", "GPU-bb33"]).map(gpu).collect();
        let check = |text: &str, expected: &[u32]| {
            let chosen = visible(text, &found).expect("known");
            assert_eq!(chosen.into_iter().collect::<Vec<_>>(), expected, "{text}");
        };
        check("2, 0", &[0, 2]);
        check("GPU-aa22", &[1]);
        check("GPU-b", &[2]);
        for none in ["", " ", "-1", "NoDevFiles"] {
            check(none, &[]);
        }
        check("1,-1,0", &[1]);
        let refused = |text: &str, expected: &str| {
            assert_eq!(visible(text, &found).expect_err("unknown").to_string(), expected);
        };
        let there = "this machine has 0 (GPU-aa11), 1 (GPU-aa22), 2 (GPU-bb33)";
        for name in ["7", "GPU-aa", "GPU-cc", "MIG-1", "aa11"] {
            refused(
                name,
                &format!("`CUDA_VISIBLE_DEVICES` names `{name}`, which is not one GPU here: {there}"),
            );
        }
        refused("GPU-aa11,0", "`CUDA_VISIBLE_DEVICES` names GPU 0 twice");
    }
}
