//! Matroska and WebM: the first video track's size and rate, and how many frames its clusters hold.
//!
//! Source: RFC 9559, and FFmpeg's `libavformat/matroskadec.c` for how a rate becomes a fraction.

use std::{
    io::{BufReader, Read, Seek},
    ops::Range,
};

use super::{
    End, Rate, Track,
    bytes::{go, length, take},
};

const SEGMENT: u64 = 0x1853_8067;
const TRACKS: u64 = 0x1654_AE6B;
const TRACK_ENTRY: u64 = 0xAE;
const TRACK_NUMBER: u64 = 0xD7;
const TRACK_TYPE: u64 = 0x83;
const DEFAULT_DURATION: u64 = 0x0023_E383;
const VIDEO: u64 = 0xE0;
const PIXEL_WIDTH: u64 = 0xB0;
const PIXEL_HEIGHT: u64 = 0xBA;
const CLUSTER: u64 = 0x1F43_B675;
const SIMPLE_BLOCK: u64 = 0xA3;
const BLOCK_GROUP: u64 = 0xA0;
const BLOCK: u64 = 0xA1;

/// FFmpeg's largest numerator and denominator of a rate.
const LARGEST: u64 = 30_000;

const NANOSECONDS: u64 = 1_000_000_000;

pub(super) fn read<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<Track> {
    let end = length(reader)?;
    let segment = child(reader, 0..end, SEGMENT)?;
    let tracks = child(reader, segment.clone(), TRACKS)?;
    let mut cursor = Cursor::new(tracks);
    while let Some((id, content)) = cursor.next(reader) {
        if id == TRACK_ENTRY && number(reader, content.clone(), TRACK_TYPE) == Some(1) {
            return video(reader, content, segment);
        }
    }
    None
}

fn video<R: Read + Seek>(reader: &mut BufReader<R>, entry: Range<u64>, segment: Range<u64>) -> Option<Track> {
    let track = number(reader, entry.clone(), TRACK_NUMBER)?;
    let sizes = child(reader, entry.clone(), VIDEO)?;
    let width = number(reader, sizes.clone(), PIXEL_WIDTH)?;
    let height = number(reader, sizes, PIXEL_HEIGHT)?;
    let rate = number(reader, entry, DEFAULT_DURATION).and_then(|each| nearest(NANOSECONDS, each));
    Some(Track {
        width: width.try_into().ok()?,
        height: height.try_into().ok()?,
        // The format has no place for a count.
        frames: None,
        counted: blocks(reader, segment, track),
        rate,
        // What is missing is not counted, here and there.
        end: End::Whole,
    })
}

/// The blocks of the track, one for each frame.
fn blocks<R: Read + Seek>(reader: &mut BufReader<R>, segment: Range<u64>, track: u64) -> u64 {
    let mut count = 0;
    let mut clusters = Cursor::new(segment);
    while let Some((id, cluster)) = clusters.next(reader) {
        if id != CLUSTER {
            continue;
        }
        let mut inside = Cursor::new(cluster);
        while let Some((id, content)) = inside.next(reader) {
            let block = match id {
                // The one before did not know its size, so this one is no part of it but the next.
                CLUSTER => {
                    inside.at = content.start;
                    continue;
                }
                SIMPLE_BLOCK => Some(content),
                BLOCK_GROUP => child(reader, content, BLOCK),
                _ => None,
            };
            let of = block.and_then(|block| {
                go(reader, block.start)?;
                variable(reader, true)
            });
            // FFmpeg does not decode a frame that is cut off.
            count += u64::from(!inside.is_cut && of.is_some_and(|(of, _)| of == track));
        }
    }
    count
}

/// Goes from element to element.
struct Cursor {
    at: u64,
    end: u64,
    /// The element that came last goes on after the end.
    is_cut: bool,
}

impl Cursor {
    const fn new(within: Range<u64>) -> Self {
        Self { at: within.start, end: within.end, is_cut: false }
    }

    /// The next element's id and where its content is.
    fn next<R: Read + Seek>(&mut self, reader: &mut BufReader<R>) -> Option<(u64, Range<u64>)> {
        if self.at >= self.end {
            return None;
        }
        let here = reader.stream_position().ok()?;
        reader.seek_relative(i64::try_from(self.at).ok()? - i64::try_from(here).ok()?).ok()?;
        let (id, id_length) = variable(reader, false)?;
        let (size, size_length) = variable(reader, true)?;
        let start = self.at + id_length + size_length;
        // All ones: a live recording that did not know its size. Its parent's end is its own.
        let unknown = size == (1 << (7 * size_length)) - 1;
        // An element may claim to begin after its parent's end.
        let said = if unknown { self.end } else { start.checked_add(size)? };
        self.is_cut = said > self.end;
        let end = said.min(self.end).max(start);
        self.at = end;
        Some((id, start..end))
    }
}

