//! Archives made to break out, to mislead or to fill the disk: refused with a reason and without a trace, or unpacked to
//! exactly what they say.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

use dpgui::{
    error::{Error, Kind},
    install::{
        InstallError, archive,
        receipt::{self, Receipt},
    },
    output::{Mode, Output},
};

use flate2::{Compression, write::GzEncoder};
use proptest::{
    collection::{btree_map, vec},
    prelude::*,
};

use crate::support::{
    raw_tar::{self, Entry, directory, file, gz, hard_link, long, octal, pax, symlink, tar},
    raw_zip::{self, deflated, stored, zip},
};

/// A folder with something precious in it, where archives are unpacked beside it as a setup does.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temp dir");
        for name in ["tools", "precious/inner"] {
            fs::create_dir_all(dir.path().join(name)).expect("created");
        }
        fs::write(dir.path().join("precious/file"), "precious").expect("written");
        Self { dir }
    }

    fn live(&self) -> PathBuf {
        self.dir.path().join("tools/thing")
    }

    fn unpack(&self, bytes: &[u8]) -> Result<(), InstallError> {
        let path = self.dir.path().join("archive");
        fs::write(&path, bytes).expect("written");
        let progress = Output::new(Mode::Plain).progress("test");
        receipt::stage(&self.live(), |staged| {
            if bytes.starts_with(b"\x1f\x8b") {
                archive::unpack_tar_gz(&path, staged, &progress)?;
            } else {
                archive::unpack_wheel(&path, "p", staged)?;
            }
            Ok(Receipt::new(receipt::inputs(&"1.0"), "thing", "here"))
        })?;
        for ours in [".dpgui-receipt.json", ".dpgui-manifest"] {
            fs::remove_file(self.live().join(ours)).expect("there");
        }
        Ok(())
    }
}

/// Everything under `dir`, a line each: what it is, with its mode and content, or where it points.
fn tree(dir: &Path) -> Vec<String> {
    let (mut lines, mut todo) = (vec![], vec![dir.to_owned()]);
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).expect("listed") {
            let path = entry.expect("an entry").path();
            let found = path.symlink_metadata().expect("there");
            let name = path.strip_prefix(dir).expect("below").as_os_str().as_bytes().escape_ascii();
            let mode = found.permissions().mode() & 0o7777;
            if found.is_dir() {
                todo.push(path.clone());
                lines.push(format!("{name}/"));
            } else if found.is_symlink() {
                lines.push(format!("{name} -> {}", fs::read_link(&path).expect("a link").display()));
            } else if found.is_file() {
                let content = fs::read(&path).expect("read");
                lines.push(format!("{name} {mode:o} {}", content.escape_ascii()));
            } else {
                lines.push(format!("{name} {:?}", found.file_type()));
            }
        }
    }
    lines.sort();
    lines
}

/// `bytes` are refused as an archive that is damaged or hostile, with exactly this problem, and nothing is left of it.
#[track_caller]
fn refused(bytes: &[u8], problem: &str) {
    let place = Place::new();
    fs::write(place.dir.path().join("archive"), bytes).expect("written");
    let before = tree(place.dir.path());
    let error = Error::from(place.unpack(bytes).expect_err(problem));
    let archive = place.dir.path().join("archive").display().to_string();
    let told = error.to_string();
    let line = told.lines().next().unwrap_or_default();
    let expected = format!("error: `{archive}` is not an archive that dpgui unpacks: {problem}");
    assert_eq!((line, error.kind(), error.kind().exit_code()), (expected.as_str(), Kind::Integrity, 4));
    assert_eq!(tree(place.dir.path()), before, "{problem}: something was left or changed");
}

/// `bytes` are unpacked to exactly this tree, and nothing around it changes.
#[track_caller]
fn accepted(bytes: &[u8], expected: &[&str]) {
    let place = Place::new();
    fs::write(place.dir.path().join("archive"), bytes).expect("written");
    let before = tree(place.dir.path());
    place.unpack(bytes).expect("unpacked");
    assert_eq!(tree(&place.live()), expected);
    fs::remove_dir_all(place.live()).expect("removed");
    assert_eq!(tree(place.dir.path()), before, "something around it was changed");
}

#[track_caller]
fn refused_tar(entries: &[Entry], problem: &str) {
    refused(&gz(&tar(entries)), problem);
}

#[track_caller]
fn accepted_tar(entries: &[Entry], expected: &[&str]) {
    accepted(&gz(&tar(entries)), expected);
}

