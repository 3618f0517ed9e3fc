//! Any bytes as a bundle, or entries of the fuzzer's choice with a list that is mostly true: what is in the cache afterwards
//! is what its name says, what is in the workspace is a lock, and nothing else was touched.
#![no_main]

#[path = "../../tests/it/support/raw_tar.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod raw_tar;
#[allow(dead_code, reason = "the unpackers use all of it")]
mod unpack;

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use dpgui::{
    error::{Kind, Report},
    install::{bundle, cache::Cache},
    output::{Mode, Output},
    platform::{Arch, digest::Sha256, lock::Lock},
    vendor::lock::LockFile,
    workspace::Workspace,
};
use libfuzzer_sys::fuzz_target;
use raw_tar::Entry;

const LOCK: &str = "version = 1\nrules = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n\n[repositories]\n\n[archives]\n";

const COMMIT: &str = "0123456789012345678901234567890123456789";

const IN_REPOSITORIES: [&str; 8] = [
    "HEAD",
    "shallow",
    "packed-refs",
    "objects/ab/cd",
    "refs/dpgui/pin",
    "config",
    "objects/info/x",
    "hooks/x",
];

static LOCKS: OnceLock<tempfile::TempDir> = OnceLock::new();

static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();

/// A file of eight bytes, each of which means something. What the list says of it comes back too.
fn file(choice: &[u8]) -> (Entry, String) {
    let mut content = vec![b'x'; usize::from(choice[6])];
    let path = String::from_utf8_lossy(&unpack::path(&choice[1..5])).into_owned();
    let inside = IN_REPOSITORIES[usize::from(choice[1] % 8)];
    let path = match choice[0] % 9 {
        0 => {
            content = LOCK.into();
            "dpgui.lock".to_owned()
        }
        1 => "dpgui".to_owned(),
        2 | 3 => format!("downloads/{}", Sha256::of(&content)),
        4 => format!("downloads/{path}"),
        5 | 6 => format!("repositories/{COMMIT}.git/{inside}"),
        7 => format!("repositories/{COMMIT}.git/objects/{path}"),
        _ => path,
    };
    let (mut size, mut digest) = (content.len() as u64, Sha256::of(&content));
    match choice[5] {
        0 => size += u64::from(choice[7]),
        1 => size = u64::MAX,
        2 => digest = Sha256::of("another"),
        _ => {}
    }
    let listed = format!(r#"{{"path":"{}","size":{size},"sha256":"{digest}"}}"#, escaped(&path));
    let kind = if choice[5] == 3 { b"0123456xLKg"[usize::from(choice[7]) % 11] } else { b'0' };
    let mut entry = Entry::new(kind, &path.as_bytes()[..path.len().min(100)], content);
    entry.link = b"../../precious/file".to_vec();
    if choice[5] == 4 {
        entry.size = raw_tar::octal(u64::from(choice[7]));
    }
    (entry, listed)
}

/// As JSON has it.
fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut all, c| {
        match c {
            '"' | '\\' => all.extend(['\\', c]),
            c if c.is_control() => write!(all, "\\u{:04x}", u32::from(c)).expect("a string takes everything"),
            c => all.push(c),
        }
        all
    })
}

fn bundled(data: &[u8]) -> Option<Vec<u8>> {
    let (first, rest) = data.split_first()?;
    Some(match first {
        0 => rest.to_vec(),
        1 => {
            let mut blocks = rest.to_vec();
            raw_tar::mend_checksums(&mut blocks);
            blocks
        }
        _ => {
            let (entries, listed): (Vec<Entry>, Vec<String>) =
                rest.chunks_exact(8).take(64).map(file).unzip();
            let list = format!(
                r#"{{"schema":1,"dpgui":"0","arch":"x86_64","environments":[],"files":[{}]}}"#,
                listed.join(",")
            );
            raw_tar::tar(&[vec![raw_tar::file("dpgui-bundle.json", &list)], entries].concat())
        }
    })
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else {
            assert!(kind.is_file(), "{} is no file", entry.path().display());
            found.push(entry.path());
        }
    }
    found
}

fn is_right(path: &Path, cache: &Path) {
    let name = path.strip_prefix(cache).expect("inside");
    let mut parts = name.iter().map(|it| it.to_string_lossy());
    match parts.next().as_deref() {
        Some("downloads") => {
            let digest = Sha256::of(fs::read(path).expect("readable"));
            assert_eq!(name, Path::new("downloads").join(digest.to_string()));
        }
        Some("repositories") => {
            assert_eq!(parts.next().as_deref(), Some(&*format!("{COMMIT}.git")), "{}", name.display());
            let first = parts.next().unwrap_or_default();
            let second = parts.next().unwrap_or_default();
            let known = ["HEAD", "shallow", "packed-refs", "objects", "refs"].contains(&&*first);
            assert!(known && (&*first, &*second) != ("objects", "info"), "{}", name.display());
        }
        Some("locks") => {}
        _ => assert_eq!(name, Path::new("CACHEDIR.TAG")),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some(bytes) = bundled(data) else { return };
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temp dir");
        fs::create_dir(dir.path().join("precious")).expect("created");
        fs::write(dir.path().join("precious/file"), "precious").expect("written");
        dir
    });
    let dir = dir.path();
    let (file, cache, root) = (dir.join("bundle"), dir.join("cache"), dir.join("w"));
    fs::write(&file, bytes).expect("written");
    let progress = Output::new(Mode::Plain).progress("fuzz");
    let places = (&Cache::at(cache.clone(), u64::MAX), &Workspace::at(&root));
    // As the setup's lock does, which lies in the workspace; this one is out of the way of what is counted.
    let alone = || {
        fs::create_dir_all(&root).expect("made");
        let locks = LOCKS.get_or_init(|| tempfile::tempdir().expect("a temp dir"));
        Ok(Lock::wait(&locks.path().join("setup.lock")).expect("nobody else is here"))
    };
    let brought = bundle::bring(
        &file,
        places,
        Arch::X86_64,
        (&progress, bundle::Terms { alone: &alone, accept: &|_| Ok(()) }),
    );
    assert_eq!(fs::read_to_string(dir.join("precious/file")).expect("there"), "precious");
    assert_eq!(fs::read_dir(dir.join("precious")).expect("there").count(), 1);
    assert!(fs::read_dir(dir).expect("there").count() <= 4, "something is beside the cache");
    files(&cache).iter().for_each(|it| is_right(it, &cache));
    for path in files(&root) {
        assert_eq!(path, root.join("dpgui.lock"));
        LockFile::parse(&fs::read_to_string(path).expect("text")).expect("a lock that can be read");
    }
    if let Err(error) = brought {
        let is_known = [Kind::Integrity, Kind::Unsupported, Kind::Usage].contains(&error.kind());
        assert!(is_known, "{error:?}");
        assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}");
        assert!(!root.join("dpgui.lock").exists(), "a lock comes with what it names");
    }
    for made in [cache, root] {
        if made.exists() {
            fs::remove_dir_all(made).expect("removed");
        }
    }
});
