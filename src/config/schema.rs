//! The trainer's whole configuration as data: every key, model type, optimizer and rule, with what it may be and who
//! says so.
//!
//! The data is in `templates/schema/`, one file per subject, embedded here and read when it is first asked for.
//! Templates, checks, explanations and the JSON Schema are made from it.

mod accept;
mod catalog;
mod key;
mod kind;
mod model;
mod rule;

use serde::{Deserialize, Serialize};

use catalog::{FILES, MODELS};

pub use accept::{Wrong, editable, plain_value};
pub(in crate::config) use catalog::of_each_model;
pub use key::{Condition, Items, Key, Mark, PathKind, Required};
pub use kind::Kind;
pub use model::{Ability, BlockSwap, Export, FrameRule, ModelType, Variant, Video, Writer};
pub use rule::{Effect, Needs, RuleFact, When};

/// A place for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section<'a> {
    /// Outside of any table in a training file.
    Training,
    EvalDataset,
    /// `[model]` of one type; empty if there is no such type.
    Model(&'a str),
    /// What is read of `[model]` whatever its type.
    AnyModel,
    TextEncoder,
    /// `[adapter]` of one type, or what all types have.
    Adapter(Option<&'a str>),
    FuseAdapter,
    /// `[optimizer]` of one type, in any letter case, or what all types have.
    Optimizer(Option<&'a str>),
    Monitoring,
    /// Outside of any table in a dataset file.
    Dataset,
    Directory,
}

/// The keys of a section, in the order in which one would write them.
pub fn section(section: Section) -> Vec<&'static Key> {
    match section {
        Section::Training => all(&FILES.training.keys),
        Section::EvalDataset => all(&FILES.training.eval_dataset),
        Section::Model(name) => model(name).map(|it| all(&it.keys)).unwrap_or_default(),
        Section::AnyModel => all(&FILES.model.keys),
        Section::TextEncoder => all(&FILES.text_encoder.keys),
        Section::Adapter(name) => {
            let own = name.and_then(|name| FILES.adapter.types.iter().find(|it| it.name == name));
            all(&FILES.adapter.keys).into_iter().chain(own.iter().flat_map(|it| &it.keys)).collect()
        }
        Section::FuseAdapter => all(&FILES.adapter.fuse_adapter),
        Section::Optimizer(name) => {
            let own: Vec<_> = name.and_then(optimizer).iter().flat_map(|it| &it.keys).collect();
            // What the constructor says of a key of its own is more exact.
            let common = FILES.optimizers.keys.iter().filter(|key| own.iter().all(|it| it.name != key.name));
            // An optimizer that is not described may have any of the common ones.
            let common = common.filter(|key| own.is_empty() || !key.is(Mark::Passthrough));
            common.chain(own.iter().copied()).collect()
        }
        Section::Monitoring => all(&FILES.monitoring.keys),
        Section::Dataset => all(&FILES.dataset.keys),
        Section::Directory => all(&FILES.directory),
    }
}

/// The groups in a section of which at least one key has to be there.
pub fn one_of(section: Section) -> &'static [OneOf] {
    match section {
        Section::Training => &FILES.training.one_of,
        Section::Model(name) => model(name).map(|it| &it.one_of[..]).unwrap_or_default(),
        Section::TextEncoder => &FILES.text_encoder.one_of,
        _ => &[],
    }
}

/// One key of a section.
pub fn key(of: Section, name: &str) -> Option<&'static Key> {
    section(of).into_iter().find(|key| key.name == name)
}

/// The model type that `type = 'name'` selects.
pub fn model(name: &str) -> Option<&'static ModelType> {
    MODELS.iter().find(|it| it.name == name).map(catalog::Entry::get)
}

/// All model types, the demo's last.
pub fn models() -> impl Iterator<Item = &'static ModelType> {
    MODELS.iter().map(catalog::Entry::get)
}

/// Their names, for which nothing has to be read.
pub fn model_names() -> impl Iterator<Item = &'static str> {
    MODELS.iter().map(|it| it.name)
}

/// The model type's name that is most like `name`, if any is like it at all.
pub fn nearest_model(name: &str) -> Option<&'static str> {
    // Below this are coincidences such as `foo` and `flux`.
    nearest(&name.to_lowercase(), model_names(), 0.75)
}

/// The names of at most three model types that are like `name`, the most like it first.
pub fn nearest_models(name: &str) -> Vec<&'static str> {
    let Some(first) = nearest_model(name) else { return vec![] };
    let lower = name.to_lowercase();
    let like = |it: &&str| strsim::jaro_winkler(&lower, it) > 0.8 && *it != first;
    std::iter::once(first).chain(model_names().filter(like)).take(3).collect()
}

