//! NVML, NVIDIA's management library, loaded at run time: dpgui also runs where there is none.

use std::ffi::OsStr;

use nvml_wrapper::{
    Device, Nvml, bitmasks::device::ThrottleReasons, cuda_driver_version_major, cuda_driver_version_minor,
    enum_wrappers::device::TemperatureSensor, enums::device::UsedGpuMemory, error::NvmlError,
};

use super::{ComputeCapability, Gpu, GpuProcess, GpuSample, Nvidia, Source, Throttle};

/// By name through the loader's own search, then where WSL puts it.
const LIBRARIES: [&str; 2] = ["libnvidia-ml.so.1", "/usr/lib/wsl/lib/libnvidia-ml.so.1"];

pub(super) fn connect() -> Option<Nvml> {
    LIBRARIES.iter().find_map(|path| Nvml::builder().lib_path(OsStr::new(path)).init().ok())
}

pub(super) fn detect(nvml: &Nvml) -> Option<Nvidia> {
    let driver = nvml.sys_driver_version().ok()?.parse().ok()?;
    let cuda = nvml.sys_cuda_driver_version().ok();
    let number = |it: i32| u32::try_from(it).unwrap_or_default();
    Some(Nvidia {
        driver,
        cuda: cuda.map(|it| (number(cuda_driver_version_major(it)), number(cuda_driver_version_minor(it)))),
        gpus: devices(nvml).filter_map(|device| gpu(&device).ok()).collect(),
        source: Source::Nvml,
    })
}

pub(super) fn sample(nvml: &Nvml) -> Vec<GpuSample> {
    devices(nvml)
        .filter_map(|device| {
            let memory = device.memory_info().ok();
            Some(GpuSample {
                index: device.index().ok()?,
                utilisation_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
                memory_used: memory.as_ref().map(|it| it.used),
                memory_total: memory.as_ref().map(|it| it.total),
                temperature_c: device.temperature(TemperatureSensor::Gpu).ok(),
                power_w: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1000.0),
                throttled: device.current_throttle_reasons().ok().and_then(throttle),
            })
        })
        .collect()
}

pub(super) fn processes(nvml: &Nvml) -> Vec<GpuProcess> {
    let on = |device: Device<'_>| {
        let index = device.index().ok()?;
        let found = device.running_compute_processes().ok()?;
        Some(found.into_iter().filter_map(move |it| {
            let memory = match it.used_gpu_memory {
                UsedGpuMemory::Used(bytes) => Some(bytes),
                UsedGpuMemory::Unavailable => None,
            };
            Some(GpuProcess { index, pid: i32::try_from(it.pid).ok()?, memory })
        }))
    };
    devices(nvml).filter_map(on).flatten().collect()
}

/// Those that the driver has lost: fallen off the bus, or dead until the machine restarts.
pub(super) fn lost(nvml: &Nvml) -> Vec<u32> {
    let is_lost = |index: &u32| {
        let asked = nvml.device_by_index(*index).and_then(|device| device.memory_info());
        matches!(asked, Err(NvmlError::GpuLost))
    };
    (0..nvml.device_count().unwrap_or(0)).filter(is_lost).collect()
}

/// The gravest reason.
fn throttle(reasons: ThrottleReasons) -> Option<Throttle> {
    let heat = ThrottleReasons::HW_THERMAL_SLOWDOWN | ThrottleReasons::SW_THERMAL_SLOWDOWN;
    [
        (heat, Throttle::Heat),
        (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, Throttle::PowerBrake),
        (ThrottleReasons::HW_SLOWDOWN, Throttle::Hardware),
        (ThrottleReasons::SW_POWER_CAP, Throttle::PowerLimit),
    ]
    .into_iter()
    .find_map(|(mask, throttle)| reasons.intersects(mask).then_some(throttle))
}

/// A GPU that has fallen off the bus is left out; the others still count.
fn devices(nvml: &Nvml) -> impl Iterator<Item = Device<'_>> {
    (0..nvml.device_count().unwrap_or(0)).filter_map(|index| nvml.device_by_index(index).ok())
}

fn gpu(device: &Device<'_>) -> Result<Gpu, NvmlError> {
    let number = |it: i32| u32::try_from(it).unwrap_or_default();
    Ok(Gpu {
        index: device.index()?,
        name: device.name()?,
        uuid: device.uuid().ok(),
        capability: device
            .cuda_compute_capability()
            .ok()
            .map(|it| ComputeCapability(number(it.major), number(it.minor))),
        memory_bytes: device.memory_info().ok().map(|it| it.total),
    })
}
