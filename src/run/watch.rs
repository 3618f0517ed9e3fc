//! Looking on while a run runs. It only reads files: whoever looks on may go at any time.

use serde::Serialize;

use crate::{
    logs::{Colours, Fold, Follower, Line as LogLine, Mark, Step, tail},
    output::{Mode, Output, Progress},
    platform::{
        Host,
        clock::Stopwatch,
        fs::{self, FsError},
        gpu::Sampler,
        memory,
    },
};

use super::{RunError, adopt, devices::Devices, dir::RunDir, outcome::Outcome, status::Status};

/// Between two looks at what the GPUs and the memory are doing.
const SAMPLE_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

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
    Log(LogLine<'a>),
}

/// One reader's view of one run.
struct Watcher<'a> {
    host: &'a Host,
    dir: &'a RunDir,
    output: &'a Output,
    shows_log: bool,
    progress: Option<Progress>,
    status: Status,
    sampler: Option<Sampler>,
    sampled: Option<Stopwatch>,
    /// How the run ended, or why that cannot be known.
    end: Option<Result<Outcome, RunError>>,
}

/// Shows the run from its first line to its end, and returns how it ended.
pub fn follow(host: &Host, dir: &RunDir, output: &Output, show: Show) -> Result<Outcome, RunError> {
    let spec = dir.spec()?;
    let is_terminal = matches!(output.mode(), Mode::Terminal { .. });
    let mut watcher = Watcher {
        host,
        dir,
        output,
        shows_log: show == Show::Log || is_terminal,
        progress: (show == Show::Status).then(|| output.progress("training")),
        status: Status::new(spec.max_steps),
        sampler: matches!(spec.devices, Devices::Gpus(_)).then(|| Sampler::new(host)),
        sampled: None,
        end: None,
    };
    let colours = if output.shows_data_on_terminal() { Colours::Keep } else { Colours::Drop };
    let mut fold = Fold::new(0, colours);
    let mut follower = Follower::new(&dir.log(), 0);
    while let Some(bytes) = follower.next(|| watcher.has_ended())? {
        fold.feed(&bytes, |line| watcher.line(line));
        watcher.show_status();
    }
    fold.finish(|line| watcher.line(line));
    watcher.end.unwrap_or(Ok(Outcome::Lost))
}

/// The last `count` lines of the log as they stand there: where programs say why they failed.
pub fn last_lines(dir: &RunDir, count: usize) -> Result<Vec<String>, FsError> {
    let path = dir.log();
    let mut file = fs::open(&path)?;
    let start = tail::lines(&mut file, &path, count)?;
    let mut fold = Fold::new(start, Colours::Drop);
    let mut lines = vec![];
    let bytes = fs::read_at(&mut file, &path, start, usize::MAX)?;
    fold.feed(&bytes, |line| lines.push(line.text.to_owned()));
    fold.finish(|line| lines.push(line.text.to_owned()));
    Ok(lines)
}

/// Every step that the log tells of, in its order.
pub fn steps(dir: &RunDir) -> Result<Vec<Step>, FsError> {
    let mut fold = Fold::new(0, Colours::Drop);
    let mut steps = vec![];
    let bytes = fs::read(&dir.log())?;
    fold.feed(&bytes, |line| steps.extend(Step::parse(line.text)));
    fold.finish(|line| steps.extend(Step::parse(line.text)));
    Ok(steps)
}

impl Watcher<'_> {
    fn line(&mut self, line: LogLine<'_>) {
        let mark = Mark::parse(line.text);
        let is_step = mark.is_some_and(|mark| self.status.take(&mark));
        if is_step && self.progress.is_some() && self.output.mode() == Mode::Json {
            self.output.json(&self.status.event());
        }
        if self.shows_log {
            match self.output.mode() {
                Mode::Json => self.output.json(&Said::Log(line)),
                Mode::Terminal { .. } | Mode::Plain => self.output.data(line.text),
            }
        }
    }

    /// Also looks after what changes while no line comes.
    fn has_ended(&mut self) -> bool {
        self.show_status();
        let looked = adopt::adopt(self.host, self.dir).and_then(|()| self.dir.snapshot());
        self.end = match looked {
            Ok(snapshot) => snapshot.and_then(|it| it.state.outcome().cloned()).map(Ok),
            Err(cause) => Some(Err(cause)),
        };
        self.end.is_some()
    }

    fn show_status(&mut self) {
        let Some(progress) = &self.progress else { return };
        if self.sampled.is_none_or(|since| since.elapsed() >= SAMPLE_EVERY) {
            self.sampled = Some(Stopwatch::start());
            self.status.gpus = self.sampler.as_ref().map(Sampler::sample).unwrap_or_default();
            self.status.memory = memory::sample();
        }
        // Scripts get every step, and no line for people.
        if self.output.mode() != Mode::Json {
            progress.doing(self.status.line());
        }
    }
}
