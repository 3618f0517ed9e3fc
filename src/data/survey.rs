//! A dataset as it lies there: every file with what becomes of it.

mod companions;

use std::{collections::HashMap, ffi::OsString, path::PathBuf, sync::OnceLock};

use crate::{
    config::{Base, Finding, Purpose, Severity, TrainConfig, source::Source},
    platform::{Env, cores, fs},
    workspace::Workspace,
};

use super::{
    batch::Batches,
    buckets::Group,
    cache::{Cache, CaptionText, Known, Stamp},
    captions::{self, CaptionsJson},
    findings::{self, counted, grouped},
    listing::{self, Companion, Listed, Listing, with_text_suffix},
    media::{self, Ffprobe, Flaw, Media},
    model::DataModel,
    plan::{self, Counted, Epoch, Groups, Sample},
    proposals::{self, Proposal},
    spec::{self, DatasetSpec, DirectorySpec},
};

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub workspace: &'a Workspace,
    pub env: &'a Env,
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
    /// Frames at the model's rate; 1 for an image.
    pub frames: i64,
    pub captions: u64,
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

/// What is wrong with a folder beyond single items.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) unlisted: Option<String>,
    pub(super) archives: Vec<OsString>,
    pub(super) ambiguous: Vec<String>,
    pub(super) captions_json: Option<String>,
    /// Entries of `captions.json` that are no lists of strings.
    pub(super) wrong_entries: Vec<OsString>,
    /// Have a `.txt` that `captions.json` makes useless.
    pub(super) ignored_texts: usize,
    pub(super) bad_texts: Vec<(OsString, CaptionText)>,
    pub(super) empty_texts: usize,
    pub(super) without_control: Vec<OsString>,
    pub(super) without_mask: Vec<OsString>,
    /// The item, the mask, and what their sizes are.
    pub(super) other_masks: Vec<(OsString, PathBuf, String)>,
    pub(super) broken_controls: Vec<PathBuf>,
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
    let Listing { items, archives, has_captions_json, ambiguous } = match listing::list(spec) {
        Ok(listing) => listing,
        Err(cause) => {
            directory.faults.unlisted = Some(crate::error::in_one_line(&cause));
            return directory;
        }
    };
    directory.faults.archives = archives;
    directory.faults.ambiguous = ambiguous;
    directory.faults.no_captions_json = spec.online_captions && !has_captions_json;
    let json = has_captions_json.then(|| CaptionsJson::read(&spec.path));
    if let Some(CaptionsJson::Broken(why)) = &json {
        directory.faults.captions_json = Some(why.clone());
    }
    let probes = Probes::of(spec, &items, json.is_none(), ffprobe, site);
    for listed in items {
        let captions = caption_count(&listed, spec, json.as_ref(), &probes, &mut directory.faults);
        let item = judge(listed, captions, model, counted, &probes);
        companions::note(&item.1, &item.0, &probes, &mut directory.faults);
        directory.items.push(item.0);
    }
    directory
}

/// The captions of an item; `None` if the trainer skips it for want of one.
fn caption_count(
    listed: &Listed,
    spec: &DirectorySpec,
    json: Option<&CaptionsJson>,
    probes: &Probes,
    faults: &mut Faults,
) -> Option<u64> {
    let found = match json.map(|json| json.of(&listed.name)) {
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
            match probes.caption(&listed.name) {
                CaptionText::Good => {}
                CaptionText::Empty => faults.empty_texts += 1,
                bad => faults.bad_texts.push((listed.name.clone(), bad)),
            }
            Some(1)
        }
        None => None,
    };
    found.or_else(|| (!spec.skip_empty_caption).then_some(1))
}