/// The one of `names` that is most like `name`, if any is at least so much like it, between 0 and 1.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>, likeness: f64) -> Option<&'a str> {
    let likely = names.map(|known| (strsim::jaro_winkler(name, known), known));
    let (best, known) = likely.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best > likeness).then_some(known)
}

/// The optimizer that `type = 'name'` selects, in any letter case, if it is described.
pub fn optimizer(name: &str) -> Option<&'static OptimizerType> {
    FILES.optimizers.types.iter().find(|it| it.name.eq_ignore_ascii_case(name))
}

pub fn optimizers() -> &'static [OptimizerType] {
    &FILES.optimizers.types
}

/// The names that are looked up in `pytorch_optimizer` as they are written.
pub fn fallback_optimizers() -> &'static [String] {
    &FILES.optimizers.fallback
}

pub fn adapters() -> &'static [AdapterType] {
    &FILES.adapter.types
}

pub fn rules() -> &'static [RuleFact] {
    &FILES.rules.rules
}

pub fn rule(id: &str) -> Option<&'static RuleFact> {
    rules().iter().find(|rule| rule.id == id)
}

/// What older files and documentation mention and the trainer does not read.
pub fn unread() -> &'static [Unread] {
    &FILES.unread.unread
}

pub fn about() -> &'static About {
    &FILES.about
}

fn all(keys: &'static [Key]) -> Vec<&'static Key> {
    keys.iter().collect()
}

/// Keys of which at least one has to be there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    pub name: String,
    pub keys: Vec<String>,
    /// The rule that says so, if it has one of its own.
    pub rule: Option<String>,
}

