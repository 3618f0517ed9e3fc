//! What is wrong with how the items fill the buckets, and the buckets the batches.

use std::path::Path;

use crate::config::{Finding, Position};

use super::{
    super::{
        media::{Flaw, Media},
        plan::Filled,
        survey::{Item, Survey},
    },
    counted,
};

/// Samples that rounding may take without a word, as a share of all.
const TOLERABLE_LOSS: f64 = 0.01;

/// Samples of an epoch. The trainer keeps a list of all, about 100 bytes for each.
const MOST_SAMPLES: u64 = 2_000_000_000;

/// Pixels of a side: eight times what the largest model is made for.
const LONGEST_SIDE: i64 = 32_768;

/// What rounding to whole batches does, and buckets that a model cannot use as they are.
pub(super) fn of(survey: &Survey) -> Vec<Finding> {
    let file = &survey.dataset.file;
    let mut found = vec![];
    let epoch = &survey.epoch;
    let at = (file.as_path(), survey.dataset.directories.first().map_or(Position::START, |it| it.position));
    if epoch.before == 0 {
        // What only we cannot measure may train.
        let unknown =
            |it: &Item| matches!(it.media, Some(Media::Unusable(Flaw::NeedsFfprobe | Flaw::Unmeasured)));
        if survey.directories.iter().any(|it| it.items.iter().any(unknown)) {
            return found;
        }
        if survey.directories.iter().all(|it| it.faults.unlisted.is_none() && !it.items.is_empty())
            && !survey.directories.is_empty()
        {
            let finding = Finding::error(
                "buckets-hold-a-batch",
                at,
                "nothing is left to train with: every file is dropped",
            );
            found.push(finding.fix("mend the warnings, of which each names a reason"));
        }
        return found;
    }
    found.extend(absurd(survey, at));
    if epoch.steps == 0 {
        let most = epoch.buckets.iter().map(|it| it.before).max().unwrap_or(0);
        let batch = epoch.buckets.iter().map(|it| it.global_batch).min().unwrap_or(1);
        let message = format!(
            "no bucket fills one batch: the fullest has {most} samples, a step takes {batch} or more"
        );
        let finding = Finding::error("buckets-hold-a-batch", at, message);
        found.push(finding.fix("raise `num_repeats`, or lower the batch or `gradient_accumulation_steps`"));
        return found;
    }
    let lost = epoch.before - epoch.kept;
    #[expect(clippy::cast_precision_loss, reason = "counts of samples")]
    let share = lost as f64 / epoch.before as f64;
    if share > TOLERABLE_LOSS {
        let whole = match epoch.buckets.iter().filter(|it| it.kept == 0).count() {
            0 => String::new(),
            empty => format!(", {} as a whole", counted(empty, "bucket")),
        };
        let message = format!(
            "cutting each bucket to whole batches leaves {lost} of {} samples out of every epoch{whole}",
            epoch.before
        );
        let finding = Finding::warning("buckets-hold-a-batch", at, message);
        found.push(finding.fix("take one of the proposals below, or add files"));
    }
    found.extend(mixed(survey).map(|bucket| {
        let message =
            format!("the bucket {} mixes items with and without control images in one batch", bucket.bucket);
        Finding::error("edit-and-plain-mix", at, message).fix("train them apart, or with a batch of 1")
    }));
    found
}

/// Sizes and counts that are slips of the hand.
fn absurd(survey: &Survey, at: (&Path, Position)) -> Vec<Finding> {
    let epoch = &survey.epoch;
    let mut found = vec![];
    for bucket in &epoch.buckets {
        let [width, height, _] = bucket.encoded;
        if width.min(height) == 0 {
            let message =
                format!("the bucket {width}×{height} has no pixels: the trainer rounds a side to 0");
            found.push(Finding::error("bucket-size", at, message).fix("raise the resolution"));
            break;
        }
        if width.max(height) > LONGEST_SIDE {
            let message = format!("the bucket {width}×{height} is larger than anything that can be trained");
            found.push(
                Finding::error("bucket-size", at, message).fix("give sides in pixels, such as 512 or 1024"),
            );
            break;
        }
    }
    if epoch.before > MOST_SAMPLES {
        let message =
            "an epoch has more samples than fit into memory, where the trainer keeps a list of them";
        found.push(
            Finding::error("epoch-fits-memory", at, message)
                .fix("lower `num_repeats` or `cache_shuffle_num`"),
        );
    }
    found
}

fn mixed(survey: &Survey) -> impl Iterator<Item = &Filled> {
    let edits = |directory: usize| survey.dataset.directories[directory].control_path.is_some();
    survey
        .epoch
        .buckets
        .iter()
        .find(|bucket| {
            let micro = bucket.global_batch
                / survey.batches.accumulation.saturating_mul(survey.batches.data_parallel).max(1);
            let with = bucket.parts.iter().any(|it| edits(it.directory));
            micro > 1 && with && bucket.parts.iter().any(|it| !edits(it.directory))
        })
        .into_iter()
}
