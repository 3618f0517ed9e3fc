//! `dpgui config diff`.

use std::{path::PathBuf, process::ExitCode};

use crate::{
    commands::Context,
    config::{
        TrainConfig,
        effective::{self, Setting},
    },
    error::{Error, Kind},
    output::Mode,
};

use super::relative;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A training file
    before: PathBuf,
    /// Another one
    after: PathBuf,
}

/// As `diff` does: 0 when they mean the same, 1 when they do not.
pub(super) fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let Context { host, workspace, output } = context;
    let settings = |file| -> Result<Vec<Setting>, Error> {
        let config = TrainConfig::load(&host.absolute(file), workspace, &host.env)?;
        Ok(effective::settings(&config))
    };
    let differences = effective::differences(&settings(&args.before)?, &settings(&args.after)?);
    for difference in &differences {
        if output.mode() == Mode::Json {
            output.json(difference);
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
