//! A pair of files in the making: drafted, checked, changed and mended, without a file being written.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    config::{
        self, Checked, Unsaved,
        change::{self, Part},
        derived,
        effective::written_values,
        removal, schema,
        source::Source,
        starter,
        template::{self, TemplateOptions, Wish},
    },
    error::{Error, Kind},
};

use super::{
    super::{App, failure::Answer, routes::Nothing},
    granted::sight,
    place,
};

/// The texts of a training file and its dataset file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub training: String,
    pub dataset: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftRequest {
    model: String,
    /// What it will be called, with or without `.toml`; the model type, unless it is said.
    name: Option<String>,
    preset: Option<String>,
    #[serde(default)]
    full_finetune: bool,
}

/// A new pair for a model type, as `dpgui config new --stdout` prints it.
pub fn draft(app: &App, _: &Nothing, body: &DraftRequest) -> Answer<Pair> {
    let name = body.name.as_deref().unwrap_or(&body.model);
    let name = name.strip_suffix(".toml").unwrap_or(name);
    if schema::model(&body.model).is_some() {
        place(&app.workspace, &format!("{name}.toml"))?;
    }
    let options = TemplateOptions::in_workspace(&app.workspace, name);
    let preset = body.preset.as_deref().map(preset).transpose()?;
    let wish = Wish { preset, full_finetune: body.full_finetune, ..Wish::default() };
    let template::Pair { training, dataset } = template::new(&body.model, &options, &wish)?;
    Ok(Pair { training, dataset })
}

fn preset(name: &str) -> Result<starter::Preset, Error> {
    let all = starter::Preset::ALL;
    let names = || all.map(|it| format!("`{}`", it.name())).join(", ");
    let known = all.into_iter().find(|it| it.name() == name);
    known.ok_or_else(|| {
        Error::new(Kind::Usage, format!("there is no preset `{name}`"))
            .with_hint(format!("choose one of {}", names()))
    })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// The file name in `configs` that it has or will have.
    name: Option<String>,
    training: String,
    /// Without it the dataset file on the disk counts.
    dataset: Option<String>,
    /// On how many GPUs it shall train.
    gpus: Option<u32>,
    /// What a data check has counted, with as many GPUs: its `steps`.
    batches_per_epoch: Option<u64>,
}

/// What `dpgui config check` and `config show` know of it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CheckedPair {
    findings: Vec<Finding>,
    /// What is written in the training file; `null` if it is no TOML. Secrets are hidden.
    values: Value,
    /// The same of the dataset file.
    dataset_values: Value,
    /// `null` if the training file is no TOML.
    derived: Option<Derived>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Finding {
    id: String,
    /// `error`, `warning` or `note`.
    severity: String,
    file: Which,
    /// Of another file, where it is.
    path: Option<String>,
    line: usize,
    column: usize,
    /// As `set` takes it, where that is known.
    key: Option<String>,
    message: String,
    /// What happens if it stays so.
    outcome: Option<String>,
    fix: Option<String>,
    /// `mend` does it.
    fixable: bool,
}

/// Which file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    Training,
    Dataset,
    /// One for evaluation.
    Other,
}

/// Numbers that follow; `null` where that cannot be known.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Derived {
    gpus: Option<u32>,
    pipeline_stages: u64,
    copies: Option<u64>,
    micro_batch_size: u64,
    gradient_accumulation_steps: u64,
    global_batch: Option<u64>,
    steps_per_epoch: Option<u64>,
    total_steps: Option<u64>,
    trained_weights: Option<u64>,
    size_unknown: Option<&'static str>,
    saved_models: Option<u64>,
    saved_bytes: Option<u64>,
    checkpoint_bytes: Option<u64>,
}

