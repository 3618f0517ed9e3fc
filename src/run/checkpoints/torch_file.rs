//! Whether a file that `torch.save` wrote is whole.
//!
//! It is a zip archive without compression, written from its start to its end. The end says where the directory of the
//! archive is, so a save that was killed is found by reading a few bytes, however large the file is. A power cut may
//! leave zeros in place of the last blocks; those are no end either.
//! Sources: APPNOTE.TXT of the zip format, 4.3.14 to 4.3.16; `caffe2/serialize/inline_container.cc` of PyTorch.

use std::{fs::File, path::Path};

use crate::platform::fs::{self, FsError};

const FIRST_FILE: [u8; 4] = *b"PK\x03\x04";
const ENTRY: [u8; 4] = *b"PK\x01\x02";
const END: [u8; 4] = *b"PK\x05\x06";
const END_64: [u8; 4] = *b"PK\x06\x06";
const LOCATOR_64: [u8; 4] = *b"PK\x06\x07";

/// Bytes of the end, which has no comment behind it, and of the two that stand before it in archives beyond 4 GB.
const END_LENGTH: u64 = 22;
const LOCATOR_64_LENGTH: u64 = 20;
const END_64_LENGTH: usize = 56;

/// The directory's offset does not fit into the end.
const BEYOND: u64 = 0xffff_ffff;

/// The archive begins, ends and has its directory where its end says.
pub(super) fn is_whole(path: &Path) -> Result<bool, FsError> {
    let mut file = fs::open(path)?;
    let size = fs::length(&file, path)?;
    let Some(end_at) = size.checked_sub(END_LENGTH) else { return Ok(false) };
    let mut at = |offset: u64, count: usize| fs::read_at(&mut file as &mut File, path, offset, count);
    let end = at(end_at, 22)?;
    if !(at(0, 4)?.starts_with(&FIRST_FILE) && end.starts_with(&END)) {
        return Ok(false);
    }
    let mut directory = number(&end, 16, 4);
    let mut directory_end = directory + number(&end, 12, 4);
    if directory == BEYOND {
        let Some(locator_at) = end_at.checked_sub(LOCATOR_64_LENGTH) else { return Ok(false) };
        let locator = at(locator_at, 20)?;
        let end = at(number(&locator, 8, 8), END_64_LENGTH)?;
        if !(locator.starts_with(&LOCATOR_64) && end.starts_with(&END_64)) {
            return Ok(false);
        }
        directory = number(&end, 48, 8);
        directory_end = directory.saturating_add(number(&end, 40, 8));
    }
    Ok(directory_end <= end_at && at(directory, 4)?.starts_with(&ENTRY))
}

/// A little-endian number of `width` bytes; 0 where there are not so many.
fn number(bytes: &[u8], offset: usize, width: usize) -> u64 {
    let found = bytes.get(offset..offset + width).unwrap_or_default();
    found.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use super::*;

    /// An archive as `torch.save` makes it.
    pub(crate) fn archive(content: &[u8], large: bool) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored)
            .large_file(large);
        for name in ["archive/data.pkl", "archive/data/0", "archive/version"] {
            writer.start_file(name, options).expect("begun");
            writer.write_all(content).expect("written");
        }
        writer.finish().expect("finished").into_inner()
    }

    /// The same with the end of an archive beyond 4 GB, as PyTorch writes it.
    fn beyond(mut bytes: Vec<u8>) -> Vec<u8> {
        let end = bytes.split_off(bytes.len() - 22);
        let at = bytes.len() as u64;
        bytes.extend(END_64);
        bytes.extend(44u64.to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend([3u64.to_le_bytes(), 3u64.to_le_bytes()].concat());
        bytes.extend([number(&end, 12, 4).to_le_bytes(), number(&end, 16, 4).to_le_bytes()].concat());
        bytes.extend(LOCATOR_64);
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(at.to_le_bytes());
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(&end[..12]);
        bytes.extend([0xff; 8]);
        bytes.extend([0; 2]);
        bytes
    }

    #[test]
    fn an_archive_is_whole_to_the_last_byte_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("x.pt");
        let check = |bytes: &[u8]| {
            fs::write_snapshot(&path, bytes).expect("written");
            is_whole(&path).expect("read")
        };
        for whole in [archive(b"weights", false), archive(b"", true), beyond(archive(&[7; 500], false))] {
            assert!(check(&whole));
            for length in 0..whole.len() {
                assert!(!check(&whole[..length]), "cut at {length} of {}", whole.len());
            }
            let mut zeros = whole.clone();
            let half = zeros.len() / 2;
            zeros[half..].fill(0);
            assert!(!check(&zeros), "the second half was lost in a power cut");
        }
    }
}
