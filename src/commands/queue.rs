//! `dpgui queue`: who waits to train, and in which order.

use std::process::ExitCode;

use serde::Serialize;

use crate::{
    error::{Error, Kind},
    output::{Event, Line, Mode, table::table},
    run::{
        Outcome, RunDir, RunError, RunId, list,
        queue::{self, Queue},
        stop::Ended,
    },
};

use super::Context;

/// See and change who trains next
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List who waits, the next one first
    List,
    /// Put a run at another place
    Move {
        /// Its id, the beginning of one, or its name
        run: String,
        /// The new place, counted from 1
        #[arg(value_parser = clap::value_parser!(u32).range(1..))]
        place: u32,
    },
    /// Take a run out, for good
    Remove {
        /// Its id, the beginning of one, or its name
        run: String,
    },
    /// Let nobody begin, or let a run wait while others pass
    Hold {
        /// Its id, the beginning of one, or its name [default: all]
        run: Option<String>,
    },
    /// End a hold
    Resume {
        /// Its id, the beginning of one, or its name [default: all]
        run: Option<String>,
    },
}

/// The queue itself.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "queue")]
struct Whole {
    /// No run begins.
    held: bool,
    /// Why, and what lets them begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_held: Option<String>,
    waiting: usize,
}

/// A run that waits.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "queued")]
struct Row {
    place: usize,
    run: RunId,
    held: bool,
    on: String,
    /// What it waits for, as far as that can be said in a sentence.
    waits_for: String,
}

/// What was changed.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "queue-changed")]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
    held: bool,
    /// Why no run begins, this one included: all of the queue is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    why_held: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<usize>,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    context.adopt_runs()?;
    match &args.command {
        None | Some(Command::List) => show(context)?,
        Some(Command::Move { run, place }) => {
            let place = usize::try_from(*place).unwrap_or(usize::MAX) - 1;
            change(context, Some(run), |queue, run| queue.put(run?, place).then_some(()))?;
        }
        Some(Command::Remove { run }) => remove(context, run)?,
        Some(Command::Hold { run }) => hold(context, run.as_deref(), true)?,
        Some(Command::Resume { run }) => hold(context, run.as_deref(), false)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn show(context: &Context) -> Result<(), Error> {
    let Context { workspace, output, .. } = context;
    let queue = Queue::load(workspace)?;
    let rows: Vec<Row> = queue.entries.iter().enumerate().map(|(at, _)| row(&queue, at)).collect();
    if output.mode() == Mode::Json {
        output.json(&Whole { held: queue.is_held(), why_held: queue.why_held(), waiting: rows.len() });
        for row in &rows {
            output.json(row);
        }
        return Ok(());
    }
    if let Some(why) = queue.why_held() {
        output.note(why);
    }
    if rows.is_empty() {
        output.note("the queue is empty; `dpgui train CONFIG --queue` puts a run into it");
        return Ok(());
    }
    let heading = ["PLACE", "RUN", "ON", "WAITS FOR"].map(str::to_owned).to_vec();
    let lines =
        rows.into_iter().map(|it| vec![it.place.to_string(), it.run.to_string(), it.on, it.waits_for]);
    output.data(table(&std::iter::once(heading).chain(lines).collect::<Vec<_>>()));
    Ok(())
}

fn row(queue: &Queue, at: usize) -> Row {
    let entry = &queue.entries[at];
    Row {
        place: at + 1,
        run: entry.run.clone(),
        held: queue.is_held() || entry.held,
        on: entry.claim.to_string(),
        waits_for: queue.waits_for(at),
    }
}

/// Changes the queue, and lets those who wait know. `None` from `what` is a run that does not wait.
fn change(
    context: &Context,
    name: Option<&str>,
    what: impl FnOnce(&mut Queue, Option<&RunId>) -> Option<()>,
) -> Result<(), Error> {
    let workspace = &context.workspace;
    let queue = Queue::load(workspace)?;
    let run = name.map(|name| find(context, &queue, name)).transpose()?.map(|dir| dir.id().clone());
    let changed = Queue::change(workspace, |queue| {
        if what(queue, run.as_ref()).is_none() {
            // Only what names a run can miss it.
            return run.clone().map_or(Ok(None), |id| Err(RunError::NotQueued { id }));
        }
        let place = run.as_ref().and_then(|run| queue.position(run));
        let held = place.map_or(queue.is_held(), |at| queue.entries[at].held);
        Ok(Some(Changed { run, held, why_held: queue.why_held(), place: place.map(|at| at + 1) }))
    })?;
    queue::wake(workspace);
    if let Some(changed) = changed {
        context.output.event(&changed);
    }
    Ok(())
}

fn hold(context: &Context, name: Option<&str>, held: bool) -> Result<(), Error> {
    change(context, name, |queue, run| {
        match run {
            None => queue.hold(held),
            Some(run) => {
                let at = queue.position(run)?;
                queue.entries[at].held = held;
            }
        }
        Some(())
    })
}

fn remove(context: &Context, name: &str) -> Result<(), Error> {
    let Context { host, workspace, output } = context;
    let dir = find(context, &Queue::load(workspace)?, name)?;
    if !queue::withdraw(host, &dir)? {
        return Err(Error::new(Kind::Usage, format!("`{}` has begun meanwhile", dir.id()))
            .with_hint(format!("stop it with `dpgui stop {}`", dir.id())));
    }
    output.event(&Ended::new(&dir, Outcome::Withdrawn)?);
    queue::wake(workspace);
    Ok(())
}

/// The run that is named, of those that wait.
fn find(context: &Context, queue: &Queue, name: &str) -> Result<RunDir, Error> {
    let workspace = &context.workspace;
    let mut waiting: Vec<RunDir> =
        queue.entries.iter().map(|entry| RunDir::new(workspace, entry.run.clone())).collect();
    // The newest first, as of all runs.
    waiting.sort_by_key(|dir| std::cmp::Reverse(dir.id().to_string()));
    match list::find_among(&waiting, name) {
        Err(RunError::Unknown { .. }) => {
            Err(RunError::NotQueued { id: list::find(workspace, name)?.id().clone() }.into())
        }
        found => Ok(found?),
    }
}

impl Event for Changed {
    fn line(&self) -> Option<Line> {
        let subject = self.run.as_ref().map_or_else(|| "the queue".to_owned(), RunId::to_string);
        let place = self.place.map(|place| format!(", at place {place}")).unwrap_or_default();
        let rest = match (&self.run, self.held) {
            (Some(run), true) => format!(": it lets others pass until `dpgui queue resume {run}`"),
            (None, true) => ": no run begins until `dpgui queue resume`".to_owned(),
            // Let go on or moved, it waits all the same.
            (Some(_), false) => self.why_held.as_ref().map(|why| format!("; {why}")).unwrap_or_default(),
            (None, false) => String::new(),
        };
        let verb = match (&self.run, self.held) {
            (_, true) => "Held",
            (Some(_), false) => "Waiting",
            (None, false) => "Released",
        };
        Some(Line { verb, text: format!("{subject}{place}{rest}") })
    }
}
