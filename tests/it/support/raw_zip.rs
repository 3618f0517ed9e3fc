//! Wheels byte by byte: the `zip` crate refuses to write much of what must be refused.

use std::io::Write;

use flate2::{Compression, Crc, write::DeflateEncoder};

/// What both the header before a file and the directory at the end say of it.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) flags: u16,
    pub(crate) method: u16,
    pub(crate) crc: u32,
    pub(crate) compressed: u32,
    pub(crate) size: u32,
    pub(crate) extra: Vec<u8>,
}

impl Header {
    /// From the flags to the lengths: the part that is the same in both places.
    fn middle(&self) -> Vec<u8> {
        let mut bytes = vec![];
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend(self.method.to_le_bytes());
        // Midnight of 1 January 1980, the first moment there is.
        bytes.extend([0, 0, 0x21, 0]);
        bytes.extend(self.crc.to_le_bytes());
        bytes.extend(self.compressed.to_le_bytes());
        bytes.extend(self.size.to_le_bytes());
        bytes.extend(u16::try_from(self.name.len()).expect("short").to_le_bytes());
        bytes.extend(u16::try_from(self.extra.len()).expect("short").to_le_bytes());
        bytes
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) local: Header,
    pub(crate) central: Header,
    pub(crate) mode: u32,
    /// Where the directory says that the header is, if not where it is.
    pub(crate) offset: Option<u32>,
    pub(crate) data: Vec<u8>,
    /// Whether the directory knows it.
    pub(crate) is_listed: bool,
}

/// A file that is stored as it is.
pub(crate) fn stored(name: impl AsRef<[u8]>, content: &str) -> Entry {
    entry(name.as_ref(), 0, content.as_bytes(), content.into())
}

pub(crate) fn deflated(name: &str, content: &[u8]) -> Entry {
    let mut encoder = DeflateEncoder::new(vec![], Compression::best());
    encoder.write_all(content).expect("written");
    entry(name.as_bytes(), 8, content, encoder.finish().expect("finished"))
}

fn entry(name: &[u8], method: u16, content: &[u8], data: Vec<u8>) -> Entry {
    let mut crc = Crc::new();
    crc.update(content);
    let header = Header {
        name: name.to_owned(),
        // The name is UTF-8.
        flags: 1 << 11,
        method,
        crc: crc.sum(),
        compressed: u32::try_from(data.len()).expect("short"),
        size: u32::try_from(content.len()).expect("short"),
        extra: vec![],
    };
    let mode = if name.ends_with(b"/") { 0o040_755 } else { 0o100_644 };
    Entry { local: header.clone(), central: header, mode, offset: None, data, is_listed: true }
}

/// A whole zip with `count` as the number of entries, if not the true one, and a comment.
pub(crate) fn zip(entries: &[Entry], count: Option<u16>, comment: &[u8]) -> Vec<u8> {
    let (mut bytes, mut directory) = (vec![], vec![]);
    for entry in entries {
        let offset = entry.offset.unwrap_or(u32::try_from(bytes.len()).expect("short"));
        bytes.extend(b"PK\x03\x04\x14\x00");
        bytes.extend(entry.local.middle());
        bytes.extend(&entry.local.name);
        bytes.extend(&entry.local.extra);
        bytes.extend(&entry.data);
        if entry.is_listed {
            // Made by version 2.0 on Unix, 2.0 needed.
            directory.extend(b"PK\x01\x02\x14\x03\x14\x00");
            directory.extend(entry.central.middle());
            directory.extend([0; 6]);
            directory.extend((entry.mode << 16).to_le_bytes());
            directory.extend(offset.to_le_bytes());
            directory.extend(&entry.central.name);
            directory.extend(&entry.central.extra);
        }
    }
    let listed = u16::try_from(entries.iter().filter(|it| it.is_listed).count()).expect("few");
    let count = count.unwrap_or(listed).to_le_bytes();
    let start = u32::try_from(bytes.len()).expect("short").to_le_bytes();
    let length = u32::try_from(directory.len()).expect("short").to_le_bytes();
    bytes.extend(directory);
    bytes.extend(b"PK\x05\x06\0\0\0\0");
    bytes.extend([count, count].concat());
    bytes.extend([length, start].concat());
    bytes.extend(u16::try_from(comment.len()).expect("short").to_le_bytes());
    bytes.extend(comment);
    bytes
}
