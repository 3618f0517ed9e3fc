//! What can be trained, and the form of a configuration: from the schema, as `dpgui config models` and `explain` are.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{
    effective,
    explain::{needed, title},
    overview::{needs, swap, trains, video},
    schema::{self, Ability, Key, Kind, Mark, ModelType, Section as Of},
    secret,
    starter::{self, PresetValues},
};

use super::super::{
    App,
    failure::{Answer, Failure},
    routes::Nothing,
};

/// What the form of an optimizer that has no form of its own is called.
const ANY_OTHER: &str = "*";

/// What one can train.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Model {
    name: String,
    title: String,
    /// Types of adapters, and `full`.
    trains: Vec<String>,
    /// Frames per second; `null` if it takes images only.
    video: Option<String>,
    /// Its frozen weights can be kept in 8 bits.
    fp8: bool,
    /// The most `blocks_to_swap`; `null` if it cannot.
    swap: Option<String>,
    /// Files, submodules and Python packages.
    needs: Vec<String>,
    presets: Vec<Preset>,
    full_finetune: bool,
}

/// Values that upstream recommends for a purpose.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Preset {
    name: String,
    /// Who says so.
    source: String,
    /// It is for training without an adapter.
    full_finetune: bool,
}

pub fn models(_: &App, _: &Nothing) -> Answer<Vec<Model>> {
    Ok(schema::models().map(Model::of).collect())
}

impl Model {
    fn of(model: &ModelType) -> Self {
        let presets = starter::of(model.name).map(|it| it.presets).unwrap_or_default();
        Self {
            name: model.name.to_owned(),
            title: model.title.clone(),
            trains: trains(model).into_iter().map(str::to_owned).collect(),
            video: video(model),
            fp8: model.can(Ability::Fp8),
            swap: swap(model),
            needs: needs(model),
            presets: presets.into_iter().map(Preset::of).collect(),
            full_finetune: model.full_finetune_failure.is_none(),
        }
    }
}

impl Preset {
    fn of(it: PresetValues) -> Self {
        Self { name: it.name.name().to_owned(), source: it.source, full_finetune: it.full_finetune }
    }
}

/// The model type in the path.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfModel {
    pub name: String,
}

/// All that can be filled in for a model type.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Form {
    model: String,
    sections: Vec<Section>,
    /// By the `type` of the adapter.
    adapters: BTreeMap<String, Vec<Field>>,
    /// By the `type` of the optimizer; `*` is for those that are not described.
    optimizers: BTreeMap<String, Vec<Field>>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Section {
    id: &'static str,
    /// Where it stands in the files.
    title: &'static str,
    fields: Vec<Field>,
}

/// One key.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Field {
    /// As `set` takes it; a folder's begins with `directory[]`.
    key: String,
    name: String,
    /// `string`, `int`, `float`, `bool`, `dtype`, `path`, `table`, `list[…]`, `[…]` or several with `|` between them.
    kind: String,
    /// When it has to be there: `yes`, or in words.
    required: Option<String>,
    /// What the trainer takes without it, as TOML.
    default: Option<String>,
    /// The key whose value counts without it.
    default_from: Option<String>,
    /// All that it may be, as plain text.
    choices: Vec<String>,
    recommended: Vec<String>,
    min: Option<f64>,
    max: Option<f64>,
    /// Every value is greater.
    above: Option<f64>,
    /// What has to be there: `file`, `folder`, `file-or-folder`, `folder-or-hub`, `new-folder`.
    path: Option<String>,
    secret: bool,
    deprecated: bool,
    doc: String,
    note: Option<String>,
}

pub fn form(_: &App, asked: &OfModel) -> Answer<Form> {
    let model = schema::model(&asked.name).ok_or_else(|| {
        let cause = crate::config::ConfigError::UnknownModel {
            model: asked.name.clone(),
            nearest: schema::nearest_models(&asked.name),
        };
        Failure::not_found(cause)
    })?;
    let of = |id, section| Section { id, title: title(section), fields: fields(model, section, false) };
    let only_type = |id, section| Section { id, title: title(section), fields: type_of(model, section) };
    let adapters = schema::adapters().iter().filter(|it| model.adapters.contains(&it.name));
    let optimizers = schema::optimizers().iter().map(|it| (it.name.clone(), Of::Optimizer(Some(&it.name))));
    Ok(Form {
        model: model.name.to_owned(),
        sections: vec![
            of("training", Of::Training),
            of("model", Of::Model(model.name)),
            only_type("adapter", Of::Adapter(None)),
            only_type("optimizer", Of::Optimizer(None)),
        ]
        .into_iter()
        .chain(model.takes("training", "monitoring").then(|| of("monitoring", Of::Monitoring)))
        .chain([of("dataset", Of::Dataset), of("directory", Of::Directory)])
        .collect(),
        adapters: adapters
            .map(|it| (it.name.clone(), fields(model, Of::Adapter(Some(&it.name)), true)))
            .collect(),
        optimizers: optimizers
            .chain([(ANY_OTHER.to_owned(), Of::Optimizer(None))])
            .map(|(name, section)| (name, fields(model, section, true)))
            .collect(),
    })
}

