//! Which packages a list of requirements comes to: asked of uv, with one file chosen for each.

use std::path::Path;

use serde::Deserialize;

use crate::{
    output::Progress,
    platform::{Arch, digest::Sha256, fs},
    vendor::{
        lock::{Package, Packages},
        requirements::package_name,
    },
};

use super::super::{
    InstallError, index_settings,
    lock::LockedError,
    packages::{Question, TorchIndex},
    program,
    python::{Python, Version},
    step::Site,
    uv::Uv,
};

/// The oldest C library that torch's wheels run on, and so every machine that an environment is locked for.
const PLATFORM: &str = "manylinux_2_28";

/// What uv writes: the format of PEP 751.
#[derive(Debug, Deserialize)]
pub struct PyLock {
    #[serde(default)]
    pub packages: Vec<Resolved>,
}

#[derive(Debug, Deserialize)]
pub struct Resolved {
    pub name: String,
    pub version: Option<String>,
    #[serde(default)]
    pub wheels: Vec<File>,
    pub sdist: Option<File>,
}

/// A file that an index offers.
#[derive(Debug, Deserialize)]
pub struct File {
    pub url: Option<String>,
    pub size: Option<u64>,
    pub hashes: Hashes,
}

#[derive(Debug, Deserialize)]
pub struct Hashes {
    pub sha256: Option<Sha256>,
}

impl File {
    /// The last part of the address, decoded.
    pub fn name(&self) -> Option<String> {
        let url = url::Url::parse(self.url.as_deref()?).ok()?;
        let last = url.path_segments()?.next_back()?.to_owned();
        Some(percent_decoded(&last))
    }
}

/// Asks uv.
#[derive(Debug)]
pub struct Resolver<'a> {
    pub site: &'a Site,
    pub uv: &'a Uv<'a>,
    pub python: &'a Python<'a>,
}

impl Resolver<'_> {
    /// # Errors
    /// When uv finds no packages that fit together, cannot reach an index, or one has no digest.
    pub fn resolve(
        &self,
        question: &Question,
        list: &str,
        progress: &Progress,
    ) -> Result<Packages, InstallError> {
        progress.doing(format!("resolving the packages of {}", question.key()));
        let dir = self.site.workspace.derived();
        fs::create_dir_all(&dir)?;
        let (from, to) = (dir.join("install.txt"), dir.join("pylock.toml"));
        fs::write_atomic(&from, question.requirements(list))?;
        // uv would take the versions from what is there.
        fs::remove_tree(&to)?;
        let version = format!("{}.{}", question.python.0, question.python.1);
        let mut command = self
            .uv
            .command(&index_settings::uv_env(self.site))?
            .args(["pip", "compile", "--quiet", "--python-platform", &platform(question.arch)])
            .args(["--python-version", &version, "--python"])
            .arg(self.python.required()?.path)
            .arg(&from)
            .arg("--output-file")
            .arg(&to);
        if question.index == TorchIndex::Cpu {
            command = command.args(["--torch-backend", "cpu"]);
        }
        program::run(self.site.http.halt(), &command, "uv pip compile", &mut |_| ())?;
        choose(&read(&to)?, question.python)
    }
}

pub fn platform(arch: Arch) -> String {
    format!("{arch}-{PLATFORM}")
}

pub fn read(path: &Path) -> Result<PyLock, InstallError> {
    let text = fs::read_text(path)?;
    let bad = |cause: toml::de::Error| InstallError::BadArchive {
        archive: path.to_owned(),
        problem: format!("uv's answer is not understood: {cause}"),
    };
    toml::from_str(&text).map_err(bad)
}

fn choose(found: &PyLock, python: Version) -> Result<Packages, InstallError> {
    let packages = found
        .packages
        .iter()
        .map(|it| chosen(it, python).ok_or_else(|| LockedError::NoDigest { package: it.name.clone() }));
    Ok(Packages::sorted(packages.collect::<Result<_, _>>()?))
}

/// The most particular wheel, as an installer takes it; where there is none, the sources.
fn chosen(package: &Resolved, python: Version) -> Option<Package> {
    let ranked = package.wheels.iter().filter_map(|it| Some((rank(&it.name()?, python), it)));
    let wheel = ranked.max_by_key(|(rank, _)| *rank).map(|(_, file)| file);
    let file = wheel.or(package.sdist.as_ref())?;
    Some(Package {
        name: package_name(&package.name),
        version: package.version.clone()?,
        file: file.name()?,
        sha256: file.hashes.sha256?,
        size: file.size,
    })
}

/// How much a wheel was made for just this Python: its own tag first, then the stable interface, then any Python,
/// each the newest first, and built code before code for everywhere (PEP 425). uv lists only those that fit.
fn rank(file: &str, python: Version) -> (bool, u8, u32, bool) {
    let mut tags = file.trim_end_matches(".whl").rsplit('-');
    let (platform, abi, tag) = (tags.next(), tags.next(), tags.next());
    let minor = |tag: &str| {
        let digits = tag.trim_start_matches(|c: char| c.is_ascii_alphabetic()).strip_prefix('3')?;
        digits.parse::<u32>().ok().filter(|it| *it <= python.1)
    };
    let newest = tag.unwrap_or_default().split('.').filter_map(minor).max();
    let kind = match abi {
        Some("none") => 0,
        Some("abi3") => 1,
        Some(_) | None => 2,
    };
    let built = platform != Some("any");
    (built, kind, newest.unwrap_or(0), tag.is_some_and(|it| it.starts_with("cp")))
}

fn percent_decoded(text: &str) -> String {
    let query = text.replace('+', "%2B");
    url::form_urlencoded::parse(query.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[&str], expected: &str) {
        let file = |name: &&str| File {
            url: Some(format!("http://index.example/{name}")),
            size: Some(1),
            hashes: Hashes { sha256: Some(Sha256::of(name)) },
        };
        let (wheels, sources): (Vec<_>, Vec<_>) =
            files.iter().partition(|it| it.contains("-none-") || it.contains("-cp"));
        let package = Resolved {
            name: "A.b".to_owned(),
            version: Some("1".to_owned()),
            wheels: wheels.into_iter().map(file).collect(),
            sdist: sources.into_iter().map(file).next(),
        };
        let found = chosen(&package, Version(3, 12, 1)).expect("one of them");
        assert_eq!((found.name.as_str(), found.file.as_str()), ("a-b", expected));
    }

    #[test]
    fn the_wheel_that_was_made_for_just_this_python_is_chosen() {
        check(
            &[
                "a-1-cp37-abi3-manylinux_2_28_x86_64.whl",
                "a-1-py3-none-any.whl",
                "a-1-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            ],
            "a-1-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        );
        check(
            &["a-1-py39-none-any.whl", "a-1-py312-none-any.whl", "a-1-py310-none-any.whl"],
            "a-1-py312-none-any.whl",
        );
        check(
            &["a-1-py3-none-any.whl", "a-1-cp310-abi3-manylinux2014_x86_64.whl"],
            "a-1-cp310-abi3-manylinux2014_x86_64.whl",
        );
        check(&["a-1-py2.py3-none-any.whl", "a-1.tar.gz"], "a-1-py2.py3-none-any.whl");
        check(&["a-1.tar.gz"], "a-1.tar.gz");
        check(
            &["torch-2.13.0%2Bcpu-cp312-cp312-manylinux_2_28_x86_64.whl"],
            "torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl",
        );
    }
}
