//! Small libraries in C between the program and the system.

use std::{path::PathBuf, process::Command};

use super::sandbox::Sandbox;

/// Builds `tests/it/NAME.c` for `LD_PRELOAD`, once a sandbox.
pub(crate) fn library(sandbox: &Sandbox, name: &str) -> PathBuf {
    let built = sandbox.path(format!("{name}.so"));
    if !built.exists() {
        let source = format!("{}/tests/it/{name}.c", env!("CARGO_MANIFEST_DIR"));
        let status =
            Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&built).arg(source).status();
        assert!(status.expect("cc starts, as it links Rust").success());
    }
    built
}
