//! Looking on while a run runs. It only reads files: whoever looks on may go at any time.

use std::cell::RefCell;

use serde::Serialize;

use crate::{
    logs::{
        Colours, Entry, Item, Mark, Reader, Step, Stream, Style, View,
        reader::{beginnings, last_lines, read_through},
    },
    output::{Mode, Output, Progress},
    platform::{
        Host,
        clock::Stopwatch,
        fs::{self, FsError},
        gpu::Sampler,
        memory,
    },
};

use super::{
    RunError, adopt,
    devices::Devices,
    dir::RunDir,
    journal::Snapshot,
    notify::Untold,
    outcome::Outcome,
    queue,
    restart::Restarting,
    spec::Spec,
    state::{RunState, Waiting},
    status::{self, Status},
    stuck::{self, Stuck},
    watchdog::Alarm,
};

/// Between two looks at what the GPUs and the memory are doing.
const SAMPLE_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// Lines from the end of a log in which the cause of a failure is looked for.
const SEARCHED: usize = 300;

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// The log, line by line.
    Log,
    /// One line that says how far it is, over the log on a terminal and by itself elsewhere.
    Status,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
enum Said<'a> {
    Log { stream: Stream, offset: u64, text: &'a str },
}

/// One reader's view of one run.
struct Watcher<'a> {
    host: &'a Host,
    dir: &'a RunDir,
    spec: &'a Spec,
    output: &'a Output,
    shows_log: bool,
    view: View,
    /// Why the log could not be shown to its end.
    unshown: Option<FsError>,
    progress: Option<Progress>,
    status: Status,
    sampler: Option<Sampler>,
    sampled: Option<Stopwatch>,
    /// What it was said to wait for.
    waits_for: Option<String>,
    /// What was said to be wrong.
    alarm: Option<Alarm>,
    /// The try that was looked at last.
    attempt: u32,
    /// What was said not to end.
    stuck: Vec<Stuck>,
    is_greeted: bool,
    /// The restart that was told of.
    restart: Option<u32>,
    /// Who was not told of what is wrong.
    untold: Untold,
    /// How the run ended, or why that cannot be known.
    end: Option<Result<Outcome, RunError>>,
}

/// Shows the run from its first line to its end, and returns how it ended.
pub fn follow(host: &Host, dir: &RunDir, output: &Output, show: Show) -> Result<Outcome, RunError> {
    let spec = dir.spec()?;
    // How far it was when it ended is told with its end; scripts get every step all the same.
    let state = dir.snapshot().ok().flatten().map(|it| it.state);
    let is_over = state.as_ref().is_some_and(|it| it.outcome().is_some());
    let mut status = Status::new(spec.total_steps());
    if state == Some(RunState::Queued) {
        status.doing = status::QUEUED;
    }
    let says_how_far = show == Show::Status && (!is_over || output.mode() == Mode::Json);
    let mut watcher = Watcher {
        host,
        dir,
        spec: &spec,
        output,
        shows_log: shows_log(output, show),
        view: View::text(spec.streams().len()),
        unshown: None,
        progress: says_how_far.then(|| output.progress("training")),
        status,
        sampler: matches!(spec.devices, Devices::Gpus(_)).then(|| Sampler::new(host)),
        sampled: None,
        waits_for: None,
        alarm: None,
        attempt: 0,
        stuck: vec![],
        is_greeted: false,
        restart: None,
        untold: Untold::default(),
        end: None,
    };
    let colours = if output.shows_data_on_terminal() { Colours::Keep } else { Colours::Drop };
    let style = Style { colours, for_people: output.shows_data_on_terminal(), timed: false };
    let mut reader = Reader::new(&dir.log(), &beginnings(&dir.log())?, style).growing();
    // Both questions are asked of the same watcher, one at a time.
    let watching = RefCell::new(&mut watcher);
    let on_item = |item: Item<'_>| {
        // Nobody can have trimmed what a reader has followed from its first byte.
        if let Item::Line(entry) = item {
            watching.borrow_mut().line(&entry);
        }
    };
    while reader.next(|| watching.borrow_mut().has_ended(), on_item)? {
        watching.borrow_mut().show_first_status();
    }
    reader.finish(on_item);
    if let Some(cause) = watcher.unshown {
        return Err(cause.into());
    }
    watcher.end.unwrap_or(Ok(Outcome::Lost))
}

