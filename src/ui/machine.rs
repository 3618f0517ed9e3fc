//! This machine, as the page's first screen shows it.

use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::platform::{
    fs,
    gpu::{self, GpuSample, Throttle},
    system,
};

use super::{App, failure::Answer, routes::Nothing};

/// What does not change while the server runs, or hardly.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Machine {
    /// Of dpgui.
    version: String,
    workspace: String,
    hostname: String,
    kernel: String,
    arch: String,
    cores: usize,
    wsl: bool,
    /// NVIDIA's.
    driver: Option<String>,
    /// The version that is installed, with what it was built for; `null` before setup.
    torch: Option<String>,
    gpus: Vec<GpuModel>,
    /// Files in `configs`.
    configs: usize,
    /// Something lies in `data`.
    has_data: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct GpuModel {
    index: u32,
    name: String,
    uuid: Option<String>,
    memory_bytes: Option<u64>,
}

/// Bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Room {
    pub free: u64,
    pub total: u64,
}

/// What the machine is doing at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Sample {
    pub time: Timestamp,
    /// RAM that programs can have.
    pub memory: Option<Room>,
    /// The file system of the workspace.
    pub disk: Option<Room>,
    pub gpus: Vec<GpuNumbers>,
}

#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct GpuNumbers {
    index: u32,
    utilisation_percent: Option<u32>,
    /// Bytes.
    memory_used: Option<u64>,
    memory_total: Option<u64>,
    temperature_c: Option<u32>,
    power_w: Option<f64>,
    /// Why it is slower than it could be.
    throttled: Option<String>,
}

impl Room {
    pub fn of_disk(path: &Path) -> Option<Self> {
        let (free, total) = (fs::available_bytes(path).ok()?, fs::total_bytes(path).ok()?);
        Some(Self { free, total })
    }
}

impl From<GpuSample> for GpuNumbers {
    fn from(it: GpuSample) -> Self {
        Self {
            index: it.index,
            utilisation_percent: it.utilisation_percent,
            memory_used: it.memory_used,
            memory_total: it.memory_total,
            temperature_c: it.temperature_c,
            power_w: it.power_w,
            throttled: it.throttled.map(|it| throttle(it).to_owned()),
        }
    }
}

const fn throttle(by: Throttle) -> &'static str {
    match by {
        Throttle::Heat => "heat",
        Throttle::PowerBrake => "the power supply",
        Throttle::PowerLimit => "its power limit",
        Throttle::Hardware => "the hardware",
    }
}

pub fn show(app: &App, _: &Nothing) -> Answer<Machine> {
    let nvidia = gpu::detect(&app.host);
    let gpus = nvidia.as_ref().map(|it| &it.gpus[..]).unwrap_or_default();
    let count = |dir: &Path| fs::names(dir).map_or(0, |it| it.len());
    Ok(Machine {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workspace: app.workspace.root().display().to_string(),
        hostname: system::hostname(),
        kernel: system::kernel(),
        arch: app.host.arch.to_string(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        wsl: system::wsl().is_some(),
        driver: nvidia.as_ref().map(|it| it.driver.to_string()),
        torch: app.workspace.package_version("torch"),
        gpus: gpus
            .iter()
            .map(|it| GpuModel {
                index: it.index,
                name: it.name.clone(),
                uuid: it.uuid.clone(),
                memory_bytes: it.memory_bytes,
            })
            .collect(),
        configs: count(&app.workspace.configs()),
        has_data: count(&app.workspace.data()) > 0,
    })
}

pub fn samples(app: &App, _: &Nothing) -> Answer<Vec<Sample>> {
    Ok(app.hub.samples())
}
