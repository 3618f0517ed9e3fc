//! Commands of dpgui's own that the page starts: a setup, a check of data, a stop.
//!
//! Each is a process of its own in a folder of its own, `.dpgui/ui/jobs/ID`, and prints its `--json` events into a file.
//! What it does is what the terminal does, its memory is its own, and it ends when it is done, whatever becomes of this
//! server: the next one reads on in the same file. That one is alive says a lock that it holds.

mod events;
mod request;

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::{Error, Kind},
    platform::{
        Host, clock, fs,
        lock::{Lock, Wait},
        process::{Apart, CommandSpec, as_typed},
        procfs::{self, ProcessId},
        signal::{self, Force},
    },
    workspace::Workspace,
};

use super::{
    App,
    configs::FOR_PAGE,
    failure::{Answer, ApiError, Failure, without_snippets},
    routes::Nothing,
};

pub use events::Events;
pub use request::{JobRequest, StopManner};

/// Events that are handed out at once.
const MOST_EVENTS: usize = 10_000;

/// Names the file that a job makes when it ends by itself: of one that was killed there is none.
pub const DONE: &str = "DPGUI_JOB_DONE";

/// Folders of jobs that are kept.
const KEPT: usize = 50;

/// A command that was started from the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Job {
    pub id: String,
    /// As in the request.
    pub kind: String,
    /// The configuration or run that it is about.
    pub subject: Option<String>,
    /// As one would type it.
    pub command: String,
    pub state: JobState,
    pub exit_code: Option<u8>,
    /// What it failed with.
    pub error: Option<ApiError>,
    pub started: Timestamp,
    pub ended: Option<Timestamp>,
    /// Events so far.
    pub events: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// `job.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Record {
    request: JobRequest,
    command: String,
    started: Timestamp,
    process: Option<ProcessId>,
    #[serde(default)]
    cancelled: bool,
}

/// The jobs of one workspace.
#[derive(Clone, Debug)]
pub struct Jobs {
    folder: PathBuf,
}

impl Jobs {
    pub fn of(workspace: &Workspace) -> Self {
        Self { folder: super::folder(workspace).join("jobs") }
    }

    /// The newest first.
    pub fn all(&self) -> Answer<Vec<Job>> {
        self.refresh(&[])
    }

    /// The same for whoever has `known` them a moment ago: what is over does not change, and may have said much.
    pub fn refresh(&self, known: &[Job]) -> Answer<Vec<Job>> {
        let names = fs::names(&self.folder)?;
        let ids = names.iter().rev().filter_map(|it| it.to_str()).filter(|it| is_id(it));
        let over = |id: &str| known.iter().find(|it| it.id == id && it.state != JobState::Running).cloned();
        // One that is just being made has no record yet.
        Ok(ids.filter_map(|id| over(id).or_else(|| self.job(id).ok())).collect())
    }

    pub fn job(&self, id: &str) -> Answer<Job> {
        let (folder, record) = self.recorded(id)?;
        let is_alive = Lock::is_held(&folder.join("lock"));
        // After the lock: what a job wrote before its end is never missed.
        let told = Told::read(&folder)?;
        let ended_itself = fs::exists(&folder.join("done"));
        let (error, code) = match &told.last {
            Some(it) if it["event"] == "error" => (Some(api_error(it)), it["exit_code"].as_u64()),
            Some(_) | None if !is_alive && !ended_itself && !record.cancelled => (Some(killed()), None),
            Some(_) | None => (None, None),
        };
        let state = match (is_alive, &error) {
            (true, _) => JobState::Running,
            (false, _) if record.cancelled => JobState::Cancelled,
            (false, Some(_)) => JobState::Failed,
            // `doctor` fails with a code alone.
            (false, None) if told.problems() => JobState::Failed,
            (false, None) => JobState::Done,
        };
        let exit_code = match state {
            JobState::Done => Some(0),
            JobState::Failed => code.and_then(|it| u8::try_from(it).ok()).or(Some(1)),
            JobState::Running | JobState::Cancelled => None,
        };
        Ok(Job {
            id: id.to_owned(),
            kind: record.request.kind(),
            subject: record.request.subject(),
            command: record.command,
            state,
            exit_code,
            error,
            started: record.started,
            ended: (!is_alive).then_some(told.written).flatten(),
            events: told.lines,
        })
    }

