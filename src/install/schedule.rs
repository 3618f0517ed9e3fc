//! Carrying out a plan: its steps side by side, each as soon as what it needs is done.

use std::{
    any::Any,
    cmp::Reverse,
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Condvar, Mutex, PoisonError, mpsc},
    thread,
};

use serde::Serialize;

use crate::{
    output::{Event, Line, Output, size},
    platform::{clock::Stopwatch, halt::Halt},
};

use super::{
    InstallError,
    plan::{Planned, Status, StepId},
    step::{Step, Turn},
};

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
            // Why is the last word of the whole setup.
            Self::StepFailed { step, .. } => {
                Line { verb: "Failed", text: format!("{step}; what is under way is ended") }
            }
            Self::StepStarted { step, why } => Line { verb: "Starting", text: format!("{step} ({why})") },
            Self::StepDone { step, what, seconds } => {
                let took = size::duration(std::time::Duration::from_secs_f64(*seconds));
                Line { verb: "Done", text: format!("{step}: {what} in {took}") }
            }
        })
    }
}

/// Which steps have not ended yet, for those that wait for them.
#[derive(Debug, Default)]
pub struct Board {
    state: Mutex<Outlook>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Outlook {
    open: HashSet<StepId>,
    failed: bool,
}

impl Board {
    fn new(open: impl IntoIterator<Item = StepId>) -> Self {
        let state = Outlook { open: open.into_iter().collect(), failed: false };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    pub(super) fn wait_for(&self, step: &StepId) -> Result<(), InstallError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open = |state: &mut Outlook| state.open.contains(step) && !state.failed;
        let state = self.changed.wait_while(state, is_open).unwrap_or_else(PoisonError::into_inner);
        if state.failed { Err(InstallError::GivenUp) } else { Ok(()) }
    }

    pub(super) fn go_on(&self) -> Result<(), InstallError> {
        let failed = self.state.lock().unwrap_or_else(PoisonError::into_inner).failed;
        if failed { Err(InstallError::GivenUp) } else { Ok(()) }
    }