/// Whoever looks on sees the log itself.
pub fn shows_log(output: &Output, show: Show) -> bool {
    show == Show::Log || matches!(output.mode(), Mode::Terminal { .. })
}

/// How the log of a failure ends.
#[derive(Debug, Default)]
pub struct LastWords {
    /// The line that says why, if one does.
    pub cause: Option<String>,
    /// Up to that line, or to the end: launchers have more to say than anybody wants to know.
    pub lines: Vec<String>,
}

/// The end of the log, at most `count` lines: where programs say why they failed.
pub fn last_words(dir: &RunDir, count: usize) -> Result<LastWords, FsError> {
    let log = dir.log();
    let mut lines = vec![];
    read_through(&log, &last_lines(&log, SEARCHED)?, |entry| lines.push(entry.line.text.to_owned()))?;
    let why = lines.iter().rposition(|line| cause(line).is_some());
    let said = why.and_then(|at| cause(&lines[at])).map(str::to_owned);
    lines.truncate(why.map_or(lines.len(), |at| at + 1));
    Ok(LastWords { cause: said, lines: lines.split_off(lines.len().saturating_sub(count)) })
}

/// `ValueError: …` or `error: …`, with the rank's name before it or not.
fn cause(line: &str) -> Option<&str> {
    let line = line.trim();
    let text = match line.strip_prefix("[rank").and_then(|rest| rest.split_once("]: ")) {
        Some((_, text)) => text,
        None => line,
    };
    let (name, _) = text.split_once(": ")?;
    let last = name.rsplit('.').next().unwrap_or(name);
    let is_path = name.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c));
    let is_exception = is_path && (last.ends_with("Error") || last.ends_with("Exception"));
    // What the launcher raises because a rank failed says nothing about why.
    let is_noise = ["CalledProcessError", "ChildFailedError"].contains(&last);
    ((is_exception && !is_noise) || name == "error").then_some(text)
}

/// Every step that the log tells of, in its order.
pub fn steps(dir: &RunDir) -> Result<Vec<Step>, FsError> {
    let mut steps = vec![];
    read_through(&dir.log(), &beginnings(&dir.log())?, |entry| steps.extend(Step::parse(entry.line.text)))?;
    Ok(steps)
}

const fn is_waiting(snapshot: &Snapshot) -> bool {
    matches!(snapshot.state, RunState::Waiting(_))
}

