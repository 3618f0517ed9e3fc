//! The NVIDIA driver and its GPUs: what is there ([`detect`]) and what they are doing ([`Sampler`]).
//!
//! Three sources are asked in turn, because each is missing or broken somewhere: NVML (containers may hide `/proc`),
//! the kernel module's own files (NVML fails when library and module differ, as after an update without a reboot),
//! and `nvidia-smi` (libraries in unusual places).
//!
//! `DPGUI_GPU_SOURCE=nvml|proc|nvidia-smi|none` asks only that one. Tests put a fake `nvidia-smi` first on `PATH` and
//! name it there. `CUDA_VISIBLE_DEVICES` is ignored here: it says what one program may use, not what is there.

mod nvml;
mod proc;
mod smi;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{Env, Host};

/// What the machine's NVIDIA driver says about itself and its GPUs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Nvidia {
    pub driver: DriverVersion,
    /// The newest CUDA version (major, minor) that the driver runs natively; only NVML tells.
    pub cuda: Option<(u32, u32)>,
    /// In the order of their PCI addresses, which is NVML's order.
    pub gpus: Vec<Gpu>,
    pub source: Source,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// What `CUDA_VISIBLE_DEVICES` counts with `CUDA_DEVICE_ORDER=PCI_BUS_ID`, and `nvidia-smi -i`.
    pub index: u32,
    pub name: String,
    pub uuid: Option<String>,
    /// The files under `/proc` do not tell.
    pub capability: Option<ComputeCapability>,
    pub memory_bytes: Option<u64>,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Nvml,
    Proc,
    NvidiaSmi,
}

/// `580.65.06`, or `595.84`: the patch number may be missing. Under WSL it is the Windows driver's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct DriverVersion {
    pub major: u32,
    pub minor: u32,
    pub patch: Option<u32>,
}

/// A GPU's generation: 7.0 Volta, 7.5 Turing, 8.x Ampere and Ada, 9.0 Hopper, 10.0 and 12.0 Blackwell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ComputeCapability(pub u32, pub u32);

/// What one GPU is doing at one moment. Cards do not measure everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GpuSample {
    pub index: u32,
    pub utilisation_percent: Option<u32>,
    /// Bytes.
    pub memory_used: Option<u64>,
    /// Bytes.
    pub memory_total: Option<u64>,
    pub temperature_c: Option<u32>,
    pub power_w: Option<f64>,
    /// Why it runs slower than it could; only NVML tells.
    pub throttled: Option<Throttle>,
}

/// A program that computes on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GpuProcess {
    pub index: u32,
    /// As the driver counts; in a container these may be the numbers outside.
    pub pid: i32,
    /// Bytes of the GPU's memory.
    pub memory: Option<u64>,
}

/// What holds a GPU back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Throttle {
    Heat,
    /// The power supply or a cable asks for it.
    PowerBrake,
    /// The card's own limit, where heavy work belongs.
    PowerLimit,
    Hardware,
}

/// Asks the GPUs again and again over one connection.
#[derive(Debug)]
pub struct Sampler(Connection);

#[derive(Debug)]
enum Connection {
    Nvml(Box<nvml_wrapper::Nvml>),
    NvidiaSmi(smi::Program),
    /// The files under `/proc` hold no measurements.
    None,
}

/// The driver and its GPUs, or `None` where no NVIDIA driver answers.
pub fn detect(host: &Host) -> Option<Nvidia> {
    sources(host).iter().find_map(|source| match source {
        Source::Nvml => nvml::detect(&nvml::connect()?),
        Source::Proc => proc::detect(),
        Source::NvidiaSmi => smi::Program::find(host)?.detect(),
    })
}

/// Every program that computes on a GPU; none where nobody can be asked.
pub fn processes(host: &Host) -> Vec<GpuProcess> {
    let asked = sources(host).iter().find_map(|source| match source {
        Source::Nvml => nvml::connect().map(|nvml| nvml::processes(&nvml)),
        Source::Proc => None,
        Source::NvidiaSmi => smi::Program::find(host).map(|program| program.processes()),
    });
    asked.unwrap_or_default()
}

