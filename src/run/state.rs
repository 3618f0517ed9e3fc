//! The life of a run as a pure machine: what happened goes in, the next state and what to do about it come out.
//!
//! Nothing here waits, reads or signals. Every pair of state and event is spelled out, so that a new event cannot be
//! forgotten anywhere.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::{
    procfs::ProcessId,
    signal::{Exit, Force},
};

use super::{
    evidence::{Evidence, Phase, Sight},
    journal::Record,
    outcome::{Manner, Outcome},
};

/// For ranks to unwind after SIGINT: TensorBoard and W&B write their last records.
const AFTER_INT: Duration = Duration::from_secs(20);
/// For everybody to end after SIGTERM.
const AFTER_TERM: Duration = Duration::from_secs(10);
/// The same when the user is in a hurry.
const AFTER_TERM_NOW: Duration = Duration::from_secs(3);
/// Between two rounds of SIGKILL; a process may have forked between being found and being killed.
const AFTER_KILL: Duration = Duration::from_millis(200);
/// For the others to follow when the program that we started has ended.
const LINGER: Duration = Duration::from_secs(1);
/// Most time between a step line and the request to save.
const ASK_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// The supervisor is there, the trainer not yet.
    Starting,
    Running(Evidence),
    Stopping(Stopping),
    /// No process of the run is left.
    Ended(Outcome),
}

/// On the way to the end, because somebody asked or because the trainer ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    pub evidence: Evidence,
    pub degree: Degree,
    /// How it was asked to stop while it still ran.
    pub asked: Option<Manner>,
    /// The trainer's control file was written.
    pub save_requested: bool,
    /// It is about to be, by this supervisor; its successor begins anew.
    #[serde(skip)]
    pub save_due: bool,
}

/// How hard the run is being stopped. Only ever rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Degree {
    /// The trainer is asked to save and leave.
    Save,
    /// The ranks have been interrupted.
    Interrupt,
    /// The program that we started is gone; the others may follow by themselves.
    Linger,
    /// Everybody was told to end.
    Terminate,
    /// Everybody is being killed until nobody is left.
    Kill,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Spawned(ProcessId),
    SpawnFailed {
        reason: String,
    },
    /// A new supervisor took over from one that was killed.
    Adopted,
    Seen(Sight),
    ChildExited(Exit),
    OutputClosed,
    /// A search found no process of the run.
    NobodyLeft,
    StopRequested(Manner),
    /// The trainer's control file was written.
    SaveRequested,
    /// The trainer's folder, where the request belongs, was not found.
    SaveFailed,
    DeadlinePassed,
    /// The supervisor was told to end, as at a shutdown of the machine.
    Signalled,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Record(Record),
    /// Raise [`Event::DeadlinePassed`] after this time, instead of any earlier deadline.
    Arm(Duration),
    /// Ask the trainer to save and leave, this long from now.
    RequestSave {
        after: Duration,
    },
    /// INT goes to the ranks alone, the others to every process of the run.
    Signal(Force),
}

type Next = (RunState, Vec<Action>);

impl Degree {
    /// What is being waited for, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Save => "waiting for the trainer to save and leave",
            Self::Interrupt => "interrupted, waiting for the ranks to end",
            Self::Linger => "waiting for the last processes to end",
            Self::Terminate => "told everybody to end",
            Self::Kill => "killing what is left",
        }
    }
}

impl RunState {
    /// What `event`, at the time `at` of the supervisor's clock if that is known, makes of this state.
    #[must_use]
    pub fn on(self, event: Event, at: Option<Duration>) -> Next {
        match self {
            Self::Starting => starting(event),
            Self::Running(evidence) => running(evidence, &event, at),
            Self::Stopping(stopping) => stopping.on(&event, at),
            // The end is the end.
            Self::Ended(outcome) => (Self::Ended(outcome), vec![]),
        }
    }

