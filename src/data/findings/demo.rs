//! What is wrong with a dataset of the demo, whose own trainer takes images by their suffix, each with a caption, and
//! nothing else.
//! Source: `cache_dataset` in `templates/demo/train.py`.

use std::path::Path;

use crate::{
    config::{Finding, Position},
    output::plain,
    platform::fs,
};

use super::{
    super::{
        cache::CaptionText,
        listing::with_text_suffix,
        model::demo_reads,
        survey::{Directory, Item, Survey},
    },
    AS_UTF8, TEXTS, WITHOUT_MARK, counted,
};

pub(super) fn of(survey: &Survey) -> Vec<Finding> {
    let mut found = vec![];
    for (spec, directory) in survey.dataset.directories.iter().zip(&survey.directories) {
        let at = (survey.dataset.file.as_path(), spec.position);
        let folder = directory.path.display();
        if let Some(why) = &directory.faults.unlisted {
            let finding = Finding::error("directory-exists", at, why);
            found.push(finding.fix("put the folder there, or correct the path"));
            continue;
        }
        let images: Vec<_> =
            directory.items.iter().map(|it| &it.name).filter(|name| demo_reads(name)).collect();
        if images.is_empty() {
            let message = format!("`path`: there is no image in `{folder}` itself");
            let fix =
                "put the files there, or name the folder that holds them: folders in it are not searched";
            found.push(Finding::error("directory-has-media", at, message).fix(fix));
        }
        found.extend(passed_over(directory, at));
        let has_caption = |name| fs::is_file(&directory.path.join(with_text_suffix(name)));
        let bare: Vec<_> = images.iter().filter(|name| !has_caption(name)).collect();
        if let Some(first) = bare.first() {
            let of = format!("{} of {} files in `{folder}`", bare.len(), images.len());
            let message = format!("{of} have no caption, the first is `{}`", Path::new(first).display());
            let fix = "write a `.txt` file of the same name beside each";
            found.push(Finding::error("captions-present", at, message).fix(fix));
        }
        for text in TEXTS {
            let has = |item: &&Item| demo_reads(&item.name) && item.text == text;
            let files: Vec<_> = directory.items.iter().filter(has).map(|it| plain::name(&it.name)).collect();
            let (Some(first), Some(id), Some(what)) = (files.first(), text.finding(), text.sentence()) else {
                continue;
            };
            let of =
                format!("{} in `{folder}`, the first that of `{first}`", counted(files.len(), "caption"));
            let gives_up = format!("{what}, on which the demo's trainer gives up: {of}");
            let finding = match text {
                CaptionText::Good => continue,
                CaptionText::WithMark => {
                    let message =
                        format!("{what}, which the trainer takes for a part of its first word: {of}");
                    Finding::warning(id, at, message).fix(WITHOUT_MARK)
                }
                CaptionText::Empty => Finding::error(id, at, gives_up).fix("write a caption"),
                CaptionText::NotUtf8 | CaptionText::Unreadable | CaptionText::NoFile => {
                    Finding::error(id, at, gives_up).fix(AS_UTF8)
                }
            };
            found.push(finding);
        }
    }
    found
}

/// Files that are called like no image, in silence.
fn passed_over(directory: &Directory, at: (&Path, Position)) -> Option<Finding> {
    let others: Vec<_> = directory.items.iter().map(|it| &it.name).filter(|it| !demo_reads(it)).collect();
    let first = plain::name(others.first()?);
    let message = format!(
        "not called like an image that the demo's trainer reads, which passes it over: {} in `{}`, the first is `{first}`",
        counted(others.len(), "file"),
        directory.path.display()
    );
    Some(Finding::warning("media-readable", at, message).fix("convert it to PNG or JPEG, or remove it"))
}
