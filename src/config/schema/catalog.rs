//! The schema's files as they are embedded, each read once, when it is first needed.

use std::sync::{LazyLock, OnceLock};

use serde::{Deserialize, de::DeserializeOwned};

use super::{About, AdapterType, Key, Mark, ModelType, OneOf, OptimizerType, Required, RuleFact, Unread};

/// The files that are not about one model type.
pub(super) struct Files {
    pub(super) about: Lazy<About>,
    pub(super) training: Lazy<TrainingFile>,
    pub(super) model: Lazy<KeysFile>,
    pub(super) text_encoder: Lazy<KeysFile>,
    pub(super) adapter: Lazy<AdapterFile>,
    pub(super) optimizers: Lazy<OptimizersFile>,
    pub(super) monitoring: Lazy<KeysFile>,
    pub(super) dataset: Lazy<DatasetFile>,
    /// Those keys of a dataset file that may be in a `[[directory]]`.
    pub(super) directory: Lazy<Vec<Key>>,
    pub(super) rules: Lazy<RulesFile>,
    pub(super) unread: Lazy<UnreadFile>,
}

type Lazy<T> = LazyLock<T>;

/// Reads one of the embedded files.
macro_rules! embedded {
    ($name:literal) => {
        LazyLock::new(|| parse($name, include_str!(concat!("../../../templates/schema/", $name, ".toml"))))
    };
}

pub(super) static FILES: Files = Files {
    about: embedded!("about"),
    training: embedded!("training"),
    model: embedded!("model"),
    text_encoder: embedded!("text-encoder"),
    adapter: embedded!("adapter"),
    optimizers: embedded!("optimizers"),
    monitoring: embedded!("monitoring"),
    dataset: embedded!("dataset"),
    directory: LazyLock::new(directory_keys),
    rules: embedded!("rules"),
    unread: embedded!("unread"),
};

/// A model type's file.
pub(super) struct Entry {
    pub(super) name: &'static str,
    text: &'static str,
    parsed: OnceLock<ModelType>,
}

impl Entry {
    pub(super) fn get(&self) -> &ModelType {
        self.parsed.get_or_init(|| ModelType { name: self.name, ..parse(self.name, self.text) })
    }
}

/// The files in `templates/schema/models`, in this order.
macro_rules! models {
    ($($name:literal),* $(,)?) => {
        [$(Entry {
            name: $name,
            text: include_str!(concat!("../../../templates/schema/models/", $name, ".toml")),
            parsed: OnceLock::new(),
        }),*]
    };
}

/// Hands all model types to a macro, so that what is embedded of each is listed once.
macro_rules! of_each_model {
    ($list:ident) => {
        $list![
            "anima",
            "auraflow",
            "chroma",
            "cosmos",
            "cosmos_predict2",
            "ernie_image",
            "flux",
            "flux2",
            "hidream",
            "hunyuan-video",
            "hunyuan_image",
            "hunyuan_video_15",
            "ideogram4",
            "krea2",
            "ltx-video",
            "ltx2",
            "lumina_2",
            "minimax_h3",
            "omnigen2",
            "qwen_image",
            "sd3",
            "sdxl",
            "wan",
            "z_image",
            "demo",
        ]
    };
}
pub(in crate::config) use of_each_model;

pub(super) static MODELS: [Entry; 25] = of_each_model!(models);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeysFile {
    #[serde(rename = "key")]
    pub(super) keys: Vec<Key>,
    #[serde(default)]
    pub(super) one_of: Vec<OneOf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingFile {
    #[serde(rename = "key")]
    pub(super) keys: Vec<Key>,
    pub(super) one_of: Vec<OneOf>,
    pub(super) eval_dataset: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdapterFile {
    #[serde(rename = "key")]
    pub(super) keys: Vec<Key>,
    #[serde(rename = "type")]
    pub(super) types: Vec<AdapterType>,
    pub(super) fuse_adapter: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OptimizersFile {
    pub(super) fallback: Vec<String>,
    #[serde(rename = "key")]
    pub(super) keys: Vec<Key>,
    #[serde(rename = "type")]
    pub(super) types: Vec<OptimizerType>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatasetFile {
    #[serde(rename = "key")]
    pub(super) keys: Vec<Key>,
    directory_key: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RulesFile {
    #[serde(rename = "rule")]
    pub(super) rules: Vec<RuleFact>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct UnreadFile {
    pub(super) unread: Vec<Unread>,
}

/// A key's value in a `[[directory]]` wins, so there it never has to be; what it is when absent is said at the top.
fn directory_keys() -> Vec<Key> {
    let file = &FILES.dataset;
    let shared = file.keys.iter().filter(|key| key.is(Mark::PerDirectory));
    let shared = shared.map(|key| Key {
        required: Required::No,
        default: None,
        default_from: Some(key.name.clone()),
        ..key.clone()
    });
    file.directory_key.iter().cloned().chain(shared).collect()
}

/// # Panics
/// When the embedded file is not as this module wants it. A test reads them all.
fn parse<T: DeserializeOwned>(name: &str, text: &str) -> T {
    match toml::from_str(text) {
        Ok(value) => value,
        Err(error) => panic!("templates/schema: `{name}` is broken: {error}"),
    }
}
