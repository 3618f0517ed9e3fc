//! Telling the world: a command or an address of the user's hears of a run's end and of what goes wrong before.
//!
//! It happens in a process of its own, [`spawn`]ed by the supervisor: a slow server keeps nobody waiting.

use std::{thread, time::Duration};

use reqwest::header;
use serde::{Deserialize, Serialize};

use crate::platform::{
    Host, clock, fifo, fs,
    lock::Lock,
    net::Http,
    process::{Apart, CommandSpec},
    procfs::ProcessId,
};

use super::{
    RunError,
    dir::RunDir,
    id::RunId,
    journal::{self, Journal},
    supervise::Command,
};

/// Tries to reach an address, and the pause between two.
const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_secs(2);

/// Of why somebody could not be told, in characters: a message to the supervisor has to fit into one piece of a pipe.
const LONGEST_REASON: usize = 600;

/// The most a command may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What is told, as JSON on a command's input or in a request's body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    pub event: About,
    pub run: RunId,
    /// For people, one line.
    pub message: String,
    /// `completed`, `failed`, …; of a run that goes on what it does.
    pub state: String,
    /// Why it failed, in one sentence.
    #[serde(default)]
    pub cause: Option<String>,
    pub step: Option<u64>,
    pub loss: Option<f64>,
    pub folder: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    Ended,
    Alarm,
    Recovered,
    Restarting,
}

/// Whom to tell; kept apart from everything that is shown, because addresses hold keys.
pub fn keep(dir: &RunDir, targets: &[String]) -> Result<(), RunError> {
    if !targets.is_empty() {
        let text = serde_json::to_vec(targets).unwrap_or_default();
        fs::write_stream(&dir.notify_file(), &mut &text[..], 0o600)?;
    }
    Ok(())
}

pub(super) fn targets(dir: &RunDir) -> Result<Vec<String>, RunError> {
    let text = fs::read_optional(&dir.notify_file())?.unwrap_or_default();
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// Starts the telling, if there is somebody to tell, and says which process does it. What goes wrong is in the
/// supervisor's log.
pub(super) fn spawn(host: &Host, dir: &RunDir, notice: &Notice) -> Result<Option<ProcessId>, RunError> {
    if targets(dir)?.is_empty() {
        return Ok(None);
    }
    let log = fs::open_append(&dir.supervisor_log())?;
    let text = serde_json::to_string(notice).unwrap_or_default();
    let command = CommandSpec::new(&host.program, &host.env, dir.path())
        .args(["__notify".as_ref(), dir.path().as_os_str()]);
    let child = command.arg(text).spawn(Apart::Session, &[], fs::open_null()?, log)?;
    Ok(ProcessId::of(child.id().cast_signed()))
}

/// Tells everybody, whatever happens to the others. Why somebody could not be told is returned.
pub fn tell_all(host: &Host, dir: &RunDir, notice: &Notice) -> Result<Vec<String>, RunError> {
    let targets = targets(dir)?;
    // All at once: one that takes long, or cannot be reached, must not delay the word to the others.
    Ok(thread::scope(|scope| {
        let begin = |target| scope.spawn(move || tell(host, dir, target, notice).err());
        let told: Vec<_> = targets.iter().map(|target| begin(target.as_str())).collect();
        told.into_iter().filter_map(|it| it.join().ok()?).collect()
    }))
}

/// Somebody could not be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "not-told")]
pub struct NotTold {
    pub why: String,
}

/// Puts on record that somebody could not be told of `notice`: the supervisor does it or, when that has left with the end
/// of the run, we in its place.
pub fn record(dir: &RunDir, notice: &Notice, why: &str) -> Result<(), RunError> {
    let why: String = why.chars().take(LONGEST_REASON).collect();
    let message = serde_json::to_string(&Command::NotTold { why: why.clone() }).unwrap_or_default();
    if notice.event != About::Ended && fifo::send(&dir.control(), &message)? {
        return Ok(());
    }
    let _writer = Lock::wait(&dir.lock())?;
    Journal::open(dir)?.record(&NotTold { why });
    Ok(())
}

/// Who could not be told of a run, read again only when there is more on record.
#[derive(Debug, Default)]
pub struct Untold {
    read: u64,
    known: usize,
}

impl Untold {
    /// Why, of those that were added since the last look.
    pub fn news(&mut self, dir: &RunDir) -> Vec<String> {
        let size = fs::size(&dir.events()).unwrap_or_default();
        if std::mem::replace(&mut self.read, size) == size {
            return vec![];
        }
        let mut all = not_told(dir);
        let news = all.split_off(self.known.min(all.len()));
        self.known += news.len();
        news
    }
}

/// Why somebody could not be told, of all that is on record.
pub fn not_told(dir: &RunDir) -> Vec<String> {
    fs::read(&dir.events()).map(|it| journal::not_told(&it)).unwrap_or_default()
}

fn is_address(target: &str) -> bool {
    let begins = |it: &str| target.get(..it.len()).is_some_and(|start| start.eq_ignore_ascii_case(it));
    begins("http://") || begins("https://")
}

fn tell(host: &Host, dir: &RunDir, target: &str, notice: &Notice) -> Result<(), String> {
    let text = serde_json::to_string(notice).unwrap_or_default();
    if is_address(target) {
        return post(target, &text);
    }
    let mut env = host.env.clone();
    env.set("DPGUI_EVENT", serde_json::to_string(&notice.event).unwrap_or_default().trim_matches('"'));
    env.set("DPGUI_RUN", notice.run.to_string())
        .set("DPGUI_MESSAGE", &notice.message)
        .set("DPGUI_NOTICE", &text);
    env.set("DPGUI_STATE", &notice.state).set("DPGUI_CAUSE", notice.cause.as_deref().unwrap_or_default());
    // The user's own words, for the shell that they were written for.
    let command = CommandSpec::new("/bin/sh", &env, dir.path()).args(["-c", target]);
    let said = command.capture(PATIENCE).map_err(|cause| format!("`{target}`: {cause}"))?;
    if said.success() { Ok(()) } else { Err(format!("`{target}` failed\n{}", said.tail())) }
}

/// The address is not shown: whoever has it can write there.
fn post(url: &str, text: &str) -> Result<(), String> {
    let failed =
        |cause: &dyn std::error::Error| format!("an address to be told could not be reached: {cause}");
    let http = Http::new().map_err(|cause| failed(&cause))?;
    let headers = [(header::CONTENT_TYPE, "application/json")];
    let mut tries = 1;
    loop {
        match http.exchange(url, &headers, Some(text.as_bytes().to_vec())) {
            Ok(_) => return Ok(()),
            Err(cause) if tries == TRIES || !cause.may_pass() => return Err(failed(&cause)),
            Err(_) => clock::pause(PAUSE * tries),
        }
        tries += 1;
    }
}
