//! Why a configuration cannot be read, written or made.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

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
    Missing { path: PathBuf, meant: Option<PathBuf> },
    #[error("`{}` is a link to `{}`, where nothing is", path.display(), target.display())]
    Dangling { path: PathBuf, target: PathBuf },
    #[error("`{}` is in no folder that may be looked into from here, so what is in it was not checked", path.display())]
    Hidden { path: PathBuf },
    #[error("there is no workspace `{}`", root.display())]
    NoWorkspace { root: PathBuf },
    #[error("`{}` was changed by somebody else since it was checked; it is as they left it", path.display())]
    Changed { path: PathBuf },
    #[error("`{}` is a folder, not a configuration file", path.display())]
    IsFolder { path: PathBuf },
    #[error("`{}` is a pipe or a device, not a configuration file", path.display())]
    NotAFile { path: PathBuf },
    #[error("`{}` is a dataset file, not a training file", path.display())]
    IsDataset { path: PathBuf },
    #[error(
        "`{}` is no configuration file: it has {bytes} bytes, and the longest that is read has {limit}",
        path.display()
    )]
    TooLarge { path: PathBuf, bytes: u64, limit: u64 },
    #[error("`{}` is no UTF-8 text, see its line {line}", path.display())]
    NotText { path: PathBuf, line: usize },
    /// At least one problem, in the order of the file.
    #[error("`{}` is no valid TOML{}", path.display(), problems.iter().map(|it| it.shown(path)).collect::<String>())]
    Syntax { path: PathBuf, problems: Vec<SyntaxProblem> },
    #[error("the trainer has no model type `{model}`")]
    UnknownModel { model: String, nearest: Vec<&'static str> },
    #[error("the model type `{model}` can only be trained with an adapter: {failure}")]
    NoFullFinetune { model: &'static str, failure: String },
    #[error("neither documentation nor examples give a `{}` configuration of `{model}`", preset.name())]
    NoPreset { model: &'static str, preset: Preset, has: Vec<Preset> },
    #[error("the preset `{}` is for training {} an adapter", preset.name(), if *full_finetune { "without" } else { "with" })]
    PresetIsFor { preset: Preset, full_finetune: bool },
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("`{}` is there already", path.display())]
    Exists { path: PathBuf, free: String },
    #[error("the path `{}` is no UTF-8 text, so no TOML file can name it", path.display())]
    PathNotText { path: PathBuf },
    #[error("`{key}` is a table in this file, not a value")]
    NotAValue { key: String },
    #[error("{finding}")]
    Unusable { finding: Box<Finding> },
    #[error(transparent)]
    Fs(#[from] FsError),
}

/// A place where a file is no TOML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxProblem {
    pub at: Position,
    /// The line, without what nobody should see.
    pub line: String,
    /// Where the parser's own words say little, others.
    pub message: String,
    /// A number begins with its point.
    pub(super) lacks_digit: bool,
}

/// Problems of one file that are shown: who has more has no TOML file.
const MOST_PROBLEMS: usize = 20;

impl ConfigError {
    /// What is wrong with `text`, for which `cause` was given.
    pub(super) fn syntax(path: &Path, text: &str, cause: &toml_edit::TomlError) -> Self {
        let mut problems = vec![SyntaxProblem::at(text, cause.span(), cause.message())];
        for more in toml::de::DeTable::parse_recoverable(text).1 {
            let more = SyntaxProblem::at(text, more.span(), more.message());
            // What else is said of a line is mostly about the same slip.
            if problems.iter().all(|it| it.at.line != more.at.line) && problems.len() < MOST_PROBLEMS {
                problems.push(more);
            }
        }
        problems.sort_by_key(|it| it.at);
        Self::Syntax { path: path.to_owned(), problems }
    }
}

impl SyntaxProblem {
    fn at(text: &str, span: Option<Range<usize>>, message: &str) -> Self {
        let at = position(text, span.map_or(0, |span| span.start));
        let line = shown(text, at);
        let lacks_digit = lacks_digit(&line, at);
        let message = if lacks_digit {
            "a number needs a digit before its point: `0.5`, not `.5`".to_owned()
        } else {
            in_plain_words(&line, message).unwrap_or_else(|| message.trim_end().replace('\n', ", "))
        };
        Self { at, line, message, lacks_digit }
    }

    fn shown(&self, path: &Path) -> String {
        let Self { at, line, message, .. } = self;
        format!("\n{}:{}:{}: {message}\n{}", path.display(), at.line, at.column, excerpt(line, *at))
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
            Self::Missing { meant: Some(meant), .. } => Some(format!("did you mean `{}`?", meant.display())),
            Self::Missing { meant: None, .. } => Some("make one with `dpgui config new MODEL`".to_owned()),
            Self::Dangling { .. } => Some("put the file there, or correct the link".to_owned()),
            Self::Hidden { .. } => {
                Some("grant its folder in `dpgui.toml`: `ui.roots = [\"/FOLDER\"]`".to_owned())
            }
            Self::NoWorkspace { .. } => Some("name one that is there with `-C DIR`".to_owned()),
            Self::Changed { .. } => Some("run the same command again".to_owned()),
            Self::NotAFile { .. } => Some("write it to a file, and name that".to_owned()),
            Self::IsFolder { .. } => Some("name the training TOML file in it".to_owned()),
            Self::IsDataset { path } => {
                Some(format!("name the training file that has `{}` as its `dataset`", path.display()))
            }
            Self::TooLarge { .. } => Some("name a training TOML file".to_owned()),
            Self::NotText { path, .. } => Some(format!("save `{}` as UTF-8", path.display())),
            Self::Syntax { path, problems } => {
                let lines: Vec<String> = problems.iter().map(|it| it.at.line.to_string()).collect();
                let what = if lines.len() == 1 { "line" } else { "lines" };
                Some(format!("mend {what} {} of `{}`", lines.join(", "), path.display()))
            }
            Self::UnknownModel { nearest, .. } if !nearest.is_empty() => {
                let names = nearest.join("`, `");
                Some(format!("did you mean `{names}`? `dpgui config models` lists all"))
            }
            Self::UnknownModel { .. } => Some("choose one that `dpgui config models` lists".to_owned()),
            Self::NoFullFinetune { .. } | Self::PresetIsFor { full_finetune: false, .. } => {
                Some("leave out `--full-finetune`".to_owned())
            }
            Self::NoPreset { preset, has, .. } => Some(no_preset(*preset, has)),
            Self::PresetIsFor { full_finetune: true, .. } => Some("add `--full-finetune`".to_owned()),
            Self::Setting(cause) => Some(cause.hint()),
            Self::Exists { free, .. } => Some(format!("choose another name after the model's, as `{free}`")),
            Self::PathNotText { .. } => {
                Some("rename it, or choose another workspace with `-C DIR`".to_owned())
            }
            Self::NotAValue { key } => Some(format!("name a key in it: `{key}.KEY`")),
            Self::Unusable { finding } => finding.fix.clone(),
            Self::Fs(cause) => cause.hint(),
        }
    }
}

