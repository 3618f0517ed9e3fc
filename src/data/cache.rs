//! What was found in files is kept: as long as size and time of a file are the same, it is not opened again.
//!
//! One text file for each folder, in the workspace. It can be deleted at any time.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fmt::Write as _,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use crate::{
    platform::{digest::Sha256, fs},
    workspace::Workspace,
};

use super::media::{Flaw, Media, Rate};

/// The first line. Other lines are not understood, so whoever changes them changes this.
const VERSION: &str = "dpgui probes 3";

/// What can be known of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Known {
    Media(Media),
    Caption(CaptionText),
}

/// A `.txt` with a caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaptionText {
    Good,
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
    known: HashMap<OsString, (Stamp, Known)>,
}

impl Cache {
    /// Of the folder `dir`; empty if nothing is known or it cannot be read.
    pub(super) fn load(workspace: &Workspace, dir: &Path) -> Self {
        let name = Sha256::of(dir.as_os_str().as_bytes()).to_string();
        let file = workspace.internal().join("probes").join(&name[..16]);
        let text = fs::read_optional(&file).ok().flatten().unwrap_or_default();
        let mut lines = text.lines();
        let is_ours = lines.next() == Some(VERSION);
        let known = lines.take_while(|_| is_ours).filter_map(entry).collect();
        Self { file, known }
    }

    pub(super) fn get(&self, name: &OsStr, stamp: Stamp) -> Option<&Known> {
        self.known.get(name).filter(|(of, _)| *of == stamp).map(|(_, known)| known)
    }

    /// Replaces everything by what was found now, and keeps it if it differs. That it cannot be written costs time
    /// only.
    pub(super) fn replace(self, now: impl Iterator<Item = (OsString, Stamp, Known)>) {
        let mut text = format!("{VERSION}\n");
        let (mut count, mut changed) = (0_usize, false);
        for (name, stamp, known) in now.filter(|(_, _, known)| is_lasting(known)) {
            changed |= self.get(&name, stamp) != Some(&known);
            count += 1;
            write_entry(&mut text, &name, stamp, &known);
        }
        if (changed || count != self.known.len())
            && let Some(dir) = self.file.parent()
        {
            let _ = fs::create_dir_all(dir).and_then(|()| fs::write_snapshot(&self.file, text));
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

const CAPTIONS: [(char, CaptionText); 3] =
    [('g', CaptionText::Good), ('e', CaptionText::Empty), ('u', CaptionText::NotUtf8)];

fn write_entry(text: &mut String, name: &OsStr, (size, time): Stamp, known: &Known) {
    let letter = |flaw: &Flaw| FLAWS.iter().find(|(_, it)| it == flaw).map_or('?', |(letter, _)| *letter);
    // Writing to a string does not fail.
    let _ = match known {
        Known::Media(Media::Image { width, height, turned }) => {
            write!(text, "i {width} {height} {}", u8::from(*turned))
        }
        Known::Media(Media::Video { width, height, frames, there, rate }) => {
            write!(text, "v {width} {height} {frames} {there} {} {}", rate.numerator, rate.denominator)
        }
        Known::Media(Media::Unusable(flaw)) => write!(text, "x {}", letter(flaw)),
        Known::Caption(caption) => {
            let letter = CAPTIONS.iter().find(|(_, it)| it == caption).map_or('?', |(letter, _)| *letter);
            write!(text, "t {letter}")
        }
    };
    let _ = write!(text, " {size} {time} ");
    for byte in name.as_bytes() {
        // Names may hold anything, line breaks too.
        match byte {
            b'%' | 0..=31 | 127.. => {
                let _ = write!(text, "%{byte:02x}");
            }
            byte => text.push(char::from(*byte)),
        }
    }
    text.push('\n');
}

fn entry(line: &str) -> Option<(OsString, (Stamp, Known))> {
    let (kind, rest) = line.split_once(' ')?;
    let count = match kind {
        "i" => 3,
        "v" => 6,
        "x" | "t" => 1,
        _ => return None,
    };
    let mut words = rest.splitn(count + 3, ' ');
    let mut fields = [""; 6];
    for field in fields.iter_mut().take(count) {
        *field = words.next()?;
    }
    let number = |index: usize| fields[index].parse::<u32>().ok();
    let long = |index: usize| fields[index].parse::<u64>().ok();
    let is = |letter: char| fields[0].chars().eq([letter]);
    let known = match kind {
        "i" => Known::Media(Media::Image { width: number(0)?, height: number(1)?, turned: fields[2] == "1" }),
        "v" => Known::Media(Media::Video {
            width: number(0)?,
            height: number(1)?,
            frames: long(2)?,
            there: long(3)?,
            rate: Rate { numerator: long(4)?, denominator: long(5)? },
        }),
        "x" => Known::Media(Media::Unusable(FLAWS.iter().find(|(letter, _)| is(*letter))?.1)),
        _ => Known::Caption(CAPTIONS.iter().find(|(letter, _)| is(*letter))?.1),
    };
    let stamp = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some((plain(words.next()?)?, (stamp, known)))
}

/// A name as it was before [`write_entry`].
fn plain(text: &str) -> Option<OsString> {
    if !text.contains('%') {
        return Some(text.into());
    }
    let mut bytes = vec![];
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = str::from_utf8(rest.get(..2)?).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_found_again_under_any_name() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        let rate = Rate { numerator: 30_000, denominator: 1001 };
        let all = [
            ("a b.png", Known::Media(Media::Image { width: 3, height: 4, turned: true })),
            ("100%\n.mp4", Known::Media(Media::Video { width: 1, height: 2, frames: 9, there: 8, rate })),
            ("é.webp", Known::Media(Media::Unusable(Flaw::AnimatedWebp))),
            ("a.txt", Known::Caption(CaptionText::NotUtf8)),
        ];
        let now = all.iter().map(|(name, known)| (OsString::from(name), (7, -3), known.clone()));
        Cache::load(&workspace, Path::new("/data")).replace(now);
        let cache = Cache::load(&workspace, Path::new("/data"));
        for (name, known) in &all {
            assert_eq!(cache.get(OsStr::new(name), (7, -3)), Some(known));
            assert_eq!(cache.get(OsStr::new(name), (7, -2)), None);
        }
        assert_eq!(Cache::load(&workspace, Path::new("/other")).known.len(), 0);
    }

    #[test]
    fn a_damaged_cache_is_an_empty_one() {
        for line in ["", "i 1 2", "i 1 2 0 3 4 %zz", "v 1 2 3", "x ? 1 2 a", "i a b c 1 2 a", "q 1"] {
            assert_eq!(entry(line), None, "{line}");
        }
    }
}
