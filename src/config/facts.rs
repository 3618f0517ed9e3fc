//! What is known of each rule: what it asks for, when the trainer would notice, what happens then.

use serde::Serialize;

use super::schema::{self, Effect, When};

/// A rule of the trainer, or one of ours.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Fact {
    pub id: &'static str,
    pub rule: &'static str,
    pub if_broken: &'static str,
    pub when: When,
    pub effect: Effect,
    /// Where the trainer relies on it; empty for ours.
    pub source: &'static str,
}

/// Of the trainer's rules and ours.
pub fn of(id: &str) -> Option<Fact> {
    own(id).or_else(|| schema::rule(id).map(of_trainer))
}

/// All rules that a finding may name: the trainer's, then ours.
pub fn all() -> impl Iterator<Item = Fact> {
    let own = OWN.iter().filter_map(|row| own(row.0));
    schema::rules().iter().map(of_trainer).chain(own)
}

/// As one says it to somebody who waits.
pub const fn moment(when: When) -> &'static str {
    match when {
        When::Startup => "at the start",
        When::Init => "while starting",
        When::Caching => "while caching",
        When::ModelLoad | When::Optimizer => "after caching and model loading",
        When::Resume => "when resuming",
        When::FirstBatch => "at the first batch",
        When::FirstStep => "at the first step",
        When::Runtime => "while training",
        When::Eval => "at the first evaluation",
        When::EpochEnd => "at the end of the first epoch",
        When::Save => "at the first save",
    }
}

/// What no rule of the trainer's says, because it looks at no key that it does not read: id, rule, effect, when, what
/// happens.
#[rustfmt::skip]
const OWN: &[(&str, &str, Effect, When, &str)] = &[
    ("toml-syntax", "The file is TOML", Effect::Error, When::Startup, "TomlDecodeError"),
    (
        "toml-readable",
        "The file is what the Python package `toml` 0.10.2 reads",
        Effect::Error,
        When::Startup,
        "TomlDecodeError, or another value than the one that is written",
    ),
    (
        "file-readable",
        "A configuration is a UTF-8 text file of at most 1 MiB",
        Effect::Error,
        When::Startup,
        "the file cannot be read",
    ),
    (
        "wrong-type",
        "A value has the type of its key",
        Effect::Error,
        When::Startup,
        "an error where the value is used",
    ),
    (
        "invalid-value",
        "A value is in its key's range, or one of its choices",
        Effect::Error,
        When::Startup,
        "an error where the value is used, or nonsense",
    ),
    (
        "output-dir-present",
        "`output_dir` is set",
        Effect::Error,
        When::ModelLoad,
        "KeyError after caching and model loading",
    ),
    ("dataset-present", "`dataset` is set", Effect::Error, When::Init, "KeyError"),
    ("adapter-files-exist", "An adapter that is named is there", Effect::Error, When::ModelLoad, "FileNotFoundError after caching and model loading"),
    (
        "dataset-exists",
        "A dataset file that is named is there",
        Effect::Error,
        When::Init,
        "FileNotFoundError",
    ),
    (
        "key-present",
        "A key that the trainer reads without a default is there",
        Effect::Error,
        When::Init,
        "KeyError",
    ),
    (
        "unknown-key",
        "Every key is one that the trainer reads",
        Effect::Silent,
        When::Runtime,
        "it has no effect, and the trainer says nothing",
    ),
    (
        "demo-key",
        "Every key of a configuration of the demo is one that its trainer, a small one of ours, reads",
        Effect::Error,
        When::Startup,
        "the demo's trainer ends with `unknown key` after it has started",
    ),
    (
        "unread-key",
        "A key that is mentioned somewhere is read, too",
        Effect::Silent,
        When::Runtime,
        "it has no effect, and the trainer says nothing",
    ),
    (
        "deprecated-key",
        "No key is a left-over",
        Effect::Silent,
        When::Runtime,
        "it has hardly any effect",
    ),
    (
        "root-key-in-table",
        "A key of the file's top comes before the first table",
        Effect::Silent,
        When::Runtime,
        "the default counts, and the trainer says nothing",
    ),
    (
        "wrong-section",
        "A key is in the section where the trainer looks for it",
        Effect::Silent,
        When::Runtime,
        "the default counts, and the trainer says nothing",
    ),
    (
        "key-of-another-type",
        "A key in `[model]` or `[adapter]` is read by the chosen type",
        Effect::Silent,
        When::Runtime,
        "it has no effect, and the trainer says nothing",
    ),
    (
        "other-trainers-keys",
        "The keys are those of diffusion-pipe",
        Effect::Silent,
        When::Runtime,
        "they have no effect, and the trainer says nothing",
    ),
    ("path-empty", "A path is not empty", Effect::Error, When::Init, "an error where the path is opened"),
    (
        "path-hidden",
        "On the page, a path leads to a granted folder",
        Effect::Silent,
        When::Startup,
        "it is not looked at from there, and nothing that names it is started from there",
    ),
    (
        "path-of-windows",
        "A path is one of Linux",
        Effect::Error,
        When::Init,
        "FileNotFoundError; as `output_dir`, a folder with backslashes in its name",
    ),
    (
        "hub-repository",
        "Models are on this machine",
        Effect::Silent,
        When::Init,
        "the files are downloaded at each start on a new machine, and offline there are none",
    ),
    (
        "damaged-file",
        "A safetensors file is whole",
        Effect::Error,
        When::ModelLoad,
        "SafetensorError when the file is opened",
    ),
    (
        "file-of-another-kind",
        "A model file is what its key asks for",
        Effect::Error,
        When::ModelLoad,
        "KeyError, or an error about names or shapes of tensors, when the file is loaded",
    ),
    (
        "wan-noise-range",
        "One of the two models of Wan 2.2 A14B is trained in its own half of the noise",
        Effect::Silent,
        When::Runtime,
        "it learns for noise that it is never given when it makes videos",
    ),
    (
        "wandb-key-in-file",
        "A secret is in no file that is copied around",
        Effect::Silent,
        When::Startup,
        "who gets the file gets the key; dpgui keeps it out of its copies",
    ),
    (
        "text-encoder-type",
        "A text encoder has the type that its model wants",
        Effect::Error,
        When::Caching,
        "shape or tokenizer errors, or embeddings of the wrong model",
    ),
    (
        "aspect-ratio-keys-unused",
        "Aspect ratio keys come with `enable_ar_bucket = true`",
        Effect::Silent,
        When::Init,
        "everything is cropped to squares",
    ),
];

fn own(id: &str) -> Option<Fact> {
    let (id, rule, effect, when, if_broken) = *OWN.iter().find(|row| row.0 == id)?;
    Some(Fact { id, rule, if_broken, when, effect, source: "" })
}

fn of_trainer(it: &'static schema::RuleFact) -> Fact {
    Fact {
        id: &it.id,
        rule: &it.rule,
        if_broken: &it.if_broken,
        when: it.when,
        effect: it.severity,
        source: &it.source,
    }
}
