//! `dpgui config diff`.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use crate::{
    commands::Context,
    config::{
        ConfigError,
        effective::{self, Difference, OfFile},
    },
    error::{Error, Kind},
    output::Mode,
};

use super::relative;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A training file, or a dataset file alone
    before: PathBuf,
    /// Another one of its kind
    after: PathBuf,
}

/// As `diff` does: 0 when they mean the same, 1 when they do not.
pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    let read = |file| -> Result<OfFile, ConfigError> {
        effective::of_file(&context.configuration(file)?, workspace, &host.env)
    };
    let (before, after) = (read(&args.before)?, read(&args.after)?);
    if before.config.is_some() != after.config.is_some() {
        let file = if before.config.is_some() { &args.after } else { &args.before };
        return Err(ConfigError::IsDataset { path: host.absolute(file) }.into());
    }
    let differences = effective::differences(&before.settings, &after.settings);
    for difference in &differences {
        if output.mode() == Mode::Json {
            output.json(&Row { difference });
            continue;
        }
        let name = match difference.section.as_str() {
            "" => difference.key.clone(),
            section => format!("{section}.{}", difference.key),
        };
        for (mark, side) in [("-", &difference.before), ("+", &difference.after)] {
            let Some(setting) = side else { continue };
            let origin = setting.origin.text(|path| relative(path, &host.cwd).to_owned());
            output.data(format_args!("{mark} {name} = {}  # {origin}", effective::toml(&setting.value)));
        }
    }
    if differences.is_empty() {
        output.status("Same", format_args!("`{}` and `{}`", args.before.display(), args.after.display()));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::from(Kind::Failed.exit_code()))
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "difference")]
struct Row<'a> {
    #[serde(flatten)]
    difference: &'a Difference,
}
