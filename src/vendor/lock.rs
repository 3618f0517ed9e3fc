//! `dpgui.lock`: exactly what a setup installs. Two machines with the same lock and profile get the same files.
//!
//! A workspace has its own, to be kept in git; dpgui ships one for the sources that it pins, so that a first setup
//! resolves nothing. It holds digests and no addresses: where things come from is each machine's own business.

use std::{collections::BTreeMap, fmt, fmt::Write as _, path::Path, str::FromStr, sync::LazyLock};

use serde::Deserialize;

use crate::{
    platform::{Arch, digest::Sha256},
    workspace::commit::CommitId,
};

use super::VendorError;

const FILE: &str = "vendor/dpgui.lock";
const SHIPPED: &str = include_str!("../../vendor/dpgui.lock");

/// Raised when an older dpgui could misread a newer lock.
const VERSION: u32 = 1;

const HEAD: &str = "\
# What `dpgui setup` installs, to the last byte. Written by `dpgui setup`, `dpgui lock` and `dpgui update`; keep it in git.
";

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LockFile {
    version: u32,
    /// Of the rules that the requirement lists went through.
    pub rules: Sha256,
    /// Of the list that the rules make of the lists of `repositories`, see [`crate::vendor::requirements::digest`].
    pub requirements: Option<Sha256>,
    pub repositories: BTreeMap<String, CommitId>,
    pub archives: BTreeMap<String, LockedArchive>,
    /// By [`Key`].
    #[serde(default)]
    pub python: BTreeMap<Key, Environment>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedArchive {
    pub version: String,
    pub files: BTreeMap<Arch, LockedFile>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    pub sha256: Sha256,
    /// Bytes. `None` until somebody has fetched it.
    pub size: Option<u64>,
}

/// Which environment: `trainer-cu13-x86_64-cp312`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

/// The Python packages of one environment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenEnvironment")]
pub struct Environment {
    /// Of everything that decides on the packages: the requirements, torch's versions, Python, the architecture.
    pub made_from: Sha256,
    pub packages: Packages,
}

/// An [`Environment`] as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenEnvironment {
    made_from: Sha256,
    /// [`Packages::digest`]: a line that a merge has lost would be missed by nobody else.
    digest: Option<Sha256>,
    requirements: Packages,
}

#[derive(Debug, thiserror::Error)]
#[error("lines of these requirements are missing or were changed: their digest is another one")]
struct OtherPackages;

impl TryFrom<WrittenEnvironment> for Environment {
    type Error = OtherPackages;

    fn try_from(written: WrittenEnvironment) -> Result<Self, OtherPackages> {
        let WrittenEnvironment { made_from, digest, requirements: packages } = written;
        let is_whole = digest.is_none_or(|it| it == packages.digest());
        is_whole.then_some(Self { made_from, packages }).ok_or(OtherPackages)
    }
}

/// One line each, in pip's hashed requirements format, with the file's name and bytes in a comment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Packages(pub Vec<Package>);

/// One file, of one version: no choice is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Normalised as in PEP 503.
    pub name: String,
    pub version: String,
    /// `torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl`
    pub file: String,
    pub sha256: Sha256,
    /// Bytes of `file`, where its index tells: PyTorch's own does not.
    pub size: Option<u64>,
}

#[derive(Debug, thiserror::Error)]
pub enum LockFileError {
    #[error("{0}")]
    Toml(String),
    #[error("it has version {0}, which this dpgui does not know")]
    Newer(u32),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no line of locked requirements: `NAME==VERSION --hash=sha256:DIGEST  # FILE BYTES` is expected"
)]
pub struct BadPackage(String);

impl LockFile {
    pub fn new(rules: Sha256) -> Self {
        Self {
            version: VERSION,
            rules,
            requirements: None,
            repositories: BTreeMap::new(),
            archives: BTreeMap::new(),
            python: BTreeMap::new(),
        }
    }

