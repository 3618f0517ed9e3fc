//! What is wrong with a dataset as it lies there, each at the line of the dataset file that names the folder.

mod batches;
mod companions;
mod demo;
mod media;

use std::{ffi::OsString, path::Path};

use crate::{
    config::{Finding, Position},
    output::plain,
    platform::{
        fs::{self, Entry},
        mounts,
    },
};

use media::FLAWS;

use super::{
    archive::{Extent, MOST_MEMBERS},
    buckets::SizeBucket,
    cache::CaptionText,
    cut,
    model::DEMO,
    plan,
    spec::DirectorySpec,
    survey::{Directory, Drop, Fate, Item, Survey},
};

/// An image whose bucket has this many times its pixels is blown up to what it does not hold.
const BLOWN_UP: f64 = 1.1;

/// The share of the pixels beyond which what is trained is another picture.
const CUT_OFF: f64 = 0.5;

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
pub fn grouped(count: usize) -> String {
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

/// In the order in which they are told of, the worst first.
const TEXTS: [CaptionText; 5] = [
    CaptionText::NotUtf8,
    CaptionText::Unreadable,
    CaptionText::NoFile,
    CaptionText::WithMark,
    CaptionText::Empty,
];

const AS_UTF8: &str = "save the `.txt` as UTF-8";
const WITHOUT_MARK: &str = "save the `.txt` as UTF-8 without a byte order mark";

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
        let first = plain::name(names.first()?);
        let folder = plain::name(&self.directory.path);
        Some(match names.len() {
            1 => format!("`{first}` in `{folder}`"),
            count => format!("`{first}` and {} more in `{folder}`", grouped(count - 1)),
        })
    }

    fn dropped(&self, why: Drop) -> impl Iterator<Item = &OsString> {
        self.directory.items.iter().filter(move |it| it.fate == Fate::Dropped(why)).map(|it| &it.name)
    }

    fn as_a_whole(&mut self) {
        let folder = plain::name(&self.directory.path);
        if let Some(why) = self.directory.faults.unlisted.clone() {
            let is_there = fs::is_dir(&self.directory.path);
            let message = if is_there { why } else { format!("there is no folder `{folder}`") };
            return self.error("directory-exists", message, "put the folder there, or correct the path");
        }
        if !mounts::is_writable(&self.directory.path.join(CACHE)) {
            let message = format!("the trainer may not write its cache into `{folder}`");
            let fix = "allow it with `chmod u+w`, or copy the files to a folder of yours";
            self.error("directory-writable", message, fix);
        }
        self.strangers(&folder);
        if self.directory.items.is_empty() && self.directory.faults.archives.iter().all(|(_, it)| it.is_ok())
        {
            let message = format!("there is no image or video in `{folder}` itself");
            let fix =
                "put the files there, or name the folder that holds them: folders in it are not searched";
            self.error("directory-has-media", message, fix);
        }
        self.archives(&folder);
    }

    fn archives(&mut self, folder: &str) {
        let archives = &self.directory.faults.archives;
        let broken = archives.iter().find_map(|(name, it)| Some((plain::name(name), it.clone().err()?)));
        let extents = archives.iter().filter_map(|(_, it)| it.as_ref().ok());
        let members: usize = extents.map(|it| it.members).sum();
        let has_more = |it: &Result<Extent, String>| matches!(it, Ok(Extent { has_more: true, .. }));
        let longer = self.files(archives.iter().filter(|(_, it)| has_more(it)).map(|(name, _)| name));
        let whole = self.files(archives.iter().filter(|(_, it)| it.is_ok()).map(|(name, _)| name));
        if let Some((name, why)) = broken {
            let message = format!("an archive on which the trainer gives up, {why}: `{name}` in `{folder}`");
            self.error("archive-readable", message, "pack it anew, without compression, or unpack it");
        }
        if let Some(files) = whole {
            let message = format!(
                "the trainer takes each of {} for an item, folders and texts among them, and their captions from `captions.json` alone: {files}",
                counted(members, "member")
            );
            self.found.push(Finding::note("archive-members", self.at(), message));
        }
        if let Some(files) = longer {
            let message = format!(
                "more than {} members in one archive, the rest of which is not looked at, nor counted in what is said here: {files}",
                grouped(MOST_MEMBERS)
            );
            self.warning("archive-too-long", message, "make several archives of it");
        }
    }

    /// What is called like an item and is none.
    fn strangers(&mut self, folder: &str) {
        for kind in [Entry::Forbidden, Entry::Dangling, Entry::Special] {
            let strange = self.directory.faults.strange.iter().filter(|(_, it)| *it == kind);
            let Some(files) = self.files(strange.map(|(name, _)| name)) else { continue };
            match kind {
                Entry::Forbidden => {
                    let message =
                        format!("a link to where you may not look, on which the trainer gives up: {files}");
                    self.error(
                        "directory-readable",
                        message,
                        &format!("remove it from `{folder}`, or allow it"),
                    );
                }
                Entry::Dangling => {
                    let message = format!(
                        "a link to what is not there, which the trainer passes over in silence: {files}"
                    );
                    self.warning("directory-readable", message, "mend the link, or remove it");
                }
                _ => {
                    let message = format!(
                        "no file but a pipe, a socket or a device, which the trainer passes over: {files}"
                    );
                    self.warning("directory-readable", message, "remove it");
                }
            }
        }
    }

    fn captions(&mut self) {
        let faults = &self.directory.faults;
        let folder = plain::name(&self.directory.path);
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
        self.texts();
        self.without_captions();
    }

    /// The `.txt` files that are not as they should be, one finding for each way.
    fn texts(&mut self) {
        for text in TEXTS {
            let of = self.directory.faults.texts.iter().filter(|(_, it)| *it == text);
            let files = self.files(of.map(|(name, _)| name));
            let (Some(files), Some(id), Some(what)) = (files, text.finding(), text.sentence()) else {
                continue;
            };
            let effect = match text {
                CaptionText::Good => continue,
                CaptionText::WithMark => "which the trainer takes for a character of it",
                CaptionText::Empty => "with which the item trains",
                CaptionText::NotUtf8 | CaptionText::Unreadable => "on which the trainer gives up",
                CaptionText::NoFile => "for which the trainer may wait forever",
            };
            let message = format!("{what}, {effect}: {files}");
            match text {
                CaptionText::Good => {}
                CaptionText::WithMark => self.warning(id, message, WITHOUT_MARK),
                CaptionText::Empty => {
                    self.warning(id, message, "write a caption, or remove the `.txt` to leave the item out");
                }
                CaptionText::NotUtf8 => self.error(id, message, AS_UTF8),
                CaptionText::Unreadable => self.error(id, message, "allow it with `chmod u+r`"),
                CaptionText::NoFile => self.error(id, message, "put a text file in its place"),
            }
        }
    }

    fn without_captions(&mut self) {
        let bare = self.directory.items.iter().filter(|it| it.fate == Fate::Dropped(Drop::NoCaption));
        let is_member = |it: &&Item| it.name.as_encoded_bytes().contains(&b'/');
        let members = bare.clone().filter(is_member).map(|it| &it.name);
        if let Some(files) = self.files(members) {
            let message = format!("no entry in `captions.json`, so the trainer drops it: {files}");
            let fix = "write a list of captions for each into `captions.json`, by its name in the archive";
            self.warning("captions-present", message, fix);
        }
        let files = bare.filter(|it| !is_member(it));
        let good = files.clone().filter(|it| it.unseen.is_none()).map(|it| &it.name);
        if let Some(files) = self.files(good) {
            let message = format!("no caption, so the trainer drops it: {files}");
            let fix = "write a `.txt` file beside each, or set `skip_empty_caption = false`";
            self.warning("captions-present", message, fix);
        }
        // A caption would do it no good.
        for flaw in FLAWS {
            let has = files.clone().filter(|it| it.unseen == Some(flaw)).map(|it| &it.name);
            let Some(files) = self.files(has) else { continue };
            let message =
                format!("{}, and without a caption, so the trainer passes it over: {files}", flaw.sentence());
            self.warning(flaw.finding(), message, "replace it and write its caption, or remove it");
        }
        if let Some(files) = self.files(self.directory.faults.lone_texts.iter()) {
            let message =
                format!("a text without an image or a video of its name, which nobody reads: {files}");
            self.found.push(Finding::note("caption-alone", self.at(), message));
        }
    }

    fn sizes(&mut self) {
        let model = &self.survey.model;
        let (mut small, mut confused, mut cropped) = (vec![], vec![], vec![]);
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
                continue;
            }
            let is_cut = |bucket: &SizeBucket| {
                let left = plan::crop(width, height, bucket.encoded(model));
                cut::share([width, height], left) > CUT_OFF
            };
            if buckets.iter().all(is_cut) {
                cropped.push(&item.name);
            }
        }
        if let Some(files) = self.files(small.into_iter()) {
            let message = format!("fewer pixels than the bucket, so the trainer blows it up: {files}");
            self.warning("upscaled", message, "use larger originals, or a lower resolution");
        }
        if let Some(files) = self.files(cropped.into_iter()) {
            let message = format!(
                "of another shape than any bucket, so that more than half of it is cut off: {files}; `--html` shows what is left"
            );
            self.found.push(Finding::note("cropped", self.at(), message));
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

fn is_blown_up(width: u32, height: u32, bucket: &SizeBucket) -> bool {
    bucket.pixels() > f64::from(width) * f64::from(height) * BLOWN_UP
}

#[cfg(test)]
mod tests {
    use super::{
        super::{batch::Batches, model::DataModel, survey},
        *,
    };
    use crate::{
        config::{Base, source::Source},
        output::{Mode, Output},
        platform::{Env, fs},
        workspace::Workspace,
    };

    #[test]
    fn of_an_archive_that_is_not_looked_at_to_its_end_that_is_said() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let mut archive = tar::Builder::new(vec![]);
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        archive.append_data(&mut header, "a.png", std::io::empty()).expect("appended");
        fs::write_atomic(&dir.path().join("a.tar"), archive.into_inner().expect("finished"))
            .expect("written");
        let text = format!("resolutions = [512]\n[[directory]]\npath = '{}'\n", dir.path().display());
        let source = Source::parse(&dir.path().join("d.toml"), text).expect("TOML");
        let (workspace, env, output) = (Workspace::at(dir.path()), Env::default(), Output::new(Mode::Plain));
        let site = super::super::Site { workspace: &workspace, env: &env, output: &output };
        let base = Base::of(&workspace, &env);
        let mut survey = survey::survey(&source, &base, DataModel::UNKNOWN, Batches::single(), site);
        let mut check = |has_more: bool, expected: &[&str]| {
            survey.directories[0].faults.archives[0].1 = Ok(Extent { members: 1, has_more });
            let found = of(&survey).into_iter().filter(|it| it.id == "archive-too-long");
            let found: Vec<String> = found.map(|it| it.message).collect();
            assert_eq!(found, expected);
        };
        check(false, &[]);
        let expected = format!(
            "more than 1,000,000 members in one archive, the rest of which is not looked at, nor counted in what is said here: `a.tar` in `{}`",
            dir.path().display()
        );
        check(true, &[&expected]);
    }
}
