//! `dpgui config`: makes, checks and explains the trainer's TOML files.

mod check;
mod diff;
mod explain;
mod models;
mod new;
mod schema;
mod set;
mod show;

use std::{path::Path, process::ExitCode};

use crate::{config::Finding, error::Error};

use super::Context;

/// Make and check training files
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a training file and its dataset file in the workspace's `configs`
    New(new::Args),
    /// Say what is wrong in training and dataset files, what it would lead to, and what to do
    Check(check::Args),
    /// Show what a training file amounts to: every key with its value, and who says so
    Show(show::Args),
    /// Set one key of a file
    Set(set::Args),
    /// Say what two training files do otherwise
    Diff(diff::Args),
    /// List the model types and what each needs
    Models,
    /// Say what a key, a model type, an optimizer or a rule means
    Explain(explain::Args),
    /// Print the JSON Schema of a training or dataset file, for editors
    Schema(schema::Args),
}

pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    match command {
        Command::New(args) => new::run(args, context)?,
        Command::Check(args) => check::run(args, context)?,
        Command::Show(args) => show::run(args, context)?,
        Command::Set(args) => set::run(args, context)?,
        Command::Diff(args) => return diff::run(args, context),
        Command::Models => models::run(context),
        Command::Explain(args) => explain::run(args, context)?,
        Command::Schema(args) => schema::run(args, context),
    }
    Ok(ExitCode::SUCCESS)
}

/// The finding as a line, its file as one would type it here.
fn shown(finding: &Finding, cwd: &Path) -> String {
    Finding { file: relative(&finding.file, cwd).to_owned(), ..finding.clone() }.to_string()
}

fn relative<'a>(path: &'a Path, cwd: &Path) -> &'a Path {
    match path.strip_prefix(cwd) {
        Ok(here) if here.as_os_str().is_empty() => Path::new("."),
        Ok(below) => below,
        Err(_) => path,
    }
}

pub(super) fn counted(errors: usize, warnings: usize) -> String {
    let plural = |count: usize, what: &str| match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"))
}
