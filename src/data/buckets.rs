//! Which size bucket an item goes to: the trainer's choice, with its quirks.
//!
//! Source: `DirectoryDataset` and `ARBucketDataset` in diffusion-pipe's `utils/dataset.py`.

use std::fmt;

use super::numbers::{
    geometric_series, index_of_smallest, nearest_multiple, round_like_numpy, round_like_python, sorted_once,
};

/// A number of the TOML file. The trainer rounds the two kinds differently.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Float(f64),
}

impl Number {
    #[expect(clippy::cast_precision_loss, reason = "as Python does")]
    pub fn value(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

/// The shape of what is trained: `ratio` tells apart what would have the same size, and is only there for buckets by
/// aspect ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeBucket {
    pub ratio: Option<f64>,
    pub width: i64,
    pub height: i64,
    pub frames: i64,
}

impl SizeBucket {
    /// Of one frame; exact below 2^53.
    #[expect(clippy::cast_precision_loss, reason = "sides of images are far below 2^26")]
    pub fn pixels(&self) -> f64 {
        self.width as f64 * self.height as f64
    }
}

/// `512×768`, `512×768×33`: without the ratio, which is seen.
impl fmt::Display for SizeBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}×{}", self.width, self.height)?;
        if self.frames == 1 { Ok(()) } else { write!(f, "×{}", self.frames) }
    }
}

/// How a folder's items are sorted into buckets.
#[derive(Clone, Debug, PartialEq)]
pub enum Buckets {
    /// By aspect ratio and frames; each is trained at every resolution.
    ByRatio { ratios: Vec<Ratio>, frames: Vec<i64>, resolutions: Vec<f64> },
    /// `size_buckets`, the longest first.
    BySize { sizes: Vec<[i64; 3]>, ratios: Vec<Ratio> },
}

/// An aspect ratio (width by height) with its logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    pub value: f64,
    log: f64,
}

impl Ratio {
    fn new(value: f64) -> Self {
        Self { value, log: value.ln() }
    }
}

/// Why no bucket takes an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBucket {
    /// Fewer frames than the shortest bucket, or a video that only the images' bucket would take.
    TooShort,
}

/// The buckets of one group: an item is in all of them.
pub type Group = usize;

impl Buckets {
    /// `ar_buckets`, where they are given as such.
    pub fn given_ratios(given: &[RatioSpec]) -> Vec<Ratio> {
        let rounded = given.iter().map(|it| match *it {
            RatioSpec::One(Number::Int(value)) => Number::Int(value).value(),
            RatioSpec::One(Number::Float(value)) => round_like_python(value),
            RatioSpec::Pair(width, height) => round_like_python(width.value() / height.value()),
        });
        sorted_once(rounded.collect()).into_iter().map(Ratio::new).collect()
    }

    /// `num_ar_buckets` from `min_ar` to `max_ar`.
    pub fn spaced_ratios(min: f64, max: f64, count: usize) -> Vec<Ratio> {
        let series = geometric_series(min, max, count).into_iter().map(round_like_numpy);
        sorted_once(series.collect()).into_iter().map(Ratio::new).collect()
    }

    /// Squares only.
    pub fn square() -> Vec<Ratio> {
        vec![Ratio::new(1.0)]
    }

    pub fn by_ratio(ratios: Vec<Ratio>, frames: &[i64], resolutions: &[ResolutionSpec]) -> Self {
        let mut frames = frames.to_vec();
        // The trainer always makes a bucket for images.
        if !frames.contains(&1) {
            frames.push(1);
        }
        frames.sort_unstable();
        let rounded = resolutions.iter().map(|it| match *it {
            ResolutionSpec::Side(Number::Int(side)) => Number::Int(side).value(),
            ResolutionSpec::Side(Number::Float(side)) => round_like_python(side),
            ResolutionSpec::Size(width, height) => round_like_python((width.value() * height.value()).sqrt()),
        });
        Self::ByRatio { ratios, frames, resolutions: sorted_once(rounded.collect()) }
    }

    pub fn by_size(sizes: &[[i64; 3]]) -> Self {
        let mut sizes = sizes.to_vec();
        // Stable, as Python's sort is, reversed or not.
        sizes.sort_by_key(|size| std::cmp::Reverse(size[2]));
        let ratio = |size: &[i64; 3]| Number::Int(size[0]).value() / Number::Int(size[1]).value();
        let ratios = sorted_once(sizes.iter().map(ratio).map(round_like_numpy).collect());
        Self::BySize { sizes, ratios: ratios.into_iter().map(Ratio::new).collect() }
    }