/// Those that this model type reads. Folders are a section of their own.
fn fields(model: &ModelType, section: Of, without_type: bool) -> Vec<Field> {
    let is_read = |key: &&&Key| {
        let is_for_it = key.only_for.is_empty() || key.only_for.iter().any(|it| it == model.name);
        is_for_it && model.takes(table(section), &key.name)
    };
    let is_shown = |key: &&&Key| {
        let is_table = key.kind == Kind::Table || (section == Of::Dataset && key.name == "directory");
        !(is_table || without_type && key.name == "type")
    };
    let keys = schema::section(section);
    keys.iter().filter(is_read).filter(is_shown).map(|key| Field::of(key, section)).collect()
}

/// As a model type's `reads` calls it. `[monitoring]` is read as a whole, or it is not.
const fn table(section: Of) -> &'static str {
    match section {
        Of::Training => "training",
        Of::Model(_) | Of::AnyModel => "model",
        Of::Adapter(_) => "adapter",
        Of::Optimizer(_) => "optimizer",
        Of::Dataset => "dataset",
        Of::Directory => "directory",
        Of::EvalDataset | Of::TextEncoder | Of::FuseAdapter | Of::Monitoring => "",
    }
}

/// The key that decides which others there are.
fn type_of(model: &ModelType, section: Of) -> Vec<Field> {
    let field = schema::key(section, "type").map(|key| Field::of(key, section));
    let Of::Optimizer(_) = section else {
        let of_model = |it| Field { choices: model.adapters.clone(), ..it };
        return field.map(of_model).into_iter().collect();
    };
    let described = schema::optimizers().iter().map(|it| &it.name);
    let choices = described.chain(schema::fallback_optimizers()).cloned().collect();
    let type_in = |it: &starter::Starter| Some(it.values.optimizer.get("type")?.as_str()?.to_owned());
    let own = starter::of(model.name).as_ref().and_then(type_in);
    let usual = own.or_else(|| type_in(starter::common()));
    let recommended = usual.into_iter().collect();
    field.map(|it| Field { choices, recommended, ..it }).into_iter().collect()
}

impl Field {
    fn of(key: &Key, section: Of) -> Self {
        let prefix = match section {
            Of::Model(_) => "model.",
            Of::Adapter(_) => "adapter.",
            Of::Optimizer(_) => "optimizer.",
            Of::Monitoring => "monitoring.",
            Of::Directory => "directory[].",
            _ => "",
        };
        let is_dtype = key.choices.is_empty() && key.kind.alternatives().contains(&Kind::Dtype);
        let dtypes = if is_dtype { schema::about().dtypes.clone() } else { vec![] };
        Self {
            key: format!("{prefix}{}", key.name),
            name: key.name.clone(),
            kind: key.kind.to_string(),
            required: needed(key, section),
            default: key.default.as_ref().map(as_toml),
            default_from: key.default_from.clone(),
            choices: key.choices.iter().map(plain).chain(dtypes).collect(),
            recommended: key.recommended.iter().map(plain).collect(),
            min: key.min,
            max: key.max,
            above: key.above,
            path: key
                .path
                .and_then(|it| Some(serde_json::to_value(it).ok()?.as_str().unwrap_or_default().to_owned())),
            secret: key.is(Mark::Secret) || secret::is_hidden(&key.name),
            deprecated: key.is(Mark::Deprecated),
            doc: key.doc.clone(),
            note: key.note.clone(),
        }
    }
}

fn as_toml(value: &toml::Value) -> String {
    effective::toml(&serde_json::to_value(value).unwrap_or_default())
}

fn plain(value: &toml::Value) -> String {
    value.as_str().map_or_else(|| as_toml(value), str::to_owned)
}