    pub const fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::Starting | Self::Running(_) | Self::Stopping(_) => None,
        }
    }

    pub const fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Running(evidence) | Self::Stopping(Stopping { evidence, .. }) => Some(evidence),
            Self::Starting | Self::Ended(_) => None,
        }
    }

    /// It has reached its first step: there is something to save.
    pub fn has_trained(&self) -> bool {
        self.evidence().is_some_and(|it| matches!(it.phase, Phase::Training(_)))
    }

    /// What a reader should hear of at once: everything but how far the training is.
    pub const fn stage(&self) -> (&'static str, Option<(Degree, bool)>) {
        match self {
            Self::Stopping(stopping) => (self.word(), Some((stopping.degree, stopping.save_requested))),
            Self::Starting | Self::Running(_) | Self::Ended(_) => (self.word(), None),
        }
    }

    /// One word for people and scripts.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running(evidence) => evidence.phase.word(),
            Self::Stopping(_) => "stopping",
            Self::Ended(outcome) => outcome.word(),
        }
    }
}

/// Requests are read only after the start has been answered, and only a child that was started can end.
fn starting(event: Event) -> Next {
    match event {
        Event::Spawned(process) => {
            let record = Record::Started { pid: process.pid };
            (RunState::Running(Evidence::default()), vec![Action::Record(record)])
        }
        Event::SpawnFailed { reason } => ended(Outcome::NotStarted { reason }),
        Event::Adopted => adopted(Evidence::default()),
        Event::NobodyLeft => ended(Outcome::Lost),
        Event::Seen(_)
        | Event::ChildExited(_)
        | Event::OutputClosed
        | Event::StopRequested(_)
        | Event::SaveRequested
        | Event::SaveFailed
        | Event::DeadlinePassed
        | Event::Signalled => (RunState::Starting, vec![]),
    }
}

fn running(mut evidence: Evidence, event: &Event, at: Option<Duration>) -> Next {
    match *event {
        Event::Seen(sight) => {
            let before = evidence.phase.word();
            evidence.take(sight, at);
            let phase = evidence.phase.word();
            let changed = (phase != before).then_some(Action::Record(Record::Phase { phase }));
            (RunState::Running(evidence), changed.into_iter().collect())
        }
        Event::ChildExited(exit) => {
            evidence.exit = Some(exit);
            let actions = vec![Action::Record(Record::Exited { exit }), Action::Arm(LINGER)];
            (stopping(evidence, Degree::Linger, None), actions)
        }
        Event::OutputClosed => {
            evidence.output_closed = true;
            (RunState::Running(evidence), vec![])
        }
        Event::StopRequested(manner) => {
            let first = Action::Record(Record::StopRequested { manner });
            let (degree, mut actions) = first_degree(&evidence, manner);
            actions.insert(0, first);
            (stopping(evidence, degree, Some(manner)), actions)
        }
        Event::Signalled => {
            let mut actions = vec![Action::Record(Record::SupervisorSignalled)];
            actions.extend(interrupt());
            (stopping(evidence, Degree::Interrupt, Some(Manner::Graceful)), actions)
        }
        Event::Adopted => adopted(evidence),
        // The child has not ended yet, and nothing was asked for.
        Event::Spawned(_)
        | Event::SpawnFailed { .. }
        | Event::NobodyLeft
        | Event::SaveRequested
        | Event::SaveFailed
        | Event::DeadlinePassed => (RunState::Running(evidence), vec![]),
    }
}

impl Stopping {
    fn on(mut self, event: &Event, at: Option<Duration>) -> Next {
        let actions = match *event {
            Event::Seen(sight) => return self.seen(sight, at),
            Event::ChildExited(exit) => {
                self.evidence.exit = self.evidence.exit.or(Some(exit));
                let mut actions = vec![Action::Record(Record::Exited { exit })];
                if self.degree < Degree::Linger {
                    self.degree = Degree::Linger;
                    actions.push(Action::Arm(LINGER));
                }
                actions
            }
            Event::OutputClosed => {
                self.evidence.output_closed = true;
                vec![]
            }
            Event::NobodyLeft if self.evidence.exit.is_some() && self.evidence.output_closed => {
                return ended(self.evidence.outcome(self.asked));
            }
            Event::StopRequested(manner) => self.asked_again(manner),
            Event::SaveRequested => {
                self.save_requested = true;
                vec![Action::Record(Record::SaveRequested)]
            }
            Event::SaveFailed | Event::Signalled if self.degree == Degree::Save => self.rise(),
            Event::DeadlinePassed => self.rise(),
            Event::Adopted => {
                // The old deadline died with its supervisor.
                let patience = if self.degree == Degree::Save { self.evidence.patience() } else { LINGER };
                vec![Action::Record(Record::Adopted), Action::Arm(patience)]
            }
            // Of `NobodyLeft`: its exit status or its last words are still on their way.
            Event::NobodyLeft
            | Event::Spawned(_)
            | Event::SpawnFailed { .. }
            | Event::SaveFailed
            | Event::Signalled => vec![],
        };
        (RunState::Stopping(self), actions)
    }

