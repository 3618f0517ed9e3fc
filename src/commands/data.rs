//! `dpgui data`: what the trainer will do with a dataset.

mod html;
mod list;
mod rows;
mod table;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    config::{Base, ConfigError, Finding, Hidden, Purpose, Severity, TrainConfig, source::Source},
    data::{self, Site, Survey, Thumbnails, batch::Batches, counted, model::DataModel},
    error::{Error, Kind},
    output::{Mode, html as report, plain},
    platform::{fs, gpu},
    run::devices::Devices,
    ui::configs,
};

use super::Context;

/// Look at datasets before they are trained with
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Say what the trainer will do with every file of a dataset, without running it
    Check(Check),
}

#[derive(Debug, clap::Args)]
pub struct Check {
    /// A dataset file, or a training file, whose datasets are checked
    file: PathBuf,
    /// The training file that a dataset file is for [default: the one beside it that names it]
    #[arg(long, value_name = "TRAINING")]
    config: Option<PathBuf>,
    /// On how many GPUs it shall train [default: all that there are]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    gpus: Option<u32>,
    /// Name files: those that are dropped, those of each bucket, or all with what becomes of them
    #[arg(long, value_name = "WHICH")]
    list: Option<List>,
    /// Write a report with pictures, one file that needs no other
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum List {
    Dropped,
    Buckets,
    All,
}

/// What is checked, and for what.
struct Subject {
    config: Option<TrainConfig>,
    /// Without a training file.
    alone: Option<Source>,
    /// Only this dataset of the training file.
    only: Option<PathBuf>,
}

pub fn run(command: &Command, context: &Context) -> Result<ExitCode, Error> {
    match command {
        Command::Check(args) => check(args, context)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(args: &Check, context: &Context) -> Result<(), Error> {
    let output = &context.output;
    let report = args.html.as_deref().map(|it| report_place(it, context)).transpose()?;
    let subject = subject(args, context)?;
    let surveys = surveys(&subject, args.gpus, context)?;
    for (purpose, survey) in &surveys {
        if output.mode() == Mode::Json {
            rows::write(survey, *purpose, args.list, output);
        } else if let Some(list) = args.list {
            list::write(survey, list, output);
        } else {
            table::write(survey, *purpose, context);
        }
    }
    if let Some(file) = report {
        fs::write_atomic(&file, html::report(&surveys, &Thumbnails::on_path(&context.host.env)))?;
        output.status("Wrote", format_args!("`{}`", file.display()));
    }
    let count = |severity| {
        surveys.iter().flat_map(|(_, it)| &it.findings).filter(|it| it.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let file = args.file.display();
    if errors > 0 {
        let message = format!("`{file}` cannot be trained with: {}", counted(errors, "error"));
        let error = Error::new(Kind::Usage, message);
        let hint = format!("see them all: `{}`", context.command(again(args)));
        // Among a list of files they are not shown; programs have got them with it.
        let is_told = args.list.is_none() || output.mode() == Mode::Json;
        return Err(if is_told { error } else { error.with_hint(hint) });
    }
    if output.mode() != Mode::Json {
        output.status("Checked", format_args!("`{file}`: {}", super::config::counted(errors, warnings)));
    }
    Ok(())
}

/// The same look, without a list and a report.
fn again(args: &Check) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["data".into(), "check".into(), args.file.clone().into()];
    if let Some(config) = &args.config {
        words.extend(["--config".into(), config.into()]);
    }
    if let Some(gpus) = args.gpus {
        words.extend(["--gpus".into(), gpus.to_string().into()]);
    }
    words
}

/// What is wrong with a configuration is another command's.
fn in_config(file: &Path, context: &Context) -> String {
    format!("see `{}`", context.command(["config".as_ref(), "check".as_ref(), file.as_os_str()]))
}

/// A report takes the place of an older one and of nothing else; asked before anything takes its time.
fn report_place(file: &Path, context: &Context) -> Result<PathBuf, Error> {
    let file = context.host.absolute(file);
    let refused = |problem: &str, hint: &str| {
        let message = format!("no report can be written to `{}`: {problem}", file.display());
        Err(Error::new(Kind::Usage, message).with_hint(hint))
    };
    if fs::is_dir(&file) {
        return refused("it is a folder", "name a file in it: `--html FOLDER/report.html`");
    }
    if !file.parent().is_some_and(fs::is_dir) {
        return refused("there is no such folder", "make the folder, or name a file in another one");
    }
    if fs::exists(&file) && !report::is_report(&file, html::MARK)? {
        return refused("something else is there", "name another file: `--html report.html`");
    }
    Ok(file)
}

/// Finds out what kind of file was given, and the training file of a dataset.
fn subject(args: &Check, context: &Context) -> Result<Subject, Error> {
    let Context { host, workspace, output } = context;
    let file = host.absolute(&args.file);
    let sight = configs::sight_of_command(workspace, &host.env);
    let load = |path: &Path| TrainConfig::load_for(path, workspace, &host.env, &sight);
    match load(&file) {
        Ok(config) if config.source().root().contains_key("model") => {
            return Ok(Subject { config: Some(config), alone: None, only: None });
        }
        Ok(_) | Err(ConfigError::IsDataset { .. }) => {}
        Err(cause) => return Err(cause.into()),
    }
    if !sight.reaches(&file) {
        return Err(ConfigError::Hidden { path: file }.into());
    }
    if let Some(training) = &args.config {
        let config = load(&host.absolute(training))?;
        return Ok(Subject { config: Some(config), alone: Some(Source::read(&file)?), only: Some(file) });
    }
    let source = Source::read(&file)?;
    let known = trainings_beside(&file).filter_map(|path| load(&path).ok());
    let uses: Vec<(TrainConfig, Purpose)> =
        known.filter_map(|config| purpose(&config, &file).map(|purpose| (config, purpose))).collect();
    let others = uses.len().saturating_sub(1);
    if let Some((config, purpose)) = uses.into_iter().next() {
        let training = plain::name(config.path());
        let does = if purpose == Purpose::Training { "train" } else { "evaluate" };
        output.note(match others {
            0 => format!("as `{training}` will {does} with it; name another with `--config`"),
            _ => format!(
                "as `{training}` will {does} with it, and {} beside it: name another with `--config`",
                if others == 1 { "so does 1 more".to_owned() } else { format!("so do {others} more") }
            ),
        });
        return Ok(Subject { only: Some(file), alone: Some(source), config: Some(config) });
    }
    output.note(
        "no training file beside it names it: taken are batches of 1, sides that are multiples of 16; name one with `--config`",
    );
    Ok(Subject { config: None, only: Some(file), alone: Some(source) })
}

/// The other TOML files of the folder. A folder with thousands is no folder of configurations.
fn trainings_beside(file: &Path) -> impl Iterator<Item = PathBuf> {
    const MOST: usize = 200;
    let folder = file.parent().unwrap_or(Path::new("/")).to_owned();
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|it| it == "toml");
    let names = fs::names(&folder).unwrap_or_default();
    let file = file.to_owned();
    names
        .into_iter()
        .map(move |name| folder.join(name))
        .filter(move |it| is_toml(it) && *it != file)
        .take(MOST)
}

/// What the training file has the dataset for, the training before all else.
fn purpose(config: &TrainConfig, dataset: &Path) -> Option<Purpose> {
    let is_it = |source: &Source| fs::real_path(source.path()) == fs::real_path(dataset);
    let mut uses: Vec<Purpose> =
        config.datasets().filter(|(_, it)| is_it(it)).map(|(purpose, _)| purpose).collect();
    uses.sort_by_key(|it| *it == Purpose::Evaluation);
    uses.first().copied()
}

fn surveys(subject: &Subject, gpus: Option<u32>, context: &Context) -> Result<Vec<(Purpose, Survey)>, Error> {
    let Context { host, workspace, output } = context;
    let site = Site { workspace, env: &host.env, output };
    let base = Base::of(workspace, &host.env).seeing(configs::sight_of_command(workspace, &host.env));
    let hidden: Vec<Hidden> = subject.alone.iter().flat_map(|it| base.hidden_in(it)).collect();
    configs::must_see_all(&hidden)?;
    let Some(config) = &subject.config else {
        let alone = subject.alone.iter();
        let all = alone.map(|source| {
            let survey = data::survey(source, &base, DataModel::UNKNOWN, Batches::single(), site);
            (Purpose::Training, survey)
        });
        return Ok(all.collect());
    };
    configs::must_see_all(&config.hidden())?;
    let model = DataModel::of(config).ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("`{}` names no model type that the trainer has", config.path().display()),
        )
        .with_hint(in_config(config.path(), context))
    })?;
    let ranks = gpus.unwrap_or_else(|| ranks(config, context));
    let mut all = vec![];
    let mut look = |source: &Source, purpose| {
        all.push((purpose, data::survey_for(config, (purpose, source), model.clone(), ranks, site)));
    };
    let is_wanted = |source: &&Source| {
        subject.only.as_ref().is_none_or(|only| fs::real_path(source.path()) == fs::real_path(only))
    };
    for (purpose, source) in config.datasets().filter(|(_, source)| is_wanted(source)) {
        look(source, purpose);
    }
    if let (true, Some(source)) = (all.is_empty(), &subject.alone) {
        let used = (Purpose::Training, source);
        all.push((Purpose::Training, data::survey_for(config, used, model.clone(), ranks, site)));
    }
    if all.is_empty() {
        let message = format!("`{}` names no dataset file that can be read", config.path().display());
        return Err(Error::new(Kind::Usage, message).with_hint(in_config(config.path(), context)));
    }
    Ok(all)
}

/// As many as `dpgui train` would take; where there is no GPU, as many as the stages need.
fn ranks(config: &TrainConfig, context: &Context) -> u32 {
    let nvidia = gpu::detect(&context.host);
    let gpus = nvidia.as_ref().map_or(&[][..], |it| &it.gpus);
    let devices = Devices::choose(&config.training, None, gpus, &context.host.env);
    let stages = u32::try_from(config.training.pipeline_stages).unwrap_or(1);
    devices.map_or(stages, |it| it.ranks().max(1))
}

/// The finding as a line, its file as one would type it here.
fn shown(finding: &Finding, cwd: &Path) -> String {
    let file = finding.file.strip_prefix(cwd).unwrap_or(&finding.file).to_owned();
    Finding { file, ..finding.clone() }.to_string()
}
