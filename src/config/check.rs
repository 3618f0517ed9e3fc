//! What cannot work at all, found before anything starts.

use std::path::Path;

use toml_edit::{Item, TableLike};

use crate::platform::fs;

use super::{
    ConfigError, Finding, Position, TrainConfig, media,
    paths::{self, PathUse, Role},
    portable,
    read::{Reader, span_of},
    schema::{self, ModelType, PathKind, Required, Section},
    source::Source,
};

pub(super) fn findings(config: &TrainConfig, ranks: Option<u32>) -> Vec<Finding> {
    let mut check = Check { config, found: config.found.clone() };
    check.required_keys();
    check.saves();
    check.stages(ranks);
    check.misplaced_keys();
    check.unknown_keys();
    check.model();
    check.monitoring();
    for path in paths::in_training(&config.source, config.training.model.as_deref()) {
        check.path(&config.source, &path);
    }
    check.found.extend(config.source.byte_order_mark());
    check.found.extend(portable::rewrite(&config.source, &portable::Replaced::new()).1);
    check.found.extend(config.datasets.iter().filter_map(|dataset| dataset.source.as_ref().err().cloned()));
    // What is wrong in a dataset file comes after all of the training file.
    check.found.sort_by_key(|finding| (finding.file != config.path(), finding.position));
    let readable = config.datasets.iter().filter_map(|dataset| dataset.source.as_ref().ok());
    check.found.extend(readable.flat_map(|source| dataset_findings(config, source)));
    check.found
}

/// A required key that is not there.
pub(super) fn missing(source: &Source, key: &'static str) -> Finding {
    let (id, fix) = match key {
        "output_dir" => ("output-dir-present", "name a folder for the results: `output_dir = 'output'`"),
        "dataset" => ("dataset-present", "name a dataset file: `dataset = 'DATASET.toml'`"),
        "epochs" => ("epochs-present", "say how often to go through the dataset: `epochs = 100`"),
        "optimizer" => ("optimizer-table", "add `[optimizer]` with its `type`"),
        _ => ("model-required-keys", "add `[model]` with `type` and `dtype`"),
    };
    Finding::error(id, source.at(None), format!("`{key}` is missing")).fix(fix)
}

/// Why a dataset file that the training file names `at` cannot be read.
pub(super) fn unreadable(cause: ConfigError, at: (&Path, Position)) -> Finding {
    match cause {
        ConfigError::Syntax { path, at, message, .. } => {
            Finding::error("toml-syntax", (&path, at), message).fix(format!("mend line {}", at.line))
        }
        cause => {
            Finding::error("dataset-exists", at, cause).fix("name a dataset file, relative to the workspace")
        }
    }
}

struct Check<'a> {
    config: &'a TrainConfig,
    found: Vec<Finding>,
}

