//! Where an AVIF file keeps its pictures: the box `iloc`.
//!
//! Source: ISO/IEC 14496-12, 8.11.3.

use std::{
    io::{BufReader, Read, Seek},
    ops::Range,
};

use super::{
    bytes::{go, length, take, u16_be, u32_be},
    isobmff::find,
};

/// Pictures, their transparency and notes; grids have a hundred.
const MOST_ITEMS: u32 = 10_000;

/// Where the last of what is kept in the file lies, colours or transparency.
pub(super) fn last<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<Range<u64>> {
    let end = length(reader)?;
    let meta = find(reader, 0..end, *b"meta")?;
    // After version and flags.
    let places = find(reader, meta.start + 4..meta.end, *b"iloc")?;
    go(reader, places.start)?;
    let [version, ..] = take::<4>(reader)?;
    let [of_places, of_bases] = take::<2>(reader)?;
    let is_short = version < 2;
    let items = if is_short { u16_be(reader)?.into() } else { u32_be(reader)? };
    let mut last = 0..0;
    for _ in 0..items.min(MOST_ITEMS) {
        let _id = number(reader, if is_short { 2 } else { 4 })?;
        // 0 is the file, all else is in the headers.
        let kept_in = if version == 0 { 0 } else { u16_be(reader)? & 0xf };
        let _file = u16_be(reader)?;
        let base = number(reader, of_bases >> 4)?;
        for _ in 0..u16_be(reader)? {
            if version > 0 {
                number(reader, of_bases & 0xf)?;
            }
            let start = base.checked_add(number(reader, of_places >> 4)?)?;
            let stop = start.checked_add(number(reader, of_places & 0xf)?)?;
            if kept_in == 0 && stop > last.end {
                last = start..stop;
            }
        }
    }
    Some(last)
}

/// A number of so many bytes, of which there may be none.
fn number<R: Read>(reader: &mut R, bytes: u8) -> Option<u64> {
    (bytes <= 8).then_some(())?;
    (0..bytes).try_fold(0, |value, _| Some(value << 8 | u64::from(take::<1>(reader)?[0])))
}
