//! A dataset file by itself. What lies in its folders is judged by `dpgui data check`.

use std::{collections::BTreeMap, path::Path};

use toml_edit::{Item, Value};

use super::{Dataset, Finding, Rule, View, dataset, datasets};
use crate::{
    config::{
        file_name::may_be_media,
        finding::Position,
        schema::{Ability, FrameRule, ModelType},
    },
    platform::fs,
};

pub(super) const RULES: &[Rule] = &[
    dataset(&["dataset-directory-list"], dataset_directory_list),
    datasets(&["directory-has-media"], directory_has_media),
    dataset(&["resolutions-top-level"], resolutions_top_level),
    datasets(&["ar-range-top-level"], ar_range_top_level),
    datasets(&["resolutions-at-most-three"], resolutions_at_most_three),
    datasets(&["size-buckets-win"], size_buckets_win),
    datasets(&["cosmos-dataset"], cosmos_dataset),
    datasets(&["same-directory-twice"], same_directory_twice),
    datasets(&["edit-dataset-supported-type"], edit_dataset_supported_type),
    datasets(&["frame-bucket-alignment"], frame_bucket_alignment),
    datasets(&["aspect-ratio-keys-unused"], aspect_ratio_keys_unused),
];

/// The top of the file, then each `[[directory]]`.
fn tables<'a>(d: &Dataset<'a>) -> Vec<View<'a>> {
    std::iter::once(d.root.clone()).chain(d.directories()).collect()
}

fn dataset_directory_list(d: &Dataset) -> Option<Finding> {
    let empty = match d.get("directory") {
        None => true,
        Some(item) => item.as_array().is_some_and(toml_edit::Array::is_empty),
    };
    empty.then(|| without_directories(d.at("directory")))
}

/// What has nothing to train with.
pub fn without_directories(at: (&Path, Position)) -> Finding {
    let message = "there is no `[[directory]]`: the dataset is empty";
    Finding::error("dataset-directory-list", at, message)
        .about("directory".to_owned())
        .fix("add `[[directory]]` and below it `path = 'FOLDER'`")
}

/// By names alone, up to the first that will do.
fn directory_has_media(d: &Dataset, found: &mut Vec<Finding>) {
    for directory in d.directories() {
        let Some(text) = directory.text("path").filter(|text| !text.is_empty()) else { continue };
        let folder = d.base.place(text);
        // What cannot be listed is another rule's.
        if fs::has_file(&folder, may_be_media).unwrap_or(true) {
            continue;
        }
        let message =
            format!("`path`: nothing in `{}` itself is called like an image or a video", folder.display());
        found.push(
            directory.warning("directory-has-media", "path", message).fix(
                "put the files there, or name the folder that holds them: folders in it are not searched",
            ),
        );
    }
}

/// The trainer reads it at the top first, even where a directory has its own.
fn resolutions_top_level(d: &Dataset) -> Option<Finding> {
    let sized = |directory: &View| d.effective(directory, "size_buckets").is_some();
    (!d.has("resolutions") && !d.directories().iter().all(sized))
        .then(|| without_resolutions(d.at("resolutions")))
}

/// For whoever cannot go on without them.
pub fn without_resolutions(at: (&Path, Position)) -> Finding {
    let message = "`resolutions` is missing at the top of the dataset file";
    Finding::error("resolutions-top-level", at, message)
        .about("resolutions".to_owned())
        .fix("set `resolutions = [512]` above the first `[[directory]]`")
}

fn ar_range_top_level(d: &Dataset, found: &mut Vec<Finding>) {
    let by_range = |directory: &View| {
        let on = d.effective(directory, "enable_ar_bucket").and_then(|it| it.flag("enable_ar_bucket"));
        let given = ["ar_buckets", "size_buckets"].iter().any(|key| d.effective(directory, key).is_some());
        on == Some(true) && !given
    };
    if !d.directories().iter().any(by_range) {
        return;
    }
    for key in ["min_ar", "max_ar", "num_ar_buckets"].into_iter().filter(|key| !d.has(key)) {
        found.push(without_range(key, d.at("enable_ar_bucket")));
    }
}

/// For whoever needs `key`, an end of the range of ratios or their number.
pub fn without_range(key: &str, at: (&Path, Position)) -> Finding {
    let value = match key {
        "min_ar" => "0.5",
        "max_ar" => "2.0",
        _ => "7",
    };
    let message = format!("with `enable_ar_bucket` the trainer needs `{key}` at the top of the dataset file");
    Finding::error("ar-range-top-level", at, message)
        .about(key.to_owned())
        .fix(format!("set `{key} = {value}` above the first `[[directory]]`, or give `ar_buckets`"))
}

