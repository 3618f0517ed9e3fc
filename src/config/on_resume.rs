//! What has changed in a configuration since a checkpoint was written, and what the trainer will do with each change.
//!
//! The facts are data: `templates/schema/resume.toml`.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    TrainConfig,
    effective::{self, Difference},
};

static FACTS: LazyLock<Vec<Fact>> = LazyLock::new(|| {
    let file: File = toml::from_str(include_str!("../../templates/schema/resume.toml"))
        .expect("the embedded file is read in the tests");
    file.facts
});

/// One key that is not as it was.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename = "changed")]
pub struct Change {
    /// `adapter.rank`; keys of the dataset file are below `dataset`.
    pub key: String,
    /// `null` where it was not set.
    pub before: Value,
    pub after: Value,
    pub effect: Effect,
    /// Why that is, or what else there is to know.
    pub why: Option<String>,
    /// Flags of the trainer, any of which would let it take effect.
    pub flags: Vec<String>,
}

/// What the trainer does with a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It counts from the next step on.
    Applies,
    /// What the checkpoint holds counts.
    Kept,
    /// A training that goes on does not look at it.
    Unused,
    /// The trainer gives up.
    Fails,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "change")]
    facts: Vec<Fact>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fact {
    keys: Vec<String>,
    effect: Effect,
    why: String,
    /// Flags and keys with which it takes effect all the same.
    #[serde(default)]
    unless: Vec<String>,
    /// Only where this was the value.
    before: Option<i64>,
    /// Only where the model is cut into several stages.
    #[serde(default)]
    only_in_stages: bool,
    #[expect(dead_code, reason = "for readers of the file")]
    read_at: String,
}

/// What differs in meaning between `old` and `new`, with `args` passed on to the trainer.
pub fn changes(old: &TrainConfig, new: &TrainConfig, args: &[String]) -> Vec<Change> {
    let stages = new.training.pipeline_stages;
    let (before, after) = (effective::settings(old), effective::settings(new));
    let is_set = |flag: &String| {
        args.contains(flag) || after.iter().any(|it| it.section.is_empty() && it.key == *flag)
    };
    let differences = effective::differences(&before, &after);
    let found = differences.iter().filter(|it| !is_place(it)).map(|it| {
        let key = name(it);
        let value = |setting: &Option<effective::Setting>| {
            setting.as_ref().map_or(Value::Null, |it| it.value.clone())
        };
        let (before, after) = (value(&it.before), value(&it.after));
        let fact = FACTS.iter().find(|fact| {
            fact.names(&key)
                && fact.before.is_none_or(|was| before.as_i64().unwrap_or(0) == was)
                && (stages > 1 || !fact.only_in_stages)
        });
        let fact = fact.filter(|fact| !fact.unless.iter().any(is_set) && !is_same(&key, &before, &after));
        let effect = fact.map_or(Effect::Applies, |it| it.effect);
        let flags = fact
            .map_or(vec![], |it| it.unless.iter().filter(|flag| flag.starts_with("--")).cloned().collect());
        Change { key, before, after, effect, why: fact.map(|it| it.why.clone()), flags }
    });
    found.collect()
}

impl Fact {
    fn names(&self, key: &str) -> bool {
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(start) => key.starts_with(start) || key.starts_with(&start.replace('.', "[")),
            None => key == pattern,
        };
        self.keys.iter().any(fits)
    }
}

impl Change {
    /// One line for people.
    pub fn sentence(&self) -> String {
        let said =
            |value: &Value| if value.is_null() { "not set".to_owned() } else { effective::toml(value) };
        let does = match self.effect {
            Effect::Applies => "takes effect",
            Effect::Kept => "is ignored",
            Effect::Unused => "is not looked at",
            Effect::Fails => "cannot work",
        };
        let why = self.why.as_ref().map(|it| format!(": {it}")).unwrap_or_default();
        let flag = match (self.effect, self.flags.first()) {
            (Effect::Kept | Effect::Fails, Some(flag)) => format!("; `-- {flag}` lets it"),
            _ => String::new(),
        };
        format!(
            "`{}` was {}, now {}, which {does}{why}{flag}",
            self.key,
            said(&self.before),
            said(&self.after)
        )
    }
}

fn name(it: &Difference) -> String {
    if it.section.is_empty() { it.key.clone() } else { format!("{}.{}", it.section, it.key) }
}

/// Where files are that are compared by what is in them, and how the training is asked to go on.
fn is_place(it: &Difference) -> bool {
    let at_top = it.section.is_empty() && matches!(it.key.as_str(), "dataset" | "resume_from_checkpoint");
    at_top || (it.section.starts_with("eval_datasets") && it.key == "config")
}

/// The trainer reads types of optimizers in lower case.
fn is_same(key: &str, before: &Value, after: &Value) -> bool {
    let texts = before.as_str().zip(after.as_str());
    key == "optimizer.type" && texts.is_some_and(|(before, after)| before.eq_ignore_ascii_case(after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fact_is_about_a_key_that_there_is() {
        use crate::config::schema::{self, Section};
        let all =
            |section| schema::section(section).into_iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let models: Vec<String> = schema::model_names().flat_map(|it| all(Section::Model(it))).collect();
        let adapters: Vec<String> =
            ["lora", "lokr"].iter().flat_map(|it| all(Section::Adapter(Some(it)))).collect();
        for key in FACTS.iter().flat_map(|it| &it.keys).filter(|it| !it.ends_with('*')) {
            let (table, name) = key.split_once('.').unwrap_or(("", key));
            let known = match table {
                "" => all(Section::Training),
                "model" => models.clone(),
                "adapter" => adapters.clone(),
                _ => all(Section::Optimizer(None)),
            };
            assert!(known.iter().any(|it| it == name), "{key}");
        }
    }
}