#[test]
fn a_name_that_leads_out_or_is_none_is_refused() {
    let check = |name: &str, problem: &str| {
        refused_tar(&[file("t/good", "1"), file(name, "evil")], problem);
        refused_tar(&[file("t/good", "1"), long(b'L', name), file("t/short", "evil")], problem);
        refused_tar(&[file("t/good", "1"), pax(&[("path", name)]), file("t/short", "evil")], problem);
    };
    check("/etc/x", "`/etc/x` leads out of it");
    check("//etc/x", "`//etc/x` leads out of it");
    check("../x", "`../x` leads out of it");
    check("../../precious/file", "`../../precious/file` leads out of it");
    check("t/../../x", "`t/../../x` leads out of it");
    check("t/../x", "`t/../x` leads out of it");
    check("t/a/..", "`t/a/..` leads out of it");
    check("t/..", "`t/..` leads out of it");
    check("..", "`..` leads out of it");
    check("./../t/x", "`./../t/x` leads out of it");
    check("t/./../x", "`t/./../x` leads out of it");
    check("t", "`t` is no directory but stands at the top");
    check(".", "`.` is no directory but stands at the top");
    check("t/x/", "`t/x/` is a file with the name of a directory");
    check("u/x", "it has more than one top directory: `t` and `u`");
    check("x", "it has more than one top directory: `t` and `x`");
    check("t/.dpgui-receipt.json", "`.dpgui-receipt.json` is a name that dpgui uses itself");
    check("t/.dpgui-manifest", "`.dpgui-manifest` is a name that dpgui uses itself");
    refused_tar(&[file("", "1")], "an entry has no name");
    refused_tar(&[directory("")], "an entry has no name");
    refused_tar(&[pax(&[("path", "")]), file("t/x", "1")], "an entry has no name");
    refused_tar(&[long(b'L', ""), file("t/x", "1")], "an entry has no name");
    refused_tar(&[long(b'L', "t/a\0b"), file("t/x", "1")], "`t/a\\u{0}b` has a control character in it");
    refused_tar(&[long(b'L', "t/a\0b"), directory("t/x")], "`t/a\\u{0}b` has a control character in it");
    refused_tar(
        &[pax(&[("path", "t/a\0b")]), file("t/x", "1")],
        "`t/a\\u{0}b` has a control character in it",
    );
}

#[test]
fn a_name_that_is_too_long_is_refused_and_one_that_is_only_long_is_not() {
    let (long_name, longer) = ("n".repeat(255), "n".repeat(256));
    let deep = ["a/"; 511].concat();
    let check = |name: &str, problem: &str| {
        refused_tar(&[long(b'L', name), file("t/short", "1")], problem);
        refused_tar(&[pax(&[("path", name)]), directory("t/short")], problem);
    };
    let start = format!("`t/{}…` has a longer name or link than dpgui takes", "n".repeat(38));
    check(&format!("t/{longer}"), &start);
    let start = format!("`t/{}…` has a longer name or link than dpgui takes", "a/".repeat(19));
    check(&format!("t/{deep}a"), &start);
    check(&format!("t/{}", "a/".repeat(40_000)), &start);
    let long_entries = [long(b'L', format!("t/{long_name}")), file("t/short", "1")];
    accepted_tar(&long_entries, &[&format!("{long_name} 644 1")]);
    let place = Place::new();
    let whole = gz(&tar(&[pax(&[("path", &format!("t/{deep}"))]), directory("t/d"), file("t/x", "1")]));
    place.unpack(&whole).expect("deep, but not too deep");
    assert_eq!(tree(&place.live()).len(), 512);
}

#[test]
fn names_that_are_only_unusual_are_kept_to_the_byte() {
    accepted_tar(
        &[
            directory("./t"),
            file("./t/./a//b", "1"),
            file("t/with space", "2"),
            file("t/grün/日本", "3"),
            file(b"t/\xff\xfe", "4"),
            file("t/a\\..\\b", "5"),
            file("t/C:x", "6"),
            file("t/...", "7"),
            file("t/-rf", "8"),
        ],
        &[
            "-rf 644 8",
            "... 644 7",
            "C:x 644 6",
            "\\xff\\xfe 644 4",
            "a/",
            "a/b 644 1",
            "a\\\\..\\\\b 644 5",
            "gr\\xc3\\xbcn/",
            "gr\\xc3\\xbcn/\\xe6\\x97\\xa5\\xe6\\x9c\\xac 644 3",
            "with space 644 2",
        ],
    );
}