fn resolutions_at_most_three(d: &Dataset, found: &mut Vec<Finding>) {
    if d.args.iter().any(|it| it == "--i_know_what_i_am_doing") {
        return;
    }
    for table in tables(d) {
        let count = table.get("resolutions").and_then(Item::as_array).map_or(0, toml_edit::Array::len);
        let counts = |directory: &View| !directory.has("resolutions");
        // At the top it counts only for directories that have none of their own.
        let unused =
            table.get("path").is_none() && !d.directories().is_empty() && !d.directories().iter().any(counts);
        if count > 3 && !unused {
            let message =
                format!("the trainer refuses {count} `resolutions`: every image is trained at all of them");
            found.push(
                table
                    .error("resolutions-at-most-three", "resolutions", message)
                    .fix("keep at most 3, or add `-- --i_know_what_i_am_doing` to `dpgui train`"),
            );
        }
    }
}

fn size_buckets_win(d: &Dataset, found: &mut Vec<Finding>) {
    for table in tables(d).into_iter().filter(|table| table.has("size_buckets")) {
        for key in [
            "resolutions",
            "enable_ar_bucket",
            "min_ar",
            "max_ar",
            "num_ar_buckets",
            "ar_buckets",
            "frame_buckets",
        ] {
            if table.has(key) {
                let message = format!("`{key}` is not used: `size_buckets` beside it says all");
                found.push(table.warning("size-buckets-win", key, message).fix("remove one of the two"));
            }
        }
    }
}

/// It asks for the same at the top and in every directory (models/cosmos.py:125-134, 177-187).
fn cosmos_dataset(d: &Dataset, found: &mut Vec<Finding>) {
    const ID: &str = "cosmos-dataset";
    let Some(supported) = d.model.filter(|it| it.name == "cosmos").map(|it| &it.size_buckets) else { return };
    let fix = "say it with `size_buckets`, at the top and again in every `[[directory]]`";
    for table in tables(d) {
        let refused =
            ["min_ar", "max_ar", "num_ar_buckets", "resolutions"].into_iter().find(|key| table.has(key));
        if let Some(key) = refused {
            found.push(table.error(ID, key, format!("the model type `cosmos` refuses `{key}`")).fix(fix));
            continue;
        }
        let Some(buckets) = table.list("size_buckets", numbers).filter(|it| !it.is_empty()) else {
            let place = if table.has("path") { "a `[[directory]]`" } else { "the top of the file" };
            let message = format!("the model type `cosmos` needs `size_buckets`, and {place} has none");
            found.push(table.error(ID, "size_buckets", message).fix(fix));
            continue;
        };
        let known = |bucket: &Vec<i64>| supported.iter().any(|it| it.map(i64::from)[..] == bucket[..]);
        if let Some(bucket) = buckets.iter().find(|bucket| !known(bucket)) {
            let message = format!("the model type `cosmos` does not support the size bucket `{bucket:?}`");
            let sizes: Vec<_> = supported.iter().map(|it| format!("`{it:?}`")).collect();
            let fix = format!("choose from {}", sizes.join(", "));
            found.push(table.error(ID, "size_buckets", message).fix(fix));
        }
    }
}

fn numbers(value: &Value) -> Option<Vec<i64>> {
    value.as_array()?.iter().map(Value::as_integer).collect()
}

fn same_directory_twice(d: &Dataset, found: &mut Vec<Finding>) {
    let mut seen = BTreeMap::new();
    for directory in d.directories() {
        let Some(text) = directory.text("path").filter(|text| !text.is_empty()) else { continue };
        let line = directory.at("path").1.line;
        if let Some(first) = seen.insert(d.base.absolute(text), line) {
            let message =
                format!("`{text}` is a `[[directory]]` twice, see line {first}: both use one cache in it");
            found.push(
                directory
                    .warning("same-directory-twice", "path", message)
                    .fix("use `num_repeats`, or a folder of links for the second"),
            );
        }
    }
}

fn edit_dataset_supported_type(d: &Dataset, found: &mut Vec<Finding>) {
    let Some(model) = d.model else { return };
    for directory in d.directories().into_iter().filter(|it| it.has("control_path")) {
        found.extend(without_control(model, directory.at("control_path")));
    }
}

/// What a model does that cannot be trained to edit, given control images.
pub fn without_control(model: &ModelType, at: (&Path, Position)) -> Option<Finding> {
    if model.can(Ability::EditDatasets) || model.name == "demo" {
        return None;
    }
    let message = format!("the model type `{}` cannot be trained with `control_path`", model.name);
    let effect = match model.name {
        "flux2" => "AttributeError at the first batch, although upstream's documentation says it works",
        _ => "TypeError while caching, then the training hangs",
    };
    let finding = Finding::error("edit-dataset-supported-type", at, message).consequence(effect);
    Some(finding.fix("remove it, or train `flux` or `qwen_image`"))
}

