//! How a run is ended from outside: its supervisor is asked, and everybody waits until nothing of it is left.

use std::{fmt::Write, path::PathBuf, time::Duration};

use serde::Serialize;

use crate::{
    diagnosis::Diagnosis,
    metrics::figures,
    output::{Event, Line, size},
    platform::{
        Host,
        clock::Stopwatch,
        fifo, fs,
        procfs::{self, ProcessId},
        signal,
        watch::Watch,
    },
};

use super::{
    RunError, adopt,
    checkpoints::Model,
    dir::RunDir,
    gauge,
    id::RunId,
    journal::Snapshot,
    lineage::Lineage,
    nodes::{self, NodeState, Part},
    outcome::{Manner, Outcome},
    restart::Refusal,
    sight::LastStep,
    spec::COOKIE,
    state::RunState,
    supervise::Command,
};

/// How long a request is repeated before somebody should hear of it.
const ANSWER: Duration = Duration::from_secs(5);

/// For a supervisor to say how a run has ended of which nobody is left: longer than it hopes for room.
const UNTOLD: Duration = Duration::from_secs(15);

/// A disk with less room than this is full, in bytes.
const LEAST_ROOM: u64 = 1 << 16;

/// Between two requests for the same.
pub(super) const ASK_EVERY: Duration = Duration::from_secs(1);

/// Between two looks at the state where no change of a file is told.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is left of a run for later.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Kept {
    pub checkpoint: Option<PathBuf>,
    /// The last step in the checkpoint.
    pub checkpoint_step: Option<u64>,
    /// The newest saved weights.
    pub model: Option<PathBuf>,
    /// The last step in them, where that is known.
    pub model_step: Option<u64>,
}

/// The end of a run, with what there is to show for it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename = "run-ended")]
pub struct Ended {
    pub run: RunId,
    #[serde(flatten)]
    pub outcome: Outcome,
    pub last_step: Option<LastStep>,
    /// The step from which on the loss was no number, to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_number_from: Option<u64>,
    #[serde(flatten)]
    pub kept: Kept,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diagnosis: Option<Diagnosis>,
    /// Why it was not tried again, though the user wishes for restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_restarted: Option<Refusal>,
    /// Other machines whose parts nobody has heard the end of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unheard: Vec<String>,
    /// After which a part that has not heard of the head ends itself.
    #[serde(skip)]
    patience: Duration,
}

/// Asks the run to stop; of a part of another machine's run, that the whole of it does, unless it is to end
/// [now](Manner::Now).
///
/// `false` when nobody answers; ask again.
///
/// # Errors
/// As [`demand`].
pub fn request(host: &Host, dir: &RunDir, manner: Manner) -> Result<bool, RunError> {
    match dir.spec()?.origin() {
        Some(_) if manner != Manner::Now => pass_on(host, dir, manner),
        Some(_) | None => demand(host, dir, manner),
    }
}

/// Has whoever is in touch with the head tell it, until it says itself that it stops.
fn pass_on(host: &Host, dir: &RunDir, manner: Manner) -> Result<bool, RunError> {
    let text = serde_json::to_string(&manner).unwrap_or_default();
    let is_heard = |now: &Snapshot| {
        let stops = now.head.as_ref().is_some_and(|it| it.doing == "stopping");
        stops || matches!(now.state, RunState::Stopping(_))
    };
    ask(host, dir, &|| Ok(fs::write_atomic(&dir.passed_on(), &text)?), &is_heard)
}

/// What was passed on and not yet told to the head.
pub(super) fn passed_on(dir: &RunDir) -> Option<Manner> {
    let manner = serde_json::from_str(&fs::read_optional(&dir.passed_on()).ok()??).ok();
    // Whoever wants it asks again until it is heard.
    let _ = fs::remove_tree(&dir.passed_on());
    manner
}

/// Asks the run of this machine to stop, through a new supervisor if its own is gone, until the state on disk shows that it
/// was heard: a supervisor may die with the request in its hands, or not be there yet. Asking twice does no harm.
///
/// `false` when nobody answers; ask again.
///
/// # Errors
/// When no supervisor can be had. A run that is over already is none.
pub(super) fn demand(host: &Host, dir: &RunDir, manner: Manner) -> Result<bool, RunError> {
    let message = serde_json::to_string(&Command::Stop { manner }).unwrap_or_default();
    let is_heard = |now: &Snapshot| match &now.state {
        RunState::Stopping(stopping) => stopping.has_heard(manner),
        _ => false,
    };
    let send = || {
        fifo::send(&dir.control(), &message)?;
        Ok(())
    };
    ask(host, dir, &send, &is_heard)
}

