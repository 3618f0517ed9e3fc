//! Which build of PyTorch this machine gets, and why.
//!
//! Versions are NVIDIA *driver* versions (`580.65.06`), not CUDA toolkit ones (`13.0`). Which driver a CUDA needs:
//! CUDA toolkit release notes, "CUDA Driver", <https://docs.nvidia.com/cuda/cuda-toolkit-release-notes>. Which GPUs a
//! build has code for: PyTorch's `RELEASE.md`, release compatibility matrix.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Kind, Report},
    platform::{
        Arch,
        gpu::{ComputeCapability, DriverVersion, Gpu, Nvidia},
    },
    vendor::sources::Sources,
};

/// The driver that runs CUDA 12.8 natively, which the `cu12` build is made with. Between this one and 525.60.13 it
/// runs by NVIDIA's minor-version compatibility, where code that is compiled on the fly (PTX) fails.
const NATIVE_12_8: DriverVersion = DriverVersion { major: 570, minor: 26, patch: None };

/// From here on there is no precompiled code that an older driver could run.
const BLACKWELL: ComputeCapability = ComputeCapability(10, 0);

/// A set of wheels that were built for each other. All of them are on the plain Python index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// CUDA 13.0: Turing and newer.
    Cu13,
    /// CUDA 12.8: older drivers, and Volta.
    Cu12,
    /// No GPU: for the demo, the browser and CI.
    Cpu,
}

/// A profile and the sentence that explains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "torch-chosen")]
pub struct Choice {
    pub profile: Profile,
    /// One line that begins with the profile's name.
    pub because: String,
    /// What will not work, or only just.
    pub warning: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TorchError {
    #[error("`{name}` is not a PyTorch profile")]
    UnknownProfile { name: String },
    #[error("{cuda} needs driver {needed} or newer, and this machine has {found}")]
    DriverTooOld { cuda: &'static str, found: DriverVersion, needed: DriverVersion },
    #[error("{gpu} needs driver {needed} or newer, and this machine has {found}")]
    DriverTooOldForGpu { gpu: String, found: DriverVersion, needed: DriverVersion },
    #[error("PyTorch for {cuda} has no code for {gpu}; the oldest GPUs it runs on have {oldest}")]
    GpuTooOld { cuda: &'static str, gpu: String, oldest: ComputeCapability },
}

impl Report for TorchError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownProfile { .. } => Kind::Usage,
            Self::DriverTooOld { .. } | Self::DriverTooOldForGpu { .. } | Self::GpuTooOld { .. } => {
                Kind::Unsupported
            }
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownProfile { .. } => "choose `auto`, `cu13`, `cu12` or `cpu`".to_owned(),
            Self::DriverTooOld { .. } | Self::DriverTooOldForGpu { .. } => {
                "update the NVIDIA driver to 580 or newer".to_owned()
            }
            Self::GpuTooOld { .. } => {
                "if the training is to run on another GPU of this machine, choose the profile yourself: \
                 `profile = \"cu13\"` or `\"cu12\"` under `[torch]` in `dpgui.toml`"
                    .to_owned()
            }
        })
    }
}

/// Picks the newest build that the driver and every GPU can run. A profile that was asked for is not refused: what
/// speaks against it becomes a warning.
///
/// # Errors
/// When there are GPUs and no build runs on all of them with this driver.
pub fn choose(wish: Option<Profile>, nvidia: Option<&Nvidia>, arch: Arch) -> Result<Choice, TorchError> {
    if let Some(profile) = wish {
        return Ok(forced(profile, nvidia, arch));
    }
    let Some(nvidia) = nvidia.filter(|it| !it.gpus.is_empty()) else {
        return Ok(Choice {
            profile: Profile::Cpu,
            because: "cpu: no NVIDIA GPU was found".to_owned(),
            warning: None,
        });
    };
    let Err(obstacle) = Profile::Cu13.runs_on(nvidia) else {
        return Ok(Choice { profile: Profile::Cu13, because: newest_fits(nvidia), warning: None });
    };
    if arch == Arch::Aarch64 {
        // The Python index's 2.9.1 for arm64 is a build without CUDA (its metadata asks for no CUDA library).
        return Err(obstacle);
    }
    Profile::Cu12.runs_on(nvidia)?;
    Ok(Choice {
        profile: Profile::Cu12,
        because: format!("cu12: {obstacle}"),
        warning: only_just(Profile::Cu12, nvidia),
    })
}

