//! What is wrong with a dataset of the demo, whose own trainer takes PNG files, each with a caption, and nothing else.
//! Source: `cache_dataset` in `templates/demo/train.py`.

use std::path::Path;

use crate::{config::Finding, platform::fs};

use super::super::{
    listing::{suffix, with_text_suffix},
    survey::Survey,
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
            directory.items.iter().map(|it| &it.name).filter(|name| suffix(name) == b".png").collect();
        if images.is_empty() {
            let message = format!("`path`: there is no PNG file in `{folder}` itself");
            let fix =
                "put the files there, or name the folder that holds them: folders in it are not searched";
            found.push(Finding::error("directory-has-media", at, message).fix(fix));
        }
        let has_caption = |name| fs::is_file(&directory.path.join(with_text_suffix(name)));
        let bare: Vec<_> = images.iter().filter(|name| !has_caption(name)).collect();
        if let Some(first) = bare.first() {
            let of = format!("{} of {} files in `{folder}`", bare.len(), images.len());
            let message = format!("{of} have no caption, the first is `{}`", Path::new(first).display());
            let fix = "write a `.txt` file of the same name beside each";
            found.push(Finding::error("captions-present", at, message).fix(fix));
        }
    }
    found
}
