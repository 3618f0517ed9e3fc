//! The copies of a run: absolute paths, names that differ, no secret, and TOML that the trainer's parser reads.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use toml_edit::Item;

use crate::platform::fs;

use super::{
    ConfigError, Finding, Severity, TrainConfig,
    paths::{self, PathUse, Role},
    portable::{self, Replaced},
    rules,
    schema::PathKind,
    secret,
    source::Source,
};

/// What a run trains with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The training file.
    pub config: PathBuf,
    pub dataset: PathBuf,
    pub eval_datasets: Vec<PathBuf>,
    /// The trainer makes a folder of each run in it.
    pub output_dir: PathBuf,
    /// For the trainer's environment, and for no file.
    pub secrets: Vec<Secret>,
}

/// An environment variable that nobody should see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    pub variable: &'static str,
    pub value: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("variable", &self.variable).finish_non_exhaustive()
    }
}

/// What the trainer is to be given by the environment.
pub(super) fn secrets(config: &TrainConfig) -> Vec<Secret> {
    take_secrets(&config.source, &mut Replaced::new())
}

pub(super) fn resolve(config: &TrainConfig, dir: &Path) -> Result<Resolved, ConfigError> {
    let needed = |key| unusable(rules::missing(&config.source, key));
    let output_dir = config.training.output_dir.as_deref().ok_or_else(|| needed("output_dir"))?;
    if config.training.dataset.is_none() {
        return Err(needed("dataset"));
    }

    fs::create_dir_all(dir)?;
    let mut names = Names::default();
    let copy = dir.join(names.pick(config.path()));
    let uses = paths::in_training(&config.source, config.training.model.as_deref());
    let mut replaced = absolute(config, &uses)?;
    let mut datasets = vec![];
    for dataset in &config.datasets {
        let source = dataset.source.as_ref().map_err(|found| unusable(found[0].clone()))?;
        let copy = dir.join(names.pick(&dataset.path));
        let mut replaced_there = absolute(config, &paths::in_dataset(source))?;
        take_secrets(source, &mut replaced_there);
        write(source, &replaced_there, &copy)?;
        replaced.insert(dataset.named_at, text_of(&copy)?);
        datasets.push(copy);
    }
    let secrets = take_secrets(&config.source, &mut replaced);
    write(&config.source, &replaced, &copy)?;
    let eval_datasets = datasets.split_off(1);
    let output_dir = config.base.absolute(output_dir);
    Ok(Resolved { config: copy, dataset: datasets.remove(0), eval_datasets, output_dir, secrets })
}

/// Base names of the copies: the trainer copies them on into one folder, so no two may be the same.
#[derive(Default)]
struct Names(BTreeSet<OsString>);

impl Names {
    fn pick(&mut self, original: &Path) -> OsString {
        let stem = original.file_stem().unwrap_or_default();
        let mut name = original.file_name().unwrap_or_default().to_owned();
        let mut number = 2;
        while !self.0.insert(name.clone()) {
            stem.clone_into(&mut name);
            name.push(format!("-{number}.toml"));
            number += 1;
        }
        name
    }
}

/// What stands in the copy for each path of the original.
fn absolute(config: &TrainConfig, paths: &[PathUse]) -> Result<Replaced, ConfigError> {
    let mut replaced = Replaced::new();
    for path in paths {
        let stays = match path.role {
            Role::Input(PathKind::FolderOrHub, _) => paths::is_on_hub(path.text, &config.base),
            Role::Input(..) | Role::Output | Role::Dataset => false,
        };
        if !stays {
            replaced.insert(path.span.start, text_of(&config.base.absolute(path.text))?);
        }
    }
    Ok(replaced)
}

/// The copies stay beside every saved model, so they hold no key, wherever it is written. The trainer reads that of
/// `[monitoring]` and hands it to `wandb.login`, which takes an empty one for none and looks at `WANDB_API_KEY`.
fn take_secrets(source: &Source, replaced: &mut Replaced) -> Vec<Secret> {
    replaced.extend(secret::places(source.root()).into_iter().map(|place| (place, String::new())));
    let read = source.root().get("monitoring").and_then(Item::as_table_like);
    let key = read.and_then(|it| it.get("wandb_api_key")).and_then(Item::as_str);
    let key = key.filter(|key| !key.is_empty());
    key.map(|key| Secret { variable: "WANDB_API_KEY", value: key.to_owned() }).into_iter().collect()
}

fn write(source: &Source, replaced: &Replaced, copy: &Path) -> Result<(), ConfigError> {
    let (text, findings) = portable::rewrite(source, replaced);
    if let Some(finding) = findings.into_iter().find(|it| it.severity == Severity::Error) {
        return Err(unusable(finding));
    }
    Ok(fs::write_atomic(copy, secret::without_in_comments(&text))?)
}

fn unusable(finding: Finding) -> ConfigError {
    ConfigError::Unusable { finding: Box::new(finding) }
}

fn text_of(path: &Path) -> Result<String, ConfigError> {
    path.to_str().map(str::to_owned).ok_or_else(|| ConfigError::PathNotText { path: path.to_owned() })
}
