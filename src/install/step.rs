//! A step of setup, what all steps share, and how a set of them is carried out side by side.

use std::{
    any::Any,
    collections::{BTreeSet, HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
    thread,
};

use serde::Serialize;

use crate::{
    output::{Event, Line, Output, Progress, size},
    platform::{Env, Host, clock::Stopwatch, net::Http},
    vendor::sources::Sources,
    workspace::Workspace,
};

use super::{
    InstallError,
    cache::Cache,
    plan::{Observed, Status, StepId},
};

/// What every step works with.
#[derive(Clone, Debug)]
pub struct Site {
    pub host: Host,
    pub workspace: Workspace,
    pub sources: Sources,
    pub http: Http,
    pub cache: Cache,
    pub output: Output,
}

impl Site {
    /// The environment of the programs that setup runs: the user's, less what would lead Python astray.
    pub fn tool_env(&self) -> Env {
        let mut env = self.host.env.clone();
        for name in ["PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"] {
            env.remove(name);
        }
        env
    }
}

/// Look, then act. Safe to run again after a kill at any point.
pub trait Step: Sync {
    fn id(&self) -> StepId;

    /// The steps whose results this one is made from.
    fn needs(&self) -> Vec<StepId>;

    /// Cheap: a plan of nothing to do takes milliseconds.
    fn inspect(&self) -> Result<Status, InstallError>;

    /// Does it, and says in a few words how.
    fn apply(&self, progress: &Progress) -> Result<String, InstallError>;
}

/// A change in the state of a step.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Change {
    StepStarted { step: StepId, why: String },
    StepDone { step: StepId, what: String, seconds: f64 },
    StepFailed { step: StepId, message: String },
}

impl Event for Change {
    fn line(&self) -> Option<Line> {
        Some(match self {
            Self::StepFailed { step, message } => {
                Line { verb: "Failed", text: format!("{step}: {message}; what is under way is finished") }
            }
            Self::StepStarted { step, why } => Line { verb: "Starting", text: format!("{step} ({why})") },
            Self::StepDone { step, what, seconds } => {
                let took = size::duration(std::time::Duration::from_secs_f64(*seconds));
                Line { verb: "Done", text: format!("{step}: {what} in {took}") }
            }
        })
    }
}

