//! What the trainer's TOML parser, of 2020, makes of a file.

use std::path::Path;

use super::{Dataset, Finding, Rule, View, all, datasets};
use crate::config::{ConfigError, finding::Position, portable};

pub(super) const RULES: &[Rule] =
    &[all(IDS, |s, found| readable(s, found)), datasets(IDS, |d: &Dataset, found| readable(d, found))];

const IDS: &[&str] = &["toml-homogeneous-arrays", "toml-no-bom", "toml-no-dates", "toml-readable"];

fn readable(file: &View, found: &mut Vec<Finding>) {
    found.extend(file.source().byte_order_mark());
    found.extend(portable::rewrite(file.source(), &portable::Replaced::new()).1);
}

/// Why a file cannot be read, as its only finding. `at` is where it was named.
pub(in crate::config) fn unreadable(cause: &ConfigError, at: (&Path, Position)) -> Finding {
    let mend = |line| format!("mend line {line}");
    match cause {
        ConfigError::Syntax { path, at, line, message } => {
            let at = (path.as_path(), *at);
            if let Some(problem) = python_habit(line, at.1, message) {
                return Finding::error("toml-no-leading-dot-float", at, problem).fix(mend(at.1.line));
            }
            Finding::error("toml-syntax", at, message).fix(mend(at.1.line))
        }
        ConfigError::NotText { path, line } => {
            let at = (path.as_path(), Position { line: *line, column: 1 });
            Finding::error("file-readable", at, cause).fix(format!("save `{}` as UTF-8", path.display()))
        }
        ConfigError::Missing { .. } => {
            Finding::error("dataset-exists", at, cause).fix("name a dataset file, relative to the workspace")
        }
        _ => Finding::error("file-readable", at, cause).fix("name a TOML file"),
    }
}

/// What people write who know Python better than TOML.
fn python_habit(line: &str, at: Position, message: &str) -> Option<String> {
    let value = line.split_once('=')?.1.trim_start();
    let before: String = line.chars().take(at.column.saturating_sub(1)).collect();
    let here = line.chars().skip(at.column.saturating_sub(1)).collect::<String>();
    if value.starts_with('.') || here.starts_with('.') && before.trim_end().ends_with([',', '[', '-']) {
        return Some("a number needs a digit before its point: `0.5`, not `.5`".to_owned());
    }
    for (python, toml) in [("True", "true"), ("False", "false")] {
        if value.starts_with(python) {
            return Some(format!("`{python}` is written `{toml}` in TOML"));
        }
    }
    let twice = message.contains("duplicate key");
    twice.then(|| format!("`{}` is there twice", line.split_once('=').map_or(line, |it| it.0).trim()))
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::{case, in_front};
    &[
        in_front("toml-no-bom", "\u{feff}", "# \u{feff}\n"),
        in_front("toml-syntax", "a = = 1\n", "# a = = 1\n"),
        in_front("toml-no-leading-dot-float", "uncond_fraction = .5\n", "uncond_fraction = 0.5\n"),
        case(
            "toml-no-dates",
            "optimizer = { type = 'Prodigy', when = 2020-01-01 }",
            "optimizer = { type = 'Prodigy', when = '2020-01-01' }",
        ),
        case("toml-homogeneous-arrays", "optimizer.betas = [0, 0.99]", "optimizer.betas = [0.0, 0.99]"),
        in_front(
            "toml-readable",
            r#"monitoring.wandb_run_name = "\"\"it's"
"#,
            r#"monitoring.wandb_run_name = "\"it's"
"#,
        ),
        case("file-readable", "dataset = 'data'", "dataset = './d.toml'"),
    ]
};
