//! The files of a folder, each opened once: media, captions, masks and control images.

use std::{
    collections::HashMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    output::{Output, Progress, plain},
    platform::{cores, fs},
};

use super::{
    super::{
        archive::Member,
        cache::{Cache, CaptionText, Known, Stamp},
        captions,
        listing::{Companion, Listed, with_text_suffix},
        media::{self, Ffprobe, Flaw, Media},
        spec::DirectorySpec,
    },
    Site, grouped,
};

/// What is known of the files that are to be opened, from the cache or from now.
pub(super) struct Probes {
    by_name: HashMap<OsString, Known>,
    companions: HashMap<PathBuf, Media>,
}

impl Probes {
    pub(super) fn of(
        spec: &DirectorySpec,
        items: &[Listed],
        with_texts: bool,
        ffprobe: &Ffprobe,
        site: Site,
    ) -> Self {
        let opened = |it: &&Listed| !with_texts || it.has_text || !spec.skip_empty_caption;
        let media = items
            .iter()
            .filter(opened)
            .map(|it| (it.name.clone(), it.member.as_ref().map_or(Wanted::Media, |it| Wanted::Member(it))));
        let texts = items.iter().filter(|it| with_texts && it.has_text);
        let texts = texts.map(|it| (with_text_suffix(&it.name), Wanted::Caption));
        let mut files: Vec<(OsString, Wanted)> = media.chain(texts).collect();
        files.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        files.dedup_by(|(a, _), (b, _)| a == b);
        let cache = Cache::load(site.workspace, &spec.path);
        let far = Far::of(files.len(), &spec.path, site.output);
        let found = cores::map(&files, |(name, wanted)| {
            far.one_more();
            let path = spec.path.join(name);
            let holder = if let Wanted::Member(member) = wanted { member.archive() } else { &path };
            let stamp: Stamp = fs::stamp(holder).unwrap_or_default();
            if let Some(known) = cache.get(name, stamp) {
                return (stamp, known.clone());
            }
            let known = match wanted {
                Wanted::Caption => Known::Caption(captions::read_text(&path)),
                Wanted::Media => Known::Media(media::probe(&path, ffprobe)),
                Wanted::Member(member) => Known::Media(member.probe()),
            };
            (stamp, known)
        });
        let all = || files.iter().zip(&found);
        cache.replace(all().map(|((name, _), (stamp, known))| (name.clone(), *stamp, known.clone())));
        let by_name = all().map(|((name, _), (_, known))| (name.clone(), known.clone())).collect();
        Self { by_name, companions: companions(items, ffprobe) }
    }

    pub(super) fn media(&self, name: &OsString) -> Media {
        match self.by_name.get(name) {
            Some(Known::Media(media)) => media.clone(),
            _ => Media::Unusable(Flaw::Denied),
        }
    }

    pub(super) fn caption(&self, name: &OsString) -> CaptionText {
        match self.by_name.get(&with_text_suffix(name)) {
            Some(Known::Caption(caption)) => *caption,
            _ => CaptionText::Unreadable,
        }
    }

    pub(super) fn companion(&self, path: &Path) -> Option<&Media> {
        self.companions.get(path)
    }
}

/// What is to be known of a file.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    Media,
    Member(&'a Member),
    Caption,
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

/// Files that are looked at in the blink of an eye.
const FEW: usize = 5000;

/// How far the look at a large folder is.
struct Far {
    done: AtomicUsize,
    all: usize,
    shown: Option<Progress>,
    folder: String,
}

impl Far {
    fn of(all: usize, folder: &Path, output: &Output) -> Self {
        let shown = (all > FEW).then(|| output.progress("Looking"));
        Self { done: AtomicUsize::new(0), all, shown, folder: plain::name(folder) }
    }

    fn one_more(&self) {
        let done = self.done.fetch_add(1, Ordering::Relaxed);
        if let (Some(shown), Some(text)) = (&self.shown, self.said_at(done)) {
            shown.doing(text);
        }
    }

    /// Often enough for the eye.
    fn said_at(&self, done: usize) -> Option<String> {
        const EVERY: usize = 500;
        let (of, folder) = (grouped(self.all), &self.folder);
        done.is_multiple_of(EVERY).then(|| format!("{} of {of} files in `{folder}`", grouped(done)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_large_folder_it_is_said_how_far_it_is() {
        let output = Output::new(crate::output::Mode::Plain);
        let check = |all: usize, done: usize, expected: Option<&str>| {
            let far = Far::of(all, Path::new("/data/a\u{1b}b"), &output);
            assert_eq!((far.shown.is_some(), far.said_at(done).as_deref()), (all > FEW, expected));
        };
        check(5000, 500, Some("500 of 5,000 files in `/data/a\\x1bb`"));
        check(5001, 1500, Some("1,500 of 5,001 files in `/data/a\\x1bb`"));
        check(2_000_000, 1501, None);
    }
}
