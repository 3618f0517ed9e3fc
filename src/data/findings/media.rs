//! What is wrong with images and videos themselves.

use std::path::Path;

use super::{
    super::{
        media::{Flaw, Media},
        plan,
        survey::{Drop, Fate, Item},
    },
    Folder,
};

impl Folder<'_> {
    pub(super) fn media(&mut self) {
        let fatal = self.directory.items.iter().filter(|it| ends_caching(it)).map(|it| &it.name);
        if let Some(files) = self.files(fatal) {
            let message = format!("no `.webp` that can be read, at which the trainer gives up: {files}");
            self.error("media-readable", message, "replace or remove it");
        }
        for flaw in FLAWS {
            let is_for_nothing =
                |it: &Item| ends_caching(it) || it.fate == Fate::Dropped(Drop::VideoForImageModel);
            let has = |it: &&Item| it.media == Some(Media::Unusable(flaw)) && !is_for_nothing(it);
            let Some(files) = self.files(self.directory.items.iter().filter(has).map(|it| &it.name)) else {
                continue;
            };
            let message = format!("{}: {files}", flaw.sentence());
            match flaw {
                Flaw::AnimatedWebp => {
                    self.error("no-animated-webp", message, "convert it to a video, or remove it");
                }
                Flaw::CutOff => {
                    let message = format!(
                        "{message}; the trainer measures it, and gives up on what is missing while it caches"
                    );
                    self.error("media-readable", message, "replace it by a whole one, or remove it");
                }
                Flaw::OtherName => {
                    let message = format!("{message}; it gives up");
                    self.error("archive-members", message, "pack it anew, as `tar --create --file a.tar *`");
                }
                Flaw::NoPixels => self.error("media-readable", message, "remove it"),
                Flaw::Unmeasured => self.warning("media-unknown", message, "convert it to PNG or JPEG"),
                Flaw::NeedsFfprobe => {
                    self.warning("media-unknown", message, "install FFmpeg, or convert it to MP4");
                }
                _ => self.warning("media-readable", format!("dropped, {message}"), "replace or remove it"),
            }
        }
        self.shortened();
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

    /// Videos that lack their end and are decoded without an error: long enough for their buckets, or not.
    fn shortened(&mut self) {
        let (mut short, mut enough) = (vec![], vec![]);
        for item in &self.directory.items {
            let (Fate::Trains(group), Some(Media::Video { frames, there, rate, .. }), Some(video)) =
                (item.fate, &item.media, self.survey.model.video)
            else {
                continue;
            };
            if there == frames {
                continue;
            }
            let left = plan::retimed(*there, *rate, video);
            let buckets = self.spec.buckets.of_group(group, self.survey.model.bucket_multiple);
            let is_short = buckets.iter().any(|it| it.encoded(&self.survey.model)[2] > left);
            if is_short { &mut short } else { &mut enough }.push(&item.name);
        }
        if let Some(files) = self.files(short.into_iter()) {
            let message = format!(
                "cut off before its end, with fewer frames left than its bucket has, on which the trainer gives up while it caches: {files}"
            );
            self.error("media-readable", message, "replace it by a whole one, or remove it");
        }
        if let Some(files) = self.files(enough.into_iter()) {
            let message = format!(
                "cut off before its end; the frames that are there fill its bucket, so the trainer takes it: {files}"
            );
            self.warning("media-readable", message, "replace it by a whole one");
        }
    }

    pub(super) fn videos(&mut self) {
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
        self.uncounted();
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
        let is_too_short = |it: &&Item| it.fate == Fate::Dropped(Drop::TooShort) && !self.is_uncounted(it);
        let too_short = self.directory.items.iter().filter(is_too_short).map(|it| &it.name);
        if let Some(files) = self.files(too_short) {
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

    /// A video of whose frames the trainer counts one.
    fn is_uncounted(&self, item: &Item) -> bool {
        matches!(item.media, Some(Media::Video { frames: 1, .. })) && self.survey.model.video.is_some()
    }

    fn uncounted(&mut self) {
        // One frame, re-timed to a lower rate, is none.
        for (is_dropped, so) in
            [(false, "takes it for so many as one becomes at the model's rate"), (true, "drops it")]
        {
            let of = self.directory.items.iter().filter(|it| self.is_uncounted(it));
            let of = of.filter(|it| matches!(it.fate, Fate::Dropped(_)) == is_dropped);
            let Some(files) = self.files(of.map(|it| &it.name)) else { continue };
            let message = format!(
                "a container that does not say how many frames it has, so the trainer counts one and {so}: {files}"
            );
            self.warning(
                "video-length-unknown",
                message,
                "convert it to MP4, for example with `ffmpeg -c copy`",
            );
        }
    }
}

pub(super) const FLAWS: [Flaw; 14] = [
    Flaw::OtherName,
    Flaw::NotReopened,
    Flaw::CutOff,
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