impl Check<'_> {
    fn required_keys(&mut self) {
        let source = &self.config.source;
        let root = source.root();
        let absent = |key: &&str| !root.contains_key(key);
        let keys = ["output_dir", "dataset", "epochs", "model", "optimizer"];
        self.found.extend(keys.into_iter().filter(absent).map(|key| missing(source, key)));
        let inner = [
            ("model", "type", "model-required-keys", "set `type`; `dpgui config models` lists them"),
            ("model", "dtype", "model-required-keys", "set `dtype = 'bfloat16'`"),
            ("optimizer", "type", "optimizer-table", "set `type = 'adamw_optimi'`"),
        ];
        for (name, key, id, fix) in inner {
            let table = root.get(name).and_then(Item::as_table_like);
            if table.is_some_and(|table| !table.contains_key(key)) {
                let at = source.at(span_of(root, name));
                self.found.push(Finding::error(id, at, format!("`[{name}]` lacks `{key}`")).fix(fix));
            }
        }
    }

    fn saves(&mut self) {
        const FIX: &str = "set `save_every_n_epochs = 1`";
        let root = self.config.source.root();
        let keys = ["save_every_n_epochs", "save_every_n_steps", "save_every_n_examples"];
        if keys.iter().all(|key| !root.contains_key(key)) {
            let message =
                "nothing says when to save: there is no `save_every_n_epochs`, `…_steps` or `…_examples`";
            let at = self.config.source.at(None);
            self.found.push(Finding::error("save-trigger-present", at, message).fix(FIX));
        }
        for key in keys {
            if root.get(key).and_then(Item::as_integer) == Some(0) {
                let at = self.config.source.at(span_of(root, key));
                let (id, effect) = match key {
                    "save_every_n_examples" => ("save-examples-zero-disables", "nothing would ever be saved"),
                    _ => ("save-interval-nonzero", "the trainer would divide by it"),
                };
                self.found.push(Finding::error(id, at, format!("`{key}` is 0: {effect}")).fix(FIX));
            }
        }
    }

    fn stages(&mut self, ranks: Option<u32>) {
        let stages = self.config.training.pipeline_stages;
        let Some(ranks) = ranks.filter(|ranks| u64::from(*ranks) % stages != 0) else { return };
        let source = &self.config.source;
        let message = format!("`pipeline_stages = {stages}` does not divide the number of GPUs, {ranks}");
        let finding = Finding::error(
            "stages-divide-gpus",
            source.at(span_of(source.root(), "pipeline_stages")),
            message,
        );
        self.found
            .push(finding.fix(format!("train on a multiple of {stages} GPUs, or lower `pipeline_stages`")));
    }

    /// A root key after a table's header belongs to that table, where the trainer never looks for it.
    fn misplaced_keys(&mut self) {
        let source = &self.config.source;
        for (name, item) in source.root() {
            let Some(table) = item.as_table_like() else { continue };
            for (key, _) in table.iter().filter(|(key, _)| is_root_key(key)) {
                let message =
                    format!("`{key}` belongs at the top of the file; here it is a part of `[{name}]`");
                let finding = Finding::error("root-key-in-table", source.at(key_span(table, key)), message);
                self.found.push(finding.fix("move it above the first `[` line"));
            }
        }
    }

    /// The trainer ignores what it does not know, a misspelt key too.
    fn unknown_keys(&mut self) {
        let source = &self.config.source;
        for (key, _) in source.root().iter().filter(|(key, _)| !is_root_key(key)) {
            let (message, fix) = match nearest(key) {
                Some(known) => (
                    format!("unknown key `{key}`, did you mean `{known}`?"),
                    format!("rename it to `{known}`"),
                ),
                None => (format!("unknown key `{key}`, which the trainer ignores"), "remove it".to_owned()),
            };
            let at = source.at(key_span(source.root(), key));
            self.found.push(Finding::warning("unknown-key", at, message).fix(fix));
        }
    }

    fn model(&mut self) {
        let Some(name) = self.config.training.model.as_deref() else { return };
        let source = &self.config.source;
        let Some(table) = source.root().get("model").and_then(Item::as_table_like) else { return };
        let Some(model) = schema::model(name) else {
            let at = source.at(span_of(table, "type"));
            let fix = match schema::nearest_model(name) {
                Some(nearest) => format!("did you mean `{nearest}`? `dpgui config models` lists all"),
                None => "choose one that `dpgui config models` lists".to_owned(),
            };
            let message = format!("the trainer has no model type `{name}`");
            return self.found.push(Finding::error("model-type-known", at, message).fix(fix));
        };
        self.model_paths(model, table);
    }

    fn model_paths(&mut self, model: &'static ModelType, table: &dyn TableLike) {
        let at = self.config.source.at(span_of(self.config.source.root(), "model"));
        let required =
            model.paths().filter(|key| key.required == Required::Yes && !table.contains_key(&key.name));
        self.found.extend(required.map(|key| {
            let message = format!("the model type `{}` needs `{}`", model.name, key.name);
            Finding::error("model-required-paths", at, message)
                .fix(format!("set `{}` in `[model]`", key.name))
        }));
        let groups = model.one_of.iter().filter(|it| it.keys.iter().all(|key| !table.contains_key(key)));
        self.found.extend(groups.map(|group| {
            let keys = group.keys.join("` or `");
            let id = group.rule.as_deref().unwrap_or("model-required-keys");
            let message = format!("the model type `{}` needs `{keys}`", model.name);
            Finding::error(id, at, message).fix(format!("set `{keys}` in `[model]`"))
        }));
    }

    fn monitoring(&mut self) {
        let mut reader = Reader::new(&self.config.source);
        let root: &dyn TableLike = self.config.source.root();
        let Some(table) = reader.table(root, "monitoring") else { return self.found.extend(reader.found) };
        if reader.flag(table, "enable_wandb") == Some(true) {
            for key in ["wandb_api_key", "wandb_tracker_name", "wandb_run_name"] {
                if reader.text(table, key).is_none() && !table.contains_key(key) {
                    let at = reader.source.at(span_of(table, "enable_wandb"));
                    let message = format!("with `enable_wandb` the trainer needs `{key}` in `[monitoring]`");
                    let fix = match key {
                        "wandb_api_key" => {
                            "set `wandb_api_key = ''` and put the key into `WANDB_API_KEY`".to_owned()
                        }
                        _ => format!("set `{key}`"),
                    };
                    reader.found.push(Finding::error("wandb-keys", at, message).fix(fix));
                }
            }
        }
        self.found.extend(reader.found);
    }

    fn path(&mut self, source: &Source, path: &PathUse) {
        self.found.extend(path_finding(self.config, source, path));
    }
}

