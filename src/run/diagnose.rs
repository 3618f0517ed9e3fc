//! Why a run failed: its log and the numbers of the machine, brought to [`crate::diagnosis`].

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{
    diagnosis::{Diagnoser, Diagnosis, Disk, Node, Numbers, Way},
    logs::{
        StreamLog,
        pieces::{Piece, in_order},
        store::Found,
        streams,
    },
    metrics::figures,
    output::{Event, Line},
    platform::{Env, cgroup::OomKills, fs::FsError, gpu, mounts, process::as_typed},
};

use super::{
    RunError,
    devices::Devices,
    dir::RunDir,
    evidence::{By, Evidence, NodeFailure},
    gauge,
    id::RunId,
    journal::{Parsed, Snapshot},
    nodes::{Ended, NodeState},
    outcome::{Concern, Memory, Outcome},
    spec::Spec,
    state::{RunState, Stopping},
};

mod ended;

/// Bytes of the log's end that are looked at when a run ends: well under a second. `dpgui diagnose` looks at all of it.
const AT_THE_END: u64 = 64 << 20;

/// Whoever kills from outside leaves nothing in a log.
const NO_END: &str = "Nothing wrong was seen, and not the end of a training either. If it is over, it was ended from outside \
                      without a word: `sudo dmesg -T | tail` shows whether the kernel did it, for lack of memory";

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
    has_a_cause(&stopping.outcome()).then(|| Numbers {
        node: stopping.evidence.node.as_ref().map(|it| node(it, now)),
        ..numbers(dir, spec, env, now.oom_kills, evidence)
    })
}

/// Why it failed, by the end of what its last attempt has printed, `from` these offsets on.
pub(super) fn at_end(dir: &RunDir, spec: &Spec, from: &Parsed, numbers: &Numbers) -> Option<Diagnosis> {
    // A log that cannot be read says nothing; the numbers still do.
    let found = of_log(dir, from, AT_THE_END, numbers).unwrap_or_else(|_| Diagnoser::new().judge(numbers));
    found.map(|it| named(it, spec))
}

/// Why dpgui itself ends it, if it does.
pub(super) fn by_dpgui(spec: &Spec, now: &Snapshot, stopping: &Stopping) -> Option<Diagnosis> {
    let Outcome::Abandoned { concern } = stopping.outcome() else { return None };
    Some(named(ended::of_concern(concern, now, spec), spec))
}

/// What there is to say of an end that nobody saw and nothing explains.
pub(super) fn of_nothing(spec: &Spec, now: &Snapshot, outcome: &Outcome) -> Option<Diagnosis> {
    (*outcome == Outcome::Lost).then(|| named(ended::unseen(now), spec))
}

/// With this run and its configuration in what is advised.
fn named(diagnosis: Diagnosis, spec: &Spec) -> Diagnosis {
    diagnosis.of_run(&spec.id.to_string(), &as_typed([&spec.source]))
}

/// What there is to be said of a run about which somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What became of it, as far as that needs no cause, or is what was asked for.
    pub says: Option<String>,
    /// Nothing went wrong, as far as can be seen.
    pub ok: bool,
    /// Why it failed.
    pub diagnosis: Option<Diagnosis>,
}