    fn ended(&self, step: &StepId, well: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.open.remove(step);
        state.failed |= !well;
        self.changed.notify_all();
    }
}

/// Carries out the pending steps of the plan, each as soon as what it needs is done, the longest first.
///
/// A step looks once more when its turn comes: what it is made from may have turned out the same.
///
/// # Errors
/// The first failure. It calls `halt`: steps that are under way end, with what would survive a kill left for the next
/// setup; no new one is started.
pub fn apply(
    steps: &[Box<dyn Step + '_>],
    plan: &[Planned],
    (output, halt): (&Output, &Halt),
) -> Result<usize, InstallError> {
    let by_id: HashMap<StepId, &dyn Step> = steps.iter().map(|it| (it.id(), &**it)).collect();
    let mut pending: Vec<&Planned> = plan.iter().filter(|it| it.pending).collect();
    pending.sort_by_key(|it| Reverse(it.cost.bytes));
    // What is there and only made from something that is not may turn out the same: it waits and looks again.
    let begins_after = |it: &&Planned| {
        let step = by_id[&it.step];
        (it.step.clone(), if it.missing { step.begins_after() } else { step.needs() })
    };
    let begins_after: HashMap<StepId, Vec<StepId>> = pending.iter().map(begins_after).collect();
    let mut waiting: Vec<StepId> = pending.iter().map(|it| it.step.clone()).collect();
    let board = Board::new(waiting.iter().cloned());
    let (mut running, mut changed, mut failure) = (HashSet::new(), 0, None);
    let (sender, results) = mpsc::channel();
    let expected = |it: &&Planned| Some((it.step.to_string(), it.cost.bytes.filter(|it| *it > 0)?));
    let _overall = output.overall(pending.iter().filter_map(expected));
    thread::scope(|scope| {
        loop {
            let blocked: HashSet<StepId> = waiting.iter().chain(&running).cloned().collect();
            let ready = |id: &StepId| begins_after[id].iter().all(|need| !blocked.contains(need));
            let start: Vec<StepId> = match failure {
                None => waiting.extract_if(.., |id| ready(id)).collect(),
                Some(_) => vec![],
            };
            for id in start {
                let (step, sender, board) = (by_id[&id], sender.clone(), &board);
                running.insert(id.clone());
                scope.spawn(move || {
                    let result = catch_unwind(AssertUnwindSafe(|| run(step, board, output)));
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
            board.ended(&id, result.is_ok());
            match result {
                Ok(did_something) => changed += usize::from(did_something),
                // It only follows from the failure of another.
                Err(InstallError::GivenUp) => {}
                Err(error) if failure.is_none() => {
                    output.event(&Change::StepFailed { step: id, message: error.to_string() });
                    halt.call();
                    failure = Some(error);
                }
                // It may have failed because it was ended.
                Err(_) => {}
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

fn run(step: &dyn Step, board: &Board, output: &Output) -> Result<bool, InstallError> {
    let id = step.id();
    let why = match step.inspect()? {
        Status::Satisfied { .. } => return Ok(false),
        Status::Missing { why, .. } => why,
    };
    output.event(&Change::StepStarted { step: id.clone(), why });
    let watch = Stopwatch::start();
    let progress = output.progress(&id.to_string());
    let result = step.apply(&Turn { progress: &progress, board });
    drop(progress);
    let (what, seconds) = (result?, watch.elapsed().as_secs_f64());
    output.event(&Change::StepDone { step: id, what, seconds });
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::{super::plan::Cost, *};
    use crate::output::Mode;

    /// Records the order of things; two of them can be made to wait for each other.
    struct Recorded<'a> {
        id: StepId,
        needs: Vec<StepId>,
        order: &'a Mutex<Vec<String>>,
        together: Option<&'a Barrier>,
        ends: End,
        /// Begins at once, and waits for its needs itself.
        early: bool,
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
        fn begins_after(&self) -> Vec<StepId> {
            if self.early { vec![] } else { self.needs() }
        }
        fn inspect(&self) -> Result<Status, InstallError> {
            Ok(Status::Missing { what: String::new(), why: "new".to_owned() })
        }
        fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
            if self.early {
                self.order.lock().expect("not poisoned").push(format!("{} began", self.id));
                self.needs.iter().try_for_each(|it| turn.wait_for(it))?;
            }
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

    fn planned(step: StepId) -> Planned {
        let (what, why, cost) = (String::new(), "new".to_owned(), Cost::default());
        Planned { step, pending: true, missing: true, certain: true, what, why, cost }
    }

    #[test]
    fn steps_run_side_by_side_and_after_what_they_need() {
        let order = Mutex::new(vec![]);
        let barrier = Barrier::new(2);
        let step = |id, needs: &[StepId], together| {
            let needs = needs.to_vec();
            Box::new(Recorded { id, needs, order: &order, together, ends: End::Well, early: false })
                as Box<dyn Step>
        };
        let steps = [
            step(StepId::Node, &[], Some(&barrier)),
            step(StepId::Uv, &[], Some(&barrier)),
            step(StepId::Venv, &[StepId::Uv, StepId::Python], None),
        ];
        // Python is not pending: what needs it does not wait for it.
        let plan = [StepId::Node, StepId::Uv, StepId::Venv].map(planned);
        assert_eq!(apply(&steps, &plan, (&Output::new(Mode::Plain), &Halt::default())).ok(), Some(3));
        let order = order.lock().expect("not poisoned");
        let place = |step: &str| order.iter().position(|it| it == step);
        assert!(place("node").is_some() && place("uv") < place("venv"), "{order:?}");
    }

    #[test]
    fn after_a_failure_nothing_new_is_started() {
        let check = |ends, expected: &str| {
            let order = Mutex::new(vec![]);
            let step = |id, needs: &[StepId], ends| {
                let needs = needs.to_vec();
                Box::new(Recorded { id, needs, order: &order, together: None, ends, early: false })
                    as Box<dyn Step>
            };
            let steps = [step(StepId::Uv, &[], ends), step(StepId::Venv, &[StepId::Uv], End::Well)];
            let plan = [StepId::Uv, StepId::Venv].map(planned);
            let error =
                apply(&steps, &plan, (&Output::new(Mode::Plain), &Halt::default())).expect_err("it failed");
            assert_eq!(error.to_string(), expected);
            assert_eq!(*order.lock().expect("not poisoned"), ["uv"]);
        };
        check(End::Badly, &InstallError::NoPip.to_string());
        check(End::InPanic, "the step `uv` broke off: a bug");
    }

    #[test]
    fn a_step_may_begin_before_what_it_needs_and_gives_up_with_it() {
        let check = |ends, expected: &[&str]| {
            let order = Mutex::new(vec![]);
            let step = |id, needs: &[StepId], ends, early| {
                let (needs, order) = (needs.to_vec(), &order);
                Box::new(Recorded { id, needs, order, together: None, ends, early }) as Box<dyn Step>
            };
            let venv = step(StepId::Venv, &[StepId::Uv], End::Well, true);
            let steps = [
                step(StepId::Uv, &[StepId::Python], ends, false),
                venv,
                step(StepId::Python, &[], End::Well, false),
            ];
            let plan = [StepId::Uv, StepId::Venv, StepId::Python].map(planned);
            let result = apply(&steps, &plan, (&Output::new(Mode::Plain), &Halt::default()));
            assert_eq!(result.is_ok(), ends == End::Well);
            let mut order = order.lock().expect("not poisoned").clone();
            order.sort_by_key(|it| it == "venv began");
            assert_eq!(order, expected);
        };
        check(End::Well, &["python", "uv", "venv", "venv began"]);
        check(End::Badly, &["python", "uv", "venv began"]);
    }
}
