//! Any bytes as a wheel, or entries of the fuzzer's choice with digests that are right.
#![no_main]

#[path = "../../tests/it/support/raw_zip.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod raw_zip;
mod unpack;

use arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use raw_zip::Entry;

const PARTS: [&str; 12] = ["p", "p/", "a", "a/", "/", "..", "../", ".", "./", "\\", "l/", "precious/file"];

/// Nothing, a file, a directory, a link, a FIFO, setuid.
const MODES: [u32; 6] = [0, 0o100_644, 0o040_755, 0o120_777, 0o010_644, 0o104_755];

#[derive(Arbitrary, Debug)]
struct Choice {
    name: Vec<u8>,
    mode: u8,
    deflated: bool,
    content: Vec<u8>,
    /// Where it lies or claims to lie, and what it says that is not so.
    offset: Option<u16>,
    change: Option<(bool, bool, u8, u32)>,
    listed: Option<bool>,
}

impl Choice {
    fn entry(self) -> Entry {
        let part = |byte: &u8| match PARTS.get(usize::from(*byte)) {
            Some(part) => part.as_bytes().to_vec(),
            None => vec![*byte],
        };
        let name: Vec<u8> = self.name.iter().flat_map(part).take(2000).collect();
        let mut entry = if self.deflated {
            raw_zip::deflated(&String::from_utf8_lossy(&name), &self.content)
        } else {
            raw_zip::stored(&name, &String::from_utf8_lossy(&self.content))
        };
        entry.mode = MODES[usize::from(self.mode) % MODES.len()];
        entry.offset = self.offset.map(u32::from);
        entry.is_listed = self.listed.unwrap_or(true);
        if let Some((local, central, field, value)) = self.change {
            for (wanted, header) in [(local, &mut entry.local), (central, &mut entry.central)] {
                match field % 6 {
                    _ if !wanted => {}
                    0 => header.crc = value,
                    1 => header.size = value,
                    2 => header.compressed = value,
                    3 => header.method = value as u16,
                    4 => header.flags = value as u16,
                    _ => header.extra = value.to_le_bytes().to_vec(),
                }
            }
        }
        entry
    }
}

fn archive(data: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = data.split_first()?;
    if first % 4 == 0 {
        return Some(rest.to_vec());
    }
    let choices = Vec::<Choice>::arbitrary_take_rest(Unstructured::new(rest)).ok()?;
    let entries: Vec<Entry> = choices.into_iter().map(Choice::entry).collect();
    Some(raw_zip::zip(&entries, None, b""))
}

fuzz_target!(|data: &[u8]| {
    let Some(bytes) = archive(data) else { return };
    unpack::check(&bytes, |archive, target| dpgui::install::archive::unpack_wheel(archive, "p", target));
});
