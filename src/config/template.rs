//! New configurations: commented, valid, with absolute paths. Made from the schema and what `starter` recommends.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::{platform::fs, workspace::Workspace};

use super::{
    ConfigError,
    draft::{Draft, Part},
    portable,
    schema::{self, ModelType, Section},
    setting::Setting,
    source::Source,
    starter::{self, Preset, PresetValues, Starter, Values},
    suggest::Media,
};

/// Blocks that are proposed to wait in main memory. Source: `examples/main_example.toml`.
const USUAL_SWAP: u32 = 20;

/// A training file and its dataset file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub training: String,
    pub dataset: String,
}

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateOptions {
    /// Where the dataset file will be.
    pub dataset: PathBuf,
    /// The folder with the images and videos.
    pub data: PathBuf,
    /// The folder with the model files.
    pub models: PathBuf,
    /// The folder for results.
    pub output: PathBuf,
    /// GPUs (or processes) that share one copy of the model.
    pub stages: u32,
}

/// What shall be other than recommended.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub preset: Option<Preset>,
    /// Trains the whole model, without an adapter.
    pub full_finetune: bool,
    /// Files that were found, by key of `[model]`.
    pub files: Table,
    /// What lies in the folder with the data, if somebody looked.
    pub media: Option<Media>,
    pub settings: Vec<Setting>,
}

impl TemplateOptions {
    /// The usual places of a configuration called `name`.
    pub fn in_workspace(workspace: &Workspace, name: &str) -> Self {
        Self {
            dataset: files(workspace, name)[1].clone(),
            data: workspace.data().join(name),
            models: workspace.root().join("models"),
            output: workspace.root().join("output").join(name),
            stages: 1,
        }
    }
}

/// Where the pair called `name` is: training file and dataset file.
pub fn files(workspace: &Workspace, name: &str) -> [PathBuf; 2] {
    [
        workspace.configs().join(format!("{name}.toml")),
        workspace.configs().join(format!("{name}-dataset.toml")),
    ]
}

/// The pair of files for a model type.
///
/// # Errors
/// When there is no such model type, when it has not what is wished, or when a path has no spelling in TOML.
pub fn new(model: &str, options: &TemplateOptions, wish: &Wish) -> Result<Pair, ConfigError> {
    let (Some(of), Some(starter)) = (schema::model(model), starter::of(model)) else {
        return Err(ConfigError::UnknownModel {
            model: model.to_owned(),
            nearest: schema::nearest_models(model),
        });
    };
    let preset = preset(of, &starter, wish)?;
    if let Some(failure) = of.full_finetune_failure.as_ref().filter(|_| wish.full_finetune) {
        return Err(ConfigError::NoFullFinetune { model: of.name, failure: failure.clone() });
    }
    let (mut training, mut dataset) = (training(of), datasets());
    fill(&mut training, &mut dataset, of, &starter);
    if wish.full_finetune {
        for (part, key) in [("[model]", of.weights_dtype_key.as_deref()), ("", Some("blocks_to_swap"))] {
            if let (Some(part), Some(key)) = (training.part(part), key) {
                part.remove(key);
            }
        }
        training.parts.retain(|part| part.header != "[adapter]");
    }
    if let Some(preset) = &preset {
        apply(&mut training, &mut dataset, &preset.values, false);
        without(&mut training, &mut dataset, &preset.without);
    }
    explain(&mut training, &mut dataset, &starter);
    place(&mut training, &mut dataset, of, options, wish)?;
    let (types, others): (Vec<_>, Vec<_>) = wish.settings.iter().partition(|it| it.is_type());
    for setting in types.into_iter().chain(others) {
        setting.apply(&mut training, &mut dataset)?;
    }
    training.parts.retain(|part| part.section != Section::Monitoring || part.value("enable_wandb").is_some());
    describe(&mut training, of, &starter, preset.as_ref(), wish);
    let [training_file, dataset_file] = [training, dataset].map(|it| text_of(&it));
    Ok(Pair { training: training_file?, dataset: dataset_file? })
}

/// As the trainer's parser reads it, also where somebody set what it does not: `[512, [1280, 720]]`.
fn text_of(draft: &Draft) -> Result<String, ConfigError> {
    let text = draft.render().map_err(|text| ConfigError::PathNotText { path: text.into() })?;
    let source = Source::parse(Path::new("new.toml"), text)?;
    Ok(portable::rewrite(&source, &portable::Replaced::new()).0)
}

