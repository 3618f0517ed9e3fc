//! Each key by itself, against the schema: is it there, of its type, one of its choices, in its range?

use toml_edit::Item;

use super::{
    Dataset, Finding, Rule, Subject, View, all, datasets,
    named::{self, In},
    values,
};
use crate::config::{
    portable,
    schema::{self, Condition, Key, Required, Section, Wrong},
    secret,
    source::Source,
};

pub(super) const RULES: &[Rule] = &[
    all(
        &[
            "activation-checkpointing-value",
            "adapter-rank-and-type",
            "adapter-type-known",
            "auraflow-max-length",
            "batch-values-positive",
            "caching-batch-size-nonzero",
            "checkpoint-epochs-nonzero",
            "comfy-text-encoder-path",
            "cosmos-predict2-text-encoder",
            "dataset-present",
            "dtype-known",
            "epochs-present",
            "eval-accumulation-positive",
            "eval-dataset-keys",
            "eval-dataset-table",
            "genericoptim-choices",
            "genericoptim-proj-type",
            "genericoptim-ranges",
            "hunyuan-video-sources",
            "invalid-value",
            "key-present",
            "logging-steps-nonzero",
            "lr-scheduler-known",
            "micro-batch-type",
            "model-required-keys",
            "model-required-paths",
            "nf4-rejected",
            "optimi-needs-lr",
            "optimizer-table",
            "output-dir-present",
            "partition-method-known",
            "partition-split-required",
            "qwen-image-sources",
            "save-examples-zero-disables",
            "save-interval-nonzero",
            "sd3-diffusers-path",
            "steps-per-print-nonzero",
            "timestep-method-known",
            "uncond-fraction-range",
            "video-clip-mode-known",
            "wan-t-range",
            "wrong-type",
        ],
        |s, found| in_sections(&training(s), found),
    ),
    datasets(
        &[
            "ar-range-valid",
            "dataset-directory-list",
            "invalid-value",
            "num-repeats-positive",
            "resolution-pair-shape",
            "size-bucket-shape",
            "wrong-type",
        ],
        |d, found| in_sections(&dataset(d), found),
    ),
];

/// A table of a file with the keys that it may have.
pub(in crate::config) struct Part<'a> {
    pub(in crate::config) view: View<'a>,
    pub(in crate::config) of: In,
    pub(in crate::config) section: Section<'a>,
}

pub(super) fn training<'a>(s: &Subject<'a>) -> Vec<Part<'a>> {
    let part = |of, section| move |view| Part { view, of, section };
    let mut parts = vec![part(In::Training, Section::Training)(s.root.clone())];
    parts.extend(s.views("eval_datasets").into_iter().map(part(In::EvalDataset, Section::EvalDataset)));
    if let Some(model) = s.view("model") {
        let section = s.model.map_or(Section::AnyModel, |it| Section::Model(it.name));
        let encoders = model.views("text_encoders");
        parts.push(part(In::Model, section)(model));
        parts.extend(encoders.into_iter().map(part(In::TextEncoder, Section::TextEncoder)));
    }
    if let Some(adapter) = s.view("adapter") {
        let fused = adapter.views("fuse_adapters");
        let section = Section::Adapter(adapter.text("type"));
        parts.push(part(In::Adapter, section)(adapter));
        parts.extend(fused.into_iter().map(part(In::FuseAdapter, Section::FuseAdapter)));
    }
    if let Some(optimizer) = s.view("optimizer") {
        let section = Section::Optimizer(optimizer.text("type"));
        parts.push(part(In::Optimizer, section)(optimizer));
    }
    parts.extend(s.view("monitoring").map(part(In::Monitoring, Section::Monitoring)));
    parts
}

pub(super) fn dataset<'a>(d: &Dataset<'a>) -> Vec<Part<'a>> {
    let top = Part { view: d.root.clone(), of: In::Dataset, section: Section::Dataset };
    let one = |view| Part { view, of: In::Directory, section: Section::Directory };
    std::iter::once(top).chain(d.directories().into_iter().map(one)).collect()
}

