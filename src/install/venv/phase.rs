//! What uv is doing during an installation, from what it prints where there is no terminal (uv 0.12.5).
//!
//! It names a download when it begins and when it ends, and unpacks while it downloads: nothing tells how many bytes
//! of a wheel have come. What can be known is what there is to come and what was written so far.

use std::collections::HashMap;

use crate::output::size;

/// Names that are shown before "and 3 more".
const NAMED: usize = 2;

/// Less than this, written, is uv's own bookkeeping.
const WORTH_SAYING: u64 = 1 << 20;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Resolving,
    Preparing,
    Installing,
    Compiling,
    Finishing,
}

/// An installation as far as uv has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Installation {
    phase: Phase,
    /// `131 packages`, as uv counts them.
    packages: String,
    downloading: Vec<String>,
    /// Of each package that was named, how many bytes its file has.
    sizes: HashMap<String, u64>,
    downloaded: Vec<String>,
    building: Vec<String>,
    /// Bytes of all downloads that were named.
    total: u64,
    /// What uv has written so far, in bytes, and how much of it when the phase began.
    written: u64,
    written_before: u64,
}

impl Installation {
    /// Takes in a line. Warnings and advice say nothing new.
    pub(super) fn hear(&mut self, line: &str) {
        let Some((word, rest)) = line.trim().split_once(' ') else { return };
        match word {
            "Resolved" => {
                self.enter(Phase::Preparing);
                self.packages = count_of(rest);
            }
            "Downloading" => {
                let (name, size) = rest.split_once(" (").unwrap_or((rest, ""));
                self.downloading.push(name.to_owned());
                let size = parse_size(size.trim_end_matches(')'));
                self.sizes.insert(name.to_owned(), size);
                self.total += size;
            }
            "Downloaded" => {
                self.downloading.retain(|it| it != rest);
                self.downloaded.push(rest.to_owned());
            }
            "Building" => self.building.push(rest.to_owned()),
            "Built" => self.building.retain(|it| it != rest),
            "Prepared" => self.enter(Phase::Installing),
            "Installed" => self.enter(Phase::Compiling),
            "Bytecode" => self.enter(Phase::Finishing),
            _ => {}
        }
    }

    /// Takes in what uv has written so far, in bytes.
    pub(super) const fn see(&mut self, written: u64) {
        self.written = written;
    }

    /// uv has fetched the file of this package. It tells of those alone that are worth a line, of more than 1 MiB.
    pub(super) fn has_come(&self, name: &str) -> bool {
        self.downloaded.iter().any(|it| it == name)
    }

    /// Bytes of the file of this package, as uv rounded them; 0 if it said nothing of it.
    pub(super) fn size_of(&self, name: &str) -> u64 {
        self.sizes.get(name).copied().unwrap_or(0)
    }

    /// One line for people.
    pub(super) fn describe(&self) -> String {
        let (packages, mut parts) = (&self.packages, vec![]);
        match self.phase {
            Phase::Resolving if self.building.is_empty() => parts.push("resolving".to_owned()),
            Phase::Resolving => parts.push(format!("resolving, building {}", named(&self.building))),
            Phase::Preparing => {
                if !self.downloading.is_empty() {
                    parts.push(format!("downloading {}", named(&self.downloading)));
                }
                if !self.building.is_empty() {
                    parts.push(format!("building {}", named(&self.building)));
                }
                if parts.is_empty() {
                    parts.push(format!("preparing {packages}"));
                }
                if self.total > 0 {
                    parts.push(format!("{} to download in all", size::bytes(self.total)));
                }
            }
            Phase::Installing => parts.push(format!("installing {packages}")),
            Phase::Compiling => parts.push(format!("compiling the bytecode of {packages}")),
            Phase::Finishing => parts.push("finishing".to_owned()),
        }
        let written = self.written.saturating_sub(self.written_before);
        if matches!(self.phase, Phase::Preparing | Phase::Installing) && written >= WORTH_SAYING {
            parts.push(format!("{} written", size::bytes(written)));
        }
        parts.join(", ")
    }

    const fn enter(&mut self, phase: Phase) {
        (self.phase, self.written_before) = (phase, self.written);
    }
}

/// `131 packages in 2.10s` without the time.
fn count_of(text: &str) -> String {
    text.split_once(" in ").map_or(text, |(count, _)| count).to_owned()
}

/// `torch, triton and 3 more`.
fn named(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `847.2MiB` as bytes; what cannot be read is 0, which only makes a sum smaller.
fn parse_size(text: &str) -> u64 {
    let digits = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let unit = match &text[digits..] {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => 1.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size for the eye")]
    text[..digits].parse::<f64>().map_or(0, |number| (number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_installation_is_told_phase_by_phase_and_without_uvs_advice() {
        let mut installation = Installation::default();
        let mib = |count: u64| count << 20;
        let mut check = |line: &str, written, expected: &str| {
            installation.hear(line);
            installation.see(written);
            assert_eq!(installation.describe(), expected, "{line}");
        };
        // As uv 0.12.5 prints it where there is no terminal.
        check("Using Python 3.12.14 environment at: venv", 0, "resolving");
        check("   Building deepspeed==0.18.4", 0, "resolving, building deepspeed==0.18.4");
        check("      Built deepspeed==0.18.4", 0, "resolving");
        check("Resolved 131 packages in 2.10s", 0, "preparing 131 packages");
        check("Downloading torch (847.2MiB)", 0, "downloading torch, 847 MiB to download in all");
        check("Downloading numpy (15.0MiB)", 0, "downloading torch, numpy, 862 MiB to download in all");
        check(
            "Downloading scipy (1.0GiB)",
            mib(500),
            "downloading torch, numpy and 1 more, 1.84 GiB to download in all, 500 MiB written",
        );
        check(" Downloaded torch", 0, "downloading numpy, scipy, 1.84 GiB to download in all");
        check("", mib(4000), "downloading numpy, scipy, 1.84 GiB to download in all, 3.91 GiB written");
        check("Prepared 131 packages in 41.00s", mib(4000), "installing 131 packages");
        let advice =
            "         If this is intentional, set `export UV_LINK_MODE=copy` or use `--link-mode=copy`";
        check(advice, mib(5000), "installing 131 packages, 0.98 GiB written");
        check("Installed 131 packages in 3.00s", mib(5000), "compiling the bytecode of 131 packages");
        check("Bytecode compiled 20000 files in 30.00s", mib(5000), "finishing");
        check(" + torch==2.13.0", mib(5000), "finishing");
        assert_eq!(["torch", "numpy"].map(|it| installation.has_come(it)), [true, false]);
        assert_eq!(["numpy", "toml"].map(|it| installation.size_of(it)), [mib(15), 0]);
    }
}
