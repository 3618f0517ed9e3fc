//! Masks and control images: held against the items that they are for.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    super::{
        listing::Companion,
        media::{Flaw, Media},
    },
    Fate, Faults, Item, Probes,
};

/// Masks of another size and control images that are not there stop the trainer.
pub(super) fn note(
    [mask, control_image]: [&Companion; 2],
    item: &Item,
    probes: &Probes,
    faults: &mut Faults,
) {
    match control_image {
        // Before anything else is known of the item.
        Companion::Missing => faults.without_control.push(item.name.clone()),
        Companion::At(path) if matches!(item.fate, Fate::Trains(_)) => control(path, item, probes, faults),
        _ => {}
    }
    match (mask, &item.media) {
        (Companion::Missing, Some(_)) => faults.without_mask.push(item.name.clone()),
        (
            Companion::At(path),
            Some(Media::Image { width, height, .. } | Media::Video { width, height, .. }),
        ) if matches!(item.fate, Fate::Trains(_)) => {
            let what = match probes.companion(path) {
                Some(Media::Image { width: w, height: h, .. }) if (w, h) == (width, height) => return,
                Some(Media::Image { width: w, height: h, .. }) => {
                    format!("{w}×{h} pixels, not {width}×{height}")
                }
                Some(Media::Unusable(flaw)) if !spoils_companion(*flaw) => return,
                Some(Media::Unusable(flaw)) => flaw.sentence().to_owned(),
                Some(Media::Video { .. }) | None => Flaw::NoMedia.sentence().to_owned(),
            };
            faults.other_masks.push((item.name.clone(), path.clone(), what));
        }
        _ => {}
    }
}

/// A control image that is not made like its target.
#[derive(Debug)]
pub(in super::super) struct OtherControl {
    pub(in super::super) name: OsString,
    /// Pixels, width and height.
    pub(in super::super) target: (u32, u32),
    pub(in super::super) path: PathBuf,
    pub(in super::super) control: (u32, u32),
}

impl OtherControl {
    /// But for the rounding to whole pixels.
    pub(in super::super) fn has_same_shape(&self) -> bool {
        const ROUNDING: f64 = 0.01;
        let ratio = |(width, height): (u32, u32)| f64::from(width) / f64::from(height);
        (ratio(self.control) / ratio(self.target) - 1.0).abs() < ROUNDING
    }
}

fn control(path: &Path, item: &Item, probes: &Probes, faults: &mut Faults) {
    match probes.companion(path) {
        Some(Media::Unusable(flaw)) if spoils_companion(*flaw) => {
            faults.broken_controls.push((path.to_owned(), flaw.sentence()));
        }
        // Both model types that are trained with control images take no videos.
        Some(Media::Video { .. }) => faults.broken_controls.push((path.to_owned(), "a video")),
        Some(Media::Image { width, height, .. }) => {
            let control = (*width, *height);
            if let Some(target) = item.media.as_ref().and_then(Media::size).filter(|it| *it != control) {
                let name = item.name.clone();
                faults.other_controls.push(OtherControl { name, target, path: path.to_owned(), control });
            }
        }
        Some(Media::Unusable(_)) | None => {}
    }
}

/// A mask or control image like this ends the training. Of an animated one Pillow takes the first picture, and what only
/// we cannot measure it may read.
const fn spoils_companion(flaw: Flaw) -> bool {
    !matches!(flaw, Flaw::AnimatedWebp | Flaw::Unmeasured | Flaw::NeedsFfprobe)
}
