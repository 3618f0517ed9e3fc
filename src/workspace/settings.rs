//! `dpgui.toml`: what the user wants to be different. Everything in it is optional.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    error::{Kind, Report},
    output::size,
    platform::{
        Arch,
        checkpoint::{Checkpoint, reach},
        digest::Sha256,
        fs::{self, FsError},
        lock::LockError,
        place::PlaceTemplate,
    },
};

use super::{Workspace, commit::CommitId};

/// The trainer's script, relative to the workspace, unless the settings name another.
const TRAINER: &str = "vendor/diffusion-pipe/train.py";

/// What the download cache may hold: PyTorch with CUDA twice over, and everything else.
const CACHE_LIMIT: u64 = 30_000_000_000;

/// A week of progress bars, compressed.
const LOG_KEEP: u64 = 1 << 30;

/// Quick to read through, and few enough files.
const LOG_SEGMENT: u64 = 64 << 20;

/// Where people look for a page that is being developed with Vite, too.
const UI_PORT: u16 = 5173;

/// What `[torch] profile` may say.
const PROFILES: [&str; 4] = ["auto", "cu13", "cu12", "cpu"];

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Settings {
    pub torch: Torch,
    pub trainer: Trainer,
    /// The interpreter to make the environment with, as with `setup --python`.
    pub python: Option<PathBuf>,
    /// Further model types whose submodules are wanted, as with `setup --model`.
    pub models: Vec<String>,
    /// Further submodules of the trainer, as with `setup --submodule`.
    pub submodules: Vec<String>,
    /// After a mirror that the environment names the declared places are tried too, and after it and `places` of a source
    /// the package index.
    pub mirror_fallback: bool,
    pub cache: CacheSettings,
    pub runs: RunSettings,
    pub logs: LogSettings,
    pub ui: UiSettings,
    /// By the name of an entry in `vendor/sources.toml`: what replaces that entry's own fields.
    pub sources: BTreeMap<String, SourceOverride>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Torch {
    /// One of [`PROFILES`].
    #[serde(deserialize_with = "profile")]
    pub profile: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trainer {
    /// The script that `deepspeed` starts; relative to the workspace.
    pub script: Option<PathBuf>,
}

/// The download cache, which all workspaces of a user share.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CacheSettings {
    /// Bytes. What was not used for the longest time goes first.
    #[serde(deserialize_with = "bytes")]
    pub limit: u64,
    /// The files of installed Python packages stay too, as with `setup --keep-downloads`.
    pub keep_downloads: bool,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { limit: CACHE_LIMIT, keep_downloads: false }
    }
}

/// How runs are looked after.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RunSettings {
    /// Before the first restart; twice as long before each further one.
    #[serde(deserialize_with = "time")]
    pub restart_delay: Duration,
    /// Without a sign of life, before a run counts as stalled.
    #[serde(deserialize_with = "time")]
    pub stall_after: Duration,
    /// Without a word from another machine of the run, before that one counts as lost.
    #[serde(deserialize_with = "time")]
    pub node_patience: Duration,
    /// Steps in a row whose loss is not a number, before that counts.
    #[serde(deserialize_with = "count")]
    pub nan_steps: u32,
    /// Runs that may train at once where there is no GPU.
    #[serde(deserialize_with = "count")]
    pub cpu_slots: u32,
    /// Commands and addresses that hear of every run, as with `train --notify`.
    #[serde(deserialize_with = "notify_targets")]
    pub notify: Vec<String>,
}

impl Default for RunSettings {
    fn default() -> Self {
        let stall_after = Duration::from_mins(10);
        Self {
            restart_delay: Duration::from_secs(10),
            stall_after,
            node_patience: Duration::from_mins(1),
            nan_steps: 10,
            cpu_slots: 1,
            notify: vec![],
        }
    }
}

/// What a run's log may take on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Bytes of a run's log. Beyond them the oldest go.
    #[serde(deserialize_with = "bytes", serialize_with = "as_bytes")]
    pub keep: u64,
    /// Bytes after which a new file is begun; finished ones are compressed.
    #[serde(deserialize_with = "bytes", serialize_with = "as_bytes")]
    pub segment: u64,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { keep: LOG_KEEP, segment: LOG_SEGMENT }
    }
}

