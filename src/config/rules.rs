//! What has to hold in a configuration: each rule a function, looked at all at once.
//!
//! What a rule asks for, who says so and what happens otherwise is data, `templates/schema/rules.toml`; here is the
//! judgement. `accounts` says of every rule of the trainer's who judges it.

mod accounts;
mod adapter;
mod batch;
#[cfg(test)]
mod cases;
mod dataset;
mod environment;
mod evaluation;
mod families;
mod files;
mod foreign;
mod headers;
mod language;
mod memory;
mod model;
mod monitoring;
mod named;
mod optimizer;
mod pipeline;
mod refused;
mod resume;
mod saving;
mod schedule;
mod shape;
mod unknown;
mod values;

use std::{cell::OnceCell, collections::BTreeSet, ops::Deref};

use super::{
    Finding, TrainConfig, paths::Base, schema, source::Source, training::first_micro_batch, view::View,
};

pub use accounts::{Judge, judge};
pub use dataset::{without_control, without_directories, without_range, without_resolutions};
pub(super) use language::unreadable;
pub use language::unreadable_itself;
pub(super) use named::In;
pub(super) use shape::Part;
pub(super) use shape::missing_at_top as missing;
pub use shape::wrong_in_directory;

/// A training file under judgement.
pub(super) struct Subject<'a> {
    root: View<'a>,
    base: &'a Base,
    model: Option<&'static schema::ModelType>,
    /// How many processes, so GPUs, will train, if that is known.
    ranks: Option<u32>,
    /// What the trainer gets on its command line besides the file.
    args: &'a [String],
    datasets: Vec<View<'a>>,
    heads: OnceCell<Vec<headers::Head<'a>>>,
}

impl<'a> Deref for Subject<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.root
    }
}

impl<'a> Subject<'a> {
    /// The safetensors files that are named; read when first asked for.
    pub(super) fn heads(&self) -> &[headers::Head<'a>] {
        self.heads.get_or_init(|| headers::read(self))
    }

    fn is(&self, models: &[&str]) -> bool {
        self.model.is_some_and(|it| models.contains(&it.name))
    }

    fn is_passed(&self, arg: &str) -> bool {
        self.args.iter().any(|it| it == arg)
    }

    fn stages(&self) -> i64 {
        self.int("pipeline_stages").unwrap_or(1).max(1)
    }

    /// Examples of an optimizer step, of as many GPUs as are known, or of one copy of the model.
    fn global_batch(&self) -> i64 {
        let copies = self.ranks.map_or(1, |ranks| (i64::from(ranks) / self.stages()).max(1));
        let accumulation = self.int("gradient_accumulation_steps").unwrap_or(1);
        first_micro_batch(self).saturating_mul(accumulation).saturating_mul(copies)
    }
}

/// A dataset file under judgement.
pub(super) struct Dataset<'a> {
    root: View<'a>,
    base: &'a Base,
    /// Of the training file that names it.
    model: Option<&'static schema::ModelType>,
    /// What the trainer gets on its command line besides the file.
    args: &'a [String],
}

impl<'a> Deref for Dataset<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.root
    }
}

impl<'a> Dataset<'a> {
    /// What counts for `directory`: its own key, or that of the file's top.
    fn effective(&self, directory: &View<'a>, key: &str) -> Option<View<'a>> {
        [directory, &self.root].into_iter().find(|view| view.has(key)).cloned()
    }

    fn directories(&self) -> Vec<View<'a>> {
        self.views("directory")
    }
}

/// One look at a file, and the rules that it may find broken.
struct Rule {
    ids: &'static [&'static str],
    check: Check,
}

impl Rule {
    /// A rule says in advance what it may find; `accounts` and the tests go by that.
    fn owns(&self, found: &[Finding]) {
        debug_assert!(found.iter().all(|it| self.ids.contains(&it.id)), "{:?}: {found:?}", self.ids);
    }
}

enum Check {
    Training(fn(&Subject) -> Option<Finding>),
    TrainingAll(fn(&Subject, &mut Vec<Finding>)),
    Dataset(fn(&Dataset) -> Option<Finding>),
    DatasetAll(fn(&Dataset, &mut Vec<Finding>)),
}

