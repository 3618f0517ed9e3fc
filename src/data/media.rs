//! What an image or video file is to the trainer, found in its header.
//!
//! Source: `_metadata_map_fn` in diffusion-pipe's `utils/dataset.py`: videos are what imageio calls so by suffix and
//! `PyAV` reads, all else goes to Pillow. Nothing is decoded here, nor there.

mod avi;
mod bytes;
mod exif;
mod ffprobe;
mod image;
mod isobmff;
mod items;
mod matroska;
mod samples;
mod tiff;
mod whole;

use std::{
    ffi::OsStr,
    io::{BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use crate::{config::file_name::suffix, platform::fs};

pub use crate::config::file_name::{is_media_name, is_video_name};
pub use ffprobe::Ffprobe;

/// What the trainer sees of a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Media {
    Image {
        width: u32,
        height: u32,
        /// The file says that it is to be turned or mirrored; the trainer does neither.
        turned: bool,
    },
    Video {
        width: u32,
        height: u32,
        /// As the trainer counts them, which is 1 where the container does not say.
        frames: u64,
        /// Those that it gets when it decodes: fewer if the end is missing and the decoder does not mind.
        there: u64,
        rate: Rate,
    },
    Unusable(Flaw),
}

/// Frames per second, as a fraction: what the container says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub numerator: u64,
    pub denominator: u64,
}

/// Why the trainer cannot use a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    Empty,
    /// No format that Pillow or FFmpeg knows, or a damaged header.
    NoMedia,
    /// The pointer that git keeps in place of a large file.
    GitLfsPointer,
    /// A web page, as servers send instead of a file.
    WebPage,
    /// HEIC, JPEG XL and others that Pillow does not read.
    ForeignFormat,
    /// Pillow takes more than 178,956,970 pixels for an attack.
    TooManyPixels,
    /// The trainer gives up on a `.webp` with more than one frame.
    AnimatedWebp,
    /// A side of 0 pixels, by which the trainer would divide.
    NoPixels,
    /// The end is missing. The trainer measures it, and gives up when it wants the pixels.
    CutOff,
    /// This file may not be read.
    Denied,
    /// Pillow may read it; its size is not known here.
    Unmeasured,
    /// A video in an archive, in a container that is not MP4.
    NotReopened,
    /// A member of an archive whose name the trainer changes before it looks for it.
    OtherName,
    /// Only `ffprobe` could tell, and there is none.
    NeedsFfprobe,
}

/// A video's facts as FFmpeg has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Track {
    width: u32,
    height: u32,
    /// `nb_frames`, where the container says it.
    frames: Option<u64>,
    /// All frames counted, for containers where that needs no decoding.
    counted: u64,
    rate: Option<Rate>,
    end: End,
}

/// How a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// All that the tables speak of is there.
    Whole,
    /// Where the decoder stops without an error, after so many frames: between two, or in one of MPEG-4's of which
    /// [`BEGUN`] is there. In any other, and in sound, it raises more often than not. Tried with PyAV 19.
    After(u64),
    Broken,
}

/// Bytes of a frame, the headers before a key frame among them, without which FFmpeg's MPEG-4 decoder gives up.
const BEGUN: u64 = 64;

/// Pillow's `MAX_IMAGE_PIXELS`, twice: beyond it refuses. Source: Pillow 12.3, `PIL/Image.py`.
const MOST_PIXELS: u64 = 2 * 89_478_485;

/// Reads the header of the file at `path`.
pub fn probe(path: &Path, ffprobe: &Ffprobe) -> Media {
    let Ok(file) = fs::open_regular(path) else { return Media::Unusable(Flaw::Denied) };
    measure(path.file_name().unwrap_or_default(), file, || ffprobe.ask(path))
}

/// The same for a member of an archive. A video is opened several times there, without going back to its start, which only
/// FFmpeg's reader of MP4 does by itself. Tried with PyAV 19; source: ComfyUI's `VideoFromFile`.
pub(super) fn measure_once<R: Read + Seek>(name: &OsStr, mut reader: R) -> Media {
    let mut head = [0; 8];
    let is_mp4 = reader.read_exact(&mut head).is_ok() && &head[4..] == b"ftyp";
    if reader.rewind().is_err() {
        return Media::Unusable(Flaw::Denied);
    }
    match measure(name, reader, || Err(Flaw::NoMedia)) {
        Media::Video { .. } if !is_mp4 => Media::Unusable(Flaw::NotReopened),
        media => media,
    }
}

/// Reads the header of what is called `name`; `otherwise` measures videos that are not understood here.
pub fn measure<R: Read + Seek>(
    name: &OsStr,
    reader: R,
    otherwise: impl FnOnce() -> Result<Media, Flaw>,
) -> Media {
    let mut reader = BufReader::with_capacity(4096, reader);
    let mut head = [0; 64];
    let length = fill(&mut reader, &mut head);
    let head = &head[..length];
    let media = if is_video_name(name) {
        video(name, head, &mut reader).unwrap_or_else(|| match known_stranger(head) {
            Some(flaw) => Err(flaw),
            None if is_none(head) => Err(Flaw::NoMedia),
            None => otherwise(),
        })
    } else {
        image::read(head, &mut reader, suffix(name) == b".webp")
    };
    match media {
        Ok(Media::Image { width, height, .. } | Media::Video { width, height, .. })
            if width == 0 || height == 0 =>
        {
            Media::Unusable(Flaw::NoPixels)
        }
        Ok(Media::Image { width, height, .. }) if u64::from(width) * u64::from(height) > MOST_PIXELS => {
            Media::Unusable(Flaw::TooManyPixels)
        }
        Ok(media) => media,
        Err(flaw) => Media::Unusable(known_stranger(head).unwrap_or(flaw)),
    }
}

