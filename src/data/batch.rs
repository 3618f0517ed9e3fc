//! How many samples a step takes, and from which bucket.
//!
//! Source: `train.py` and `ConcatenatedBatchedDataset.post_init` in diffusion-pipe's `utils/dataset.py`.

use toml_edit::{Item, TableLike};

use crate::config::{Purpose, TrainConfig};

use super::buckets::SizeBucket;

/// What one step takes, on all GPUs together.
#[derive(Clone, Debug, PartialEq)]
pub struct Batches {
    pub videos: PerSize,
    pub images: PerSize,
    pub accumulation: u64,
    /// GPUs by pipeline stages: how many copies of the model train side by side.
    pub data_parallel: u64,
}

/// A micro batch, or one for each size: the nearest size decides.
#[derive(Clone, Debug, PartialEq)]
pub struct PerSize(Vec<(Option<f64>, u64)>);

impl Batches {
    /// One sample a step.
    pub fn single() -> Self {
        let one = PerSize(vec![(None, 1)]);
        Self { videos: one.clone(), images: one, accumulation: 1, data_parallel: 1 }
    }

    /// As the training file says.
    pub fn of(config: &TrainConfig, purpose: Purpose, ranks: u32) -> Self {
        let data_parallel = u64::from(ranks) / config.training.pipeline_stages.max(1);
        Self::read(config.source().root(), purpose, data_parallel.max(1))
    }

    /// The keys of that purpose, each with the trainer's fallback.
    pub fn read(root: &dyn TableLike, purpose: Purpose, data_parallel: u64) -> Self {
        let read = |key, fallback: &PerSize| per_size(root, key).unwrap_or_else(|| fallback.clone());
        let videos = read("micro_batch_size_per_gpu", &PerSize(vec![(None, 1)]));
        match purpose {
            Purpose::Training => Self {
                images: read("image_micro_batch_size_per_gpu", &videos),
                videos,
                accumulation: count(root, "gradient_accumulation_steps").unwrap_or(1),
                data_parallel,
            },
            Purpose::Evaluation => {
                let videos = read("eval_micro_batch_size_per_gpu", &videos);
                Self {
                    images: read("eval_image_micro_batch_size_per_gpu", &videos),
                    videos,
                    accumulation: count(root, "eval_gradient_accumulation_steps").unwrap_or(1),
                    data_parallel,
                }
            }
        }
    }

    /// The samples of one step from `bucket`.
    pub fn global(&self, bucket: &SizeBucket) -> u64 {
        let sizes = if bucket.frames == 1 { &self.images } else { &self.videos };
        sizes.of(bucket).saturating_mul(self.accumulation).saturating_mul(self.data_parallel)
    }

    /// The same with other numbers, for proposals; `None` if nothing would change.
    #[must_use]
    pub fn with_micro_batch(&self, micro_batch: u64) -> Option<Self> {
        let one = PerSize(vec![(None, micro_batch)]);
        let changed = Self { videos: one.clone(), images: one, ..self.clone() };
        (changed != *self).then_some(changed)
    }

    /// The micro batch, if it is one for all.
    pub fn micro_batch(&self) -> Option<u64> {
        match (&self.videos.0[..], &self.images.0[..]) {
            ([(None, videos)], [(None, images)]) if videos == images => Some(*videos),
            _ => None,
        }
    }
}

impl PerSize {
    fn of(&self, bucket: &SizeBucket) -> u64 {
        let side = bucket.pixels().sqrt();
        let mut best = (f64::INFINITY, 1);
        for (size, batch) in &self.0 {
            let distance = size.map_or(0.0, |size| (size - side).abs());
            if distance < best.0 {
                best = (distance, *batch);
            }
        }
        best.1
    }
}

/// A number, or `[[size, number], …]`, in which the last of equal sizes counts.
fn per_size(root: &dyn TableLike, key: &str) -> Option<PerSize> {
    let item = root.get(key)?;
    if let Some(one) = item.as_integer() {
        return Some(PerSize(vec![(None, u64::try_from(one).ok()?.max(1))]));
    }
    let mut sizes: Vec<(Option<f64>, u64)> = vec![];
    for pair in item.as_array()? {
        let pair = pair.as_array()?;
        #[expect(clippy::cast_precision_loss, reason = "a side in pixels")]
        let size = pair.get(0)?.as_float().or_else(|| pair.get(0)?.as_integer().map(|it| it as f64))?;
        let batch = u64::try_from(pair.get(1)?.as_integer()?).ok()?.max(1);
        match sizes.iter_mut().find(|(known, _)| *known == Some(size)) {
            Some(known) => known.1 = batch,
            None => sizes.push((Some(size), batch)),
        }
    }
    (!sizes.is_empty()).then_some(PerSize(sizes))
}

fn count(root: &dyn TableLike, key: &str) -> Option<u64> {
    root.get(key).and_then(Item::as_integer)?.try_into().ok().filter(|it| *it > 0)
}