    /// Starts one.
    pub fn start(&self, host: &Host, workspace: &Workspace, request: &JobRequest) -> Answer<Job> {
        request.check(workspace)?;
        let id = format!("{}-{}", clock::now().strftime("%Y%m%d-%H%M%S%3f"), &procfs::random_id()[..6]);
        let folder = self.folder.join(&id);
        fs::create_private_dir(&folder)?;
        if let Err(cause) = begin(&folder, host, workspace, request) {
            // What nobody knows of as a job is none.
            let _ = fs::remove_tree(&folder);
            return Err(cause);
        }
        self.forget_old()?;
        self.job(&id)
    }

    /// Asks it to end, as Ctrl-C would.
    pub fn cancel(&self, id: &str) -> Answer<()> {
        let (folder, mut record) = self.recorded(id)?;
        if !Lock::is_held(&folder.join("lock")) {
            return Ok(());
        }
        record.cancelled = true;
        write(&folder, &record)?;
        if let Some(process) = record.process {
            signal::send(process, Force::Int);
        }
        Ok(())
    }

    /// Events from the one with the number `from` on, at most `limit`.
    pub fn events(&self, id: &str, from: usize, limit: usize) -> Answer<Vec<Value>> {
        let mut reader = Events::of(&self.place(id)?);
        let mut found = reader.next(from.saturating_add(limit))?;
        Ok(found.split_off(from.min(found.len())))
    }

    pub fn reader(&self, id: &str) -> Answer<Events> {
        Ok(Events::of(&self.place(id)?))
    }

    /// Its folder, and what was noted when it began.
    fn recorded(&self, id: &str) -> Answer<(PathBuf, Record)> {
        let folder = self.place(id)?;
        let text = fs::read_optional(&folder.join("job.json"))?.ok_or_else(|| unknown(id))?;
        let damaged = |cause| Error::new(Kind::Failed, format!("the job `{id}` is damaged: {cause}"));
        let record = serde_json::from_str(&text).map_err(|cause: serde_json::Error| damaged(cause))?;
        Ok((folder, record))
    }

    fn place(&self, id: &str) -> Answer<PathBuf> {
        let folder = self.folder.join(id);
        // The name comes from outside: it is looked at before it becomes a path.
        if is_id(id) && fs::is_dir(&folder) { Ok(folder) } else { Err(unknown(id)) }
    }

    fn forget_old(&self) -> Answer<()> {
        for job in self.all()?.into_iter().skip(KEPT).filter(|it| it.state != JobState::Running) {
            fs::remove_tree(&self.folder.join(job.id))?;
        }
        Ok(())
    }
}

/// What a job has said so far, in brief.
struct Told {
    lines: usize,
    last: Option<Value>,
    written: Option<Timestamp>,
}

impl Told {
    fn read(folder: &Path) -> Answer<Self> {
        let file = folder.join("events.jsonl");
        let mut reader = BufReader::new(fs::open(&file)?);
        let (mut lines, mut line, mut last) = (0, vec![], vec![]);
        loop {
            line.clear();
            let count = reader.read_until(b'\n', &mut line).map_err(fs::context("read", &file))?;
            if count == 0 || line.last() != Some(&b'\n') {
                break;
            }
            lines += 1;
            std::mem::swap(&mut line, &mut last);
        }
        Ok(Self { lines, last: serde_json::from_slice(&last).ok(), written: fs::modified(&file).ok() })
    }

    /// A doctor's last word that is no good news.
    fn problems(&self) -> bool {
        self.last.as_ref().is_some_and(|it| it["problems"].as_u64().is_some_and(|it| it > 0))
    }
}