fn in_sections(parts: &[Part], found: &mut Vec<Finding>) {
    for part in parts {
        for key in schema::section(part.section) {
            found.extend(one_key(part, key));
        }
        // Every type's file is asked for these, whatever it makes of them.
        if part.of == In::Model {
            let unlisted = |key: &&&Key| schema::key(part.section, &key.name).is_none();
            found.extend(
                schema::section(Section::AnyModel)
                    .iter()
                    .filter(unlisted)
                    .filter_map(|key| part.view.has(&key.name).then(|| one_key(part, key)).flatten()),
            );
        }
        found.extend(groups(part));
    }
}

fn one_key(part: &Part, key: &Key) -> Option<Finding> {
    let Some(item) = part.view.get(&key.name) else {
        let needed = match &key.required {
            Required::Yes => part.of != In::Dataset,
            Required::When(Condition::ManualPartition) => {
                let method = part.view.text("partition_method");
                method.is_some_and(|it| it.eq_ignore_ascii_case("manual"))
            }
            // Rules of their own know more of these.
            Required::When(_) | Required::OneOf(_) | Required::No => false,
        };
        return needed.then(|| missing(part, key));
    };
    // Names of text encoders are looked up in any letter case, by a rule of their own; the rank of a LoKr may be 1e6.
    if part.of == In::TextEncoder && key.name == "type" && item.is_str()
        // The launcher makes it lower case (utils/pipeline.py:17, deepspeed/runtime/pipe/module.py).
        || key.name == "partition_method" && item.as_str().is_some_and(|it| is_choice_in_lower_case(key, it))
        // Replaced before anything divides by it (train.py:643).
        || key.name == "save_every_n_steps" && part.view.int("save_every_n_examples").is_some_and(|it| it > 0)
        || part.of == In::Adapter && key.name == "rank" && item.as_float().is_some_and(|it| it >= 1.0)
    {
        return None;
    }
    key.wrong(item).map(|wrong| wrong_value(part, key, item, wrong))
}

/// What is wrong with the value that counts for the `[[directory]]` of this number: its own, or that of the file's top.
pub fn wrong_in_directory(source: &Source, directory: usize, key: &str) -> Option<Finding> {
    let top = Part { view: View::root(source), of: In::Dataset, section: Section::Dataset };
    let own = top.view.views("directory").into_iter().nth(directory);
    let own = own.map(|view| Part { view, of: In::Directory, section: Section::Directory });
    let part = own.into_iter().chain([top]).find(|it| it.view.has(key))?;
    one_key(&part, schema::key(part.section, key)?)
}

/// That `key` is not at the top of a training file, for whoever needs it.
pub(in crate::config) fn missing_at_top(source: &Source, key: &str) -> Finding {
    let part = Part { view: View::root(source), of: In::Training, section: Section::Training };
    match schema::key(Section::Training, key) {
        Some(key) => missing(&part, key),
        None => Finding::of("key-present", source.at(None), format!("`{key}` is missing")),
    }
}

