//! Whether an image file is all there. Pillow opens one whose end is missing, and fails only when the trainer wants its
//! pixels, which may be an hour later.
//!
//! The last bytes nearly always tell; where they do not, more is read. What Pillow forgives is forgiven here too: what
//! follows the image, a missing end mark of PNG and GIF, a missing checksum. Tried with Pillow 13.

use std::{
    io::{BufReader, Read, Seek},
    ops::Range,
};

use flate2::{Decompress, FlushDecompress, Status};
use imagesize::ImageType;
use memchr::memmem;

use super::{
    Flaw,
    bytes::{go, length, take, u16_le, u32_be, u32_le},
    exif::JpegHead,
    isobmff, items, tiff,
};

/// Bytes of a JPEG file in which its end mark is looked for where it is not near the end: more than any photo has.
const MOST_SCANNED: u64 = 64 << 20;

/// Bytes at the end that are read in any case.
const TAIL: u64 = 4096;

/// Zeros at the end of what was allocated before it was downloaded.
const UNWRITTEN: [u8; 16] = [0; 16];

/// Parts of a PNG or GIF file that are gone through.
const MOST_PARTS: usize = 1_000_000;

/// What a PNG file unpacks to, in bytes: as many pixels as Pillow takes, of 8 bytes.
const MOST_UNPACKED: u64 = 8 * 178_956_970;

/// What is missing, as Pillow would notice it. A file that cannot be judged is taken for whole.
pub(super) fn check<R: Read + Seek>(
    kind: ImageType,
    jpeg: Option<JpegHead>,
    reader: &mut BufReader<R>,
) -> Result<(), Flaw> {
    let is_whole = match kind {
        ImageType::Jpeg => jpeg.and_then(|head| jpeg_ends(head, reader)),
        ImageType::Png => png_ends(reader),
        ImageType::Gif => gif_ends(reader)?,
        ImageType::Bmp => bmp_ends(reader),
        ImageType::Tiff => tiff_ends(reader)?,
        // Pillow reads all of it to open it.
        ImageType::Webp if !webp_ends(reader).unwrap_or(true) => return Err(Flaw::NoMedia),
        ImageType::Heif(_) => {
            if matches!(isobmff::missing(reader), Some((name, 1..)) if &name == b"meta") {
                return Err(Flaw::NoMedia);
            }
            let (last, have) = (items::last(reader).unwrap_or_default(), length(reader).unwrap_or(u64::MAX));
            let missing = last.end.saturating_sub(have);
            // Pillow's libavif (1.4) holds what is missing against the place, not the length: as tried with 48 files.
            if missing > last.start {
                return Err(Flaw::NoMedia);
            }
            Some(missing == 0)
        }
        _ => None,
    };
    if is_whole.unwrap_or(true) { Ok(()) } else { Err(Flaw::CutOff) }
}

/// The end mark is not in the pixels themselves, where `ff` is always followed by `00` or a restart mark.
fn jpeg_ends<R: Read + Seek>(head: JpegHead, reader: &mut BufReader<R>) -> Option<bool> {
    const END: &[u8] = b"\xff\xd9";
    let end = length(reader)?;
    let tail = bytes(reader, end.saturating_sub(TAIL).max(head.pixels)..end)?;
    if memmem::find(&tail, END).is_some() {
        return Some(true);
    }
    // What is allocated and empty is decoded as grey, but for the kind whose pixels come in several rounds.
    if head.is_sequential && tail.ends_with(&UNWRITTEN) {
        return Some(true);
    }
    let mut at = head.pixels;
    while at < end {
        if at - head.pixels > MOST_SCANNED {
            return Some(true);
        }
        // One byte twice: the mark may lie across.
        let part = bytes(reader, at..end.min(at + (1 << 16) + 1))?;
        if memmem::find(&part, END).is_some() {
            return Some(true);
        }
        at += 1 << 16;
    }
    Some(false)
}

fn png_ends<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<bool> {
    const END: &[u8] = b"\0\0\0\0IEND\xaeB`\x82";
    let end = length(reader)?;
    let tail = bytes(reader, end.saturating_sub(TAIL)..end)?;
    if tail.ends_with(END) {
        return Some(true);
    }
    let (mut pixels, mut at, mut have_ended) = (Pixels::new(), 8, false);
    for _ in 0..MOST_PARTS {
        go(reader, at)?;
        let (Some(size), Some(name)) = (u32_be(reader), take::<4>(reader)) else { break };
        match &name {
            b"IEND" => return Some(true),
            b"IDAT" if !have_ended => {
                have_ended = pixels.unpack(reader, at + 8..end.min(at + 8 + u64::from(size)))?;
            }
            name if !name.iter().all(u8::is_ascii_alphabetic) => break,
            _ => {}
        }
        at += 12 + u64::from(size);
    }
    // Zeros may happen to end what is compressed.
    Some(have_ended && !tail.ends_with(&UNWRITTEN))
}

/// The compressed pixels of a PNG file, unpacked to see whether they end.
struct Pixels {
    inflater: Decompress,
    /// Bytes of the zlib header that are still to come.
    header: u64,
}

impl Pixels {
    /// Without zlib's checksum, which Pillow does not miss.
    fn new() -> Self {
        Self { inflater: Decompress::new(false), header: 2 }
    }