/// Looks at every step.
pub fn observe(steps: &[Box<dyn Step + '_>]) -> Result<Vec<Observed>, InstallError> {
    let look = |step: &dyn Step| Ok(Observed { id: step.id(), needs: step.needs(), status: step.inspect()? });
    steps.iter().map(|it| look(&**it)).collect()
}

/// Carries out the steps whose ids are in `pending`, each as soon as what it needs is done.
///
/// A step looks once more when its turn comes: what it is made from may have turned out the same.
///
/// # Errors
/// The first failure. Steps that are under way by then are finished, because each is whole by itself; no new one
/// is started.
pub fn apply(
    steps: &[Box<dyn Step + '_>],
    pending: &BTreeSet<StepId>,
    output: &Output,
) -> Result<usize, InstallError> {
    let by_id: HashMap<StepId, &dyn Step> = steps.iter().map(|it| (it.id(), &**it)).collect();
    let mut waiting: Vec<StepId> = steps.iter().map(|it| it.id()).filter(|id| pending.contains(id)).collect();
    let (mut running, mut changed, mut failure) = (HashSet::new(), 0, None);
    let (sender, results) = mpsc::channel();
    thread::scope(|scope| {
        loop {
            let blocked: HashSet<StepId> = waiting.iter().chain(&running).cloned().collect();
            let ready = |id: &StepId| by_id[id].needs().iter().all(|need| !blocked.contains(need));
            let start: Vec<StepId> = match failure {
                None => waiting.extract_if(.., |id| ready(id)).collect(),
                Some(_) => vec![],
            };
            for id in start {
                let (step, sender) = (by_id[&id], sender.clone());
                running.insert(id.clone());
                scope.spawn(move || {
                    let result = catch_unwind(AssertUnwindSafe(|| run(step, output)));
                    let result = result.unwrap_or_else(|panic| Err(panicked(&id, &*panic)));
                    // The receiver outlives every sender: it is in the enclosing function.
                    let _ = sender.send((id, result));
                });
            }
            if running.is_empty() {
                break;
            }
            let Ok((id, result)) = results.recv() else { break };
            running.remove(&id);
            match result {
                Ok(did_something) => changed += usize::from(did_something),
                Err(error) => failure = failure.take().or(Some(error)),
            }
        }
    });
    failure.map_or(Ok(changed), Err)
}

/// A bug in one step must not leave the others, and the user, waiting for ever.
fn panicked(step: &StepId, panic: &(dyn Any + Send)) -> InstallError {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let message = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned();
    InstallError::Panicked { step: step.to_string(), message }
}

fn run(step: &dyn Step, output: &Output) -> Result<bool, InstallError> {
    let id = step.id();
    let why = match step.inspect()? {
        Status::Satisfied { .. } => return Ok(false),
        Status::Missing { why, .. } => why,
    };
    output.event(&Change::StepStarted { step: id.clone(), why });
    let watch = Stopwatch::start();
    let progress = output.progress(&id.to_string());
    let result = step.apply(&progress);
    drop(progress);
    match result {
        Ok(what) => {
            let seconds = watch.elapsed().as_secs_f64();
            output.event(&Change::StepDone { step: id, what, seconds });
            Ok(true)
        }
        Err(error) => {
            output.event(&Change::StepFailed { step: id, message: error.to_string() });
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Barrier, Mutex};

    use super::*;
    use crate::output::Mode;

    /// Records the order of things; two of them can be made to wait for each other.
    struct Recorded<'a> {
        id: StepId,
        needs: Vec<StepId>,
        order: &'a Mutex<Vec<String>>,
        together: Option<&'a Barrier>,
        ends: End,
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    enum End {
        Well,
        Badly,
        InPanic,
    }

    impl Step for Recorded<'_> {
        fn id(&self) -> StepId {
            self.id.clone()
        }
        fn needs(&self) -> Vec<StepId> {
            self.needs.clone()
        }
        fn inspect(&self) -> Result<Status, InstallError> {
            Ok(Status::Missing { what: String::new(), why: "new".to_owned() })
        }
        fn apply(&self, _: &Progress) -> Result<String, InstallError> {
            if let Some(barrier) = self.together {
                barrier.wait();
            }
            self.order.lock().expect("not poisoned").push(self.id.to_string());
            match self.ends {
                End::Well => Ok(String::new()),
                End::Badly => Err(InstallError::NoPip),
                End::InPanic => panic!("a bug"),
            }
        }
    }

    #[test]
    fn steps_run_side_by_side_and_after_what_they_need() {
        let order = Mutex::new(vec![]);
        let barrier = Barrier::new(2);
        let step = |id, needs: &[StepId], together| {
            let needs = needs.to_vec();
            Box::new(Recorded { id, needs, order: &order, together, ends: End::Well }) as Box<dyn Step>
        };
        let steps = [
            step(StepId::Node, &[], Some(&barrier)),
            step(StepId::Uv, &[], Some(&barrier)),
            step(StepId::Venv, &[StepId::Uv, StepId::Python], None),
        ];
        // Python is not pending: what needs it does not wait for it.
        let pending = BTreeSet::from([StepId::Node, StepId::Uv, StepId::Venv]);
        assert_eq!(apply(&steps, &pending, &Output::new(Mode::Plain)).ok(), Some(3));
        assert_eq!(order.lock().expect("not poisoned").last().map(String::as_str), Some("venv"));
    }

    #[test]
    fn after_a_failure_nothing_new_is_started() {
        let check = |ends, expected: &str| {
            let order = Mutex::new(vec![]);
            let step = |id, needs: &[StepId], ends| {
                let needs = needs.to_vec();
                Box::new(Recorded { id, needs, order: &order, together: None, ends }) as Box<dyn Step>
            };
            let steps = [step(StepId::Uv, &[], ends), step(StepId::Venv, &[StepId::Uv], End::Well)];
            let pending = BTreeSet::from([StepId::Uv, StepId::Venv]);
            let error = apply(&steps, &pending, &Output::new(Mode::Plain)).expect_err("it failed");
            assert_eq!(error.to_string(), expected);
            assert_eq!(*order.lock().expect("not poisoned"), ["uv"]);
        };
        check(End::Badly, &InstallError::NoPip.to_string());
        check(End::InPanic, "the step `uv` broke off: a bug");
    }
}
