//! What the GPUs of a run do while it goes on, kept in its folder: for whoever looks at it later.

use std::{
    sync::mpsc::{self, RecvTimeoutError, TryRecvError},
    thread,
};

use crate::{
    metrics::{GpuRecord, GpuWriter},
    platform::{
        Host, clock,
        gpu::{GpuSample, Sampler},
        limits::{self, Priority},
    },
};

use super::{devices::Devices, dir::RunDir};

/// Goes on until it is dropped. It has a thread of its own: a driver that hangs must not hold up who looks after the run.
/// Where a program would have to be asked, nobody is: it would be a child of who waits for the run's.
#[derive(Debug)]
pub(super) struct GpuWatch {
    _ends: mpsc::Sender<()>,
}

impl GpuWatch {
    /// `None` for a run that computes on no GPU. Where there is no NVML, the thread ends at once.
    pub(super) fn begin(host: &Host, dir: &RunDir, devices: &Devices) -> Option<Self> {
        let Devices::Gpus(_) = devices else { return None };
        let (host, path, devices) = (host.clone(), dir.gpus(), devices.clone());
        let (ends, ended) = mpsc::channel::<()>();
        thread::spawn(move || {
            limits::stand_back(Priority::AfterTraining);
            let Some(sampler) = Sampler::cheap(&host) else { return };
            let look = || -> Vec<GpuRecord> {
                let time = u64::try_from(clock::now().as_millisecond()).unwrap_or_default();
                devices.own(sampler.sample()).into_iter().map(|it| record(time, it)).collect()
            };
            let mut records = look();
            if records.is_empty() {
                return;
            }
            // A run is looked after whether this can be stored or not.
            let Ok(mut writer) = GpuWriter::open(&path) else { return };
            loop {
                writer.push(&records);
                if ended.recv_timeout(writer.every()) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
                records = look();
                // While the driver took its time another one may have begun.
                if ended.try_recv() == Err(TryRecvError::Disconnected) {
                    return;
                }
            }
        });
        Some(Self { _ends: ends })
    }
}

fn record(time: u64, it: GpuSample) -> GpuRecord {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no card takes a megawatt")]
    let milliwatts = |watts: f64| (watts * 1000.0) as u32;
    GpuRecord {
        time,
        gpu: it.index,
        utilisation_percent: it.utilisation_percent,
        memory_used: it.memory_used,
        memory_total: it.memory_total,
        power_milliwatts: it.power_w.map(milliwatts),
        temperature_c: it.temperature_c,
    }
}
