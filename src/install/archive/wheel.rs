//! Opens a wheel that says the same to every reader, or not at all.
//!
//! A zip says everything twice, in a header before each file and in the directory at its end, and readers differ in which
//! they believe, where they start and what they overlook: one wheel has been two things at once (CVE-2025-54368).

use std::{fs::File, io::Read, path::Path};

use zip::{
    ZipArchive,
    read::{ArchiveOffset, Config, ZipFile},
    result::ZipError,
};

use crate::{error::in_one_line, platform::fs};

use super::{InstallError, refusal};

/// The file types in a Unix mode, from `inode(7)`.
const S_IFMT: u32 = 0o170_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFREG: u32 = 0o100_000;

/// Bytes of the record that ends a zip without a comment, and how it begins (APPNOTE 4.3.16).
const END: usize = 22;
const END_SIGNATURE: &[u8] = b"PK\x05\x06";

/// The zip in `archive`: it starts where the file does and ends where it ends, headers and directory agree, no name is
/// there twice, nothing overlaps, and nothing unlisted lies between.
pub(super) fn open(archive: &Path) -> Result<ZipArchive<File>, InstallError> {
    let bad = |cause: ZipError| refusal(archive, &in_one_line(&cause));
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let file = fs::open(archive)?;
    let mut zip = ZipArchive::with_config(config, file).map_err(bad)?;
    zip.validate_header_consistency().map_err(bad)?;
    if !is_the_end_of(&zip, archive)? {
        return Err(refusal(archive, "it does not end where an archive ends"));
    }
    Ok(zip)
}

/// The last bytes of the file are the record that `zip` was read by, right after the directory that it names. The `zip`
/// crate looks for one further up, too, when it can do nothing with the last one, as for one inside a comment.
fn is_the_end_of(zip: &ZipArchive<File>, archive: &Path) -> Result<bool, InstallError> {
    let at = fs::size(archive)?.saturating_sub(END as u64);
    let record = fs::read_at(&mut fs::open(archive)?, archive, at, END)?;
    let number = |at: usize, length: usize| {
        record.iter().skip(at).take(length).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let (count, length, start, comment) = (number(10, 2), number(12, 4), number(16, 4), number(20, 2));
    Ok(record.starts_with(END_SIGNATURE)
        && (count, start) == (zip.len() as u64, zip.central_directory_start())
        && (start + length, comment) == (at, 0))
}

/// `None` for what is neither a directory nor a file.
pub(super) fn is_directory<R: Read>(entry: &ZipFile<'_, R>) -> Option<bool> {
    match entry.unix_mode().unwrap_or(0) & S_IFMT {
        0 | S_IFDIR if entry.is_dir() && entry.size() == 0 => Some(true),
        0 | S_IFREG if entry.is_file() => Some(false),
        _ => None,
    }
}