/// What there is in place of a preset.
fn no_preset(preset: Preset, has: &[Preset]) -> String {
    let without = "leave out `--preset`: what is written then is what upstream recommends";
    let of = |it: Preset| match &starter::with_preset(it)[..] {
        [] => format!("no model type has `{}`", it.name()),
        types => format!("`{}` is there for {}", it.name(), types.join(", ")),
    };
    match has {
        [] => format!("{without}; {}", of(preset)),
        has => {
            let names = has.iter().map(|it| it.name()).collect::<Vec<_>>().join("` or `--preset ");
            format!("choose `--preset {names}`, or {without}")
        }
    }
}

fn lacks_digit(line: &str, at: Position) -> bool {
    let Some((_, value)) = line.split_once('=') else { return false };
    let before: String = line.chars().take(at.column.saturating_sub(1)).collect();
    let here = line.chars().skip(at.column.saturating_sub(1)).collect::<String>();
    value.trim_start().starts_with('.')
        || here.starts_with('.') && before.trim_end().ends_with([',', '[', '-'])
}

/// What people write who know Python better than TOML, and what they write twice.
fn in_plain_words(line: &str, message: &str) -> Option<String> {
    if message.contains("recursion") || message.contains("recurse") {
        return Some("nested too deeply".to_owned());
    }
    let value = line.split_once('=')?.1.trim_start();
    for (python, toml) in [("True", "true"), ("False", "false")] {
        if value.starts_with(python) {
            return Some(format!("`{python}` is written `{toml}` in TOML"));
        }
    }
    let twice = message.contains("duplicate key");
    twice.then(|| format!("`{}` is there twice", line.split_once('=').map_or(line, |it| it.0).trim()))
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
