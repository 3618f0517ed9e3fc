//! `dpgui config show`.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::{
    commands::Context,
    config::{
        Purpose, TrainConfig,
        derived::{self, Derived},
        effective::{self, OfFile, Setting},
    },
    data::{
        self,
        model::{DEMO, DataModel},
    },
    error::Error,
    output::{Mode, size::bytes},
};

use super::relative;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A training file, or a dataset file alone
    file: PathBuf,
    /// On how many GPUs it shall train
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    gpus: Option<u32>,
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let Context { host, workspace, output } = context;
    let OfFile { settings, config } =
        effective::of_file(&context.configuration(&args.file)?, workspace, &host.env)?;
    let derived = config
        .as_deref()
        .map(|config| derived::derive(config, args.gpus, steps_per_epoch(config, args.gpus, context)));
    if output.mode() == Mode::Json {
        output.json(&json!({ "event": "config", "settings": settings, "derived": derived }));
        return Ok(());
    }
    for line in table(&settings, &host.cwd) {
        output.data(line);
    }
    if let Some(derived) = &derived {
        output.data("\n# what follows");
        for line in derived_lines(derived, args, context) {
            output.data(line);
        }
    }
    Ok(())
}

/// What one pass over the dataset comes to, if there is a dataset; on the GPUs of one copy where nobody says how many.
fn steps_per_epoch(config: &TrainConfig, gpus: Option<u32>, context: &Context) -> Option<u64> {
    let model = DataModel::of(config).filter(|it| it.name != Some(DEMO))?;
    let (purpose, source) = config.datasets().find(|(purpose, _)| *purpose == Purpose::Training)?;
    let site = data::Site { workspace: &context.workspace, env: &context.host.env, output: &context.output };
    let survey = data::survey_for(config, (purpose, source), model, gpus.unwrap_or(1), site);
    (survey.epoch.steps > 0).then_some(survey.epoch.steps)
}

/// One line a key, as in a file, with who says so behind it.
fn table(settings: &[Setting], cwd: &Path) -> Vec<String> {
    /// Longer values have their origin after one space.
    const WIDEST: usize = 60;
    let spelt = |it: &Setting| format!("{} = {}", it.key, effective::toml(&it.value));
    let widths = settings.iter().map(|it| spelt(it).chars().count());
    let width = widths.filter(|width| *width <= WIDEST).max().unwrap_or(0);
    let mut lines = vec![];
    let mut section = String::new();
    for setting in settings {
        if setting.section != section {
            section.clone_from(&setting.section);
            lines.push(format!("\n[{section}]"));
        }
        let origin = setting.origin.text(|path| relative(path, cwd).to_owned());
        lines.push(format!("{:<width$}  # {origin}", spelt(setting)));
    }
    lines
}

fn derived_lines(it: &Derived, args: &Args, context: &Context) -> Vec<String> {
    let mut lines = vec![];
    match (it.gpus, it.copies) {
        (None, _) => lines.push(format!(
            "each copy of the model on {}; `--gpus N` says how many copies there are",
            counted(it.pipeline_stages, "GPU")
        )),
        (Some(gpus), None) => {
            lines.push(format!(
                "{} cannot be divided into groups of {}",
                counted(gpus.into(), "GPU"),
                it.pipeline_stages
            ));
        }
        (Some(_), Some(copies)) => {
            let copies = if copies == 1 { "1 copy".to_owned() } else { format!("{copies} copies") };
            lines.push(format!("{copies} of the model, each on {}", counted(it.pipeline_stages, "GPU")));
        }
    }
    let batch = it.micro_batch_size.saturating_mul(it.gradient_accumulation_steps);
    match (it.global_batch, it.copies) {
        (Some(all), Some(copies)) => lines.push(format!(
            "{} in each step: {} at once × {} accumulated × {copies} side by side",
            counted(all, "example"),
            it.micro_batch_size,
            it.gradient_accumulation_steps
        )),
        _ => lines.push(format!("{} in each step of one copy", counted(batch, "example"))),
    }
    match (it.steps_per_epoch, it.total_steps) {
        (Some(each), Some(all)) => {
            lines.push(format!("{} in each epoch, {all} in all", counted(each, "step")));
        }
        (Some(each), None) => lines.push(format!("{} in each epoch", counted(each, "step"))),
        _ => {
            let look = ["data".as_ref(), "check".as_ref(), args.file.as_os_str()];
            lines.push(format!("steps: see `{}`", context.command(look)));
        }
    }
    if let Some(why) = it.size_unknown {
        lines.push(format!("what is saved takes an unknown size: {why}"));
    }
    if let Some(weights) = it.trained_weights {
        lines.push(format!("about {} are trained", counted(weights, "weight")));
    }
    let size = |what, size: Option<u64>| size.map(|size| format!("about {} for each {what}", bytes(size)));
    lines.extend(size("saved model", it.saved_bytes));
    if let (Some(count), Some(each)) = (it.saved_models, it.saved_bytes) {
        let all = bytes(count.saturating_mul(each));
        lines.push(format!(
            "about {all} for all of {}, none of which is ever removed",
            counted(count, "saved model")
        ));
    }
    lines.extend(size("checkpoint", it.checkpoint_bytes));
    lines
}

fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
