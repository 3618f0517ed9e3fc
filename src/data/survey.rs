//! A dataset as it lies there: every file with what becomes of it.

mod companions;
mod probes;

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
    sync::OnceLock,
};

use crate::{
    config::{Base, Finding, Purpose, Severity, TrainConfig, source::Source},
    output::Output,
    platform::{Env, fs::Entry},
    workspace::Workspace,
};

use super::{
    archive::Extent,
    batch::Batches,
    buckets::Group,
    cache::CaptionText,
    captions::CaptionsJson,
    findings::{self, counted, grouped},
    listing::{self, Listed, Listing},
    media::{self, Ffprobe, Flaw, Media},
    model::{DEMO, DataModel, demo_reads},
    plan::{self, Counted, Epoch, Groups, Sample},
    proposals::{self, Proposal},
    spec::{self, DatasetSpec, DirectorySpec},
};

pub(super) use companions::OtherControl;
use probes::Probes;

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub workspace: &'a Workspace,
    pub env: &'a Env,
    /// Where to say how far it is, in folders that take a while.
    pub output: &'a Output,
}

/// A dataset file with all its folders.
#[derive(Debug)]
pub struct Survey {
    pub dataset: DatasetSpec,
    pub model: DataModel,
    pub batches: Batches,
    pub directories: Vec<Directory>,
    /// Of each directory, how many items are in which group.
    pub groups: Vec<Groups>,
    pub epoch: Epoch,
    /// What is wrong, the errors of the file itself first.
    pub findings: Vec<Finding>,
    proposals: OnceLock<Vec<Proposal>>,
}

/// A `[[directory]]` as it lies there.
#[derive(Debug, Default)]
pub struct Directory {
    pub path: PathBuf,
    pub items: Vec<Item>,
    pub(super) faults: Faults,
}

/// A file that the trainer takes for an item, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub name: OsString,
    /// `None` if the trainer does not even open it.
    pub media: Option<Media>,
    /// What is wrong with one that it does not open.
    pub unseen: Option<Flaw>,
    /// Frames at the model's rate; 1 for an image.
    pub frames: i64,
    pub captions: u64,
    /// Of the `.txt`, if that is where its caption is.
    pub text: CaptionText,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is in all buckets of this group.
    Trains(Group),
    Dropped(Drop),
}

/// Why an item is not trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drop {
    NoCaption,
    /// An entry of `captions.json` without captions.
    EmptyList,
    Unusable,
    /// The model takes images only.
    VideoForImageModel,
    /// Fewer frames than the shortest bucket for videos.
    TooShort,
    /// An image, and no size bucket of one frame.
    NoImageBucket,
}

impl Item {
    /// Why it is dropped, in words; `None` if it trains.
    pub const fn why_dropped(&self) -> Option<&'static str> {
        match (self.fate, &self.media) {
            (Fate::Trains(_), _) => None,
            (Fate::Dropped(Drop::Unusable), Some(Media::Unusable(flaw))) => Some(flaw.sentence()),
            (Fate::Dropped(why), _) => Some(match self.unseen {
                Some(flaw) => flaw.sentence(),
                None => why.sentence(),
            }),
        }
    }

    /// What is the matter with the file itself, whether the trainer gets to see it or not.
    pub fn flaw(&self) -> Option<Flaw> {
        match &self.media {
            Some(Media::Unusable(flaw)) => Some(*flaw),
            Some(Media::Image { .. } | Media::Video { .. }) | None => self.unseen,
        }
    }

    /// What it is dropped for: what is no image or video lacks more than a caption.
    pub const fn dropped(&self) -> Option<Drop> {
        match (self.fate, self.unseen) {
            (Fate::Trains(_), _) => None,
            (Fate::Dropped(Drop::NoCaption), Some(_)) => Some(Drop::Unusable),
            (Fate::Dropped(why), _) => Some(why),
        }
    }

    /// The finding that tells of what is the matter with it.
    pub fn finding(&self) -> Option<&'static str> {
        match (self.flaw(), self.fate) {
            (Some(flaw), _) => Some(flaw.finding()),
            (None, Fate::Trains(_)) => self.text.finding(),
            (None, Fate::Dropped(why)) => Some(why.finding()),
        }
    }
}

impl Survey {
    /// Files that train, and all files.
    pub fn files(&self) -> (usize, usize) {
        let all = || self.directories.iter().enumerate();
        let trains = all().map(|(index, it)| it.items.iter().filter(|item| self.trains(index, item)).count());
        (trains.sum(), all().map(|(_, it)| it.items.len()).sum())
    }

