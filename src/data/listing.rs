//! What the trainer takes from a folder: its files, in its order, each with caption, mask and control image.
//!
//! Source: `DirectoryDataset._get_ungrouped_metadata` in diffusion-pipe's `utils/dataset.py`.

use std::{
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

use crate::{
    config::file_name::is_companion,
    output::plain,
    platform::fs::{self, Entry, FsError},
};

pub(super) use crate::config::file_name::{stem, suffix};

use super::{
    archive::{self, Extent, MOST_MEMBERS, Member},
    spec::DirectorySpec,
};

pub(super) const CAPTIONS: &str = "captions.json";

/// What is in a folder that matters.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) items: Vec<Listed>,
    /// `.tar` archives, and how many members each has, or why it cannot be read. The members are items.
    pub(super) archives: Vec<(OsString, Result<Extent, String>)>,
    pub(super) has_captions_json: bool,
    /// Masks and control images of one stem: which one the trainer takes is chance.
    pub(super) ambiguous: Vec<String>,
    /// What is called like an item and is no file.
    pub(super) strange: Vec<(OsString, Entry)>,
    /// `.txt` files that belong to no item.
    pub(super) lone_texts: Vec<OsString>,
}

/// A file that the trainer takes for an item.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// For a member, with that of the archive before it.
    pub(super) name: OsString,
    pub(super) member: Option<Box<Member>>,
    /// A `.txt` beside it.
    pub(super) has_text: bool,
    pub(super) mask: Companion,
    pub(super) control: Companion,
}

/// A file of the same stem in another folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Companion {
    /// No such folder is configured.
    Unwanted,
    Missing,
    At(PathBuf),
}

/// Lists the folder of `spec`. Sub-folders are not looked into: the trainer does not either.
pub(super) fn list(spec: &DirectorySpec) -> Result<Listing, FsError> {
    let entries = fs::entries(&spec.path)?;
    let mut ambiguous = vec![];
    let masks = spec.mask_path.as_deref().map(|dir| by_stem(dir, &mut ambiguous)).transpose()?;
    let controls = spec.control_path.as_deref().map(|dir| by_stem(dir, &mut ambiguous)).transpose()?;
    // `os.path.exists`: a folder would do as well.
    let exists = |entry: &Entry| !matches!(entry, Entry::Dangling | Entry::Forbidden);
    // They are sorted.
    let is_there = |name: &OsStr| {
        let found = entries.binary_search_by(|(it, _)| it.as_os_str().cmp(name));
        found.is_ok_and(|index| exists(&entries[index].1))
    };
    let has_captions_json = is_there(CAPTIONS.as_ref());
    let is_item = |name: &OsStr, entry: Entry| entry == Entry::File && !is_companion(name);
    let has_text: Vec<bool> = entries
        .iter()
        .map(|(name, entry)| is_item(name, *entry) && is_there(&with_text_suffix(name)))
        .collect();
    let stems: HashSet<&OsStr> =
        entries.iter().filter(|(name, entry)| is_item(name, *entry)).map(|(name, _)| stem(name)).collect();
    let is_lone = |name: &OsStr, entry: Entry| {
        entry == Entry::File && suffix(name) == b".txt" && !stems.contains(stem(name))
    };
    let lone = entries.iter().filter(|(name, entry)| is_lone(name, *entry));
    let lone_texts = lone.map(|(name, _)| name.clone()).collect();
    let companions = [masks.as_ref(), controls.as_ref()];
    let (mut items, mut archives, mut strange) = (vec![], vec![], vec![]);
    for ((name, entry), has_text) in entries.into_iter().zip(has_text) {
        if !is_item(&name, entry) {
            let is_strange = match entry {
                // The trainer looks behind every link, whatever it is called.
                Entry::Forbidden => true,
                Entry::Dangling => !is_companion(&name) || suffix(&name) == b".txt",
                Entry::Special => !is_companion(&name),
                Entry::File | Entry::Directory => false,
            };
            strange.extend(is_strange.then_some((name, entry)));
        } else if suffix(&name) == b".tar" {
            let (members, extent) = archive::members(&spec.path.join(&name), MOST_MEMBERS)
                .map_or_else(|why| (vec![], Err(why)), |(members, extent)| (members, Ok(extent)));
            items.extend(members.into_iter().map(|it| listed(&name, Some(it), spec, companions)));
            archives.push((name, extent));
        } else {
            items.push(Listed { has_text, ..listed(&name, None, spec, companions) });
        }
    }
    Ok(Listing { items, archives, has_captions_json, ambiguous, strange, lone_texts })
}

/// The file, or the member of it, with what belongs to it by its stem.
fn listed(
    file: &OsStr,
    member: Option<Member>,
    spec: &DirectorySpec,
    [masks, controls]: [Option<&HashMap<OsString, PathBuf>>; 2],
) -> Listed {
    let own_name = member.as_ref().map_or(file, Member::file_name);
    let find = |stems: &HashMap<OsString, PathBuf>| {
        stems.get(stem(own_name)).map_or(Companion::Missing, |path| Companion::At(path.clone()))
    };
    let default_mask = || spec.default_mask_file.clone().map_or(Companion::Unwanted, Companion::At);
    let mask = match masks.map(find) {
        Some(Companion::Missing) if spec.default_mask_file.is_some() => default_mask(),
        Some(found) => found,
        None => default_mask(),
    };
    let control = controls.map_or(Companion::Unwanted, find);
    let mut name = file.to_owned();
    if let Some(member) = &member {
        name.push("/");
        name.push(&member.name);
    }
    // Beside a member, the trainer looks for texts where it was started itself.
    Listed { name, member: member.map(Box::new), has_text: false, mask, control }
}

/// The files of a folder by their stems.
fn by_stem(dir: &Path, ambiguous: &mut Vec<String>) -> Result<HashMap<OsString, PathBuf>, FsError> {
    let mut stems = HashMap::new();
    for (name, _) in fs::entries(dir)?.into_iter().filter(|(_, entry)| *entry == Entry::File) {
        let path = dir.join(&name);
        if let Some(other) = stems.insert(stem(&name).to_owned(), path.clone()) {
            ambiguous.push(format!("`{}` and `{}`", plain::name(other), plain::name(&path)));
        }
    }
    Ok(stems)
}

pub(super) fn with_text_suffix(name: &OsStr) -> OsString {
    let mut text = stem(name).to_owned();
    text.push(".txt");
    text
}
