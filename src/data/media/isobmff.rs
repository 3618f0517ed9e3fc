//! MP4, MOV and their kin: the first video track's size, its count of frames and their rate.
//!
//! Reads seven boxes and skips the rest by seeking. The crates for this read whole sample tables, or the media itself.
//! Source: ISO/IEC 14496-12; that the rate is frames by duration, both of `stts`, is FFmpeg's `libavformat/mov.c`.

use std::{
    io::{BufReader, Read, Seek},
    ops::Range,
};

use super::{
    End, Rate, Track,
    bytes::{go, go_near, length, take, u16_be, u32_be, u64_be},
    samples,
};

/// Boxes on one level; real files have dozens, a hostile one could have millions of 8 bytes.
const MOST_BOXES: usize = 100_000;

pub(super) fn read<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<Track> {
    let end = length(reader)?;
    let movie = find(reader, 0..end, *b"moov")?;
    let tracks = all(reader, movie, *b"trak")?;
    let mut found = None;
    for track in tracks.clone() {
        if found.is_some() {
            break;
        }
        let Some(media) = find(reader, track.clone(), *b"mdia") else { continue };
        if handler(reader, media.clone()) == Some(*b"vide") {
            let mut video = video(reader, media.clone())?;
            if video.frames.is_none() {
                video.rate = fragment_rate(reader, end, track, media);
                let is_whole = missing(reader).is_none_or(|(_, bytes)| bytes == 0);
                video.end = if is_whole { End::Whole } else { End::Broken };
            }
            found = found.or(Some(video));
        }
    }
    let mut found = found?;
    if found.end == End::Whole {
        found.end = samples::how_they_end(reader, &tracks, end);
    }
    Some(found)
}

/// The name of the last box that matters, and how many bytes it lacks; `None` if there are no boxes.
pub(super) fn missing<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<([u8; 4], u64)> {
    let end = length(reader)?;
    let (mut at, mut lacks) = (0, ([0; 4], 0));
    for _ in 0..MOST_BOXES {
        if at + 8 > end {
            break;
        }
        let (kind, start, next) = head(reader, at, end)?;
        // Others may run over the end by mistake and nobody minds.
        if [*b"mdat", *b"moof", *b"moov", *b"meta"].contains(&kind) && start <= end {
            lacks = (kind, next.saturating_sub(end));
        }
        at = next;
    }
    Some(lacks)
}

/// The rate in the first fragment, of a file that has its samples in fragments: their default duration.
fn fragment_rate<R: Read + Seek>(
    reader: &mut BufReader<R>,
    end: u64,
    track: Range<u64>,
    media: Range<u64>,
) -> Option<Rate> {
    // What `tfhd` has. Source: ISO/IEC 14496-12, 8.8.7.
    const OFFSET: u32 = 0x1;
    const INDEX: u32 = 0x2;
    const DURATION: u32 = 0x8;
    let ticks = u64::from(ticks(reader, media)?);
    let header = find(reader, track, *b"tkhd")?;
    go(reader, header.start)?;
    let version = u32_be(reader)? >> 24;
    go(reader, header.start + if version == 1 { 20 } else { 12 })?;
    let id = u32_be(reader)?;
    let fragment = find(reader, 0..end, *b"moof")?;
    for part in all(reader, fragment, *b"traf")? {
        let header = find(reader, part, *b"tfhd")?;
        go(reader, header.start)?;
        let (flags, of) = (u32_be(reader)?, u32_be(reader)?);
        if of == id && flags & DURATION != 0 {
            let before = u64::from(flags & OFFSET != 0) * 8 + u64::from(flags & INDEX != 0) * 4;
            go(reader, header.start + 8 + before)?;
            return Rate::reduced(ticks, u32_be(reader)?.into());
        }
    }
    None
}

