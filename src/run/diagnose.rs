//! Why a run failed: its log and the numbers of the machine, brought to [`crate::diagnosis`].

use serde::Serialize;

use crate::{
    diagnosis::{Diagnoser, Diagnosis, Disk, Numbers},
    output::{Event, Line},
    platform::{
        Env,
        cgroup::OomKills,
        fs::{self, FsError},
        gpu, mounts,
    },
};

use super::{
    RunError, devices::Devices, dir::RunDir, evidence::Evidence, id::RunId, journal::Snapshot,
    outcome::Outcome, spec::Spec, state::Stopping,
};

/// Bytes of the log's end that are looked at when a run ends: well under a second. `dpgui diagnose` looks at all of it.
const AT_THE_END: u64 = 64 << 20;

/// Bytes read at once.
const PIECE: usize = 256 * 1024;

/// Why a run failed, as it is recorded and shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "diagnosed")]
pub struct Diagnosed {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
}

/// What can be counted now that a run has ended in a way that the log or the machine may explain.
pub(super) fn count(
    dir: &RunDir,
    spec: &Spec,
    env: &Env,
    now: &Snapshot,
    stopping: &Stopping,
) -> Option<Numbers> {
    let evidence = Some(&stopping.evidence);
    has_a_cause(&stopping.outcome()).then(|| numbers(dir, spec, env, now.oom_kills, evidence))
}

/// Why it failed, by the end of what its last attempt has printed, from the byte `from` of the log on.
pub(super) fn at_end(dir: &RunDir, from: u64, numbers: &Numbers) -> Option<Diagnosis> {
    let from = fs::size(&dir.log()).unwrap_or(0).saturating_sub(AT_THE_END).max(from);
    // A log that cannot be read says nothing; the numbers still do.
    of_log(dir, from, numbers).unwrap_or_else(|_| Diagnoser::new().judge(numbers))
}

/// Why the run failed, by all of its log and what was counted when it ended; `None` if nothing is wrong.
///
/// # Errors
/// When its files cannot be read.
pub fn of_run(dir: &RunDir) -> Result<Option<Diagnosis>, RunError> {
    let snapshot = dir.snapshot()?;
    let known = snapshot.as_ref().and_then(|it| it.numbers.clone());
    // One that was stopped may have printed what a stop makes ranks print.
    if snapshot.as_ref().and_then(|it| it.state.outcome()).is_some_and(|it| !has_a_cause(it)) {
        return Ok(None);
    }
    let numbers = known.unwrap_or_else(|| of_snapshot(snapshot.as_ref()));
    // Of several attempts the last one is what the run failed with.
    let from = snapshot.as_ref().map_or(0, |it| it.attempt.log_from);
    Ok(of_log(dir, from, &numbers)?)
}

/// It ended in a way that the log or the machine may explain.
const fn has_a_cause(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { .. }
        | Outcome::OutOfMemory { .. }
        | Outcome::ExitedEarly
        | Outcome::Killed { .. }
        | Outcome::Lost => true,
        Outcome::Completed
        | Outcome::Stopped { .. }
        | Outcome::Abandoned { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Interrupted => false,
    }
}

fn of_log(dir: &RunDir, from: u64, numbers: &Numbers) -> Result<Option<Diagnosis>, FsError> {
    let path = dir.log();
    let mut diagnoser = Diagnoser::new();
    if fs::exists(&path) {
        let mut file = fs::open(&path)?;
        let mut offset = from;
        loop {
            let bytes = fs::read_at(&mut file, &path, offset, PIECE)?;
            if bytes.is_empty() {
                break;
            }
            diagnoser.push(offset, None, &bytes);
            offset += bytes.len() as u64;
        }
    }
    diagnoser.finish();
    Ok(diagnoser.judge(numbers))
}

/// What can be counted now that it has ended.
fn numbers(
    dir: &RunDir,
    spec: &Spec,
    env: &Env,
    before: Option<OomKills>,
    evidence: Option<&Evidence>,
) -> Numbers {
    let disk = |path: &std::path::Path| {
        let space = mounts::space(path).ok().filter(|it| it.total > 0)?;
        Some(Disk { path: path.to_owned(), free_bytes: space.available, free_files: space.files })
    };
    let has_gpus = matches!(spec.devices, Devices::Gpus(_));
    Numbers {
        exit: evidence.and_then(|it| it.exit),
        returned: evidence.and_then(|it| it.returned),
        ended_early: true,
        oom_kills: before.map_or(0, |before| OomKills::sample().since(before)),
        disks: [spec.output_dir.as_path(), dir.path()].into_iter().filter_map(disk).collect(),
        lost_gpus: if has_gpus { gpu::lost(env) } else { vec![] },
    }
}

/// Of a run that goes on, or that ended before this was counted: how it ended, if it did.
fn of_snapshot(snapshot: Option<&Snapshot>) -> Numbers {
    use crate::platform::signal::Exit;
    let exit = match snapshot.and_then(|it| it.state.outcome()) {
        Some(Outcome::Failed { exit }) => Some(*exit),
        Some(Outcome::Killed { signal: Some(signal) }) => Some(Exit::Signal(*signal)),
        Some(Outcome::ExitedEarly) => Some(Exit::Code(0)),
        _ => None,
    };
    Numbers { exit, ended_early: exit.is_some(), ..Numbers::default() }
}

impl Event for Diagnosed {
    fn line(&self) -> Option<Line> {
        let text = self.diagnosis.to_string();
        let text = text.strip_prefix("Cause: ").unwrap_or(&text).to_owned();
        Some(Line { verb: "Cause", text })
    }
}
