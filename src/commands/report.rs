//! `dpgui report`: everything that an issue about a run needs, without secrets, in one text file.
//!
//! A text and no archive: whoever sends it can read beforehand what it says, and whoever gets it needs nothing to open it.

use std::{
    collections::VecDeque,
    fmt::Write,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use crate::{
    config::secret,
    error::{Error, Kind},
    logs::{
        View,
        reader::{last_lines, read_through},
    },
    output::{Event, Line, Mode, redact::Redactor, size},
    platform::{fs, gpu, pager, system},
    run::{RunDir, diagnose, list},
};

use super::{Context, doctor};

/// Lines of the log's end that are in it.
const LOG_LINES: usize = 400;

/// Bytes of them, at most.
const LOG_BYTES: usize = 512 * 1024;

/// Make a file for a bug report: versions, configuration, events, the end of the log, what the doctor says; no secrets
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: its id, the beginning of it, or its name [default: the newest, if there is one]
    run: Option<String>,
    /// Where to write it, `-` for standard output [default: `dpgui-report-RUN.txt` here]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write it without showing it first
    #[arg(long)]
    yes: bool,
}

/// A part of the report.
struct Part {
    name: String,
    text: String,
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "report")]
struct Written<'a> {
    #[serde(serialize_with = "crate::output::lossy")]
    file: &'a Path,
    bytes: usize,
    /// How often what was hidden.
    hidden: &'a std::collections::BTreeMap<String, usize>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "report")]
struct Printed<'a> {
    text: &'a str,
    hidden: &'a std::collections::BTreeMap<String, usize>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let output = &context.output;
    let asks = matches!(output.mode(), Mode::Terminal { .. });
    if !asks && !args.yes && args.output.is_none() {
        let message = "there is no terminal to ask on before the report is written";
        return Err(Error::new(Kind::Usage, message)
            .with_hint("say where to write it with `--output FILE`, or `--yes`"));
    }
    context.adopt_runs()?;
    let dir = match (&args.run, RunDir::all(&context.workspace)) {
        (None, Ok(runs)) if runs.is_empty() => None,
        (run, _) => Some(list::find_or_newest(&context.workspace, run.as_deref())?),
    };
    let name = dir
        .as_ref()
        .map_or_else(|| "dpgui-report.txt".to_owned(), |it| format!("dpgui-report-{}.txt", it.id()));
    let file = context.host.absolute(args.output.as_deref().unwrap_or(Path::new(&name)));
    let prints = args.output.as_deref() == Some(Path::new("-"));
    if !prints && fs::exists(&file) {
        let message = format!("`{}` is there already", file.display());
        return Err(Error::new(Kind::Usage, message).with_hint("choose another place with `--output FILE`"));
    }

    let mut redactor = known_secrets(context, dir.as_ref());
    let parts: Vec<Part> = parts(context, dir.as_ref())
        .into_iter()
        .map(|part| Part { text: redactor.redact(&part.text), ..part })
        .collect();
    let text = whole(&parts);
    if prints {
        output.result(&Printed { text: &text, hidden: &redactor.hidden }, text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let asks = asks && !args.yes;
    if asks && !pager::show(&context.host.env, &text).map_err(|cause| unseen(&cause))? {
        output.data(&text);
    }
    for part in &parts {
        output.note(format_args!("  {:<28} {}", part.name, size::bytes(part.text.len() as u64)));
    }
    for (what, count) in &redactor.hidden {
        let often = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
        output.note(format_args!("  hidden {often}: {what}"));
    }
    if redactor.hidden.is_empty() {
        output.note("  no secret was found in it");
    }
    if asks && !output.confirm(format_args!("Write it to `{}`?", file.display())) {
        output.note("nothing was written");
        return Ok(ExitCode::SUCCESS);
    }
    fs::write_atomic(&file, &text)?;
    output.event(&Written { file: &file, bytes: text.len(), hidden: &redactor.hidden });
    Ok(ExitCode::SUCCESS)
}

fn unseen(cause: &std::io::Error) -> Error {
    Error::new(Kind::Failed, format!("the report cannot be shown: {cause}"))
        .with_hint("choose another pager in `PAGER`, or write it unseen with `--yes`")
}

/// What is a secret here by its name: variables, and keys of the configurations.
fn known_secrets(context: &Context, dir: Option<&RunDir>) -> Redactor {
    let mut redactor = Redactor::default();
    for (name, value) in context.host.env.iter() {
        redactor.know(&name.to_string_lossy(), &value.to_string_lossy(), false);
    }
    for (_, text) in tomls(context, dir) {
        if let Ok(table) = text.parse::<toml::Table>() {
            know_all(&mut redactor, &table);
        }
    }
    redactor
}

fn know_all(redactor: &mut Redactor, table: &toml::Table) {
    for (key, value) in table {
        match value {
            toml::Value::String(text) => redactor.know(key, text, secret::is_secret(key)),
            toml::Value::Table(table) => know_all(redactor, table),
            toml::Value::Array(values) => {
                for table in values.iter().filter_map(toml::Value::as_table) {
                    know_all(redactor, table);
                }
            }
            _ => {}
        }
    }
}

/// The run's own copies, or nothing; and the workspace's settings.
fn tomls(context: &Context, dir: Option<&RunDir>) -> Vec<(String, String)> {
    let mut files = vec![context.workspace.settings_file()];
    if let Some(dir) = dir {
        let names = fs::names(&dir.config()).unwrap_or_default();
        files.extend(names.into_iter().map(|name| dir.config().join(name)));
    }
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, fs::read_optional(&path).ok()??))
    };
    files.into_iter().filter_map(read).collect()
}

