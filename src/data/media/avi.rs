//! AVI: size, count of frames and rate of the first video stream, all in its headers.

use std::{
    io::{BufReader, Read, Seek},
    ops::Range,
};

use super::{
    BEGUN, End, Rate, Track,
    bytes::{go, go_near, length, take, u32_le},
};

/// Chunks before the first video stream's format; real files have a handful.
const MOST_CHUNKS: usize = 1000;

/// Chunks of frames and sound that are gone through where the end is missing.
const MOST_FRAMES: usize = 10_000_000;

/// What FFmpeg takes for MPEG-4 and people have. Source: `libavformat/riff.c`.
const MPEG_4: [[u8; 4]; 5] = [*b"FMP4", *b"XVID", *b"DIVX", *b"DX50", *b"MP4V"];

pub(super) fn read<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<Track> {
    let end = length(reader)?;
    let (mut at, mut stream, mut streams) = (12, None, 0_u8);
    for _ in 0..MOST_CHUNKS {
        if at + 8 > end {
            break;
        }
        go(reader, at)?;
        let (name, size) = (take::<4>(reader)?, u64::from(u32_le(reader)?));
        match &name {
            // Into the lists of headers and of one stream; all else is passed by.
            b"LIST" if matches!(&take::<4>(reader)?, b"hdrl" | b"strl") => {
                at += 12;
                continue;
            }
            b"strh" => {
                let is_video = &take::<4>(reader)? == b"vids";
                go(reader, at + 8 + 20)?;
                let (scale, rate) = (u32_le(reader)?, u32_le(reader)?);
                go(reader, at + 8 + 32)?;
                let frames = u32_le(reader)?;
                stream = is_video.then_some((scale, rate, frames, streams));
                streams = streams.saturating_add(1);
            }
            b"strf" => {
                if let Some((scale, rate, frames, number)) = stream {
                    go(reader, at + 8 + 4)?;
                    let width = u32_le(reader)?;
                    // Negative where the first row is the upper one.
                    let height = u32_le(reader)?.cast_signed().unsigned_abs();
                    go(reader, at + 8 + 16)?;
                    let is_mpeg_4 = MPEG_4.contains(&take::<4>(reader)?.map(|it| it.to_ascii_uppercase()));
                    return Some(Track {
                        width,
                        height,
                        frames: (frames > 0).then_some(frames.into()),
                        counted: frames.into(),
                        rate: Rate::reduced(rate.into(), scale.into()),
                        end: how_it_ends(reader, at..end, number, is_mpeg_4)?,
                    });
                }
            }
            _ => {}
        }
        at += 8 + size + size % 2;
    }
    None
}

/// The list of frames, which comes after the headers, ends in the file or does not; `None` if there is none.
fn how_it_ends<R: Read + Seek>(
    reader: &mut BufReader<R>,
    after: Range<u64>,
    stream: u8,
    is_mpeg_4: bool,
) -> Option<End> {
    let mut at = after.start;
    for _ in 0..MOST_CHUNKS {
        go(reader, at)?;
        let (name, size) = (take::<4>(reader)?, u64::from(u32_le(reader)?));
        if &name == b"LIST" && &take::<4>(reader)? == b"movi" {
            let is_whole = at + 8 + size <= after.end;
            return Some(if is_whole {
                End::Whole
            } else {
                cut(reader, at + 12..after.end, stream, is_mpeg_4)
            });
        }
        at += 8 + size + size % 2;
    }
    None
}

/// Goes through the chunks to the one in which the file ends.
fn cut<R: Read + Seek>(reader: &mut BufReader<R>, chunks: Range<u64>, stream: u8, is_mpeg_4: bool) -> End {
    let (mut at, mut frames) = (chunks.start, 0);
    for _ in 0..MOST_FRAMES {
        let head = go_near(reader, at).and_then(|()| Some((take::<4>(reader)?, u64::from(u32_le(reader)?))));
        let Some((name, size)) = head else {
            return if at == chunks.end && frames > 0 { End::After(frames) } else { End::Broken };
        };
        if &name == b"LIST" {
            at += 12;
            continue;
        }
        let is_frame = name[..2] == [b'0' + stream / 10, b'0' + stream % 10] && name[2] == b'd';
        let begun = chunks.end.saturating_sub(at + 8);
        at += 8 + size;
        if at > chunks.end {
            let is_shown = is_frame && is_mpeg_4 && begun >= BEGUN;
            let goes_on = frames > 0 && (is_shown || name.starts_with(b"ix"));
            return if goes_on { End::After(frames) } else { End::Broken };
        }
        // Empty ones say that the last frame goes on.
        frames += u64::from(is_frame && size > 0);
        at += size % 2;
    }
    End::Broken
}