fn ask(
    host: &Host,
    dir: &RunDir,
    send: &dyn Fn() -> Result<(), RunError>,
    is_heard: &dyn Fn(&Snapshot) -> bool,
) -> Result<bool, RunError> {
    let watch = Watch::new(dir.path());
    let since = Stopwatch::start();
    let mut asked: Option<Stopwatch> = None;
    while since.elapsed() < ANSWER {
        if asked.is_none_or(|since| since.elapsed() >= ASK_EVERY) {
            adopt::adopt(host, dir)?;
            send()?;
            asked = Some(Stopwatch::start());
        }
        watch.wait(LOOK_EVERY);
        if let Some(now) = dir.snapshot()?
            && (now.state.outcome().is_some() || is_heard(&now))
        {
            return Ok(true);
        }
    }
    if is_left_untold(dir)? {
        return Err(not_written(dir));
    }
    let_go_on(dir);
    Ok(false)
}

/// A supervisor that somebody stopped as one stops a job of a shell hears nothing before it is told to go on.
fn let_go_on(dir: &RunDir) {
    let holders = procfs::lock_holders(&dir.lock()).into_iter().filter_map(|it| ProcessId::of(it.pid));
    for holder in holders.filter(|it| procfs::condition(*it).is_some_and(|(_, state)| state == 'T')) {
        signal::go_on(holder);
    }
}

/// Nothing of it is left, and no room to write that.
fn is_left_untold(dir: &RunDir) -> Result<bool, RunError> {
    if !is_full(dir) {
        return Ok(false);
    }
    let cookie = dir.spec()?.cookie;
    Ok(!procfs::processes().iter().any(|it| it.variable(COOKIE).as_deref() == Some(&cookie)))
}

fn is_full(dir: &RunDir) -> bool {
    matches!(fs::available_bytes(dir.path()), Ok(..LEAST_ROOM))
}

fn not_written(dir: &RunDir) -> RunError {
    let folder = dir.path().display();
    let why = if is_full(dir) {
        format!("the disk of `{folder}` is full")
    } else {
        format!("nothing can be written to `{folder}`")
    };
    RunError::EndNotWritten { id: dir.id().clone(), why }
}

/// Its end is where it is to be.
///
/// # Errors
/// When a full disk keeps it from there.
pub fn is_written(dir: &RunDir) -> Result<(), RunError> {
    if dir.written()?.is_none_or(|it| it.state.outcome().is_none()) {
        return Err(not_written(dir));
    }
    Ok(())
}

/// What to tell people meanwhile; why, if that can be seen.
pub fn silence(dir: &RunDir) -> String {
    let part = dir.spec().ok().and_then(|it| it.part).filter(|it| !it.is_head());
    if let Some(part) = part {
        let (head, id, waited) = (part.master(), dir.id(), ANSWER.as_secs());
        return format!(
            "`{head}`, whose run it is, has not answered for {waited} s; `dpgui stop --now {id}` ends this part alone"
        );
    }
    let silent = format!("the supervisor of {} has not answered for {} s", dir.id(), ANSWER.as_secs());
    // Its answer is in a file.
    if is_full(dir) {
        return format!("{silent}: the disk of `{}` is full, make room", dir.path().display());
    }
    silent
}

/// Waits until no process of the run is left, showing `on_state` how far that is.
pub fn wait(host: &Host, dir: &RunDir, mut on_state: impl FnMut(&RunState)) -> Result<Outcome, RunError> {
    let watch = Watch::new(dir.path());
    let mut untold: Option<Stopwatch> = None;
    loop {
        if let Some(snapshot) = dir.snapshot()? {
            on_state(&snapshot.state);
            if let RunState::Ended(outcome) = snapshot.state {
                return Ok(outcome);
            }
            if !snapshot.stuck.is_empty() {
                return Err(RunError::Stuck { id: dir.id().clone(), stuck: snapshot.stuck });
            }
        }
        if !is_left_untold(dir)? {
            untold = None;
        } else if untold.get_or_insert_with(Stopwatch::start).elapsed() > UNTOLD {
            return Err(not_written(dir));
        }
        adopt::adopt(host, dir)?;
        watch.wait(LOOK_EVERY);
    }
}