/// What becomes of the item.
fn judge(
    listed: Listed,
    captions: Option<u64>,
    model: &DataModel,
    counted: &mut Counted,
    probes: &Probes,
) -> (Item, Listed) {
    let item = |media, frames, fate| Item {
        name: listed.name.clone(),
        media,
        frames,
        captions: captions.unwrap_or(0),
        fate,
    };
    let Some(count) = captions else {
        return (item(None, 1, Fate::Dropped(Drop::NoCaption)), listed);
    };
    let media = probes.media(&listed.name);
    let (width, height, frames) = match (&media, model.video) {
        (Media::Image { width, height, .. }, _) => (*width, *height, 1),
        (Media::Video { width, height, frames, rate }, Some(video)) => {
            (*width, *height, plan::retimed(*frames, *rate, video))
        }
        (Media::Video { .. }, None) => {
            return (item(Some(media), 0, Fate::Dropped(Drop::VideoForImageModel)), listed);
        }
        (Media::Unusable(_), _) => return (item(Some(media), 0, Fate::Dropped(Drop::Unusable)), listed),
    };
    let fate = match counted.take(&Sample { width, height, frames, captions: count }, 1) {
        Ok(_) if count == 0 => Fate::Dropped(Drop::EmptyList),
        Ok(group) => Fate::Trains(group),
        Err(_) if matches!(media, Media::Image { .. }) => Fate::Dropped(Drop::NoImageBucket),
        Err(_) => Fate::Dropped(Drop::TooShort),
    };
    (item(Some(media), frames, fate), listed)
}

/// What is known of the files that are to be opened, from the cache or from now.
struct Probes {
    by_name: HashMap<OsString, Known>,
    companions: HashMap<PathBuf, Media>,
}

impl Probes {
    fn of(spec: &DirectorySpec, items: &[Listed], with_texts: bool, ffprobe: &Ffprobe, site: Site) -> Self {
        let opened = |it: &&Listed| !with_texts || it.has_text || !spec.skip_empty_caption;
        let media = items.iter().filter(opened).map(|it| (it.name.clone(), false));
        let texts =
            items.iter().filter(|it| with_texts && it.has_text).map(|it| (with_text_suffix(&it.name), true));
        let mut files: Vec<(OsString, bool)> = media.chain(texts).collect();
        files.sort_unstable();
        files.dedup();
        let cache = Cache::load(site.workspace, &spec.path);
        let found = cores::map(&files, |(name, is_text)| {
            let path = spec.path.join(name);
            let stamp: Stamp = fs::stamp(&path).unwrap_or_default();
            if let Some(known) = cache.get(name, stamp) {
                return (stamp, known.clone());
            }
            let known = if *is_text {
                Known::Caption(captions::read_text(&path))
            } else {
                Known::Media(media::probe(&path, ffprobe))
            };
            (stamp, known)
        });
        let all = || files.iter().zip(&found);
        cache.replace(all().map(|((name, _), (stamp, known))| (name.clone(), *stamp, known.clone())));
        let by_name = all().map(|((name, _), (_, known))| (name.clone(), known.clone())).collect();
        Self { by_name, companions: companions(items, ffprobe) }
    }

    fn media(&self, name: &OsString) -> Media {
        match self.by_name.get(name) {
            Some(Known::Media(media)) => media.clone(),
            _ => Media::Unusable(Flaw::Denied),
        }
    }

    fn caption(&self, name: &OsString) -> CaptionText {
        match self.by_name.get(&with_text_suffix(name)) {
            Some(Known::Caption(caption)) => *caption,
            _ => CaptionText::Unreadable,
        }
    }

    fn companion(&self, path: &PathBuf) -> Option<&Media> {
        self.companions.get(path)
    }
}

/// The masks and control images, each opened once.
fn companions(items: &[Listed], ffprobe: &Ffprobe) -> HashMap<PathBuf, Media> {
    let of = |it: &Companion| match it {
        Companion::At(path) => Some(path.clone()),
        Companion::Missing | Companion::Unwanted => None,
    };
    let mut paths: Vec<PathBuf> =
        items.iter().flat_map(|it| [of(&it.mask), of(&it.control)]).flatten().collect();
    paths.sort_unstable();
    paths.dedup();
    let found = cores::map(&paths, |path| media::probe(path, ffprobe));
    paths.into_iter().zip(found).collect()
}