fn missing(part: &Part, key: &Key) -> Finding {
    let (name, section) = (&key.name, part.of);
    let model = if let Section::Model(name) = part.section { name } else { "" };
    let id = match (model, name.as_str()) {
        ("sd3", "diffusers_path") => "sd3-diffusers-path",
        _ => named::missing(section, name),
    };
    let message = match section {
        In::Training => format!("`{name}` is missing"),
        In::Model if key.path.is_some() => format!("the model type `{model}` needs `{name}`"),
        _ => format!("{} lacks `{name}`", section.name()),
    };
    let fix = match (section, name.as_str()) {
        (In::Training, "output_dir") => "name a folder for the results: `output_dir = 'output'`".to_owned(),
        (In::Training, "dataset") => "name a dataset file: `dataset = 'DATASET.toml'`".to_owned(),
        (In::Training, "epochs") => "say how often to go through the dataset: `epochs = 100`".to_owned(),
        (In::Training, "optimizer") => "add `[optimizer]` with its `type`".to_owned(),
        (In::Training, "model") => "add `[model]` with `type` and `dtype`".to_owned(),
        (In::Model, "type") => "set `type`; `dpgui config models` lists them".to_owned(),
        (In::Model, "dtype") => "set `dtype = 'bfloat16'`".to_owned(),
        (In::Optimizer, "type") => "set `type = 'adamw_optimi'`".to_owned(),
        (In::EvalDataset, _) => "write it as `{ name = 'NAME', config = 'DATASET.toml' }`".to_owned(),
        (In::Directory, _) => "add `[[directory]]` and below it `path = 'FOLDER'`".to_owned(),
        (section, name) => format!("set `{name}` in {}", section.name()),
    };
    Finding::of(id, part.view.at(""), message).about(part.view.key(name)).fix(fix)
}

fn wrong_value(part: &Part, key: &Key, item: &Item, wrong: Wrong) -> Finding {
    let name = &key.name;
    let optimizer = part.view.text("type").filter(|_| part.of == In::Optimizer);
    let generic = optimizer.is_some_and(|it| it.eq_ignore_ascii_case("genericoptim"));
    let id = match (name.as_str(), wrong) {
        _ if name.ends_with("dtype") && item.as_str() == Some("nf4") => "nf4-rejected",
        ("lr" | "eps", Wrong::Value) if generic => "genericoptim-ranges",
        _ => named::wrong(part.of, name, wrong),
    };
    let wanted = key.wanted();
    let message =
        format!("`{name}` must be {wanted}, not `{}`", secret::shown(name, shown(&part.view, item)));
    let meant = item.as_value().and_then(|value| values::meant(key, value));
    let finding = if item.as_value().is_some_and(|value| values::is_truth(key, value)) {
        Finding::warning(id, part.view.at(name), message).consequence("the trainer takes 1 for `true`")
    } else {
        Finding::of(id, part.view.at(name), message)
    };
    match meant {
        Some(value) => {
            finding.fix(format!("write it as `{}`", portable::spelt(&value))).edit(part.view.set(name, value))
        }
        None if key.items.is_some() => finding.fix(format!("write each entry as a table: `[[{name}]]`")),
        None => finding.fix(format!("give `{name}` {}", wanted.trim_start_matches("one of "))),
    }
}

fn is_choice_in_lower_case(key: &Key, text: &str) -> bool {
    let text = toml::Value::from(text.to_lowercase());
    key.choices.contains(&text)
}

/// The value as written; of a long one, what it is.
fn shown<'a>(view: &View<'a>, item: &'a Item) -> &'a str {
    let text = item.span().map_or("", |span| &view.source().text()[span]);
    if text.is_empty() || text.len() > 40 || text.contains('\n') { item.type_name() } else { text }
}

