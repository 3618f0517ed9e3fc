//! The host's memory, as the kernel counts it.

use std::fs;

/// Bytes of RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// What programs could not get without swapping: all but the kernel's `MemAvailable`.
    pub used: u64,
    pub total: u64,
}

/// `None` where `/proc` is not mounted.
pub fn sample() -> Option<Memory> {
    parse(&fs::read_to_string("/proc/meminfo").ok()?)
}

/// Bytes of swap, used or not; `None` where `/proc` is not mounted.
pub fn swap() -> Option<u64> {
    bytes(&fs::read_to_string("/proc/meminfo").ok()?, "SwapTotal")
}

fn parse(meminfo: &str) -> Option<Memory> {
    let total = bytes(meminfo, "MemTotal")?;
    Some(Memory { used: total.saturating_sub(bytes(meminfo, "MemAvailable")?), total })
}

fn bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    // `kB` in this file means 1024 bytes: man 5 proc_meminfo.
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_caches_could_give_back_is_not_used() {
        let meminfo = "MemTotal:       16311996 kB\nMemFree:         1024000 kB\n\
             MemAvailable:   12311996 kB\nBuffers:          123456 kB\nSwapTotal:             0 kB\n";
        assert_eq!(parse(meminfo), Some(Memory { used: 4_000_000 * 1024, total: 16_311_996 * 1024 }));
        assert_eq!((bytes(meminfo, "SwapTotal"), bytes(meminfo, "Swap")), (Some(0), None));
        assert_eq!(parse("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn this_machine_has_memory_and_some_of_it_is_used() {
        let memory = sample().expect("/proc is mounted");
        assert!(0 < memory.used && memory.used < memory.total, "{memory:?}");
    }
}
