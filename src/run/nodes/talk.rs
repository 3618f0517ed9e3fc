//! What the head and a part of its run say to each other over ssh: a line of JSON each, and behind one that announces them
//! the bytes of a log.

use std::{
    collections::BTreeMap,
    io::{self, BufRead},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    error::Kind,
    logs::Stream,
    platform::{Env, fs},
};

use super::super::{
    RunError,
    id::RunId,
    outcome::{Manner, Outcome},
    request::Request,
    spec::Launcher,
};

use super::part::{AtHead, Part};

/// Bytes of a log that are sent at once.
pub(super) const PIECE: usize = 64 * 1024;

/// How the variables begin that have to be the same on all machines: those of NCCL, Gloo and UCX, and what decides about
/// algorithms. DeepSpeed's own launchers take along much the same (`launcher/runner.py`, `EXPORT_ENVS`).
const SHARED: [&str; 7] = ["NCCL_", "GLOO_", "UCX_", "TORCH_NCCL_", "TP_", "CUBLAS_", "OMP_"];

/// From the head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "say")]
pub(super) enum Word {
    /// Would it work? This is all that is said then.
    Look(Box<Look>),
    /// The first one of a run.
    Join(Box<Invitation>),
    /// The head is there, and how the whole run is.
    Beat {
        head: AtHead,
    },
    Stop {
        manner: Manner,
    },
}

/// All that a part is made from, or found again by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Invitation {
    /// The version at the head.
    pub(super) dpgui: String,
    pub(super) part: Part,
    /// It has not begun yet and is to.
    pub(super) begin: bool,
    /// What to call it there.
    pub(super) name: String,
    pub(super) launcher: Launcher,
    /// The resolved configuration and what belongs to it: names and texts, the training file first.
    pub(super) files: Vec<(String, String)>,
    /// For the trainer.
    pub(super) args: Vec<String>,
    /// Of the user's environment at the head, what the libraries between the machines go by.
    pub(super) variables: BTreeMap<String, String>,
    pub(super) share: bool,
    /// What the head has of its log, in bytes, by the names of the streams there.
    pub(super) have: BTreeMap<Stream, u64>,
}

/// A run that is about to begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Look {
    /// The version at the head.
    pub(super) dpgui: String,
    pub(super) invitation: Invitation,
    /// Where the configuration lies, as it says itself.
    pub(super) folder: PathBuf,
    /// The head listens there.
    pub(super) port: u16,
    pub(super) output_dir: PathBuf,
    /// A file that the head has made in there.
    pub(super) token: String,
}

/// What a machine sees of itself and around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// Digests of files that are to be the same everywhere.
    pub(super) lock: Option<String>,
    pub(super) trainer: Option<String>,
    /// Why it could not begin, and what would help.
    pub(super) refused: Option<(Kind, String, Option<String>)>,
    pub(super) warnings: Vec<String>,
    pub(super) sees_output: bool,
    /// Why it cannot reach the head.
    pub(super) misses_head: Option<String>,
    /// Its own address, and a port at which it listens while it is talked to.
    pub(super) listens: Option<(String, u16)>,
    pub(super) time: Timestamp,
}

/// The version of whoever speaks, which is in any word of any version.
#[derive(Deserialize)]
pub(super) struct Versioned {
    pub(super) dpgui: String,
}

impl Invitation {
    /// With the configuration in this folder.
    pub(super) fn new(
        (folder, config): (&Path, &Path),
        env: &Env,
        part: &Part,
        request: &Request,
    ) -> Result<Self, RunError> {
        let mut files = vec![];
        for name in fs::names(folder)? {
            files.push((name.to_string_lossy().into_owned(), fs::read_text(&folder.join(&name))?));
        }
        let training = config.file_name().unwrap_or_default();
        files.sort_by_key(|(name, _)| **name != *training);
        Ok(Self {
            dpgui: env!("CARGO_PKG_VERSION").to_owned(),
            part: part.clone(),
            launcher: request.launcher,
            files,
            args: request.args.clone(),
            share: request.share,
            variables: shared(env),
            ..Self::default()
        })
    }

    /// Puts its files into `folder` and says which one is the training file.
    pub(super) fn unpack(&self, folder: &Path) -> Result<PathBuf, RunError> {
        fs::create_dir_all(folder)?;
        let mut config = None;
        for (name, text) in &self.files {
            let path = folder.join(name);
            fs::write_atomic(&path, text)?;
            config.get_or_insert(path);
        }
        Ok(config.unwrap_or_default())
    }
}

/// From the part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "frame")]
pub(super) enum Frame {
    Begun {
        run: RunId,
    },
    /// So many bytes of a log follow.
    Log {
        stream: Stream,
        bytes: usize,
    },
    /// An answer to [`Word::Beat`].
    Alive,
    /// Somebody there wants the whole run to stop.
    Asked {
        manner: Manner,
    },
    /// An answer to [`Word::Look`].
    Answer(Box<Answer>),
    Ended {
        outcome: Outcome,
    },
    /// It could not begin.
    Refused {
        reason: String,
    },
    /// There is no such part any more.
    Gone,
}

fn shared(env: &Env) -> BTreeMap<String, String> {
    let text = env.iter().filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)));
    let wanted = text.filter(|(name, _)| SHARED.iter().any(|start| name.starts_with(start)));
    wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The next frame, with the bytes behind it in `bytes`; none at the end. What is no frame is skipped: a shell may print a
/// greeting.
pub(super) fn next(from: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<Option<Frame>> {
    let mut line = String::new();
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Ok(frame) = serde_json::from_str(&line) else { continue };
        bytes.clear();
        if let Frame::Log { bytes: count, .. } = frame {
            if count > PIECE {
                return Err(io::Error::other("a piece of a log is too long"));
            }
            bytes.resize(count, 0);
            from.read_exact(bytes)?;
        }
        return Ok(Some(frame));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_with_their_bytes_whatever_a_shell_says_between_them() {
        let text = b"Welcome!\n{\"frame\":\"log\",\"stream\":\"rank3\",\"bytes\":5}\n{\"a\n\n{\"frame\":\"alive\"}\n";
        let (mut from, mut bytes) = (&text[..], vec![]);
        let log = Frame::Log { stream: Stream::Rank(3), bytes: 5 };
        assert_eq!(next(&mut from, &mut bytes).expect("read"), Some(log));
        assert_eq!(bytes, b"{\"a\n\n");
        assert_eq!(next(&mut from, &mut bytes).expect("read"), Some(Frame::Alive));
        assert_eq!(next(&mut from, &mut bytes).expect("read"), None);
        let endless = format!("{{\"frame\":\"log\",\"stream\":\"rank3\",\"bytes\":{}}}\n", u64::MAX);
        next(&mut endless.as_bytes(), &mut bytes).expect_err("nobody sends so much");
    }
}
