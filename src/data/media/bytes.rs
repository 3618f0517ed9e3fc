//! Numbers at the place where a header has them.

use std::io::{BufReader, Read, Seek, SeekFrom};

pub(super) fn take<const N: usize>(reader: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

pub(super) fn u32_be(reader: &mut impl Read) -> Option<u32> {
    take(reader).map(u32::from_be_bytes)
}

pub(super) fn u32_le(reader: &mut impl Read) -> Option<u32> {
    take(reader).map(u32::from_le_bytes)
}

pub(super) fn u64_be(reader: &mut impl Read) -> Option<u64> {
    take(reader).map(u64::from_be_bytes)
}

pub(super) fn u16_be(reader: &mut impl Read) -> Option<u16> {
    take(reader).map(u16::from_be_bytes)
}

pub(super) fn u16_le(reader: &mut impl Read) -> Option<u16> {
    take(reader).map(u16::from_le_bytes)
}

pub(super) fn go(reader: &mut impl Seek, offset: u64) -> Option<()> {
    reader.seek(SeekFrom::Start(offset)).ok().map(drop)
}

/// Without throwing away what is read already, which is most of a header.
pub(super) fn go_near<R: Read + Seek>(reader: &mut BufReader<R>, offset: u64) -> Option<()> {
    let here = reader.stream_position().ok()?;
    let by = i64::try_from(offset).ok()? - i64::try_from(here).ok()?;
    if by == 0 { Some(()) } else { reader.seek_relative(by).ok().or_else(|| go(reader, offset)) }
}

/// How many bytes there are in all; the place stays.
pub(super) fn length(reader: &mut impl Seek) -> Option<u64> {
    let here = reader.stream_position().ok()?;
    let end = reader.seek(SeekFrom::End(0)).ok()?;
    go(reader, here)?;
    Some(end)
}