/// Writes the pair as the configuration `name`, both files or none.
///
/// # Errors
/// When one of them is there already, or cannot be written.
pub fn write(workspace: &Workspace, name: &str, pair: &Pair) -> Result<[PathBuf; 2], ConfigError> {
    let taken = |name: &str| files(workspace, name).into_iter().find(|path| fs::exists(path));
    if let Some(path) = taken(name) {
        let mut free = (2..).map(|number| format!("{name}-{number}"));
        let free = free.find(|it| taken(it).is_none()).unwrap_or_default();
        return Err(ConfigError::Exists { path, free });
    }
    let files = files(workspace, name);
    fs::create_dir_all(&workspace.configs())?;
    // The training file last: it is the one that people and commands look for.
    fs::write_atomic(&files[1], &pair.dataset)?;
    if let Err(cause) = fs::write_atomic(&files[0], &pair.training) {
        let _ = fs::remove_tree(&files[1]);
        return Err(cause.into());
    }
    Ok(files)
}

fn preset(of: &ModelType, starter: &Starter, wish: &Wish) -> Result<Option<PresetValues>, ConfigError> {
    let Some(wanted) = wish.preset else { return Ok(None) };
    let found = starter.presets.iter().find(|it| it.name == wanted);
    match found {
        Some(preset) if preset.full_finetune == wish.full_finetune => Ok(Some(preset.clone())),
        Some(preset) => Err(ConfigError::PresetIsFor { preset: wanted, full_finetune: preset.full_finetune }),
        None => Err(ConfigError::NoPreset {
            model: of.name,
            preset: wanted,
            has: starter.presets.iter().map(|it| it.name).collect(),
        }),
    }
}

/// The parts of a training file, empty.
fn training(of: &ModelType) -> Draft {
    let parts = vec![
        Part::new(Section::Training, ""),
        Part::new(Section::Model(of.name), "[model]"),
        Part::new(Section::Adapter(Some("lora")), "[adapter]"),
        Part::new(Section::Optimizer(Some("adamw_optimi")), "[optimizer]"),
        Part::new(Section::Monitoring, "[monitoring]"),
    ];
    Draft { intro: vec![], parts, outro: vec![] }
}

/// Those of a dataset file.
fn datasets() -> Draft {
    let parts = vec![Part::new(Section::Dataset, ""), Part::new(Section::Directory, "[[directory]]")];
    let intro = "Images and videos, each with its caption in a .txt file of the same name. Without a caption they are left out.";
    Draft { intro: vec![intro.to_owned()], parts, outro: vec![] }
}

/// What all have in common, then what is the type's own.
fn fill(training: &mut Draft, dataset: &mut Draft, of: &ModelType, starter: &Starter) {
    let common = starter::common();
    apply(training, dataset, &common.values, false);
    apply(training, dataset, &common.hints, true);
    if let Some(swap) = &of.block_swap {
        let most = swap.most.or_else(|| of.variants.iter().filter_map(|it| it.most_blocks_to_swap).min());
        let some = most.unwrap_or(USUAL_SWAP).min(USUAL_SWAP);
        let hint = Table::from_iter([("blocks_to_swap".to_owned(), i64::from(some).into())]);
        apply(training, dataset, &Values { training: hint, ..Values::default() }, true);
    }
    if of.video.is_some() {
        let clip = Value::String("single_beginning".to_owned());
        let values = Values {
            training: Table::from_iter([("video_clip_mode".to_owned(), clip)]),
            dataset: Table::from_iter([(
                "frame_buckets".to_owned(),
                Value::Array(vec![1.into(), 33.into()]),
            )]),
            ..Values::default()
        };
        apply(training, dataset, &values, false);
    }
    without(training, dataset, &starter.without);
    let kind = Table::from_iter([("type".to_owned(), Value::String(of.name.to_owned()))]);
    apply(training, dataset, &Values { model: kind, ..Values::default() }, false);
    apply(training, dataset, &starter.values, false);
    apply(training, dataset, &starter.hints, true);
}

