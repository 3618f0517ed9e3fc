//! The names of files, each with what becomes of it: one a line, for eyes and for `grep`.

use std::collections::BTreeMap;

use crate::{
    data::{
        Fate, Survey, counted,
        cut::{self, Key},
    },
    output::{Output, plain, tone::Tone},
};

use super::{
    List,
    table::{in_order, name},
};

pub(super) fn write(survey: &Survey, list: List, output: &Output) {
    if list == List::Buckets {
        return by_bucket(survey, output);
    }
    for (spec, directory) in survey.dataset.directories.iter().zip(&survey.directories) {
        for item in &directory.items {
            let path = plain::name(directory.path.join(&item.name));
            if let Some(why) = item.why_dropped() {
                output.data(format_args!("{path}: dropped, {why}"));
            } else if let (Fate::Trains(group), List::All) = (item.fate, list) {
                let buckets = spec.buckets.of_group(group, survey.model.bucket_multiple);
                let buckets: Vec<String> = buckets.iter().map(ToString::to_string).collect();
                output.data(format_args!("{path}: {}", buckets.join(", ")));
            }
        }
    }
    rounding(survey, output);
}

fn by_bucket(survey: &Survey, output: &Output) {
    let mut by_bucket: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    cut::each_placed(survey, |place| {
        let path = survey.directories[place.directory].path.join(&place.item.name);
        by_bucket.entry(place.bucket.key()).or_default().push(plain::name(path));
    });
    for filled in in_order(survey) {
        output.data(output.toned(Tone::Heading, &name(filled)));
        for path in by_bucket.get(&filled.bucket.key()).into_iter().flatten() {
            output.data(format_args!("  {path}"));
        }
    }
}

/// What has no name here. The trainer shuffles with seeds of its own (of the folder's path, of the bucket, and 0), so it
/// drops the same samples in every epoch; which, only its generators know.
/// Source: `SizeBucketDataset.__init__` and `ConcatenatedBatchedDataset._make_divisible_by` in `utils/dataset.py`.
fn rounding(survey: &Survey, output: &Output) {
    let losing: Vec<_> = in_order(survey).into_iter().filter(|it| it.lost() > 0).collect();
    if losing.is_empty() {
        return;
    }
    for it in &losing {
        let lost = counted(usize::try_from(it.lost()).unwrap_or(usize::MAX), "sample");
        output.note(format_args!(
            "{}: {lost} of {} dropped to fill batches of {}",
            name(it),
            it.before,
            it.global_batch
        ));
    }
    output.note("which samples these are, the trainer's shuffle decides: the same ones in every epoch");
}