    /// The one that dpgui ships.
    pub fn shipped() -> Result<&'static Self, VendorError> {
        // Reading it takes milliseconds, and every look at a workspace asks for it several times.
        static READ: LazyLock<Result<LockFile, String>> =
            LazyLock::new(|| LockFile::parse(SHIPPED).map_err(|cause| cause.to_string()));
        READ.as_ref().map_err(|details| VendorError::Embedded { file: FILE, details: details.clone() })
    }

    /// # Errors
    /// When `text` is no lock, or one of a newer dpgui. The message shows line and column.
    pub fn parse(text: &str) -> Result<Self, LockFileError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let toml = |cause: toml::de::Error| LockFileError::Toml(cause.to_string().trim_end().to_owned());
        let Version { version } = toml::from_str(text).map_err(toml)?;
        if version != VERSION {
            return Err(LockFileError::Newer(version));
        }
        toml::from_str(text).map_err(toml)
    }

    /// The packages for `key`, if they were locked for just this.
    pub fn environment(&self, key: &Key, made_from: Sha256) -> Option<&Packages> {
        self.python.get(key).filter(|it| it.made_from == made_from).map(|it| &it.packages)
    }
}

/// As it stands in the file: sorted, so that a change shows as what it is.
impl fmt::Display for LockFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HEAD}\nversion = {}\nrules = \"{}\"\n", self.version, self.rules)?;
        if let Some(requirements) = self.requirements {
            writeln!(f, "requirements = \"{requirements}\"")?;
        }
        f.write_str("\n[repositories]\n")?;
        for (name, commit) in &self.repositories {
            writeln!(f, "{} = \"{commit}\"", quoted(name))?;
        }
        f.write_str("\n[archives]\n")?;
        for (name, archive) in &self.archives {
            writeln!(f, "\n[archives.{}]\nversion = {}", quoted(name), quoted_always(&archive.version))?;
            for (arch, file) in &archive.files {
                let size = file.size.map(|it| format!(", size = {it}")).unwrap_or_default();
                writeln!(f, "files.{arch} = {{ sha256 = \"{}\"{size} }}", file.sha256)?;
            }
        }
        for (key, environment) in &self.python {
            let (name, made_from) = (quoted(&key.0), environment.made_from);
            let digest = environment.packages.digest();
            write!(f, "\n[python.{name}]\nmade-from = \"{made_from}\"\ndigest = \"{digest}\"\n")?;
            f.write_str("requirements = '''\n")?;
            for package in &environment.packages.0 {
                writeln!(f, "{package}")?;
            }
            f.write_str("'''\n")?;
        }
        Ok(())
    }
}

impl Key {
    /// `list` is `trainer` or `demo`, `python` is the tag of the version, `cp312`.
    pub fn new(list: &str, profile: &str, arch: Arch, python: &str) -> Self {
        Self(format!("{list}-{profile}-{arch}-{python}"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Packages {
    /// Sorted by name, whatever order they were found in.
    pub fn sorted(mut packages: Vec<Package>) -> Self {
        packages.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        Self(packages)
    }

    /// Of which files they are, wherever those come from.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(Self::requirements(&self.0))
    }

    /// Bytes to fetch where nothing is there yet, as far as they are known.
    pub fn size(&self) -> u64 {
        // The file may be damaged: a sum too large is one that does not fit anywhere either.
        self.0.iter().filter_map(|it| it.size).fold(0, u64::saturating_add)
    }

    /// A requirements file for pip and uv.
    pub fn requirements<'a>(packages: impl IntoIterator<Item = &'a Package>) -> String {
        packages.into_iter().fold(String::new(), |mut text, it| {
            // Writing to a `String` cannot fail.
            let _ = writeln!(text, "{}=={} --hash=sha256:{}", it.name, it.version, it.sha256);
            text
        })
    }

    /// The same without digests, for files that are known to have them.
    pub fn pins<'a>(packages: impl IntoIterator<Item = &'a Package>) -> String {
        packages.into_iter().fold(String::new(), |text, it| text + &it.name + "==" + &it.version + "\n")
    }
}

impl TryFrom<String> for Packages {
    type Error = BadPackage;

    fn try_from(text: String) -> Result<Self, BadPackage> {
        text.lines().filter(|it| !it.trim().is_empty()).map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

impl Package {
    /// A package that is built here, from its sources.
    pub fn is_source(&self) -> bool {
        Path::new(&self.file).extension().is_none_or(|it| it != "whl")
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, file, sha256, size } = self;
        write!(f, "{name}=={version} --hash=sha256:{sha256}  # {file}")?;
        size.map_or(Ok(()), |size| write!(f, " {size}"))
    }
}

impl FromStr for Package {
    type Err = BadPackage;

