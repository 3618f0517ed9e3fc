//! Where the samples of an MP4 file end: of each track of pictures or sound, as the trainer decodes both.
//!
//! Source: ISO/IEC 14496-12, 8.7, and 14496-1, 7.2.6 for what `mp4v` holds.

use std::{
    io::{BufReader, Read, Seek},
    ops::Range,
};

use super::{
    BEGUN, End,
    bytes::{go, go_near, take, u32_be, u64_be},
    isobmff::{find, handler},
};

/// A chunk is about a second, or one sample.
const MOST_SAMPLES: u32 = 100_000;

/// In a file of which all are gone through, days of sound.
const MOST_IN_ALL: u32 = 10_000_000;

/// All ends in the file; else which sample it ends in.
pub(super) fn how_they_end<R: Read + Seek>(
    reader: &mut BufReader<R>,
    tracks: &[Range<u64>],
    end: u64,
) -> End {
    let mut how = End::Whole;
    let mut has_pictures = false;
    for track in tracks {
        let Some(media) = find(reader, track.clone(), *b"mdia") else { continue };
        let is_video = match handler(reader, media.clone()).as_ref() {
            // Of films, the first is decoded; that others are cut is no better than of sound.
            Some(b"vide") => !std::mem::replace(&mut has_pictures, true),
            Some(b"soun") => false,
            _ => continue,
        };
        let table = find(reader, media, *b"minf").and_then(|it| find(reader, it, *b"stbl"));
        let Some(table) = table.and_then(|it| Table::read(reader, &it)) else { continue };
        if table.last_end(reader).is_none_or(|last| last <= end) {
            continue;
        }
        how = match (table.cut(reader, end), how) {
            (None | Some((0, _)), _) | (_, End::Broken) => return End::Broken,
            (Some((_, begun)), _) if begun > 0 && !(is_video && table.is_mpeg_4 && begun >= BEGUN) => {
                return End::Broken;
            }
            (Some((whole, _)), _) if is_video => End::After(whole),
            // Sound that ends between two samples is filled up with silence.
            (Some(_), End::Whole) => End::After(u64::MAX),
            (Some(_), known @ End::After(_)) => known,
        };
    }
    how
}

/// Where a track's samples are.
struct Table {
    /// Of the places of the chunks: where the first is, how many, bytes of each.
    places: (u64, u32, u64),
    /// How many samples each chunk has, by runs of chunks: where the first is, how many.
    runs: (u64, u32),
    sizes: u64,
    /// Of all samples, if it is the same; 0 if each has its own.
    each: u32,
    samples: u32,
    is_mpeg_4: bool,
}

impl Table {
    fn read<R: Read + Seek>(reader: &mut BufReader<R>, table: &Range<u64>) -> Option<Self> {
        let (places, width) = match find(reader, table.clone(), *b"co64") {
            Some(wide) => (wide, 8),
            None => (find(reader, table.clone(), *b"stco")?, 4),
        };
        let runs = find(reader, table.clone(), *b"stsc")?;
        let sizes = find(reader, table.clone(), *b"stsz")?;
        let entries = |reader: &mut BufReader<R>, of: &Range<u64>, width: u64| {
            go(reader, of.start + 4)?;
            let count = u32_be(reader)?;
            (of.start + 8 + u64::from(count) * width <= of.end).then_some((of.start + 8, count))
        };
        let (first, chunks) = entries(reader, &places, width)?;
        let runs = entries(reader, &runs, 12)?;
        go(reader, sizes.start + 4)?;
        let (each, samples) = (u32_be(reader)?, u32_be(reader)?);
        let is_mpeg_4 = holds_mpeg_4(reader, table).unwrap_or(false);
        Some(Self { places: (first, chunks, width), runs, sizes: sizes.start + 12, each, samples, is_mpeg_4 })
    }

