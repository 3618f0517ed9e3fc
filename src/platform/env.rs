//! The host as dpgui found it at start: environment, working directory, own program, architecture, terminal.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    io::IsTerminal,
    path::{Path, PathBuf},
};

use crate::error::{Error, Kind};

/// Read once in `main` and handed down; nothing below asks the process again.
#[derive(Clone, Debug)]
pub struct Host {
    pub env: Env,
    pub cwd: PathBuf,
    /// Our own executable, for starting supervisors.
    pub program: PathBuf,
    pub arch: Arch,
    /// stderr is a terminal: bars and colours may be drawn there.
    pub terminal: bool,
}

impl Host {
    /// # Errors
    /// When the working directory is gone or the architecture is one that nothing is built for.
    pub fn detect() -> Result<Self, Error> {
        let cwd = std::env::current_dir().map_err(|cause| {
            Error::new(Kind::Disk, format!("cannot read the working directory: {cause}"))
                .with_hint("change into a directory that exists")
        })?;
        let program = std::env::current_exe()
            .map_err(|cause| Error::new(Kind::Bug, format!("cannot find dpgui's own program: {cause}")))?;
        let env = Env(std::env::vars_os().collect());
        let arch = Arch::parse(env.text("DPGUI_ARCH").unwrap_or(std::env::consts::ARCH))?;
        Ok(Self { env, cwd, program, arch, terminal: std::io::stderr().is_terminal() })
    }

    /// `path` as the user meant it: `~` expanded, relative to the working directory.
    pub fn absolute(&self, path: &Path) -> PathBuf {
        self.cwd.join(self.env.expand_home(path))
    }
}

/// A processor architecture that every artefact of setup exists for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Arch {
    #[serde(rename = "x86_64")]
    X86_64,
    #[serde(rename = "aarch64")]
    Aarch64,
}

impl Arch {
    fn parse(name: &str) -> Result<Self, Error> {
        match name {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" | "arm64" => Ok(Self::Aarch64),
            other => Err(Error::new(
                Kind::Unsupported,
                format!("nothing that a training needs is built for the architecture `{other}`"),
            )
            .with_hint("use a Linux machine with an x86-64 or arm64 processor")),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

/// Environment variables, as plain data. `Debug` shows names only, because values hold tokens.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Env(BTreeMap<OsString, OsString>);

impl Env {
    /// The value, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The value as text; one that is not UTF-8 counts as not set.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(OsStr::to_str)
    }

    /// The value as text even if it is empty: to some variables that is a value like any other.
    pub fn text_or_empty(&self, name: &str) -> Option<&str> {
        self.0.get(OsStr::new(name)).and_then(|value| value.to_str())
    }

    /// The first of `names` that is set, with its name.
    pub fn first<'a>(&'a self, names: &[&'a str]) -> Option<(&'a str, &'a str)> {
        names.iter().find_map(|name| self.text(name).map(|value| (*name, value)))
    }

    pub fn set(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.insert(name.into(), value.into());
        self
    }

    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.0.remove(OsStr::new(name));
        self
    }

    /// The names of what is set here and not, or not so, in `before`.
    pub fn changes_since<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = &'a OsString> {
        self.0.iter().filter(|(name, value)| before.0.get(*name) != Some(*value)).map(|(name, _)| name)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&OsString, &OsString)> {
        self.0.iter()
    }

    pub fn home(&self) -> Option<PathBuf> {
        self.get("HOME").map(PathBuf::from)
    }

    /// The home directory, if there is one: who has none is not to be given one.
    pub fn existing_home(&self) -> Option<PathBuf> {
        self.home().filter(|it| it.is_absolute() && it.is_dir())
    }

    /// The directories of `PATH`.
    pub fn path_dirs(&self) -> Vec<PathBuf> {
        self.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    }

    /// Puts `dirs` before what `PATH` already has.
    pub fn prepend_path(&mut self, dirs: &[PathBuf]) -> &mut Self {
        let all: Vec<PathBuf> = dirs.iter().cloned().chain(self.path_dirs()).collect();
        if let Ok(joined) = std::env::join_paths(all) {
            self.set("PATH", joined);
        }
        self
    }

    /// `~` and `~/x` become the home directory; everything else stays.
    pub fn expand_home(&self, path: &Path) -> PathBuf {
        match (path.strip_prefix("~"), self.home()) {
            (Ok(rest), Some(home)) if rest.as_os_str().is_empty() => home,
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path.to_owned(),
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_directory_only_as_the_first_part_of_a_path() {
        let env = Env::from([("HOME", "/home/u")]);
        let check = |path: &str, expected: &str| {
            assert_eq!(env.expand_home(Path::new(path)), Path::new(expected));
        };
        check("~", "/home/u");
        check("~/data", "/home/u/data");
        check("~other/data", "~other/data");
        check("/a/~/b", "/a/~/b");
    }

    #[test]
    fn a_debug_print_of_the_environment_holds_no_value() {
        let env = Env::from([("WANDB_API_KEY", "canary")]);
        assert_eq!(format!("{env:?}"), r#"{"WANDB_API_KEY"}"#);
    }
}