fn frame_bucket_alignment(d: &Dataset, found: &mut Vec<Finding>) {
    let Some((model, video)) = d.model.and_then(|it| Some((it, it.video.as_ref()?))) else { return };
    let last = |bucket: &Value| bucket.as_array()?.get(2)?.as_integer();
    for table in tables(d) {
        let lists = [
            ("frame_buckets", table.list("frame_buckets", Value::as_integer)),
            ("size_buckets", table.list("size_buckets", last)),
        ];
        for (key, frames) in lists.into_iter().filter_map(|(key, list)| Some((key, list?))) {
            let off = |frames: i64| {
                let frames = u32::try_from(frames).ok().filter(|it| *it > 0)?;
                (!video.frames.allows(frames)).then_some((frames, video.frames.floor(frames)))
            };
            if let Some((frames, floor)) = frames.into_iter().find_map(off) {
                let message = format!(
                    "of {frames} frames, the model type `{}` trains {floor}: it wants {}",
                    model.name,
                    wanted(video.frames)
                );
                found.push(
                    table
                        .warning("frame-bucket-alignment", key, message)
                        .fix(format!("set {floor} or {}", floor + video.frames.multiple_of)),
                );
            }
        }
    }
}

fn wanted(rule: FrameRule) -> String {
    match rule.plus {
        0 => format!("multiples of {}", rule.multiple_of),
        plus => format!("multiples of {} plus {plus}", rule.multiple_of),
    }
}

fn aspect_ratio_keys_unused(d: &Dataset, found: &mut Vec<Finding>) {
    let on = |table: &View| table.flag("enable_ar_bucket") == Some(true);
    if tables(d).iter().any(on) {
        return;
    }
    for table in tables(d).into_iter().filter(|table| !table.has("size_buckets")) {
        if let Some(key) =
            ["min_ar", "max_ar", "num_ar_buckets", "ar_buckets"].into_iter().find(|key| table.has(key))
        {
            let message = format!("`{key}` does nothing without `enable_ar_bucket = true`");
            found.push(
                table
                    .warning("aspect-ratio-keys-unused", key, message)
                    .fix("set `enable_ar_bucket = true`, or remove it"),
            );
        }
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::in_dataset;
    &[
        in_dataset("dataset-directory-list", "wan", "directory = '-'", "directory = [{ num_repeats = 2 }]"),
        in_dataset(
            "directory-has-media",
            "wan",
            "directory = [{ path = 'empty' }]",
            "directory = [{ path = 'named' }]",
        )
        .files(&[
            ("empty/deeper/a.png", ""),
            ("empty/notes.md", ""),
            ("named/a.PNG", ""),
            ("named/b.txt", ""),
        ]),
        in_dataset(
            "resolutions-top-level",
            "wan",
            "resolutions = '-'\ndirectory = [{ resolutions = [512] }]",
            "resolutions = '-'\ndirectory = [{ size_buckets = [[512, 512, 1]] }]",
        ),
        in_dataset(
            "ar-range-top-level",
            "wan",
            "directory = [{ enable_ar_bucket = true, min_ar = 0.5, max_ar = 2.0, num_ar_buckets = 7 }]",
            "directory = [{ enable_ar_bucket = true, ar_buckets = [0.5, 2.0] }]",
        ),
        in_dataset(
            "resolutions-at-most-three",
            "wan",
            "resolutions = [256, 512, 768, 1024]",
            "resolutions = [256, 512, 768]",
        ),
        in_dataset(
            "size-buckets-win",
            "wan",
            "size_buckets = [[512, 512, 1]]",
            "directory = [{ size_buckets = [[512, 512, 1]] }]",
        ),
        in_dataset(
            "cosmos-dataset",
            "cosmos",
            "size_buckets = [[960, 960, 1], [512, 512, 1]]",
            "size_buckets = [[960, 960, 1], [704, 1280, 121]]",
        ),
        in_dataset(
            "same-directory-twice",
            "wan",
            "directory = [{ }, { path = './data' }]",
            "directory = [{ }, { path = 'data2' }]",
        )
        .files(&[("data2/a.png", ""), ("data2/a.txt", "")]),
        in_dataset(
            "edit-dataset-supported-type",
            "wan",
            "directory = [{ control_path = 'data' }]",
            "directory = [{ mask_path = 'data' }]",
        ),
        in_dataset("frame-bucket-alignment", "wan", "frame_buckets = [1, 32]", "frame_buckets = [1, 33]"),
        in_dataset(
            "aspect-ratio-keys-unused",
            "wan",
            "ar_buckets = [0.5, 2.0]",
            "ar_buckets = [0.5, 2.0]\nenable_ar_bucket = true",
        ),
    ]
};
