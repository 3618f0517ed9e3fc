//! The orientation that a camera wrote into a JPEG file, and where its pixels begin.

use std::io::{BufReader, Read, Seek};

use super::{
    Flaw,
    bytes::{go_near, take, u16_be},
    tiff,
};

/// Segments before the pixels.
const MOST_SEGMENTS: usize = 1000;

/// Bytes that belong to none, such as the zeros where a download never came to.
const MOST_JUNK: usize = 10_000;

/// What comes before the pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct JpegHead {
    /// 1 if it does not say.
    pub(super) orientation: u16,
    /// Where they begin, with the segment that says how they are coded.
    pub(super) pixels: u64,
    /// From top to bottom in one go.
    pub(super) is_sequential: bool,
}

/// Of a JPEG file. Pillow reads up to the pixels: in a segment that is cut off it gives up at once. Between segments it
/// passes over what is none, and is content with a size if nothing follows.
pub(super) fn of_jpeg<R: Read + Seek>(reader: &mut BufReader<R>) -> Result<JpegHead, Flaw> {
    let (mut at, mut orientation, mut is_sequential) = (2, None, false);
    let (mut has_size, mut junk) = (false, 0);
    for _ in 0..MOST_SEGMENTS + MOST_JUNK {
        let without_pixels = if has_size { Flaw::CutOff } else { Flaw::NoMedia };
        go_near(reader, at).ok_or(without_pixels)?;
        match take::<2>(reader) {
            // The pixels follow.
            Some([0xff, 0xda]) => {
                return Ok(JpegHead { orientation: orientation.unwrap_or(1), pixels: at, is_sequential });
            }
            // Filling.
            Some([0xff, 0xff]) => at += 1,
            // Marks without content.
            Some([0xff, 0x00 | 0x01 | 0xd0..=0xd9]) => at += 2,
            Some([0xff, kind]) => {
                has_size |= matches!(kind, 0xc0..=0xcf) && ![0xc4, 0xc8, 0xcc].contains(&kind);
                is_sequential |= matches!(kind, 0xc0 | 0xc1);
                let length = u64::from(u16_be(reader).ok_or(Flaw::NoMedia)?);
                let is_exif = kind == 0xe1 && length >= 8 && take::<6>(reader) == Some(*b"Exif\0\0");
                if is_exif && orientation.is_none() {
                    orientation = tiff::orientation(reader, at + 10);
                }
                at += 2 + length;
                if at > super::bytes::length(reader).ok_or(Flaw::NoMedia)? {
                    return Err(Flaw::NoMedia);
                }
            }
            Some(_) if junk < MOST_JUNK => (at, junk) = (at + 1, junk + 1),
            _ => return Err(without_pixels),
        }
    }
    Err(Flaw::NoMedia)
}
