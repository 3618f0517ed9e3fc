//! `dpgui.toml` changed key by key, by who has no editor at hand: the page.
//!
//! What may be changed so, and what is for an editor, is data: `templates/settings.toml`.

use std::sync::LazyLock;

use serde::Deserialize;
use toml_edit::{Array, DocumentMut, Item, Value};
use url::Url;

use crate::{
    error::{Kind, Report},
    platform::{
        digest::Sha256,
        fs::{self, FsError},
        lock::{Lock, LockError},
        net,
    },
};

use super::{Settings, SettingsError, Workspace, document};

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    toml::from_str(include_str!("../../templates/settings.toml"))
        .expect("the embedded file is read in the tests")
});

/// Every key of the file, once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Keys {
    /// Can be changed.
    #[serde(rename = "key")]
    pub open: Vec<Key>,
    pub by_hand: Vec<ByHand>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// With its table: `cache.limit`.
    pub name: String,
    pub title: String,
    pub wants: Wants,
    /// What it is where the file does not say, as text.
    pub usual: String,
    pub counts: Counts,
    pub about: String,
}

/// What a value looks like. Here it is always written as text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wants {
    OneOf(Vec<String>),
    YesOrNo,
    Number,
    /// Where a server listens.
    Port,
    Size,
    Time,
    /// A web address.
    Address,
    /// Web addresses, one a line.
    Addresses,
}

/// From when on a change counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    NextSetup,
    NextRun,
    NextServer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    pub name: String,
    pub about: String,
    /// What to do in the terminal.
    pub how: String,
}

/// What a key shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: String,
    /// As text; `None` is as usual, and not in the file.
    pub value: Option<String>,
}

/// Why it cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub key: String,
    pub message: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("{}", listed(.0))]
    Wrong(Vec<Wrong>),
    #[error("`dpgui.toml` was changed by somebody else meanwhile")]
    Meanwhile,
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl Report for ChangeError {
    fn kind(&self) -> Kind {
        match self {
            Self::Wrong(_) | Self::Meanwhile => Kind::Usage,
            Self::Settings(cause) => cause.kind(),
            Self::Lock(cause) => cause.kind(),
            Self::Fs(cause) => cause.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Wrong(_) => None,
            Self::Meanwhile => Some("load it again".to_owned()),
            Self::Settings(cause) => cause.hint(),
            Self::Lock(cause) => cause.hint(),
            Self::Fs(cause) => cause.hint(),
        }
    }
}

pub fn keys() -> &'static Keys {
    &KEYS
}

/// What is wrong with these changes, whatever the file says.
pub fn check(changes: &[Change]) -> Vec<Wrong> {
    let wrong = |it: &Change| Some(Wrong { key: it.key.clone(), message: typed(it).err()? });
    changes.iter().filter_map(wrong).collect()
}

/// Writes the changes into the workspace's file, everything else in it left as it is, if it is still the one with the digest
/// `known`; `None` of one that is not there. The digest of the new one comes back.
///
/// # Errors
/// When a value is none for its key, the file was changed meanwhile, or is broken, or cannot be written.
pub fn change(workspace: &Workspace, known: Option<&str>, changes: &[Change]) -> Result<String, ChangeError> {
    let wrong = check(changes);
    if !wrong.is_empty() {
        return Err(ChangeError::Wrong(wrong));
    }
    let _alone = alone(workspace)?;
    let path = fs::real_path(&workspace.settings_file());
    let before = fs::read_optional(&path)?;
    if before.as_ref().map(digest).as_deref() != known {
        return Err(ChangeError::Meanwhile);
    }
    // What is broken is not made worse.
    Settings::load(workspace)?;
    let broken =
        |cause: toml_edit::TomlError| SettingsError::Toml { path: path.clone(), details: cause.to_string() };
    let mut text = before.unwrap_or_default();
    for change in changes {
        let path = path_of(&change.key);
        text = match typed(change) {
            Ok(Some(value)) => document::put(&text, &path, value),
            Ok(None) | Err(_) => document::take_out(&text, &path),
        }
        .map_err(broken)?;
    }
    // Each value was read alone; together with what is there it has to be read as well.
    toml::from_str::<Settings>(&text)
        .map_err(|cause| SettingsError::Toml { path: path.clone(), details: cause.to_string() })?;
    fs::write_atomic(&path, &text)?;
    Ok(digest(&text))
}

/// Whoever reads the file to write it again does so alone.
pub(super) fn alone(workspace: &Workspace) -> Result<Lock, LockError> {
    fs::create_dir_all(&workspace.internal())?;
    Lock::wait(&workspace.internal().join("settings.lock"))
}

