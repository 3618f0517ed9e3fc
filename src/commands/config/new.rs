//! `dpgui config new`: a training file and its dataset file for a model type.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::{
    commands::Context,
    config::{
        TrainConfig, schema,
        setting::Setting,
        starter::Preset,
        suggest::Media,
        template::{self, Pair, TemplateOptions, Wish},
        weights::{self, Found, Search},
    },
    data::{self, model::DataModel, outlook},
    error::{Error, Kind},
    output::Mode,
    platform::fs,
};

use super::{relative, shown};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model type, see `dpgui config models`
    model: String,
    /// What to call it [default: the model type]
    #[arg(value_parser = name)]
    name: Option<String>,
    /// Give a key another value: `rank=16`, `model.dtype=float16`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
    /// Values that diffusion-pipe's documentation or examples give for this purpose
    #[arg(long, value_enum)]
    preset: Option<Purpose>,
    /// Train the whole model in place of an adapter
    #[arg(long)]
    full_finetune: bool,
    /// Train on the images and videos in this folder, and look at them for resolutions, frame buckets and repeats
    /// [default: `data/NAME`, without a look]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Look here for the model files: safetensors are recognised by their tensors [default: `models`, without a look]
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Print both files and write none
    #[arg(long)]
    stdout: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Purpose {
    /// For the smallest GPU that upstream has an example for
    LowVram,
    /// Upstream has none: what is written without a preset is its usual one
    Balanced,
    /// Without what upstream calls a loss
    Quality,
}

impl From<Purpose> for Preset {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::LowVram => Self::LowVram,
            Purpose::Balanced => Self::Balanced,
            Purpose::Quality => Self::Quality,
        }
    }
}

pub(super) fn run(args: &Args, context: &Context) -> Result<(), Error> {
    let workspace = &context.workspace;
    let name = args.name.as_ref().unwrap_or(&args.model);
    let mut options = TemplateOptions::in_workspace(workspace, name);
    let mut found = vec![];
    if let Some(dir) = &args.models {
        options.models = folder(&context.host.absolute(dir))?;
        if let Some(model) = schema::model(&args.model) {
            let search = weights::search(&options.models, model);
            unfound(&search, &options.models, &args.model, context);
            found = search.found;
        }
    }
    let mut media = None;
    if let (Some(dir), Some(model)) = (&args.data, schema::model(&args.model)) {
        options.data = folder(&context.host.absolute(dir))?;
        media = Some(outlook::look(&options.data, &DataModel::new(model, None), &context.host.env)?);
    }
    let wish = Wish {
        preset: args.preset.map(Preset::from),
        full_finetune: args.full_finetune,
        files: found.iter().map(|it| (it.key.to_owned(), it.value.clone())).collect(),
        media,
        settings: args.settings.clone(),
    };
    let pair = template::new(&args.model, &options, &wish)?;
    tell(&found, context);
    if let Some(media) = &wish.media {
        context.output.status("Looked", format_args!("at `{}`: {}", options.data.display(), counted(media)));
        nothing(media, &options.data, context);
    }
    if args.stdout {
        print(&pair, &template::files(workspace, name), context);
        return Ok(());
    }
    let files = template::write(workspace, name, &pair)?;
    report(&files, &found, context)
}

/// A folder that is there.
fn folder(path: &Path) -> Result<PathBuf, Error> {
    if fs::is_dir(path) {
        return Ok(path.to_owned());
    }
    let error = Error::new(Kind::Usage, format!("there is no folder `{}`", path.display()));
    Err(error.with_hint("name one that is there"))
}

/// What was found for which key.
fn tell(found: &[Found], context: &Context) {
    let output = &context.output;
    for Found { key, what, others, .. } in found {
        for (name, path) in what {
            output.status("Found", format_args!("`{key}`: {name}: `{}`", path.display()));
        }
        for other in others {
            output.note(format_args!("             not taken for it: `{}`", other.display()));
        }
    }
}

/// What a look at the folder could not tell.
fn unfound(search: &Search, dir: &Path, model: &str, Context { output, .. }: &Context) {
    let Search { found, looked_at, closed } = search;
    if found.is_empty() {
        output.warn(format_args!(
            "nothing in `{}` was recognised as something that `{model}` needs, of {}",
            dir.display(),
            data::counted(*looked_at, "safetensors file")
        ));
    }
    if let Some(first) = closed.first() {
        output.note(format_args!(
            "             not looked into, as only running it would tell what a PyTorch file holds: `{}`{}",
            first.display(),
            if closed.len() > 1 { format!(" and {} more", closed.len() - 1) } else { String::new() }
        ));
    }
}

/// `20 images, 1 video, 3 without a caption`.
fn counted(media: &Media) -> String {
    let mut parts = vec![];
    if media.images > 0 || media.videos == 0 {
        parts.push(data::counted(media.images, "image"));
    }
    if media.videos > 0 {
        parts.push(data::counted(media.videos, "video"));
    }
    if media.unusable > 0 {
        parts.push(format!("{} that cannot be trained with", data::counted(media.unusable, "file")));
    }
    if media.without_caption > 0 {
        parts.push(format!("{} without a caption", media.without_caption));
    }
    parts.join(", ")
}

/// A training needs something to train with.
fn nothing(media: &Media, folder: &Path, Context { output, .. }: &Context) {
    if media.images + media.videos == 0 {
        let folder = folder.display();
        output.warn(format_args!(
            "nothing in `{folder}` itself can be trained with: folders in it are not searched"
        ));
    }
}

/// Both files on one stream, each under its name.
fn print(pair: &Pair, files: &[PathBuf; 2], context: &Context) {
    let Pair { training, dataset } = pair;
    if context.output.mode() == Mode::Json {
        return context.output.json(&json!({ "event": "config", "training": training, "dataset": dataset }));
    }
    let shown = |path: &Path| format!("# {}", relative(path, &context.host.cwd).display());
    context.output.data(format_args!("{}\n{training}", shown(&files[0])));
    context.output.data(format_args!("{}\n{}", shown(&files[1]), dataset.trim_end()));
}

/// Where the files are, and what is still missing: exactly what a check finds.
fn report(files: &[PathBuf; 2], found: &[Found], context: &Context) -> Result<(), Error> {
    let Context { host, workspace, output } = context;
    let findings = TrainConfig::load(&files[0], workspace, &host.env)?.findings(None);
    if output.mode() == Mode::Json {
        let [training, dataset] = files;
        output.json(&json!({
            "event": "config", "training": training, "dataset": dataset, "found": found, "findings": findings,
        }));
        return Ok(());
    }
    for file in files {
        output.data(file.display());
    }
    if !findings.is_empty() {
        output.note("\nto do: put these in their place, or correct the lines");
        for finding in &findings {
            output.note(format_args!("  {}", shown(finding, &host.cwd)));
        }
    }
    let file = relative(&files[0], &host.cwd).as_os_str();
    output.note(format_args!(
        "\nnext: `{}`, `{}`, then `{}`",
        context.command(["config".as_ref(), "check".as_ref(), file]),
        context.command(["data".as_ref(), "check".as_ref(), file]),
        context.command(["train".as_ref(), file])
    ));
    Ok(())
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