    /// Whether some bucket with the item keeps a batch.
    fn trains(&self, directory: usize, item: &Item) -> bool {
        let Fate::Trains(group) = item.fate else { return false };
        let buckets = self.dataset.directories[directory].buckets.of_group(group, self.model.bucket_multiple);
        let keeps = |key| self.epoch.buckets.iter().any(|it| it.bucket.key() == key && it.kept > 0);
        buckets.iter().any(|bucket| keeps(bucket.key()))
    }

    /// `212 of 240 files train, 28 dropped; an epoch has 1,200 of 1,212 samples in 300 steps`.
    pub fn summary(&self) -> String {
        let (trained, all) = self.files();
        let epoch = &self.epoch;
        let files = match all - trained {
            0 if all == 0 => "no files".to_owned(),
            0 => format!("all {} train", counted(all, "file")),
            dropped => format!(
                "{} of {} train, {} dropped",
                grouped(trained),
                counted(all, "file"),
                grouped(dropped)
            ),
        };
        let [kept, before, steps] =
            [epoch.kept, epoch.before, epoch.steps].map(|it| usize::try_from(it).unwrap_or(usize::MAX));
        let samples = if kept == before {
            counted(before, "sample")
        } else {
            format!("{} of {}", grouped(kept), counted(before, "sample"))
        };
        format!("{files}; an epoch has {samples} in {}", counted(steps, "step"))
    }

    /// What to change so that nearly nothing is lost.
    pub fn proposals(&self) -> &[Proposal] {
        self.proposals.get_or_init(|| proposals::propose(self))
    }

    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|it| it.severity == Severity::Error)
    }
}

impl Drop {
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoCaption => "no caption",
            Self::EmptyList => "an empty list of captions",
            Self::Unusable => "unusable",
            Self::VideoForImageModel => "a video, and the model takes images",
            Self::TooShort => "too short for any bucket",
            Self::NoImageBucket => "an image, and no bucket has one frame",
        }
    }
}

impl Drop {
    const fn finding(self) -> &'static str {
        match self {
            Self::NoCaption | Self::EmptyList => "captions-present",
            Self::Unusable => "media-readable",
            Self::VideoForImageModel => "videos-need-video-model",
            Self::TooShort => "videos-need-frame-bucket",
            Self::NoImageBucket => "size-bucket-for-images",
        }
    }
}

/// What is wrong with a folder beyond single items.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) unlisted: Option<String>,
    /// `.tar` files: how many members, or what is the matter.
    pub(super) archives: Vec<(OsString, Result<Extent, String>)>,
    pub(super) ambiguous: Vec<String>,
    /// Names that are no files.
    pub(super) strange: Vec<(OsString, Entry)>,
    pub(super) captions_json: Option<String>,
    /// Entries of `captions.json` that are no lists of strings.
    pub(super) wrong_entries: Vec<OsString>,
    /// Have a `.txt` that `captions.json` makes useless.
    pub(super) ignored_texts: usize,
    /// Texts that are called like no item.
    pub(super) lone_texts: Vec<OsString>,
    /// Of which the `.txt` is not as it should be.
    pub(super) texts: Vec<(OsString, CaptionText)>,
    pub(super) without_control: Vec<OsString>,
    pub(super) without_mask: Vec<OsString>,
    /// The item, the mask, and what their sizes are.
    pub(super) other_masks: Vec<(OsString, PathBuf, String)>,
    /// The control image, and what is the matter with it.
    pub(super) broken_controls: Vec<(PathBuf, &'static str)>,
    pub(super) other_controls: Vec<OtherControl>,
    pub(super) no_captions_json: bool,
}

/// Looks at everything that the dataset file names.
pub fn survey(source: &Source, base: &Base, model: DataModel, batches: Batches, site: Site) -> Survey {
    let (dataset, mut found) = spec::read(source, base);
    let ffprobe = Ffprobe::on_path(site.env);
    let mut directories = vec![];
    let mut all_counted = vec![];
    for directory in &dataset.directories {
        let mut counted = Counted::new(directory);
        directories.push(look(directory, &mut counted, &model, &ffprobe, site));
        all_counted.push(counted);
    }
    let epoch = plan::epoch(&all_counted, &model, &batches, dataset.subsample);
    let groups = all_counted.into_iter().map(|it| it.groups).collect();
    let mut survey = Survey {
        dataset,
        model,
        batches,
        directories,
        groups,
        epoch,
        findings: vec![],
        proposals: OnceLock::new(),
    };
    found.extend(findings::of(&survey));
    survey.findings = found;
    survey
}

/// The same for a training file, which names the dataset for `purpose`, on so many GPUs.
pub fn survey_for(
    config: &TrainConfig,
    (purpose, source): (Purpose, &Source),
    model: DataModel,
    ranks: u32,
    site: Site,
) -> Survey {
    survey(source, config.base(), model, Batches::of(config, purpose, ranks), site)
}