fn dataset_findings(config: &TrainConfig, source: &Source) -> Vec<Finding> {
    const FIX: &str = "add `[[directory]]` and below it `path = 'FOLDER'`";
    let mut found: Vec<Finding> = source.byte_order_mark().into_iter().collect();
    found.extend(portable::rewrite(source, &portable::Replaced::new()).1);
    found.extend(paths::in_dataset(source).iter().filter_map(|path| path_finding(config, source, path)));

    let root: &dyn TableLike = source.root();
    let mut reader = Reader::new(source);
    let directories = reader.tables(root, "directory", "dataset-directory-list");
    if directories.is_empty() && reader.found.is_empty() {
        let message = "there is no `[[directory]]`: the dataset is empty";
        found.push(Finding::error("dataset-directory-list", source.at(None), message).fix(FIX));
    }
    for directory in &directories {
        if reader.text(*directory, "path").is_none() && !directory.contains_key("path") {
            let place = directory.iter().next().and_then(|(key, _)| key_span(*directory, key));
            let at = source.at(place.or_else(|| span_of(root, "directory")));
            let message = "a `[[directory]]` lacks `path`";
            found.push(Finding::error("dataset-directory-list", at, message).fix(FIX));
        }
        for key in ["mask_path", "control_path", "default_mask_file"] {
            reader.text(*directory, key);
        }
    }
    found.extend(media::findings(config, source, &directories));
    let sized = |table: &&dyn TableLike| table.contains_key("size_buckets");
    if !root.contains_key("resolutions") && !sized(&root) && !directories.iter().all(sized) {
        let message = "`resolutions` is missing at the top of the dataset file";
        let finding = Finding::error("resolutions-top-level", source.at(None), message);
        found.push(finding.fix("set `resolutions = [512]` above the first `[[directory]]`"));
    }
    found.extend(reader.found);
    found.sort_by_key(|finding| finding.position);
    found
}

fn path_finding(config: &TrainConfig, source: &Source, path: &PathUse) -> Option<Finding> {
    let PathUse { key, text, ref span, role } = *path;
    let at = source.at(Some(span.clone()));
    if text.is_empty() {
        return Some(Finding::error("path-empty", at, format!("`{key}` is empty")).fix("name a path"));
    }
    let absolute = config.base.absolute(text);
    let shown = absolute.display();
    let (is_file, is_folder) = (fs::is_file(&absolute), fs::is_dir(&absolute));
    match role {
        Role::Dataset => None, // was read, or has a finding of its own
        Role::Output => is_file.then(|| {
            let message = format!("`{key}` is to be a folder, but `{shown}` is a file");
            Finding::error("output-dir-writable", at, message).fix("name another folder")
        }),
        Role::Input(PathKind::FolderOrHub, _) if paths::is_on_hub(text, &config.base) => {
            let message = format!(
                "`{key}` is taken for the repository `{text}` on the hub: there is no folder `{shown}`"
            );
            let fix = "download it and name the folder, if the training shall start without";
            Some(Finding::warning("hub-repository", at, message).fix(fix))
        }
        Role::Input(expected, id) => {
            let what = match expected {
                PathKind::File if !is_file => "file",
                PathKind::Folder | PathKind::FolderOrHub if !is_folder => "folder",
                PathKind::FileOrFolder if !is_file && !is_folder => "file or folder",
                _ => return None,
            };
            let message = match (is_file, is_folder) {
                (true, _) => format!("`{key}` is to be a {what}, but `{shown}` is a file"),
                (_, true) => format!("`{key}` is to be a {what}, but `{shown}` is a folder"),
                _ => format!("`{key}`: there is no {what} `{shown}`"),
            };
            let root = config.base.root.display();
            Some(
                Finding::error(id, at, message)
                    .fix(format!("put it there, or correct the path; relative ones start at `{root}`")),
            )
        }
    }
}

/// A key that the trainer reads outside of any table, or a table.
fn is_root_key(name: &str) -> bool {
    schema::key(Section::Training, name).is_some()
}

/// The root key that is most like `key`, if any is like it at all.
fn nearest(key: &str) -> Option<&'static str> {
    schema::nearest(key, schema::section(Section::Training).iter().map(|it| it.name.as_str()), 0.85)
}

fn key_span(table: &dyn TableLike, key: &str) -> Option<std::ops::Range<usize>> {
    table.key(key).and_then(toml_edit::Key::span)
}
