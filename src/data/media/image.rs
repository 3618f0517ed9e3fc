//! Images: the size in the header, as Pillow says it.

use std::io::{BufReader, Read, Seek, SeekFrom};

use imagesize::{Compression, ImageType};

use super::{
    Flaw, Media,
    bytes::{go, take, u32_le},
    exif,
};

/// Orientations that lie on their side. Source: EXIF 2.32, tag 274.
const SIDEWAYS: std::ops::RangeInclusive<u16> = 5..=8;

/// Reads the size. `is_webp_name` says that the trainer will count the frames.
pub(super) fn read<R: Read + Seek>(
    head: &[u8],
    reader: &mut BufReader<R>,
    is_webp_name: bool,
) -> Result<Media, Flaw> {
    let kind = imagesize::image_type(head).map_err(|_| Flaw::NoMedia)?;
    if matches!(kind, ImageType::Jxl | ImageType::Heif(_))
        && !matches!(kind, ImageType::Heif(Compression::Av1))
    {
        return Err(Flaw::ForeignFormat);
    }
    if is_webp_name && matches!(kind, ImageType::Webp) && is_animated(reader).unwrap_or(false) {
        return Err(Flaw::AnimatedWebp);
    }
    go(reader, 0).ok_or(Flaw::NoMedia)?;
    let size = kind.reader_size(reader).map_err(|_| Flaw::NoMedia)?;
    let side = |pixels: usize| u32::try_from(pixels).map_err(|_| Flaw::TooManyPixels);
    let (width, height) = (side(size.width)?, side(size.height)?);
    match kind {
        ImageType::Jpeg => {
            let orientation = exif::of_jpeg(reader).unwrap_or(1);
            Ok(Media::Image { width, height, turned: (2..=8).contains(&orientation) })
        }
        // Only here Pillow turns by itself.
        ImageType::Tiff if exif::of_tiff(reader, 0).is_some_and(|it| SIDEWAYS.contains(&it)) => {
            Ok(Media::Image { width: height, height: width, turned: false })
        }
        _ => Ok(Media::Image { width, height, turned: false }),
    }
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
        reader.seek(SeekFrom::Current(i64::from(size + size % 2))).ok()?;
    }
    Some(false)
}