pub fn digest(text: &String) -> String {
    Sha256::of(text).to_string()
}

/// What the file says of `key`, as text; `None` where it says nothing.
pub fn said(text: &str, key: &str) -> Option<String> {
    let document: DocumentMut = text.parse().ok()?;
    let shown =
        |value: &Value| value.as_str().map_or_else(|| value.to_string().trim().to_owned(), str::to_owned);
    match document::find(document.as_table(), &path_of(key))? {
        Item::Value(Value::Array(all)) => Some(all.iter().map(shown).collect::<Vec<_>>().join("\n")),
        Item::Value(value) => Some(shown(value)),
        Item::None | Item::Table(_) | Item::ArrayOfTables(_) => None,
    }
}

/// The name of a source may have points in it.
fn path_of(key: &str) -> Vec<&str> {
    let source = key.strip_prefix("sources.").and_then(|it| it.rsplit_once('.'));
    match source {
        Some((name, field)) => vec!["sources", name, field],
        None => key.split('.').collect(),
    }
}

/// The value as the file has it, if the key may be changed and may have it.
fn typed(change: &Change) -> Result<Option<Value>, String> {
    let (name, path) = (&change.key, path_of(&change.key));
    let is = |declared: &str| {
        declared == name || declared.replace("NAME", path.get(1).copied().unwrap_or_default()) == *name
    };
    let Some(key) = KEYS.open.iter().find(|it| is(&it.name)) else {
        let by_hand = KEYS.by_hand.iter().find(|it| is(&it.name));
        let how = by_hand.map_or_else(
            || "is no key that can be set".to_owned(),
            |it| format!("is not set from here: {}", it.how),
        );
        return Err(format!("`{name}` {how}"));
    };
    let Some(text) = change.value.as_deref().map(str::trim).filter(|it| !it.is_empty()) else {
        return Ok(None);
    };
    let value = key.wants.value(text)?;
    // The file's own words, of a file with nothing else in it.
    let alone = document::put("", &path, value.clone()).map_err(|cause| cause.to_string())?;
    match toml::from_str::<Settings>(&alone) {
        Ok(_) => Ok(Some(value)),
        Err(cause) => Err(cause.message().to_owned()),
    }
}

impl Wants {
    fn value(&self, text: &str) -> Result<Value, String> {
        Ok(match self {
            Self::OneOf(_) | Self::Size | Self::Time => text.into(),
            Self::YesOrNo => {
                text.parse::<bool>().map_err(|_| format!("`{text}` is neither `true` nor `false`"))?.into()
            }
            Self::Number => text
                .parse::<i64>()
                .map_err(|_| format!("`{text}` is not a number: one like `10` is expected"))?
                .into(),
            Self::Port => text
                .parse::<u16>()
                .map(i64::from)
                .map_err(|_| format!("`{text}` is no port: a number up to {} is expected", u16::MAX))?
                .into(),
            Self::Address => web(text)?.into(),
            Self::Addresses => {
                let lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
                lines.map(web).collect::<Result<Array, _>>()?.into()
            }
        })
    }
}

/// A place on this machine is for an editor: whoever sees the page is not to find out what is where.
fn web(text: &str) -> Result<&str, String> {
    let is_web = Url::parse(text).is_ok_and(|it| ["https", "http"].contains(&it.scheme()) && it.has_host());
    if is_web && !text.contains(char::is_whitespace) {
        return Ok(text);
    }
    Err(format!(
        "`{}` is no web address: one that begins with `https://` is expected",
        net::without_secrets(text)
    ))
}

