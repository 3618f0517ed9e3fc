//! What the kernel module itself says, in files: no library needed, but neither memory nor compute capability.

use std::{fs, path::Path};

use super::{DriverVersion, Gpu, Nvidia, Source};

const VERSION: &str = "/sys/module/nvidia/version";
const LONG_VERSION: &str = "/proc/driver/nvidia/version";
const GPUS: &str = "/proc/driver/nvidia/gpus";

pub(super) fn detect() -> Option<Nvidia> {
    let short = fs::read_to_string(VERSION).ok().and_then(|text| text.trim().parse().ok());
    let long = || fs::read_to_string(LONG_VERSION).ok().and_then(|text| driver_version(&text));
    Some(Nvidia {
        driver: short.or_else(long)?,
        cuda: None,
        gpus: gpus(&informations(Path::new(GPUS))),
        source: Source::Proc,
    })
}

/// The text of each GPU's file, in the order of the PCI addresses that name their folders.
fn informations(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return vec![] };
    let mut folders: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    folders.iter().filter_map(|folder| fs::read_to_string(folder.join("information")).ok()).collect()
}

/// The first word of the module's line that reads as a version; the compiler's line has one too.
fn driver_version(text: &str) -> Option<DriverVersion> {
    let line = text.lines().find_map(|line| line.strip_prefix("NVRM version:"))?;
    line.split_whitespace().find_map(|word| word.parse().ok())
}

/// GPUs that the driver was told to exclude are numbered by nobody.
fn gpus(informations: &[String]) -> Vec<Gpu> {
    let used = informations.iter().filter(|text| field(text, "GPU Excluded") != Some("Yes"));
    (0..)
        .zip(used)
        .filter_map(|(index, text)| {
            let name = field(text, "Model")?.to_owned();
            // Before the GPU has been used once, the driver fills the number with question marks.
            let uuid = field(text, "GPU UUID").filter(|it| !it.contains('?')).map(str::to_owned);
            Some(Gpu { index, name, uuid, capability: None, memory_bytes: None })
        })
        .collect()
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find_map(|(key, value)| (key.trim() == name).then(|| value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_banner_of_the_open_and_of_the_closed_module() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(driver_version(text).map(|it| it.to_string()).as_deref(), expected);
        };
        // A Fedora desktop and an Ubuntu server with the open module, a laptop whose driver has no patch number.
        check(
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  555.58.02  Release Build  \
             (dvs-builder@U16-I3-B03-4-3)  Tue Jun 25 01:26:03 UTC 2024\n\
             GCC version:  gcc version 14.2.1 20240801 (Red Hat 14.2.1-1) (GCC) \n",
            Some("555.58.02"),
        );
        check(
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  595.84  Release Build\n",
            Some("595.84"),
        );
        check(
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\n",
            Some("535.104.05"),
        );
        check("GCC version:  gcc version 13.3.0\n", None);
        check("", None);
    }

    #[test]
    fn gpus_are_numbered_without_those_the_driver_excludes() {
        // From an H100 server (as in Modal's GPU notes) and the layout of nv-procfs.c of the open kernel modules.
        let h100 = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 10\n\
             GPU UUID: \t GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b\nVideo BIOS: \t 96.00.99.00.01\n\
             Bus Type: \t PCIe\nDMA Size: \t 52 bits\nDMA Mask: \t 0xfffffffffffff\n\
             Bus Location: \t 0000:62:00.0\nDevice Minor: \t 5\nGPU Firmware: \t 535.129.03\nGPU Excluded:\t No\n";
        let excluded = h100.replace("Excluded:\t No", "Excluded:\t Yes");
        let asleep =
            h100.replace("9221d5d1-b60b-a624-bf14-0a1819cfda3b", "????????-????-????-????-????????????");
        let gpu = |index, uuid: Option<&str>| Gpu {
            index,
            name: "NVIDIA H100 80GB HBM3".to_owned(),
            uuid: uuid.map(str::to_owned),
            capability: None,
            memory_bytes: None,
        };
        assert_eq!(
            gpus(&[h100.to_owned(), excluded, asleep]),
            [gpu(0, Some("GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b")), gpu(1, None)]
        );
    }
}
