//! `nvidia-smi`, NVIDIA's command line tool, asked for comma-separated values.

use std::{path::Path, time::Duration};

use crate::platform::{Host, process::CommandSpec};

use super::{ComputeCapability, Gpu, GpuProcess, GpuSample, Nvidia, Source};

/// It hangs for ever on some broken GPUs.
const LIMIT: Duration = Duration::from_secs(5);

/// Where it lies when it is not on `PATH`: WSL.
const ELSEWHERE: &str = "/usr/lib/wsl/lib/nvidia-smi";

const MEBIBYTE: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Program(CommandSpec);

impl Program {
    /// By its absolute path, so that a later change of directory or `PATH` starts nothing else.
    pub(super) fn find(host: &Host) -> Option<Self> {
        let on_path = which::which_in("nvidia-smi", host.env.get("PATH"), &host.cwd).ok();
        let elsewhere = || Path::new(ELSEWHERE).is_file().then(|| ELSEWHERE.into());
        let path = on_path.or_else(elsewhere)?;
        Some(Self(CommandSpec::new(path, &host.env, &host.cwd)))
    }

    pub(super) fn detect(&self) -> Option<Nvidia> {
        let mut fields = vec!["index", "name", "uuid", "memory.total", "driver_version", "compute_cap"];
        let answer = self.query(&fields).or_else(|| {
            // Drivers before 510 do not know the last one and then answer nothing at all.
            fields.pop();
            self.query(&fields)
        })?;
        nvidia(&rows(&fields, &answer))
    }

    pub(super) fn sample(&self) -> Vec<GpuSample> {
        const FIELDS: [&str; 6] =
            ["index", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw"];
        let answer = self.query(&FIELDS).unwrap_or_default();
        rows(&FIELDS, &answer).iter().filter_map(gpu_sample).collect()
    }

    pub(super) fn processes(&self) -> Vec<GpuProcess> {
        const FIELDS: [&str; 3] = ["gpu_uuid", "pid", "used_memory"];
        let gpus = self.detect().map(|it| it.gpus).unwrap_or_default();
        let answer = self.ask("--query-compute-apps", &FIELDS).unwrap_or_default();
        let process = |row: &Row<'_>| {
            let gpu = gpus.iter().find(|gpu| gpu.uuid.as_deref() == row.text("gpu_uuid"))?;
            let memory = row.mebibytes("used_memory");
            Some(GpuProcess { index: gpu.index, pid: row.number("pid")?, memory })
        };
        rows(&FIELDS, &answer).iter().filter_map(process).collect()
    }

    fn query(&self, fields: &[&str]) -> Option<String> {
        self.ask("--query-gpu", fields)
    }

    fn ask(&self, what: &str, fields: &[&str]) -> Option<String> {
        let query = format!("{what}={}", fields.join(","));
        let spec = self.0.clone().args([query.as_str(), "--format=csv,noheader,nounits"]);
        spec.capture(LIMIT).ok().filter(super::super::process::Captured::success).map(|it| it.stdout)
    }
}

/// One GPU's cells by the names of the fields asked for.
struct Row<'a>(Vec<(&'a str, &'a str)>);

impl Row<'_> {
    /// `None` for what was not asked for and for `[N/A]`, `[Not Supported]`, `[Unknown Error]`.
    fn text(&self, field: &str) -> Option<&str> {
        let (_, cell) = self.0.iter().find(|(name, _)| *name == field)?;
        Some(*cell).filter(|it| !it.is_empty() && !it.starts_with('['))
    }

    fn number<T: std::str::FromStr>(&self, field: &str) -> Option<T> {
        self.text(field)?.parse().ok()
    }

    fn mebibytes(&self, field: &str) -> Option<u64> {
        self.number::<u64>(field)?.checked_mul(MEBIBYTE)
    }
}

/// Lines with another number of cells are messages, not GPUs.
fn rows<'a>(fields: &[&'a str], answer: &'a str) -> Vec<Row<'a>> {
    let cells = answer.lines().map(|line| line.split(',').map(str::trim).collect::<Vec<_>>());
    cells
        .filter(|cells| cells.len() == fields.len())
        .map(|cells| Row(fields.iter().copied().zip(cells).collect()))
        .collect()
}