/// What the data describes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    pub repository: String,
    pub commit: String,
    pub date: String,
    /// The values of a key of [`Kind::Dtype`].
    pub dtypes: Vec<String>,
    /// The Python packages that were read with it.
    pub packages: std::collections::BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterType {
    pub name: String,
    pub doc: String,
    /// Besides those of all types.
    #[serde(rename = "key")]
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerType {
    pub name: String,
    pub class: String,
    pub doc: String,
    pub read_at: String,
    /// Arguments that the trainer sets itself.
    #[serde(default)]
    pub forced: Vec<String>,
    /// The constructor's arguments.
    #[serde(rename = "key")]
    pub keys: Vec<Key>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Unread {
    pub key: String,
    /// Only this value is not known; otherwise the key.
    pub value: Option<String>,
    /// `training`, `model`, `adapter`.
    pub section: String,
    /// In `[model]` of this type only.
    pub model: Option<String>,
    pub mentioned_in: String,
    pub instead: String,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every section, by the name that a failure shows.
    fn sections() -> Vec<(String, Section<'static>)> {
        let mut all = vec![
            Section::Training,
            Section::EvalDataset,
            Section::AnyModel,
            Section::TextEncoder,
            Section::FuseAdapter,
            Section::Adapter(None),
            Section::Optimizer(None),
            Section::Monitoring,
            Section::Dataset,
            Section::Directory,
        ];
        all.extend(model_names().map(Section::Model));
        all.extend(adapters().iter().map(|it| Section::Adapter(Some(&it.name))));
        all.extend(optimizers().iter().map(|it| Section::Optimizer(Some(&it.name))));
        all.into_iter().map(|it| (format!("{it:?}"), it)).collect()
    }

    #[test]
    fn every_key_is_consistent_with_itself() {
        for (place, keys) in sections().iter().map(|(place, it)| (place, section(*it))) {
            assert!(!keys.is_empty(), "{place} has no keys");
            let names: BTreeSet<&str> = keys.iter().map(|it| it.name.as_str()).collect();
            assert_eq!(names.len(), keys.len(), "{place} has a key twice");
            for key in keys {
                let place = format!("{place}.{}", key.name);
                for value in key.default.iter().chain(&key.choices).chain(&key.recommended) {
                    assert!(key.kind.fits(&editable(value)), "{place}: `{value}` is no {}", key.kind);
                }
                if let Some(default) = &key.default
                    && !key.choices.is_empty()
                {
                    assert!(key.choices.contains(default), "{place}: the default is no choice");
                }
                assert!(!key.doc.is_empty() && !key.read_at.is_empty(), "{place}");
                let of_paths = [Kind::Path, Kind::List(Box::new(Kind::Path))];
                assert_eq!(of_paths.contains(&key.kind), key.path.is_some(), "{place}: path");
                let of_tables = Kind::List(Box::new(Kind::Table));
                assert_eq!(key.kind == of_tables, key.items.is_some(), "{place}: items");
                assert!(!matches!((key.min, key.max), (Some(min), Some(max)) if min > max), "{place}");
                for model_name in &key.only_for {
                    assert!(model(model_name).is_some(), "{place}: no model type `{model_name}`");
                }
            }
        }
    }

    #[test]
    fn groups_and_their_keys_name_each_other() {
        for (place, of) in sections() {
            let claimed: BTreeSet<(String, String)> = section(of)
                .iter()
                .filter_map(|key| match &key.required {
                    Required::OneOf(groups) => Some(groups.iter().map(|it| (it.clone(), key.name.clone()))),
                    _ => None,
                })
                .flatten()
                .collect();
            let listed: BTreeSet<(String, String)> = one_of(of)
                .iter()
                .flat_map(|group| group.keys.iter().map(|key| (group.name.clone(), key.clone())))
                .collect();
            assert_eq!(claimed, listed, "{place}");
            for id in one_of(of).iter().filter_map(|group| group.rule.as_deref()) {
                assert!(rule(id).is_some(), "{place}: no rule `{id}`");
            }
        }
    }

    #[test]
    fn a_model_type_says_nothing_that_its_keys_contradict() {
        assert_eq!(models().count(), 25);
        for model in models() {
            let name = model.name;
            if let Some(key) = &model.weights_dtype_key {
                assert!(model.key(key).is_some(), "{name}: `{key}` is no key of it");
            }
            assert_eq!(model.can(Ability::Fp8), model.weights_dtype_key.is_some(), "{name}");
            assert_eq!(model.full_finetune_failure.is_none(), !model.full_model_files.is_empty(), "{name}");
            let kinds: Vec<_> = model
                .export
                .blocks
                .iter()
                .map(|it| (it.first.is_some(), it.has.is_some(), it.after))
                .collect();
            assert!(
                matches!(
                    kinds[..],
                    [] | [(true, false, None)] | [(true, true, None), (false, false, Some(_))]
                ),
                "{name}"
            );
            assert_eq!(kinds.is_empty(), !model.export.layers.is_empty(), "{name}");
            assert_eq!(model.export.mixin.is_some(), model.export.writer == Writer::Diffusers, "{name}");
            for adapter in &model.adapters {
                assert!(adapters().iter().any(|it| it.name == *adapter), "{name}: `{adapter}`");
            }
            for (key, required) in [("type", Required::Yes), ("dtype", Required::Yes)] {
                assert_eq!(model.key(key).map(|it| &it.required), Some(&required), "{name}");
            }
        }
    }

    #[test]
    fn every_file_of_a_model_type_is_embedded() {
        for folder in ["schema/models", "starters"] {
            let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates").join(folder);
            let names = crate::platform::fs::names(&dir).expect("a folder");
            let files: BTreeSet<String> =
                names.iter().map(|it| it.to_string_lossy().replace(".toml", "")).collect();
            let known =
                model_names().map(str::to_owned).chain((folder == "starters").then(|| "common".to_owned()));
            assert_eq!(files, known.collect(), "{folder}");
        }
    }

    #[test]
    fn there_are_as_many_keys_and_rules_as_the_trainer_has() {
        assert_eq!(section(Section::Training).len(), 48);
        assert_eq!(section(Section::Dataset).len(), 18);
        assert_eq!(section(Section::Directory).len(), 20);
        assert_eq!(rules().len(), 175);
        let ids: BTreeSet<&str> = rules().iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(ids.len(), 175);
        assert_eq!(about().commit.len(), 40);
        assert!(unread().iter().any(|it| it.key == "pseudo_huber_c"));
    }

    #[test]
    fn an_optimizers_own_keys_come_before_the_common_ones_in_rank() {
        let names =
            |name| section(Section::Optimizer(name)).iter().map(|it| it.name.clone()).collect::<Vec<_>>();
        let common = ["type", "gradient_release", "beta2_half_life"];
        assert_eq!(names(None), [&common[..], &["lr", "betas", "weight_decay", "eps"]].concat());
        assert_eq!(names(Some("Prodigy")), names(None));
        let sgd = names(Some("SGD"));
        assert!(sgd.contains(&"momentum".to_owned()) && !sgd.contains(&"betas".to_owned()), "{sgd:?}");
        let lr = |name| key(Section::Optimizer(Some(name)), "lr").and_then(|it| it.default.clone());
        assert_eq!(lr("automagic"), Some(toml::Value::Float(1e-6)));
    }

    #[test]
    fn the_nearest_name_is_found_and_a_coincidence_is_not() {
        assert_eq!(nearest_model("Wan2.1"), Some("wan"));
        assert_eq!(nearest_model("qwen-image"), Some("qwen_image"));
        assert_eq!(nearest_model("foo"), None);
        assert_eq!(nearest_models("ltx"), ["ltx2", "ltx-video"]);
        assert!(nearest_models("foo").is_empty());
    }

    #[test]
    fn what_describes_the_trainer_is_of_the_commit_that_is_pinned() {
        let pinned = crate::config::schema::about().commit.clone();
        let sources = include_str!("../../vendor/sources.toml");
        assert!(sources.contains(&pinned), "`templates/schema` describes {pinned}");
    }
}