/// `dpgui ui`: where it is served, and what it may touch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UiSettings {
    pub host: IpAddr,
    pub port: u16,
    /// Further names that the server may be called by, as behind a proxy.
    pub names: Vec<String>,
    /// Folders besides the workspace whose files may be looked at and chosen.
    pub roots: Vec<PathBuf>,
}

impl Default for UiSettings {
    fn default() -> Self {
        Self { host: IpAddr::V4(Ipv4Addr::LOCALHOST), port: UI_PORT, names: vec![], roots: vec![] }
    }
}

/// Fields of a source that are replaced; those left out keep what `vendor/sources.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceOverride {
    pub version: Option<String>,
    /// An archive's places in the order to try them.
    #[serde(deserialize_with = "some_places")]
    pub places: Option<Vec<PlaceTemplate>>,
    pub sha256: Option<BTreeMap<Arch, Sha256>>,
    /// A repository's address: `https://`, `http://`, `file://` or a path.
    pub url: Option<String>,
    /// A repository's commit.
    pub commit: Option<CommitId>,
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("`{}` is not UTF-8 text: line {line} has a byte that is none of it", path.display())]
    NotUtf8 { path: PathBuf, line: usize },
    #[error("`{}` is not a valid dpgui.toml\n{details}", path.display())]
    Toml { path: PathBuf, details: String },
    #[error(transparent)]
    Lock(#[from] LockError),
}

impl Report for SettingsError {
    fn kind(&self) -> Kind {
        match self {
            Self::Fs(cause) => cause.kind(),
            Self::Lock(cause) => cause.kind(),
            Self::NotUtf8 { .. } | Self::Toml { .. } => Kind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Fs(cause) => cause.hint(),
            Self::Lock(cause) => cause.hint(),
            Self::NotUtf8 { line, .. } => {
                Some(format!("save it as UTF-8 in your editor, or retype what is not ASCII in line {line}"))
            }
            Self::Toml { path, .. } => {
                Some(format!("mend `{}`; every key in it is optional", path.display()))
            }
        }
    }
}

/// What a new workspace's file says: nothing, with an example of everything.
const STARTER: &str = include_str!("../../templates/dpgui.toml");

impl Settings {
    /// Marks the workspace, unless it is marked, so that commands find it from the folders below.
    pub fn mark(workspace: &Workspace) -> Result<(), SettingsError> {
        let path = workspace.settings_file();
        if !fs::exists(&path) {
            fs::write_atomic(&path, STARTER)?;
            reach(Checkpoint::Marked);
        }
        Ok(())
    }

    /// # Errors
    /// When the file is there but cannot be read, is no TOML, or has a key that dpgui does not know. The message
    /// shows file, line and column.
    pub fn load(workspace: &Workspace) -> Result<Self, SettingsError> {
        let path = workspace.settings_file();
        let bytes = match fs::read(&path) {
            Err(error) if error.source.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            read => read?,
        };
        let text = match fs::text(bytes) {
            Ok(text) => text,
            Err(line) => return Err(SettingsError::NotUtf8 { path, line }),
        };
        toml::from_str(&text).map_err(|cause| {
            let details = cause.to_string().trim_end().to_owned();
            SettingsError::Toml { path, details }
        })
    }

    /// The script that `deepspeed` starts, absolute.
    pub fn trainer_script(&self, workspace: &Workspace) -> PathBuf {
        workspace.root().join(self.trainer.script.as_deref().unwrap_or(TRAINER.as_ref()))
    }
}

