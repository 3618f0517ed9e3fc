//! What was found in files is kept: as long as size and time of a file are the same, it is not opened again.
//!
//! One text file for each folder, in the workspace, with a line for each file, sorted. It can be deleted at any time.
//! Folders hold a million files, so the text is all that is in memory: nothing is made of a line before it is asked for.

use std::{
    cmp::Ordering,
    ffi::OsStr,
    fmt::Write as _,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use crate::{
    platform::{digest::Sha256, fs},
    workspace::Workspace,
};

use super::media::{Flaw, Media, Rate};

/// The first line. Other lines are not understood, so whoever changes them changes this.
const VERSION: &str = "dpgui probes 5\n";

/// What can be known of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    Media(Media),
    Caption(CaptionText),
}

/// A `.txt` with a caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CaptionText {
    Good,
    /// It has a byte order mark, which the trainer takes for a character of the caption.
    WithMark,
    /// The trainer takes it: an item without words.
    Empty,
    /// The trainer gives up on it.
    NotUtf8,
    Unreadable,
    /// A pipe, say, for which the trainer waits.
    NoFile,
}

/// Size, and the time of the last change.
pub(super) type Stamp = (u64, i128);

/// What is known of a folder's files.
#[derive(Debug, Default)]
pub(super) struct Cache {
    file: PathBuf,
    text: String,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// What is known now. As long as that is what was known before, no text is made of it.
#[derive(Debug)]
pub(super) struct Next<'a> {
    before: &'a Cache,
    /// Bytes of the text before that are the same.
    same: usize,
    /// From there on.
    new: String,
}

/// A list of its own, because a caption and an item may have one name. In this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum List {
    Media,
    Captions,
}

impl Cache {
    /// Of the folder `dir`; empty if nothing is known or it cannot be read.
    pub(super) fn load(workspace: &Workspace, dir: &Path) -> Self {
        let name = Sha256::of(dir.as_os_str().as_bytes()).to_string();
        let file = workspace.internal().join("probes").join(&name[..16]);
        let text = fs::read_optional(&file).ok().flatten().unwrap_or_default();
        let mut lines = vec![];
        if text.starts_with(VERSION) {
            let ends = memchr::memchr_iter(b'\n', text.as_bytes());
            lines.extend(ends.map(|it| it + 1).filter(|it| *it < text.len()));
        }
        Self { file, text, lines }
    }

    pub(super) fn get(&self, list: List, name: &OsStr, stamp: Stamp) -> Option<Known> {
        let line = |start: usize| self.text[start..].lines().next().unwrap_or_default();
        let found = self.lines.binary_search_by(|start| compare(line(*start), (list, name)));
        let (of, known) = entry(line(self.lines[found.ok()?]))?;
        (of == stamp).then_some(known)
    }

    /// Takes what is known now, in the order of the lists and of the names there.
    pub(super) fn next(&self) -> Next<'_> {
        let mut next = Next { before: self, same: 0, new: String::new() };
        next.push(VERSION);
        next
    }
}

impl Next<'_> {
    pub(super) fn add(&mut self, list: List, name: &OsStr, stamp: Stamp, known: &Known) {
        if is_lasting(known) {
            let mut line = String::new();
            write_entry(&mut line, (list, name), stamp, known);
            self.push(&line);
        }
    }

    /// Replaces what was known before, if it differs. That it cannot be written costs time only.
    pub(super) fn keep(self) {
        let same = &self.before.text[..self.same];
        if (same.len() < self.before.text.len() || !self.new.is_empty())
            && let Some(dir) = self.before.file.parent()
        {
            let write = || fs::write_snapshot_of(&self.before.file, [same, &self.new].into_iter());
            let _ = fs::create_dir_all(dir).and_then(|()| write());
        }
    }

    fn push(&mut self, line: &str) {
        if self.new.is_empty() && self.before.text.as_bytes()[self.same..].starts_with(line.as_bytes()) {
            self.same += line.len();
        } else {
            self.new.push_str(line);
        }
    }
}

