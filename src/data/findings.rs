//! What is wrong with a dataset as it lies there, each at the line of the dataset file that names the folder.

mod batches;
mod demo;

use std::{ffi::OsString, path::Path};

use crate::{
    config::{Finding, Position},
    platform::mounts,
};

use super::{
    buckets::SizeBucket,
    cache::CaptionText,
    media::{Flaw, Media},
    model::DEMO,
    spec::DirectorySpec,
    survey::{Directory, Drop, Fate, Item, Survey},
};

/// An image whose bucket has this many times its pixels is blown up to what it does not hold.
const BLOWN_UP: f64 = 1.1;

/// Where the trainer keeps its cache, in the folder itself. Source: diffusion-pipe's `utils/dataset.py:482`.
const CACHE: &str = "cache";

pub(super) fn of(survey: &Survey) -> Vec<Finding> {
    if survey.model.name == Some(DEMO) {
        return demo::of(survey);
    }
    let mut found = vec![];
    for (spec, directory) in survey.dataset.directories.iter().zip(&survey.directories) {
        let mut folder = Folder { survey, spec, directory, found: vec![] };
        folder.as_a_whole();
        folder.captions();
        folder.companions();
        folder.media();
        folder.videos();
        folder.sizes();
        found.extend(folder.found);
    }
    found.extend(batches::of(survey));
    found
}

/// `1 file`, `2 files`, `1,234 files`.
pub fn counted(count: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// `1,234`.
pub(super) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

struct Folder<'a> {
    survey: &'a Survey,
    spec: &'a DirectorySpec,
    directory: &'a Directory,
    found: Vec<Finding>,
}

