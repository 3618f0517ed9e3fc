//! `.tar.gz` files block by block: the `tar` crate refuses to write much of what must be refused.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

const BLOCK: usize = 512;

/// A header field that says `value` in octal digits, as all of them do.
pub(crate) fn octal(value: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[..11].copy_from_slice(format!("{value:011o}").as_bytes());
    field
}

/// One header with what follows it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) link: Vec<u8>,
    pub(crate) mode: u32,
    /// What the header claims.
    pub(crate) size: [u8; 12],
    pub(crate) content: Vec<u8>,
}

impl Entry {
    pub(crate) fn new(kind: u8, name: impl AsRef<[u8]>, content: impl Into<Vec<u8>>) -> Self {
        let (name, content) = (name.as_ref().to_owned(), content.into());
        Self { name, kind, link: vec![], mode: 0o644, size: octal(content.len() as u64), content }
    }

    /// Header and padded content.
    pub(crate) fn blocks(&self) -> Vec<u8> {
        let mut header = [0; BLOCK];
        let mut put =
            |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
        put(0, &self.name);
        put(100, format!("{:07o}", self.mode).as_bytes());
        put(124, &self.size);
        put(136, &octal(0));
        put(156, &[self.kind]);
        put(157, &self.link);
        if self.kind == b'S' {
            put(257, b"ustar  \0");
            // The size of a sparse file with its holes, in GNU's own part of the header.
            put(483, &self.size);
        } else {
            put(257, b"ustar\x0000");
        }
        mend_checksums(&mut header);
        let mut blocks = header.to_vec();
        blocks.extend(&self.content);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
        blocks
    }
}

/// Gives every block that is a header the checksum that it should have.
pub(crate) fn mend_checksums(blocks: &mut [u8]) {
    for header in blocks.chunks_exact_mut(BLOCK).filter(|it| it[257..].starts_with(b"ustar")) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

pub(crate) fn file(name: impl AsRef<[u8]>, content: &str) -> Entry {
    Entry::new(b'0', name, content)
}

pub(crate) fn directory(name: impl AsRef<[u8]>) -> Entry {
    Entry { mode: 0o755, ..Entry::new(b'5', name, "") }
}

pub(crate) fn symlink(name: &str, link: impl AsRef<[u8]>) -> Entry {
    Entry { link: link.as_ref().to_owned(), ..Entry::new(b'2', name, "") }
}

pub(crate) fn hard_link(name: &str, link: &str) -> Entry {
    Entry { link: link.into(), ..Entry::new(b'1', name, "") }
}

/// A GNU long name (`L`) or long link (`K`) of the next entry.
pub(crate) fn long(kind: u8, text: impl AsRef<[u8]>) -> Entry {
    Entry::new(kind, "././@LongLink", [text.as_ref(), b"\0"].concat())
}

/// Extended headers of the next entry.
pub(crate) fn pax(records: &[(&str, &str)]) -> Entry {
    let records: Vec<String> = records.iter().map(|(key, value)| record(key, value)).collect();
    Entry::new(b'x', "PaxHeaders/x", records.concat())
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let length = (1..1_000_000).find(|length| length.to_string().len() + rest.len() == *length);
    format!("{}{rest}", length.expect("a length"))
}

/// All blocks and the two that end an archive.
pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut blocks: Vec<u8> = entries.iter().flat_map(Entry::blocks).collect();
    blocks.extend([0; 2 * BLOCK]);
    blocks
}

pub(crate) fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes).expect("written");
    encoder.finish().expect("finished")
}