fn apply(training: &mut Draft, dataset: &mut Draft, values: &Values, off: bool) {
    let Values { training: root, model, adapter, optimizer, dataset: top, directory } = values;
    let of_training = [("", root), ("[model]", model), ("[adapter]", adapter), ("[optimizer]", optimizer)];
    for (header, values) in of_training {
        let Some(part) = training.part(header) else { continue };
        // Whoever names an optimizer names its arguments too.
        if let (Section::Optimizer(_), Some(Value::String(name))) = (part.section, values.get("type")) {
            *part = Part::new(
                Section::Optimizer(schema::optimizer(name).map(|it| it.name.as_str())),
                part.header,
            );
        }
        part.set_all(values, off);
    }
    for (header, values) in [("", top), ("[[directory]]", directory)] {
        let Some(part) = dataset.part(header) else { continue };
        part.set_all(values, off);
    }
}

/// The part that `section.key` names, and the key.
fn named<'a, 'n>(
    training: &'a mut Draft,
    dataset: &'a mut Draft,
    name: &'n str,
) -> Option<(&'a mut Part, &'n str)> {
    let (section, key) = name.split_once('.')?;
    let mut parts = training.parts.iter_mut().chain(&mut dataset.parts);
    Some((parts.find(|part| super::address::prefix_of(part.section) == section)?, key))
}

fn without(training: &mut Draft, dataset: &mut Draft, names: &[String]) {
    for name in names {
        if let Some((part, key)) = named(training, dataset, name) {
            part.remove(key);
        }
    }
}

fn explain(training: &mut Draft, dataset: &mut Draft, starter: &Starter) {
    for (name, why) in starter::common().why.iter().chain(&starter.why) {
        if let Some((part, key)) = named(training, dataset, name) {
            part.explain(key, why);
        }
    }
}

/// Makes the paths absolute and fills in those of the workspace.
fn place(
    training: &mut Draft,
    dataset: &mut Draft,
    of: &ModelType,
    options: &TemplateOptions,
    wish: &Wish,
) -> Result<(), ConfigError> {
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(Value::String(text.to_owned())),
        None => Err(ConfigError::PathNotText { path: path.to_owned() }),
    };
    let models =
        options.models.to_str().ok_or_else(|| ConfigError::PathNotText { path: options.models.clone() })?;
    if let Some(part) = training.part("[model]") {
        part.map_paths(&|path| format!("{models}/{path}"));
        part.set_all(&wish.files, false);
    }
    if let Some(part) = training.part("") {
        part.set("output_dir", text(&options.output)?, false);
        part.set("dataset", text(&options.dataset)?, false);
        part.set("pipeline_stages", i64::from(options.stages).into(), false);
    }
    if let (Some(part), Some(media)) = (dataset.part(""), &wish.media) {
        let rule = of.video.as_ref().map(|video| video.frames);
        let values = media.fill(|name| part.value(name).cloned(), rule);
        part.set_all(&values, false);
    }
    if let Some(part) = dataset.part("[[directory]]") {
        part.set("path", text(&options.data)?, false);
        if let Some(media) = &wish.media {
            part.set("num_repeats", media.num_repeats().into(), false);
        }
    }
    Ok(())
}

/// The first lines: what this is, and who says so.
fn describe(
    training: &mut Draft,
    of: &ModelType,
    starter: &Starter,
    preset: Option<&PresetValues>,
    wish: &Wish,
) {
    let adapter = training.part("[adapter]").and_then(|part| part.value("type")).and_then(Value::as_str);
    let what = match adapter {
        _ if wish.full_finetune => "Fine-tunes",
        Some("lokr") => "Trains a LoKr of",
        _ => "Trains a LoRA of",
    };
    let whose = if starter.source.starts_with("dpgui's own") {
        format!("The values are {}.", starter.source)
    } else {
        format!("Values from diffusion-pipe's {}.", starter.source)
    };
    let mut intro = vec![
        format!(
            "{what} {}. Relative paths start at the workspace. Keys before the first [table] must stay before it.",
            starter.about
        ),
        whose,
    ];
    intro.extend(preset.map(|it| format!("Preset {}: {}.", it.name.name(), it.source)));
    intro.push(format!("What to mind with this model: `dpgui config explain {}`.", of.name));
    training.intro = intro;
}
