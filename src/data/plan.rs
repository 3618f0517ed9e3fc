//! What becomes of the items: which buckets they fill, what rounding to whole batches loses, how many steps remain.
//!
//! Pure: items in, numbers out, so that proposals can be tried and the trainer's own answers compared.

use std::collections::{BTreeMap, HashMap};

use super::{
    batch::Batches,
    buckets::{Group, NoBucket, Number, SizeBucket},
    media::Rate,
    model::{DataModel, VideoRule},
    numbers,
    spec::DirectorySpec,
};

/// An item that the trainer can read, before it is put anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sample {
    pub width: u32,
    pub height: u32,
    /// Frames at the model's rate; 1 for an image.
    pub frames: i64,
    pub captions: u64,
}

/// Frames after re-timing to the model's rate, as the trainer counts them.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "as Python: the product is whole and below 2^53, the quotient is cut off"
)]
pub fn retimed(frames: u64, rate: Rate, video: VideoRule) -> i64 {
    (frames.saturating_mul(video.rate.into()) as f64 / rate.per_second()) as i64
}

/// A bucket that has samples, of all directories together.
#[derive(Clone, Debug, PartialEq)]
pub struct Filled {
    pub bucket: SizeBucket,
    /// Width, height and frames that are encoded.
    pub encoded: [i64; 3],
    pub items: u64,
    /// What each directory brings, after repeats, by its index.
    pub parts: Vec<Part>,
    /// Samples of an epoch.
    pub before: u64,
    /// Samples of one step.
    pub global_batch: u64,
    pub kept: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub directory: usize,
    pub items: u64,
    pub entries: u64,
    /// `entries`, repeated.
    pub length: u64,
}

/// An epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Epoch {
    pub buckets: Vec<Filled>,
    /// Batches, each a step of the optimizer, after `subsample_ratio`.
    pub steps: u64,
    pub before: u64,
    pub kept: u64,
}

/// The samples of one directory, counted by group.
#[derive(Clone, Debug)]
pub struct Counted<'a> {
    pub directory: &'a DirectorySpec,
    pub groups: Groups,
}

/// By group: items, and the samples that are made of them.
pub type Groups = BTreeMap<Group, (u64, u64)>;

impl<'a> Counted<'a> {
    pub const fn new(directory: &'a DirectorySpec) -> Self {
        Self { directory, groups: BTreeMap::new() }
    }

    /// Puts so many items of one shape where the trainer does.
    ///
    /// # Errors
    /// When the trainer skips it.
    pub fn take(&mut self, sample: &Sample, count: u64) -> Result<Group, NoBucket> {
        let group = self.directory.buckets.choose(sample.width, sample.height, sample.frames)?;
        let (items, entries) = self.groups.entry(group).or_default();
        *items = items.saturating_add(count);
        *entries = entries.saturating_add(self.directory.entries(sample.captions).saturating_mul(count));
        Ok(group)
    }
}

/// Samples after repeats: the trainer's `int(entries × num_repeats)`.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "as Python: cut off, and neither is negative"
)]
pub fn repeated(entries: u64, repeats: Number) -> u64 {
    match repeats {
        Number::Int(times) => entries.saturating_mul(times.max(0) as u64),
        Number::Float(times) => (entries as f64 * times) as u64,
    }
}

/// Puts everything together; the buckets in the order in which they are first met.
pub fn epoch(counted: &[Counted], model: &DataModel, batches: &Batches, subsample: Option<f64>) -> Epoch {
    let mut buckets: Vec<Filled> = vec![];
    let mut places = HashMap::new();
    for (index, Counted { directory, groups }) in counted.iter().enumerate() {
        for (group, (items, entries)) in groups {
            let length = repeated(*entries, directory.num_repeats);
            let part = Part { directory: index, items: *items, entries: *entries, length };
            for bucket in directory.buckets.of_group(*group, model.bucket_multiple) {
                let place = *places.entry(bucket.key()).or_insert_with(|| {
                    buckets.push(Filled::empty(bucket, model, batches));
                    buckets.len() - 1
                });
                buckets[place].add(part);
            }
        }
    }
    // With absurd repeats the numbers stop at their largest.
    let all = |of: fn(&Filled) -> u64| buckets.iter().map(of).fold(0, u64::saturating_add);
    let batches = all(|it| it.kept / it.global_batch.max(1));
    Epoch {
        steps: subsample.map_or(batches, |ratio| repeated(batches, Number::Float(ratio)).min(batches)),
        before: all(|it| it.before),
        kept: all(|it| it.kept),
        buckets,
    }
}

impl Filled {
    fn empty(bucket: SizeBucket, model: &DataModel, batches: &Batches) -> Self {
        Self {
            bucket,
            encoded: bucket.encoded(model),
            items: 0,
            parts: vec![],
            before: 0,
            global_batch: batches.global(&bucket),
            kept: 0,
        }
    }

    fn add(&mut self, part: Part) {
        self.items += part.items;
        self.before = self.before.saturating_add(part.length);
        self.kept = self.before - self.before % self.global_batch.max(1);
        // Two resolutions of one size: the trainer takes the items twice.
        match self.parts.iter_mut().find(|it| it.directory == part.directory) {
            Some(known) => {
                known.items += part.items;
                known.entries = known.entries.saturating_add(part.entries);
                known.length = known.length.saturating_add(part.length);
            }
            None => self.parts.push(part),
        }
    }

    pub const fn lost(&self) -> u64 {
        self.before - self.kept
    }
}

impl SizeBucket {
    /// What tells buckets apart; ratios by their bits, which are rounded decimals.
    pub fn key(&self) -> (Option<u64>, i64, i64, i64) {
        (self.ratio.map(f64::to_bits), self.width, self.height, self.frames)
    }

    /// What is encoded of an item in this bucket: width, height, frames.
    /// Source: `PreprocessMediaFile.__call__` in `models/base.py`.
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    pub fn encoded(&self, model: &DataModel) -> [i64; 3] {
        let side = |pixels: i64| numbers::nearest_multiple(pixels as f64, model.encode_multiple);
        let frames = model.video.map_or(self.frames.min(1), |video| {
            let frames = u32::try_from(self.frames).unwrap_or(1).max(1);
            i64::from(video.frames.floor(frames))
        });
        [side(self.width), side(self.height), frames]
    }
}

/// The part of a picture of `width` × `height` that is left when it is cut to the shape of the bucket: left, top,
/// right, bottom, in its own pixels. Source: Pillow's `ImageOps.fit`, which the trainer calls.
#[expect(clippy::cast_precision_loss, reason = "pixels")]
pub fn crop(width: u32, height: u32, [to_width, to_height, _]: [i64; 3]) -> [f64; 4] {
    let (width, height) = (f64::from(width), f64::from(height));
    let (ratio, wanted) = (width / height, to_width as f64 / to_height as f64);
    #[expect(clippy::float_cmp, reason = "as Pillow does")]
    let is_same = ratio == wanted;
    let (crop_width, crop_height) = if is_same {
        (width, height)
    } else if ratio >= wanted {
        (wanted * height, height)
    } else {
        (width, width / wanted)
    };
    let (left, top) = ((width - crop_width) * 0.5, (height - crop_height) * 0.5);
    [left, top, left + crop_width, top + crop_height]
}
