//! `dpgui logs`: what a run printed, while it runs and after.

mod metrics;

use std::{ops::ControlFlow, path::Path, process::ExitCode};

use crate::{
    error::Error,
    logs::{Colours, Follower, View, tail, view::Show},
    output::{Live, Mode, Output},
    platform::fs::{self, FsError},
    run::{adopt, diagnose::Diagnosed, dir::RunDir, list},
};

use super::Context;

/// Show what a run printed: its text, or the steps and losses in it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run: its id, the beginning of it, or its name [default: the newest]
    run: Option<String>,
    /// Go on until the run ends
    #[arg(short, long)]
    follow: bool,
    /// Only the last N lines; with --metrics, the last N steps
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    export: metrics::Export,
}

#[derive(Debug, clap::Args)]
struct Form {
    /// The bytes as the run wrote them: progress bars, colours, broken text
    #[arg(long, conflicts_with_all = ["metrics", "json"])]
    raw: bool,
    /// Step, loss and speed as tab-separated columns; with --json as JSON lines
    #[arg(long)]
    metrics: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    context.adopt_runs()?;
    let dir = list::find_or_newest(&context.workspace, args.run.as_deref())?;
    if args.export.csv {
        metrics::export(&dir, args.lines, &context.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let log = dir.log();
    let offset = offset(args, &log)?;
    let mut page = vec![];
    let mut reader = Reader {
        view: view(args, &context.output, offset, &mut page),
        // Elsewhere only finished lines are of use.
        live: (args.follow && context.output.shows_data_on_terminal()).then(|| context.output.live()),
        output: &context.output,
    };
    let ended = || !args.follow || context.output.reader_has_gone() || has_ended(&dir, context);
    if reader.show(&mut page)?.is_continue() {
        reader.read(Follower::new(&log, offset), ended, page)?;
        if args.follow {
            explain(&dir, args, &context.output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why it failed, for who followed it to its end. The log's own bytes and numbers stay alone.
fn explain(dir: &RunDir, args: &Args, output: &Output) -> Result<(), Error> {
    let why = dir.snapshot()?.and_then(|it| it.diagnosis);
    let shows_text = !args.form.raw && !args.form.metrics;
    if let Some(diagnosis) = why.filter(|_| shows_text) {
        output.event(&Diagnosed { run: Some(dir.id().clone()), diagnosis });
    }
    Ok(())
}

/// Nobody will write to the log any more. A run whose supervisor was killed gets a new one, which goes on writing.
fn has_ended(dir: &RunDir, context: &Context) -> bool {
    if let Err(error) = adopt::adopt(&context.host, dir) {
        context.output.warn(Error::from(error).messages().join(": "));
        return true;
    }
    !list::is_live(dir)
}

/// Where in the log the reader begins.
fn offset(args: &Args, log: &Path) -> Result<u64, FsError> {
    let Some(count) = args.lines.filter(|_| fs::exists(log)) else { return Ok(0) };
    let mut file = fs::open(log)?;
    if args.form.metrics { tail::steps(&mut file, log, count) } else { tail::lines(&mut file, log, count) }
}

fn view(args: &Args, output: &Output, offset: u64, page: &mut Vec<u8>) -> View {
    let show = match (args.form.metrics, output.mode()) {
        _ if args.form.raw => return View::Raw,
        (true, Mode::Json) => Show::JsonSteps,
        (true, Mode::Plain | Mode::Terminal { .. }) => Show::Steps,
        (false, Mode::Json) => Show::JsonText,
        (false, Mode::Plain | Mode::Terminal { .. }) => Show::Text,
    };
    let colourful = output.mode() == Mode::Terminal { colour: true } && output.shows_data_on_terminal();
    let colours = if colourful && show == Show::Text { Colours::Keep } else { Colours::Drop };
    View::new(show, colours, offset, page)
}

/// Somebody who reads a log on stdout, and may go away.
struct Reader<'a> {
    view: View,
    live: Option<Live>,
    output: &'a Output,
}

impl Reader<'_> {
    fn read(
        &mut self,
        mut log: Follower,
        mut ended: impl FnMut() -> bool,
        mut page: Vec<u8>,
    ) -> Result<(), FsError> {
        while let Some(bytes) = log.next(&mut ended)? {
            self.view.push(&bytes, &mut page);
            if self.show(&mut page)?.is_break() {
                return Ok(());
            }
        }
        self.live = None;
        self.view.finish(&mut page);
        // The end of the log is the end of the command, read or not.
        self.show(&mut page).map(|_| ())
    }

    fn show(&self, page: &mut Vec<u8>) -> Result<ControlFlow<()>, FsError> {
        let flow = self.output.bytes(page)?;
        page.clear();
        if let Some(live) = &self.live {
            live.show(self.view.unfinished().unwrap_or_default());
        }
        Ok(flow)
    }
}