#[test]
fn a_link_that_leads_out_is_refused() {
    let check = |name: &str, link: &str, problem: &str| {
        let good = file("t/d/good", "1");
        refused_tar(&[good.clone(), symlink(name, link)], problem);
        refused_tar(&[good.clone(), long(b'K', link), symlink(name, "good")], problem);
        refused_tar(&[good, pax(&[("linkpath", link)]), symlink(name, "good")], problem);
    };
    check("t/x", "/etc", "the link `x` leads out of it, to `/etc`");
    check("t/x", "..", "the link `x` leads out of it, to `..`");
    check("t/x", "../../precious", "the link `x` leads out of it, to `../../precious`");
    check("t/x", "d/../..", "the link `x` leads out of it, to `d/../..`");
    check("t/d/x", "../../t/d/good", "the link `d/x` leads out of it, to `../../t/d/good`");
    check("t/d/x", "./.././..", "the link `d/x` leads out of it, to `./.././..`");
    let good = file("t/d/good", "1");
    let through = "the link `m` goes through another one, to `l/good`";
    refused_tar(&[good.clone(), symlink("t/l", "d"), symlink("t/m", "l/good")], through);
    refused_tar(&[good.clone(), symlink("t/m", "l/good"), symlink("t/l", "d")], through);
    let behind = "`l/x` lies behind a link or a file";
    refused_tar(&[symlink("t/l", "d"), good.clone(), file("t/l/x", "1")], behind);
    refused_tar(&[symlink("t/l", "d"), good.clone(), directory("t/l/x")], behind);
    refused_tar(&[symlink("t/l", "d"), good.clone(), symlink("t/l/x", "y")], behind);
    refused_tar(&[good.clone(), symlink("t/l", "d"), hard_link("t/l/x", "t/d/good")], behind);
    refused_tar(&[file("t/l", "1"), file("t/l/x", "1")], behind);
    refused_tar(&[symlink("t", "/etc"), file("t/passwd", "1")], "`t` is no directory but stands at the top");
    refused_tar(&[good.clone(), symlink("t/l", "")], "`t/l` is a link to nothing");
    refused_tar(&[good.clone(), long(b'K', ""), symlink("t/l", "")], "`t/l` is a link to nothing");
    let nul = [good.clone(), long(b'K', "a\0b"), symlink("t/l", "x")];
    refused_tar(&nul, "`l` has a control character in it");
    let too_long = [good, long(b'K', "a/".repeat(3000)), symlink("t/l", "x")];
    refused_tar(&too_long, "`l…` has a longer name or link than dpgui takes");
}

#[test]
fn links_inside_are_kept_as_they_are_written() {
    accepted_tar(
        &[
            file("t/d/good", "1"),
            symlink("t/d/up", "../d/good"),
            symlink("t/l", "d"),
            symlink("t/m", "l"),
            symlink("t/self", "self"),
            symlink("t/ping", "pong"),
            symlink("t/pong", "ping"),
            symlink("t/dangling", "nowhere"),
            symlink("t/here", "."),
            hard_link("t/same", "t/d/good"),
        ],
        &[
            "d/",
            "d/good 644 1",
            "d/up -> ../d/good",
            "dangling -> nowhere",
            "here -> .",
            "l -> d",
            "m -> l",
            "ping -> pong",
            "pong -> ping",
            "same 644 1",
            "self -> self",
        ],
    );
}

#[test]
fn a_hard_link_to_anything_but_an_earlier_file_of_the_archive_is_refused() {
    let check = |link: &str, problem: &str| {
        let entries = [directory("t/d"), file("t/good", "1"), symlink("t/l", "good"), hard_link("t/x", link)];
        refused_tar(&entries, problem);
    };
    check("/etc/passwd", "`/etc/passwd` leads out of it");
    check("../precious/file", "`../precious/file` leads out of it");
    check("t/../../precious/file", "`t/../../precious/file` leads out of it");
    check("precious/file", "it has more than one top directory: `t` and `precious`");
    check("t/l", "`x` is a hard link to `l`, which is no file of it");
    check("t/d", "`x` is a hard link to `d`, which is no file of it");
    check("t/x", "`x` is a hard link to `x`, which is no file of it");
    check("t/nothing", "`x` is a hard link to `nothing`, which is no file of it");
    check("t", "`t/x` is a hard link to a directory");
    check("", "`t/x` is a link to nothing");
    let forward = [hard_link("t/x", "t/y"), file("t/y", "1")];
    refused_tar(&forward, "`x` is a hard link to `y`, which is no file of it");
}

