//! Starter configurations: commented, valid, with absolute paths.

use std::path::{Path, PathBuf};

use crate::{platform::fs, workspace::Workspace};

use super::{ConfigError, portable, schema};

/// A training file and its dataset file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    pub training: String,
    pub dataset: String,
}

/// What a template leaves open.
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

/// The names of the model types that there is a template for.
pub fn names() -> impl Iterator<Item = &'static str> {
    TEMPLATES.iter().map(|(name, ..)| *name)
}

/// The pair of files for a model type.
///
/// # Errors
/// When there is no such model type, or no template for it, or when a path has no spelling in TOML.
pub fn new(model: &str, options: &TemplateOptions) -> Result<Pair, ConfigError> {
    let Some((_, training, dataset)) = TEMPLATES.iter().find(|(name, ..)| *name == model) else {
        return Err(match schema::model(model) {
            Some(_) => ConfigError::NoTemplate { model: model.to_owned(), known: names().collect() },
            None => {
                ConfigError::UnknownModel { model: model.to_owned(), nearest: schema::nearest_model(model) }
            }
        });
    };
    Ok(Pair { training: fill(training, options)?, dataset: fill(dataset, options)? })
}

/// Writes the pair as the configuration `name`, both files or none.
///
/// # Errors
/// When one of them is there already, or cannot be written.
pub fn write(workspace: &Workspace, name: &str, pair: &Pair) -> Result<[PathBuf; 2], ConfigError> {
    let files = files(workspace, name);
    if let Some(path) = files.iter().find(|path| fs::exists(path)) {
        return Err(ConfigError::Exists { path: path.clone() });
    }
    fs::create_dir_all(&workspace.configs())?;
    // The training file last: it is the one that people and commands look for.
    fs::write_atomic(&files[1], &pair.dataset)?;
    if let Err(cause) = fs::write_atomic(&files[0], &pair.training) {
        let _ = fs::remove_tree(&files[1]);
        return Err(cause.into());
    }
    Ok(files)
}

const TEMPLATES: [(&str, &str, &str); 2] = [
    ("demo", include_str!("../../templates/demo.toml"), include_str!("../../templates/demo-dataset.toml")),
    ("wan", include_str!("../../templates/wan.toml"), include_str!("../../templates/wan-dataset.toml")),
];

/// Fills in `{name}`; where that makes up a string, also in a comment, the string is spelt anew.
fn fill(template: &str, options: &TemplateOptions) -> Result<String, ConfigError> {
    let mut filled = String::with_capacity(2 * template.len());
    for line in template.lines() {
        match line.strip_suffix('\'').and_then(|line| line.split_once(" = '")) {
            Some((key, text)) if text.contains('{') => {
                filled.extend([key, " = ", &string(text, options)?]);
            }
            _ => filled.push_str(&line.replace("{stages}", &options.stages.to_string())),
        }
        filled.push('\n');
    }
    Ok(filled)
}

/// A path with a placeholder in front, as a TOML string.
fn string(text: &str, options: &TemplateOptions) -> Result<String, ConfigError> {
    let places: [(&str, &Path); 4] = [
        ("{dataset}", &options.dataset),
        ("{data}", &options.data),
        ("{models}", &options.models),
        ("{output}", &options.output),
    ];
    let mut text = text.to_owned();
    for (placeholder, path) in places {
        if text.contains(placeholder) {
            let not_text = || ConfigError::PathNotText { path: path.to_owned() };
            text = text.replace(placeholder, path.to_str().ok_or_else(not_text)?);
        }
    }
    portable::spelling(&text).ok_or_else(|| ConfigError::PathNotText { path: text.into() })
}
