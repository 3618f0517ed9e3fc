//! The demo's dataset: small images of coloured shapes and their captions, the same ones every time.

use std::path::Path;

use crate::platform::fs::{self, FsError};

/// Side of an image, in pixels.
const SIDE: u8 = 16;

/// How many images `dpgui demo` trains on.
pub const COUNT: usize = 64;

const COLOURS: [(&str, [u8; 3]); 8] = [
    ("red", [214, 40, 40]),
    ("green", [40, 160, 70]),
    ("blue", [40, 80, 200]),
    ("yellow", [240, 200, 40]),
    ("black", [20, 20, 20]),
    ("white", [245, 245, 245]),
    ("orange", [240, 130, 30]),
    ("purple", [130, 50, 160]),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Circle,
    Square,
    Triangle,
    Cross,
}

/// One example: what is on the image, and so its caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Example {
    shape: Shape,
    colour: usize,
    background: usize,
}

/// Makes `folder` with `count` images, `000.png`, and captions, `000.txt`. A folder that is there stays as it is: it
/// appears only when it is whole.
pub fn write(folder: &Path, count: usize) -> Result<(), FsError> {
    if fs::exists(folder) {
        return Ok(());
    }
    fs::create_dir_all(folder.parent().unwrap_or(folder))?;
    let staged = fs::beside(folder, "staged");
    fs::remove_tree(&staged)?;
    fs::create_dir_new(&staged)?;
    for index in 0..count {
        let example = example(index);
        fs::write_new(&staged.join(format!("{index:03}.png")), png(&example.pixels()))?;
        fs::write_new(&staged.join(format!("{index:03}.txt")), example.caption())?;
    }
    fs::sync_filesystem(&staged)?;
    fs::rename(&staged, folder)
}

/// Goes through the shapes fastest, then the colours, then the backgrounds, so any first few differ in all three.
fn example(index: usize) -> Example {
    let shape = [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Cross][index % 4];
    let colour = index / 4 % COLOURS.len();
    // Never the shape's own colour.
    let background = (colour + 1 + index / (4 * COLOURS.len()) * 3 % (COLOURS.len() - 1)) % COLOURS.len();
    Example { shape, colour, background }
}

impl Example {
    fn caption(self) -> String {
        let shape = match self.shape {
            Shape::Circle => "circle",
            Shape::Square => "square",
            Shape::Triangle => "triangle",
            Shape::Cross => "cross",
        };
        let (colour, background) = (COLOURS[self.colour].0, COLOURS[self.background].0);
        let article = if colour.starts_with('o') { "an" } else { "a" };
        format!("{article} {colour} {shape} on {background}\n")
    }

    /// RGB, row by row.
    fn pixels(self) -> Vec<u8> {
        let covered = |x, y| if self.covers(x, y) { self.colour } else { self.background };
        (0..SIDE).flat_map(|y| (0..SIDE).flat_map(move |x| COLOURS[covered(x, y)].1)).collect()
    }

    /// Whether the shape covers the pixel, judged at its centre, in half pixels from the middle of the image.
    fn covers(self, x: u8, y: u8) -> bool {
        let from_middle = |at: u8| i32::from(2 * at + 1) - i32::from(SIDE);
        let (x, y) = (from_middle(x), from_middle(y));
        match self.shape {
            Shape::Circle => x * x + y * y <= 11 * 11,
            Shape::Square => x.abs() <= 9 && y.abs() <= 9,
            Shape::Triangle => (-11..=9).contains(&y) && 2 * x.abs() <= y + 11,
            Shape::Cross => x.abs().min(y.abs()) <= 3 && x.abs().max(y.abs()) <= 11,
        }
    }
}

fn png(pixels: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, SIDE.into(), SIDE.into());
    encoder.set_color(png::ColorType::Rgb);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    // Into memory, with the size that was announced: nothing can fail.
    debug_assert!(written.is_ok(), "{written:?}");
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_examples_differ_and_no_shape_has_its_backgrounds_colour() {
        let captions: BTreeSet<_> = (0..COUNT).map(|index| example(index).caption()).collect();
        assert_eq!(captions.len(), COUNT);
        assert!((0..500).map(example).all(|it| it.colour != it.background));
        assert_eq!(example(0).caption(), "a red circle on green\n");
    }

    #[test]
    fn the_shapes_look_like_themselves() {
        let picture: Vec<String> = (0..SIDE)
            .map(|y| {
                let row = |shape| {
                    let example = Example { shape, colour: 0, background: 1 };
                    (0..SIDE).map(move |x| if example.covers(x, y) { '#' } else { '.' }).collect::<String>()
                };
                [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Cross].map(row).join(" ")
            })
            .collect();
        insta::assert_snapshot!(picture.join("\n"));
    }

    #[test]
    fn the_folder_is_whole_or_not_there_and_the_same_every_time() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let [first, second] = ["first", "second"].map(|name| dir.path().join("data").join(name));
        write(&first, COUNT).expect("written");
        write(&second, COUNT).expect("written");
        let names = fs::names(&first).expect("listed");
        assert_eq!(names.len(), 2 * COUNT);
        assert_eq!(fs::names(&dir.path().join("data")).expect("listed"), ["first", "second"]);
        for name in names {
            assert_eq!(
                fs::read(&first.join(&name)).expect("read"),
                fs::read(&second.join(&name)).expect("read")
            );
        }
        let image = fs::read(&first.join("000.png")).expect("read");
        let decoder = png::Decoder::new(std::io::Cursor::new(image));
        let mut reader = decoder.read_info().expect("a PNG");
        let mut pixels = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut pixels).expect("whole");
        assert_eq!((info.width, info.height, info.color_type), (16, 16, png::ColorType::Rgb));
        assert_eq!(pixels, example(0).pixels());
    }
}
