//! Any text as `dpgui.lock`: what is read is what is written again, and what is written again is what is read.
#![no_main]

use dpgui::vendor::lock::{LockFile, Packages};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let lock = match LockFile::parse(text) {
        Ok(lock) => lock,
        Err(error) => {
            let _ = error.to_string();
            return;
        }
    };
    let printed = lock.to_string();
    let again = LockFile::parse(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    assert_eq!(again, lock, "{printed}");
    assert_eq!(again.to_string(), printed);
    for environment in lock.python.values() {
        let packages = &environment.packages;
        let _ = packages.size();
        // Each line is one package with its digest and nothing that pip would take for more.
        let requirements = Packages::requirements(&packages.0);
        assert_eq!(requirements.lines().count(), packages.0.len());
        for (line, package) in requirements.lines().zip(&packages.0) {
            assert_eq!(line.split_whitespace().count(), 2, "{line}");
            assert!(!line.starts_with('-') && !package.file.contains('/'), "{line}");
        }
    }
});
