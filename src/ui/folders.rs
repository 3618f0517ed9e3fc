//! The folders that the page may look into, for whoever picks one.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    data::media::is_media_name,
    platform::fs::{Entry, beneath::Named},
};

use super::{App, failure::Answer, roots::Roots};

/// Entries of a folder that are shown.
const MOST: usize = 5000;

/// Names that are read of one folder, of which those are chosen.
const LOOKED_AT: usize = 200_000;

/// Names of a folder in it that are looked at for the count of its media.
const COUNTED: usize = 20_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Absolute; without it the granted folders are listed.
    path: Option<String>,
}

/// A folder, or the list of those that are granted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing {
    path: Option<String>,
    /// `null` where the page may see no further.
    parent: Option<String>,
    roots: Vec<String>,
    /// Folders first, by name.
    entries: Vec<Row>,
    /// There are more.
    cut: bool,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Row {
    name: String,
    folder: bool,
    /// Images and videos in it, by their names.
    media: Option<usize>,
    /// Of a file.
    bytes: Option<u64>,
}

pub fn list(app: &App, asked: &Asked) -> Answer<Listing> {
    let roots = Roots::of(app)?;
    let shown = |path: &Path| path.display().to_string();
    let named = roots.named.iter().map(|it| shown(it)).collect();
    let Some(path) = &asked.path else {
        let row = |it: &PathBuf| Row { name: shown(it), folder: true, media: media(&roots, it), bytes: None };
        let entries = roots.named.iter().map(row).collect();
        return Ok(Listing { path: None, parent: None, roots: named, entries, cut: false });
    };
    let place = roots.find(Path::new(path))?;
    let mut found = place.folder()?.entries(LOOKED_AT)?;
    // Folders first, before the rest is cut off: they are what is looked for.
    found.sort_by(|a, b| (a.entry != Entry::Directory, &a.name).cmp(&(b.entry != Entry::Directory, &b.name)));
    let cut = found.len() > MOST;
    let entries: Vec<Row> =
        found.into_iter().take(MOST).filter_map(|it| row(&roots, &place.path, &it)).collect();
    let parent = roots.above(&place.path).map(|it| shown(&it));
    Ok(Listing { path: Some(shown(&place.path)), parent, roots: named, entries, cut })
}

/// Not what leads out, what nobody could read, and what is hidden.
fn row(roots: &Roots, folder: &Path, it: &Named) -> Option<Row> {
    let name = it.name.to_str().filter(|it| !it.starts_with('.'))?.to_owned();
    let path = folder.join(&it.name);
    if it.linked && !roots.has(&path) {
        return None;
    }
    match it.entry {
        Entry::Directory => Some(Row { name, folder: true, media: media(roots, &path), bytes: None }),
        Entry::File => Some(Row { name, folder: false, media: None, bytes: it.bytes }),
        Entry::Special | Entry::Dangling | Entry::Forbidden => None,
    }
}

/// `None` if it cannot be looked into.
fn media(roots: &Roots, path: &Path) -> Option<usize> {
    let names = roots.find(path).ok()?.folder().ok()?.names(COUNTED).ok()?;
    Some(names.iter().filter(|it| is_media_name(it)).count())
}