    fn seen(mut self, sight: Sight, at: Option<Duration>) -> Next {
        self.evidence.take(sight, at);
        let asked = self.save_requested || self.save_due;
        // A step that is long over is no moment to count from.
        let is_new = sight == Sight::Step && at.is_some();
        let due = self.degree == Degree::Save && !asked && is_new;
        let mut actions = vec![];
        if let (true, Phase::Training(pace)) = (due, &self.evidence.phase) {
            self.save_due = true;
            // Every rank looks for the file by itself, right after a step, and they must all find it or all miss it:
            // the middle of a step is when none of them looks.
            let after = (pace.step / 2).min(ASK_AFTER);
            actions = vec![Action::RequestSave { after }];
        }
        (RunState::Stopping(self), actions)
    }

    /// The trainer is still to be asked to save and leave: nothing harder has been done and it does not leave already.
    pub fn wants_save(&self) -> bool {
        self.degree == Degree::Save && self.evidence.proof.is_none()
    }

    /// Asking for this once more would change nothing.
    pub fn has_heard(&self, manner: Manner) -> bool {
        let by_itself = self.evidence.exit.is_some();
        match manner {
            Manner::Graceful => self.asked.is_some() || by_itself,
            Manner::Now => self.asked == Some(Manner::Now) || (by_itself && self.degree >= Degree::Terminate),
        }
    }

    fn asked_again(&mut self, manner: Manner) -> Vec<Action> {
        if self.has_heard(manner) {
            return vec![];
        }
        // What ended by itself was not stopped by a request that came later.
        if self.evidence.exit.is_none() {
            self.asked = Some(self.asked.map_or(manner, |before| before.or_harder(manner)));
        }
        let mut actions = vec![Action::Record(Record::StopRequested { manner })];
        if manner == Manner::Now {
            match self.degree {
                Degree::Save | Degree::Interrupt | Degree::Linger => {
                    self.degree = Degree::Terminate;
                    actions.extend(terminate(AFTER_TERM_NOW));
                }
                Degree::Terminate => actions.push(Action::Arm(AFTER_TERM_NOW)),
                Degree::Kill => {}
            }
        }
        actions
    }

    fn rise(&mut self) -> Vec<Action> {
        let (degree, actions) = match self.degree {
            Degree::Save => (Degree::Interrupt, interrupt()),
            Degree::Interrupt => (Degree::Terminate, terminate(AFTER_TERM)),
            Degree::Linger => {
                self.evidence.survivors = true;
                (Degree::Terminate, terminate(AFTER_TERM))
            }
            Degree::Terminate => {
                let mut actions = signal(Force::Kill);
                actions.push(Action::Arm(AFTER_KILL));
                (Degree::Kill, actions)
            }
            Degree::Kill => (Degree::Kill, vec![Action::Signal(Force::Kill), Action::Arm(AFTER_KILL)]),
        };
        self.degree = degree;
        actions
    }
}

/// Only a training loop looks for the request to save.
fn first_degree(evidence: &Evidence, manner: Manner) -> (Degree, Vec<Action>) {
    match (manner, &evidence.phase) {
        (Manner::Now, _) => (Degree::Terminate, terminate(AFTER_TERM_NOW)),
        (Manner::Graceful, Phase::Training(_)) => (Degree::Save, vec![Action::Arm(evidence.patience())]),
        (Manner::Graceful, Phase::Loading | Phase::Caching) => (Degree::Interrupt, interrupt()),
    }
}

fn interrupt() -> Vec<Action> {
    let mut actions = signal(Force::Int);
    actions.push(Action::Arm(AFTER_INT));
    actions
}

