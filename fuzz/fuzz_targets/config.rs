//! Any text as a training file, and after a NUL as the dataset file that it names: findings or a reason, no panic.
//! What is mended, and the copy of a run, is still TOML.
#![no_main]

use std::{fs, path::Path};

use dpgui::{
    config::{self, Severity, portable, source::Source},
    platform::Env,
    workspace::Workspace,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (training, dataset) = text.split_once('\0').unwrap_or((text, ""));
    for text in [training, dataset] {
        let Ok(source) = Source::parse(Path::new("a.toml"), text.to_owned()) else { continue };
        assert!(source.is(text), "not the same any more");
        let (copy, found) = portable::rewrite(&source, &portable::Replaced::new());
        if !found.iter().any(|it| it.severity == Severity::Error) {
            Source::parse(Path::new("a.toml"), copy).unwrap_or_else(|cause| panic!("the copy: {cause}"));
        }
    }
    let dir = tempfile::tempdir().expect("a temp dir");
    let place = dir.path().join("t.toml");
    fs::write(&place, training).expect("written");
    fs::write(dir.path().join("d.toml"), dataset).expect("written");
    let workspace = Workspace::at(dir.path());
    let check = || config::check(&place, &workspace, &Env::default(), Some(2));
    let mut checked = check();
    // The text may name a file of somebody else's.
    checked
        .findings
        .retain(|it| it.edit.as_ref().is_none_or(|edit| edit.file().parent() == Some(dir.path())));
    config::mend(&checked).unwrap_or_else(|cause| panic!("mended: {cause}"));
    check();
});