/// Why the run failed, by all of its log and what was counted when it ended, or that it did not.
///
/// # Errors
/// When its files cannot be read.
pub fn of_run(dir: &RunDir) -> Result<Verdict, RunError> {
    let snapshot = dir.snapshot()?;
    let without_cause = |says: String, ok| Verdict { says: Some(says), ok, diagnosis: None };
    // One that is stopped may have printed what a stop makes ranks print.
    match snapshot.as_ref().map(|it| &it.state) {
        Some(RunState::Ended(Outcome::Abandoned { .. }))
            if snapshot.as_ref().is_some_and(|it| it.diagnosis.is_some()) =>
        {
            return Ok(snapshot.and_then(|it| it.diagnosis).into());
        }
        Some(RunState::Ended(outcome)) if !has_a_cause(outcome) => {
            let says = format!("The training {}", outcome.sentence());
            let lost = figures::lost_from(&gauge::records(dir)?);
            return Ok(match lost {
                Some(from) => without_cause(format!("{says}; {}", after_numbers(dir, from)?), false),
                None => without_cause(says, is_fine(outcome)),
            });
        }
        Some(RunState::Stopping(stopping)) if !has_a_cause(&stopping.outcome()) => {
            let why = match stopping.asked.map(|it| it.by) {
                Some(By::Dpgui(concern)) => format!("because {}", concern.sentence()),
                Some(By::Machine) => "because the machine goes down".to_owned(),
                Some(By::User) | None => "on request".to_owned(),
            };
            let says = format!("The training is being stopped {why}: {}", stopping.degree.sentence());
            return Ok(without_cause(says, is_fine(&stopping.outcome())));
        }
        Some(_) | None => {}
    }
    Ok(cause_of(dir, snapshot)?.into())
}

/// Of a run whose loss was no number from this step on to its end.
fn after_numbers(dir: &RunDir, from: u64) -> Result<String, RunError> {
    let again = as_typed(["dpgui".as_ref(), "train".as_ref(), dir.spec()?.source.as_os_str()]);
    Ok(format!(
        "the loss was no number from step {from} on, so what was saved since is most likely useless. With a lower `lr`, \
         `{again} --resume {} -- --reset_optimizer_params` goes on from before",
        dir.id()
    ))
}

fn cause_of(dir: &RunDir, snapshot: Option<Snapshot>) -> Result<Option<Diagnosis>, RunError> {
    let known = snapshot.as_ref().and_then(|it| it.numbers.clone());
    let numbers = known.unwrap_or_else(|| of_snapshot(snapshot.as_ref()));
    // Of several attempts the last one is what the run failed with.
    let from = snapshot.as_ref().map(|it| it.attempt.log_from.clone()).unwrap_or_default();
    let spec = dir.spec()?;
    if let Some(found) = of_log(dir, &from, u64::MAX, &numbers)? {
        return Ok(Some(named(found, &spec)));
    }
    Ok(snapshot.and_then(|now| of_nothing(&spec, &now, now.state.outcome()?)))
}

/// It ended in a way that the log or the machine may explain.
const fn has_a_cause(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Failed { .. }
        | Outcome::OutOfMemory { .. }
        | Outcome::ExitedEarly
        | Outcome::Killed { .. }
        | Outcome::NodeFailed { .. }
        | Outcome::Lost => true,
        Outcome::Completed
        | Outcome::Stopped { .. }
        | Outcome::Abandoned { .. }
        | Outcome::NotStarted { .. }
        | Outcome::Withdrawn
        | Outcome::Interrupted => false,
    }
}

/// Nothing of it is the training's fault.
const fn is_fine(outcome: &Outcome) -> bool {
    !has_a_cause(outcome) && !matches!(outcome, Outcome::Abandoned { .. } | Outcome::NotStarted { .. })
}