impl Watcher<'_> {
    fn line(&mut self, entry: &Entry<'_>) {
        let Entry { stream, line, .. } = *entry;
        let mark = Mark::parse(line.text);
        let is_step = mark.is_some_and(|mark| self.status.take(&mark));
        if is_step && self.progress.is_some() && self.output.mode() == Mode::Json {
            self.output.json(&self.status.event());
        }
        if self.shows_log {
            let mut text = vec![];
            match self.output.mode() {
                Mode::Json => {
                    let said = Said::Log { stream, offset: line.offset, text: line.text };
                    text.extend(serde_json::to_string(&said).unwrap_or_default().bytes().chain([b'\n']));
                }
                Mode::Terminal { .. } | Mode::Plain => self.view.append(entry, &mut text, |_| None),
            }
            // A reader that went away is none of ours; a disk that is full is told of when the run has ended.
            if let Err(cause) = self.output.bytes(&text) {
                self.shows_log = false;
                self.unshown = Some(cause);
            }
        }
    }

    /// Also looks after what changes while no line comes.
    fn has_ended(&mut self) -> bool {
        self.show_status();
        let looked = if fs::is_missing(&self.dir.spec_file()) {
            Err(RunError::FolderGone { id: self.dir.id().clone() })
        } else {
            adopt::adopt(self.host, self.dir).and_then(|()| self.dir.snapshot())
        };
        if let Ok(Some(snapshot)) = &looked
            && self.alarm != snapshot.alarm
        {
            self.alarm = snapshot.alarm;
            match snapshot.alarm {
                Some(alarm) => self.output.warn(self.spec.watchdog.tell(alarm)),
                // What a new try forgets has not come.
                None if snapshot.attempt.number != self.attempt || is_waiting(snapshot) => {}
                None => self.output.note("what was missed has come: the training goes on"),
            }
        }
        if let Ok(Some(snapshot)) = &looked {
            self.attempt = snapshot.attempt.number;
        }
        self.status.alarm = looked.as_ref().ok().and_then(|it| it.as_ref()?.alarm_now());
        for why in self.untold.news(self.dir) {
            self.output.warn(format_args!("somebody was not told: {why}"));
        }
        if let Ok(Some(Snapshot { head: Some(head), .. })) = &looked {
            self.status.at_head = Some(head.to_string());
        }
        if let Ok(Some(snapshot)) = &looked
            && self.stuck != snapshot.stuck
        {
            self.stuck.clone_from(&snapshot.stuck);
            if !self.stuck.is_empty() {
                self.output.warn(stuck::sentence(&self.stuck));
            }
        }
        match &looked {
            Ok(Some(Snapshot { state: RunState::Queued, .. })) => {
                self.status.doing = status::QUEUED;
                self.say_what_it_waits_for();
            }
            Ok(Some(snapshot)) => {
                if self.status.doing == status::QUEUED {
                    self.status.doing = status::LOADING;
                }
                self.say_when_it_is_tried_again(snapshot);
            }
            Ok(None) | Err(_) => {}
        }
        self.end = match looked {
            Ok(snapshot) => snapshot.and_then(|it| it.state.outcome().cloned()).map(Ok),
            Err(cause) => Some(Err(cause)),
        };
        self.end.is_some()
    }

    fn say_when_it_is_tried_again(&mut self, snapshot: &Snapshot) {
        let RunState::Waiting(Waiting { again, last }) = &snapshot.state else { return };
        if self.restart.replace(again.number) == Some(again.number) {
            return;
        }
        self.status.doing = "waiting to be started again";
        self.output.event(&Restarting {
            run: self.dir.id().clone(),
            outcome: last.clone(),
            cause: snapshot.diagnosis.as_ref().map(|it| it.cause.to_string()),
            number: again.number,
            without_progress: snapshot.attempt.without_progress,
            limit: self.spec.restart.map(|it| it.limit),
            // It has waited since then.
            at: snapshot.updated + again.after,
            after_seconds: again.after.as_secs_f64(),
            step: again.step,
        });
    }

    fn say_what_it_waits_for(&mut self) {
        let waits_for = queue::waits_for(self.dir);
        if let Some(what) = waits_for.as_ref().filter(|_| self.waits_for != waits_for) {
            self.output.note(format_args!("it waits for {what}"));
        }
        self.waits_for = waits_for;
    }

    /// How far it is is known now; whoever looks on need not wait for the first word.
    fn show_first_status(&mut self) {
        if !std::mem::replace(&mut self.is_greeted, true)
            && let Some(progress) = &self.progress
        {
            progress.say_at_once();
        }
        self.show_status();
    }

    fn show_status(&mut self) {
        let Some(progress) = &self.progress else { return };
        if self.sampled.is_none_or(|since| since.elapsed() >= SAMPLE_EVERY) {
            self.sampled = Some(Stopwatch::start());
            // What others do there is not for this run to tell.
            let sampler = self.sampler.as_ref().filter(|_| self.status.doing != status::QUEUED);
            let gpus = sampler.map(Sampler::sample).unwrap_or_default();
            self.status.gpus = self.spec.devices.own(gpus);
            self.status.memory = memory::sample();
        }
        // Scripts get every step, and no line for people.
        if self.output.mode() != Mode::Json {
            progress.doing(self.status.line());
        }
    }
}
