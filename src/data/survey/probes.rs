//! The files of a folder, each opened once: media, captions, masks and control images.

use std::{
    borrow::Cow,
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use crate::{
    output::{Output, Progress, plain},
    platform::{cores, fs},
};

use super::{
    super::{
        cache::{Cache, CaptionText, Known, List, Next, Stamp},
        captions,
        listing::{Companion, Listed, stem, with_text_suffix},
        media::{self, Ffprobe, Flaw, Media},
        spec::DirectorySpec,
    },
    Site, grouped,
};

/// Files that are looked at before what was found is put in its place: a fraction of a large folder.
const AT_ONCE: usize = 20_000;

/// What is known of the files that are to be opened, from the cache or from now: by the items' places in the list.
pub(super) struct Probes {
    media: Vec<Option<Media>>,
    captions: Vec<CaptionText>,
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
        // Also what the trainer leaves unopened for want of a caption: what is no image needs none.
        let mut media: Vec<usize> = (0..items.len()).collect();
        media.sort_by(|a, b| items[*a].name.cmp(&items[*b].name));
        let mut texts: Vec<usize> = (0..items.len()).filter(|it| with_texts && items[*it].has_text).collect();
        let text = |index: usize| stem(&items[index].name).as_bytes().iter().chain(b".txt");
        texts.sort_by(|a, b| text(*a).cmp(text(*b)));
        let cache = Cache::load(site.workspace, &spec.path);
        let look = Look {
            items,
            spec,
            ffprobe,
            cache: &cache,
            far: Far::of(media.len() + texts.len(), &spec.path, site.output),
        };
        let mut next = cache.next();
        let mut probes = Self {
            media: vec![None; items.len()],
            captions: vec![CaptionText::Unreadable; items.len()],
            companions: companions(items, ffprobe),
        };
        // Two items of one name share what is found: the members of an archive, or the caption of two images.
        let of_one_name = |a: &usize, b: &usize| items[*a].name == items[*b].name;
        look.at(List::Media, media.chunk_by(of_one_name), &mut next, |index, known| {
            probes.media[index] = if let Known::Media(media) = known { Some(media.clone()) } else { None };
        });
        let of_one_stem = |a: &usize, b: &usize| stem(&items[*a].name) == stem(&items[*b].name);
        look.at(List::Captions, texts.chunk_by(of_one_stem), &mut next, |index, known| {
            if let Known::Caption(caption) = known {
                probes.captions[index] = *caption;
            }
        });
        next.keep();
        probes
    }

    /// Of the item at this place, once.
    pub(super) fn take_media(&mut self, index: usize) -> Media {
        self.media[index].take().unwrap_or(Media::Unusable(Flaw::Denied))
    }

    pub(super) fn caption(&self, index: usize) -> CaptionText {
        self.captions[index]
    }

    pub(super) fn companion(&self, path: &Path) -> Option<&Media> {
        self.companions.get(path)
    }
}

/// A look at a folder's files.
struct Look<'a> {
    items: &'a [Listed],
    spec: &'a DirectorySpec,
    ffprobe: &'a Ffprobe,
    cache: &'a Cache,
    far: Far,
}

impl Look<'_> {
    /// Looks at one file for each group of items, in the order of their names, and has what is found put where it belongs.
    fn at<'g>(
        &self,
        list: List,
        groups: impl Iterator<Item = &'g [usize]>,
        next: &mut Next,
        mut put: impl FnMut(usize, &Known),
    ) {
        let groups: Vec<&[usize]> = groups.collect();
        for groups in groups.chunks(AT_ONCE) {
            // Of members of one name, Python's `tarfile` has the last one.
            let found = cores::map(groups, |group| group.last().map(|it| self.one(list, *it)));
            for (group, (name, stamp, known)) in groups.iter().zip(found).filter_map(|(a, b)| Some((a, b?))) {
                next.add(list, &name, stamp, &known);
                group.iter().for_each(|it| put(*it, &known));
            }
        }
    }

    fn one(&self, list: List, index: usize) -> (Cow<'_, OsStr>, Stamp, Known) {
        self.far.one_more();
        let item = &self.items[index];
        let name: Cow<OsStr> = match list {
            List::Media => Cow::Borrowed(&item.name),
            List::Captions => Cow::Owned(with_text_suffix(&item.name)),
        };
        let path = self.spec.path.join(&name);
        let holder = item.member.as_ref().map_or(&*path, |it| it.archive());
        let stamp: Stamp = fs::stamp(holder).unwrap_or_default();
        let known = self.cache.get(list, &name, stamp).unwrap_or_else(|| match (list, &item.member) {
            (List::Captions, _) => Known::Caption(captions::read_text(&path)),
            (List::Media, None) => Known::Media(media::probe(&path, self.ffprobe)),
            (List::Media, Some(member)) => Known::Media(member.probe()),
        });
        (name, stamp, known)
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