/// `None` if that needs FFmpeg.
fn video<R: Read + Seek>(
    name: &OsStr,
    head: &[u8],
    reader: &mut BufReader<R>,
) -> Option<Result<Media, Flaw>> {
    let track = match head {
        [_, _, _, _, b'f', b't', b'y', b'p', ..]
        | [_, _, _, _, b'm' | b'w' | b'f' | b's', b'o' | b'd' | b'i' | b'r' | b'k', ..] => {
            isobmff::read(reader)?
        }
        [0x1a, 0x45, 0xdf, 0xa3, ..] => matroska::read(reader)?,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'A', b'V', b'I', b' ', ..] => avi::read(reader)?,
        _ => return None,
    };
    let Track { width, height, frames, counted, rate, end } = track;
    // Of `.mkv` files the trainer decodes every frame; of others it believes the container, and where that is silent
    // its count ends at the first frame.
    let counts_itself = suffix(name).eq_ignore_ascii_case(b".mkv");
    let frames = if counts_itself { counted } else { frames.unwrap_or(1) };
    if counts_itself && counted == 0 {
        return Some(Err(Flaw::NoMedia));
    }
    let there = match end {
        End::Whole => frames,
        End::After(left) => frames.min(left),
        // Who decodes all to count it notices at once, and leaves it out.
        End::Broken => return Some(Err(if counts_itself { Flaw::NoMedia } else { Flaw::CutOff })),
    };
    Some(Ok(Media::Video { width, height, frames, there, rate: rate? }))
}

/// What often lies where media should.
fn known_stranger(head: &[u8]) -> Option<Flaw> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let text = text.trim_start();
    match () {
        () if head.is_empty() => Some(Flaw::Empty),
        () if text.starts_with("version https://git-lfs") => Some(Flaw::GitLfsPointer),
        () if text.starts_with("<!doctype html") || text.starts_with("<html") => Some(Flaw::WebPage),
        () => None,
    }
}

/// Whether what begins so is no image and no video: nothing, or words. Playlists and one container begin with words too.
pub(super) fn is_none(head: &[u8]) -> bool {
    const OF_SOME: [&str; 3] = ["<", "#EXT", "YUV4MPEG2"];
    let is_text = |it: &str| !it.contains(|c: char| c.is_control() && !c.is_whitespace());
    let text = match str::from_utf8(head) {
        Ok(text) => Some(text),
        // Only a letter at the end is cut.
        Err(cause) if cause.error_len().is_none() => str::from_utf8(&head[..cause.valid_up_to()]).ok(),
        Err(_) => None,
    };
    text.is_some_and(|it| is_text(it) && !OF_SOME.iter().any(|start| it.starts_with(start)))
}

/// As many bytes of the start as there are.
fn fill(reader: &mut (impl Read + Seek), head: &mut [u8]) -> usize {
    let mut length = 0;
    while length < head.len() {
        match reader.read(&mut head[length..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => length += more,
        }
    }
    let _ = reader.seek(SeekFrom::Start(0));
    length
}

impl Media {
    /// Width and height.
    pub const fn size(&self) -> Option<(u32, u32)> {
        match self {
            Self::Image { width, height, .. } | Self::Video { width, height, .. } => Some((*width, *height)),
            Self::Unusable(_) => None,
        }
    }
}

impl Rate {
    /// As the trainer has it: a float.
    #[expect(
        clippy::cast_precision_loss,
        reason = "containers write numbers below 2^53, and Python rounds as we do"
    )]
    pub fn per_second(self) -> f64 {
        self.numerator as f64 / self.denominator as f64
    }

    fn reduced(numerator: u64, denominator: u64) -> Option<Self> {
        let (mut a, mut b) = (numerator, denominator);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        (numerator > 0 && denominator > 0)
            .then(|| Self { numerator: numerator / a, denominator: denominator / a })
    }
}

impl Flaw {
    /// What is the matter, of one file or many.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::NoMedia => "neither image nor video, or damaged",
            Self::GitLfsPointer => "a git-lfs pointer in place of the file",
            Self::WebPage => "a web page in place of the file",
            Self::ForeignFormat => "in a format that the trainer's Pillow does not read",
            Self::TooManyPixels => "more than 178956970 pixels, which Pillow refuses",
            Self::AnimatedWebp => "an animated WebP, on which the trainer gives up",
            Self::NoPixels => "a side of 0 pixels, on which the trainer gives up",
            Self::CutOff => "cut off before its end",
            Self::Denied => "cannot be opened",
            Self::Unmeasured => "an image of a kind that is not measured here",
            Self::NotReopened => "a video in an archive and no MP4, which the trainer cannot open there",
            Self::OtherName => "in an archive as `./…`, where the trainer looks for it without `./`",
            Self::NeedsFfprobe => "a video that only `ffprobe` could measure, which is not installed",
        }
    }
}

impl Flaw {
    /// The finding that tells of it.
    pub const fn finding(self) -> &'static str {
        match self {
            Self::AnimatedWebp => "no-animated-webp",
            Self::OtherName => "archive-members",
            Self::Unmeasured | Self::NeedsFfprobe => "media-unknown",
            Self::Empty
            | Self::NoMedia
            | Self::GitLfsPointer
            | Self::WebPage
            | Self::ForeignFormat
            | Self::TooManyPixels
            | Self::NoPixels
            | Self::CutOff
            | Self::Denied
            | Self::NotReopened => "media-readable",
        }
    }
}