fn terminate(patience: Duration) -> Vec<Action> {
    let mut actions = signal(Force::Term);
    actions.push(Action::Arm(patience));
    actions
}

fn signal(force: Force) -> Vec<Action> {
    vec![Action::Record(Record::Signalled { force }), Action::Signal(force)]
}

fn stopping(evidence: Evidence, degree: Degree, asked: Option<Manner>) -> RunState {
    RunState::Stopping(Stopping { evidence, degree, asked, save_requested: false, save_due: false })
}

fn adopted(evidence: Evidence) -> Next {
    (RunState::Running(evidence), vec![Action::Record(Record::Adopted)])
}

fn ended(outcome: Outcome) -> Next {
    let record = Record::Ended { outcome: outcome.clone() };
    (RunState::Ended(outcome), vec![Action::Record(record)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHILD: ProcessId = ProcessId { pid: 7, started: 1 };

    /// Feeds `events`, a second apart, and returns the last state and what was to be done after each.
    fn play(events: impl IntoIterator<Item = Event>) -> (RunState, Vec<Vec<Action>>) {
        let mut state = RunState::Starting;
        let mut done = vec![];
        for (event, second) in events.into_iter().zip(1..) {
            let (next, actions) = state.on(event, Some(Duration::from_secs(second)));
            state = next;
            done.push(actions);
        }
        (state, done)
    }

    fn graceful() -> Event {
        Event::StopRequested(Manner::Graceful)
    }

    #[test]
    fn a_run_that_says_so_and_leaves_nobody_behind_is_complete() {
        let (state, _) = play([
            Event::Spawned(CHILD),
            Event::Seen(Sight::Step),
            Event::Seen(Sight::Complete),
            Event::ChildExited(Exit::Code(0)),
            Event::OutputClosed,
            Event::NobodyLeft,
        ]);
        assert_eq!(state, RunState::Ended(Outcome::Completed));
    }

    #[test]
    fn a_stop_before_the_training_loop_interrupts_at_once() {
        let (_, done) = play([Event::Spawned(CHILD), graceful()]);
        assert_eq!(
            done[1],
            [
                Action::Record(Record::StopRequested { manner: Manner::Graceful }),
                Action::Record(Record::Signalled { force: Force::Int }),
                Action::Signal(Force::Int),
                Action::Arm(AFTER_INT),
            ]
        );
    }

    #[test]
    fn a_stop_while_training_asks_to_save_in_the_middle_of_the_next_step() {
        let step = || Event::Seen(Sight::Step);
        let (_, done) = play([Event::Spawned(CHILD), step(), step(), graceful(), step(), step()]);
        assert_eq!(
            done[3],
            [
                Action::Record(Record::StopRequested { manner: Manner::Graceful }),
                Action::Arm(Duration::from_mins(1)),
            ]
        );
        let request = Action::RequestSave { after: Duration::from_secs(1) };
        assert_eq!(done[4], [request]);
        assert_eq!(done[5], [], "once is enough");
    }

    #[test]
    fn a_request_to_save_that_died_with_its_supervisor_is_made_by_the_next_one() {
        let step = || Event::Seen(Sight::Step);
        let (state, _) = play([Event::Spawned(CHILD), step(), step(), graceful(), step()]);
        let text = serde_json::to_string(&state).expect("written");
        let check = |between: &[Event], expected: usize| {
            let mut state: RunState = serde_json::from_str(&text).expect("read");
            let mut requests = 0;
            for event in between.iter().chain(&[Event::Adopted, step(), step()]) {
                let (next, actions) = state.on(event.clone(), Some(Duration::ZERO));
                state = next;
                requests += actions.iter().filter(|it| matches!(it, Action::RequestSave { .. })).count();
            }
            assert_eq!(requests, expected, "{between:?}");
        };
        check(&[], 1);
        check(&[Event::SaveRequested], 0);
    }

    #[test]
    fn what_does_not_end_is_told_harder_and_harder() {
        let passed = || Event::DeadlinePassed;
        let (state, done) = play([
            Event::Spawned(CHILD),
            Event::Seen(Sight::Step),
            graceful(),
            passed(),
            passed(),
            passed(),
            passed(),
            Event::ChildExited(Exit::Signal(9)),
            Event::OutputClosed,
            Event::NobodyLeft,
        ]);
        let signals: Vec<_> = done
            .iter()
            .flatten()
            .filter_map(|action| if let Action::Signal(force) = action { Some(*force) } else { None })
            .collect();
        assert_eq!(signals, [Force::Int, Force::Term, Force::Kill, Force::Kill]);
        assert_eq!(state, RunState::Ended(Outcome::Stopped { saved: false }));
    }

    #[test]
    fn ranks_that_outlive_their_launcher_are_ended_and_the_run_counts_as_killed() {
        let (state, done) = play([
            Event::Spawned(CHILD),
            Event::Seen(Sight::Step),
            Event::ChildExited(Exit::Code(0)),
            Event::DeadlinePassed,
            Event::OutputClosed,
            Event::NobodyLeft,
        ]);
        assert_eq!(done[3], terminate(AFTER_TERM));
        assert_eq!(state, RunState::Ended(Outcome::Killed { signal: None }));
    }

    #[test]
    fn a_stop_that_comes_after_the_failure_does_not_hide_it() {
        let (state, _) = play([
            Event::Spawned(CHILD),
            Event::ChildExited(Exit::Code(3)),
            Event::StopRequested(Manner::Now),
            Event::OutputClosed,
            Event::NobodyLeft,
        ]);
        assert_eq!(state, RunState::Ended(Outcome::Failed { exit: Exit::Code(3) }));
    }

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        let (state, _) = play([Event::Spawned(CHILD), Event::Seen(Sight::Step), graceful()]);
        let text = serde_json::to_string(&state).expect("written");
        let read: RunState = serde_json::from_str(&text).expect("read");
        // All but the times of a clock that ends with its supervisor.
        assert_eq!(serde_json::to_string(&read).expect("written"), text);
    }

    fn any_event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Spawned(CHILD)),
            Just(Event::SpawnFailed { reason: "no".to_owned() }),
            Just(Event::Adopted),
            prop_oneof![
                Just(Sight::Caching),
                Just(Sight::Step),
                Just(Sight::Saving),
                Just(Sight::Complete),
                Just(Sight::Quit),
                (-20..300).prop_map(Sight::Returned),
            ]
            .prop_map(Event::Seen),
            prop_oneof![(0..256).prop_map(Exit::Code), (1..32).prop_map(Exit::Signal), Just(Exit::Unknown)]
                .prop_map(Event::ChildExited),
            Just(Event::OutputClosed),
            Just(Event::NobodyLeft),
            prop_oneof![Just(Manner::Graceful), Just(Manner::Now)].prop_map(Event::StopRequested),
            Just(Event::SaveRequested),
            Just(Event::SaveFailed),
            Just(Event::DeadlinePassed),
            Just(Event::Signalled),
        ]
    }

    const fn degree(state: &RunState) -> Option<Degree> {
        match state {
            RunState::Stopping(stopping) => Some(stopping.degree),
            RunState::Starting | RunState::Running(_) | RunState::Ended(_) => None,
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_the_run_ends_once_everything_is_gone(
            events in prop::collection::vec(any_event(), 0..40),
        ) {
            let gone = [Event::ChildExited(Exit::Unknown), Event::OutputClosed, Event::NobodyLeft];
            let (state, _) = play(events.into_iter().chain(gone));
            prop_assert!(state.outcome().is_some(), "{state:?}");
        }

        #[test]
        fn force_only_rises_and_there_is_one_end(events in prop::collection::vec(any_event(), 0..40)) {
            let mut state = RunState::Starting;
            let mut ends = 0;
            for (event, second) in events.into_iter().zip(1..) {
                let before = state.clone();
                let (next, actions) = state.on(event, Some(Duration::from_secs(second)));
                state = next;
                prop_assert!(state.outcome().is_some() || degree(&before) <= degree(&state));
                ends += actions.iter().filter(|it| matches!(it, Action::Record(Record::Ended { .. }))).count();
            }
            prop_assert_eq!(ends, usize::from(state.outcome().is_some()));
        }
    }
}
