//! `dpgui config`: makes and checks the trainer's TOML files.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::json;

use crate::{
    config::{
        Finding, Severity, TrainConfig,
        schema::{self, Required},
        template::{self, TemplateOptions},
    },
    error::{Error, Kind},
    output::Mode,
};

use super::Context;

/// Make and check training files
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Make a training file and its dataset file in the workspace's `configs`
    New(New),
    /// Say what in a training file and its dataset files cannot work
    Check(Check),
    /// List the model types
    Models,
}

#[derive(Debug, clap::Args)]
pub struct New {
    /// The model type, see `dpgui config models`
    model: String,
    /// What to call it [default: the model type]
    #[arg(value_parser = name)]
    name: Option<String>,
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
        Command::New(args) => new(args, context)?,
        Command::Check(args) => check(args, context)?,
        Command::Models => list_models(context),
    }
    Ok(ExitCode::SUCCESS)
}

fn new(args: &New, context: &Context) -> Result<(), Error> {
    let Context { host, workspace, output } = context;
    let name = args.name.as_ref().unwrap_or(&args.model);
    let pair = template::new(&args.model, &TemplateOptions::in_workspace(workspace, name))?;
    let files = template::write(workspace, name, &pair)?;
    // What is still missing is exactly what a check finds.
    let findings = TrainConfig::load(&files[0], workspace, &host.env)?.findings(None);
    if output.mode() == Mode::Json {
        let [training, dataset] = &files;
        let created =
            json!({ "event": "config", "training": training, "dataset": dataset, "findings": findings });
        output.json(&created);
        return Ok(());
    }
    for file in &files {
        output.data(file.display());
    }
    if !findings.is_empty() {
        output.note("\nto do: put these in their place, or correct the lines");
        for finding in &findings {
            output.note(format_args!("  {}", shown(finding, &host.cwd)));
        }
    }
    let file = relative(&files[0], &host.cwd).display();
    output.note(format_args!("\nnext: `dpgui config check {file}`, then `dpgui train {file}`"));
    Ok(())
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

fn list_models(context: &Context) {
    for model in schema::models() {
        let paths = model.paths().filter(|key| key.required == Required::Yes).map(|key| &key.name);
        let template = template::names().any(|name| name == model.name);
        if context.output.mode() == Mode::Json {
            let paths: Vec<_> = paths.collect();
            let row =
                json!({ "type": model.name, "title": model.title, "template": template, "paths": paths });
            context.output.json(&row);
            continue;
        }
        let template = if template { "template" } else { "" };
        context.output.data(format_args!("{:<17} {template:<9} {}", model.name, model.title));
    }
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

/// A configuration's name is the stem of two files.
fn name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let name = text.strip_suffix(".toml").unwrap_or(text);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(plain) {
        return Err("use letters, digits, `-`, `_` and `.`".to_owned());
    }
    Ok(name.to_owned())
}