fn nvidia(rows: &[Row<'_>]) -> Option<Nvidia> {
    Some(Nvidia {
        driver: rows.first()?.number("driver_version")?,
        cuda: None,
        gpus: rows.iter().filter_map(gpu).collect(),
        source: Source::NvidiaSmi,
    })
}

fn gpu(row: &Row<'_>) -> Option<Gpu> {
    let capability = row.text("compute_cap").and_then(|text| text.split_once('.'));
    Some(Gpu {
        index: row.number("index")?,
        name: row.text("name")?.to_owned(),
        uuid: row.text("uuid").map(str::to_owned),
        capability: capability
            .and_then(|(major, minor)| Some(ComputeCapability(major.parse().ok()?, minor.parse().ok()?))),
        memory_bytes: row.mebibytes("memory.total"),
    })
}

fn gpu_sample(row: &Row<'_>) -> Option<GpuSample> {
    Some(GpuSample {
        index: row.number("index")?,
        utilisation_percent: row.number("utilization.gpu"),
        memory_used: row.mebibytes("memory.used"),
        memory_total: row.mebibytes("memory.total"),
        temperature_c: row.number("temperature.gpu"),
        power_w: row.number("power.draw"),
        throttled: None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use crate::platform::{Arch, Env, fs, gpu};

    use super::*;

    /// A host whose `nvidia-smi` is this script.
    fn host(dir: &Path, script: &str) -> Host {
        let path = dir.join("nvidia-smi");
        fs::write_atomic(&path, format!("#!/bin/sh\n{script}")).expect("written");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("executable");
        let mut env = Env::from([("DPGUI_GPU_SOURCE", "nvidia-smi"), ("PATH", "/usr/bin:/bin")]);
        env.prepend_path(&[dir.to_owned()]);
        Host { env, cwd: dir.to_owned(), program: path, arch: Arch::X86_64, terminal: false }
    }

    #[test]
    fn a_driver_that_does_not_know_the_compute_capability_is_asked_without_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        // The message and exit code of driver 470.
        let script = "case $1 in *compute_cap*) \
             echo 'Field \"compute_cap\" is not a valid field to query.'; exit 2;; esac\n\
             echo '0, Tesla V100-SXM2-16GB, GPU-edfee158-11c1-52b8-0517-92f30e7fac88, 16160, 470.256.02'";
        let found = gpu::detect(&host(dir.path(), script));
        let expected = Nvidia {
            driver: super::super::DriverVersion::new(470, 256, 2),
            cuda: None,
            gpus: vec![Gpu {
                index: 0,
                name: "Tesla V100-SXM2-16GB".to_owned(),
                uuid: Some("GPU-edfee158-11c1-52b8-0517-92f30e7fac88".to_owned()),
                capability: None,
                memory_bytes: Some(16160 * MEBIBYTE),
            }],
            source: Source::NvidiaSmi,
        };
        assert_eq!(found, Some(expected));
    }

    #[test]
    fn a_card_is_sampled_and_what_it_cannot_measure_is_left_out() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let script = "echo '0, 97, 23012, 24564, 71, 412.55'\necho '1, [N/A], 0, 143771, 26, [N/A]'";
        let samples = gpu::Sampler::new(&host(dir.path(), script)).sample();
        let busy = GpuSample {
            index: 0,
            utilisation_percent: Some(97),
            memory_used: Some(23012 * MEBIBYTE),
            memory_total: Some(24564 * MEBIBYTE),
            temperature_c: Some(71),
            power_w: Some(412.55),
            throttled: None,
        };
        let mig = GpuSample {
            index: 1,
            utilisation_percent: None,
            memory_used: Some(0),
            memory_total: Some(143_771 * MEBIBYTE),
            temperature_c: Some(26),
            power_w: None,
            throttled: None,
        };
        assert_eq!(samples, [busy, mig]);
    }

    #[test]
    fn a_tool_that_finds_no_driver_is_no_driver() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let script =
            "echo \"NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\"; exit 9";
        assert_eq!(gpu::detect(&host(dir.path(), script)), None);
        // Some versions say so and still exit with 0.
        assert_eq!(gpu::detect(&host(dir.path(), "echo No devices were found")), None);
    }

    #[test]
    fn the_compute_capability_is_read_from_a_current_driver() {
        let fields = ["index", "name", "driver_version", "compute_cap"];
        let answer =
            "0, NVIDIA GeForce RTX 5090, 580.65.06, 12.0\n1, NVIDIA GeForce RTX 4090, 580.65.06, 8.9\n";
        let capabilities: Vec<_> =
            rows(&fields, answer).iter().filter_map(gpu).map(|it| it.capability).collect();
        assert_eq!(capabilities, [Some(ComputeCapability(12, 0)), Some(ComputeCapability(8, 9))]);
    }
}
