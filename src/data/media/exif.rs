//! The orientation that a camera wrote into a JPEG or TIFF file.

use std::io::{BufReader, Read, Seek};

use super::bytes::{go, take, u16_be};

/// How an image is to be turned; 1 is not at all.
const ORIENTATION: u16 = 0x0112;

/// Entries of a directory of tags.
const MOST_TAGS: u16 = 1000;

/// Segments before the pixels.
const MOST_SEGMENTS: usize = 1000;

/// Of a JPEG file, 1 if it does not say. `None` if the file ends before its pixels begin: Pillow reads up to there.
pub(super) fn of_jpeg<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<u16> {
    let (mut at, mut orientation) = (2, None);
    for _ in 0..MOST_SEGMENTS {
        go_near(reader, at)?;
        match take::<2>(reader)? {
            // The pixels follow.
            [0xff, 0xda] => return Some(orientation.unwrap_or(1)),
            // Filling.
            [0xff, 0xff] => at += 1,
            // Marks without content.
            [0xff, 0x00 | 0x01 | 0xd0..=0xd9] => at += 2,
            [0xff, kind] => {
                let length = u64::from(u16_be(reader)?);
                if kind == 0xe1 && length >= 8 && &take::<6>(reader)? == b"Exif\0\0" && orientation.is_none()
                {
                    orientation = of_tiff(reader, at + 10);
                }
                at += 2 + length;
            }
            _ => return None,
        }
    }
    None
}

/// Of TIFF data that begins at `start`.
pub(super) fn of_tiff<R: Read + Seek>(reader: &mut BufReader<R>, start: u64) -> Option<u16> {
    go_near(reader, start)?;
    let order = take::<2>(reader)?;
    let word =
        move |bytes| if order == *b"II" { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) };
    let long =
        move |bytes| if order == *b"II" { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    if word(take(reader)?) != 42 {
        return None;
    }
    let directory = long(take(reader)?);
    go_near(reader, start + u64::from(directory))?;
    let tags = word(take(reader)?).min(MOST_TAGS);
    for _ in 0..tags {
        let entry = take::<12>(reader)?;
        if word([entry[0], entry[1]]) == ORIENTATION {
            return Some(word([entry[8], entry[9]]));
        }
    }
    None
}

/// Without throwing away what is read already, which is most of a header.
fn go_near<R: Read + Seek>(reader: &mut BufReader<R>, offset: u64) -> Option<()> {
    let here = reader.stream_position().ok()?;
    let by = i64::try_from(offset).ok()? - i64::try_from(here).ok()?;
    if by == 0 { Some(()) } else { reader.seek_relative(by).ok().or_else(|| go(reader, offset)) }
}
