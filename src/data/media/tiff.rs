//! TIFF: which way up it is, and where its pixels end.

use std::io::{BufReader, Read, Seek};

use super::bytes::{go_near, take};

/// How an image is to be turned; 1 is not at all.
const ORIENTATION: u16 = 0x0112;

/// Bits of each colour.
const BITS: u16 = 258;

/// Where the pixels are, in strips or tiles, and how long each is.
const OFFSETS: [u16; 2] = [273, 324];
const LENGTHS: [u16; 2] = [279, 325];

/// Entries of a directory of tags.
const MOST_TAGS: u16 = 1000;

/// Strips or tiles.
const MOST_PARTS: u32 = 1_000_000;

/// The first directory of tags.
struct Directory {
    order: Order,
    tags: Vec<[u8; 12]>,
}

#[derive(Clone, Copy)]
struct Order {
    is_little: bool,
}

impl Order {
    fn word(self, bytes: [u8; 2]) -> u16 {
        if self.is_little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    }

    fn long(self, bytes: [u8; 4]) -> u32 {
        if self.is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
    }
}

/// Of TIFF data that begins at `start`.
pub(super) fn orientation<R: Read + Seek>(reader: &mut BufReader<R>, start: u64) -> Option<u16> {
    let directory = directory(reader, start)?;
    let tag = directory.tag(&[ORIENTATION])?;
    Some(directory.order.word([tag[8], tag[9]]))
}

/// Where the parts of a TIFF file end.
pub(super) struct Ends {
    /// How many bits a pixel has, without which nothing is known of it.
    pub(super) of_colours: u64,
    /// The last of the pixels and of all that is said about them.
    pub(super) of_all: u64,
}

pub(super) fn ends<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<Ends> {
    let directory = directory(reader, 0)?;
    let order = directory.order;
    let end = |tag: &[u8; 12]| {
        let kind = order.word([tag[2], tag[3]]);
        let length = u64::from(order.long([tag[4], tag[5], tag[6], tag[7]])) * size(kind);
        if length <= 4 { 0 } else { u64::from(order.long([tag[8], tag[9], tag[10], tag[11]])) + length }
    };
    let of_colours = directory.tag(&[BITS]).map_or(0, end);
    let values = directory.tags.iter().map(end).max().unwrap_or(0);
    let offsets = directory.numbers(reader, OFFSETS)?;
    let lengths = directory.numbers(reader, LENGTHS)?;
    let pixels =
        offsets.into_iter().zip(lengths).map(|(offset, length)| u64::from(offset) + u64::from(length));
    Some(Ends { of_colours, of_all: pixels.max().unwrap_or(0).max(values) })
}

/// Bytes of a value. Source: TIFF 6.0, section 2.
const fn size(kind: u16) -> u64 {
    match kind {
        3 | 8 => 2,
        4 | 9 | 11 => 4,
        5 | 10 | 12 => 8,
        _ => 1,
    }
}

fn directory<R: Read + Seek>(reader: &mut BufReader<R>, start: u64) -> Option<Directory> {
    go_near(reader, start)?;
    let order = Order { is_little: take::<2>(reader)? == *b"II" };
    if order.word(take(reader)?) != 42 {
        return None;
    }
    let directory = order.long(take(reader)?);
    go_near(reader, start + u64::from(directory))?;
    let count = order.word(take(reader)?).min(MOST_TAGS);
    // What is cut off in the middle may have what is looked for in its first half.
    let tags = (0..count).map_while(|_| take::<12>(reader)).collect();
    Some(Directory { order, tags })
}

impl Directory {
    fn tag(&self, names: &[u16]) -> Option<&[u8; 12]> {
        self.tags.iter().find(|it| names.contains(&self.order.word([it[0], it[1]])))
    }

    /// The numbers of the first of these tags, of two or four bytes each.
    fn numbers<R: Read + Seek>(&self, reader: &mut BufReader<R>, names: [u16; 2]) -> Option<Vec<u32>> {
        let order = self.order;
        let tag = self.tag(&names)?;
        let count = order.long([tag[4], tag[5], tag[6], tag[7]]);
        let size = match order.word([tag[2], tag[3]]) {
            3 => 2,
            4 => 4,
            _ => return None,
        };
        let inline = [tag[8], tag[9], tag[10], tag[11]];
        let bytes = if u64::from(count) * size <= 4 {
            inline.to_vec()
        } else {
            go_near(reader, order.long(inline).into())?;
            let mut bytes = vec![];
            let length = u64::from(count.min(MOST_PARTS)) * size;
            reader.by_ref().take(length).read_to_end(&mut bytes).ok()?;
            bytes
        };
        let all = if size == 2 {
            bytes.as_chunks().0.iter().map(|it| order.word(*it).into()).collect::<Vec<_>>()
        } else {
            bytes.as_chunks().0.iter().map(|it| order.long(*it)).collect()
        };
        Some(all.into_iter().take(count as usize).collect())
    }
}
