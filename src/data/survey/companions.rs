//! Masks and control images: held against the items that they are for.

use super::{
    super::{
        listing::{Companion, Listed},
        media::{Flaw, Media},
    },
    Fate, Faults, Item, Probes,
};

/// Masks of another size and control images that are not there stop the trainer.
pub(super) fn note(listed: &Listed, item: &Item, probes: &Probes, faults: &mut Faults) {
    match &listed.control {
        // Before anything else is known of the item.
        Companion::Missing => faults.without_control.push(listed.name.clone()),
        Companion::At(path) if matches!(item.fate, Fate::Trains(_)) => {
            if let Some(Media::Unusable(flaw)) = probes.companion(path)
                && spoils_companion(*flaw)
            {
                faults.broken_controls.push(path.clone());
            }
        }
        _ => {}
    }
    match (&listed.mask, &item.media) {
        (Companion::Missing, Some(_)) => faults.without_mask.push(listed.name.clone()),
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
            faults.other_masks.push((listed.name.clone(), path.clone(), what));
        }
        _ => {}
    }
}

/// A mask or control image like this ends the training. Of an animated one Pillow takes the first picture, and what only
/// we cannot measure it may read.
const fn spoils_companion(flaw: Flaw) -> bool {
    !matches!(flaw, Flaw::AnimatedWebp | Flaw::Unmeasured | Flaw::NeedsFfprobe)
}