impl Folder<'_> {
    fn at(&self) -> (&Path, Position) {
        (&self.survey.dataset.file, self.spec.position)
    }

    fn error(&mut self, id: &'static str, message: String, fix: &str) {
        let finding = Finding::error(id, self.at(), message).fix(fix);
        self.found.push(finding);
    }

    fn warning(&mut self, id: &'static str, message: String, fix: &str) {
        let finding = Finding::warning(id, self.at(), message).fix(fix);
        self.found.push(finding);
    }

    /// ``a.png` and 2 more in `/data``.
    fn files<'a>(&self, names: impl Iterator<Item = &'a OsString>) -> Option<String> {
        let names: Vec<&OsString> = names.collect();
        let first = Path::new(names.first()?).display();
        let folder = self.directory.path.display();
        Some(match names.len() {
            1 => format!("`{first}` in `{folder}`"),
            count => format!("`{first}` and {} more in `{folder}`", grouped(count - 1)),
        })
    }

    fn dropped(&self, why: Drop) -> impl Iterator<Item = &OsString> {
        self.directory.items.iter().filter(move |it| it.fate == Fate::Dropped(why)).map(|it| &it.name)
    }

    fn as_a_whole(&mut self) {
        let folder = self.directory.path.display().to_string();
        if let Some(why) = self.directory.faults.unlisted.clone() {
            return self.error("directory-exists", why, "put the folder there, or correct the path");
        }
        if !mounts::is_writable(&self.directory.path.join(CACHE)) {
            let message = format!("the trainer may not write its cache into `{folder}`");
            let fix = "allow it with `chmod u+w`, or copy the files to a folder of yours";
            self.error("directory-writable", message, fix);
        }
        if self.directory.items.is_empty() && self.directory.faults.archives.is_empty() {
            let message = format!("there is no image or video in `{folder}` itself");
            let fix =
                "put the files there, or name the folder that holds them: folders in it are not searched";
            self.error("directory-has-media", message, fix);
        }
        if let Some(first) = self.directory.faults.archives.first() {
            let first = Path::new(first).display().to_string();
            let message = format!(
                "`{first}` in `{folder}` is an archive; the trainer reads its members, which are not checked here"
            );
            self.warning("archive-unchecked", message, "unpack it into the folder to have it checked");
        }
    }

    fn captions(&mut self) {
        let faults = &self.directory.faults;
        let folder = self.directory.path.display().to_string();
        if faults.no_captions_json {
            let message = format!("`online_captions` needs `captions.json` in `{folder}`");
            self.error("online-captions-file", message, "add the file, or remove `online_captions`");
        }
        if let Some(why) = self.directory.faults.captions_json.clone() {
            let message = format!("`captions.json` in `{folder}` cannot be used: {why}");
            let fix = "write it as `{\"a.png\": [\"a caption\"]}`";
            self.error("captions-json-lists", message, fix);
        } else if let Some(files) = self.files(self.directory.faults.wrong_entries.iter()) {
            let message = format!("no list of captions in `captions.json`, so the trainer gives up: {files}");
            self.error("captions-json-lists", message, "write it as `{\"a.png\": [\"a caption\"]}`");
        }
        if self.directory.faults.ignored_texts > 0 {
            let texts = counted(self.directory.faults.ignored_texts, "`.txt` file");
            let message =
                format!("`captions.json` in `{folder}` makes {texts} useless: their items have no entry");
            self.warning("captions-json-replaces-txt", message, "add them to `captions.json`, or remove it");
        }
        let bad = self.directory.faults.bad_texts.iter().map(|(name, _)| name);
        if let Some(files) = self.files(bad) {
            let how = match self.directory.faults.bad_texts[0].1 {
                CaptionText::NotUtf8 => "is no UTF-8 text",
                _ => "cannot be read",
            };
            let message = format!("a caption that {how}, on which the trainer gives up: {files}");
            self.error("captions-readable", message, "save the `.txt` as UTF-8");
        }
        if self.directory.faults.empty_texts > 0 {
            let texts = counted(self.directory.faults.empty_texts, "caption");
            let message =
                format!("{texts} in `{folder}` have no words; their items train with an empty prompt");
            self.warning(
                "captions-empty",
                message,
                "write a caption, or remove the `.txt` to leave the item out",
            );
        }
        if let Some(files) = self.files(self.dropped(Drop::NoCaption)) {
            let message = format!("no caption, so the trainer drops it: {files}");
            let fix = "write a `.txt` file beside each, or set `skip_empty_caption = false`";
            self.warning("captions-present", message, fix);
        }
    }

    fn companions(&mut self) {
        if let Some(files) = self.files(self.directory.faults.without_control.iter()) {
            let message = format!("no control image, so the trainer gives up: {files}");
            let fix = "put a file of the same stem into `control_path` for each";
            self.error("control-file-per-target", message, fix);
        }
        if let Some(path) = self.directory.faults.broken_controls.first() {
            let message = format!("the control image `{}` cannot be read", path.display());
            self.error("control-file-per-target", message, "replace it");
        }
        if let Some((name, mask, what)) = self.directory.faults.other_masks.first() {
            let more = match self.directory.faults.other_masks.len() {
                1 => String::new(),
                count => format!(", and so {} more", count - 1),
            };
            let message = format!(
                "the mask `{}` of `{}`: {what}{more}: the trainer gives up on it",
                mask.display(),
                Path::new(name).display()
            );
            self.error("mask-same-size", message, "make the mask as large as its image");
        }
        if let Some(files) = self.files(self.directory.faults.without_mask.iter()) {
            let message = format!("no mask, so all of the image counts: {files}");
            self.warning("mask-per-item", message, "add the masks, or set `default_mask_file`");
        }
        if let Some(pair) = self.directory.faults.ambiguous.first() {
            let message = format!("{pair} have one stem: which of them the trainer takes is chance");
            self.warning("companion-ambiguous", message, "keep one of them");
        }
    }

    fn media(&mut self) {
        let fatal = self.directory.items.iter().filter(|it| ends_caching(it)).map(|it| &it.name);
        if let Some(files) = self.files(fatal) {
            let message = format!("no `.webp` that can be read, at which the trainer gives up: {files}");
            self.error("media-readable", message, "replace or remove it");
        }
        for flaw in FLAWS {
            let has = |it: &&Item| it.media == Some(Media::Unusable(flaw)) && !ends_caching(it);
            let Some(files) = self.files(self.directory.items.iter().filter(has).map(|it| &it.name)) else {
                continue;
            };
            let message = format!("{}: {files}", flaw.sentence());
            match flaw {
                Flaw::AnimatedWebp => {
                    self.error("no-animated-webp", message, "convert it to a video, or remove it");
                }
                Flaw::NoPixels => self.error("media-readable", message, "remove it"),
                Flaw::Unmeasured => self.warning("media-unknown", message, "convert it to PNG or JPEG"),
                Flaw::NeedsFfprobe => {
                    self.warning("media-unknown", message, "install FFmpeg, or convert it to MP4");
                }
                _ => self.warning("media-readable", format!("dropped, {message}"), "replace or remove it"),
            }
        }
        let turned = |it: &&Item| matches!(it.media, Some(Media::Image { turned: true, .. }));
        if let Some(files) = self.files(self.directory.items.iter().filter(turned).map(|it| &it.name)) {
            let message = format!(
                "to be turned or mirrored by the EXIF orientation, which the trainer ignores: {files}"
            );
            self.warning(
                "exif-orientation",
                message,
                "turn the pixels, for example with `mogrify -auto-orient`",
            );
        }
    }

    fn videos(&mut self) {
        if let Some(files) = self.files(self.dropped(Drop::VideoForImageModel)) {
            let model = self.survey.model.name.unwrap_or("this model");
            let (message, fix) = match self.survey.model.name {
                Some(_) => (
                    format!(
                        "a video, which the trainer drops as the model type `{model}` takes images only: {files}"
                    ),
                    "move the videos to another folder",
                ),
                None => (
                    format!("a video, whose bucket depends on the model: {files}"),
                    "name the training file with `--config`",
                ),
            };
            self.warning("videos-need-video-model", message, fix);
        }
        let uncounted = |it: &&Item| {
            matches!(it.media, Some(Media::Video { frames: 1, .. })) && self.survey.model.video.is_some()
        };
        if let Some(files) = self.files(self.directory.items.iter().filter(uncounted).map(|it| &it.name)) {
            let message = format!(
                "a container that does not say how many frames it has, so the trainer takes it for one image: {files}"
            );
            self.warning(
                "video-length-unknown",
                message,
                "convert it to MP4, for example with `ffmpeg -c copy`",
            );
        }
        let image = |it: &&Item| matches!(it.fate, Fate::Trains(_)) && it.frames == 1;
        let images = self.directory.items.iter().filter(image).map(|it| &it.name);
        if let Some(files) = self.files(images).filter(|_| self.survey.model.videos_only) {
            let message = format!("an image, on which this image-to-video model gives up: {files}");
            self.error("wan-i2v-video-only", message, "move the images to another folder");
        }
        if let Some(files) = self.files(self.dropped(Drop::NoImageBucket)) {
            let message = format!(
                "an image, for which the trainer finds no size bucket of 1 frame and drops it: {files}"
            );
            self.warning("size-bucket-for-images", message, "add `[width, height, 1]` to `size_buckets`");
        }
        if let Some(files) = self.files(self.dropped(Drop::TooShort)) {
            let shortest = self.spec.buckets.shortest_video();
            let (message, fix) = match shortest {
                Some(frames) => (
                    format!(
                        "a video shorter than the shortest bucket, {frames} frames, so the trainer drops it: {files}"
                    ),
                    "add a shorter bucket to `frame_buckets`",
                ),
                None => (
                    format!("a video, and there is no bucket for videos, so the trainer drops it: {files}"),
                    "set `frame_buckets = [1, 33]`",
                ),
            };
            self.warning("videos-need-frame-bucket", message, fix);
        }
    }

    fn sizes(&mut self) {
        let model = &self.survey.model;
        let (mut small, mut confused) = (vec![], vec![]);
        for item in &self.directory.items {
            let (Fate::Trains(group), Some(media)) = (item.fate, &item.media) else { continue };
            let Some((width, height)) = media.size() else { continue };
            let buckets = self.spec.buckets.of_group(group, model.bucket_multiple);
            if buckets.iter().any(|bucket| is_blown_up(width, height, bucket)) {
                small.push(&item.name);
            }
            let meant = self.spec.buckets.meant(width, height, item.frames);
            if meant.is_some_and(|meant| {
                self.spec.buckets.of_group(meant, 1) != self.spec.buckets.of_group(group, 1)
            }) {
                confused.push(&item.name);
            }
        }
        if let Some(files) = self.files(small.into_iter()) {
            let message = format!("fewer pixels than the bucket, so the trainer blows it up: {files}");
            self.warning("upscaled", message, "use larger originals, or a lower resolution");
        }
        if let Some(files) = self.files(confused.into_iter()) {
            let message = format!(
                "not put into the size bucket of the nearest shape, as the trainer confuses `size_buckets` that are not sorted by width / height: {files}"
            );
            let fix = "sort `size_buckets` by width / height, each ratio once, or use `resolutions` and `frame_buckets`";
            self.warning("size-buckets-order", message, fix);
        }
    }
}

