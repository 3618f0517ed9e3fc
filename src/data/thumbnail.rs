//! Small pictures of images and videos, for a report and for the page.

mod decode;
mod film;

use std::{
    fs::File,
    io::{Read, Seek},
    path::Path,
};

use crate::platform::{Env, fs};

use super::media;

use film::Ffmpeg;

/// The longer side in a report, in pixels.
const SIDE: usize = 160;

/// Larger images are not worth the wait.
const MOST_BYTES: u64 = 64 << 20;
const MOST_PIXELS: usize = 64_000_000;

/// A picture in rows of RGB.
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// Who makes small pictures.
#[derive(Clone, Debug, Default)]
pub struct Thumbnails(Ffmpeg);

/// Why there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPicture {
    /// A member of an archive, or gone meanwhile.
    NoFile,
    /// Empty, or a text.
    NoMedia,
    TooLarge,
    NeedsFfmpeg,
    Undecodable,
}

impl NoPicture {
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NoFile => "it is no file of its own",
            Self::NoMedia => "it is neither an image nor a video",
            Self::TooLarge => "more than 64 MiB",
            Self::NeedsFfmpeg => "that takes FFmpeg, which is not installed",
            Self::Undecodable => "it cannot be decoded",
        }
    }
}

impl Thumbnails {
    /// With FFmpeg, if it is installed.
    pub fn on_path(env: &Env) -> Self {
        Self(Ffmpeg::on_path(env))
    }

    /// The file as a small PNG for a report.
    pub fn of(&self, path: &Path) -> Result<Vec<u8>, NoPicture> {
        self.of_file(fs::open_regular(path).map_err(|_| NoPicture::NoFile)?, SIDE)
    }

    /// The same of an open file, with so many pixels on the longer side.
    pub fn of_file(&self, mut file: File, side: usize) -> Result<Vec<u8>, NoPicture> {
        let mut head = vec![];
        (&mut file).take(64).read_to_end(&mut head).map_err(|_| NoPicture::NoFile)?;
        file.rewind().map_err(|_| NoPicture::NoFile)?;
        let picture = match decoder(&head) {
            Some(decode) => decode(&whole(&mut file)?).ok_or(NoPicture::Undecodable),
            None if media::is_none(&head) => Err(NoPicture::NoMedia),
            None => self.0.first_frame(file),
        }?;
        encode(&shrunk(&picture, side)).ok_or(NoPicture::Undecodable)
    }
}

/// Of a file's bytes.
type Decode = fn(&[u8]) -> Option<Picture>;

/// Who decodes a file that begins so; `None` if nobody here does.
fn decoder(head: &[u8]) -> Option<Decode> {
    Some(match head {
        [0xff, 0xd8, ..] => decode::jpeg,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => decode::webp,
        [b'G', b'I', b'F', ..] => decode::gif,
        [b'B', b'M', ..] => decode::bmp,
        [0x89, b'P', b'N', b'G', ..] => decode::png,
        [b'I', b'I', b'*' | b'+', 0, ..] | [b'M', b'M', 0, b'*' | b'+', ..] => decode::tiff,
        _ => return None,
    })
}

fn whole(file: &mut File) -> Result<Vec<u8>, NoPicture> {
    let mut bytes = vec![];
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|_| NoPicture::NoFile)?;
    if bytes.len() as u64 > MOST_BYTES { Err(NoPicture::TooLarge) } else { Ok(bytes) }
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
        let small = decode::png(&Thumbnails::default().of(&path).expect("a picture")).expect("a PNG");
        assert_eq!((small.width, small.height), (160, 40));
        assert_eq!(small.pixels, [200, 10, 20].repeat(160 * 40));
    }

    #[test]
    fn what_has_no_picture_has_a_reason() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let large = [&[0xff, 0xd8][..], &vec![0; 64 << 20]].concat();
        for (name, bytes, expected) in [
            ("a.jpg", &b"\xff\xd8\xff\xe0 broken"[..], NoPicture::Undecodable),
            ("b.png", b"\x89PNG", NoPicture::Undecodable),
            ("c.tif", b"II*\0", NoPicture::Undecodable),
            ("d.jpg", &large, NoPicture::TooLarge),
            ("e.mp4", b"", NoPicture::NoMedia),
            ("f.mp4", b"\0\0\0\x18ftypmp42", NoPicture::NeedsFfmpeg),
            ("notes.md", "# \u{dc}ber alles".as_bytes(), NoPicture::NoMedia),
        ] {
            let path = dir.path().join(name);
            fs::write_atomic(&path, bytes).expect("written");
            assert_eq!(Thumbnails::default().of(&path), Err(expected), "{name}");
        }
        assert_eq!(Thumbnails::default().of(&dir.path().join("all.tar/a.png")), Err(NoPicture::NoFile));
    }
}
