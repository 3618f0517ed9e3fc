//! Who wrote: the streams that a run's output comes in, and where each is on disk.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::platform::fs::{self, FsError};

/// One pipe of a run. Ranks that print at once would damage each other's lines in a common one: `python -u` writes a
/// line and its end apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// What `deepspeed` itself prints, and with it the only rank if there is just one.
    Launcher,
    Rank(u32),
    /// What `deepspeed` prints on another machine of the run: the number of it, from 1 on.
    Node(u32),
}

/// A name that is no stream's.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither a rank's number nor `launcher`, nor `node1` for that of another machine")]
pub struct UnknownStream(String);

impl Stream {
    /// The folder of this stream's segments in `log`, the folder of a run's log.
    pub fn folder(self, log: &Path) -> PathBuf {
        log.join(self.to_string())
    }

    /// The rank that is known to write to it.
    pub const fn rank(self) -> Option<u32> {
        match self {
            Self::Launcher | Self::Node(_) => None,
            Self::Rank(number) => Some(number),
        }
    }
}

/// The streams of the run whose log is in the folder `log`, the launcher's first.
pub fn streams(log: &Path) -> Result<Vec<Stream>, FsError> {
    let names = fs::names(log)?;
    let mut found: Vec<Stream> = names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    found.sort_unstable();
    Ok(found)
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Launcher => f.write_str("launcher"),
            Self::Rank(number) => write!(f, "rank{number}"),
            Self::Node(number) => write!(f, "node{number}"),
        }
    }
}

impl FromStr for Stream {
    type Err = UnknownStream;

    /// `launcher`, `rank0` or just `0`, `node1`.
    fn from_str(text: &str) -> Result<Self, UnknownStream> {
        if text == "launcher" {
            return Ok(Self::Launcher);
        }
        if let Some(number) = text.strip_prefix("node") {
            return number.parse().map(Self::Node).map_err(|_| UnknownStream(text.to_owned()));
        }
        let number = text.strip_prefix("rank").unwrap_or(text);
        number.parse().map(Self::Rank).map_err(|_| UnknownStream(text.to_owned()))
    }
}

impl Serialize for Stream {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Stream {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}