impl Ended {
    pub fn new(dir: &RunDir, outcome: Outcome) -> Result<Self, RunError> {
        let snapshot = dir.snapshot()?;
        let part = dir.spec()?.part.filter(Part::is_head).unwrap_or_default();
        // One that has not even begun is not there.
        let begun =
            snapshot.as_ref().map(|it| it.parts.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
        let end =
            |number: &u32| snapshot.as_ref().and_then(|it| it.nodes.get(number)).and_then(NodeState::ended);
        let is_unheard = |number: &u32| !matches!(end(number), Some(nodes::Ended::Over(_)));
        let unheard = begun.into_iter().filter(is_unheard).map(|it| part.node(it).host.clone()).collect();
        Ok(Self {
            run: dir.id().clone(),
            outcome,
            last_step: snapshot.as_ref().and_then(|it| it.last_step),
            no_number_from: figures::lost_from(&gauge::records(dir)?),
            kept: Kept::of(dir)?,
            not_restarted: snapshot.as_ref().and_then(|it| it.not_restarted),
            diagnosis: snapshot.as_ref().and_then(|it| it.diagnosis.clone()),
            unheard,
            patience: part.patience,
        })
    }
}

impl Kept {
    pub fn of(dir: &RunDir) -> Result<Self, RunError> {
        let spec = dir.spec()?;
        let lineage = Lineage::of(dir, &spec)?;
        let contents = lineage.contents()?;
        let checkpoint = contents.usable();
        // What an earlier run saved into this folder went through its epochs, not ours.
        let writer = |it: &Model| match &lineage.before {
            Some(before) if it.written < spec.created => RunDir::new(&dir.workspace(), before.clone()),
            _ => dir.clone(),
        };
        let with_step = |it| Ok((Model::step(it, |epoch| last_of_epoch(&writer(it), epoch))?, it));
        let models = contents.whole_models().map(with_step).collect::<Result<Vec<_>, RunError>>()?;
        // What this run went through is in its own weights, and in those up to where it went on from.
        let on_our_way =
            |(step, it): &(Option<u64>, &Model)| it.written >= spec.created || *step <= spec.resumes_step;
        // An adapter of an earlier checkpoint may have been exported last.
        // That nobody knows the step of is the newest, or none.
        let unknown = models.last().copied().filter(|(step, _)| step.is_none());
        let (model_step, model) =
            unknown.or_else(|| models.into_iter().max_by_key(|it| (on_our_way(it), it.0))).unzip();
        let model_step = model_step.flatten();
        Ok(Self {
            model_step,
            checkpoint_step: checkpoint.map(|it| it.step),
            checkpoint: checkpoint.map(|it| it.path.clone()),
            model: model.and_then(|it| it.weights.clone()),
        })
    }
}

/// The step at whose end this epoch was over, by what this run has measured.
fn last_of_epoch(dir: &RunDir, epoch: u64) -> Result<Option<u64>, RunError> {
    let records = gauge::records(dir)?;
    Ok(records.iter().rev().find(|it| it.epoch.map(u64::from) == Some(epoch)).map(|it| it.step))
}

impl Event for Ended {
    fn line(&self) -> Option<Line> {
        let verb = match self.outcome {
            Outcome::Completed => "Finished",
            Outcome::Stopped { .. } => "Stopped",
            _ => "Ended",
        };
        let mut text = format!(
            "{}: the training {}",
            self.run,
            self.outcome.sentence_after(self.last_step.map(|it| it.step))
        );
        if let Some(LastStep { step, loss, .. }) = self.last_step {
            let loss = loss.map_or_else(|| "not a number".to_owned(), |loss| format!("{loss:.4}"));
            let _ = write!(text, "; step {step}, loss {loss}");
        }
        if let Some(from) = self.no_number_from {
            let _ = write!(
                text,
                "\n{:>12} was no number from step {from} on: what was saved since is most likely useless",
                "loss"
            );
        }
        if let Some(why) = self.not_restarted {
            let _ = write!(text, "\n{:>12} tried again: {}", "not", why.sentence());
        }
        if let (Some(path), Some(step)) = (&self.kept.checkpoint, self.kept.checkpoint_step) {
            let _ = write!(text, "\n{:>12} step {step}: {}", "checkpoint", path.display());
        }
        if let Some(path) = &self.kept.model {
            let step = self.kept.model_step.map(|it| format!("step {it}: ")).unwrap_or_default();
            let _ = write!(text, "\n{:>12} {step}{}", "weights", path.display());
            let last = self.last_step.map(|it| it.step);
            match self.kept.model_step.zip(last) {
                Some((step, last)) if step < last => {
                    let _ = write!(text, "\n{:>12} steps {} to {last} are not in them", "", step + 1);
                }
                Some((step, last)) if step > last => {
                    let _ = write!(text, "\n{:>12} they are of an earlier run that had come further", "");
                }
                Some(_) | None => {}
            }
        }
        for host in &self.unheard {
            let _ = write!(
                text,
                "\n{:>12} `{host}`: its part may still run there, and ends by itself when it has heard nothing of this \
                 machine for {}",
                "not heard of",
                size::duration(self.patience)
            );
        }
        Some(Line { verb, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_the_newest_weights_is_told_which_steps_are_not_in_them() {
        let check = |model_step, expected: &str| {
            let kept = Kept { model: Some("/out/step200".into()), model_step, ..Kept::default() };
            let last_step = Some(LastStep { step: 240, loss: Some(0.5), seconds_per_step: 1.0 });
            let ended = Ended {
                run: "20261127T093942Z-wan".parse().expect("an id"),
                outcome: Outcome::Stopped { saved: false },
                last_step,
                no_number_from: None,
                kept,
                diagnosis: None,
                not_restarted: None,
                unheard: vec![],
                patience: Duration::ZERO,
            };
            let text = ended.line().expect("a line").text;
            let (_, weights) = text.split_once('\n').expect("weights");
            assert_eq!(weights, expected);
        };
        check(None, "     weights /out/step200");
        check(Some(240), "     weights step 240: /out/step200");
        let further = "     weights step 300: /out/step200\n             they are of an earlier run that had come further";
        check(Some(300), further);
        let behind = "     weights step 200: /out/step200\n             steps 201 to 240 are not in them";
        check(Some(200), behind);
    }
}
