//! `dpgui logs`: what a run printed, while it runs and after.

mod metrics;

use std::{collections::VecDeque, ops::ControlFlow, process::ExitCode, sync::mpsc, thread};

use jiff::Timestamp;
use regex::Regex;

use crate::{
    error::{Error, Kind},
    logs::{
        Colours, Entry, Item, Reader, Stream, StreamLog, Style, index,
        reader::Waiting,
        store::Found,
        streams, tail,
        view::{Show, View},
    },
    output::{Live, Mode, Output, size},
    platform::{
        clock,
        fs::{self, FsError},
        limits::{self, Priority},
    },
    run::{RunError, adopt, attempts::Attempts, diagnose::Diagnosed, dir::RunDir, list},
};

use super::{Context, when};

/// Bytes shown at once of a log as it is.
const PIECE: usize = 256 * 1024;

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
    choice: Choice,
    #[command(flatten)]
    form: Form,
    #[command(flatten)]
    export: metrics::Export,
}

#[derive(Debug, clap::Args)]
struct Choice {
    /// Only what came from TIME on: `10m` (ago), `10:00` (today), `2026-11-27T10:00`
    #[arg(long, value_name = "TIME", conflicts_with = "raw")]
    since: Option<String>,
    /// Only what came before TIME
    #[arg(long, value_name = "TIME", conflicts_with = "raw")]
    until: Option<String>,
    /// Only what this rank printed, or `launcher`
    #[arg(long, value_name = "N")]
    rank: Option<Stream>,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "REGEX", conflicts_with = "raw")]
    grep: Option<Regex>,
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "options of a command line")]
struct Form {
    /// The bytes as the run wrote them: progress bars, colours, broken text
    #[arg(long, conflicts_with_all = ["metrics", "json"])]
    raw: bool,
    /// Step, loss and speed as tab-separated columns; with --json as JSON lines
    #[arg(long)]
    metrics: bool,
    /// When each line came, before it
    #[arg(long, conflicts_with_all = ["raw", "metrics"])]
    timestamps: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    context.adopt_runs()?;
    let dir = list::find_or_newest(&context.workspace, args.run.as_deref())?;
    if args.export.csv {
        metrics::export(&dir, args.lines, &context.output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let output = &context.output;
    let wanted = wanted(args, &dir)?;
    let ended = || !args.follow || output.reader_has_gone() || has_ended(&dir, context);
    if args.form.raw {
        return raw(args, &dir, &wanted, ended, output);
    }
    let bounds = [&args.choice.since, &args.choice.until];
    let [since, until] =
        bounds.map(|text| text.as_deref().map(|it| when::parse(it, clock::now())).transpose());
    let (since, until) = (since?, until?);
    if since.zip(until).is_some_and(|(since, until)| since >= until) {
        return Err(Error::new(Kind::Usage, "`--since` is not before `--until`").with_hint("swap them"));
    }
    let ended = || ended() || until.is_some_and(|until| clock::now() >= until);
    let starts = wanted.iter().map(|stream| Ok((*stream, start(args, &dir, *stream, since)?)));
    let starts: Vec<(Stream, u64)> = starts.collect::<Result<_, FsError>>()?;
    let view = View { show: show(args, output), labelled: starts.len() > 1, timed: args.form.timestamps };
    let for_programs = matches!(view.show, Show::JsonText | Show::JsonSteps);
    let is_timed = args.form.timestamps || for_programs || since.or(until).is_some();
    let colourful = output.mode() == Mode::Terminal { colour: true } && output.shows_data_on_terminal();
    let style = Style {
        colours: if colourful && view.show == Show::Text { Colours::Keep } else { Colours::Drop },
        for_people: output.shows_data_on_terminal(),
        timed: is_timed,
    };
    let mut page = Page {
        args,
        view,
        output,
        since,
        until,
        // Of several streams, or of lines that are chosen, only their end tells which are the last.
        last: args
            .lines
            .filter(|_| starts.len() > 1 || is_chosen(args))
            .map(|count| (count, VecDeque::new())),
        bytes: vec![],
        only: starts.first().map(|(stream, _)| *stream).filter(|_| starts.len() == 1),
        is_over: false,
        attempts: Attempts::of(&dir),
    };
    page.view.begin(&mut page.bytes);
    let live = (args.follow && output.shows_data_on_terminal()).then(|| output.live());
    let reader = Reader::new(&dir.log(), &starts, style);
    let reader = if args.follow && args.choice.rank.is_none() { reader.growing() } else { reader };
    let flow = if args.follow {
        standing_back(ended, |ended| show_all(reader, ended, page, live))
    } else {
        show_all(reader, ended, page, live)
    };
    if flow?.is_continue() && args.follow {
        explain(&dir, args, output)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Does `work` on a thread that stands back, so that looking on does not slow down what is looked at. Its question whether
/// the run has ended is answered by one that does not: it may start a supervisor, which would inherit that.
fn standing_back<T>(
    mut ended: impl FnMut() -> bool + Send,
    work: impl FnOnce(&mut dyn FnMut() -> bool) -> T,
) -> T {
    let (ask, asked) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || while asked.recv() == Ok(()) && answer.send(ended()).is_ok() {});
        limits::stand_back(Priority::AfterTraining);
        let done = work(&mut || ask.send(()).is_err() || answers.recv().unwrap_or(true));
        drop(ask);
        done
    })
}

/// Why it failed, for who followed it to its end. The log's own bytes and numbers stay alone.
fn explain(dir: &RunDir, args: &Args, output: &Output) -> Result<(), Error> {
    let why = dir.snapshot()?.and_then(|it| it.diagnosis);
    if let Some(diagnosis) = why.filter(|_| !args.form.metrics) {
        output.event(&Diagnosed { run: Some(dir.id().clone()), diagnosis });
    }
    Ok(())
}

/// The streams of the run that are asked for.
fn wanted(args: &Args, dir: &RunDir) -> Result<Vec<Stream>, Error> {
    let all = streams(&dir.log())?;
    let Some(rank) = args.choice.rank else {
        return Ok(if all.is_empty() { vec![Stream::Launcher] } else { all });
    };
    // The only rank of a launcher shares its pipe.
    let alone = rank == Stream::Rank(0) && all == [Stream::Launcher];
    if alone || all.contains(&rank) {
        return Ok(vec![if alone { Stream::Launcher } else { rank }]);
    }
    let known: Vec<String> = all.iter().map(|stream| format!("`{stream}`")).collect();
    let message = format!("`{}` has no `{rank}`", dir.id());
    Err(Error::new(Kind::Usage, message).with_hint(format!("choose one of {}", known.join(", "))))
}

/// Nobody will write to the log any more. A run whose supervisor was killed gets a new one, which goes on writing.
fn has_ended(dir: &RunDir, context: &Context) -> bool {
    if fs::is_missing(&dir.spec_file()) {
        let gone = RunError::FolderGone { id: dir.id().clone() };
        context
            .output
            .warn(format_args!("{gone}; if it trains on, `dpgui logs -f {}` goes on with it", dir.id()));
        return true;
    }
    if let Err(error) = adopt::adopt(&context.host, dir) {
        context.output.warn(Error::from(error).messages().join(": "));
        return true;
    }
    !list::is_live(dir)
}

/// Not every line is shown.
fn is_chosen(args: &Args) -> bool {
    let Choice { since, until, grep, .. } = &args.choice;
    since.is_some() || until.is_some() || grep.is_some()
}

/// Where in the stream the reader begins.
fn start(args: &Args, dir: &RunDir, stream: Stream, since: Option<Timestamp>) -> Result<u64, FsError> {
    let folder = stream.folder(&dir.log());
    let mut log = StreamLog::new(&folder);
    if let Some(since) = since {
        let at = index::seek(&folder, since)?;
        return match at {
            Some(at) => tail::line_at(&mut log, at),
            None => log.start(),
        };
    }
    match args.lines {
        Some(_) if is_chosen(args) => Ok(0),
        Some(count) if args.form.metrics => tail::steps(&mut log, count),
        Some(count) => tail::lines(&mut log, count),
        None => Ok(0),
    }
}

fn show(args: &Args, output: &Output) -> Show {
    match (args.form.metrics, output.mode()) {
        (true, Mode::Json) => Show::JsonSteps,
        (true, Mode::Plain | Mode::Terminal { .. }) => Show::Steps,
        (false, Mode::Json) => Show::JsonText,
        (false, Mode::Plain | Mode::Terminal { .. }) => Show::Text,
    }
}

/// The bytes of one stream, as they are.
fn raw(
    args: &Args,
    dir: &RunDir,
    wanted: &[Stream],
    ended: impl FnMut() -> bool,
    output: &Output,
) -> Result<ExitCode, Error> {
    let [stream] = wanted else {
        let message = format!("`{}` has a log for each of its {} streams", dir.id(), wanted.len());
        return Err(Error::new(Kind::Usage, message).with_hint("choose one with `--rank N`"));
    };
    let mut log = StreamLog::new(&stream.folder(&dir.log()));
    let mut offset = args.lines.map_or(Ok(0), |count| tail::lines(&mut log, count))?;
    let mut waiting = Waiting::new(ended);
    let mut bytes = vec![];
    loop {
        bytes.clear();
        match log.read(offset, PIECE, &mut bytes)? {
            Found::Bytes => offset += bytes.len() as u64,
            Found::Trimmed { up_to } => {
                warn_of_trimmed(output, *stream, offset, up_to);
                offset = up_to;
            }
            Found::Nothing if !waiting.wait(&[log.folder().to_owned(), dir.path().to_owned()]) => break,
            Found::Nothing => continue,
        }
        waiting.has_read();
        if output.bytes(&bytes)?.is_break() {
            break;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn warn_of_trimmed(output: &Output, stream: Stream, from: u64, up_to: u64) {
    let gone = size::bytes(up_to - from);
    output.warn(format_args!(
        "{gone} of `{stream}` are gone, up to byte {up_to}: more than `[logs] keep` in `dpgui.toml` allows"
    ));
}

/// What is shown of the lines, on its way to somebody who may go away.
struct Page<'a> {
    args: &'a Args,
    view: View,
    output: &'a Output,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    /// The last lines so far, until the end of what was there is reached.
    last: Option<(usize, VecDeque<Vec<u8>>)>,
    bytes: Vec<u8>,
    /// The one stream that there is so far, whose lines need not say whose they are.
    only: Option<Stream>,
    /// Nothing that comes can be wanted.
    is_over: bool,
    attempts: Attempts,
}

/// Breaks if the reader went away.
fn show_all(
    mut reader: Reader,
    mut ended: impl FnMut() -> bool,
    mut page: Page<'_>,
    mut live: Option<Live>,
) -> Result<ControlFlow<()>, FsError> {
    if page.flush()?.is_break() {
        return Ok(ControlFlow::Break(()));
    }
    loop {
        // What is there is read without waiting for what comes.
        let is_first = page.last.is_some();
        let goes_on = reader.next(|| is_first || ended(), |item| page.item(item))?;
        if page.is_over || (!goes_on && is_first) {
            page.end_of_past();
            if page.args.follow && !page.is_over {
                continue;
            }
        }
        if !goes_on {
            live = None;
            reader.finish(|item| page.item(item));
        }
        let flow = page.flush()?;
        if flow.is_break() || page.is_over || !goes_on {
            return Ok(flow);
        }
        if let Some(live) = &live {
            live.show(reader.unfinished().unwrap_or_default());
        }
    }
}

impl Page<'_> {
    fn item(&mut self, item: Item<'_>) {
        if let Item::Line(entry) = &item {
            self.view.labelled |= self.only.is_some_and(|it| it != entry.stream);
        }
        match item {
            Item::Trimmed { stream, from, up_to } => warn_of_trimmed(self.output, stream, from, up_to),
            Item::Gap { stream, at } => self
                .output
                .warn(format_args!("before byte {at} of `{stream}` bytes are missing: the disk was full")),
            Item::Line(entry) if self.wants(&entry) => {
                let Self { view, last, bytes, attempts, .. } = self;
                let attempt = |time| attempts.at(time);
                match last {
                    None => view.append(&entry, bytes, attempt),
                    Some((count, lines)) => {
                        let mut line = vec![];
                        view.append(&entry, &mut line, attempt);
                        // Of lines without a step nothing is shown.
                        if !line.is_empty() {
                            lines.push_back(line);
                        }
                        lines.drain(..lines.len().saturating_sub(*count));
                    }
                }
            }
            Item::Line(_) => {}
        }
    }

    fn wants(&mut self, entry: &Entry<'_>) -> bool {
        let is_late = self.until.is_some_and(|until| entry.time.is_some_and(|time| time >= until));
        self.is_over |= is_late;
        let is_early = self.since.is_some_and(|since| entry.time.is_none_or(|time| time < since));
        let matches = self.args.choice.grep.as_ref().is_none_or(|grep| grep.is_match(entry.line.text));
        !is_late && !is_early && matches
    }

    fn end_of_past(&mut self) {
        if let Some((_, lines)) = self.last.take() {
            self.bytes.extend(lines.into_iter().flatten());
        }
    }

    fn flush(&mut self) -> Result<ControlFlow<()>, FsError> {
        let flow = self.output.bytes(&self.bytes)?;
        self.bytes.clear();
        Ok(flow)
    }
}
