//! Images decoded here, in Rust: what nearly all datasets are made of.

use std::io::{Cursor, Read, Seek};

use tiff::{
    ColorType,
    decoder::{Decoder, DecodingResult, Limits},
    tags::Tag,
};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{colorspace::ColorSpace, options::DecoderOptions},
};

use super::{MOST_PIXELS, Picture};

pub(super) fn jpeg(bytes: &[u8]) -> Option<Picture> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().ok()?;
    let (width, height) = decoder.dimensions()?;
    (width * height <= MOST_PIXELS).then_some(())?;
    Some(Picture { width, height, pixels: decoder.decode().ok()? })
}

pub(super) fn png(bytes: &[u8]) -> Option<Picture> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let reader = decoder.read_info().ok()?;
    rgb(reader)
}

fn rgb<R: Read + Seek + std::io::BufRead>(mut reader: png::Reader<R>) -> Option<Picture> {
    let mut raw = vec![0; reader.output_buffer_size().filter(|it| *it <= MOST_PIXELS * 4)?];
    let info = reader.next_frame(&mut raw).ok()?;
    raw.truncate(info.buffer_size());
    let pixels = match info.color_type {
        png::ColorType::Rgb => raw,
        png::ColorType::Rgba => flat(&raw),
        png::ColorType::Grayscale => raw.iter().flat_map(|it| [*it; 3]).collect(),
        png::ColorType::GrayscaleAlpha => {
            raw.chunks_exact(2).flat_map(|it| on_white([it[0]; 3], it[1])).collect()
        }
        png::ColorType::Indexed => return None,
    };
    Some(Picture { width: info.width as usize, height: info.height as usize, pixels })
}

pub(super) fn webp(bytes: &[u8]) -> Option<Picture> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).ok()?;
    decoder.set_memory_limit(MOST_PIXELS * 4);
    let (width, height) = decoder.dimensions();
    let mut raw = vec![0; decoder.output_buffer_size().filter(|it| *it <= MOST_PIXELS * 4)?];
    decoder.read_image(&mut raw).ok()?;
    let pixels = if decoder.has_alpha() { flat(&raw) } else { raw };
    Some(Picture { width: width as usize, height: height as usize, pixels })
}

/// The first picture of it, as Pillow takes it.
pub(super) fn gif(bytes: &[u8]) -> Option<Picture> {
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    let mut decoder = options.read_info(Cursor::new(bytes)).ok()?;
    let (width, height) = (usize::from(decoder.width()), usize::from(decoder.height()));
    (width * height <= MOST_PIXELS).then_some(())?;
    let frame = decoder.read_next_frame().ok()??;
    let (left, top, across) =
        (usize::from(frame.left), usize::from(frame.top), usize::from(frame.width).max(1));
    let mut pixels = vec![255; width * height * 3];
    for (y, row) in flat(&frame.buffer).chunks_exact(across * 3).enumerate() {
        let at = ((top + y) * width + left) * 3;
        let shown = across.min(width.checked_sub(left)?) * 3;
        pixels.get_mut(at..at + shown)?.copy_from_slice(&row[..shown]);
    }
    Some(Picture { width, height, pixels })
}

/// Of 24 or 32 bits a pixel and not compressed, as programs write them today.
pub(super) fn bmp(bytes: &[u8]) -> Option<Picture> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let [start, width] = [number(10)?, number(18)?].map(|it| it as usize);
    let height = number(22)?.cast_signed();
    let rows = height.unsigned_abs() as usize;
    let each = match (number(14)?, number(28)? & 0xffff, number(30)?) {
        (40.., 24, 0) => 3,
        (40.., 32, 0 | 3) => 4,
        _ => return None,
    };
    (width.checked_mul(rows)? <= MOST_PIXELS).then_some(())?;
    let length = (width * each).next_multiple_of(4);
    let mut pixels = Vec::with_capacity(width * rows * 3);
    for row in 0..rows {
        // From below, unless the height is negative.
        let row = if height < 0 { row } else { rows - 1 - row };
        let at = start.checked_add(row * length)?;
        let row = bytes.get(at..at + width * each)?;
        pixels.extend(row.chunks_exact(each).flat_map(|it| [it[2], it[1], it[0]]));
    }
    Some(Picture { width, height: rows, pixels })
}

