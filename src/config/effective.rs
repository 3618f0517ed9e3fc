//! What a configuration amounts to: every key with the value that counts, and where that comes from.

use std::path::{Path, PathBuf};

use serde::Serialize;
use toml_edit::{Item, TableLike, Value};

use crate::{platform::Env, workspace::Workspace};

use super::{
    ConfigError, Position, TrainConfig,
    paths::{self, Base},
    read,
    rules::{self, In, Part, Subject},
    schema::{self, Key, Kind, PathKind},
    secret::{HIDDEN, is_hidden},
    source::Source,
};

/// One key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The table, such as `model.text_encoders[0]`; empty for the top of the training file. A dataset file's are below
    /// `dataset`, or `eval NAME`.
    pub section: String,
    pub key: String,
    /// With paths made absolute.
    pub value: serde_json::Value,
    #[serde(flatten)]
    pub origin: Origin,
}

/// Who says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "origin")]
pub enum Origin {
    File {
        #[serde(serialize_with = "crate::output::lossy")]
        file: PathBuf,
        #[serde(flatten)]
        position: Position,
    },
    /// The trainer, where nobody else does.
    Default,
    /// Another key.
    Key { from: String },
}

/// All keys that are written, or have a default, in the order in which one would write them.
pub fn settings(config: &TrainConfig) -> Vec<Setting> {
    let subject = Subject::of(config, None);
    let mut found: Vec<Setting> =
        subject.parts().iter().flat_map(|part| of_part(part, &config.base, "")).collect();
    let evaluations = config.training.eval_datasets.iter().map(|it| format!("eval {}", it.name));
    let names = std::iter::once("dataset".to_owned()).chain(evaluations);
    for (name, dataset) in names.zip(&config.datasets) {
        if let Ok(source) = &dataset.source {
            found.extend(of_dataset(source, &config.base, &name));
        }
    }
    found
}

/// The same of a file at `path`, which must be absolute: a training file with its datasets, or a dataset file alone.
///
/// # Errors
/// When it cannot be read.
pub fn of_file(path: &Path, workspace: &Workspace, env: &Env) -> Result<OfFile, ConfigError> {
    match TrainConfig::load(path, workspace, env) {
        Ok(config) => Ok(OfFile { settings: settings(&config), config: Some(Box::new(config)) }),
        Err(ConfigError::IsDataset { .. }) => {
            let source = Source::read(path)?;
            Ok(OfFile { settings: of_dataset(&source, &Base::of(workspace, env), "dataset"), config: None })
        }
        Err(cause) => Err(cause),
    }
}

/// What a file amounts to.
pub struct OfFile {
    pub settings: Vec<Setting>,
    /// `None` of a dataset file.
    pub config: Option<Box<TrainConfig>>,
}

fn of_dataset(source: &Source, base: &Base, name: &str) -> Vec<Setting> {
    rules::parts_of_dataset(source, base).iter().flat_map(|part| of_part(part, base, name)).collect()
}

fn of_part(part: &Part, base: &Base, prefix: &str) -> Vec<Setting> {
    let label = part.view.label();
    let section = match (prefix, label.as_str()) {
        ("", _) => label,
        (_, "") => prefix.to_owned(),
        _ => format!("{prefix}.{label}"),
    };
    let keys = schema::section(part.section);
    let mut found: Vec<Setting> = keys
        .iter()
        .filter(|key| !is_table(key))
        .filter_map(|key| of_key(part, key, base, &section))
        .collect();
    // What goes to a constructor, or nowhere.
    let others = part.view.table().iter().filter(|(name, _)| keys.iter().all(|key| key.name != *name));
    found.extend(others.filter_map(|(name, item)| {
        let value = named(name, item.as_value()?);
        Some(Setting { section: section.clone(), key: name.to_owned(), value, origin: written(part, name) })
    }));
    found
}

/// Tables are sections of their own.
fn is_table(key: &Key) -> bool {
    key.items.is_some() || key.kind == Kind::Table
}

fn of_key(part: &Part, key: &Key, base: &Base, section: &str) -> Option<Setting> {
    let setting =
        |value, origin| Some(Setting { section: section.to_owned(), key: key.name.clone(), value, origin });
    if let Some(value) = part.view.get(&key.name).and_then(Item::as_value) {
        return setting(shown(value, key, base), written(part, &key.name));
    }
    // In a folder's table the top of the file counts, which is shown there.
    if part.of == In::Directory {
        return None;
    }
    if let Some(from) = &key.default_from {
        let name = from.rsplit('.').next().unwrap_or(from);
        let other = part.view.get(name).and_then(Item::as_value);
        return setting(shown(other?, key, base), Origin::Key { from: from.clone() });
    }
    let default = key.default.as_ref()?;
    setting(serde_json::to_value(default).unwrap_or_default(), Origin::Default)
}