fn parts(context: &Context, dir: Option<&RunDir>) -> Vec<Part> {
    let part = |name: &str, text: String| Part { name: name.to_owned(), text };
    let or_why = |text: Result<String, Error>| text.unwrap_or_else(|why| why.to_string());
    let mut parts = vec![part("versions", versions(context))];
    if let Some(dir) = dir {
        let why = diagnose::of_run(dir).map_err(Error::from);
        parts.push(part("diagnosis", or_why(why.map(|it| it.to_string()))));
        let files = [
            ("spec.json", dir.spec_file()),
            ("state.json", dir.snapshot_file()),
            ("events.jsonl", dir.events()),
        ];
        for (name, path) in files.into_iter().chain([("supervisor.log", dir.supervisor_log())]) {
            if let Ok(Some(text)) = fs::read_optional(&path) {
                parts.push(part(name, text));
            }
        }
    }
    parts.extend(tomls(context, dir).into_iter().map(|(name, text)| Part { name, text }));
    if let Some(dir) = dir {
        parts.push(part("the end of the log", or_why(log_end(dir))));
    }
    parts.push(part("doctor", or_why(doctor::as_text(context))));
    parts
}

fn versions(context: &Context) -> String {
    let mut text = format!("dpgui {}\nkernel {}\n", env!("CARGO_PKG_VERSION"), system::kernel());
    if let Some(wsl) = system::wsl() {
        let _ = writeln!(text, "WSL {wsl:?}");
    }
    match gpu::detect(&context.host) {
        Some(found) => {
            let _ = writeln!(text, "NVIDIA driver {}", found.driver);
            for gpu in &found.gpus {
                let _ = writeln!(text, "GPU {} {}", gpu.index, gpu.name);
            }
        }
        None => text.push_str("no NVIDIA driver\n"),
    }
    text
}

fn log_end(dir: &RunDir) -> Result<String, Error> {
    let log = dir.log();
    let starts = last_lines(&log, LOG_LINES)?;
    let view = View::text(starts.len());
    let (mut lines, mut bytes) = (VecDeque::new(), 0);
    read_through(&log, &starts, |entry| {
        let line = view.line(entry) + "\n";
        bytes += line.len();
        lines.push_back(line);
        while bytes > LOG_BYTES || lines.len() > LOG_LINES {
            bytes -= lines.pop_front().map_or(bytes, |line| line.len());
        }
    })?;
    Ok(if lines.is_empty() { "nothing was printed".to_owned() } else { lines.into_iter().collect() })
}

fn whole(parts: &[Part]) -> String {
    let mut text = "A report by `dpgui report`. Look through it before you send it.\n".to_owned();
    for Part { name, text: part } in parts {
        let _ = write!(text, "\n===== {name} =====\n{}\n", part.trim_end());
    }
    text
}

impl Event for Written<'_> {
    fn line(&self) -> Option<Line> {
        let text = format!("`{}`, {}", self.file.display(), size::bytes(self.bytes as u64));
        Some(Line { verb: "Report", text })
    }
}