#[test]
fn what_is_in_it_twice_is_refused_unless_both_are_directories() {
    let (file, link, dir) = (file("t/x", "1"), symlink("t/x", "y"), directory("t/x"));
    let inside = raw_tar::file("t/x/inside", "1");
    let hard = [raw_tar::file("t/y", "1"), hard_link("t/x", "t/y")];
    let twice = "`x` is in it twice";
    for first in [&file, &link] {
        for second in [&file, &link, &dir] {
            refused_tar(&[first.clone(), second.clone()], twice);
        }
        for directory in [&dir, &inside] {
            refused_tar(&[directory.clone(), first.clone()], twice);
        }
        refused_tar(&[hard[0].clone(), hard[1].clone(), first.clone()], twice);
        refused_tar(&[hard[0].clone(), first.clone(), hard[1].clone()], twice);
    }
    refused_tar(&[hard[0].clone(), dir.clone(), hard[1].clone()], twice);
    accepted_tar(&[dir.clone(), inside, dir], &["x/", "x/inside 644 1"]);
    let cases = [raw_tar::file("t/a", "1"), raw_tar::file("t/A", "2")];
    accepted_tar(&cases, &["A 644 2", "a 644 1"]);
}

#[test]
fn only_files_directories_and_links_are_unpacked() {
    let check = |kind: u8, name: &str| {
        let odd = Entry::new(kind, "t/x", "");
        refused_tar(&[file("t/good", "1"), odd], &format!("`t/x` is of the type {name}"));
    };
    check(b'3', "Char");
    check(b'4', "Block");
    check(b'6', "Fifo");
    check(b'S', "GNUSparse");
    check(b'g', "XGlobalHeader");
    for odd in b"AMNVXsz8\x01\xff" {
        check(*odd, &format!("__Nonexhaustive({odd})"));
    }
    refused_tar(&[file("t/good", "1"), Entry::new(b'V', "t", "")], "`t` is of the type __Nonexhaustive(86)");
    refused_tar(&[directory("t")], "there is no file in it");
    refused_tar(&[], "there is no file in it");
    accepted_tar(
        &[Entry::new(0, "t/old", "1"), Entry::new(b'7', "t/tight", "2")],
        &["old 644 1", "tight 644 2"],
    );
}

#[test]
fn a_size_that_is_not_true_is_refused() {
    let sized = |size: [u8; 12]| Entry { size, ..file("t/x", "content") };
    let base256 = |first: u8, rest: u8| {
        let mut field = [rest; 12];
        field[0] = first;
        field
    };
    let check = |size, problem: &str| refused_tar(&[sized(size), file("t/y", "1")], problem);
    check(octal(0), "numeric field was not a number:  when getting cksum for content");
    check(octal(5000), "unexpected EOF during skip");
    check(octal(0o77_777_777_777), "unexpected EOF during skip");
    check(base256(0x80, 0xff), "size overflow");
    check(base256(0xff, 0xff), "size overflow");
    check(*b"-0000000001\0", "numeric field was not a number: -0000000001 when getting size for t/x");
    check(*b"99999999999\0", "numeric field was not a number: 99999999999 when getting size for t/x");
    check(*b"ten\0\0\0\0\0\0\0\0\0", "numeric field was not a number: ten when getting size for t/x");
    let cut = |size: u64| {
        let mut whole = Entry { size: octal(size), ..file("t/x", "content") }.blocks();
        whole.truncate(512 + 7);
        gz(&whole)
    };
    refused(&cut(7), "unexpected EOF during skip");
    refused(&cut(1 << 32), "unexpected EOF during skip");
    for odd in [directory("t/x"), symlink("t/x", "y"), hard_link("t/x", "t/good")] {
        let hidden = Entry { content: file("t/hidden", "1").blocks(), size: octal(1024), ..odd };
        refused_tar(&[file("t/good", "1"), hidden], "`t/x` has content but is no file");
    }
}

