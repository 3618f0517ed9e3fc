//! Small pictures of images, for a report: of JPEG, PNG, WebP, GIF and BMP files, which nearly all datasets are made of.

use std::{
    io::{BufReader, Cursor, Read, Seek},
    path::Path,
};

use zune_jpeg::{
    JpegDecoder,
    zune_core::{colorspace::ColorSpace, options::DecoderOptions},
};

use crate::platform::fs;

/// The longer side in a report, in pixels.
const SIDE: usize = 160;

/// Larger files and images are not worth the wait.
pub const MOST_BYTES: u64 = 64 << 20;
const MOST_PIXELS: usize = 64_000_000;

/// A picture in rows of RGB.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// The file as a small PNG, `None` if it is of another kind or cannot be decoded.
pub fn thumbnail(path: &Path) -> Option<Vec<u8>> {
    if fs::size(path).ok()? > MOST_BYTES {
        return None;
    }
    thumbnail_of(&fs::read(path).ok()?, SIDE)
}

/// The same of a file's bytes, with so many pixels on the longer side.
pub fn thumbnail_of(bytes: &[u8], side: usize) -> Option<Vec<u8>> {
    if bytes.len() as u64 > MOST_BYTES {
        return None;
    }
    let picture = match bytes {
        [0xff, 0xd8, ..] => jpeg(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(bytes),
        [b'G', b'I', b'F', ..] => gif(bytes),
        [b'B', b'M', ..] => bmp(bytes),
        _ => png(bytes),
    }?;
    encode(&shrunk(&picture, side))
}

fn jpeg(bytes: &[u8]) -> Option<Picture> {
    let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().ok()?;
    let (width, height) = decoder.dimensions()?;
    (width * height <= MOST_PIXELS).then_some(())?;
    Some(Picture { width, height, pixels: decoder.decode().ok()? })
}

fn png(bytes: &[u8]) -> Option<Picture> {
    let mut decoder = png::Decoder::new(BufReader::new(Cursor::new(bytes)));
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

fn webp(bytes: &[u8]) -> Option<Picture> {
    let mut decoder = image_webp::WebPDecoder::new(Cursor::new(bytes)).ok()?;
    decoder.set_memory_limit(MOST_PIXELS * 4);
    let (width, height) = decoder.dimensions();
    let mut raw = vec![0; decoder.output_buffer_size().filter(|it| *it <= MOST_PIXELS * 4)?];
    decoder.read_image(&mut raw).ok()?;
    let pixels = if decoder.has_alpha() { flat(&raw) } else { raw };
    Some(Picture { width: width as usize, height: height as usize, pixels })
}

/// The first picture of it, as Pillow takes it.
fn gif(bytes: &[u8]) -> Option<Picture> {
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
fn bmp(bytes: &[u8]) -> Option<Picture> {
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

fn flat(rgba: &[u8]) -> Vec<u8> {
    rgba.chunks_exact(4).flat_map(|it| on_white([it[0], it[1], it[2]], it[3])).collect()
}

/// As the trainer does with what can be seen through.
fn on_white(colour: [u8; 3], opacity: u8) -> [u8; 3] {
    let opacity = u16::from(opacity);
    colour.map(|it| u8::try_from((u16::from(it) * opacity + 255 * (255 - opacity)) / 255).unwrap_or(u8::MAX))
}

/// Each pixel the mean of those that it stands for.
fn shrunk(picture: &Picture, most: usize) -> Picture {
    let longer = picture.width.max(picture.height);
    if longer <= most {
        return Picture { pixels: picture.pixels.clone(), ..*picture };
    }
    let side = |pixels: usize| (pixels * most / longer).max(1);
    let (width, height) = (side(picture.width), side(picture.height));
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let rows = y * picture.height / height
            ..((y + 1) * picture.height / height).max(y * picture.height / height + 1);
        for x in 0..width {
            let first = x * picture.width / width;
            let columns = first..((x + 1) * picture.width / width).max(first + 1);
            let mut sums = [0_usize; 3];
            for row in rows.clone() {
                for column in columns.clone() {
                    let at = (row * picture.width + column) * 3;
                    for (sum, value) in sums.iter_mut().zip(&picture.pixels[at..at + 3]) {
                        *sum += usize::from(*value);
                    }
                }
            }
            let count = rows.len() * columns.len();
            pixels.extend(sums.map(|sum| u8::try_from(sum / count).unwrap_or(u8::MAX)));
        }
    }
    Picture { width, height, pixels }
}

fn encode(picture: &Picture) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    let (width, height) = (u32::try_from(picture.width).ok()?, u32::try_from(picture.height).ok()?);
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&picture.pixels).ok()?;
    writer.finish().ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_image_becomes_a_small_one_of_the_same_shape_and_colour() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("a.png");
        let red = Picture { width: 400, height: 100, pixels: [200, 10, 20].repeat(400 * 100) };
        fs::write_atomic(&path, encode(&red).expect("encoded")).expect("written");
        let small = png(&thumbnail(&path).expect("a picture")).expect("a PNG");
        assert_eq!((small.width, small.height), (160, 40));
        assert_eq!(small.pixels, [200, 10, 20].repeat(160 * 40));
    }

    #[test]
    fn what_is_no_image_has_no_picture() {
        let dir = tempfile::tempdir().expect("a temp dir");
        for (name, bytes) in
            [("a.jpg", &b"\xff\xd8\xff\xe0 broken"[..]), ("b.png", b"\x89PNG"), ("c.mp4", b"")]
        {
            let path = dir.path().join(name);
            fs::write_atomic(&path, bytes).expect("written");
            assert_eq!(thumbnail(&path), None, "{name}");
        }
    }

    #[test]
    fn what_can_be_seen_through_is_seen_on_white() {
        assert_eq!(on_white([0, 100, 255], 0), [255; 3]);
        assert_eq!(on_white([0, 100, 255], 255), [0, 100, 255]);
    }
}
