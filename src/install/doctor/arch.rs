//! What a build of torch can run on: code for a GPU's generation, and a driver for its CUDA.

use crate::platform::gpu::{ComputeCapability, DriverVersion, Nvidia};

use super::check::Check;

/// What a build has for a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// Machine code that it runs.
    Native(String),
    /// PTX of an older generation, which the driver translates.
    Translated(String),
    None,
    /// The build does not say.
    Unknown,
}

/// `sm_86` is machine code, for this and later minor versions of the generation; `compute_80` is PTX, for every later
/// GPU. What ends in `a` runs on exactly this one, what ends in `f` on its family (CUDA programming guide, compute
/// capabilities, "Feature set compiler targets").
pub(super) fn code_for(gpu: ComputeCapability, archs: &[String]) -> Code {
    if archs.is_empty() {
        return Code::Unknown;
    }
    let parsed = || archs.iter().filter_map(|arch| Some((arch, parse(arch)?)));
    let runs = |kind: &Kind, it: ComputeCapability| match kind {
        Kind::Machine => it.0 == gpu.0 && it.1 <= gpu.1,
        Kind::Exact => it == gpu,
        Kind::Ptx => false,
    };
    let native = parsed().filter(|(_, (kind, it))| runs(kind, *it)).max_by_key(|(_, (_, it))| *it);
    if let Some((arch, _)) = native {
        return Code::Native(arch.clone());
    }
    let ptx = parsed().filter(|(_, (kind, it))| matches!(kind, Kind::Ptx) && *it <= gpu);
    ptx.max_by_key(|(_, (_, it))| *it).map_or(Code::None, |(arch, _)| Code::Translated(arch.clone()))
}

enum Kind {
    Machine,
    /// Machine code for one GPU alone.
    Exact,
    Ptx,
}

fn parse(arch: &str) -> Option<(Kind, ComputeCapability)> {
    let (kind, number) = arch.split_once('_')?;
    let digits = number.trim_end_matches(['a', 'f']);
    let kind = match (kind, number.ends_with('a')) {
        ("sm", false) => Kind::Machine,
        ("sm", true) => Kind::Exact,
        ("compute", false) => Kind::Ptx,
        _ => return None,
    };
    // The last digit is the minor version: `120` is 12.0.
    let number: u32 = digits.parse().ok()?;
    Some((kind, ComputeCapability(number / 10, number % 10)))
}

/// The oldest driver that runs a CUDA of this major version, by NVIDIA's minor-version compatibility.
/// Source of both tables: CUDA toolkit release notes, "CUDA Driver",
/// <https://docs.nvidia.com/cuda/cuda-toolkit-release-notes>.
const OLDEST: [(u32, DriverVersion); 3] = [
    (13, DriverVersion { major: 580, minor: 0, patch: None }),
    (12, DriverVersion::new(525, 60, 13)),
    (11, DriverVersion::new(450, 80, 2)),
];

/// The driver that came with a CUDA, which runs all of it.
const OWN: [((u32, u32), DriverVersion); 5] = [
    ((13, 0), DriverVersion::new(580, 65, 6)),
    ((12, 9), DriverVersion::new(575, 51, 3)),
    ((12, 8), DriverVersion { major: 570, minor: 26, patch: None }),
    ((12, 6), DriverVersion::new(560, 28, 3)),
    ((12, 4), DriverVersion::new(550, 54, 14)),
];

/// Whether this driver runs the CUDA that torch was built for. `works`: torch can use a GPU, so it does, by what
/// means ever (NVIDIA's compatibility libraries in a container).
pub(super) fn judge_driver(cuda: &str, nvidia: &Nvidia, works: bool) -> Check {
    let (id, driver) = ("driver-cuda", nvidia.driver);
    let mut numbers = cuda.split('.').map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Check::note(id, format_args!("torch is built for CUDA `{cuda}`, which dpgui does not know"));
    };
    let oldest = OLDEST.iter().find(|(it, _)| *it == major).map(|(_, driver)| *driver);
    if let Some(oldest) = oldest.filter(|it| driver < *it && !works) {
        let found = format!("torch is built for CUDA {cuda}, which needs driver {oldest}; this is {driver}");
        return Check::problem(id, found)
            .advise("update the NVIDIA driver, or take an older CUDA: `dpgui setup --torch auto`");
    }
    let own = OWN.iter().find(|(it, _)| *it == (major, minor)).map(|(_, driver)| *driver);
    // What the driver itself says counts more than our table.
    let is_older = match (nvidia.cuda, own) {
        (Some(newest), _) => newest < (major, minor),
        (None, Some(own)) => driver < own,
        (None, None) => false,
    };
    if is_older {
        let found = format!(
            "driver {driver} is older than CUDA {cuda}: what is compiled while training (PTX) may fail by \
             `unsupported PTX version`"
        );
        let to = own.map_or(String::new(), |it| format!(" to {it} or newer"));
        return Check::warning(id, found).advise(format_args!("update the NVIDIA driver{to}"));
    }
    Check::ok(id, format_args!("driver {driver} runs CUDA {cuda}"))
}