    fn from_str(line: &str) -> Result<Self, BadPackage> {
        let read = || {
            let (pin, rest) = line.split_once(" --hash=sha256:")?;
            let (sha256, comment) = rest.split_once("  # ")?;
            let (name, version) = pin.split_once("==")?;
            let (file, size) = match comment.split_once(' ') {
                Some((file, size)) => (file, Some(size.parse().ok()?)),
                None => (comment, None),
            };
            // The file's name becomes a name in our directories.
            let plain = |text: &str, further: &str| {
                let allowed = |c: char| c.is_ascii_alphanumeric() || further.contains(c);
                !text.is_empty() && !text.starts_with(['.', '-']) && text.chars().all(allowed)
            };
            let fits = plain(name, "-") && plain(version, ".+!-_") && plain(file, ".+!-_");
            let (name, version, file) = (name.to_owned(), version.to_owned(), file.to_owned());
            let package = Self { name, version, file, sha256: sha256.parse().ok()?, size };
            fits.then_some(package)
        };
        read().ok_or_else(|| BadPackage(line.to_owned()))
    }
}

/// A TOML key: bare where that is allowed.
fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !key.is_empty() && key.chars().all(bare) { key.to_owned() } else { quoted_always(key) }
}

fn quoted_always(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "torch".to_owned(),
            version: "2.13.0+cpu".to_owned(),
            file: "torch-2.13.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl".to_owned(),
            sha256: Sha256::of("torch"),
            size: Some(526_605_000),
        }
    }

    #[test]
    fn a_lock_is_read_as_it_was_written() {
        let mut lock = LockFile::new(Sha256::of("rules"));
        lock.requirements = Some(Sha256::of("list"));
        let commit = "8f83dbf25d03219df705570ec03e62be04bc402f".parse().expect("a commit");
        lock.repositories.insert("HunyuanImage-2.1".to_owned(), commit);
        let known = LockedFile { sha256: Sha256::of("a"), size: Some(7) };
        let unknown = LockedFile { sha256: Sha256::of("b"), size: None };
        let files = BTreeMap::from([(Arch::X86_64, known), (Arch::Aarch64, unknown)]);
        lock.archives.insert("uv".to_owned(), LockedArchive { version: "0.12.5".to_owned(), files });
        let key = Key::new("trainer", "cu13", Arch::X86_64, "cp312");
        let environment = Environment {
            made_from: Sha256::of("x"),
            packages: Packages(vec![package(), Package { size: None, ..package() }]),
        };
        lock.python.insert(key.clone(), environment);
        let read = LockFile::parse(&lock.to_string()).expect("a lock");
        assert_eq!(read, lock);
        assert_eq!(read.environment(&key, Sha256::of("x")).map(Packages::size), Some(526_605_000));
        assert_eq!(read.environment(&key, Sha256::of("y")), None);
    }

    #[test]
    fn sizes_that_no_disk_has_are_added_up_all_the_same() {
        let huge = Package { size: Some(u64::MAX), ..package() };
        assert_eq!(Packages(vec![huge, package()]).size(), u64::MAX);
    }

    #[test]
    fn what_is_no_lock_or_a_newer_one_is_said_with_its_place() {
        let check = |text: &str, expected: &str| {
            let error = LockFile::parse(text).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("version = 2\nnew = 1", "it has version 2, which this dpgui does not know");
        check("version = 1\nrules = \"x\"", "line 2, column 9");
        let lock = LockFile::new(Sha256::of("rules")).to_string();
        check(&lock.replace("[archives]", "[archivs]"), "unknown field `archivs`");
        let with = |line: &str| {
            format!("{lock}[python.x]\nmade-from = \"{}\"\nrequirements = '''\n{line}\n'''", Sha256::of(""))
        };
        check(&with("torch"), "`torch` is no line of locked requirements");
        LockFile::parse(&with(&package().to_string())).expect("a lock");
    }

    #[test]
    fn a_file_name_that_leads_elsewhere_is_no_package() {
        let line = package().to_string();
        let check = |file: &str| {
            line.replace(&package().file, file).parse::<Package>().expect_err(file);
        };
        check("../torch.whl");
        check("/torch.whl");
        check(".torch.whl");
        check("a b.whl");
        check("");
    }

    #[test]
    fn pip_gets_pins_and_digests_only() {
        let digest = Sha256::of("torch");
        let expected = format!("torch==2.13.0+cpu --hash=sha256:{digest}\n");
        assert_eq!(Packages::requirements([&package()]), expected);
    }
}
