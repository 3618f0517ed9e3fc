//! How many captions an item has: from `captions.json`, else from the `.txt` beside it.
//!
//! Source: `_get_ungrouped_metadata` and `_metadata_map_fn` in diffusion-pipe's `utils/dataset.py`.

use std::{collections::HashMap, ffi::OsStr, path::Path};

use serde_json::Value;

use crate::platform::fs;

use super::{cache::CaptionText, listing::CAPTIONS};

/// `captions.json` as far as it matters.
#[derive(Debug)]
pub(super) enum CaptionsJson {
    /// By file name: how many captions; `None` where the entry is no list of strings.
    Table(HashMap<String, Option<u64>>),
    /// Why it is no such table.
    Broken(String),
}

impl CaptionsJson {
    pub(super) fn read(dir: &Path) -> Self {
        let text = match fs::read_text(&dir.join(CAPTIONS)) {
            Ok(text) => text,
            Err(cause) => return Self::Broken(crate::error::in_one_line(&cause)),
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(table)) => {
                // `null` is as good as no entry.
                let entries = table.into_iter().filter(|(_, value)| !value.is_null());
                Self::Table(entries.map(|(name, value)| (name, count(&value))).collect())
            }
            Ok(_) => Self::Broken("it is no table of file names".to_owned()),
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

fn count(value: &Value) -> Option<u64> {
    let captions = value.as_array()?;
    captions.iter().all(Value::is_string).then_some(captions.len() as u64)
}

/// Reads a `.txt`.
pub(super) fn read_text(path: &Path) -> CaptionText {
    match fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) if text.trim().is_empty() => CaptionText::Empty,
        Ok(Ok(_)) => CaptionText::Good,
        Ok(Err(_)) => CaptionText::NotUtf8,
        Err(_) => CaptionText::Unreadable,
    }
}
