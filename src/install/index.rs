//! Wheels straight from the Python package index, with the user's own pip and its configuration.
//!
//! This is the way out where only a package index can be reached: companies, rented machines, CI.

use std::path::{Path, PathBuf};

use crate::{
    output::{Progress, size},
    platform::{
        checkpoint::{Checkpoint, reach},
        digest::{Hasher, Sha256},
        fs,
        net::NetError,
        process::CommandSpec,
    },
    vendor::{VendorError, sources::Wheel},
};

use super::{InstallError, cache::Held, program, python, step::Site};

/// Downloads `wheel` for this architecture by `pip download` into the cache, and checks its digest, which pip is told
/// too.
pub fn fetch_wheel(site: &Site, wheel: &Wheel, progress: &Progress) -> Result<Held, InstallError> {
    let arch = site.host.arch;
    let no_digest = || VendorError::NoDigest { name: wheel.package.clone(), arch };
    let sha256 = *wheel.sha256.get(&arch).ok_or_else(no_digest)?;
    if let Some(held) = site.cache.take(sha256)? {
        return Ok(held);
    }
    if site.http.is_offline() {
        return Err(NetError::Offline { url: "the Python package index".to_owned() }.into());
    }
    progress.doing("looking for a Python with pip");
    let python = python::with_pip(site).ok_or(InstallError::NoPip)?;
    let waiting = || progress.doing("waiting for another setup that fetches the same wheel");
    let Some(alone) = site.cache.alone(sha256, waiting)? else { return fetch_wheel(site, wheel, progress) };
    if site.cache.is_sound(sha256)? {
        drop(alone);
        return fetch_wheel(site, wheel, progress);
    }
    let dir = site.cache.for_pip(sha256);
    let mut found = verified_wheel(&dir, sha256)?;
    if found.is_none() {
        download(site, wheel, (sha256, &dir, &python), progress)?;
        found = verified_wheel(&dir, sha256)?;
    }
    let from = format!("{} from the package index", wheel.package);
    let path = found.ok_or_else(|| InstallError::BadArchive {
        archive: dir.clone(),
        problem: format!("pip left no wheel there that is the pinned {from}"),
    })?;
    // Else a power cut could leave its name in the cache without its bytes.
    fs::sync_file(&path).map_err(|source| site.cache.failed(source))?;
    reach(Checkpoint::Downloaded);
    let Some(held) = site.cache.keep(&path, sha256, alone)? else {
        return fetch_wheel(site, wheel, progress);
    };
    fs::remove_tree(&dir).map_err(|source| site.cache.failed(source))?;
    Ok(held)
}

fn download(
    site: &Site,
    wheel: &Wheel,
    (sha256, dir, python): (Sha256, &Path, &Path),
    progress: &Progress,
) -> Result<(), InstallError> {
    let requirement = dir.join("requirement.txt");
    let line = format!("{}=={} --hash=sha256:{sha256}\n", wheel.package, wheel.version);
    let write = || fs::create_dir_all(dir).and_then(|()| fs::write_atomic(&requirement, line));
    write().map_err(|source| site.cache.failed(source))?;
    let what = format!("{} {} from the package index, through pip", wheel.package, wheel.version);
    progress.doing(&*what);
    // pip collects what arrives under its directory for temporary files: there it can be seen growing.
    let mut env = site.tool_env();
    env.set("TMPDIR", dir);
    let command = CommandSpec::new(python, &env, dir)
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"])
        .args(["--disable-pip-version-check", "--no-input", "--dest"])
        .arg(dir)
        .arg("--requirement")
        .arg(&requirement);
    let look = |_| {
        let arrived = arrived(dir);
        progress.doing(format!("{what}: {}", size::bytes(arrived)));
        progress.fetched(arrived, None);
    };
    program::run_watched(site.http.halt(), &command, "pip download", &mut |_| (), &look)?;
    Ok(())
}

/// Bytes in the directories that pip made in `dir`; what vanishes meanwhile counts as nothing.
fn arrived(dir: &Path) -> u64 {
    let inside = |dir: &Path| fs::names(dir).unwrap_or_default();
    let files = inside(dir).into_iter().map(|it| dir.join(it)).filter(|it| fs::is_dir(it)).flat_map(|it| {
        let names = inside(&it);
        names.into_iter().map(move |name| it.join(name))
    });
    files.filter(|it| fs::is_file(it)).map(|it| fs::size(&it).unwrap_or(0)).sum()
}

fn verified_wheel(dir: &Path, sha256: Sha256) -> Result<Option<PathBuf>, InstallError> {
    for name in fs::names(dir)? {
        let path = dir.join(&name);
        if path.extension().is_some_and(|it| it == "whl") {
            let mut hasher = Hasher::default();
            hasher.update_from(&mut fs::open(&path)?).map_err(fs::context("read", &path))?;
            if hasher.finish() == sha256 {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pip_has_got_so_far_is_counted_in_its_own_directories() {
        let dir = tempfile::tempdir().expect("a temp dir");
        fs::write_atomic(&dir.path().join("requirement.txt"), "not a part of it").expect("written");
        assert_eq!(arrived(dir.path()), 0);
        fs::create_dir_all(&dir.path().join("pip-unpack-x1")).expect("created");
        fs::write_atomic(&dir.path().join("pip-unpack-x1/uv.whl"), vec![0; 1000]).expect("written");
        assert_eq!(arrived(dir.path()), 1000);
    }
}