#[test]
fn extended_headers_that_contradict_are_refused() {
    let check = |records: &[(&str, &str)], problem: &str| {
        refused_tar(&[file("t/good", "1"), pax(records), file("t/x", "content")], problem);
    };
    check(&[("size", "3")], "`t/x` has two sizes, 7 and 3");
    check(&[("size", "1024")], "`t/x` has two sizes, 7 and 1024");
    check(&[("size", "-1")], "`t/x` has a size that is no number");
    check(&[("size", "7"), ("size", "3")], "`t/x` has two extended headers `size`");
    check(&[("path", "t/a"), ("path", "../b")], "`t/a` has two extended headers `path`");
    check(&[("GNU.sparse.major", "1")], "`t/x` is a sparse file");
    let hidden = pax(&[("size", "1024")]);
    let inner = [file("t/evil", "1").blocks(), file("t/evil", "2").blocks()].concat();
    let desync = [hidden, Entry { content: inner, size: octal(0), ..file("t/x", "") }];
    refused_tar(&desync, "`t/x` has two sizes, 0 and 1024");
    let malformed = |text: &str| [Entry::new(b'x', "PaxHeaders/x", text), file("t/x", "1")];
    let none = "`t/x` has an extended header that is none: malformed pax extension";
    refused_tar(&malformed("999 path=../x\n"), none);
    refused_tar(&malformed("path=../x\n"), none);
    refused_tar(&malformed("12 path\n"), none);
    refused_tar(
        &[pax(&[("path", "t/a")])],
        "members found describing a future member but no future member found",
    );
    refused_tar(
        &[pax(&[("path", "t/a")]), pax(&[("path", "t/b")]), file("t/x", "1")],
        "two pax extensions entries describing the same member",
    );
    refused_tar(
        &[long(b'L', "t/a"), long(b'L', "t/b"), file("t/x", "1")],
        "two long name entries describing the same member",
    );
    accepted_tar(&[pax(&[("path", "t/a"), ("mtime", "1.5"), ("size", "1")]), file("t/x", "1")], &["a 644 1"]);
}

#[test]
fn modes_lose_what_is_dangerous_and_gain_what_is_needed() {
    let with = |name: &str, mode: u32| Entry { mode, ..file(name, "1") };
    let entries =
        [with("t/none", 0), with("t/setuid", 0o7755), with("t/world", 0o777), with("t/secret", 0o400)];
    accepted_tar(&entries, &["none 600 1", "secret 600 1", "setuid 755 1", "world 755 1"]);
    let unreadable = Entry { mode: 0, ..directory("t/d") };
    accepted_tar(&[unreadable, file("t/d/x", "1")], &["d/", "d/x 644 1"]);
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let place = Place::new();
    let before = tree(place.dir.path());
    let blocks = tar(&[directory("t"), file("t/a", "1"), file("t/b", &"2".repeat(700)), symlink("t/c", "a")]);
    let whole = gz(&blocks);
    let by_block = (0..blocks.len()).step_by(512).map(|length| gz(&blocks[..length]));
    let by_byte = (2..whole.len()).map(|length| whole[..length].to_vec());
    for cut in by_block.chain(by_byte) {
        let error = place.unpack(&cut).expect_err("cut off");
        assert!(matches!(error, InstallError::BadArchive { .. }), "{error}");
        fs::remove_file(place.dir.path().join("archive")).expect("removed");
        assert_eq!(tree(place.dir.path()), before, "{error}");
    }
    accepted(&whole, &["a 644 1", &format!("b 644 {}", "2".repeat(700)), "c -> a"]);
}

#[test]
fn what_comes_after_the_end_is_refused_unless_it_is_nothing() {
    let blocks = tar(&[file("t/x", "1")]);
    let whole = gz(&blocks);
    refused(&[&whole[..], b"x"].concat(), "unexpected end of file");
    refused(&[&whole[..], b"a little garbage"].concat(), "invalid gzip header");
    refused(
        &[&whole[..], &gz(&tar(&[file("t/evil", "1")]))].concat(),
        "it does not end where an archive ends",
    );
    refused(
        &gz(&[&blocks[..], &file("t/evil", "1").blocks()].concat()),
        "it does not end where an archive ends",
    );
    let mut wrong = whole.clone();
    let crc = wrong.len() - 8;
    wrong[crc] ^= 1;
    refused(&wrong, "corrupt gzip stream does not have a matching checksum");
    let mut wrong = whole.clone();
    let length = wrong.len() - 4;
    wrong[length] ^= 1;
    refused(&wrong, "corrupt gzip stream does not have a matching checksum");
    refused(b"\x1f\x8b", "unexpected end of file");
    refused(&gz(b""), "it does not end where an archive ends");
    refused(
        &gz(b"not a tar, but long enough to be the first of its blocks").repeat(20),
        "numeric field was not a number:  first o when getting cksum for not a tar, but long enough to be the first of its blocksnot a tar, but long enough to be the first o",
    );
    accepted(&gz(&[&blocks[..], &[0; 10_240]].concat()), &["x 644 1"]);
    let (one, other) = blocks.split_at(700);
    accepted(&[gz(one), gz(other)].concat(), &["x 644 1"]);
}

