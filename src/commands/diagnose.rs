//! `dpgui diagnose`: why a run failed, or what went wrong in any log.

use std::{
    io::{self, Read},
    path::Path,
    process::ExitCode,
};

use flate2::read::MultiGzDecoder;
use serde::Serialize;

use crate::{
    diagnosis::{Diagnosis, of_reader},
    error::{Error, Kind},
    output::Mode,
    platform::fs::{self, FsError},
    run::{
        RunId,
        diagnose::{self, Verdict},
        list,
    },
};

use super::Context;

/// What a packed file begins with (RFC 1952).
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Bytes by which text is told from anything else.
const START: u64 = 8 << 10;

/// Say why a run failed, what shows it and what to do; or what went wrong in any log of a training
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A run, by its id, the beginning of it, or its name; or a file, with `-` for stdin [default: the newest run]
    #[arg(value_name = "RUN|FILE")]
    what: Option<String>,
}

/// The answer for programs.
#[derive(Serialize)]
#[serde(tag = "event", rename = "diagnosis")]
struct Answer<'a> {
    run: Option<&'a RunId>,
    file: Option<&'a str>,
    /// Nothing went wrong, as far as can be seen.
    ok: bool,
    /// What became of it where there is no cause of a failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    says: Option<&'a str>,
    #[serde(flatten)]
    diagnosis: Option<&'a Diagnosis>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let what = args.what.as_deref();
    match what {
        Some("-") => {
            let found = of_log(std::io::stdin().lock(), Path::new("standard input"))?;
            answer(context, None, Some("-"), &found);
        }
        // A path is one by its looks, or because there is no run of that name and a file is.
        Some(text) if text.contains('/') || is_a_file_only(text, context) => {
            let path = context.host.absolute(Path::new(text));
            let found = of_file(&path)?;
            answer(context, None, Some(text), &found);
        }
        run => {
            context.adopt_runs()?;
            let dir = list::find_or_newest(&context.workspace, run)?;
            let found = diagnose::of_run(&dir)?;
            answer(context, Some(dir.id()), None, &found);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_a_file_only(text: &str, context: &Context) -> bool {
    fs::exists(&context.host.absolute(Path::new(text))) && list::find(&context.workspace, text).is_err()
}

fn of_file(path: &Path) -> Result<Verdict, Error> {
    if fs::is_dir(path) {
        let message = format!("`{}` is a directory, and no log", path.display());
        return Err(
            Error::new(Kind::Usage, message).with_hint("name a file, or a run that `dpgui runs` lists")
        );
    }
    if !fs::exists(path) {
        let message = format!("there is no log `{}`", path.display());
        return Err(
            Error::new(Kind::Usage, message).with_hint("name a file, or a run that `dpgui runs` lists")
        );
    }
    of_log(fs::open(path)?, path)
}

/// Of text, or of text that was packed with gzip, as dpgui packs the older parts of a log.
fn of_log<'a>(log: impl Read + 'a, path: &Path) -> Result<Verdict, Error> {
    let cannot_read = |cause| Error::from(FsError { action: "read", path: path.to_owned(), source: cause });
    let (mut start, mut log) = with_start(Box::new(log)).map_err(cannot_read)?;
    if start.starts_with(&GZIP) {
        (start, log) = with_start(Box::new(MultiGzDecoder::new(log))).map_err(cannot_read)?;
    }
    let refused = |what: &str| {
        let message = format!("`{}` {what}", path.display());
        Error::new(Kind::Usage, message).with_hint("name a log, or a run that `dpgui runs` lists")
    };
    if start.is_empty() {
        return Err(refused("is empty: nothing was printed, so nothing can be told"));
    }
    if !is_text(&start) {
        return Err(refused("is no text"));
    }
    Ok(Verdict::of_text(&of_reader(log).map_err(cannot_read)?))
}

/// The first bytes, and all of it from there on.
fn with_start<'a>(mut log: Box<dyn Read + 'a>) -> io::Result<(Vec<u8>, Box<dyn Read + 'a>)> {
    let mut start = vec![];
    log.by_ref().take(START).read_to_end(&mut start)?;
    Ok((start.clone(), Box::new(io::Cursor::new(start).chain(log))))
}

/// Most of it. A power cut leaves zeros in a log, and programs print colours and bells.
fn is_text(start: &[u8]) -> bool {
    let strange =
        start.iter().filter(|it| it.is_ascii_control() && !it.is_ascii_whitespace() && **it != 0x1b);
    strange.count() * 10 < start.len()
}

fn answer(context: &Context, run: Option<&RunId>, file: Option<&str>, found: &Verdict) {
    let output = &context.output;
    if output.mode() == Mode::Json {
        let (says, diagnosis) = (found.says.as_deref(), found.diagnosis.as_ref());
        return output.json(&Answer { run, file, ok: found.ok, says, diagnosis });
    }
    if let Some(run) = run {
        output.status("Diagnosis", run);
    }
    output.data(found);
}
