//! What lies in the folders of a dataset: something to train with, and a caption for each.

use std::{ffi::OsString, path::Path};

use toml_edit::{Item, TableLike};

use crate::platform::fs;

use super::{Finding, paths::Base, read::span_of, source::Source};

/// Files that belong to media and are none. Source: `utils/dataset.py` of diffusion-pipe, which tries all others.
const COMPANIONS: [&str; 3] = ["txt", "json", "npz"];

/// Has captions for all files of its folder; the trainer then looks at no `.txt`.
const CAPTIONS: &str = "captions.json";

/// The model type whose trainer reads PNG files only and gives up without a caption.
const DEMO: &str = "demo";

pub(super) fn findings(
    base: &Base,
    model: Option<&str>,
    source: &Source,
    directories: &[&dyn TableLike],
) -> Vec<Finding> {
    let is_demo = model == Some(DEMO);
    let one = |directory: &&dyn TableLike| {
        let written = directory.get("path").and_then(Item::as_str)?;
        let folder = base.absolute(written);
        let names = fs::names(&folder).ok().filter(|_| fs::is_dir(&folder) && !written.is_empty())?;
        let at = source.at(span_of(*directory, "path"));
        let media: Vec<&OsString> = names.iter().filter(|name| is_media(&folder, name, is_demo)).collect();
        if media.is_empty() {
            let what = if is_demo { "PNG file" } else { "image or video" };
            let message = format!("`path`: there is no {what} in `{}` itself", folder.display());
            let fix =
                "put the files there, or name the folder that holds them: folders in it are not searched";
            return Some(Finding::error("directory-has-media", at, message).fix(fix));
        }
        let (without_one, first) = without_caption(&folder, &names, &media)?;
        let of = format!("{without_one} of {} files in `{}`", media.len(), folder.display());
        let message = format!("{of} have no caption, the first is `{}`", Path::new(first).display());
        if is_demo {
            let fix = "write a `.txt` file of the same name beside each";
            return Some(Finding::error("captions-present", at, message).fix(fix));
        }
        let message = match skips(*directory).or_else(|| skips(source.root())) {
            Some(false) => return None,
            Some(true) | None => format!("{message}: the trainer drops them"),
        };
        let fix = "write a `.txt` file beside each, or set `skip_empty_caption = false`";
        Some(Finding::warning("captions-present", at, message).fix(fix))
    };
    directories.iter().filter_map(one).collect()
}

fn is_media(folder: &Path, name: &OsString, is_demo: bool) -> bool {
    let path = folder.join(name);
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
    let fits = if is_demo { extension == "png" } else { !COMPANIONS.contains(&extension) };
    fits && !name.to_string_lossy().starts_with('.') && fs::is_file(&path)
}

/// How many have no caption, and the first of them.
fn without_caption<'a>(
    folder: &Path,
    names: &[OsString],
    media: &[&'a OsString],
) -> Option<(usize, &'a OsString)> {
    if names.iter().any(|name| name == CAPTIONS) {
        return None;
    }
    let is_bare = |name: &&&OsString| !fs::is_file(&folder.join(name).with_extension("txt"));
    let bare: Vec<_> = media.iter().filter(is_bare).collect();
    Some((bare.len(), *bare.first()?))
}

/// `skip_empty_caption`, where it is said.
fn skips(table: &dyn TableLike) -> Option<bool> {
    table.get("skip_empty_caption").and_then(Item::as_bool)
}
