//! Keys of other trainers, which people carry over: what they are called here.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    trainer: Vec<Trainer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trainer {
    pub(super) name: String,
    /// What does the same here; empty where nothing does.
    keys: BTreeMap<String, String>,
}

static TRAINERS: LazyLock<Vec<Trainer>> = LazyLock::new(|| {
    let text = include_str!("../../../templates/schema/foreign-keys.toml");
    match toml::from_str::<File>(text) {
        Ok(file) => file.trainer,
        Err(error) => panic!("templates/schema/foreign-keys.toml is broken: {error}"),
    }
});

impl Trainer {
    pub(super) fn ours(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }
}

/// Whether any other trainer has the key.
pub(super) fn is_known(key: &str) -> bool {
    TRAINERS.iter().any(|it| it.keys.contains_key(key))
}

/// The trainer to which most of `keys` belong; of several the first, which is the most popular.
pub(super) fn trainer_of(keys: &[&str]) -> Option<&'static Trainer> {
    let share = |it: &Trainer| keys.iter().filter(|key| it.keys.contains_key(**key)).count();
    TRAINERS.iter().rev().filter(|it| share(it) > 0).max_by_key(|it| share(it))
}

#[cfg(test)]
mod tests {
    use crate::config::schema::{self, Section};

    use super::*;

    #[test]
    fn no_key_of_theirs_is_one_of_ours_and_every_replacement_names_one_of_ours() {
        let sections = [
            Section::Training,
            Section::AnyModel,
            Section::Adapter(Some("lora")),
            Section::Optimizer(None),
            Section::Monitoring,
            Section::Dataset,
            Section::Directory,
        ];
        let models = schema::model_names().map(Section::Model);
        let ours: Vec<&str> = sections
            .into_iter()
            .chain(models)
            .flat_map(schema::section)
            .map(|key| key.name.as_str())
            .collect();
        for (key, replacement) in TRAINERS.iter().flat_map(|it| &it.keys) {
            // `[model] vae` is one of ours, at the top of the file it is theirs.
            assert!(!ours.contains(&key.as_str()) || key == "vae", "`{key}` is one of ours");
            let named =
                replacement.split('`').skip(1).step_by(2).map(|it| it.split(' ').next().unwrap_or(it));
            let known =
                |it: &str| ours.contains(&it) || it.starts_with(['[', '.']) || it.starts_with("dpgui");
            for name in named.filter(|it| *it != "wan") {
                assert!(known(name), "`{key}`: there is no `{name}`");
            }
        }
    }

    #[test]
    fn the_trainer_is_that_of_most_keys() {
        let check = |keys: &[&str], expected| {
            assert_eq!(trainer_of(keys).map(|it| it.name.as_str()), expected, "{keys:?}");
        };
        check(&["network_dim", "save_every"], Some("kohya's sd-scripts"));
        check(&["gradient_checkpointing", "linear", "quantize"], Some("ai-toolkit"));
        check(&["save_every", "lora_rank"], Some("OneTrainer"));
        check(&["rank"], None);
    }
}