/// Ticks a second.
fn ticks<R: Read + Seek>(reader: &mut BufReader<R>, media: Range<u64>) -> Option<u32> {
    let header = find(reader, media, *b"mdhd")?;
    go(reader, header.start)?;
    let version = u32_be(reader)? >> 24;
    // After version and flags: two times, of 4 or 8 bytes each.
    go(reader, header.start + if version == 1 { 20 } else { 12 })?;
    u32_be(reader)
}

fn video<R: Read + Seek>(reader: &mut BufReader<R>, media: Range<u64>) -> Option<Track> {
    let ticks = u64::from(ticks(reader, media.clone())?);
    let information = find(reader, media, *b"minf")?;
    let table = find(reader, information, *b"stbl")?;
    let descriptions = find(reader, table.clone(), *b"stsd")?;
    // Version, flags and count, then the first description: 8 bytes of box, 24 of other things, the size.
    go(reader, descriptions.start + 8 + 8 + 24)?;
    let (width, height) = (u16_be(reader)?, u16_be(reader)?);

    let times = find(reader, table, *b"stts")?;
    let (frames, duration) = count(reader, times)?;
    Some(Track {
        width: width.into(),
        height: height.into(),
        frames: (frames > 0).then_some(frames),
        counted: frames,
        rate: ticks.checked_mul(frames).and_then(|ticks| Rate::reduced(ticks, duration)),
        end: End::Whole,
    })
}

/// Frames, and their duration in ticks.
fn count<R: Read + Seek>(reader: &mut BufReader<R>, times: Range<u64>) -> Option<(u64, u64)> {
    go(reader, times.start + 4)?;
    let entries = u64::from(u32_be(reader)?).min(times.end.saturating_sub(times.start + 8) / 8);
    let (mut frames, mut duration) = (0_u64, 0_u64);
    for _ in 0..entries {
        let (count, each) = (u64::from(u32_be(reader)?), u64::from(u32_be(reader)?));
        frames = frames.checked_add(count)?;
        duration = duration.checked_add(count * each)?;
    }
    Some((frames, duration))
}

pub(super) fn handler<R: Read + Seek>(reader: &mut BufReader<R>, media: Range<u64>) -> Option<[u8; 4]> {
    let handler = find(reader, media, *b"hdlr")?;
    go(reader, handler.start + 8)?;
    take(reader)
}

pub(super) fn find<R: Read + Seek>(
    reader: &mut BufReader<R>,
    within: Range<u64>,
    name: [u8; 4],
) -> Option<Range<u64>> {
    search(reader, within, name, true)?.into_iter().next()
}

fn all<R: Read + Seek>(
    reader: &mut BufReader<R>,
    within: Range<u64>,
    name: [u8; 4],
) -> Option<Vec<Range<u64>>> {
    search(reader, within, name, false)
}

/// The contents of the boxes of that name.
fn search<R: Read + Seek>(
    reader: &mut BufReader<R>,
    within: Range<u64>,
    name: [u8; 4],
    one: bool,
) -> Option<Vec<Range<u64>>> {
    let (mut found, mut at) = (vec![], within.start);
    for _ in 0..MOST_BOXES {
        if at.checked_add(8)? > within.end {
            break;
        }
        let (kind, start, next) = head(reader, at, within.end)?;
        if kind == name {
            // A download that broke off ends before its last box does.
            found.push(start..next.min(within.end));
            if one || next > within.end {
                break;
            }
        }
        at = next;
    }
    Some(found)
}

/// The box at `at`: its name, where its content begins, and where it says that it ends.
fn head<R: Read + Seek>(reader: &mut BufReader<R>, at: u64, end: u64) -> Option<([u8; 4], u64, u64)> {
    go_near(reader, at)?;
    let (short, kind) = (u32_be(reader)?, take::<4>(reader)?);
    let (size, head) = match short {
        0 => (end - at, 8),
        1 => (u64_be(reader)?, 16),
        size => (u64::from(size), 8),
    };
    (size >= head).then_some(())?;
    Some((kind, at + head, at.checked_add(size)?))
}
