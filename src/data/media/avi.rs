//! AVI: size, count of frames and rate of the first video stream, all in its headers.

use std::io::{BufReader, Read, Seek};

use super::{
    Rate, Track,
    bytes::{go, length, take, u32_le},
};

/// Chunks before the first video stream's format; real files have a handful.
const MOST_CHUNKS: usize = 1000;

pub(super) fn read<R: Read + Seek>(reader: &mut BufReader<R>) -> Option<Track> {
    let end = length(reader)?;
    let (mut at, mut stream) = (12, None);
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
                stream = is_video.then_some((scale, rate, frames));
            }
            b"strf" => {
                if let Some((scale, rate, frames)) = stream {
                    go(reader, at + 8 + 4)?;
                    let width = u32_le(reader)?;
                    // Negative where the first row is the upper one.
                    let height = u32_le(reader)?.cast_signed().unsigned_abs();
                    return Some(Track {
                        width,
                        height,
                        frames: (frames > 0).then_some(frames.into()),
                        counted: frames.into(),
                        rate: Rate::reduced(rate.into(), scale.into()),
                        is_whole: holds_its_frames(reader, at, end)?,
                    });
                }
            }
            _ => {}
        }
        at += 8 + size + size % 2;
    }
    None
}

/// The list of frames, which comes after the headers, ends in the file; `None` if there is none.
fn holds_its_frames<R: Read + Seek>(reader: &mut BufReader<R>, headers: u64, end: u64) -> Option<bool> {
    let mut at = headers;
    for _ in 0..MOST_CHUNKS {
        go(reader, at)?;
        let (name, size) = (take::<4>(reader)?, u64::from(u32_le(reader)?));
        if &name == b"LIST" && &take::<4>(reader)? == b"movi" {
            return Some(at + 8 + size <= end);
        }
        at += 8 + size + size % 2;
    }
    None
}
