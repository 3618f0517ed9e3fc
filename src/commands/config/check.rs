//! `dpgui config check`.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    commands::Context,
    config::{self, ConfigError, Finding, Severity},
    error::{Error, Kind},
    output::{Event, Line, Mode},
};

use super::{counted, relative, shown};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Training files, with the dataset files that they name, or dataset files alone
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// On how many GPUs they shall train
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    gpus: Option<u32>,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
    /// Mend what can be mended without a choice; comments and order stay
    #[arg(long)]
    fix: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let mut refused = vec![];
    // Several training files may name one dataset file.
    let mut said = BTreeSet::new();
    let (mut errors, mut warnings, mut mendable) = (0, 0, 0);
    let mut to_mend = vec![];
    for file in &args.files {
        let findings = match context.configuration(file) {
            Ok(path) => mended(args, &path, context)?,
            // The others are looked at all the same.
            Err(cause @ ConfigError::Missing { .. }) => {
                config::not_there(&cause, &context.host.absolute(file))
            }
            Err(cause) => return Err(cause.into()),
        };
        let is_new = |it: &&Finding| said.insert((it.file.clone(), it.position, it.id, it.message.clone()));
        let new: Vec<&Finding> = findings.iter().filter(is_new).collect();
        for finding in &new {
            show(finding, context);
        }
        let of = |severity| move |it: &&Finding| it.severity == severity;
        errors += new.iter().copied().filter(of(Severity::Error)).count();
        warnings += new.iter().copied().filter(of(Severity::Warning)).count();
        let of_these = new.iter().filter(|it| it.edit.is_some()).count();
        mendable += of_these;
        if of_these > 0 {
            to_mend.push(file.as_os_str());
        }
        // What was said of another file is as bad for this one.
        let bad = findings.iter().filter(of(Severity::Error)).count();
        let poor = findings.iter().filter(of(Severity::Warning)).count();
        if bad > 0 || args.strict && poor > 0 {
            refused.push(file.display().to_string());
        } else {
            let text = format_args!("`{}`: {}", file.display(), counted(bad, poor));
            context.output.status("Checked", text);
        }
    }
    let problem = if errors > 0 { "cannot be trained with" } else { "is not clean" };
    let message = match &refused[..] {
        [] => return Ok(()),
        [file] => format!("`{file}` {problem}: {}", counted(errors, warnings)),
        files => format!("`{}`: {}", files.join("`, `"), counted(errors, warnings)),
    };
    let error = Error::new(Kind::Usage, message);
    Err(match mendable {
        0 => error,
        count => {
            let words = ["config", "check", "--fix"].map(OsStr::new).into_iter().chain(to_mend);
            error.with_hint(format!("mend {count} of them with `{}`", context.command(words)))
        }
    })
}

/// What is wrong with the file at `path` after everything was mended that may be.
fn mended(args: &Args, path: &Path, context: &Context) -> Result<Vec<Finding>, Error> {
    let Context { host, workspace, output } = context;
    let check = || config::check(path, workspace, &host.env, args.gpus);
    let mut checked = check();
    if args.fix {
        for _ in 0..config::ROUNDS {
            let mended = config::mend(&checked)?;
            if mended.is_empty() {
                break;
            }
            for mended in mended {
                let shown = relative(&mended.file, &host.cwd);
                for change in &mended.changes {
                    output.event(&Fixed { file: &mended.file, change, shown });
                }
            }
            checked = check();
        }
    }
    Ok(checked.findings)
}

/// A line that editors understand, and below it what to do and why.
fn show(finding: &Finding, Context { host, output, .. }: &Context) {
    if output.mode() == Mode::Json {
        return output.json(&Row { finding });
    }
    output.data(shown(finding, &host.cwd));
    if let Some(fix) = &finding.fix {
        output.data(format_args!("    fix: {fix}"));
    }
    // A note is about what is repaired, or worth knowing only.
    if let Some(outcome) = finding.outcome().filter(|_| finding.severity != Severity::Note) {
        output.data(format_args!("    otherwise: {outcome}"));
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "finding")]
struct Row<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "fixed")]
struct Fixed<'a> {
    file: &'a Path,
    change: &'a str,
    #[serde(skip)]
    shown: &'a Path,
}

impl Event for Fixed<'_> {
    fn line(&self) -> Option<Line> {
        Some(Line { verb: "Fixed", text: format!("`{}`: {}", self.shown.display(), self.change) })
    }
}
