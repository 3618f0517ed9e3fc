//! A survey for people: what each folder has, what each bucket holds, what is wrong, what to change.

use std::{collections::BTreeMap, path::Path};

use crate::{
    config::{Purpose, Severity},
    data::{
        Directory, Drop, Fate, Survey, counted,
        cut::{self, Cut, Key},
        plan::Filled,
        proposals::{Change, Proposal},
    },
    output::{Output, tone::Tone},
};

use super::{super::Context, List, shown};

/// Cells of the longest bar.
const BAR: usize = 24;

pub(super) fn write(survey: &Survey, purpose: Purpose, list: Option<List>, context: &Context) {
    let Context { host, output, .. } = context;
    let short = |path: &Path| path.strip_prefix(&host.cwd).unwrap_or(path).display().to_string();
    let model = survey.model.name.map(|name| format!(", for `{name}`")).unwrap_or_default();
    let of = if purpose == Purpose::Evaluation { " (evaluation)" } else { "" };
    let heading = format!("dataset {}{of}{model}", short(&survey.dataset.file));
    output.data(output.toned(Tone::Heading, &heading));
    for directory in &survey.directories {
        output.data(format_args!("  {}", folder(directory, &short(&directory.path))));
    }
    buckets(survey, output);
    if let Some(list) = list {
        names(survey, list, output);
    }
    for finding in &survey.findings {
        let tone = match finding.severity {
            Severity::Error => Tone::Bad,
            Severity::Warning => Tone::Doubtful,
            Severity::Note => Tone::Faint,
        };
        let line = shown(finding, &host.cwd);
        let (place, rest) = line.split_once(": ").unwrap_or(("", &line));
        let (severity, message) = rest.split_once(": ").unwrap_or(("", rest));
        output.data(format_args!("\n{place}: {}: {message}", output.toned(tone, severity)));
        if let Some(fix) = &finding.fix {
            output.data(format_args!("    fix: {fix}"));
        }
    }
    for (index, proposal) in survey.proposals().iter().enumerate() {
        if index == 0 {
            output.data("\nto lose less to rounding, one of:");
        }
        output.data(format_args!("  {}", proposed(proposal)));
    }
    output.data(format_args!("\n{}", survey.summary()));
}

fn folder(directory: &Directory, path: &str) -> String {
    let mut dropped: BTreeMap<Drop, usize> = BTreeMap::new();
    for item in &directory.items {
        if let Fate::Dropped(why) = item.fate {
            *dropped.entry(why).or_default() += 1;
        }
    }
    let files = counted(directory.items.len(), "file");
    let why: Vec<String> = dropped.iter().map(|(why, count)| format!("{count} {}", why.sentence())).collect();
    if why.is_empty() {
        format!("{path}: {files}")
    } else {
        format!("{path}: {files}, dropped: {}", why.join(", "))
    }
}

/// The buckets that have items, smallest first.
pub(super) fn in_order(survey: &Survey) -> Vec<&Filled> {
    let mut filled: Vec<&Filled> = survey.epoch.buckets.iter().collect();
    let place = |it: &Filled| (it.bucket.frames, it.bucket.width * it.bucket.height, it.bucket.width);
    filled.sort_by_key(|it| place(it));
    filled
}

fn buckets(survey: &Survey, output: &Output) {
    let filled = in_order(survey);
    if filled.is_empty() {
        return;
    }
    let cuts = cut::by_bucket(survey);
    let most = filled.iter().map(|it| it.before).max().unwrap_or(0);
    let head = format!(
        "\n  {:<16} {:>6} {:>8} {:>6} {:>8} {:>5}  cut off",
        "bucket", "files", "samples", "batch", "trained", "lost"
    );
    output.data(output.toned(Tone::Faint, &head));
    for it in filled {
        let cut = cuts.get(&it.bucket.key()).copied().unwrap_or_default();
        let tone = match (it.kept, it.lost()) {
            (0, _) => Tone::Bad,
            (_, 0) => Tone::Neutral,
            _ => Tone::Doubtful,
        };
        let bar = output.toned(tone, &bar(it.before, most));
        output.data(format_args!(
            "  {:<16} {:>6} {:>8} {:>6} {:>8} {:>5}  {:<24} {bar}",
            name(it),
            it.items,
            it.before,
            it.global_batch,
            it.kept,
            it.lost(),
            cut_off(&cut),
        ));
    }
}

/// What is encoded, and the bucket where that is another size.
pub(super) fn name(filled: &Filled) -> String {
    let [width, height, frames] = filled.encoded;
    let same = [filled.bucket.width, filled.bucket.height, filled.bucket.frames] == filled.encoded;
    let encoded =
        if frames == 1 { format!("{width}×{height}") } else { format!("{width}×{height}×{frames}") };
    if same { encoded } else { format!("{encoded}*") }
}

pub(super) fn cut_off(cut: &Cut) -> String {
    let pixels = format!("{:.0} % (most {:.0} %)", cut.mean() * 100.0, cut.worst * 100.0);
    if cut.of_seconds > 0.0 {
        format!("{pixels}, {:.1} of {:.1} s", cut.seconds, cut.of_seconds)
    } else {
        pixels
    }
}

fn bar(samples: u64, most: u64) -> String {
    let share = usize::try_from(samples * BAR as u64 / most.max(1)).unwrap_or(BAR);
    "█".repeat(share.max(1))
}

pub(super) fn proposed(Proposal { change, epoch }: &Proposal) -> String {
    let change = match change {
        Change::RepeatsTimes(times) => format!("{times} times the `num_repeats`"),
        Change::Accumulation(steps) => format!("`gradient_accumulation_steps = {steps}`"),
        Change::MicroBatch(batch) => format!("`micro_batch_size_per_gpu = {batch}`"),
        Change::Ratios(count) => format!("`num_ar_buckets = {count}`, which cuts off more"),
    };
    format!("{change}: {} of {} samples an epoch, {} steps", epoch.kept, epoch.before, epoch.steps)
}

fn names(survey: &Survey, list: List, output: &Output) {
    output.data("");
    if list == List::Buckets {
        let mut by_bucket: BTreeMap<Key, Vec<String>> = BTreeMap::new();
        cut::each_placed(survey, |place| {
            let path = survey.directories[place.directory].path.join(&place.item.name);
            by_bucket.entry(place.bucket.key()).or_default().push(path.display().to_string());
        });
        for filled in in_order(survey) {
            output.data(output.toned(Tone::Heading, &name(filled)));
            for path in by_bucket.get(&filled.bucket.key()).into_iter().flatten() {
                output.data(format_args!("  {path}"));
            }
        }
        return;
    }
    for (spec, directory) in survey.dataset.directories.iter().zip(&survey.directories) {
        for item in &directory.items {
            let path = directory.path.join(&item.name);
            match item.fate {
                Fate::Dropped(why) => {
                    output.data(format_args!("{}: dropped, {}", path.display(), why.sentence()));
                }
                Fate::Trains(group) if list == List::All => {
                    let buckets = spec.buckets.of_group(group, survey.model.bucket_multiple);
                    let buckets: Vec<String> = buckets.iter().map(ToString::to_string).collect();
                    output.data(format_args!("{}: {}", path.display(), buckets.join(", ")));
                }
                Fate::Trains(_) => {}
            }
        }
    }
}
