//! A survey for programs: one JSON object for each folder, bucket, finding and proposal, the summary last.

use serde_json::{Value, json};

use crate::{
    config::Purpose,
    data::{
        Drop, Fate, Survey, cut,
        media::{Flaw, Media},
        plan,
        proposals::Change,
    },
    output::Output,
};

use super::{List, table::in_order};

pub(super) fn write(survey: &Survey, purpose: Purpose, list: Option<List>, output: &Output) {
    let file = survey.dataset.file.to_string_lossy();
    for directory in &survey.directories {
        let trained = directory.items.iter().filter(|it| matches!(it.fate, Fate::Trains(_))).count();
        output.json(&json!({
            "event": "folder", "dataset": file, "path": directory.path.to_string_lossy(),
            "files": directory.items.len(), "dropped": directory.items.len() - trained,
        }));
    }
    let cuts = cut::by_bucket(survey);
    for filled in in_order(survey) {
        let cut = cuts.get(&filled.bucket.key()).copied().unwrap_or_default();
        let [width, height, frames] = filled.encoded;
        output.json(&json!({
            "event": "bucket", "dataset": file, "ratio": filled.bucket.ratio,
            "bucket": [filled.bucket.width, filled.bucket.height, filled.bucket.frames],
            "width": width, "height": height, "frames": frames, "files": filled.items,
            "samples": filled.before, "batch": filled.global_batch, "trained": filled.kept, "lost": filled.lost(),
            "cut_pixels_mean": cut.mean(), "cut_pixels_most": cut.worst,
            "cut_seconds": cut.seconds, "of_seconds": cut.of_seconds,
        }));
    }
    if let Some(list) = list {
        items(survey, list, output);
    }
    for finding in &survey.findings {
        let mut row = serde_json::to_value(finding).unwrap_or_default();
        if let Value::Object(row) = &mut row {
            row.insert("event".to_owned(), json!("finding"));
        }
        output.json(&row);
    }
    for proposal in survey.proposals() {
        let (key, value) = match proposal.change {
            Change::RepeatsTimes(times) => ("num_repeats_times", times),
            Change::Accumulation(steps) => ("gradient_accumulation_steps", steps),
            Change::MicroBatch(batch) => ("micro_batch_size_per_gpu", batch),
            Change::Ratios(count) => ("num_ar_buckets", count as u64),
        };
        let epoch = &proposal.epoch;
        output.json(&json!({
            "event": "proposal", "dataset": file, "key": key, "value": value,
            "samples": epoch.before, "trained": epoch.kept, "steps": epoch.steps,
        }));
    }
    let (trained, all) = survey.files();
    let epoch = &survey.epoch;
    output.json(&json!({
        "event": "data", "dataset": file, "evaluation": purpose == Purpose::Evaluation,
        "model": survey.model.name, "files": all, "files_trained": trained,
        "samples": epoch.before, "samples_trained": epoch.kept, "steps": epoch.steps,
        "data_parallel": survey.batches.data_parallel,
    }));
}

fn items(survey: &Survey, list: List, output: &Output) {
    for (spec, directory) in survey.dataset.directories.iter().zip(&survey.directories) {
        for item in &directory.items {
            let dropped = item.dropped();
            if dropped.is_some() == (list == List::Buckets) && list != List::All {
                continue;
            }
            let (width, height) = item.media.as_ref().and_then(Media::size).unzip();
            let video = match &item.media {
                Some(Media::Video { frames, there, rate, .. }) => Some(
                    json!({ "frames": frames, "decoded": there, "rate": format!("{}/{}", rate.numerator, rate.denominator) }),
                ),
                _ => None,
            };
            let flaw = item.flaw().map(Flaw::sentence);
            let dropped = dropped.map(Drop::sentence);
            let buckets = match item.fate {
                Fate::Dropped(_) => vec![],
                Fate::Trains(group) => spec.buckets.of_group(group, survey.model.bucket_multiple),
            };
            let placed: Vec<Value> = buckets
                .iter()
                .map(|bucket| {
                    let encoded = bucket.encoded(&survey.model);
                    let crop = width.zip(height).map(|(width, height)| plan::crop(width, height, encoded));
                    json!({ "ratio": bucket.ratio, "size": encoded, "crop": crop })
                })
                .collect();
            output.json(&json!({
                "event": "item", "path": directory.path.join(&item.name).to_string_lossy(), "width": width, "height": height,
                "video": video, "flaw": flaw, "frames": item.frames, "captions": item.captions, "caption_flaw": item.text.sentence(), "dropped": dropped, "finding": item.finding(), "buckets": placed,
            }));
        }
    }
}