const TOPICS: &[&[Rule]] = &[
    language::RULES,
    shape::RULES,
    unknown::RULES,
    refused::RULES,
    saving::RULES,
    schedule::RULES,
    batch::RULES,
    pipeline::RULES,
    memory::RULES,
    model::RULES,
    families::RULES,
    adapter::RULES,
    optimizer::RULES,
    monitoring::RULES,
    evaluation::RULES,
    dataset::RULES,
    files::RULES,
    headers::RULES,
    resume::RULES,
    environment::RULES,
];

impl<'a> Subject<'a> {
    pub(super) fn of(config: &'a TrainConfig, ranks: Option<u32>) -> Self {
        let readable = config.datasets.iter().filter_map(|dataset| dataset.source.as_ref().ok());
        Self {
            root: View::root(&config.source),
            base: &config.base,
            model: config.training.model.as_deref().and_then(schema::model),
            ranks,
            args: &[],
            datasets: readable.map(View::root).collect(),
            heads: OnceCell::new(),
        }
    }

    /// The tables of the file, with the keys that each may have.
    pub(super) fn parts(&self) -> Vec<Part<'a>> {
        shape::training(self)
    }
}

/// The tables of a dataset file, with the keys that each may have.
pub(super) fn parts_of_dataset<'a>(source: &'a Source, base: &'a Base) -> Vec<Part<'a>> {
    shape::dataset(&Dataset { root: View::root(source), base, model: None, args: &[] })
}

/// Everything that is wrong: the training file first, each file from its top.
pub(super) fn of_training(config: &TrainConfig, ranks: Option<u32>, args: &[String]) -> Vec<Finding> {
    let subject = Subject { args, ..Subject::of(config, ranks) };
    let mut found = vec![];
    for rule in TOPICS.iter().copied().flatten() {
        let before = found.len();
        match rule.check {
            Check::Training(check) => found.extend(check(&subject)),
            Check::TrainingAll(check) => check(&subject, &mut found),
            Check::Dataset(_) | Check::DatasetAll(_) => {}
        }
        rule.owns(&found[before..]);
    }
    found.extend(
        config.datasets.iter().filter_map(|dataset| dataset.source.as_ref().err()).flatten().cloned(),
    );
    // What is wrong in a dataset file that cannot be read comes after all of the training file.
    found.sort_by_key(|finding| (finding.file != config.path(), finding.position));
    let readable = config.datasets.iter().filter_map(|dataset| dataset.source.as_ref().ok());
    let mut seen = BTreeSet::new();
    for source in readable.filter(|source| seen.insert(source.path())) {
        found.extend(of_dataset(source, &config.base, subject.model, args));
    }
    found
}

/// Everything that is wrong in a dataset file, from its top.
pub(super) fn of_dataset(
    source: &Source,
    base: &Base,
    model: Option<&'static schema::ModelType>,
    args: &[String],
) -> Vec<Finding> {
    let dataset = Dataset { root: View::root(source), base, model, args };
    let mut found = vec![];
    for rule in TOPICS.iter().copied().flatten() {
        let before = found.len();
        match rule.check {
            Check::Dataset(check) => found.extend(check(&dataset)),
            Check::DatasetAll(check) => check(&dataset, &mut found),
            Check::Training(_) | Check::TrainingAll(_) => {}
        }
        rule.owns(&found[before..]);
    }
    found.sort_by_key(|finding| finding.position);
    found
}

const fn one(id: &'static [&'static str; 1], check: fn(&Subject) -> Option<Finding>) -> Rule {
    Rule { ids: id, check: Check::Training(check) }
}

const fn all(ids: &'static [&'static str], check: fn(&Subject, &mut Vec<Finding>)) -> Rule {
    Rule { ids, check: Check::TrainingAll(check) }
}

const fn dataset(id: &'static [&'static str; 1], check: fn(&Dataset) -> Option<Finding>) -> Rule {
    Rule { ids: id, check: Check::Dataset(check) }
}

const fn datasets(ids: &'static [&'static str], check: fn(&Dataset, &mut Vec<Finding>)) -> Rule {
    Rule { ids, check: Check::DatasetAll(check) }
}
