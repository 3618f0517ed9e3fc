//! `--set key=value`: which key of a new configuration is meant, and whether it may have that value.

use toml::Value;

use super::{
    draft::{Draft, Part},
    schema::{self, Key, Kind, Section},
    secret,
};

/// What somebody wants a key to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// `rank`, or `adapter.rank`.
    name: String,
    text: String,
}

/// Why a setting cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("no part of this configuration has a key `{name}`")]
    Unknown { name: String, nearest: Option<String> },
    #[error("`{name}` is a key of more than one part")]
    Ambiguous { name: String, of: Vec<String> },
    #[error("`{name}` must be {wanted}, not `{text}`")]
    Value { name: String, wanted: String, text: String },
    #[error("`{0}` is given by the command itself")]
    Given(String),
}

impl SettingError {
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Unknown { name, nearest: None } => {
                format!("look for it with `dpgui config explain {name}`")
            }
            Self::Ambiguous { of, .. } => format!("say which: `{}`", of.join("` or `")),
            Self::Value { name, .. } => format!("`dpgui config explain {name}` says what it may be"),
            Self::Given(_) => {
                "choose the model type as `dpgui config new MODEL`, the folders with `--data`".to_owned()
            }
        }
    }
}

impl std::str::FromStr for Setting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, text) = text.split_once('=').ok_or("write it as `key=value`")?;
        let name = name.trim();
        if name.is_empty() {
            Err("the key is missing")
        } else {
            Ok(Self { name: name.to_owned(), text: text.trim().to_owned() })
        }
    }
}

impl Setting {
    /// It selects the type of `[adapter]` or `[optimizer]`, so the keys that are known depend on it.
    pub(super) fn is_type(&self) -> bool {
        self.name.rsplit_once('.').is_some_and(|(_, name)| name == "type")
    }

    /// Sets it in one of the two files.
    pub(super) fn apply(&self, training: &mut Draft, dataset: &mut Draft) -> Result<(), SettingError> {
        let part = self.part(training, dataset)?;
        let name = self.name.rsplit('.').next().unwrap_or_default();
        if matches!((part.section, name), (Section::Model(_), "type") | (Section::Training, "dataset")) {
            return Err(SettingError::Given(self.name.clone()));
        }
        let Some(key) = schema::key(part.section, name) else { return Err(self.unknown(&[part.section])) };
        let value = self.value(key)?;
        if name == "type" {
            let new = match (part.section, value.as_str()) {
                (Section::Adapter(_), Some(name)) => schema::adapters()
                    .iter()
                    .find(|it| it.name == name)
                    .map(|it| Section::Adapter(Some(&it.name))),
                (Section::Optimizer(_), Some(name)) => {
                    Some(Section::Optimizer(schema::optimizer(name).map(|it| it.name.as_str())))
                }
                _ => None,
            };
            if let Some(section) = new {
                part.retype(section);
            }
        }
        part.set(name, value, false);
        Ok(())
    }

    fn part<'a>(
        &self,
        training: &'a mut Draft,
        dataset: &'a mut Draft,
    ) -> Result<&'a mut Part, SettingError> {
        let (prefix, name) = match self.name.rsplit_once('.') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, &self.name[..]),
        };
        let parts = || training.parts.iter().chain(&dataset.parts);
        let sections: Vec<Section> = parts().map(|part| part.section).collect();
        let mut found: Vec<Section> = parts()
            .filter(|part| prefix.is_none_or(|prefix| prefix == prefix_of(part.section)))
            .map(|part| part.section)
            .filter(|section| prefix.is_some() || schema::key(*section, name).is_some())
            .collect();
        // At the top of the dataset file it holds for every folder.
        if prefix.is_none() && found.contains(&Section::Dataset) {
            found.retain(|section| *section != Section::Directory);
        }
        match found[..] {
            [section] => {
                let mut parts = training.parts.iter_mut().chain(&mut dataset.parts);
                parts.find(|part| part.section == section).ok_or_else(|| self.unknown(&sections))
            }
            [] => Err(self.unknown(&sections)),
            _ => Err(SettingError::Ambiguous {
                name: self.name.clone(),
                of: found.iter().map(|section| format!("{}.{name}", prefix_of(*section))).collect(),
            }),
        }
    }

    fn unknown(&self, sections: &[Section<'static>]) -> SettingError {
        let name = self.name.rsplit('.').next().unwrap_or_default();
        let keys = sections.iter().flat_map(|section| {
            schema::section(*section).into_iter().map(|key| (prefix_of(*section), key.name.as_str()))
        });
        let keys: Vec<(&str, &str)> = keys.collect();
        let nearest = schema::nearest(name, keys.iter().map(|(_, key)| *key), 0.8);
        let nearest = nearest.and_then(|nearest| keys.iter().find(|(_, key)| *key == nearest));
        SettingError::Unknown {
            name: self.name.clone(),
            nearest: nearest.map(|(prefix, key)| format!("{prefix}.{key}")),
        }
    }

    /// The text as TOML, or as itself where the key takes text.
    fn value(&self, key: &Key) -> Result<Value, SettingError> {
        let takes_text =
            key.kind.alternatives().iter().any(|it| matches!(it, Kind::Text | Kind::Path | Kind::Dtype));
        let as_toml =
            format!("x = {}", self.text).parse::<toml::Table>().ok().and_then(|mut it| it.remove("x"));
        let value = match as_toml {
            Some(value) if key.accepts(&value).is_ok() || !takes_text => value,
            _ if takes_text => Value::String(self.text.clone()),
            _ => {
                return Err(self.wrong(key.kind.in_words()));
            }
        };
        match key.accepts(&value) {
            Ok(()) => Ok(value),
            Err(wanted) => Err(self.wrong(wanted)),
        }
    }

    fn wrong(&self, wanted: String) -> SettingError {
        let text = secret::shown(&self.name, &self.text).to_owned();
        SettingError::Value { name: self.name.clone(), wanted, text }
    }
}

/// How a setting names a section.
pub(super) const fn prefix_of(section: Section) -> &'static str {
    match section {
        Section::Training => "training",
        Section::EvalDataset => "eval_datasets",
        Section::Model(_) | Section::AnyModel => "model",
        Section::TextEncoder => "text_encoders",
        Section::Adapter(_) => "adapter",
        Section::FuseAdapter => "fuse_adapters",
        Section::Optimizer(_) => "optimizer",
        Section::Monitoring => "monitoring",
        Section::Dataset => "dataset",
        Section::Directory => "directory",
    }
}
