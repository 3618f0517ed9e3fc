//! Images: the size in the header, as Pillow says it.

use std::io::{BufReader, Read, Seek, SeekFrom};

use imagesize::{Compression, ImageType};

use super::{
    Flaw, MOST_PIXELS, Media,
    bytes::{go, take, u32_be, u32_le},
    exif, tiff, whole,
};

/// Orientations that lie on their side. Source: EXIF 2.32, tag 274.
const SIDEWAYS: std::ops::RangeInclusive<u16> = 5..=8;

/// Reads the size. `is_webp_name` says that the trainer will count the frames.
pub(super) fn read<R: Read + Seek>(
    head: &[u8],
    reader: &mut BufReader<R>,
    is_webp_name: bool,
) -> Result<Media, Flaw> {
    if head.starts_with(&JPEG_2000) {
        return jpeg_2000(reader).ok_or(Flaw::NoMedia);
    }
    let kind = imagesize::image_type(head).map_err(|_| unmeasured(head).unwrap_or(Flaw::NoMedia))?;
    if matches!(kind, ImageType::Jxl | ImageType::Heif(_))
        && !matches!(kind, ImageType::Heif(Compression::Av1))
    {
        return Err(Flaw::ForeignFormat);
    }
    if is_webp_name && matches!(kind, ImageType::Webp) && is_animated(reader).unwrap_or(false) {
        return Err(Flaw::AnimatedWebp);
    }
    // Where recognising it ends: some of the crate's readers go on from there.
    go(reader, 12).ok_or(Flaw::NoMedia)?;
    let size = kind.reader_size(reader).map_err(|_| Flaw::NoMedia)?;
    let pixels = |side: usize| u32::try_from(side).map_err(|_| Flaw::TooManyPixels);
    let (width, height) = (pixels(size.width)?, pixels(size.height)?);
    let jpeg = if matches!(kind, ImageType::Jpeg) { Some(exif::of_jpeg(reader)?) } else { None };
    let image = match kind {
        ImageType::Png if !has_sound_start(reader).unwrap_or(false) => return Err(Flaw::NoMedia),
        // Pillow leaves the turning to whoever looks at the image, and nobody does.
        ImageType::Heif(_) if is_turned_by_its_container(reader).unwrap_or(false) => {
            Media::Image { width: height, height: width, turned: true }
        }
        // Only here Pillow turns by itself.
        ImageType::Tiff if tiff::orientation(reader, 0).is_some_and(|it| SIDEWAYS.contains(&it)) => {
            Media::Image { width: height, height: width, turned: false }
        }
        _ => {
            let turned = jpeg.is_some_and(|head| (2..=8).contains(&head.orientation));
            Media::Image { width, height, turned }
        }
    };
    // What is refused for its size is never read to its end.
    if u64::from(width) * u64::from(height) <= MOST_PIXELS {
        whole::check(kind, jpeg, reader)?;
    }
    Ok(image)
}

/// The first box of the container.
const JPEG_2000: [u8; 12] = *b"\0\0\0\x0cjP  \r\n\x87\n";

/// Source: ISO/IEC 15444-1, annex I: signature and type, then the box of headers, whose first is the size.
fn jpeg_2000<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<Media> {
    go(reader, 12)?;
    let type_length = u32_be(reader)?;
    go(reader, 12 + u64::from(type_length))?;
    let _length = u32_be(reader)?;
    let names = (take::<4>(reader)?, u32_be(reader)?, take::<4>(reader)?);
    if (&names.0, &names.2) != (b"jp2h", b"ihdr") {
        return None;
    }
    let (height, width) = (u32_be(reader)?, u32_be(reader)?);
    Some(Media::Image { width, height, turned: false })
}

/// Formats that Pillow reads and that are not measured here; nobody trains with them.
fn unmeasured(head: &[u8]) -> Option<Flaw> {
    const STARTS: [&[u8]; 6] =
        [b"icns", b"\x0a\x05\x01", b"\x01\xda", b"%!PS", b"#define", b"\xff\x4f\xff\x51"];
    STARTS.iter().any(|start| head.starts_with(start)).then_some(Flaw::Unmeasured)
}

/// Pillow reads a PNG file up to its pixels, and no further if the first chunk has another checksum than it says.
fn has_sound_start<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<bool> {
    go(reader, 12)?;
    let mut checksum = flate2::Crc::new();
    checksum.update(&take::<17>(reader)?);
    let is_sound = checksum.sum() == u32_be(reader)?;
    take::<8>(reader)?;
    Some(is_sound)
}

/// A box `irot` by a quarter or three; the size that we are told is the turned one.
fn is_turned_by_its_container<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<bool> {
    /// The boxes that describe an image come before it and are short.
    const HEADERS: u64 = 4096;
    go(reader, 0)?;
    let mut headers = vec![];
    reader.take(HEADERS).read_to_end(&mut headers).ok()?;
    let at = memchr::memmem::find(&headers, b"irot")?;
    Some(headers.get(at + 4)? % 2 == 1)
}

/// Chunks of a WebP file before its second frame; colours, notes and the first frame.
const MOST_CHUNKS: usize = 100;

/// Whether there is a second frame.
fn is_animated<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<bool> {
    go(reader, 12)?;
    let mut frames = 0;
    for _ in 0..MOST_CHUNKS {
        let name = take::<4>(reader)?;
        let size = u32_le(reader)?;
        match &name {
            b"VP8 " | b"VP8L" => return Some(false),
            b"ANMF" if frames == 1 => return Some(true),
            b"ANMF" => frames += 1,
            _ => {}
        }
        reader.seek(SeekFrom::Current(i64::from(size) + i64::from(size % 2))).ok()?;
    }
    Some(false)
}
