//! A first look at a folder of media, before there is a dataset file for it.

use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::{
    config::{file_name::is_companion, suggest},
    platform::{
        Env,
        fs::{self, Entry, FsError},
    },
};

use super::{
    listing::{self, CAPTIONS},
    media::{self, Ffprobe, Media},
    model::{DEMO, DataModel, demo_reads},
    plan,
};

/// Files whose headers are read, evenly spread: enough to see what a folder is like.
const LOOKED_AT: usize = 2000;

/// Looks at the files in `dir`, as `model` sees them.
///
/// # Errors
/// When the folder cannot be listed.
pub fn look(dir: &Path, model: &DataModel, env: &Env) -> Result<suggest::Media, FsError> {
    let names: Vec<OsString> = fs::entries(dir)?
        .into_iter()
        .filter(|(_, entry)| *entry == Entry::File)
        .map(|(name, _)| name)
        .collect();
    let captioned: HashSet<&OsStr> = names
        .iter()
        .filter(|name| listing::suffix(name) == b".txt")
        .map(|name| listing::stem(name))
        .collect();
    let has_captions = names.iter().any(|name| name == CAPTIONS);
    let items: Vec<&OsString> = names.iter().filter(|name| !is_companion(name)).collect();
    let ffprobe = Ffprobe::on_path(env);
    let mut found = suggest::Media::default();
    let step = items.len().div_ceil(LOOKED_AT).max(1);
    for (index, name) in items.into_iter().enumerate() {
        let trains = if model.name == Some(DEMO) && !demo_reads(name) {
            false
        } else if index % step == 0 {
            note(&media::probe(&dir.join(name), &ffprobe), model, &mut found)
        } else {
            may_train(name, model)
        };
        let is_video = media::is_video_name(name);
        match trains {
            false => found.unusable += 1,
            true if is_video => found.videos += 1,
            true => found.images += 1,
        }
        let is_bare = !has_captions && !captioned.contains(listing::stem(name));
        found.without_caption += usize::from(trains && is_bare);
    }
    Ok(found)
}

/// What the name of a file tells that is not looked into.
fn may_train(name: &OsStr, model: &DataModel) -> bool {
    media::is_media_name(name) && (model.video.is_some() || !media::is_video_name(name))
}

/// Whether it can be trained.
fn note(media: &Media, model: &DataModel, found: &mut suggest::Media) -> bool {
    let (width, height) = match (media, model.video) {
        (Media::Image { width, height, .. }, _) => (*width, *height),
        (Media::Video { width, height, frames, rate, .. }, Some(video)) => {
            let frames = plan::retimed(*frames, *rate, video);
            found.clips.push(u32::try_from(frames.max(1)).unwrap_or(u32::MAX));
            (*width, *height)
        }
        (Media::Video { .. } | Media::Unusable(_), _) => return false,
    };
    let side = (u64::from(width) * u64::from(height)).isqrt();
    found.sides.push(u32::try_from(side).unwrap_or(u32::MAX));
    true
}
