//! What a run computes on.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The processors of one run, each with one rank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Devices {
    /// GPUs by their index in PCI order.
    Gpus(Vec<u32>),
    /// No GPU: this many ranks on the CPU.
    Cpu { ranks: u32 },
}

impl Devices {
    pub fn ranks(&self) -> u32 {
        match self {
            Self::Gpus(ids) => u32::try_from(ids.len()).unwrap_or(u32::MAX),
            Self::Cpu { ranks } => *ranks,
        }
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpus(ids) if ids.len() == 1 => write!(f, "GPU {}", ids[0]),
            Self::Gpus(ids) => {
                let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
                write!(f, "GPUs {}", ids.join(", "))
            }
            Self::Cpu { ranks: 1 } => f.write_str("the CPU"),
            Self::Cpu { ranks } => write!(f, "the CPU, {ranks} ranks"),
        }
    }
}