/// Grey or colours of 8 or 16 bits, turned as Pillow turns them: of this kind alone it heeds the orientation.
pub(super) fn tiff(bytes: &[u8]) -> Option<Picture> {
    let mut limits = Limits::default();
    limits.decoding_buffer_size = MOST_PIXELS * 8;
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?.with_limits(limits);
    let (width, height) = decoder.dimensions().ok()?;
    let (width, height) = (width as usize, height as usize);
    (width.checked_mul(height)? <= MOST_PIXELS).then_some(())?;
    let kind = decoder.colortype().ok()?;
    let samples = match decoder.read_image().ok()? {
        DecodingResult::U8(samples) => samples,
        // The higher byte.
        DecodingResult::U16(samples) => samples.into_iter().map(|it| it.to_be_bytes()[0]).collect(),
        _ => return None,
    };
    let pixels = match kind {
        ColorType::RGB(8 | 16) => samples,
        ColorType::RGBA(8 | 16) => flat(&samples),
        ColorType::Gray(8 | 16) => samples.iter().flat_map(|it| [*it; 3]).collect(),
        ColorType::GrayA(8 | 16) => {
            samples.chunks_exact(2).flat_map(|it| on_white([it[0]; 3], it[1])).collect()
        }
        _ => return None,
    };
    (pixels.len() == width * height * 3).then_some(())?;
    let orientation = decoder.find_tag_unsigned::<u8>(Tag::Orientation).ok().flatten().unwrap_or(1);
    Some(turned(Picture { width, height, pixels }, orientation))
}

/// Source: TIFF 6.0, section 8, `Orientation`.
fn turned(picture: Picture, orientation: u8) -> Picture {
    let Picture { width: w, height: h, pixels } = &picture;
    let (w, h) = (*w, *h);
    // Where the pixel comes from that is to be at `x`, `y`.
    let from = |x: usize, y: usize| match orientation {
        2 => (w - 1 - x, y),
        3 => (w - 1 - x, h - 1 - y),
        4 => (x, h - 1 - y),
        5 => (y, x),
        6 => (y, h - 1 - x),
        7 => (w - 1 - y, h - 1 - x),
        _ => (w - 1 - y, x),
    };
    let (width, height) = match orientation {
        2..=4 => (w, h),
        5..=8 => (h, w),
        _ => return picture,
    };
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let pixel = |(x, y)| {
        let (x, y) = from(x, y);
        let at = (y * w + x) * 3;
        [pixels[at], pixels[at + 1], pixels[at + 2]]
    };
    Picture { width, height, pixels: places.flat_map(pixel).collect() }
}

fn flat(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4).flat_map(|it| on_white([it[0], it[1], it[2]], it[3])).collect()
}

/// As the trainer does with what can be seen through.
fn on_white(colour: [u8; 3], opacity: u8) -> [u8; 3] {
    let opacity = u16::from(opacity);
    colour.map(|it| u8::try_from((u16::from(it) * opacity + 255 * (255 - opacity)) / 255).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_seen_through_is_seen_on_white() {
        assert_eq!(on_white([0, 100, 255], 0), [255; 3]);
        assert_eq!(on_white([0, 100, 255], 255), [0, 100, 255]);
    }

    #[test]
    fn a_tiff_is_turned_by_its_orientation() {
        let check = |orientation: u8, size: (usize, usize), expected: &[u8]| {
            // 1 2 3
            // 4 5 6
            let pixels = (1..=6).flat_map(|it| [it; 3]).collect();
            let turned = turned(Picture { width: 3, height: 2, pixels }, orientation);
            let seen: Vec<u8> = turned.pixels.chunks_exact(3).map(|it| it[0]).collect();
            assert_eq!(((turned.width, turned.height), &seen[..]), (size, expected), "{orientation}");
        };
        check(1, (3, 2), &[1, 2, 3, 4, 5, 6]);
        check(2, (3, 2), &[3, 2, 1, 6, 5, 4]);
        check(3, (3, 2), &[6, 5, 4, 3, 2, 1]);
        check(4, (3, 2), &[4, 5, 6, 1, 2, 3]);
        check(5, (2, 3), &[1, 4, 2, 5, 3, 6]);
        check(6, (2, 3), &[4, 1, 5, 2, 6, 3]);
        check(7, (2, 3), &[6, 3, 5, 2, 4, 1]);
        check(8, (2, 3), &[3, 6, 2, 5, 1, 4]);
        check(9, (3, 2), &[1, 2, 3, 4, 5, 6]);
    }
}
