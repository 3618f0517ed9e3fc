//! How many captions an item has: from `captions.json`, else from the `.txt` beside it.
//!
//! Source: `_get_ungrouped_metadata` and `_metadata_map_fn` in diffusion-pipe's `utils/dataset.py`.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io::{self, BufReader, Read as _},
    path::Path,
};

use serde::{Deserialize, de::IgnoredAny};

use crate::platform::fs;

use super::{
    cache::CaptionText,
    listing::{self, CAPTIONS},
};

/// `captions.json` as far as it matters.
#[derive(Debug)]
pub(super) enum CaptionsJson {
    /// By file name: how many captions; `None` where the entry is no list of strings.
    Table(HashMap<String, Option<u64>>),
    /// Why it is no such table.
    Broken(String),
}

/// Longest `captions.json`, in bytes: a million captions of a thousand characters.
const LONGEST_TABLE: u64 = 1 << 30;

/// Of a `.txt`, so many bytes are read: far more than any text encoder takes.
const READ_OF_TEXT: u64 = 1 << 20;

impl CaptionsJson {
    pub(super) fn read(dir: &Path) -> Self {
        let file = match fs::open_regular(&dir.join(CAPTIONS)) {
            Ok(file) => file,
            Err(cause) => return Self::Broken(crate::error::in_one_line(&cause)),
        };
        // Not as one text: only the names are kept.
        match serde_json::from_reader(BufReader::new(file.take(LONGEST_TABLE))) {
            Ok(table) => Self::Table(counted(table)),
            Err(cause) if cause.is_data() => Self::Broken("it is no table of file names".to_owned()),
            Err(cause) => Self::Broken(cause.to_string()),
        }
    }

    /// `Ok(None)` without an entry.
    pub(super) fn of(&self, name: &OsStr) -> Result<Option<u64>, ()> {
        let Self::Table(table) = self else { return Err(()) };
        match name.to_str().and_then(|name| table.get(name)) {
            None => Ok(None),
            Some(Some(count)) => Ok(Some(*count)),
            Some(None) => Err(()),
        }
    }
}

/// `null` is as good as no entry.
fn counted(table: HashMap<String, Option<Count>>) -> HashMap<String, Option<u64>> {
    table.into_iter().filter_map(|(name, count)| Some((name, count?.0))).collect()
}

impl CaptionText {
    /// What is the matter with it; `None` of a good one.
    pub const fn sentence(self) -> Option<&'static str> {
        Some(match self {
            Self::Good => return None,
            Self::WithMark => "a caption that begins with a byte order mark",
            Self::Empty => "a caption without words",
            Self::NotUtf8 => "a caption that is no UTF-8 text",
            Self::Unreadable => "a caption that cannot be read",
            Self::NoFile => "a caption that is no file but a pipe or a device",
        })
    }

    /// The finding that tells of it.
    pub(super) const fn finding(self) -> Option<&'static str> {
        match self {
            Self::Good => None,
            Self::WithMark => Some("captions-mark"),
            Self::Empty => Some("captions-empty"),
            Self::NotUtf8 | Self::Unreadable | Self::NoFile => Some("captions-readable"),
        }
    }
}

/// How many strings are in a list; `None` if it is anything else.
#[derive(Clone, Copy, Deserialize)]
#[serde(from = "Captions")]
struct Count(Option<u64>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Captions {
    List(Vec<String>),
    Other(IgnoredAny),
}

impl From<Captions> for Count {
    fn from(captions: Captions) -> Self {
        match captions {
            Captions::List(all) => Self(Some(all.len() as u64)),
            Captions::Other(IgnoredAny) => Self(None),
        }
    }
}

/// Where the caption of a file in a folder comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beside {
    /// `captions.json`, which makes texts useless.
    Json,
    /// The text of this name, which need not be there.
    Text(OsString),
}

/// Of the file `name` in a folder with the names `others`.
pub fn beside(name: &OsStr, mut others: impl Iterator<Item = OsString>) -> Beside {
    if others.any(|it| it == CAPTIONS) {
        return Beside::Json;
    }
    let mut text = listing::stem(name).to_owned();
    text.push(".txt");
    Beside::Text(text)
}

/// The captions that a `captions.json` has for the file `name`, as it has them.
///
/// # Errors
/// When it is no table of file names.
pub fn in_json(text: &str, name: &OsStr) -> Result<Option<Vec<String>>, serde_json::Error> {
    let mut table: HashMap<String, serde_json::Value> = serde_json::from_str(text)?;
    let entry = name.to_str().and_then(|name| table.remove(name));
    Ok(entry.and_then(|it| serde_json::from_value(it).ok()))
}

/// Reads a `.txt`, of which the first part tells enough.
pub(super) fn read_text(path: &Path) -> CaptionText {
    let bytes = match fs::read_start(path, READ_OF_TEXT) {
        Ok(bytes) => bytes,
        Err(cause) if cause.source.kind() == io::ErrorKind::InvalidInput => return CaptionText::NoFile,
        Err(_) => return CaptionText::Unreadable,
    };
    let text = match str::from_utf8(&bytes) {
        Ok(text) => text,
        // The last letter may go on in what is not read.
        Err(cause) if cause.error_len().is_none() && bytes.len() as u64 == READ_OF_TEXT => {
            str::from_utf8(&bytes[..cause.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return CaptionText::NotUtf8,
    };
    // Python's `open` keeps it, and its `strip` does not take it for space.
    let words = text.strip_prefix('\u{feff}');
    match words.unwrap_or(text).trim() {
        "" => CaptionText::Empty,
        _ if words.is_some() => CaptionText::WithMark,
        _ => CaptionText::Good,
    }
}
