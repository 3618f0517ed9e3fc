//! Archives of the right shape for the setup tests, packed from what this machine has.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, write::GzEncoder};

/// A `.tar.gz` in memory from names, modes and contents.
pub(crate) fn tar_gz(entries: &[(&str, u32, &str)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(vec![], Compression::fast()));
    for (name, mode, content) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content.as_bytes()).expect("appended");
    }
    tar.into_inner().expect("finished").finish().expect("written")
}

/// A small Node of the right shape, which knows its version.
pub(crate) fn node(version: &str) -> Vec<u8> {
    let script = format!("#!/bin/sh\necho v{version}\n");
    let noise: String = (0..40_000_u32)
        .map(|n| {
            char::from(b'a' + u8::try_from(n.wrapping_mul(2_654_435_761) >> 27).expect("five bits") % 26)
        })
        .collect();
    let top = format!("node-v{version}-linux-x64");
    tar_gz(&[
        (&format!("{top}/bin/node"), 0o755, &script),
        (&format!("{top}/bin/npm"), 0o755, "#!/bin/sh\n"),
        (&format!("{top}/lib/big.txt"), 0o644, &noise),
    ])
}

/// python-build-standalone's shape, packed from the interpreter `python`, its tests and caches left out.
pub(crate) fn cpython(python: &Path, to: &Path) -> PathBuf {
    let base = Command::new(python)
        .args(["-c", "import sys; print(sys.base_prefix)"])
        .output()
        .expect("python runs");
    let base = PathBuf::from(String::from_utf8_lossy(&base.stdout).trim());
    let archive = to.join("cpython.tar.gz");
    let mut tar =
        tar::Builder::new(GzEncoder::new(File::create(&archive).expect("created"), Compression::fast()));
    tar.follow_symlinks(false);
    add(&mut tar, &base, Path::new("python"));
    tar.into_inner().expect("finished").finish().expect("written");
    archive
}

fn add(tar: &mut tar::Builder<GzEncoder<File>>, from: &Path, to: &Path) {
    const LEFT_OUT: [&str; 5] = ["__pycache__", "test", "site-packages", "share", "idlelib"];
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), to.join(entry.file_name()));
        if LEFT_OUT.iter().any(|it| *it == entry.file_name()) {
            continue;
        }
        if entry.file_type().expect("a type").is_dir() {
            add(tar, &path, &name);
        } else {
            tar.append_path_with_name(&path, &name).expect("appended");
        }
    }
}