/// What may be different the next time although the file is the same.
const fn is_lasting(known: &Known) -> bool {
    !matches!(
        known,
        Known::Media(Media::Unusable(Flaw::Denied | Flaw::NeedsFfprobe))
            | Known::Caption(CaptionText::Unreadable | CaptionText::NoFile)
    )
}

const FLAWS: [(char, Flaw); 12] = [
    ('r', Flaw::NotReopened),
    ('n', Flaw::OtherName),
    ('e', Flaw::Empty),
    ('m', Flaw::NoMedia),
    ('l', Flaw::GitLfsPointer),
    ('w', Flaw::WebPage),
    ('f', Flaw::ForeignFormat),
    ('p', Flaw::TooManyPixels),
    ('a', Flaw::AnimatedWebp),
    ('0', Flaw::NoPixels),
    ('u', Flaw::Unmeasured),
    ('c', Flaw::CutOff),
];

const CAPTIONS: [(char, CaptionText); 4] = [
    ('g', CaptionText::Good),
    ('b', CaptionText::WithMark),
    ('e', CaptionText::Empty),
    ('u', CaptionText::NotUtf8),
];

/// `m a.png i 640 480 0 1234 1700000000`: list, name, what is known, size and time.
fn write_entry(text: &mut String, (list, name): (List, &OsStr), (size, time): Stamp, known: &Known) {
    let letter = |flaw: &Flaw| FLAWS.iter().find(|(_, it)| it == flaw).map_or('?', |(letter, _)| *letter);
    text.push_str(if list == List::Media { "m " } else { "t " });
    for byte in name.as_bytes() {
        // Names may hold anything, line breaks too. Writing to a string does not fail.
        match byte {
            b'%' | 0..=b' ' | 127.. => {
                let _ = write!(text, "%{byte:02x}");
            }
            byte => text.push(char::from(*byte)),
        }
    }
    let _ = match known {
        Known::Media(Media::Image { width, height, turned }) => {
            write!(text, " i {width} {height} {}", u8::from(*turned))
        }
        Known::Media(Media::Video { width, height, frames, there, rate }) => {
            write!(text, " v {width} {height} {frames} {there} {} {}", rate.numerator, rate.denominator)
        }
        Known::Media(Media::Unusable(flaw)) => write!(text, " x {}", letter(flaw)),
        Known::Caption(caption) => {
            let letter = CAPTIONS.iter().find(|(_, it)| it == caption).map_or('?', |(letter, _)| *letter);
            write!(text, " t {letter}")
        }
    };
    let _ = writeln!(text, " {size} {time}");
}

fn entry(line: &str) -> Option<(Stamp, Known)> {
    let mut words = line.split(' ').skip(2);
    let mut next = || words.next();
    let known = match next()? {
        "i" => Known::Media(Media::Image {
            width: number(next())?,
            height: number(next())?,
            turned: next()? == "1",
        }),
        "v" => Known::Media(Media::Video {
            width: number(next())?,
            height: number(next())?,
            frames: number(next())?,
            there: number(next())?,
            rate: Rate { numerator: number(next())?, denominator: number(next())? },
        }),
        "x" => Known::Media(Media::Unusable(of_letter(&FLAWS, next()?)?)),
        "t" => Known::Caption(of_letter(&CAPTIONS, next()?)?),
        _ => return None,
    };
    let stamp = (number(next())?, number(next())?);
    next().is_none().then_some((stamp, known))
}

fn number<T: std::str::FromStr>(word: Option<&str>) -> Option<T> {
    word?.parse().ok()
}

fn of_letter<T: Copy>(all: &[(char, T)], word: &str) -> Option<T> {
    all.iter().find(|(letter, _)| word.chars().eq([*letter])).map(|(_, it)| *it)
}

