//! A first look at a folder of media, before there is a dataset file for it.

use std::{collections::HashSet, ffi::OsString, path::Path};

use crate::{
    config::suggest,
    platform::{
        Env,
        fs::{self, Entry, FsError},
    },
};

use super::{
    listing::{self, CAPTIONS, is_companion},
    media::{self, Ffprobe, Media},
    model::DataModel,
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
    let captioned: HashSet<&std::ffi::OsStr> = names
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
        let is_video = media::is_video_name(name);
        *(if is_video { &mut found.videos } else { &mut found.images }) += 1;
        found.without_caption += usize::from(!has_captions && !captioned.contains(listing::stem(name)));
        if index % step == 0 {
            note(&media::probe(&dir.join(name), &ffprobe), model, &mut found);
        }
    }
    Ok(found)
}

fn note(media: &Media, model: &DataModel, found: &mut suggest::Media) {
    let (width, height) = match (media, model.video) {
        (Media::Image { width, height, .. }, _) => (*width, *height),
        (Media::Video { width, height, frames, rate, .. }, Some(video)) => {
            let frames = plan::retimed(*frames, *rate, video);
            found.clips.push(u32::try_from(frames.max(1)).unwrap_or(u32::MAX));
            (*width, *height)
        }
        (Media::Video { .. } | Media::Unusable(_), _) => return,
    };
    let side = (u64::from(width) * u64::from(height)).isqrt();
    found.sides.push(u32::try_from(side).unwrap_or(u32::MAX));
}