#[cfg(test)]
mod tests {
    use crate::platform::gpu::Source;

    use super::{super::check::told, *};

    #[test]
    fn code_runs_on_its_own_generation_from_its_minor_version_on() {
        let check = |gpu: (u32, u32), archs: &str, expected: Code| {
            let archs: Vec<String> = archs.split_whitespace().map(str::to_owned).collect();
            assert_eq!(code_for(ComputeCapability(gpu.0, gpu.1), &archs), expected, "{gpu:?} {archs:?}");
        };
        let native = |arch: &str| Code::Native(arch.to_owned());
        let cu13 = "sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120";
        check((7, 5), cu13, native("sm_75"));
        check((7, 0), cu13, Code::None); // the minor version of `sm_75` is newer
        check((8, 9), cu13, native("sm_86")); // the newest that fits
        check((8, 0), cu13, native("sm_80"));
        check((10, 3), cu13, native("sm_100"));
        check((11, 0), cu13, Code::None);
        check((12, 0), cu13, native("sm_120"));
        check((12, 1), cu13, native("sm_120"));
        check((13, 0), cu13, Code::Translated("compute_120".to_owned()));
        // What is made for one GPU runs on no other.
        check((9, 0), "sm_80 sm_90a", native("sm_90a"));
        check((12, 1), "sm_90 sm_120a", Code::None);
        check((12, 0), "sm_80 sm_90 compute_90a", Code::None);
        check((12, 0), "sm_80 compute_80", Code::Translated("compute_80".to_owned()));
        check((12, 0), "", Code::Unknown);
    }

    #[test]
    fn a_driver_is_judged_by_the_cuda_that_torch_was_built_for() {
        let check = |cuda, driver: &str, newest, works, expected: &str| {
            let driver = driver.parse().expect("a driver version");
            let nvidia = Nvidia { driver, cuda: newest, gpus: vec![], source: Source::Nvml };
            assert_eq!(told(&judge_driver(cuda, &nvidia, works)), expected);
        };
        check("13.0", "580.65.06", None, true, "ok driver-cuda: driver 580.65.06 runs CUDA 13.0");
        check("12.8", "1000.10", None, false, "ok driver-cuda: driver 1000.10 runs CUDA 12.8");
        check(
            "13.0",
            "575.57.08",
            None,
            false,
            "problem driver-cuda: torch is built for CUDA 13.0, which needs driver 580.00; this is 575.57.08 -> \
             update the NVIDIA driver, or take an older CUDA: `dpgui setup --torch auto`",
        );
        // A container with NVIDIA's compatibility libraries.
        check("13.0", "550.54.15", Some((13, 0)), true, "ok driver-cuda: driver 550.54.15 runs CUDA 13.0");
        let older = |cuda: &str, driver: &str, to: &str| {
            format!(
                "warning driver-cuda: driver {driver} is older than CUDA {cuda}: what is compiled while training \
                 (PTX) may fail by `unsupported PTX version` -> update the NVIDIA driver{to}"
            )
        };
        check("12.8", "570.25.99", None, true, &older("12.8", "570.25.99", " to 570.26 or newer"));
        check("12.8", "570.26", None, true, "ok driver-cuda: driver 570.26 runs CUDA 12.8");
        check("13.2", "580.95.05", Some((13, 0)), true, &older("13.2", "580.95.05", ""));
        check(
            "rocm",
            "580.95.05",
            None,
            true,
            "note driver-cuda: torch is built for CUDA `rocm`, which dpgui does not know",
        );
    }
}
