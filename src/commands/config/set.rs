//! `dpgui config set`.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    commands::Context,
    config::change,
    error::Error,
    output::{Event, Line},
};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A training or dataset file
    file: PathBuf,
    /// `epochs`, `adapter.rank`, `directory[0].path`
    key: String,
    /// TOML, or plain text where the key takes text
    #[arg(allow_hyphen_values = true)]
    value: String,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let file = context.configuration(&args.file)?;
    let change::Changed { value, before } = change::set(&file, &args.key, &args.value)?;
    context.output.event(&Set { shown: args.file.clone(), file, key: args.key.clone(), value, before });
    Ok(())
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "set")]
struct Set {
    file: PathBuf,
    key: String,
    value: String,
    before: Option<String>,
    #[serde(skip)]
    shown: PathBuf,
}

impl Event for Set {
    fn line(&self) -> Option<Line> {
        let before = self.before.as_ref().map(|before| format!(", it was `{before}`")).unwrap_or_default();
        let text = format!("`{} = {}` in `{}`{before}", self.key, self.value, self.shown.display());
        Some(Line { verb: "Set", text })
    }
}