/// By at most so many last bytes of each stream.
fn of_log(dir: &RunDir, from: &Parsed, last: u64, numbers: &Numbers) -> Result<Option<Diagnosis>, FsError> {
    let log = dir.log();
    let mut stores = BTreeMap::new();
    let mut starts = vec![];
    for stream in streams(&log)? {
        let mut store = StreamLog::new(&stream.folder(&log));
        let from = from.get(&stream).copied().unwrap_or(0);
        starts.push((stream, store.end()?.saturating_sub(last).max(from)));
        stores.insert(stream, store);
    }
    let mut diagnoser = Diagnoser::new();
    let mut bytes = vec![];
    for Piece { stream, start, end } in in_order(&log, &starts)? {
        let Some(store) = stores.get_mut(&stream) else { continue };
        let mut at = start;
        while at < end {
            bytes.clear();
            let limit = usize::try_from(end - at).unwrap_or(PIECE).min(PIECE);
            if store.read(at, limit, &mut bytes)? != Found::Bytes {
                break;
            }
            diagnoser.push(at, stream.rank(), &bytes);
            at += bytes.len() as u64;
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
        launcher_lost: evidence.is_some_and(|it| it.outcome(None) == Outcome::Killed { signal: None }),
        returned: evidence.and_then(Evidence::failed_with),
        ended_early: true,
        oom_kills: before.and_then(|before| OomKills::sample().since(before)),
        disks: [spec.output_dir.as_path(), dir.path()].into_iter().filter_map(disk).collect(),
        lost_gpus: if has_gpus { gpu::lost(env) } else { vec![] },
        node: None,
    }
}

/// The machine that could not go on, as the diagnosis takes it.
fn node(NodeFailure { host, end }: &NodeFailure, now: &Snapshot) -> Node {
    let way = match end {
        None | Some(Outcome::Abandoned { concern: Concern::HeadLost }) => Way::Lost,
        Some(Outcome::Stopped { .. } | Outcome::Withdrawn) => Way::Stopped,
        Some(Outcome::Killed { .. }) => Way::Killed,
        Some(Outcome::OutOfMemory { memory: Memory::Host }) => Way::OutOfMemory,
        Some(_) => Way::Failed,
    };
    let ssh_said = || {
        let reason = |it: &NodeState| match it.ended() {
            Some(Ended::Lost { reason }) if !reason.is_empty() => Some(reason.clone()),
            Some(Ended::Lost { .. } | Ended::Over(_)) | None => None,
        };
        now.nodes.values().find_map(reason)
    };
    let says = if way == Way::Lost { ssh_said() } else { end.as_ref().map(Outcome::sentence) };
    Node { host: host.clone(), way, says }
}

/// Of a run that goes on, or that ended before this was counted: how it ended, if it did.
fn of_snapshot(snapshot: Option<&Snapshot>) -> Numbers {
    use crate::platform::signal::Exit;
    let outcome = snapshot.and_then(|it| it.state.outcome());
    let exit = match outcome {
        Some(Outcome::Failed { exit }) => Some(*exit),
        Some(Outcome::Killed { signal: Some(signal) }) => Some(Exit::Signal(*signal)),
        Some(Outcome::ExitedEarly | Outcome::Killed { signal: None }) => Some(Exit::Code(0)),
        _ => None,
    };
    let launcher_lost = outcome == Some(&Outcome::Killed { signal: None });
    let node = match (outcome, snapshot) {
        (Some(Outcome::NodeFailed { host, end }), Some(now)) => {
            Some(node(&NodeFailure { host: host.clone(), end: end.as_deref().cloned() }, now))
        }
        _ => None,
    };
    Numbers { exit, ended_early: exit.is_some(), launcher_lost, node, ..Numbers::default() }
}

impl Verdict {
    /// Of a log about which nothing is known but what it says.
    pub fn of_text(seen: &Diagnoser<'_>) -> Self {
        let diagnosis = seen.judge(&Numbers::default()).map(Diagnosis::of_no_run);
        let says = match diagnosis {
            Some(_) => None,
            None if seen.is_done() => Some("Nothing wrong was seen: the trainer says that it was done"),
            None => Some(NO_END),
        };
        Self { says: says.map(str::to_owned), ..diagnosis.into() }
    }
}

impl From<Option<Diagnosis>> for Verdict {
    fn from(diagnosis: Option<Diagnosis>) -> Self {
        Self { says: None, ok: diagnosis.is_none(), diagnosis }
    }
}

/// For people, who want to know of a failure.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.diagnosis, &self.says) {
            (Some(diagnosis), _) => diagnosis.fmt(f),
            (None, Some(says)) => f.write_str(says),
            (None, None) => f.write_str("Nothing wrong was seen"),
        }
    }
}

impl Event for Diagnosed {
    fn line(&self) -> Option<Line> {
        let text = self.diagnosis.to_string();
        let text = text.strip_prefix("Cause: ").unwrap_or(&text).to_owned();
        Some(Line { verb: "Cause", text })
    }
}