/// A command for the shell, or an address: of `http` or `https`, because no other can be told.
///
/// # Errors
/// With what is expected; an address may hold a key and is not repeated.
pub fn notify_target(text: &str) -> Result<String, String> {
    let is_scheme = |it: &&str| {
        it.starts_with(|first: char| first.is_ascii_alphabetic())
            && it.chars().all(|c| c.is_ascii_alphanumeric() || "+.-".contains(c))
    };
    let scheme = text.split_once("://").map(|(scheme, _)| scheme).filter(is_scheme);
    let can_be_told = |it: &str| ["http", "https"].iter().any(|known| it.eq_ignore_ascii_case(known));
    match scheme.filter(|it| !can_be_told(it)) {
        Some(scheme) => Err(format!(
            "`{scheme}://` cannot be told: an address of `http://` or `https://`, or a command, is expected"
        )),
        None if text.trim().is_empty() => Err("a command or an address is expected".to_owned()),
        None if scheme.is_some() && !has_host(text) => {
            Err("the address names no host: `https://HOST/PATH` is expected".to_owned())
        }
        None => Ok(text.to_owned()),
    }
}

fn has_host(address: &str) -> bool {
    let rest = address.split_once("://").map_or("", |(_, rest)| rest);
    rest.chars().next().is_some_and(|first| first == '[' || first.is_alphanumeric())
}

// These errors are raised while the text is read, so that toml says where in it.

fn profile<'de, D: Deserializer<'de>>(text: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(text)?;
    if PROFILES.contains(&name.as_str()) {
        return Ok(Some(name));
    }
    let known = PROFILES.map(|it| format!("`{it}`")).join(", ");
    Err(D::Error::custom(format!("`{name}` is not a PyTorch profile: one of {known} is expected")))
}

fn notify_targets<'de, D: Deserializer<'de>>(list: D) -> Result<Vec<String>, D::Error> {
    let all = Vec::<String>::deserialize(list)?;
    all.iter().map(|it| notify_target(it).map_err(D::Error::custom)).collect()
}

fn bytes<'de, D: Deserializer<'de>>(text: D) -> Result<u64, D::Error> {
    let text = String::deserialize(text)?;
    size::parse(&text)
        .ok_or_else(|| D::Error::custom(format!("`{text}` is not a size: one like `30 GB` is expected")))
}

/// Of something that there is.
fn count<'de, D: Deserializer<'de>>(number: D) -> Result<u32, D::Error> {
    let number = u32::deserialize(number)?;
    if number == 0 {
        return Err(D::Error::custom("`0` is too few: one like `10` is expected"));
    }
    Ok(number)
}

fn time<'de, D: Deserializer<'de>>(text: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(text)?;
    let parsed = text.parse().ok().and_then(|it: jiff::SignedDuration| Duration::try_from(it).ok());
    parsed.ok_or_else(|| D::Error::custom(format!("`{text}` is not a time: one like `10 min` is expected")))
}

/// As [`bytes`] reads it back.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_bytes<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&format_args!("{bytes} B"))
}

