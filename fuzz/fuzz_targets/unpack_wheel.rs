//! Any bytes as a wheel, or entries of the fuzzer's choice with digests that are right.
#![no_main]

#[path = "../../tests/it/support/raw_zip.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod raw_zip;
mod unpack;

use libfuzzer_sys::fuzz_target;
use raw_zip::Entry;

/// Nothing, a file, a directory, a link, a FIFO, setuid.
const MODES: [u32; 8] = [0, 0o100_644, 0o100_644, 0o100_755, 0o040_755, 0o120_777, 0o010_644, 0o104_755];

/// An entry of twelve bytes, each of which means something: a change of one is another archive, not another layout.
fn entry(choice: &[u8]) -> Entry {
    let top = if choice[0] & 1 == 0 { &b"p/"[..] } else { b"" };
    let name = [top, &unpack::path(&choice[1..5])].concat();
    let content = "x".repeat(usize::from(choice[5]) * usize::from(choice[6] % 64));
    let mut entry = if choice[0] & 2 == 0 {
        raw_zip::deflated(&String::from_utf8_lossy(&name), content.as_bytes())
    } else {
        raw_zip::stored(&name, &content)
    };
    entry.mode = MODES[usize::from(choice[7]) % MODES.len()];
    entry.is_listed = choice[0] >> 2 != 1;
    if choice[0] >> 2 == 2 {
        entry.offset = Some(u32::from(choice[8]) * 4);
    }
    let value = u32::from_le_bytes([choice[10], choice[11], 0, 0]);
    for (bit, header) in [(6, &mut entry.local), (7, &mut entry.central)] {
        match choice[9] % 7 {
            _ if choice[0] >> bit & 1 == 0 => {}
            0 => header.crc = value,
            1 => header.size = value,
            2 => header.compressed = value,
            3 => header.method = value as u16,
            4 => header.flags = value as u16,
            5 => header.extra = value.to_le_bytes().to_vec(),
            _ => header.name = unpack::path(&choice[8..12]),
        }
    }
    entry
}

fn archive(data: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = data.split_first()?;
    if *first == 0 {
        return Some(rest.to_vec());
    }
    let entries: Vec<Entry> = rest.chunks_exact(12).take(64).map(entry).collect();
    Some(raw_zip::zip(&entries, None, b""))
}

fuzz_target!(|data: &[u8]| {
    let Some(bytes) = archive(data) else { return };
    unpack::check(&bytes, |archive, target| dpgui::install::archive::unpack_wheel(archive, "p", target));
});