/// `count` times 16 MiB of zeros as members of one gzip file, a thousandth as long.
fn zeros(count: usize) -> Vec<u8> {
    gz(&vec![0; 16 << 20]).repeat(count)
}

#[test]
fn bombs_are_refused_long_before_they_have_gone_off() {
    let header = Entry { size: octal(1 << 30), ..file("t/x", "") }.blocks();
    let bomb = [gz(&header), zeros(64)].concat();
    let most = (bomb.len() as u64) * 30 + (16 << 20);
    refused(&bomb, &format!("it unpacks to more than {most} bytes"));
    let between = "more than 1048576 bytes lie between two files";
    let long_name = Entry { size: octal(1 << 30), ..Entry::new(b'L', "././@LongLink", "") }.blocks();
    refused(&[gz(&long_name), zeros(64)].concat(), between);
    let end = tar(&[file("t/x", "1")]);
    refused(&[gz(&end), zeros(64)].concat(), between);
    let entries = directory("t/d").blocks().repeat(30_001);
    refused(&gz(&entries), "it has more than 30000 entries");
    let extended = pax(&[("comment", "x")]).blocks().repeat(30_001);
    refused(&gz(&extended), "two pax extensions entries describing the same member");
}

/// What the `zip` crate says of a wheel whose headers and directory contradict each other.
fn inconsistent(problem: &str) -> String {
    format!("invalid Zip archive: header inconsistency detected: {problem}")
}

fn mismatch(what: &str) -> String {
    inconsistent(&format!("{what} mismatch (does not match central directory)"))
}

fn wheel(entries: &[raw_zip::Entry]) -> Vec<u8> {
    zip(entries, None, b"")
}

#[test]
fn a_wheel_is_unpacked_below_its_prefix() {
    let script = raw_zip::Entry { mode: 0o104_755, ..stored("p/bin/tool", "2") };
    let entries = [
        stored("other/x", "0"),
        stored("p/", ""),
        deflated("p/a", b"1"),
        script,
        stored("p/with space/gr\u{fc}n", "3"),
        stored("p/a\\b", "4"),
    ];
    let expected = [
        "a 644 1",
        "a\\\\b 644 4",
        "bin/",
        "bin/tool 755 2",
        "with space/",
        "with space/gr\\xc3\\xbcn 644 3",
    ];
    accepted(&wheel(&entries), &expected);
}

#[test]
fn a_wheel_with_a_name_that_leads_out_or_is_none_is_refused() {
    let check = |name: &str, problem: &str| {
        refused(&wheel(&[stored("p/good", "1"), stored(name, "evil")]), problem);
    };
    check("/etc/x", "`/etc/x` leads out of it");
    check("../x", "`../x` leads out of it");
    check("p/../../x", "`p/../../x` leads out of it");
    check("p/..", "`p/..` leads out of it");
    check("p/./../x", "`p/./../x` leads out of it");
    check("", "an entry has no name");
    check("p/a\0b", "`p/a\\u{0}b` has a control character in it");
    check("p", "`p` is no directory but stands at the top");
    check("p/good/x", "`good/x` lies behind a link or a file");
    check("p//good", "`good` is in it twice");
    check("p/.dpgui-receipt.json", "`.dpgui-receipt.json` is a name that dpgui uses itself");
    check(
        &format!("p/{}", "n".repeat(256)),
        &format!("`p/{}…` has a longer name or link than dpgui takes", "n".repeat(38)),
    );
    let of_mode = |mode: u32| {
        let odd = raw_zip::Entry { mode, ..stored("p/x", "/etc") };
        refused(&wheel(&[stored("p/good", "1"), odd]), "`p/x` is neither a file nor a directory");
    };
    for mode in [0o120_777, 0o010_644, 0o020_644, 0o060_644, 0o140_644, 0o040_755] {
        of_mode(mode);
    }
    let dir = raw_zip::Entry { mode: 0o100_644, ..stored("p/x/", "") };
    refused(&wheel(&[stored("p/good", "1"), dir]), "`p/x/` is neither a file nor a directory");
    refused(
        &wheel(&[stored("p/good", "1"), stored("p/x/", "1")]),
        "`p/x/` is neither a file nor a directory",
    );
    refused(&wheel(&[stored("other", "1")]), "there is no file in it");
    refused(&wheel(&[]), "there is no file in it");
}

