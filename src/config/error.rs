//! Why a configuration cannot be read, written or made.

use std::path::{Path, PathBuf};

use crate::{
    error::{Kind, Report},
    platform::fs::FsError,
};

use super::{
    Finding, Position, secret,
    setting::SettingError,
    source::position,
    starter::{self, Preset},
};

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("there is no configuration file `{}`", path.display())]
    Missing { path: PathBuf },
    #[error("`{}` is a folder, not a configuration file", path.display())]
    IsFolder { path: PathBuf },
    #[error("`{}` is a pipe or a device, not a configuration file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` is a dataset file, not a training file", path.display())]
    IsDataset { path: PathBuf },
    #[error("`{}` is no configuration file: it has {bytes} bytes", path.display())]
    TooLarge { path: PathBuf, bytes: u64 },
    #[error("`{}` is no UTF-8 text, see its line {line}", path.display())]
    NotText { path: PathBuf, line: usize },
    #[error(
        "`{}` is no valid TOML\n{}:{}:{}: {message}\n{}",
        path.display(), path.display(), at.line, at.column, excerpt(line, *at)
    )]
    Syntax { path: PathBuf, at: Position, line: String, message: String },
    #[error("the trainer has no model type `{model}`")]
    UnknownModel { model: String, nearest: Option<&'static str> },
    #[error("the model type `{model}` can only be trained with an adapter: {failure}")]
    NoFullFinetune { model: &'static str, failure: String },
    #[error("neither documentation nor examples give a `{}` configuration of `{model}`", preset.name())]
    NoPreset { model: &'static str, preset: Preset, has: Vec<Preset> },
    #[error("the preset `{}` is for training {} an adapter", preset.name(), if *full_finetune { "without" } else { "with" })]
    PresetIsFor { preset: Preset, full_finetune: bool },
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("`{}` is there already", path.display())]
    Exists { path: PathBuf },
    #[error("the path `{}` is no UTF-8 text, so no TOML file can name it", path.display())]
    PathNotText { path: PathBuf },
    #[error("there is no key `{key}`")]
    NoSuchKey { key: String, nearest: Option<String> },
    #[error("`{key}` must be {wanted}, not `{text}`")]
    WrongValue { key: String, wanted: String, text: String },
    #[error("`{key}` is a table in this file, not a value")]
    NotAValue { key: String },
    #[error("{finding}")]
    Unusable { finding: Box<Finding> },
    #[error(transparent)]
    Fs(#[from] FsError),
}

impl ConfigError {
    pub(super) fn syntax(path: &Path, text: &str, cause: &toml_edit::TomlError) -> Self {
        let start = cause.span().map_or(0, |span| span.start);
        let at = position(text, start);
        let line = shown(text, at);
        let message = cause.message().trim_end().replace('\n', ", ");
        Self::Syntax { path: path.to_owned(), at, line, message }
    }
}

impl Report for ConfigError {
    fn kind(&self) -> Kind {
        match self {
            Self::Fs(cause) => cause.kind(),
            _ => Kind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { .. } => Some("make one with `dpgui config new MODEL`".to_owned()),
            Self::NotAFile { .. } => Some("write it to a file, and name that".to_owned()),
            Self::IsFolder { .. } => Some("name the training TOML file in it".to_owned()),
            Self::IsDataset { path } => {
                Some(format!("name the training file that has `{}` as its `dataset`", path.display()))
            }
            Self::TooLarge { .. } => Some("name a training TOML file".to_owned()),
            Self::NotText { path, .. } => Some(format!("save `{}` as UTF-8", path.display())),
            Self::Syntax { path, at, .. } => Some(format!("mend line {} of `{}`", at.line, path.display())),
            Self::UnknownModel { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`? `dpgui config models` lists all"))
            }
            Self::UnknownModel { .. } => Some("choose one that `dpgui config models` lists".to_owned()),
            Self::NoFullFinetune { .. } | Self::PresetIsFor { full_finetune: false, .. } => {
                Some("leave out `--full-finetune`".to_owned())
            }
            Self::NoPreset { preset, has, .. } => Some(no_preset(*preset, has)),
            Self::PresetIsFor { full_finetune: true, .. } => Some("add `--full-finetune`".to_owned()),
            Self::Setting(cause) => Some(cause.hint()),
            Self::Exists { .. } => Some("choose another name: `dpgui config new MODEL NAME`".to_owned()),
            Self::PathNotText { .. } => {
                Some("rename it, or choose another workspace with `-C DIR`".to_owned())
            }
            Self::NoSuchKey { nearest: Some(nearest), .. } => Some(format!("did you mean `{nearest}`?")),
            Self::NoSuchKey { key, nearest: None } => {
                Some(format!("look for it with `dpgui config explain {key}`"))
            }
            Self::WrongValue { key, .. } => Some(format!("`dpgui config explain {key}` says what it may be")),
            Self::NotAValue { key } => Some(format!("name a key in it: `{key}.KEY`")),
            Self::Unusable { finding } => finding.fix.clone(),
            Self::Fs(cause) => cause.hint(),
        }
    }
}

/// What there is in place of a preset.
fn no_preset(preset: Preset, has: &[Preset]) -> String {
    let types = starter::with_preset(preset);
    match (has, &types[..]) {
        ([], []) => "leave out `--preset`".to_owned(),
        ([], types) => format!("leave out `--preset`; `{}` is there for {}", preset.name(), types.join(", ")),
        (has, _) => {
            let has = has.iter().map(|it| it.name()).collect::<Vec<_>>().join("` or `--preset ");
            format!("choose `--preset {has}`, or leave it out")
        }
    }
}

/// The line, without a secret that begins there or in a line before it.
fn shown(text: &str, at: Position) -> String {
    let line = text.lines().nth(at.line - 1).unwrap_or_default();
    let begins = text.lines().take(at.line - 1).filter(|it| it.contains('=')).last();
    let goes_on = !line.contains('=') && begins.is_some_and(|it| secret::shown_line(it) != it);
    if goes_on && !line.is_empty() { secret::HIDDEN.to_owned() } else { secret::shown_line(line) }
}

/// The line, and a mark under the place.
fn excerpt(line: &str, at: Position) -> String {
    /// Characters of a line that are shown; who has longer ones sees the part before the place.
    const WIDTH: usize = 100;
    let skipped = at.column.saturating_sub(WIDTH);
    let shown: String = line.chars().skip(skipped).take(WIDTH).collect();
    format!("  | {shown}\n  | {:>width$}", '^', width = at.column - skipped)
}