fn written(part: &Part, key: &str) -> Origin {
    let (file, position) = part.view.at(key);
    Origin::File { file: file.to_owned(), position }
}

fn shown(value: &Value, key: &Key, base: &Base) -> serde_json::Value {
    if is_hidden(&key.name) {
        return named(&key.name, value);
    }
    match (value, key.path) {
        (Value::String(text), Some(kind)) => path(text.value(), kind, base),
        (Value::Array(array), Some(kind)) => array
            .iter()
            .map(|it| it.as_str().map_or_else(|| json(it), |text| path(text, kind, base)))
            .collect(),
        (Value::Integer(number), None) if key.kind == Kind::Float => {
            #[expect(clippy::cast_precision_loss, reason = "nothing in a configuration is near 2^53")]
            let number = *number.value() as f64;
            number.into()
        }
        _ => json(value),
    }
}

fn path(text: &str, kind: PathKind, base: &Base) -> serde_json::Value {
    if text.is_empty() || kind == PathKind::FolderOrHub && paths::is_on_hub(text, base) {
        return text.into();
    }
    base.absolute(text).display().to_string().into()
}

/// The value of `key`, which may be nobody's business.
fn named(key: &str, value: &Value) -> serde_json::Value {
    let is_set = value.as_str() != Some("");
    if is_hidden(key) && is_set { HIDDEN.into() } else { json(value) }
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        // JSON has no infinity; its text says what it is.
        Value::Float(number) => serde_json::Number::from_f64(*number.value())
            .map_or_else(|| number.value().to_string().into(), serde_json::Value::Number),
        Value::Boolean(flag) => (*flag.value()).into(),
        Value::Datetime(time) => time.value().to_string().into(),
        Value::Array(array) => array.iter().map(json).collect(),
        Value::InlineTable(table) => table
            .iter()
            .map(|(key, value)| (key.to_owned(), named(key, value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// What is written in a file, its secrets hidden.
pub fn written_values(source: &Source) -> serde_json::Value {
    of_table(source.root())
}

fn of_table(table: &dyn TableLike) -> serde_json::Value {
    let one = |(key, item): (&str, &Item)| {
        let value = match (item, read::tables(item)) {
            (Item::Value(value), _) => named(key, value),
            _ if is_hidden(key) => HIDDEN.into(),
            (Item::Table(table), _) => of_table(table),
            (_, Some(tables)) => tables.into_iter().map(of_table).collect(),
            (Item::ArrayOfTables(_) | Item::None, None) => serde_json::Value::Null,
        };
        (key.to_owned(), value)
    };
    table.iter().map(one).collect::<serde_json::Map<_, _>>().into()
}

/// A value as one would write it in TOML.
pub fn toml(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(values) => {
            format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", "))
        }
        serde_json::Value::Object(entries) => {
            let entries: Vec<_> =
                entries.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        serde_json::Value::String(text) => {
            super::portable::spelling(text).unwrap_or_else(|| value.to_string())
        }
        serde_json::Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
            // 2e-05 as people write it.
            Some(float) if float != 0.0 && float.abs() < 0.001 => format!("{float:e}"),
            Some(float) => format!("{float:?}"),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// What two configurations do otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    pub section: String,
    pub key: String,
    pub before: Option<Setting>,
    pub after: Option<Setting>,
}

/// By meaning: an absent key is its default, paths are what they lead to, and a dataset file is what is in it.
pub fn differences(before: &[Setting], after: &[Setting]) -> Vec<Difference> {
    let same_place = |a: &Setting, b: &Setting| a.section == b.section && a.key == b.key;
    let counts = |it: &&Setting| !(it.section.is_empty() && it.key == "dataset") && it.value != HIDDEN;
    let of = |it: &Setting, before: Option<&Setting>, after: Option<&Setting>| Difference {
        section: it.section.clone(),
        key: it.key.clone(),
        before: before.cloned(),
        after: after.cloned(),
    };
    let mut found = vec![];
    for old in before.iter().filter(counts) {
        let new = after.iter().find(|it| same_place(it, old));
        if new.is_none_or(|new| new.value != old.value) {
            found.push(of(old, Some(old), new));
        }
    }
    let added = after.iter().filter(counts).filter(|new| !before.iter().any(|old| same_place(old, new)));
    found.extend(added.map(|new| of(new, None, Some(new))));
    found
}

impl Origin {
    /// As one says it behind a value; files as `relative` has them.
    pub fn text(&self, relative: impl Fn(&Path) -> PathBuf) -> String {
        match self {
            Self::File { file, position } => format!("{}:{}", relative(file).display(), position.line),
            Self::Default => "default".to_owned(),
            Self::Key { from } => format!("from `{from}`"),
        }
    }
}
