//! The NVIDIA driver and its GPUs, before any torch is asked.

use std::path::Path;

use crate::{
    output::size,
    platform::{fs, gpu::Nvidia, system},
};

use super::{Scene, check::Check};

/// What CUDA opens beside the GPUs' own files; WSL has another way.
const UVM: &str = "/dev/nvidia-uvm";

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let nvidia = scene.nvidia();
    let mut checks = vec![judge(nvidia)];
    if nvidia.is_some_and(|it| !it.gpus.is_empty()) && system::wsl().is_none() {
        checks.push(judge_files(fs::exists(Path::new(UVM))));
    }
    checks
}

fn judge(nvidia: Option<&Nvidia>) -> Check {
    let id = "gpu-driver";
    let Some(nvidia) = nvidia else {
        return Check::note(id, "no NVIDIA driver answers: the demo runs, the real trainer needs a GPU").advise(
            "if there is an NVIDIA GPU, install its driver; a container is to be started with `--gpus all`",
        );
    };
    let driver = nvidia.driver;
    let gpus = nvidia.gpus.iter().map(|gpu| {
        let memory = gpu.memory_bytes.map_or(String::new(), |it| format!(", {}", size::bytes(it)));
        format!("{}{memory}", gpu.name)
    });
    match gpus.collect::<Vec<_>>().join("; ") {
        gpus if gpus.is_empty() => {
            Check::warning(id, format_args!("driver {driver} answers, and has no GPU"))
                .advise("see what `nvidia-smi` says of them; a container is to be started with `--gpus all`")
        }
        gpus => Check::ok(id, format_args!("driver {driver}: {gpus}")),
    }
}

fn judge_files(has_uvm: bool) -> Check {
    if has_uvm {
        return Check::ok("gpu-device-files", format_args!("`{UVM}` is there"));
    }
    Check::warning(
        "gpu-device-files",
        format_args!("`{UVM}` is not there, without which CUDA does not start"),
    )
    .advise("run `nvidia-modprobe -u -c=0` as root; for a container, on its host")
}

#[cfg(test)]
mod tests {
    use crate::platform::gpu::{Gpu, Source};

    use super::{super::check::told, *};

    #[test]
    fn a_driver_without_gpus_is_something_else_than_none() {
        let driver = "580.65.06".parse().expect("a driver version");
        let nvidia = |gpus| Nvidia { driver, cuda: None, gpus, source: Source::Nvml };
        let gpu = Gpu {
            index: 0,
            name: "RTX 4090".to_owned(),
            uuid: None,
            capability: None,
            memory_bytes: Some(24 << 30),
        };
        assert_eq!(
            told(&judge(Some(&nvidia(vec![gpu])))),
            "ok gpu-driver: driver 580.65.06: RTX 4090, 24.0 GiB"
        );
        assert!(
            told(&judge(Some(&nvidia(vec![])))).starts_with("warning gpu-driver: driver 580.65.06 answers")
        );
        assert!(told(&judge(None)).starts_with("note gpu-driver: no NVIDIA driver answers"));
    }
}