#[test]
fn a_wheel_that_says_two_things_is_refused() {
    let check = |change: &dyn Fn(&mut raw_zip::Entry), problem: &str| {
        let mut odd = stored("p/x", "content");
        change(&mut odd);
        refused(&wheel(&[stored("p/good", "1"), odd]), problem);
    };
    check(&|it| it.local.name = b"p/y".to_vec(), &mismatch("Local file header filename"));
    check(&|it| it.local.name = b"../x".to_vec(), &mismatch("Local file header filename"));
    check(&|it| it.local.crc ^= 1, &mismatch("CRC32 checksum"));
    check(&|it| it.central.crc ^= 1, &mismatch("CRC32 checksum"));
    check(&|it| it.local.size += 1, &mismatch("uncompressed size"));
    check(&|it| it.central.size += 1, &mismatch("uncompressed size"));
    check(&|it| it.local.compressed += 1, &mismatch("compressed size"));
    check(&|it| it.central.compressed += 1, &mismatch("compressed size"));
    check(&|it| it.local.method = 8, &mismatch("compression method"));
    check(&|it| it.local.flags |= 1, &inconsistent("encryption flag mismatch for 'p/x'"));
    check(&|it| it.local.flags |= 8, &inconsistent("data descriptor flag mismatch for 'p/x'"));
    check(&|it| it.offset = Some(0), &mismatch("Local file header filename"));
    check(
        &|it| it.offset = Some(100_000),
        "invalid Zip archive: Unexpected end of zip::format::blocks::ZipLocalEntryBlock",
    );
    check(&|it| it.is_listed = false, &inconsistent("local file header missing from central directory"));
}

#[test]
fn a_wheel_that_says_the_same_untruth_twice_is_refused() {
    let both = |change: &dyn Fn(&mut raw_zip::Header), problem: &str| {
        let mut odd = stored("p/x", "content");
        change(&mut odd.local);
        change(&mut odd.central);
        refused(&wheel(&[stored("p/good", "1"), odd]), problem);
    };
    both(&|it| it.crc ^= 1, "`x` cannot be read: Invalid checksum");
    both(&|it| it.size -= 1, "`x` cannot be read: File is larger than its declared uncompressed size");
    both(&|it| it.size = u32::MAX, "`p/x` is not as long as it says");
    both(&|it| it.flags |= 1, "unsupported Zip archive: Password required to decrypt file");
    both(&|it| it.method = 99, "`x` cannot be read: compression method not supported: 99");
    both(&|it| it.method = 12, "`x` cannot be read: compression method not supported: 12");
    both(&|it| it.method = 8, "`x` cannot be read: incomplete deflate stream");
    // ZIP64: 16 bytes that say 2^40 and 7.
    let zip64 = [&[1, 0, 16, 0][..], &(1_u64 << 40).to_le_bytes(), &7_u64.to_le_bytes()].concat();
    both(
        &|it| {
            it.extra.clone_from(&zip64);
            it.size = u32::MAX;
            it.compressed = u32::MAX;
        },
        "`p/x` is not as long as it says",
    );
    refused(
        &wheel(&[stored("p/x", "1"), stored("p/x", "2")]),
        &inconsistent("duplicate file names in central directory"),
    );
    let good = [stored("p/x", "1"), stored("p/y", "2")];
    refused(&zip(&good, Some(1), b""), &inconsistent("local file header missing from central directory"));
    refused(
        &zip(&good, Some(3), b""),
        "invalid Zip archive: Unexpected end of zip::format::blocks::ZipCentralEntryBlock",
    );
    refused(
        &zip(&good, Some(u16::MAX), b""),
        "invalid Zip archive: Unexpected end of zip::format::blocks::ZipCentralEntryBlock",
    );
}

