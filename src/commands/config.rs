//! `dpgui config`: makes, checks and explains the trainer's TOML files.

mod explain;
mod models;
mod new;
mod schema;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    config::{Finding, Severity, TrainConfig},
    error::{Error, Kind},
    output::Mode,
};

use super::Context;

/// Make and check training files
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a training file and its dataset file in the workspace's `configs`
    New(new::Args),
    /// Say what in a training file and its dataset files cannot work
    Check(Check),
    /// List the model types and what each needs
    Models,
    /// Say what a key, a model type, an optimizer or a rule means
    Explain(explain::Args),
    /// Print the JSON Schema of a training or dataset file, for editors
    Schema(schema::Args),
}

#[derive(Debug, clap::Args)]
pub struct Check {
    /// The training file
    file: PathBuf,
    /// On how many GPUs it shall train
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    gpus: Option<u32>,
}

pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    match command {
        Command::New(args) => new::run(args, context)?,
        Command::Check(args) => check(args, context)?,
        Command::Models => models::run(context),
        Command::Explain(args) => explain::run(args, context)?,
        Command::Schema(args) => schema::run(args, context),
    }
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Check, context: &Context) -> Result<(), Error> {
    let Context { host, workspace, output } = context;
    let config = TrainConfig::load(&host.absolute(&args.file), workspace, &host.env)?;
    let findings = config.findings(args.gpus);
    for finding in &findings {
        if output.mode() == Mode::Json {
            output.json(finding);
            continue;
        }
        output.data(shown(finding, &host.cwd));
        if let Some(fix) = &finding.fix {
            output.data(format_args!("    fix: {fix}"));
        }
    }
    let count = |severity| findings.iter().filter(|it| it.severity == severity).count();
    let counts = counted(count(Severity::Error), count(Severity::Warning));
    let file = args.file.display();
    if count(Severity::Error) > 0 {
        return Err(Error::new(Kind::Usage, format!("`{file}` cannot be trained with: {counts}")));
    }
    output.status("Checked", format_args!("`{file}`: {counts}"));
    Ok(())
}

/// The finding as a line, its file as one would type it here.
fn shown(finding: &Finding, cwd: &Path) -> String {
    Finding { file: relative(&finding.file, cwd).to_owned(), ..finding.clone() }.to_string()
}

fn relative<'a>(path: &'a Path, cwd: &Path) -> &'a Path {
    path.strip_prefix(cwd).unwrap_or(path)
}

fn counted(errors: usize, warnings: usize) -> String {
    let plural = |count: usize, what: &str| match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    format!("{}, {}", plural(errors, "error"), plural(warnings, "warning"))
}
