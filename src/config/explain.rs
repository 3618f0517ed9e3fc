//! What a name in a configuration means: a key in every place it may stand in, a model type, an optimizer, a rule.

use serde::Serialize;

use super::{
    facts::{self, Fact},
    schema::{self, AdapterType, Condition, Key, ModelType, OptimizerType, Required, Section, Unread},
};

/// What a name means. It may be several things: `cosmos` is a model type and a text encoder's.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Explanation {
    pub keys: Vec<Place>,
    pub models: Vec<&'static ModelType>,
    pub adapters: Vec<&'static AdapterType>,
    pub optimizers: Vec<&'static OptimizerType>,
    /// The rule of that name, or those that mention the key.
    pub rules: Vec<Fact>,
    pub unread: Vec<&'static Unread>,
    /// What the key may be, where each name is explained by itself.
    pub names: Vec<&'static str>,
}

/// A key where it means one thing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Place {
    /// `[model]`.
    pub section: &'static str,
    /// The types of that section it belongs to; empty for all.
    pub types: Vec<&'static str>,
    pub key: &'static Key,
}

impl Explanation {
    fn is_empty(&self) -> bool {
        let Self { keys, models, adapters, optimizers, rules, unread, names: _ } = self;
        keys.is_empty()
            && models.is_empty()
            && adapters.is_empty()
            && optimizers.is_empty()
            && rules.is_empty()
            && unread.is_empty()
    }
}

/// Explains `name`: `rank`, `adapter.rank`, `wan.min_t`, `wan`, `adamw_optimi`, `stages-divide-gpus`.
///
/// # Errors
/// With the names that are most like it, the likeliest first.
pub fn explain(name: &str) -> Result<Explanation, Vec<String>> {
    let found = exactly(name);
    // People write `WAN` and `AdamW`; keys and types are all in lower case.
    let found = if found.is_empty() { exactly(&name.to_lowercase()) } else { found };
    if found.is_empty() { Err(nearest(name.rsplit('.').next().unwrap_or(name))) } else { Ok(found) }
}

fn exactly(name: &str) -> Explanation {
    let (prefix, key) = match name.rsplit_once('.') {
        Some((prefix, key)) => (Some(table_of(prefix)), key),
        None => (None, name),
    };
    let mut found = Explanation { keys: merged(places(prefix, key)), ..Explanation::default() };
    let in_section = |section: &str| prefix.is_none_or(|prefix| prefix == section);
    found.unread = schema::unread().iter().filter(|it| it.key == key && in_section(&it.section)).collect();
    if prefix.is_none() {
        found.models = schema::model(name).into_iter().collect();
        found.adapters = schema::adapters().iter().filter(|it| it.name == name).collect();
        found.optimizers = schema::optimizer(name).into_iter().collect();
        found.rules = facts::of(name).into_iter().collect();
    }
    if !found.keys.is_empty() {
        found.rules.extend(facts::all().filter(|rule| mentions(rule.rule, key)));
    }
    if (prefix, key) == (Some("optimizer"), "type") {
        found.names = schema::optimizers().iter().map(|it| it.name.as_str()).collect();
        found.names.extend(schema::fallback_optimizers().iter().map(String::as_str));
    }
    if (prefix, key) == (Some("model"), "type") {
        found.names = schema::model_names().collect();
    }
    found
}

/// `[optimizer]` and `directory[0]` without their brackets.
fn table_of(prefix: &str) -> &str {
    let prefix = prefix.trim_start_matches('[');
    prefix.split(['[', ']']).next().unwrap_or(prefix)
}

/// A section as people write it.
pub const fn title(section: Section) -> &'static str {
    match section {
        Section::Training => "top of the training file",
        Section::EvalDataset => "an entry of eval_datasets",
        Section::Model(_) | Section::AnyModel => "[model]",
        Section::TextEncoder => "an entry of text_encoders in [model]",
        Section::Adapter(_) => "[adapter]",
        Section::FuseAdapter => "an entry of fuse_adapters in [adapter]",
        Section::Optimizer(_) => "[optimizer]",
        Section::Monitoring => "[monitoring]",
        Section::Dataset => "top of the dataset file",
        Section::Directory => "[[directory]] of the dataset file",
    }
}

