//! What both unpackers promise of any archive: nothing outside the target is touched, and what is inside is plain.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use dpgui::{
    error::{Kind, Report},
    install::InstallError,
};

/// Names that meet, and what is between, before and behind names.
const PARTS: [&[u8]; 16] = [
    b"",
    b"",
    b"a",
    b"b",
    b"a/",
    b"b/",
    b"/",
    b"..",
    b"../",
    b".",
    b"./",
    b"\\",
    b"\x1b",
    b"\xff",
    b"precious/file",
    b".dpgui-receipt.json",
];

static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();

/// A path of the fuzzer's choice.
pub fn path(choice: &[u8]) -> Vec<u8> {
    choice.iter().flat_map(|byte| PARTS[usize::from(byte % 16)]).copied().collect()
}

/// Writes `bytes` to a file, lets `unpack` have it, and looks at what became of the place.
pub fn check<T>(bytes: &[u8], unpack: impl FnOnce(&Path, &Path) -> Result<T, InstallError>) {
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a temp dir");
        fs::create_dir(dir.path().join("precious")).expect("created");
        fs::write(dir.path().join("precious/file"), "precious").expect("written");
        dir
    });
    let dir = dir.path();
    let (archive, target) = (dir.join("archive"), dir.join("target"));
    fs::write(&archive, bytes).expect("written");
    fs::create_dir(&target).expect("created");
    let before = surroundings(dir);
    let unpacked = unpack(&archive, &target);
    assert_eq!(surroundings(dir), before, "something outside was touched");
    let written = plain_bytes(&target, &target);
    match unpacked {
        Ok(_) => assert!(written > 0 || !bytes.is_empty()),
        Err(error) => {
            assert_eq!(error.kind(), Kind::Integrity, "{error:?}");
            assert!(!error.to_string().contains(|c: char| c.is_control()), "{error:?}");
        }
    }
    // Thirty to one, 16 MiB for nothing, and the block in which the limit was noticed.
    assert!(written <= bytes.len() as u64 * 30 + (16 << 20) + (1 << 20), "{written} bytes");
    fs::remove_dir_all(&target).expect("removed");
}

/// Names, sizes, link counts and contents beside the target.
fn surroundings(dir: &Path) -> (Vec<PathBuf>, u64, String) {
    let mut names: Vec<PathBuf> = list(dir).chain(list(&dir.join("precious"))).collect();
    names.sort();
    let precious = dir.join("precious/file");
    let links = precious.metadata().expect("there").nlink();
    (names, links, fs::read_to_string(precious).expect("there"))
}

/// Bytes in all files; everything must be a file, a directory or a link that stays inside.
fn plain_bytes(dir: &Path, target: &Path) -> u64 {
    list(dir)
        .map(|path| {
            let found = path.symlink_metadata().expect("there");
            if found.is_dir() {
                plain_bytes(&path, target)
            } else if found.is_symlink() {
                let leads_to = path.canonicalize().unwrap_or_else(|_| target.to_owned());
                assert!(leads_to.starts_with(target), "{} leads to {}", path.display(), leads_to.display());
                0
            } else {
                assert!(found.is_file(), "{}", path.display());
                assert_eq!(found.permissions().mode() & 0o7022, 0, "{}", path.display());
                found.len()
            }
        })
        .sum()
}

fn list(dir: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").path())
}