pub fn check(app: &App, _: &Nothing, body: &CheckRequest) -> Answer<CheckedPair> {
    let path = path(app, body.name.as_deref())?;
    let (gpus, steps) = (body.gpus.filter(|it| *it > 0), body.batches_per_epoch);
    let pair = unsaved(app, &path, body.training.clone(), body.dataset.clone());
    let checked = pair.check(gpus);
    let values = |path: &Path| pair.source(path).map_or(Value::Null, |it| written_values(&it));
    Ok(CheckedPair {
        findings: checked.findings.iter().map(|it| Finding::of(it, &checked, &pair)).collect(),
        values: values(pair.path()),
        dataset_values: values(pair.dataset()),
        derived: pair.config().ok().map(|it| Derived::of(&derived::derive(&it, gpus, steps))),
    })
}

/// Where the file is called so, or a new one without a name.
fn path(app: &App, name: Option<&str>) -> Answer<PathBuf> {
    place(&app.workspace, name.unwrap_or("new.toml"))
}

/// Files that it names are read where the page may see them: what is in others is nobody's business here.
pub(super) fn unsaved(app: &App, path: &Path, training: String, dataset: Option<String>) -> Unsaved {
    Unsaved::new(path, training, dataset, &app.workspace, &app.host.env).seeing(sight(app))
}

impl Finding {
    fn of(finding: &config::Finding, checked: &Checked, pair: &Unsaved) -> Self {
        let file = match &finding.file {
            it if it == pair.path() => Which::Training,
            it if it == pair.dataset() => Which::Dataset,
            _ => Which::Other,
        };
        Self {
            id: finding.id.to_owned(),
            severity: finding.severity.to_string(),
            file,
            path: (file == Which::Other).then(|| finding.file.display().to_string()),
            line: finding.position.line,
            column: finding.position.column,
            key: checked.key(finding),
            message: finding.message.clone(),
            outcome: finding.outcome(),
            fix: finding.fix.clone(),
            fixable: finding.edit.is_some() && file != Which::Other,
        }
    }
}

impl Derived {
    fn of(it: &derived::Derived) -> Self {
        Self {
            gpus: it.gpus,
            pipeline_stages: it.pipeline_stages,
            copies: it.copies,
            micro_batch_size: it.micro_batch_size,
            gradient_accumulation_steps: it.gradient_accumulation_steps,
            global_batch: it.global_batch,
            steps_per_epoch: it.steps_per_epoch,
            total_steps: it.total_steps,
            trained_weights: it.trained_weights,
            size_unknown: it.size_unknown,
            saved_models: it.saved_models,
            saved_bytes: it.saved_bytes,
            checkpoint_bytes: it.checkpoint_bytes,
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRequest {
    text: String,
    /// `epochs`, `adapter.rank`, `directory[0].path`; the folder after the last one is made.
    key: String,
    /// TOML, or plain text where the key takes text; `null` takes the key out, or the whole table.
    value: Option<String>,
    /// Which file it is, where its text does not tell.
    file: Option<Which>,
    /// What the file is called in `configs`, so that errors name it.
    #[serde(default)]
    name: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Text {
    text: String,
}

/// Sets one key, as `dpgui config set`.
pub fn set(app: &App, _: &Nothing, body: &SetRequest) -> Answer<Text> {
    let source = Source::parse(&path(app, body.name.as_deref())?, body.text.clone())?;
    let part = match body.file {
        Some(Which::Training) => Some(Part::Training),
        Some(Which::Dataset) => Some(Part::Dataset),
        Some(Which::Other) | None => None,
    };
    let text = match &body.value {
        Some(value) => change::set_in(&source, part, &body.key, value)?.0,
        None => removal::without(&source, &body.key)?,
    };
    Ok(Text { text })
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MendRequest {
    name: Option<String>,
    training: String,
    dataset: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct MendedPair {
    training: String,
    dataset: Option<String>,
    /// What was done.
    changes: Vec<String>,
}

/// Mends what can be mended without a choice, as `dpgui config check --fix`.
pub fn mend(app: &App, _: &Nothing, body: &MendRequest) -> Answer<MendedPair> {
    let path = path(app, body.name.as_deref())?;
    let mut pair = unsaved(app, &path, body.training.clone(), body.dataset.clone());
    let changes = pair.mend()?;
    let (training, dataset) = pair.texts();
    Ok(MendedPair { training: training.to_owned(), dataset: dataset.map(str::to_owned), changes })
}
