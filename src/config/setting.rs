//! `--set key=value`: which key of a new configuration is meant, and whether it may have that value.

use toml::Value;

use crate::platform::process::as_typed;

use super::{
    address::{self, Place},
    draft::{Draft, Part},
    explain,
    schema::{self, Section},
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
    #[error("there is no key `{name}`")]
    Unknown { name: String, nearest: Option<String> },
    #[error("`{name}` is a key of the {kind} file, and this is none")]
    Elsewhere {
        name: String,
        kind: &'static str,
        /// The file, where that is known.
        file: Option<String>,
        /// What it was to be, but no secret.
        value: Option<String>,
    },
    #[error("`{name}` is a key of more than one part")]
    Ambiguous { name: String, of: Vec<String> },
    #[error("`{name}` must be {wanted}, not `{text}`")]
    Value { name: String, wanted: String, text: String },
    #[error("`{0}` is given by the command itself")]
    Given(String),
}

impl SettingError {
    /// `text` is no value of the key `name`, of which it may be a secret.
    pub(super) fn wrong(name: &str, wanted: String, text: &str) -> Self {
        Self::Value { name: name.to_owned(), wanted, text: secret::shown(name, text).to_owned() }
    }

    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Unknown { name, nearest: None } if explain::explain(name).is_ok() => {
                format!("look for it with `dpgui config explain {name}`")
            }
            Self::Unknown { nearest: None, .. } => "`dpgui config schema` has all keys".to_owned(),
            Self::Elsewhere { name, kind, file, value } => {
                let file = file.clone().unwrap_or_else(|| format!("{}.toml", kind.to_uppercase()));
                let value = value.as_deref().unwrap_or("VALUE");
                format!("set it there: `{}`", as_typed(["dpgui", "config", "set", &file, name, value]))
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
        let (part, name) = self.part(training, dataset)?;
        if matches!((part.section, name), (Section::Model(_), "type") | (Section::Training, "dataset")) {
            return Err(SettingError::Given(self.name.clone()));
        }
        let value = match schema::key(part.section, name) {
            Some(key) => schema::plain_value(&key.typed(&self.text).map_err(|wanted| self.wrong(wanted))?),
            None => Value::String(self.text.clone()),
        };
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

    /// The part that has the key, and what it is called there.
    fn part<'a>(
        &self,
        training: &'a mut Draft,
        dataset: &'a mut Draft,
    ) -> Result<(&'a mut Part, &str), SettingError> {
        let mut parts: Vec<&mut Part> = training.parts.iter_mut().chain(&mut dataset.parts).collect();
        let places: Vec<Place> = parts.iter().map(|part| Place::one(part.section)).collect();
        let (index, key) = address::find(&self.name, &places)?;
        Ok((parts.swap_remove(index), key))
    }

    fn wrong(&self, wanted: String) -> SettingError {
        SettingError::wrong(&self.name, wanted, &self.text)
    }
}
