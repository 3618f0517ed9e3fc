//! What a new configuration of a model type begins with: values that the trainer's documentation and examples
//! recommend, each file with its source. The keys' meaning is in `schema`.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};
use toml::Table;

/// Of one model type, or what all have in common.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Starter {
    /// Who recommends these values.
    pub source: String,
    /// What exactly is trained, as in "trains …".
    #[serde(default)]
    pub about: String,
    /// `section.key` of those common to all that are left out.
    #[serde(default)]
    pub without: Vec<String>,
    #[serde(default, rename = "set")]
    pub values: Values,
    /// Written as comments.
    #[serde(default)]
    pub hints: Values,
    /// What is said besides a key's doc, by `section.key`.
    #[serde(default)]
    pub why: BTreeMap<String, String>,
    #[serde(default, rename = "preset")]
    pub presets: Vec<PresetValues>,
}

/// Values by section. Paths are relative to the folder with the models.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Values {
    #[serde(default)]
    pub training: Table,
    #[serde(default)]
    pub model: Table,
    #[serde(default)]
    pub adapter: Table,
    #[serde(default)]
    pub optimizer: Table,
    #[serde(default)]
    pub dataset: Table,
    #[serde(default)]
    pub directory: Table,
}

/// A way to train that upstream describes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresetValues {
    pub name: Preset,
    pub source: String,
    /// It is one for training without an adapter.
    #[serde(default)]
    pub full_finetune: bool,
    #[serde(default)]
    pub without: Vec<String>,
    #[serde(default, rename = "set")]
    pub values: Values,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    LowVram,
    Balanced,
    Quality,
}

impl Preset {
    pub const ALL: [Self; 3] = [Self::LowVram, Self::Balanced, Self::Quality];

    pub const fn name(self) -> &'static str {
        match self {
            Self::LowVram => "low-vram",
            Self::Balanced => "balanced",
            Self::Quality => "quality",
        }
    }
}

/// What all begin with.
pub fn common() -> &'static Starter {
    static COMMON: LazyLock<Starter> =
        LazyLock::new(|| parse("common", include_str!("../../templates/starters/common.toml")));
    &COMMON
}

/// That of a model type; every type has one.
pub fn of(model: &str) -> Option<Starter> {
    STARTERS.iter().find(|(name, _)| *name == model).map(|(name, text)| parse(name, text))
}

/// Which model types have `preset`.
pub fn with_preset(preset: Preset) -> Vec<&'static str> {
    let has = |text| parse("a starter", text).presets.iter().any(|it| it.name == preset);
    STARTERS.iter().filter(|(_, text)| has(text)).map(|(name, _)| *name).collect()
}

macro_rules! starters {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../templates/starters/", $name, ".toml")))),*]
    };
}

static STARTERS: [(&str, &str); 25] = super::schema::of_each_model!(starters);

/// # Panics
/// When the embedded file is not as this module wants it. A test reads them all.
fn parse(name: &str, text: &str) -> Starter {
    match toml::from_str(text) {
        Ok(starter) => starter,
        Err(error) => panic!("templates/starters: `{name}` is broken: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::{self, Section};

    fn check(place: &str, model: &str, values: &Values, optimizer: Option<&str>) {
        let optimizer = values.optimizer.get("type").and_then(toml::Value::as_str).or(optimizer);
        let sections = [
            (Section::Training, &values.training),
            (Section::Model(model), &values.model),
            (Section::Adapter(Some("lora")), &values.adapter),
            (Section::Optimizer(optimizer), &values.optimizer),
            (Section::Dataset, &values.dataset),
            (Section::Directory, &values.directory),
        ];
        for (section, values) in sections {
            for (name, value) in values {
                let key = schema::key(section, name);
                let key = key.unwrap_or_else(|| panic!("{place}: {section:?} has no key `{name}`"));
                assert_eq!(key.accepts(&schema::editable(value)), Ok(()), "{place}: {name}");
            }
        }
    }

    #[test]
    fn every_starter_holds_only_what_the_schema_allows() {
        check("common", "wan", &Values { model: Table::new(), ..common().values.clone() }, None);
        check("common", "wan", &common().hints, None);
        let usual = common().values.optimizer["type"].as_str();
        for model in schema::models() {
            let starter = of(model.name).expect("a starter");
            let own = starter.values.optimizer.get("type").and_then(toml::Value::as_str).or(usual);
            check(model.name, model.name, &starter.values, own);
            check(model.name, model.name, &starter.hints, own);
            for preset in &starter.presets {
                check(preset.name.name(), model.name, &preset.values, own);
            }
            for name in starter.why.keys().chain(&starter.without) {
                assert!(name.contains('.'), "{}: `{name}` is no `section.key`", model.name);
            }
        }
    }

    #[test]
    fn presets_are_listed_by_the_types_that_have_them() {
        assert_eq!(with_preset(Preset::Quality), ["ernie_image", "wan"]);
        assert!(with_preset(Preset::LowVram).contains(&"qwen_image"));
        assert_eq!(with_preset(Preset::Balanced), Vec::<&str>::new());
    }
}
