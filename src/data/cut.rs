//! What the buckets cut off: pixels at the sides, seconds at the ends.

use std::collections::HashMap;

use super::{
    media::Media,
    plan,
    survey::{Fate, Item, Survey},
};

/// Of all items of one bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cut {
    items: u64,
    sum: f64,
    /// The largest share of an item's pixels that is cut off.
    pub worst: f64,
    /// Seconds of videos that are cut off.
    pub seconds: f64,
    pub of_seconds: f64,
}

impl Cut {
    /// The mean share of an item's pixels that is cut off.
    #[expect(clippy::cast_precision_loss, reason = "a count of files")]
    pub fn mean(&self) -> f64 {
        self.sum / self.items.max(1) as f64
    }
}

/// What tells buckets apart.
pub type Key = (Option<u64>, i64, i64, i64);

/// By bucket.
pub fn by_bucket(survey: &Survey) -> HashMap<Key, Cut> {
    let mut cuts: HashMap<Key, Cut> = HashMap::new();
    each_placed(survey, |place| {
        let Some((width, height)) = place.item.media.as_ref().and_then(Media::size) else { return };
        let cut = cuts.entry(place.bucket.key()).or_default();
        let share = share([width, height], place.crop);
        cut.items += 1;
        cut.sum += share;
        cut.worst = cut.worst.max(share);
        if let (Some(video), Some(Media::Video { .. })) = (survey.model.video, &place.item.media) {
            #[expect(clippy::cast_precision_loss, reason = "frames of a video")]
            let seconds = |frames: i64| frames as f64 / f64::from(video.rate);
            cut.of_seconds += seconds(place.item.frames);
            cut.seconds += seconds(place.item.frames - place.bucket.encoded(&survey.model)[2]);
        }
    });
    cuts
}

/// The share of a picture's pixels that is not in what is left of it.
pub(super) fn share([width, height]: [u32; 2], [left, top, right, bottom]: [f64; 4]) -> f64 {
    1.0 - (right - left) * (bottom - top) / (f64::from(width) * f64::from(height))
}

/// An item in one of its buckets.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    pub directory: usize,
    pub item: &'a Item,
    pub bucket: super::buckets::SizeBucket,
    /// What is left of it: left, top, right, bottom.
    pub crop: [f64; 4],
}

/// Every item in every of its buckets.
pub fn each_placed<'a>(survey: &'a Survey, mut visit: impl FnMut(Placed<'a>)) {
    for (directory, (spec, found)) in survey.dataset.directories.iter().zip(&survey.directories).enumerate() {
        for item in &found.items {
            let (Fate::Trains(group), Some(media)) = (item.fate, &item.media) else { continue };
            let Some((width, height)) = media.size() else { continue };
            for bucket in spec.buckets.of_group(group, survey.model.bucket_multiple) {
                let crop = plan::crop(width, height, bucket.encoded(&survey.model));
                visit(Placed { directory, item, bucket, crop });
            }
        }
    }
}