/// Groups of keys of which none is there.
fn groups<'a>(part: &'a Part) -> impl Iterator<Item = Finding> + 'a {
    let absent = |group: &&schema::OneOf| group.keys.iter().all(|key| !part.view.has(key));
    let groups = schema::one_of(part.section).iter().filter(|_| part.of != In::Training);
    groups.filter(absent).map(|group| {
        let id = group.rule.as_deref().unwrap_or_else(|| named::missing(part.of, &group.keys[0]));
        let keys = group.keys.join("` or `");
        let message = match part.section {
            Section::Model(name) => format!("the model type `{name}` needs `{keys}`"),
            _ => format!("{} lacks `{keys}`", part.of.name()),
        };
        Finding::of(id, part.view.at(""), message).fix(format!("set `{keys}` in {}", part.of.name()))
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::{case, in_dataset};
    &[
        case(
            "activation-checkpointing-value",
            "activation_checkpointing = 'offload'",
            "activation_checkpointing = 'unsloth'",
        ),
        case("adapter-rank-and-type", "adapter.rank = '-'", "adapter.rank = 1"),
        case("adapter-type-known", "adapter.type = 'dora'", "adapter.type = 'lokr'"),
        case(
            "auraflow-max-length",
            "model = { type = 'auraflow', max_sequence_length = '-' }",
            "model = { type = 'auraflow', max_sequence_length = 1 }",
        ),
        case(
            "batch-values-positive",
            "gradient_accumulation_steps = 0",
            "micro_batch_size_per_gpu = [[512, 1]]",
        ),
        case("caching-batch-size-nonzero", "caching_batch_size = 0", "caching_batch_size = 1"),
        case("checkpoint-epochs-nonzero", "checkpoint_every_n_epochs = 0", "checkpoint_every_n_epochs = 1"),
        case(
            "comfy-text-encoder-path",
            "model = { type = 'z_image', text_encoders = [{ type = 'lumina2' }] }",
            "model = { type = 'z_image', text_encoders = [{ type = 'LUMINA2', paths = ['models/vae.safetensors'] }] }",
        ),
        case(
            "cosmos-predict2-text-encoder",
            "model = { type = 'cosmos_predict2', t5_path = '-' }",
            "model = { type = 'cosmos_predict2', t5_path = '-', llm_path = 'models/vae_path.safetensors' }",
        ),
        case("dataset-present", "dataset = '-'", "dataset = 'd.toml'"),
        case("dtype-known", "save_dtype = 'int8'", "save_dtype = 'float8_e5m2'"),
        case("epochs-present", "epochs = '-'", "epochs = 1"),
        case(
            "eval-accumulation-positive",
            "eval_gradient_accumulation_steps = 0",
            "eval_gradient_accumulation_steps = 1",
        ),
        case(
            "eval-dataset-keys",
            "eval_datasets = [{ config = 'd.toml' }]",
            "eval_datasets = [{ config = 'd.toml', name = 'a' }]",
        ),
        case("eval-dataset-table", "eval_datasets = ['d.toml']", "eval_datasets = []"),
        case(
            "genericoptim-choices",
            "optimizer = { type = 'GenericOptim', momentum_type = 'nag' }",
            "optimizer = { type = 'GenericOptim', momentum_type = 'none' }",
        ),
        case(
            "genericoptim-proj-type",
            "optimizer = { type = 'genericoptim', rank = 8, update_proj_gap = 8, proj_type = 'qr' }",
            "optimizer = { type = 'genericoptim', rank = 8, update_proj_gap = 8, proj_type = 'svd' }",
        ),
        case(
            "hunyuan-video-sources",
            "model = { type = 'hunyuan-video', ckpt_path = '-', transformer_path = '-' }",
            "model = { type = 'hunyuan-video', ckpt_path = 'models/' }",
        ),
        case("invalid-value", "warmup_steps = -1", "warmup_steps = 0"),
        case(
            "key-present",
            "adapter.fuse_adapters = [{ weight = 1.0 }]\nmodel.type = 'flux'",
            "adapter.fuse_adapters = [{ path = 'models' }]\nmodel.type = 'flux'",
        ),
        case("logging-steps-nonzero", "logging_steps = 0", "logging_steps = 1"),
        case("lr-scheduler-known", "lr_scheduler = 'cosine_with_restarts'", "lr_scheduler = 'cosine'"),
        case("micro-batch-type", "micro_batch_size_per_gpu = 'auto'", "image_micro_batch_size_per_gpu = 2"),
        case("model-required-keys", "model.dtype = '-'", "model.dtype = 'float16'"),
        case("model-required-paths", "model.ckpt_path = '-'", "model.llm_path = '-'"),
        case(
            "nf4-rejected",
            "model = { type = 'hidream', transformer_dtype = 'nf4' }",
            "model = { type = 'hidream', transformer_dtype = 'float8' }",
        ),
        case("optimi-needs-lr", "optimizer.lr = '-'", "optimizer = { type = 'adamw', lr = '-' }"),
        case("optimizer-table", "optimizer.type = '-'", "optimizer.type = 'Adamw_Optimi'"),
        case("output-dir-present", "output_dir = '-'", "output_dir = 'elsewhere'"),
        case(
            "partition-method-known",
            "partition_method = 'layers'",
            "partition_method = 'type:TransformerLayer'",
        ),
        case(
            "partition-split-required",
            "partition_method = 'manual'\npipeline_stages = 2",
            "partition_method = 'manual'\npipeline_stages = 2\npartition_split = [10]",
        ),
        case(
            "qwen-image-sources",
            "model = { type = 'qwen_image', diffusers_path = '-', transformer_path = '-' }",
            "model = { type = 'qwen_image', diffusers_path = 'models/' }",
        ),
        case("save-examples-zero-disables", "save_every_n_examples = 0", "save_every_n_examples = 1"),
        case("save-interval-nonzero", "save_every_n_epochs = 0", "save_every_n_steps = 1"),
        case(
            "sd3-diffusers-path",
            "model = { type = 'sd3', diffusers_path = '-' }",
            "model = { type = 'sd3' }",
        ),
        case("steps-per-print-nonzero", "steps_per_print = 0", "steps_per_print = 1"),
        case(
            "timestep-method-known",
            "model.timestep_sample_method = 'sigmoid'",
            "model.timestep_sample_method = 'uniform'",
        ),
        case("uncond-fraction-range", "uncond_fraction = 1.5", "uncond_fraction = 1"),
        case(
            "video-clip-mode-known",
            "video_clip_mode = 'multiple_overlapping'",
            "video_clip_mode = 'single_middle'",
        ),
        case("dtype-known", "model.dtype = 'bf16'", "model.dtype = 'bfloat16'"),
        case("adapter-type-known", "adapter.type = 'LoRA'", "adapter.type = 'lora'"),
        case("micro-batch-type", "micro_batch_size_per_gpu = '2'", "micro_batch_size_per_gpu = 2"),
        case("wrong-type", "compile = 'True'", "compile = true"),
        case("wrong-type", "epochs = '1'", "gradient_clipping = 1"),
        in_dataset(
            "ar-range-valid",
            "wan",
            "enable_ar_bucket = true\nmin_ar = 0\nmax_ar = 2\nnum_ar_buckets = 7",
            "enable_ar_bucket = true\nmin_ar = 2\nmax_ar = 0.5\nnum_ar_buckets = 1",
        ),
        in_dataset(
            "num-repeats-positive",
            "wan",
            "directory = [{ num_repeats = 0 }]",
            "directory = [{ num_repeats = 0.5 }]",
        ),
        in_dataset(
            "resolution-pair-shape",
            "wan",
            "resolutions = [[512, 512, 1]]",
            "resolutions = [[512, 512]]",
        ),
        in_dataset(
            "size-bucket-shape",
            "wan",
            "resolutions = '-'\nsize_buckets = [[512, 512]]",
            "resolutions = '-'\nsize_buckets = [[512, 512, 1]]",
        ),
        in_dataset(
            "size-bucket-shape",
            "wan",
            "resolutions = '-'\nsize_buckets = [[512, 0, 1]]",
            "resolutions = '-'\nsize_buckets = [[512, 1, 1]]",
        ),
        in_dataset(
            "resolution-pair-shape",
            "wan",
            "enable_ar_bucket = true\nar_buckets = [-1]",
            "enable_ar_bucket = true\nar_buckets = [0.01]",
        ),
        in_dataset("resolution-pair-shape", "wan", "resolutions = [0]", "resolutions = [1]"),
    ]
};