#[test]
fn a_wheel_that_is_cut_off_or_has_something_around_it_is_refused() {
    let place = Place::new();
    let before = tree(place.dir.path());
    let whole = wheel(&[stored("p/x", "1"), deflated("p/y", b"22222222222222")]);
    for length in 0..whole.len() {
        let error = place.unpack(&whole[..length]).expect_err("cut off");
        assert!(matches!(error, InstallError::BadArchive { .. }), "{length}: {error}");
        fs::remove_file(place.dir.path().join("archive")).expect("removed");
        assert_eq!(tree(place.dir.path()), before, "{length}: {error}");
    }
    refused(&[&whole[..], b"x"].concat(), "it does not end where an archive ends");
    let commented = zip(&[stored("p/x", "1")], None, b"a comment");
    refused(&commented, "it does not end where an archive ends");
    refused(&[b"x", &whole[..]].concat(), "invalid Zip archive: No CDFH found");
    refused(&[&whole[..], &wheel(&[stored("p/z", "1")])].concat(), "it does not end where an archive ends");
    let inner = wheel(&[stored("p/evil", "1")]);
    refused(&zip(&[stored("p/x", "1")], None, &inner), "it does not end where an archive ends");
}

#[test]
fn a_wheel_that_is_a_bomb_is_refused_long_before_it_has_gone_off() {
    let bomb = wheel(&[deflated("p/x", &vec![0; 128 << 20])]);
    let most = (bomb.len() as u64) * 30 + (16 << 20);
    refused(&bomb, &format!("it unpacks to more than {most} bytes"));
    // One piece of data for many names, as in the "better zip bomb".
    let shared = deflated("p/0", &vec![0; 1 << 20]);
    let again = |name: &str| {
        let mut entry = raw_zip::Entry { offset: Some(0), data: vec![], ..shared.clone() };
        entry.central.name = name.into();
        entry
    };
    refused(&wheel(&[shared.clone(), again("p/1"), again("p/2")]), &mismatch("Local file header filename"));
    let many: Vec<raw_zip::Entry> = (0..30_001).map(|n| stored(format!("p/{n}"), "")).collect();
    refused(&wheel(&many), "it has more than 30000 entries");
}

/// What a tree holds at one path.
#[derive(Clone, Debug)]
enum Held {
    File { mode: u32, content: Vec<u8> },
    Directory,
    Link(PathBuf),
}

fn held() -> impl Strategy<Value = Held> {
    let mode = prop_oneof![Just(0o644), Just(0o755), Just(0o600)];
    prop_oneof![
        4 => (mode, vec(any::<u8>(), 0..2000)).prop_map(|(mode, content)| Held::File { mode, content }),
        1 => Just(Held::Directory),
        1 => "[a-c]{1,3}".prop_map(|name| Held::Link(name.into())),
    ]
}

/// Paths that meet often, some with long or foreign names; nothing lies behind a file or a link.
fn a_tree() -> impl Strategy<Value = BTreeMap<PathBuf, Held>> {
    let name = prop_oneof![4 => "[a-c]{1,3}", 1 => "\\PC{1,60}", 1 => "n{90,255}"]
        .prop_filter("a name", |it| !it.contains('/') && it.len() <= 255 && it != "." && it != "..");
    let path = vec(name, 1..4).prop_map(|names| names.iter().collect::<PathBuf>());
    btree_map(path, held(), 1..20).prop_map(|mut tree| {
        let all: Vec<PathBuf> = tree.keys().cloned().collect();
        for path in all {
            let is_leaf = |it: &Path| tree.get(it).is_some_and(|held| !matches!(held, Held::Directory));
            if path.ancestors().skip(1).any(is_leaf) {
                tree.remove(&path);
            }
        }
        tree.insert("always".into(), Held::File { mode: 0o644, content: b"there".to_vec() });
        tree
    })
}

fn write_tree(dir: &Path, tree: &BTreeMap<PathBuf, Held>) {
    for (path, held) in tree {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("below")).expect("created");
        match held {
            Held::Directory => fs::create_dir_all(&path).expect("created"),
            Held::Link(target) => std::os::unix::fs::symlink(target, &path).expect("linked"),
            Held::File { mode, content } => {
                fs::write(&path, content).expect("written");
                fs::set_permissions(&path, fs::Permissions::from_mode(*mode)).expect("allowed");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_that_was_packed_is_the_same_after_unpacking(wanted in a_tree()) {
        let place = Place::new();
        let from = place.dir.path().join("from");
        write_tree(&from, &wanted);
        let mut packed = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
        packed.follow_symlinks(false);
        packed.append_dir_all("top", &from).expect("packed");
        let bytes = packed.into_inner().expect("finished").finish().expect("written");
        place.unpack(&bytes).expect("unpacked");
        prop_assert_eq!(tree(&place.live()), tree(&from));
    }
}