fn api_error(event: &Value) -> ApiError {
    let mut messages = event["messages"].as_array().into_iter().flatten().filter_map(Value::as_str);
    ApiError {
        kind: event["kind"].as_str().unwrap_or("failed").to_owned(),
        message: without_snippets(messages.next().unwrap_or("it failed")),
        causes: messages.map(without_snippets).collect(),
        hint: event["hint"].as_str().map(str::to_owned),
    }
}

fn killed() -> ApiError {
    ApiError {
        kind: "failed".to_owned(),
        message: "it was killed, or the machine went down under it".to_owned(),
        causes: vec![],
        hint: Some("start it again: what it had done by then stays done".to_owned()),
    }
}

/// Starts the command of a job in its folder.
fn begin(folder: &Path, host: &Host, workspace: &Workspace, request: &JobRequest) -> Answer<()> {
    let lock = Lock::exclusive(&folder.join("lock"), "a job of the page", Wait::No)?;
    let words = request.words();
    let typed = std::iter::once("dpgui").chain(words.iter().map(String::as_str));
    let command = as_typed(typed);
    let request = request.clone();
    let mut record = Record { request, command, started: clock::now(), process: None, cancelled: false };
    let mut env = host.env.clone();
    env.set(DONE, folder.join("done")).set(FOR_PAGE, "1");
    let spec = CommandSpec::new(&host.program, &env, workspace.root())
        .arg("--json")
        .arg("-C")
        .arg(workspace.root())
        .args(&words);
    // Before there is a process: without room for the record there is to be none.
    write(folder, &record)?;
    let (events, talk) = (fs::create(&folder.join("events.jsonl"))?, fs::create(&folder.join("talk.log"))?);
    let mut child = spec.spawn(Apart::Session, &[&lock], events, talk)?;
    record.process = i32::try_from(child.id()).ok().and_then(ProcessId::of);
    let noted = write(folder, &record);
    if noted.is_err()
        && let Some(process) = record.process
    {
        signal::send(process, Force::Kill);
    }
    // Somebody has to ask how it ended, or it would stay in the table of processes.
    std::thread::spawn(move || drop(child.wait()));
    noted
}

fn write(folder: &Path, record: &Record) -> Answer<()> {
    Ok(fs::write_snapshot(&folder.join("job.json"), serde_json::to_vec(record).unwrap_or_default())?)
}

fn is_id(text: &str) -> bool {
    text.len() < 64 && text.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-')
}

fn unknown(id: &str) -> Failure {
    let id: String = id.chars().filter(|it| !it.is_control()).take(64).collect();
    Failure::not_found(Error::new(Kind::Usage, format!("there is no job `{id}`")))
}

/// Which job, and which of its events.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsOf {
    id: String,
    #[serde(default)]
    from: usize,
    /// At most so many.
    limit: Option<usize>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SomeEvents {
    events: Vec<Value>,
    /// Ask from here on the next time.
    next: usize,
    job: Job,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfJob {
    id: String,
}

pub fn list(app: &App, _: &Nothing) -> Answer<Vec<Job>> {
    app.jobs.all()
}

pub fn start(app: &App, _: &Nothing, body: &JobRequest) -> Answer<Job> {
    app.start_job(body)
}

pub fn events(app: &App, asked: &EventsOf) -> Answer<SomeEvents> {
    let limit = asked.limit.unwrap_or(MOST_EVENTS).min(MOST_EVENTS);
    // The job before its events: one that is over then has said all of it.
    let job = app.jobs.job(&asked.id)?;
    let events = app.jobs.events(&asked.id, asked.from, limit)?;
    Ok(SomeEvents { next: asked.from + events.len(), events, job })
}

pub fn cancel(app: &App, asked: &OfJob, _: &Nothing) -> Answer<()> {
    app.jobs.cancel(&asked.id)?;
    app.hub.look();
    Ok(())
}
