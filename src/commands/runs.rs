//! `dpgui runs`: what was trained here, and what is training now.

use std::{process::ExitCode, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use serde::Serialize;

use crate::{
    diagnosis::Diagnosis,
    error::Error,
    output::{Mode, size, table::table},
    run::{RunDir, RunError, RunId, brief::Brief, state::RunState, watchdog::Alarm},
};

use super::Context;

mod html;
mod show;

/// List the runs of this workspace, the newest first
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Show(show::Args),
}

/// One run in the list.
#[derive(Debug, Serialize)]
struct Row {
    run: RunId,
    /// One word.
    state: String,
    /// The run of another machine that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<RunId>,
    details: RunState,
    step: Option<u64>,
    loss: Option<f64>,
    #[serde(skip)]
    loss_in_words: String,
    started: Timestamp,
    /// It does not wait in the queue, and was not taken out of it.
    began: bool,
    /// From its start to its end, or until now.
    seconds: f64,
    /// How it ended is known, and nothing of it is left.
    ended: bool,
    /// What is wrong with it while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<Alarm>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnosis: Option<Diagnosis>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    if let Some(Command::Show(args)) = &args.command {
        return show::run(args, context);
    }
    let Context { workspace, output, .. } = context;
    context.adopt_runs()?;
    let rows: Vec<Row> = RunDir::all(workspace).map_err(RunError::from)?.iter().filter_map(row).collect();
    if output.mode() == Mode::Json {
        for row in &rows {
            output.json(row);
        }
    } else if rows.is_empty() {
        output.note("no runs yet; start one with `dpgui train CONFIG`");
    } else {
        output.data(table(&listed(&rows)));
    }
    Ok(ExitCode::SUCCESS)
}

/// `None` for a damaged one, of which was said so already.
fn row(dir: &RunDir) -> Option<Row> {
    let run = Brief::of(dir).ok()?;
    Some(Row {
        run: dir.id().clone(),
        state: run.word.clone(),
        part_of: run.spec.origin().map(|it| it.run.clone()),
        step: run.step,
        loss: run.loss,
        loss_in_words: in_words(&run),
        started: run.spec.created,
        began: run.state.began(),
        seconds: run.seconds(),
        ended: run.is_over(),
        alarm: run.alarm,
        details: run.state,
        diagnosis: run.diagnosis,
    })
}

/// When a run began, if it did.
fn moment(started: Timestamp, began: bool) -> String {
    if !began {
        return "-".to_owned();
    }
    started.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Of a run that began, in whole seconds: more of them would only seem to be known.
fn duration(seconds: f64, began: bool) -> String {
    if !began {
        return "-".to_owned();
    }
    if seconds < 10.0 {
        return format!("{seconds:.0} s");
    }
    size::duration(Duration::from_secs_f64(seconds))
}

/// Its last loss.
fn in_words(run: &Brief) -> String {
    match run.loss {
        Some(loss) => format!("{loss:.4}"),
        None if run.is_without_number => "NaN".to_owned(),
        None => "-".to_owned(),
    }
}

/// A heading, and a line for each run.
fn listed(rows: &[Row]) -> Vec<Vec<String>> {
    let mut heading = ["RUN", "STATE", "STEP", "LOSS", "STARTED", "DURATION"].map(str::to_owned).to_vec();
    let has_parts = rows.iter().any(|it| it.part_of.is_some());
    let has_alarms = rows.iter().any(|it| it.alarm.is_some());
    heading.extend(has_alarms.then(|| "WRONG".to_owned()));
    heading.extend(has_parts.then(|| "PART OF".to_owned()));
    let line = |row: &Row| {
        let mut line = vec![
            row.run.to_string(),
            row.state.clone(),
            row.step.map_or_else(|| "-".to_owned(), |step| step.to_string()),
            row.loss_in_words.clone(),
            moment(row.started, row.began),
            duration(row.seconds, row.began),
        ];
        line.extend(has_alarms.then(|| row.alarm.map_or_else(|| "-".to_owned(), Alarm::short)));
        line.extend(has_parts.then(|| row.part_of.as_ref().map_or_else(|| "-".to_owned(), RunId::to_string)));
        line
    };
    std::iter::once(heading).chain(rows.iter().map(line)).collect()
}
