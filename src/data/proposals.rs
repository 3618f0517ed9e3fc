//! What to change so that rounding to whole batches loses nearly nothing: tried out, not guessed.

use std::collections::BTreeMap;

use super::{
    batch::Batches,
    buckets::{Buckets, Number},
    media::Media,
    plan::{self, Counted, Epoch, Filled, Sample},
    spec::DirectorySpec,
    survey::{Directory, Item, Survey},
};

/// The share of the samples that a proposal has to keep.
const ENOUGH: f64 = 0.99;

/// More repeats than that are no epoch any more.
const MOST_REPEATS: u64 = 100;

/// Smaller numbers that are tried one by one; then each is half of the one before.
const ONE_BY_ONE: u64 = 100;

/// One change, and what would come of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    pub change: Change,
    pub epoch: Epoch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Every `num_repeats`, times this.
    RepeatsTimes(u64),
    Accumulation(u64),
    MicroBatch(u64),
    /// `num_ar_buckets`.
    Ratios(usize),
}

/// Of each kind the smallest change that keeps enough; none if enough is kept as it is. Many epochs are worked out for
/// that, so [`Survey::proposals`] keeps them.
pub(super) fn propose(survey: &Survey) -> Vec<Proposal> {
    if survey.epoch.before == 0 || is_enough(&survey.epoch) {
        return vec![];
    }
    let tries = [repeats(survey), accumulation(survey), micro_batch(survey), ratios(survey)];
    tries.into_iter().flatten().collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of samples")]
fn is_enough(epoch: &Epoch) -> bool {
    epoch.before > 0 && epoch.kept as f64 >= epoch.before as f64 * ENOUGH
}

/// The numbers from `most` down to 1, the small ones with gaps if there are many: nobody waits for a billion epochs.
fn down_from(most: u64) -> impl Iterator<Item = u64> {
    let last = most.saturating_sub(ONE_BY_ONE);
    let halves = std::iter::successors(Some(last), |it| Some(it / 2)).take_while(|it| *it > 0);
    (last + 1..=most).rev().chain(halves)
}

/// The largest number below `now`, a factor of every batch, with which some bucket still fills one.
fn largest_filled(survey: &Survey, now: u64) -> u64 {
    let filled = |it: &Filled| it.before / (it.global_batch / now.max(1)).max(1);
    survey.epoch.buckets.iter().map(filled).max().unwrap_or(0).min(now.saturating_sub(1))
}

fn first(
    changes: impl Iterator<Item = Change>,
    mut attempt: impl FnMut(Change) -> Option<Epoch>,
) -> Option<Proposal> {
    for change in changes {
        let epoch = attempt(change)?;
        if is_enough(&epoch) {
            return Some(Proposal { change, epoch });
        }
    }
    None
}

fn repeats(survey: &Survey) -> Option<Proposal> {
    first((2..=MOST_REPEATS).map(Change::RepeatsTimes), |change| {
        let Change::RepeatsTimes(times) = change else { return None };
        let more = |it: &DirectorySpec| DirectorySpec {
            num_repeats: times_more(it.num_repeats, times),
            ..it.clone()
        };
        let directories: Vec<DirectorySpec> = survey.dataset.directories.iter().map(more).collect();
        Some(same_groups(survey, &directories, &survey.batches))
    })
}

fn times_more(repeats: Number, times: u64) -> Number {
    match repeats {
        Number::Int(number) => Number::Int(number.saturating_mul(i64::try_from(times).unwrap_or(i64::MAX))),
        #[expect(clippy::cast_precision_loss, reason = "at most 100")]
        Number::Float(number) => Number::Float(number * times as f64),
    }
}

fn accumulation(survey: &Survey) -> Option<Proposal> {
    let most = largest_filled(survey, survey.batches.accumulation);
    first(down_from(most).map(Change::Accumulation), |change| {
        let Change::Accumulation(accumulation) = change else { return None };
        let batches = Batches { accumulation, ..survey.batches.clone() };
        Some(same_groups(survey, &survey.dataset.directories, &batches))
    })
}

fn micro_batch(survey: &Survey) -> Option<Proposal> {
    let now = survey.batches.micro_batch()?;
    first(down_from(largest_filled(survey, now)).map(Change::MicroBatch), |change| {
        let Change::MicroBatch(micro_batch) = change else { return None };
        let batches = survey.batches.with_micro_batch(micro_batch)?;
        Some(same_groups(survey, &survey.dataset.directories, &batches))
    })
}

/// Fewer shapes, and so fuller buckets; more is cut off.
fn ratios(survey: &Survey) -> Option<Proposal> {
    let most = survey.dataset.directories.iter().filter_map(|it| spaced(&it.buckets)).map(|it| it.2).max()?;
    let shapes = shapes(survey);
    let fewer = down_from(most as u64 - 1).filter_map(|it| usize::try_from(it).ok());
    first(fewer.map(Change::Ratios), |change| {
        let Change::Ratios(number) = change else { return None };
        let fewer = |it: &DirectorySpec| {
            let mut changed = it.clone();
            if let (Some((min, max, _)), Buckets::ByRatio { ratios, .. }) =
                (spaced(&it.buckets), &mut changed.buckets)
            {
                *ratios = Buckets::spaced_ratios(min, max, number);
            }
            changed
        };
        let directories: Vec<DirectorySpec> = survey.dataset.directories.iter().map(fewer).collect();
        Some(sorted_anew(survey, &directories, &shapes))
    })
}

/// The narrowest, the widest, and how many.
fn spaced(buckets: &Buckets) -> Option<(f64, f64, usize)> {
    match buckets {
        Buckets::ByRatio { ratios, .. } if ratios.len() > 1 => {
            Some((ratios.first()?.value, ratios.last()?.value, ratios.len()))
        }
        _ => None,
    }
}

/// The epoch of the same buckets with other repeats or batches.
fn same_groups(survey: &Survey, directories: &[DirectorySpec], batches: &Batches) -> Epoch {
    let groups = survey.groups.iter().cloned();
    let counted: Vec<Counted> =
        directories.iter().zip(groups).map(|(directory, groups)| Counted { directory, groups }).collect();
    plan::epoch(&counted, &survey.model, batches, survey.dataset.subsample)
}

/// Of each directory, how many items have the same shape: far fewer than there are items.
fn shapes(survey: &Survey) -> Vec<BTreeMap<Sample, u64>> {
    let of = |directory: &Directory| {
        let mut shapes = BTreeMap::new();
        for sample in directory.items.iter().filter_map(sample) {
            *shapes.entry(sample).or_default() += 1;
        }
        shapes
    };
    survey.directories.iter().map(of).collect()
}

/// The epoch that other buckets would make of the same files.
fn sorted_anew(survey: &Survey, directories: &[DirectorySpec], shapes: &[BTreeMap<Sample, u64>]) -> Epoch {
    let mut counted: Vec<Counted> = directories.iter().map(Counted::new).collect();
    for (counted, shapes) in counted.iter_mut().zip(shapes) {
        for (sample, items) in shapes {
            // What is too short stays so.
            let _ = counted.take(sample, *items);
        }
    }
    plan::epoch(&counted, &survey.model, &survey.batches, survey.dataset.subsample)
}

fn sample(item: &Item) -> Option<Sample> {
    let (width, height) = item.media.as_ref().and_then(Media::size)?;
    (item.frames > 0).then_some(Sample { width, height, frames: item.frames, captions: item.captions })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_down_is_short_and_ends_at_one() {
        assert_eq!(down_from(0).count(), 0);
        assert_eq!(down_from(3).collect::<Vec<_>>(), [3, 2, 1]);
        let long: Vec<u64> = down_from(1_000_000_000).collect();
        assert_eq!(
            (long[0], long[99], long[100], long.last()),
            (1_000_000_000, 999_999_901, 999_999_900, Some(&1))
        );
        assert!(long.len() < 140, "{}", long.len());
    }
}
