//! A survey for people: what each folder has, what each bucket holds, what is wrong, what to change.

use std::{collections::BTreeMap, path::Path};

use crate::{
    config::{Purpose, Severity},
    data::{
        Directory, Drop, Survey, counted,
        cut::{self, Cut},
        grouped,
        plan::Filled,
        proposals::{Change, Proposal},
    },
    output::{Output, plain, tone::Tone},
};

use super::{super::Context, shown};

/// Cells of the longest bar, and of the shortest that says anything.
const BAR: usize = 24;
const SHORTEST: usize = 6;

pub(super) fn write(survey: &Survey, purpose: Purpose, context: &Context) {
    let Context { host, output, .. } = context;
    let short = |path: &Path| plain::name(path.strip_prefix(&host.cwd).unwrap_or(path));
    let model = survey.model.name.map(|name| format!(", for `{name}`")).unwrap_or_default();
    let of = if purpose == Purpose::Evaluation { " (evaluation)" } else { "" };
    let heading = format!("dataset {}{of}{model}", short(&survey.dataset.file));
    output.data(output.toned(Tone::Heading, &heading));
    for directory in &survey.directories {
        output.data(format_args!("  {}", folder(directory, &short(&directory.path))));
    }
    buckets(survey, output);
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
        if let Some(why) = item.dropped() {
            *dropped.entry(why).or_default() += 1;
        }
    }
    let files = counted(directory.items.len(), "file");
    let why: Vec<String> =
        dropped.iter().map(|(why, count)| format!("{} {}", grouped(*count), why.sentence())).collect();
    if why.is_empty() {
        format!("{path}: {files}")
    } else {
        format!("{path}: {files}, dropped: {}", why.join(", "))
    }
}

/// The buckets that have items, smallest first.
pub(super) fn in_order(survey: &Survey) -> Vec<&Filled> {
    let mut filled: Vec<&Filled> = survey.epoch.buckets.iter().collect();
    let pixels = |a: &Filled, b: &Filled| a.bucket.pixels().total_cmp(&b.bucket.pixels());
    filled.sort_by(|a, b| {
        let (first, then) = (a.bucket.frames.cmp(&b.bucket.frames), a.bucket.width.cmp(&b.bucket.width));
        first.then(pixels(a, b)).then(then)
    });
    filled
}

fn buckets(survey: &Survey, output: &Output) {
    let filled = in_order(survey);
    if filled.is_empty() {
        return;
    }
    let cuts = cut::by_bucket(survey);
    let head = ["bucket", "files", "samples", "batch", "trained", "lost", "cut off"].map(str::to_owned);
    let cells = |it: &&Filled| {
        let cut = cuts.get(&it.bucket.key()).copied().unwrap_or_default();
        let [items, before, batch, kept, lost] =
            [it.items, it.before, it.global_batch, it.kept, it.lost()].map(|it| it.to_string());
        [name(it), items, before, batch, kept, lost, cut_off(&cut)]
    };
    let rows: Vec<[String; COLUMNS]> = filled.iter().map(cells).collect();
    let widest = |column: usize| {
        let cells = std::iter::once(&head).chain(&rows).map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let widths: [usize; COLUMNS] = std::array::from_fn(widest);
    // What is left of the line is the bar's, two columns after each cell.
    let taken: usize = widths.iter().map(|it| it + 2).sum::<usize>() + 2;
    let room = output.columns().map_or(BAR, |all| all.saturating_sub(taken + 1).min(BAR));
    output.data("");
    output.data(output.toned(Tone::Faint, line(&head, &widths).trim_end()));
    let most = filled.iter().map(|it| it.before).max().unwrap_or(0);
    for (it, row) in filled.iter().zip(&rows) {
        let tone = match (it.kept, it.lost()) {
            (0, _) => Tone::Bad,
            (_, 0) => Tone::Neutral,
            _ => Tone::Doubtful,
        };
        let bar = if room < SHORTEST { String::new() } else { bar(it.before, most, room) };
        output
            .data(format_args!("{}{}", line(row, &widths), output.toned(tone, &bar)).to_string().trim_end());
    }
    if filled.iter().any(|it| !is_encoded_as_it_is(it)) {
        output.data(output.toned(Tone::Faint, "  * what is encoded; the bucket itself has another size"));
    }
}

/// Columns before the bar.
const COLUMNS: usize = 7;

/// A line of the table: the first and the last to the left, numbers to the right.
fn line(cells: &[String; COLUMNS], widths: &[usize; COLUMNS]) -> String {
    let mut line = String::from("  ");
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        let cell = match column {
            0 | 6 => format!("{cell:<width$}  "),
            _ => format!("{cell:>width$}  "),
        };
        line.push_str(&cell);
    }
    line
}

/// What is encoded, and the bucket where that is another size.
pub(super) fn name(filled: &Filled) -> String {
    let [width, height, frames] = filled.encoded;
    let encoded =
        if frames == 1 { format!("{width}×{height}") } else { format!("{width}×{height}×{frames}") };
    if is_encoded_as_it_is(filled) { encoded } else { format!("{encoded}*") }
}

fn is_encoded_as_it_is(filled: &Filled) -> bool {
    [filled.bucket.width, filled.bucket.height, filled.bucket.frames] == filled.encoded
}

pub(super) fn cut_off(cut: &Cut) -> String {
    let pixels = format!("{:.0} % (most {:.0} %)", cut.mean() * 100.0, cut.worst * 100.0);
    if cut.of_seconds > 0.0 {
        format!("{pixels}, {:.1} of {:.1} s", cut.seconds, cut.of_seconds)
    } else {
        pixels
    }
}

fn bar(samples: u64, most: u64, room: usize) -> String {
    let share = u128::from(samples) * room as u128 / u128::from(most.max(1));
    "█".repeat(usize::try_from(share).unwrap_or(room).max(1))
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