impl Profile {
    const fn name(self) -> &'static str {
        match self {
            Self::Cu13 => "cu13",
            Self::Cu12 => "cu12",
            Self::Cpu => "cpu",
        }
    }

    /// The exact versions of the three packages that are built together, as declared.
    pub fn packages(self, sources: &Sources, arch: Arch) -> [(&'static str, &str); 3] {
        let build = match self {
            Self::Cu13 => &sources.torch.cu13,
            Self::Cu12 => &sources.torch.cu12,
            Self::Cpu => &sources.torch.cpu,
        };
        build.packages(arch)
    }

    /// PyTorch's own index has builds for it that the usual one does not.
    pub fn has_cpu_index(self, arch: Arch) -> bool {
        self == Self::Cpu && arch == Arch::X86_64
    }

    /// What speaks against it on this machine, the GPUs first: a new driver does not help an old GPU.
    fn runs_on(self, nvidia: &Nvidia) -> Result<(), TorchError> {
        let (cuda, needed, oldest) = match self {
            Self::Cu13 => ("CUDA 13", DriverVersion::new(580, 65, 6), ComputeCapability(7, 5)),
            Self::Cu12 => ("CUDA 12", DriverVersion::new(525, 60, 13), ComputeCapability(7, 0)),
            Self::Cpu => return Ok(()),
        };
        let found = nvidia.driver;
        if let Some(gpu) = nvidia.gpus.iter().find(|gpu| gpu.capability.is_some_and(|it| it < oldest)) {
            return Err(TorchError::GpuTooOld { cuda, gpu: describe(gpu), oldest });
        }
        if found < needed {
            return Err(TorchError::DriverTooOld { cuda, found, needed });
        }
        let blackwell = nvidia.gpus.iter().find(|gpu| gpu.capability.is_some_and(|it| it >= BLACKWELL));
        match blackwell {
            Some(gpu) if found < NATIVE_12_8 => {
                Err(TorchError::DriverTooOldForGpu { gpu: describe(gpu), found, needed: NATIVE_12_8 })
            }
            _ => Ok(()),
        }
    }
}