/// When a key has to be there, in words; `None` if it never has to.
pub fn needed(key: &Key, of: Section) -> Option<String> {
    match &key.required {
        Required::No => None,
        Required::Yes => Some("yes".to_owned()),
        Required::When(condition) => Some(Condition::text(*condition).to_owned()),
        Required::OneOf(groups) => {
            let others = schema::one_of(of).iter().filter(|group| groups.contains(&group.name));
            let others = others.flat_map(|group| &group.keys).filter(|it| **it != key.name);
            let mut names: Vec<&str> = others.map(String::as_str).collect();
            names.dedup();
            Some(format!("unless there is {}", names.join(" or ")))
        }
    }
}

/// Every section with the name by which `section.key` may select it, in the order in which they are shown.
pub fn sections() -> Vec<(&'static str, Section<'static>)> {
    let mut all = vec![("training", Section::Training), ("model", Section::AnyModel)];
    all.extend(schema::model_names().map(|name| (name, Section::Model(name))));
    all.push(("text_encoders", Section::TextEncoder));
    all.push(("adapter", Section::Adapter(None)));
    all.extend(schema::adapters().iter().map(|it| (it.name.as_str(), Section::Adapter(Some(&it.name)))));
    all.push(("fuse_adapters", Section::FuseAdapter));
    all.push(("optimizer", Section::Optimizer(None)));
    all.extend(schema::optimizers().iter().map(|it| (it.name.as_str(), Section::Optimizer(Some(&it.name)))));
    all.push(("monitoring", Section::Monitoring));
    all.push(("eval_datasets", Section::EvalDataset));
    all.push(("dataset", Section::Dataset));
    all.push(("directory", Section::Directory));
    all
}

/// The places of `key`; with a `prefix`, only those in that section or of that type.
fn places(prefix: Option<&str>, key: &str) -> Vec<(Section<'static>, Place)> {
    let mut found: Vec<(Section, Place)> = vec![];
    for (name, section) in sections() {
        let (family, types) = match section {
            Section::Model(name) => ("model", vec![name]),
            Section::Adapter(Some(_)) => ("adapter", vec![name]),
            Section::Optimizer(Some(_)) => ("optimizer", vec![name]),
            _ => (name, vec![]),
        };
        if prefix.is_some_and(|prefix| prefix != name && prefix != family) {
            continue;
        }
        let Some(key) = schema::key(section, key) else { continue };
        // What a type has in common with all others is said once.
        let is_common = found.iter().any(|(_, it)| std::ptr::eq(it.key, key));
        if !is_common {
            found.push((section, Place { section: title(section), types, key }));
        }
    }
    // What is read whatever the type is of interest only where no type says more.
    let of_types = found.iter().any(|(section, _)| matches!(section, Section::Model(_)));
    found.retain(|(section, _)| !of_types || *section != Section::AnyModel);
    found
}