/// The GPUs that the driver knows and has lost. Only NVML tells them from those that are not there.
pub fn lost(env: &Env) -> Vec<u32> {
    let asks_nvml = sources_of(env).contains(&Source::Nvml);
    nvml::connect().filter(|_| asks_nvml).map(|nvml| nvml::lost(&nvml)).unwrap_or_default()
}

impl Sampler {
    pub fn new(host: &Host) -> Self {
        let connection = sources(host).iter().find_map(|source| match source {
            Source::Nvml => nvml::connect().map(|nvml| Connection::Nvml(Box::new(nvml))),
            Source::Proc => None,
            Source::NvidiaSmi => smi::Program::find(host).map(Connection::NvidiaSmi),
        });
        Self(connection.unwrap_or(Connection::None))
    }

    /// One that takes microseconds and starts no program: through NVML, or none.
    pub fn cheap(host: &Host) -> Option<Self> {
        let nvml = sources(host).contains(&Source::Nvml).then(nvml::connect)??;
        Some(Self(Connection::Nvml(Box::new(nvml))))
    }

    /// One entry a GPU; empty where nobody can be asked. Takes microseconds with NVML, up to a second without.
    pub fn sample(&self) -> Vec<GpuSample> {
        match &self.0 {
            Connection::Nvml(nvml) => nvml::sample(nvml),
            Connection::NvidiaSmi(program) => program.sample(),
            Connection::None => vec![],
        }
    }
}

/// Whom to ask, in this order.
fn sources(host: &Host) -> &'static [Source] {
    sources_of(&host.env)
}

fn sources_of(env: &Env) -> &'static [Source] {
    match env.text("DPGUI_GPU_SOURCE") {
        Some("nvml") => &[Source::Nvml],
        Some("proc") => &[Source::Proc],
        Some("nvidia-smi") => &[Source::NvidiaSmi],
        Some("none") => &[],
        Some(_) | None => &[Source::Nvml, Source::Proc, Source::NvidiaSmi],
    }
}

impl DriverVersion {
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch: Some(patch) }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an NVIDIA driver version like `580.65.06`")]
pub struct NoDriverVersion(String);

impl FromStr for DriverVersion {
    type Err = NoDriverVersion;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let numbers: Result<Vec<u32>, _> = text.split('.').map(str::parse).collect();
        match numbers.as_deref() {
            Ok(&[major, minor]) => Ok(Self { major, minor, patch: None }),
            Ok(&[major, minor, patch]) => Ok(Self { major, minor, patch: Some(patch) }),
            _ => Err(NoDriverVersion(text.to_owned())),
        }
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.major, self.minor)?;
        self.patch.map_or(Ok(()), |patch| write!(f, ".{patch:02}"))
    }
}

impl TryFrom<String> for DriverVersion {
    type Error = NoDriverVersion;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<DriverVersion> for String {
    fn from(version: DriverVersion) -> Self {
        version.to_string()
    }
}

impl fmt::Display for ComputeCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn driver_versions_are_ordered_as_numbers_and_shown_as_nvidia_writes_them() {
        let parsed = |text: &str| text.parse::<DriverVersion>();
        let sorted = ["470.256.02", "535.54.03", "535.104.05", "580.65.06", "595.84", "1000.10"];
        let versions: Vec<_> = sorted.iter().map(|text| parsed(text).expect("a version")).collect();
        assert!(versions.is_sorted());
        assert_eq!(versions.iter().map(ToString::to_string).collect::<Vec<_>>(), sorted);
        for text in ["", "580", "580.65.06.1", "580.x", "[N/A]", "N/A"] {
            assert_eq!(parsed(text), Err(NoDriverVersion(text.to_owned())));
        }
    }
}