impl FromStr for Profile {
    type Err = TorchError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = [Self::Cu13, Self::Cu12, Self::Cpu];
        let found = all.into_iter().find(|profile| profile.name() == name);
        found.ok_or_else(|| TorchError::UnknownProfile { name: name.to_owned() })
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn forced(profile: Profile, nvidia: Option<&Nvidia>, arch: Arch) -> Choice {
    let warning = match (profile, nvidia) {
        (Profile::Cpu, _) => None,
        (Profile::Cu12, _) if arch == Arch::Aarch64 => {
            Some("the Python index has this PyTorch for arm64 without CUDA only".to_owned())
        }
        (Profile::Cu13 | Profile::Cu12, None) => Some("no NVIDIA driver was found".to_owned()),
        (Profile::Cu13 | Profile::Cu12, Some(nvidia)) => match profile.runs_on(nvidia) {
            Ok(()) => only_just(profile, nvidia),
            Err(obstacle) => Some(obstacle.to_string()),
        },
    };
    Choice { profile, because: format!("{profile}: asked for"), warning }
}

fn newest_fits(nvidia: &Nvidia) -> String {
    let driver = nvidia.driver;
    let oldest = nvidia.gpus.iter().filter(|gpu| gpu.capability.is_some()).min_by_key(|gpu| gpu.capability);
    match oldest {
        Some(gpu) => {
            format!("cu13: driver {driver} runs CUDA 13, and the oldest GPU, {}, is supported", describe(gpu))
        }
        None => format!("cu13: driver {driver} runs CUDA 13; it did not tell the GPUs' compute capability"),
    }
}

fn only_just(profile: Profile, nvidia: &Nvidia) -> Option<String> {
    (profile == Profile::Cu12 && nvidia.driver < NATIVE_12_8).then(|| {
        let driver = nvidia.driver;
        format!(
            "driver {driver} is older than CUDA 12.8: what is compiled while training (PTX) will fail; \
             update it to {NATIVE_12_8} or newer"
        )
    })
}

/// `NVIDIA GeForce RTX 4090 (8.9)`
fn describe(gpu: &Gpu) -> String {
    match gpu.capability {
        Some(capability) => format!("{} (compute capability {capability})", gpu.name),
        None => gpu.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::platform::gpu::Source;

    use super::*;

    fn machine(driver: &str, gpus: &[(&str, Option<ComputeCapability>)]) -> Nvidia {
        let gpu = |(index, (name, capability)): (u32, &(&str, Option<ComputeCapability>))| Gpu {
            index,
            name: (*name).to_owned(),
            uuid: None,
            capability: *capability,
            memory_bytes: None,
        };
        let driver = driver.parse().expect("a driver version");
        Nvidia { driver, cuda: None, gpus: (0..).zip(gpus).map(gpu).collect(), source: Source::Nvml }
    }

    /// The explanation, the warning after it, or the error with its hint.
    fn told(choice: Result<Choice, TorchError>) -> String {
        match choice {
            Ok(Choice { because, warning: None, .. }) => because,
            Ok(Choice { because, warning: Some(warning), .. }) => format!("{because}\nwarning: {warning}"),
            Err(error) => crate::error::Error::from(error).to_string(),
        }
    }

    const ADA: (&str, Option<ComputeCapability>) = ("RTX 4090", Some(ComputeCapability(8, 9)));
    const TURING: (&str, Option<ComputeCapability>) = ("RTX 2080", Some(ComputeCapability(7, 5)));
    const VOLTA: (&str, Option<ComputeCapability>) = ("Tesla V100", Some(ComputeCapability(7, 0)));
    const PASCAL: (&str, Option<ComputeCapability>) = ("GTX 1080", Some(ComputeCapability(6, 1)));
    const BLACK: (&str, Option<ComputeCapability>) = ("RTX 5090", Some(ComputeCapability(12, 0)));

    #[test]
    fn the_newest_build_that_driver_and_gpus_can_run_is_chosen() {
        let check = |driver, gpus: &[_], expected: &str| {
            assert_eq!(told(choose(None, Some(&machine(driver, gpus)), Arch::X86_64)), expected);
        };
        check(
            "580.65.06",
            &[ADA, TURING],
            "cu13: driver 580.65.06 runs CUDA 13, and the oldest GPU, RTX 2080 (compute capability 7.5), is supported",
        );
        check(
            "1000.10", // after 580 as a number, before it as text
            &[("RTX 4090", None)],
            "cu13: driver 1000.10 runs CUDA 13; it did not tell the GPUs' compute capability",
        );
        check(
            "575.57.08",
            &[BLACK, VOLTA],
            "cu12: PyTorch for CUDA 13 has no code for Tesla V100 (compute capability 7.0); the oldest GPUs it runs on have 7.5",
        );
        check(
            "575.57.08",
            &[BLACK],
            "cu12: CUDA 13 needs driver 580.65.06 or newer, and this machine has 575.57.08",
        );
    }

    #[test]
    fn a_machine_that_no_build_runs_on_is_told_why_and_what_to_do() {
        let errors = [
            machine("580.65.06", &[ADA, PASCAL]),
            machine("470.256.02", &[ADA]),
            machine("550.54.15", &[ADA, BLACK]),
        ];
        let told: Vec<_> = errors.iter().map(|it| told(choose(None, Some(it), Arch::X86_64))).collect();
        insta::assert_snapshot!(told.join("\n----\n"));
    }

    #[test]
    fn a_machine_without_gpus_gets_the_cpu_build() {
        let without = machine("580.65.06", &[]);
        for nvidia in [None, Some(&without)] {
            assert_eq!(told(choose(None, nvidia, Arch::X86_64)), "cpu: no NVIDIA GPU was found");
        }
    }

    #[test]
    fn a_profile_that_was_asked_for_is_only_warned_about() {
        let check = |wish, nvidia: Option<&Nvidia>, expected: &str| {
            assert_eq!(told(choose(Some(wish), nvidia, Arch::X86_64)), expected);
        };
        let (old, good) = (machine("550.54.15", &[ADA]), machine("580.65.06", &[ADA]));
        check(Profile::Cpu, Some(&old), "cpu: asked for");
        check(Profile::Cu12, Some(&good), "cu12: asked for");
        check(Profile::Cu12, None, "cu12: asked for\nwarning: no NVIDIA driver was found");
        check(
            Profile::Cu13,
            Some(&old),
            "cu13: asked for\nwarning: CUDA 13 needs driver 580.65.06 or newer, and this machine has 550.54.15",
        );
    }

    #[test]
    fn a_driver_older_than_the_build_is_used_with_a_warning() {
        let choice = choose(None, Some(&machine("535.104.05", &[ADA])), Arch::X86_64).expect("it runs");
        assert_eq!(choice.profile, Profile::Cu12);
        assert_eq!(
            choice.warning.as_deref(),
            Some(
                "driver 535.104.05 is older than CUDA 12.8: what is compiled while training (PTX) will fail; update it to 570.26 or newer"
            )
        );
    }

    #[test]
    fn on_arm64_there_is_no_way_round_an_old_driver() {
        let (old, good) = (machine("575.57.08", &[ADA]), machine("580.65.06", &[ADA]));
        let choice = |nvidia, wish| told(choose(wish, Some(nvidia), Arch::Aarch64));
        assert_eq!(
            choice(&old, None),
            "error: CUDA 13 needs driver 580.65.06 or newer, and this machine has 575.57.08\n\n\
             hint: update the NVIDIA driver to 580 or newer"
        );
        assert!(choice(&good, None).starts_with("cu13: "));
        assert_eq!(
            choice(&good, Some(Profile::Cu12)),
            "cu12: asked for\nwarning: the Python index has this PyTorch for arm64 without CUDA only"
        );
    }

    #[test]
    fn each_profile_has_the_packages_that_were_built_for_each_other() {
        let sources = Sources::load(&crate::workspace::Settings::default()).expect("valid");
        let versions = |profile: Profile, arch| profile.packages(&sources, arch).map(|(_, version)| version);
        let (new, old) = (["2.13.0", "0.28.0", "2.11.0"], ["2.9.1", "0.24.1", "2.9.1"]);
        for (profile, arch, expected) in [
            (Profile::Cu13, Arch::X86_64, new),
            (Profile::Cu13, Arch::Aarch64, new),
            (Profile::Cu12, Arch::X86_64, old),
            (Profile::Cpu, Arch::X86_64, new),
            (Profile::Cpu, Arch::Aarch64, old),
        ] {
            assert_eq!(versions(profile, arch), expected, "{profile} {arch}");
        }
    }

    #[test]
    fn profiles_are_written_as_users_type_them() {
        for name in ["cu13", "cu12", "cpu"] {
            let profile: Profile = name.parse().expect("known");
            assert_eq!(profile.to_string(), name);
            assert_eq!(serde_json::to_value(profile).expect("serialised"), name);
        }
        assert_eq!("cuda".parse::<Profile>(), Err(TorchError::UnknownProfile { name: "cuda".to_owned() }));
    }
}
