//! Any bytes as a `.tar.gz`, or entries of the fuzzer's choice with headers whose checksums are right.
#![no_main]

#[path = "../../tests/it/support/raw_tar.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod raw_tar;
mod unpack;

use std::io::Write;

use arbitrary::{Arbitrary, Unstructured};
use dpgui::output::{Mode, Output};
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use raw_tar::Entry;

/// Names that may meet: two of these in a row are a path.
const PARTS: [&str; 12] = ["t", "t/", "a", "a/", "/", "..", "../", ".", "./", "l", "l/", "precious/file"];

const KINDS: &[u8] = b"00005555221123467xgLKSV\0";

#[derive(Arbitrary, Debug)]
struct Choice {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    mode: u16,
    /// What the header claims, where it is not the truth.
    size: Option<u32>,
    content: Vec<u8>,
}

impl Choice {
    fn entry(self) -> Entry {
        let kind = KINDS[usize::from(self.kind) % KINDS.len()];
        let content = match kind {
            b'L' | b'K' => text(&self.name),
            b'x' | b'g' => self.records(),
            b'0' | b'7' | 0 => self.content,
            _ => vec![],
        };
        let mut entry = Entry::new(kind, short(text(&self.name)), content);
        entry.link = short(text(&self.link));
        entry.mode = u32::from(self.mode) & 0o7777;
        if let Some(size) = self.size {
            entry.size = raw_tar::octal(size.into());
        }
        entry
    }

    fn records(&self) -> Vec<u8> {
        let (name, link) = (text(&self.name), text(&self.link));
        let (name, link) = (String::from_utf8_lossy(&name), String::from_utf8_lossy(&link));
        let size = self.size.unwrap_or(self.content.len() as u32).to_string();
        let records = [("path", &*name), ("linkpath", &*link), ("size", &*size), ("GNU.sparse.major", "1")];
        let wanted = records.iter().enumerate().filter(|(index, _)| self.mode >> index & 1 == 1);
        raw_tar::pax(&wanted.map(|(_, record)| *record).collect::<Vec<_>>()).content
    }
}

/// Mostly of parts that mean something together; a byte that stands for none is itself.
fn text(choice: &[u8]) -> Vec<u8> {
    let part = |byte: &u8| match PARTS.get(usize::from(*byte)) {
        Some(part) => part.as_bytes().to_vec(),
        None => vec![*byte],
    };
    choice.iter().flat_map(part).collect()
}

fn short(mut text: Vec<u8>) -> Vec<u8> {
    text.truncate(100);
    text
}

fn archive(data: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = data.split_first()?;
    let mut blocks = match first % 4 {
        0 => return Some(rest.to_vec()),
        1 => {
            let mut blocks = rest.to_vec();
            raw_tar::mend_checksums(&mut blocks);
            blocks
        }
        _ => {
            let choices = Vec::<Choice>::arbitrary_take_rest(Unstructured::new(rest)).ok()?;
            choices.into_iter().flat_map(|choice| choice.entry().blocks()).collect()
        }
    };
    blocks.extend([0; 1024]);
    // Compressing is most of the time otherwise.
    let mut gz = GzEncoder::new(vec![], Compression::none());
    gz.write_all(&blocks).ok()?;
    gz.finish().ok()
}

fuzz_target!(|data: &[u8]| {
    let Some(bytes) = archive(data) else { return };
    let progress = Output::new(Mode::Plain).progress("fuzz");
    unpack::check(&bytes, |archive, target| {
        dpgui::install::archive::unpack_tar_gz(archive, target, &progress)
    });
});
