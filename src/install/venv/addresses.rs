//! Where the locked files are: asked of uv, which knows the user's indexes, their passwords and their order.
//!
//! Nothing is resolved: `uv pip compile --no-deps` with one exact version each looks up the index pages, and
//! writes what they offer with addresses and digests (PEP 751).

use std::collections::HashMap;

use crate::{
    platform::{digest::Sha256, fs, place::Place},
    vendor::lock::{Package, Packages},
};

use super::super::{
    InstallError, index_settings,
    lock::resolve,
    packages::{Answer, TorchIndex},
    program,
    python::Version,
    step::Site,
    uv::Uv,
};
use super::credentials::Credentials;

/// The address of each of `packages` that an index offers with this digest.
pub(super) fn find(
    site: &Site,
    uv: &Uv,
    (answer, python): (&Answer, Version),
    packages: &[&Package],
) -> Result<HashMap<Sha256, Place>, InstallError> {
    if packages.is_empty() {
        return Ok(HashMap::new());
    }
    let dir = site.workspace.derived();
    fs::create_dir_all(&dir)?;
    let (from, to) = (dir.join("addresses.txt"), dir.join("pylock.addresses.toml"));
    fs::write_atomic(&from, Packages::requirements(packages.iter().copied()))?;
    let version = format!("{}.{}", python.0, python.1);
    let platform = resolve::platform(site.host.arch);
    let env = index_settings::locked_env(site);
    let mut command = uv
        .command(&env)?
        .args(["pip", "compile", "--quiet", "--no-deps", "--generate-hashes", "--no-python-downloads"])
        .args(["--python-platform", &platform, "--python-version", &version])
        .arg(&from)
        .arg("--output-file")
        .arg(&to);
    if answer.index == TorchIndex::Cpu {
        command = command.args(["--torch-backend", "cpu"]);
    }
    program::run(site.http.halt(), &command, "uv pip compile", &mut |_| ())?;
    let found = resolve::read(&to)?;
    let credentials = Credentials::of(&env);
    let place = |url: &String| Some(credentials.fill(url.parse().ok()?));
    let files = found.packages.iter().flat_map(|it| it.wheels.iter().chain(&it.sdist));
    let address = |file: &resolve::File| Some((file.hashes.sha256?, place(file.url.as_ref()?)?));
    Ok(files.filter_map(address).collect())
}