fn some_places<'de, D: Deserializer<'de>>(list: D) -> Result<Option<Vec<PlaceTemplate>>, D::Error> {
    let places = Vec::deserialize(list)?;
    if places.is_empty() {
        return Err(D::Error::custom("at least one place is expected"));
    }
    Ok(Some(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_dpgui_does_not_know_is_shown_with_its_line_and_column() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        fs::write_atomic(&workspace.settings_file(), "[torch]\nprofil = \"cpu\"\n").expect("written");
        let error = Settings::load(&workspace).expect_err("misspelt");
        assert_eq!(
            error.to_string().replace(&dir.path().display().to_string(), "DIR"),
            "`DIR/dpgui.toml` is not a valid dpgui.toml\n\
             TOML parse error at line 2, column 1\n  |\n2 | profil = \"cpu\"\n  | ^^^^^^\n\
             unknown field `profil`, expected `profile`"
        );
    }

    #[test]
    fn a_command_or_an_address_that_can_be_asked_is_told() {
        for target in
            ["https://hooks.example/me", "HTTP://a", "notify-send x", "curl ftp://a", "./tell.sh", "a:b"]
        {
            assert_eq!(notify_target(target).as_deref(), Ok(target));
        }
        for target in ["ftp://x", "mailto+x://me", "", "  "] {
            notify_target(target).expect_err(target);
        }
    }

    #[test]
    fn a_value_that_makes_no_sense_is_shown_with_its_line_and_column() {
        let check = |text: &str, place: &str, problem: &str| {
            let error = toml::from_str::<Settings>(text).expect_err(problem).to_string();
            assert!(error.starts_with(&format!("TOML parse error at {place}\n")), "{error}");
            assert!(error.contains(problem), "{error}");
        };
        check(
            "[torch]\nprofile = \"cuda\"",
            "line 2, column 11",
            "`cuda` is not a PyTorch profile: one of `auto`, `cu13`, `cu12`, `cpu` is expected",
        );
        check(
            "[sources.diffusion-pipe]\ncommit = \"abc\"",
            "line 2, column 10",
            "`abc` is not a commit: 40 hexadecimal digits are expected",
        );
        check(
            "[sources.node]\nplaces = [\"/a\", \"ftp://host.example/a\"]",
            "line 2, column 10",
            "`ftp://host.example/a` is no place to get a file from: an `https://`",
        );
        check(
            "cache.limit = \"much\"",
            "line 1, column 15",
            "`much` is not a size: one like `30 GB` is expected",
        );
        check(
            "runs.stall-after = \"soon\"",
            "line 1, column 20",
            "`soon` is not a time: one like `10 min` is expected",
        );
        check("[sources.node]\nplaces = []", "line 2, column 10", "at least one place is expected");
        check("[sources.node.sha256]\nx86_64 = \"1\"", "line 2, column 10", "`1` is not a sha256 digest");
    }

    #[test]
    fn a_file_that_is_not_utf_8_and_a_workspace_that_is_a_file_are_usage_errors() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let check = |workspace: Workspace, expected: &str| {
            let error = crate::error::Error::from(Settings::load(&workspace).expect_err(expected));
            let shown = error.to_string().replace(&dir.path().display().to_string(), "DIR");
            assert_eq!((shown.as_str(), error.kind()), (expected, Kind::Usage));
        };
        let workspace = Workspace::at(dir.path());
        fs::write_atomic(&workspace.settings_file(), b"[torch]\n# gr\xfcn\n").expect("written");
        check(
            workspace,
            "error: `DIR/dpgui.toml` is not UTF-8 text: line 2 has a byte that is none of it\n\n\
             hint: save it as UTF-8 in your editor, or retype what is not ASCII in line 2",
        );
        check(
            Workspace::at(dir.path().join("dpgui.toml")),
            "error: cannot read `DIR/dpgui.toml/dpgui.toml`\n  caused by: Not a directory (os error 20)\n\n\
             hint: a file is where a directory of `DIR/dpgui.toml/dpgui.toml` should be: choose a workspace with `-C DIR`",
        );
    }

    #[test]
    fn the_starter_file_changes_nothing_and_every_example_in_it_is_valid() {
        assert_eq!(toml::from_str(STARTER), Ok(Settings::default()));
        let is_example = |line: &&str| !line.starts_with(' ');
        let examples: Vec<&str> =
            STARTER.lines().filter_map(|line| line.strip_prefix('#').filter(is_example)).collect();
        let settings: Settings = toml::from_str(&examples.join("\n")).expect("valid");
        assert_eq!(
            (settings.sources.len(), settings.models.len(), settings.torch.profile.as_deref()),
            (2, 1, Some("auto"))
        );
        let cache = CacheSettings { keep_downloads: true, ..CacheSettings::default() };
        assert_eq!((settings.mirror_fallback, settings.cache), (true, cache));
        let usual = RunSettings { notify: settings.runs.notify.clone(), ..RunSettings::default() };
        assert_eq!((&settings.runs, settings.runs.notify.len()), (&usual, 2));
    }

    #[test]
    fn a_workspace_without_settings_has_the_defaults() {
        let workspace = Workspace::at("/nowhere");
        assert_eq!(Settings::load(&workspace).expect("defaults"), Settings::default());
        assert_eq!(
            Settings::default().trainer_script(&workspace),
            PathBuf::from("/nowhere/vendor/diffusion-pipe/train.py")
        );
    }
}