    /// Whether they end in this part; taken as such from [`MOST_UNPACKED`] on.
    fn unpack<R: Read + Seek>(&mut self, reader: &mut BufReader<R>, part: Range<u64>) -> Option<bool> {
        let skipped = self.header.min(part.end.saturating_sub(part.start));
        self.header -= skipped;
        let (mut at, mut room) = (part.start + skipped, vec![0; 1 << 16]);
        while at < part.end {
            let input = bytes(reader, at..part.end.min(at + (1 << 16)))?;
            let before = self.inflater.total_in();
            match self.inflater.decompress(&input, &mut room, FlushDecompress::None) {
                Ok(Status::StreamEnd) => return Some(true),
                Err(_) => return Some(false),
                Ok(_) => {}
            }
            let used = self.inflater.total_in() - before;
            if self.inflater.total_out() > MOST_UNPACKED {
                return Some(true);
            }
            at += used;
        }
        Some(false)
    }
}

/// Of the first picture, which is the one that is trained. Pillow opens the file if that has begun.
fn gif_ends<R: Read + Seek>(reader: &mut BufReader<R>) -> Result<Option<bool>, Flaw> {
    let end = length(reader).unwrap_or(0);
    if bytes(reader, end.saturating_sub(2)..end).is_some_and(|it| it == b"\0;") {
        return Ok(Some(true));
    }
    first_picture(reader).filter(|start| *start <= end).ok_or(Flaw::NoMedia)?;
    Ok(blocks_end(reader, end))
}

/// Goes to the blocks of the first picture, and says where they are.
fn first_picture<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<u64> {
    go(reader, 10)?;
    let [flags, ..] = take::<3>(reader)?;
    reader.seek_relative(colours(flags)).ok()?;
    for _ in 0..MOST_PARTS {
        match take::<1>(reader)? {
            [b'!'] => {
                take::<1>(reader)?;
                while let Some([length]) = take::<1>(reader).filter(|[length]| *length > 0) {
                    reader.seek_relative(length.into()).ok()?;
                }
            }
            [b','] => {
                let [.., flags] = take::<9>(reader)?;
                // Its own colours and the width of a code.
                reader.seek_relative(colours(flags) + 1).ok()?;
                return reader.stream_position().ok();
            }
            _ => break,
        }
    }
    None
}

/// Bytes of a colour table.
fn colours(flags: u8) -> i64 {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Pillow does not miss the mark after the last block, which is the one that is not full.
fn blocks_end<R: Read + Seek>(reader: &mut BufReader<R>, end: u64) -> Option<bool> {
    let mut last = 0;
    for _ in 0..MOST_PARTS {
        match take::<1>(reader) {
            // Another block, another picture or the end follows; where nothing was written, zeros do.
            Some([0]) => {
                return Some(take::<1>(reader).is_none_or(|next| [*b"!", *b",", *b";"].contains(&next)));
            }
            Some([length]) => last = length,
            None => return Some(last < u8::MAX && last > 0),
        }
        reader.seek_relative(last.into()).ok()?;
        if reader.stream_position().ok()? > end {
            return Some(false);
        }
    }
    None
}

/// Where even the tags are missing that say what the pixels are, Pillow does not open the file.
fn tiff_ends<R: Read + Seek>(reader: &mut BufReader<R>) -> Result<Option<bool>, Flaw> {
    let Some((end, have)) = tiff::ends(reader).zip(length(reader)) else { return Ok(None) };
    if end.of_colours > have { Err(Flaw::NoMedia) } else { Ok(Some(end.of_all <= have)) }
}

/// Rows of a BMP file that is not compressed; the filling of the last row may be missing.
fn bmp_ends<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<bool> {
    /// No compression, and the same with masks for the colours.
    const PLAIN: [u32; 2] = [0, 3];
    go(reader, 10)?;
    let (start, header) = (u32_le(reader)?, u32_le(reader)?);
    let (width, height, bits) = if header == 12 {
        let (width, height, _planes) = (u16_le(reader)?, u16_le(reader)?, u16_le(reader)?);
        (width.into(), height.into(), u16_le(reader)?)
    } else {
        let (width, height) = (u32_le(reader)?, u32_le(reader)?.cast_signed().unsigned_abs());
        let (_planes, bits) = (u16_le(reader)?, u16_le(reader)?);
        if !PLAIN.contains(&u32_le(reader)?) {
            return None;
        }
        (width, height, bits)
    };
    let row = (u64::from(width) * u64::from(bits)).div_ceil(8);
    let rows = row.next_multiple_of(4).checked_mul(u64::from(height).saturating_sub(1))?;
    Some(u64::from(start).checked_add(rows)?.checked_add(row)? <= length(reader)?)
}

/// Everything is in one chunk, which says how long it is.
fn webp_ends<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<bool> {
    go(reader, 4)?;
    Some(u64::from(u32_le(reader)?) + 8 <= length(reader)?)
}

fn bytes<R: Read + Seek>(reader: &mut BufReader<R>, at: Range<u64>) -> Option<Vec<u8>> {
    go(reader, at.start)?;
    let mut bytes = vec![];
    reader.by_ref().take(at.end.saturating_sub(at.start)).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
