//! What the trainer's TOML parser, of 2020, makes of a file.

use std::path::Path;

use super::{Dataset, Finding, Rule, View, all, datasets};
use crate::{
    config::{ConfigError, error::SyntaxProblem, finding::Position, portable},
    error::{self, Report},
};

pub(super) const RULES: &[Rule] =
    &[all(IDS, |s, found| readable(s, found)), datasets(IDS, |d: &Dataset, found| readable(d, found))];

const IDS: &[&str] = &["toml-homogeneous-arrays", "toml-no-bom", "toml-no-dates", "toml-readable"];

fn readable(file: &View, found: &mut Vec<Finding>) {
    found.extend(file.source().byte_order_mark());
    found.extend(portable::rewrite(file.source(), &portable::Replaced::new()).1);
}

/// Why a file cannot be read. `at` is where it was named.
pub(in crate::config) fn unreadable(cause: &ConfigError, at: (&Path, Position)) -> Vec<Finding> {
    match cause {
        ConfigError::Syntax { path, problems } => problems.iter().map(|it| syntax(path, it)).collect(),
        ConfigError::NotText { path, line } => {
            let at = (path.as_path(), Position { line: *line, column: 1 });
            let fix = format!("save `{}` as UTF-8", path.display());
            vec![Finding::error("file-readable", at, cause).fix(fix)]
        }
        ConfigError::Missing { .. } | ConfigError::Dangling { .. } => {
            let fix = "name a dataset file, relative to the workspace";
            vec![Finding::error("dataset-exists", at, cause).fix(fix)]
        }
        // The trainer reads it all the same.
        ConfigError::Hidden { .. } => {
            vec![Finding::warning("file-readable", at, cause).fix(cause.hint().unwrap_or_default())]
        }
        ConfigError::Fs(cause) => {
            let message = error::in_one_line(cause);
            vec![Finding::error("file-readable", at, message).fix("make it readable")]
        }
        _ => vec![Finding::error("file-readable", at, cause).fix("name a TOML file")],
    }
}

/// The same of a file that no other file names.
pub fn unreadable_itself(cause: &ConfigError, path: &Path) -> Vec<Finding> {
    let at = (path, Position::START);
    match cause {
        ConfigError::Missing { .. } | ConfigError::Dangling { .. } => {
            vec![Finding::error("file-readable", at, cause).fix(cause.hint().unwrap_or_default())]
        }
        _ => unreadable(cause, at),
    }
}

fn syntax(path: &Path, problem: &SyntaxProblem) -> Finding {
    let id = if problem.lacks_digit { "toml-no-leading-dot-float" } else { "toml-syntax" };
    Finding::error(id, (path, problem.at), &problem.message).fix(format!("mend line {}", problem.at.line))
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