/// Types with the same key in one place.
fn merged(places: Vec<(Section<'static>, Place)>) -> Vec<Place> {
    let mut merged: Vec<Place> = vec![];
    for (_, place) in places {
        let same = |it: &&mut Place| {
            it.section == place.section && !it.types.is_empty() && !place.types.is_empty() && {
                Key { read_at: place.key.read_at.clone(), ..it.key.clone() } == *place.key
            }
        };
        match merged.iter_mut().find(same) {
            Some(it) => it.types.extend(place.types),
            None => merged.push(place),
        }
    }
    merged
}

/// `text` has the key `word` in it, not as a part of a longer one. Keys of one word (`type`, `rank`) are everyday
/// English and would bring every other rule.
fn mentions(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_whole = |(start, _): (usize, &str)| {
        !text[..start].ends_with(is_part) && !text[start + word.len()..].starts_with(is_part)
    };
    word.contains('_') && text.match_indices(word).any(is_whole)
}

/// At most three names that are like `name`.
fn nearest(name: &str) -> Vec<String> {
    let mut names: Vec<&str> =
        sections().into_iter().flat_map(|(_, it)| schema::section(it)).map(|it| &it.name[..]).collect();
    names.extend(schema::model_names());
    names.extend(schema::optimizers().iter().map(|it| it.name.as_str()));
    names.extend(facts::all().map(|it| it.id));
    names.sort_unstable();
    names.dedup();
    let lower = name.to_lowercase();
    let mut ranked: Vec<(f64, &str)> = names
        .into_iter()
        .map(|it| (strsim::jaro_winkler(&lower, it), it))
        .filter(|(like, _)| *like > 0.8)
        .collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    ranked.into_iter().take(3).map(|(_, it)| it.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `section of types: default`, the rules that are named.
    fn check(name: &str, expected: &[&str]) {
        let found = explain(name).expect("a known name");
        let places = found.keys.iter().map(|it| format!("{} of {}", it.section, it.types.join(" ")));
        let models = found.models.iter().map(|it| format!("model {}", it.name));
        let optimizers = found.optimizers.iter().map(|it| format!("optimizer {}", it.name));
        assert_eq!(places.chain(models).chain(optimizers).collect::<Vec<_>>(), expected, "{name}");
    }

    #[test]
    fn a_key_is_found_in_every_place_it_may_stand_in() {
        check("epochs", &["top of the training file of "]);
        check("min_t", &["[model] of wan"]);
        check("wan.min_t", &["[model] of wan"]);
        check("model.min_t", &["[model] of wan"]);
        check("llama3_path", &["[model] of hidream"]);
        check("num_repeats", &["top of the dataset file of ", "[[directory]] of the dataset file of "]);
        check("directory.num_repeats", &["[[directory]] of the dataset file of "]);
        check("rank_dropout", &["[adapter] of lokr"]);
        check("directory[0].path", &["[[directory]] of the dataset file of "]);
        check("WAN", &["model wan"]);
        check("Model.Min_T", &["[model] of wan"]);
        check("[optimizer].stabilize", &["[optimizer] of adamw8bitkahan"]);
        check("optimizer.gradient_release", &["[optimizer] of "]);
        check("cosmos", &["model cosmos"]);
        check("AdamW8bitKahan", &["optimizer adamw8bitkahan"]);
        check("video_clip_mode", &["top of the training file of "]);
    }

    #[test]
    fn a_key_brings_the_rules_that_mention_it_and_a_rule_is_found_by_its_id() {
        let ids = |name| explain(name).expect("known").rules.iter().map(|it| it.id).collect::<Vec<_>>();
        assert!(ids("pipeline_stages").contains(&"stages-divide-gpus"), "{:?}", ids("pipeline_stages"));
        assert_eq!(ids("stages-divide-gpus"), ["stages-divide-gpus"]);
        let names = explain("optimizer.type").expect("known").names;
        assert!(names.contains(&"adamw_optimi") && names.contains(&"Prodigy"), "{names:?}");
        let names = explain("model.type").expect("known").names;
        assert!(names.contains(&"wan"), "{names:?}");
        assert_eq!(explain("pseudo_huber_c").expect("known").unread.len(), 1);
    }

    #[test]
    fn an_unknown_name_is_answered_with_those_like_it() {
        assert_eq!(
            explain("gradient_acumulation_steps").expect_err("unknown")[0],
            "gradient_accumulation_steps"
        );
        assert_eq!(explain("zzz").expect_err("unknown"), Vec::<String>::new());
        assert_eq!(explain("optimizer.epochs").expect_err("not there")[0], "epochs");
    }

    #[test]
    fn what_a_group_asks_for_is_said_in_words() {
        let of = Section::Model("hunyuan-video");
        let key = schema::key(of, "ckpt_path").expect("a key");
        assert_eq!(
            needed(key, of).as_deref(),
            Some("unless there is transformer_path or vae_path or llm_path or clip_path")
        );
    }
}