/// The line's list and name with others, in the order of names as they are on the disk.
fn compare(line: &str, (list, name): (List, &OsStr)) -> Ordering {
    let (of, rest) = line.split_at_checked(2).unwrap_or((line, ""));
    let of = if of == "m " { List::Media } else { List::Captions };
    let spelt = rest.split(' ').next().unwrap_or_default().as_bytes();
    of.cmp(&list).then_with(|| match memchr::memchr(b'%', spelt) {
        None => spelt.cmp(name.as_bytes()),
        Some(_) => plain(spelt).cmp(name.as_bytes().iter().copied()),
    })
}

/// The bytes of a name before [`write_entry`].
fn plain(mut spelt: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        let (first, after) = spelt.split_first()?;
        let code = after.get(..2).filter(|_| *first == b'%').and_then(|it| str::from_utf8(it).ok());
        let (byte, rest) = match code.and_then(|it| u8::from_str_radix(it, 16).ok()) {
            Some(byte) => (byte, &after[2..]),
            None => (*first, after),
        };
        spelt = rest;
        Some(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_found_again_under_any_name() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        let rate = Rate { numerator: 30_000, denominator: 1001 };
        let mut all = [
            (List::Media, "a b.png", Known::Media(Media::Image { width: 3, height: 4, turned: true })),
            (List::Media, "a!b.png", Known::Media(Media::Image { width: 3, height: 5, turned: false })),
            (List::Media, "a.txt", Known::Media(Media::Unusable(Flaw::NoMedia))),
            (
                List::Media,
                "100%\n.mp4",
                Known::Media(Media::Video { width: 1, height: 2, frames: 9, there: 8, rate }),
            ),
            (List::Media, "100%", Known::Media(Media::Unusable(Flaw::CutOff))),
            (List::Media, "é.webp", Known::Media(Media::Unusable(Flaw::AnimatedWebp))),
            (List::Captions, "a.txt", Known::Caption(CaptionText::NotUtf8)),
            (List::Captions, "100%25.txt", Known::Caption(CaptionText::Empty)),
        ];
        all.sort_by_key(|(list, name, _)| (*list, *name));
        let fill = |count: usize| {
            let cache = Cache::load(&workspace, Path::new("/data"));
            let mut next = cache.next();
            for (list, name, known) in &all[..count] {
                next.add(*list, OsStr::new(name), (7, -3), known);
            }
            next.keep();
        };
        // All at first, then without the last ones, then with them again.
        for count in [8, 3, 8] {
            fill(count);
            let cache = Cache::load(&workspace, Path::new("/data"));
            for (index, (list, name, known)) in all.iter().enumerate() {
                let expected = (index < count).then(|| known.clone());
                assert_eq!(cache.get(*list, OsStr::new(name), (7, -3)), expected, "{name} of {count}");
                assert_eq!(cache.get(*list, OsStr::new(name), (7, -2)), None);
            }
            let before = fs::stamp(&cache.file).expect("there");
            fill(count);
            assert_eq!(fs::stamp(&cache.file).expect("there"), before, "written although it is the same");
        }
        assert_eq!(Cache::load(&workspace, Path::new("/other")).lines, [] as [usize; 0]);
    }

    #[test]
    fn a_damaged_cache_is_an_empty_one() {
        for line in [
            "",
            "m",
            "m a i 1 2",
            "m a i 1 2 0 3 4 5",
            "m a v 1 2 3",
            "m a x ? 1 2",
            "m a x ee 1 2",
            "m a i a b c 1 2",
            "m a q 1",
        ] {
            assert_eq!(entry(line), None, "{line}");
            let text = format!("{VERSION}{line}");
            let cache = Cache { file: PathBuf::new(), lines: vec![VERSION.len()], text };
            assert_eq!(cache.get(List::Media, OsStr::new("a"), (1, 2)), None, "{line}");
        }
        assert_eq!(compare("é", (List::Media, OsStr::new("a"))), Ordering::Greater);
        assert_eq!(plain(b"a%zz%4").collect::<Vec<u8>>(), b"a%zz%4");
    }
}