    /// Where an item of `width` × `height` pixels and `frames` frames (at the model's rate) goes.
    ///
    /// # Errors
    /// When the trainer skips it.
    pub fn choose(&self, width: u32, height: u32, frames: i64) -> Result<Group, NoBucket> {
        let log = (f64::from(width) / f64::from(height)).ln();
        let is_video = frames > 1;
        match self {
            Self::ByRatio { ratios, frames: lengths, .. } => {
                let ratio = index_of_smallest(ratios.iter().map(|it| (log - it.log).abs()));
                // Sorted, so the nearest that is not longer is the last; of equal ones the trainer takes the first.
                let fitting = lengths.iter().filter(|it| **it <= frames).max().ok_or(NoBucket::TooShort)?;
                if is_video && *fitting == 1 {
                    return Err(NoBucket::TooShort);
                }
                let length = lengths.iter().position(|it| it == fitting).ok_or(NoBucket::TooShort)?;
                Ok(ratio.ok_or(NoBucket::TooShort)? * lengths.len() + length)
            }
            Self::BySize { sizes, ratios } => {
                let takes = |size: &&usize| {
                    let length = sizes[**size][2];
                    !(is_video && length == 1) && frames >= length
                };
                let preferred = self.preferred(log, ratios.len());
                let found = preferred.iter().find(takes).ok_or(NoBucket::TooShort)?;
                // One that is written twice is one bucket.
                sizes.iter().position(|it| *it == sizes[*found]).ok_or(NoBucket::TooShort)
            }
        }
    }

    /// The trainer sorts the ratios and the sizes apart, then uses places in one list as places in the other: with
    /// sizes in another order than their ratios, "the nearest" is any other, and sizes beyond the number of different
    /// ratios are never taken.
    fn preferred(&self, log: f64, count: usize) -> Vec<usize> {
        let Self::BySize { ratios, .. } = self else { return vec![] };
        let mut order: Vec<usize> = (0..count).collect();
        order.sort_by(|a, b| (log - ratios[*a].log).abs().total_cmp(&(log - ratios[*b].log).abs()));
        order
    }

    /// The size that fits best by the documented rule, for sizes that the trainer confuses: nearest ratio first, then
    /// the longest that the item can fill.
    pub fn meant(&self, width: u32, height: u32, frames: i64) -> Option<Group> {
        let Self::BySize { sizes, .. } = self else { return None };
        let log = (f64::from(width) / f64::from(height)).ln();
        let distance = |size: &[i64; 3]| {
            (log - (Number::Int(size[0]).value() / Number::Int(size[1]).value()).ln()).abs()
        };
        let fits = |size: &&[i64; 3]| frames >= size[2] && !(frames > 1 && size[2] == 1);
        let best = sizes.iter().filter(fits).min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
        sizes.iter().position(|it| it == best)
    }

    /// The buckets of a group, the smallest resolution first; rounded to `multiple` pixels.
    pub fn of_group(&self, group: Group, multiple: u32) -> Vec<SizeBucket> {
        match self {
            Self::ByRatio { ratios, frames, resolutions } => {
                let ratio = ratios[group / frames.len()].value;
                let size = |side: &f64| {
                    let area = side * side;
                    let width = (area * ratio).sqrt();
                    SizeBucket {
                        ratio: Some(ratio),
                        width: nearest_multiple(width, multiple),
                        height: nearest_multiple(area / width, multiple),
                        frames: frames[group % frames.len()],
                    }
                };
                resolutions.iter().map(size).collect()
            }
            Self::BySize { sizes, .. } => {
                let [width, height, frames] = sizes[group];
                vec![SizeBucket { ratio: None, width, height, frames }]
            }
        }
    }

    /// The shortest bucket that takes videos.
    pub fn shortest_video(&self) -> Option<i64> {
        let longer = |it: &i64| *it > 1;
        match self {
            Self::ByRatio { frames, .. } => frames.iter().copied().filter(longer).min(),
            Self::BySize { sizes, .. } => sizes.iter().map(|it| it[2]).filter(longer).min(),
        }
    }
}

/// An entry of `ar_buckets`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RatioSpec {
    One(Number),
    Pair(Number, Number),
}

/// An entry of `resolutions`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ResolutionSpec {
    Side(Number),
    Size(Number, Number),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_that_is_written_twice_is_one_bucket() {
        let buckets = Buckets::by_size(&[[64, 128, 9], [128, 64, 9], [64, 128, 9]]);
        assert_eq!(buckets.choose(50, 100, 9), Ok(0));
        assert_eq!(buckets.choose(100, 50, 9), Ok(1));
        let buckets = Buckets::by_size(&[[64, 128, 9], [64, 128, 9], [128, 64, 9]]);
        // The second ratio is looked up at the second place: the same size again, and so the first group.
        assert_eq!(buckets.choose(100, 50, 9), Ok(0));
    }

    #[test]
    fn a_video_never_goes_to_the_bucket_of_images() {
        let resolutions = [ResolutionSpec::Side(Number::Int(64))];
        let buckets = Buckets::by_ratio(Buckets::square(), &[9, 1, 9, 33], &resolutions);
        let frames = |group: Group| buckets.of_group(group, 16)[0].frames;
        assert_eq!(
            [1, 9, 32, 33].map(|it| buckets.choose(64, 64, it).map(frames)),
            [Ok(1), Ok(9), Ok(9), Ok(33)]
        );
        assert_eq!([0, 8].map(|it| buckets.choose(64, 64, it)), [Err(NoBucket::TooShort); 2]);
    }
}