/// The content of the first element `id` in there.
fn child<R: Read + Seek>(reader: &mut BufReader<R>, within: Range<u64>, id: u64) -> Option<Range<u64>> {
    let mut cursor = Cursor::new(within);
    while let Some((found, content)) = cursor.next(reader) {
        if found == id {
            return Some(content);
        }
    }
    None
}

/// The unsigned number in element `id`.
fn number<R: Read + Seek>(reader: &mut BufReader<R>, within: Range<u64>, id: u64) -> Option<u64> {
    let content = child(reader, within, id)?;
    go(reader, content.start)?;
    let length = usize::try_from(content.end - content.start).ok().filter(|it| *it <= 8)?;
    let mut bytes = [0; 8];
    reader.read_exact(&mut bytes[8 - length..]).ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// A number that says its own length, in bytes, by the zeros before its first one bit; and that length.
fn variable(reader: &mut impl Read, drop_marker: bool) -> Option<(u64, u64)> {
    let [first] = take::<1>(reader)?;
    let length = first.leading_zeros() + 1;
    if length > 8 {
        return None;
    }
    let mut value = u64::from(first);
    if drop_marker {
        value &= (1 << (8 - length)) - 1;
    }
    for _ in 1..length {
        value = value << 8 | u64::from(take::<1>(reader)?[0]);
    }
    Some((value, length.into()))
}

/// The fraction nearest to `numerator / denominator` with no part above [`LARGEST`], by continued fractions.
fn nearest(numerator: u64, denominator: u64) -> Option<Rate> {
    let exact = Rate::reduced(numerator, denominator)?;
    let (mut top, mut bottom) = (exact.numerator, exact.denominator);
    if top <= LARGEST && bottom <= LARGEST {
        return Some(exact);
    }
    let (mut before, mut last) = ((0, 1), (1, 0));
    while bottom != 0 {
        let mut whole = top / bottom;
        let rest = top - bottom * whole;
        let next = (whole.checked_mul(last.0)? + before.0, whole.checked_mul(last.1)? + before.1);
        if next.0 > LARGEST || next.1 > LARGEST {
            // As much of the next term as fits, if that is nearer than nothing of it.
            whole = (LARGEST - before.0).checked_div(last.0).unwrap_or(whole);
            whole = (LARGEST - before.1).checked_div(last.1).map_or(whole, |it| it.min(whole));
            let (bottom, top) = (u128::from(bottom), u128::from(top));
            if bottom * u128::from(2 * whole * last.1 + before.1) > top * u128::from(last.1) {
                last = (whole * last.0 + before.0, whole * last.1 + before.1);
            }
            break;
        }
        (before, last) = (last, next);
        (top, bottom) = (bottom, rest);
    }
    Rate::reduced(last.0, last.1)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor as Bytes;

    use super::*;

    #[test]
    fn clusters_of_unknown_size_are_all_counted() {
        const UNKNOWN: &[u8] = &[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        const TRACKS: &[u8] = &[
            0x16, 0x54, 0xae, 0x6b, 0x90, 0xae, 0x8e, 0xd7, 0x81, 1, 0x83, 0x81, 1, 0xe0, 0x86, 0xb0, 0x81,
            64, 0xba, 0x81, 48,
        ];
        const BLOCK: &[u8] = &[0xa3, 0x84, 0x81, 0, 0, 0x80];
        let segment = [&[0x18, 0x53, 0x80, 0x67], UNKNOWN].concat();
        let cluster = [&[0x1f, 0x43, 0xb6, 0x75], UNKNOWN].concat();
        let file = [&segment, TRACKS, &cluster, BLOCK, BLOCK, &cluster, BLOCK].concat();
        let track = read(&mut BufReader::new(Bytes::new(file))).expect("a track");
        assert_eq!((track.width, track.height, track.counted), (64, 48, 3));
    }

    #[test]
    fn durations_of_frames_become_the_usual_rates() {
        let check = |nanoseconds, expected| {
            let rate = nearest(NANOSECONDS, nanoseconds).map(|it| (it.numerator, it.denominator));
            assert_eq!(rate, Some(expected));
        };
        check(40_000_000, (25, 1));
        check(41_708_333, (24_000, 1001));
        check(33_366_666, (30_000, 1001));
        check(33_333_333, (30, 1));
        check(1, (30_000, 1));
    }
}