fn look(
    spec: &DirectorySpec,
    counted: &mut Counted,
    model: &DataModel,
    ffprobe: &Ffprobe,
    site: Site,
) -> Directory {
    let mut directory = Directory { path: spec.path.clone(), ..Directory::default() };
    let Listing { items, archives, has_captions_json, ambiguous, strange, lone_texts } =
        match listing::list(spec) {
            Ok(listing) => listing,
            Err(cause) => {
                directory.faults.unlisted = Some(crate::error::in_one_line(&cause));
                return directory;
            }
        };
    directory.faults.archives = archives;
    directory.faults.ambiguous = ambiguous;
    directory.faults.strange = strange;
    // `captions.json` makes all texts useless, which is said of it.
    directory.faults.lone_texts = if has_captions_json { vec![] } else { lone_texts };
    directory.faults.no_captions_json = spec.online_captions && !has_captions_json;
    let json = has_captions_json.then(|| CaptionsJson::read(&spec.path));
    if let Some(CaptionsJson::Broken(why)) = &json {
        directory.faults.captions_json = Some(why.clone());
    }
    let mut probes = Probes::of(spec, &items, json.is_none(), ffprobe, site);
    directory.items.reserve_exact(items.len());
    for (index, listed) in items.into_iter().enumerate() {
        let text = if json.is_none() && listed.has_text { probes.caption(index) } else { CaptionText::Good };
        let captions = caption_count(&listed, spec, json.as_ref(), text, &mut directory.faults);
        let seen = probes.take_media(index);
        let unseen = match (captions, &seen) {
            (None, Media::Unusable(flaw)) => Some(*flaw),
            _ => None,
        };
        let (media, frames, fate) = captions.map_or((None, 1, Fate::Dropped(Drop::NoCaption)), |count| {
            judge(&listed.name, count, seen, model, counted)
        });
        let Listed { name, mask, control, .. } = listed;
        let item = Item { name, media, unseen, frames, captions: captions.unwrap_or(0), text, fate };
        companions::note([&mask, &control], &item, &probes, &mut directory.faults);
        directory.items.push(item);
    }
    directory
}

/// The captions of an item; `None` if the trainer skips it for want of one.
fn caption_count(
    listed: &Listed,
    spec: &DirectorySpec,
    json: Option<&CaptionsJson>,
    text: CaptionText,
    faults: &mut Faults,
) -> Option<u64> {
    let found = match json.map(|json| json.of(listed.member.as_ref().map_or(&listed.name, |it| &it.name))) {
        Some(Ok(count)) => {
            faults.ignored_texts += usize::from(count.is_none() && listed.has_text);
            count
        }
        Some(Err(())) => {
            if faults.captions_json.is_none() {
                faults.wrong_entries.push(listed.name.clone());
            }
            None
        }
        None if listed.has_text => {
            if text != CaptionText::Good {
                faults.texts.push((listed.name.clone(), text));
            }
            Some(1)
        }
        None => None,
    };
    found.or_else(|| (!spec.skip_empty_caption).then_some(1))
}

/// What becomes of an item with so many captions, and its frames.
fn judge(
    name: &OsStr,
    captions: u64,
    media: Media,
    model: &DataModel,
    counted: &mut Counted,
) -> (Option<Media>, i64, Fate) {
    if model.name == Some(DEMO) && !demo_reads(name) {
        return (Some(media), 1, Fate::Dropped(Drop::Unusable));
    }
    let (width, height, frames) = match (&media, model.video) {
        (Media::Image { width, height, .. }, _) => (*width, *height, 1),
        (Media::Video { width, height, frames, rate, .. }, Some(video)) => {
            (*width, *height, plan::retimed(*frames, *rate, video))
        }
        (Media::Video { .. }, None) => return (Some(media), 0, Fate::Dropped(Drop::VideoForImageModel)),
        // Without a rate to which it could be re-timed, the trainer leaves out every video.
        (Media::Unusable(Flaw::CutOff | Flaw::NeedsFfprobe), None) if media::is_video_name(name) => {
            return (Some(media), 0, Fate::Dropped(Drop::VideoForImageModel));
        }
        (Media::Unusable(_), _) => return (Some(media), 0, Fate::Dropped(Drop::Unusable)),
    };
    let fate = match counted.take(&Sample { width, height, frames, captions }, 1) {
        Ok(_) if captions == 0 => Fate::Dropped(Drop::EmptyList),
        Ok(group) => Fate::Trains(group),
        Err(_) if matches!(media, Media::Image { .. }) => Fate::Dropped(Drop::NoImageBucket),
        Err(_) => Fate::Dropped(Drop::TooShort),
    };
    (Some(media), frames, fate)
}