const FLAWS: [Flaw; 11] = [
    Flaw::Empty,
    Flaw::NoMedia,
    Flaw::GitLfsPointer,
    Flaw::WebPage,
    Flaw::ForeignFormat,
    Flaw::TooManyPixels,
    Flaw::AnimatedWebp,
    Flaw::NoPixels,
    Flaw::Denied,
    Flaw::Unmeasured,
    Flaw::NeedsFfprobe,
];

/// Of a `.webp` the trainer counts the frames, and there what cannot be read is an error like any other. What it
/// opens only to measure it is left out. Source: `_metadata_map_fn` in diffusion-pipe's `utils/dataset.py`.
fn ends_caching(item: &Item) -> bool {
    use Flaw::{Denied, Empty, GitLfsPointer, NoMedia, WebPage};
    let is_webp = Path::new(&item.name).extension().is_some_and(|it| it == "webp");
    let unreadable = [Empty, NoMedia, GitLfsPointer, WebPage, Denied];
    is_webp && matches!(item.media, Some(Media::Unusable(flaw)) if unreadable.contains(&flaw))
}

#[expect(clippy::cast_precision_loss, reason = "pixels")]
fn is_blown_up(width: u32, height: u32, bucket: &SizeBucket) -> bool {
    (bucket.width * bucket.height) as f64 > f64::from(width) * f64::from(height) * BLOWN_UP
}