    /// Where the last chunk of samples ends: its place, and the sizes of the samples in it.
    fn last_end<R: Read + Seek>(&self, reader: &mut BufReader<R>) -> Option<u64> {
        let chunk = self.places.1.checked_sub(1)?;
        let place = self.place(reader, chunk)?;
        let samples = self.run(reader, self.runs.1.checked_sub(1)?)?.1.min(MOST_SAMPLES);
        if self.each > 0 {
            return place.checked_add(u64::from(self.each) * u64::from(samples));
        }
        go(reader, self.sizes + u64::from(self.samples.checked_sub(samples)?) * 4)?;
        (0..samples).try_fold(place, |end, _| end.checked_add(u32_be(reader)?.into()))
    }

    /// How many samples come before the first that ends after `end`, and how many bytes of that one are there.
    fn cut<R: Read + Seek>(&self, reader: &mut BufReader<R>, end: u64) -> Option<(u64, u64)> {
        let (mut sample, mut run) = (0_u32, 0);
        let mut per_chunk = self.run(reader, run)?.1;
        for chunk in 0..self.places.1 {
            if run + 1 < self.runs.1 && self.run(reader, run + 1)?.0 <= chunk + 1 {
                run += 1;
                per_chunk = self.run(reader, run)?.1;
            }
            let mut at = self.place(reader, chunk)?;
            for _ in 0..per_chunk.min(MOST_SAMPLES) {
                let size = self.size(reader, sample)?;
                if at + size > end {
                    return Some((sample.into(), end.saturating_sub(at)));
                }
                (at, sample) = (at + size, sample.checked_add(1)?);
            }
        }
        None
    }

    fn place<R: Read + Seek>(&self, reader: &mut BufReader<R>, chunk: u32) -> Option<u64> {
        let (first, _, width) = self.places;
        go(reader, first + u64::from(chunk) * width)?;
        if width == 8 {
            u64_be(reader).filter(|it| *it <= i64::MAX.cast_unsigned())
        } else {
            Some(u32_be(reader)?.into())
        }
    }

    /// The first chunk of a run, counted from 1, and the samples of each of its chunks.
    fn run<R: Read + Seek>(&self, reader: &mut BufReader<R>, run: u32) -> Option<(u32, u32)> {
        go(reader, self.runs.0 + u64::from(run) * 12)?;
        Some((u32_be(reader)?, u32_be(reader)?))
    }

    fn size<R: Read + Seek>(&self, reader: &mut BufReader<R>, sample: u32) -> Option<u64> {
        (sample < MOST_IN_ALL).then_some(())?;
        if self.each > 0 {
            return Some(self.each.into());
        }
        go_near(reader, self.sizes + u64::from(sample) * 4)?;
        Some(u32_be(reader)?.into())
    }
}

/// The description is `mp4v`, and says that it is MPEG-4 and no other that is kept under this name.
fn holds_mpeg_4<R: Read + Seek>(reader: &mut BufReader<R>, table: &Range<u64>) -> Option<bool> {
    const MPEG_4: u8 = 0x20;
    /// Of a description, before the boxes in it.
    const FIXED: u64 = 86;
    let descriptions = find(reader, table.clone(), *b"stsd")?;
    go(reader, descriptions.start + 8 + 4)?;
    if &take::<4>(reader)? != b"mp4v" {
        return Some(false);
    }
    let stream = find(reader, descriptions.start + 8 + FIXED..descriptions.end, *b"esds")?;
    // Its own tag, number and flags, then the tag of the decoder; lengths have one to four bytes.
    go(reader, stream.start + 4)?;
    descriptor(reader)?;
    take::<3>(reader)?;
    descriptor(reader)?;
    Some(take::<1>(reader)? == [MPEG_4])
}

fn descriptor<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<()> {
    take::<1>(reader)?;
    for _ in 0..4 {
        let [length] = take::<1>(reader)?;
        if length & 0x80 == 0 {
            break;
        }
    }
    Some(())
}
