//! Any bytes as a `.tar.gz`, or entries of the fuzzer's choice with headers whose checksums are right.
#![no_main]

#[path = "../../tests/it/support/raw_tar.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod raw_tar;
mod unpack;

use std::io::Write;

use dpgui::output::{Mode, Output};
use flate2::{Compression, write::GzEncoder};
use libfuzzer_sys::fuzz_target;
use raw_tar::Entry;

const KINDS: &[u8] = b"0000555522222111xxxLK7gSV36\0";

/// An entry of eleven bytes, each of which means something: a change of one is another archive, not another layout.
fn entry(choice: &[u8]) -> Entry {
    let kind = KINDS[usize::from(choice[0]) % KINDS.len()];
    let top = if choice[1] & 1 == 0 { &b"t/"[..] } else { b"" };
    let (name, link) = ([top, &unpack::path(&choice[2..6])].concat(), unpack::path(&choice[6..9]));
    let size = u64::from(choice[9]);
    let content = match kind {
        b'L' | b'K' => name.clone(),
        b'x' | b'g' => records(choice[1], &name, &link, size),
        b'0' | b'7' | 0 => vec![b'x'; usize::from(choice[10])],
        _ => vec![],
    };
    let mut entry = Entry::new(kind, &name[..name.len().min(100)], content);
    // A hard link names a whole path of the archive, a symbolic one a place beside it.
    entry.link = if kind == b'1' { [top, &link].concat() } else { link };
    entry.link.truncate(100);
    entry.mode = u32::from(choice[9]) * 16;
    if choice[1] >> 4 == 15 {
        entry.size = raw_tar::octal(size);
    }
    entry
}

fn records(which: u8, name: &[u8], link: &[u8], size: u64) -> Vec<u8> {
    let (name, link) = (String::from_utf8_lossy(name), String::from_utf8_lossy(link));
    let size = size.to_string();
    let records = [("path", &*name), ("linkpath", &*link), ("size", &*size), ("GNU.sparse.major", "1")];
    let wanted = records.iter().enumerate().filter(|(index, _)| which >> (index + 1) & 1 == 1);
    raw_tar::pax(&wanted.map(|(_, record)| *record).collect::<Vec<_>>()).content
}

fn archive(data: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = data.split_first()?;
    let mut blocks = match first {
        0 => return Some(rest.to_vec()),
        1 => {
            let mut blocks = rest.to_vec();
            raw_tar::mend_checksums(&mut blocks);
            blocks
        }
        _ => rest.chunks_exact(11).take(64).flat_map(|choice| entry(choice).blocks()).collect(),
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