fn listed(wrong: &[Wrong]) -> String {
    wrong.iter().map(|it| format!("`{}`: {}", it.key, it.message)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn to(key: &str, value: Option<&str>) -> Change {
        Change { key: key.to_owned(), value: value.map(str::to_owned) }
    }

    #[test]
    fn what_is_usual_is_what_the_file_means_without_it() {
        let usual =
            KEYS.open.iter().filter(|it| !it.usual.is_empty()).map(|it| to(&it.name, Some(&it.usual)));
        let mut text = String::new();
        for change in usual {
            let value = typed(&change).expect("valid").expect("a value");
            text = document::put(&text, &path_of(&change.key), value).expect("TOML");
        }
        let mut settings: Settings = toml::from_str(&text).expect("valid");
        assert_eq!(settings.torch.profile.take().as_deref(), Some("auto"));
        assert_eq!(settings, Settings::default());
    }

    /// serde itself says which keys there are, of a text with another one.
    #[test]
    fn every_key_of_the_file_is_either_open_or_for_an_editor() {
        let known: BTreeSet<String> = KEYS
            .open
            .iter()
            .map(|it| &it.name)
            .chain(KEYS.by_hand.iter().map(|it| &it.name))
            .cloned()
            .collect();
        let mut found = BTreeSet::new();
        let mut tables = vec![String::new()];
        while let Some(table) = tables.pop() {
            let name = table.replace("NAME", "x");
            let text = if table.is_empty() { "x-x = 1".to_owned() } else { format!("[{name}]\nx-x = 1") };
            let Err(cause) = toml::from_str::<Settings>(&text) else { panic!("`{text}` is valid") };
            let Some((_, keys)) = cause.message().split_once("expected ") else {
                found.insert(table);
                continue;
            };
            if !cause.message().starts_with("unknown field") {
                found.insert(table);
                continue;
            }
            for key in keys.split('`').skip(1).step_by(2) {
                let whole = if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
                tables.push(if whole == "sources" { "sources.NAME".to_owned() } else { whole });
            }
        }
        assert_eq!(found, known);
    }

    #[test]
    fn what_cannot_be_is_said_of_each_key() {
        let check = |key: &str, value: &str, expected: &str| {
            let message = check(&[to(key, Some(value))]).into_iter().map(|it| it.message).collect::<String>();
            assert_eq!(message, expected, "{key}");
        };
        check("cache.limit", "20 GB", "");
        check("cache.limit", "", "");
        check("cache.limit", "much", "`much` is not a size: one like `30 GB` is expected");
        check("runs.cpu-slots", "x", "`x` is not a number: one like `10` is expected");
        check("runs.cpu-slots", "0", "`0` is too few: one like `10` is expected");
        for no_port in ["x", "-1", "70000"] {
            let expected = format!("`{no_port}` is no port: a number up to 65535 is expected");
            check("ui.port", no_port, &expected);
        }
        check(
            "torch.profile",
            "cuda",
            "`cuda` is not a PyTorch profile: one of `auto`, `cu13`, `cu12`, `cpu` is expected",
        );
        check("mirror-fallback", "yes", "`yes` is neither `true` nor `false`");
        check("sources.node.places", "https://a.example/{version}\n\n http://b.example/x ", "");
        check(
            "sources.node.places",
            "https://a.example/x\n/etc/passwd",
            "`/etc/passwd` is no web address: one that begins with `https://` is expected",
        );
        check(
            "sources.HunyuanImage-2.1.url",
            "file:///etc",
            "`file:///etc` is no web address: one that begins with `https://` is expected",
        );
        check("sources.HunyuanImage-2.1.url", "https://git.example/a", "");
        check("ui.roots", "/", "`ui.roots` is not set from here: `[ui]`, below it `roots = [\"/FOLDER\"]`");
        check(
            "sources.node.version",
            "1",
            "`sources.node.version` is not set from here: `[sources.NAME]`, below it `version` and `sha256`",
        );
        check("nothing", "1", "`nothing` is no key that can be set");
    }

    #[test]
    fn changes_are_written_among_what_the_user_wrote_unless_it_is_another_file_by_now() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        let file = workspace.settings_file();
        let read = || fs::read_text(&file).expect("there");
        let changes =
            [to("cache.limit", Some("20 GB")), to("sources.a.b.url", Some("https://git.example/a"))];
        let digest = change(&workspace, None, &changes).expect("written");
        assert_eq!(
            read(),
            "[cache]\nlimit = \"20 GB\"\n\n[sources.\"a.b\"]\nurl = \"https://git.example/a\"\n"
        );
        fs::write_atomic(&file, format!("# mine\n{}", read())).expect("written");
        let refused = change(&workspace, Some(&digest), &changes).expect_err("changed");
        assert!(matches!(refused, ChangeError::Meanwhile), "{refused}");
        let now = super::digest(&read());
        let half = [to("cache.limit", None), to("ui.port", Some("x"))];
        assert!(
            matches!(change(&workspace, Some(&now), &half), Err(ChangeError::Wrong(it)) if it.len() == 1)
        );
        change(&workspace, Some(&now), &half[..1]).expect("written");
        assert_eq!(read(), "# mine\n[cache]\n\n[sources.\"a.b\"]\nurl = \"https://git.example/a\"\n");
        assert_eq!(said(&read(), "sources.a.b.url").as_deref(), Some("https://git.example/a"));
        assert_eq!(said(&read(), "cache.limit"), None);
    }
}
