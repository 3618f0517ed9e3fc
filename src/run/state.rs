//! The life of a run as a pure machine: what happened goes in, the next state and what to do about it come out.
//!
//! Nothing here waits, reads or signals. Every pair of state and event is spelled out: none can be forgotten.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::platform::{
    procfs::ProcessId,
    signal::{Exit, Force},
};

use super::{
    evidence::{Asked, Evidence, NodeFailure, Phase, Sight},
    journal::Record,
    outcome::{Concern, Manner, Memory, Outcome},
};

mod running;
mod stopping;

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
/// For ranks that their launcher has told to end.
const AFTER_GIVING_UP: Duration = Duration::from_secs(3);
/// Most time between a step line and the request to save.
const ASK_AFTER: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// It waits for its turn, and for what it computes on.
    Queued,
    /// The supervisor is there, the trainer not yet.
    Starting,
    Running(Running),
    Stopping(Stopping),
    /// No process of the run is left, and it will be tried again.
    Waiting(Waiting),
    /// No process of the run is left.
    Ended(Outcome),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    #[serde(flatten)]
    pub evidence: Evidence,
    pub save: Option<Save>,
    /// The trainer is about to be asked to save, by this supervisor; its successor begins anew.
    #[serde(skip)]
    pub save_due: bool,
}

/// How far a checkpoint is that somebody asked for while the training goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Save {
    /// The trainer will be told in the middle of its next step.
    Wanted,
    /// Its control file was written.
    Asked,
    /// It is being written.
    Writing,
}

/// Between an end that need not be the last and the next try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub again: Again,
    /// How the last try ended.
    pub last: Outcome,
}

/// One more try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// Of this restart, from 1 on.
    pub number: u32,
    pub after: Duration,
    /// Of the checkpoint that it goes on from.
    pub step: Option<u64>,
}

/// On the way to the end, because somebody asked or because the trainer ended by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopping {
    pub evidence: Evidence,
    pub degree: Degree,
    /// That it was asked to stop while it still ran.
    pub asked: Option<Asked>,
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
    /// The launcher ends its ranks, one after the other.
    GivenUp,
    /// They have been killed; the launcher has yet to say why.
    Culled,
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
    /// What the machine and the log say about an end that has come.
    OutOfMemory(Memory),
    /// A search found no process of the run. Whether there is one more try, should this be the end.
    NobodyLeft(Option<Again>),
    StopRequested(Manner),
    /// It is so wrong that the user wants it ended.
    Concerned(Concern),
    /// Another machine of the run cannot go on.
    NodeFailed(NodeFailure),
    /// Somebody wants a checkpoint, and the training to go on.
    SaveWanted,
    /// The trainer's control file was written.
    SaveRequested,
    /// The trainer's folder, where the request belongs, was not found.
    SaveFailed,
    DeadlinePassed,
    /// What it was queued for is its own now.
    Turn,
    /// The supervisor was told to end, as at a shutdown of the machine.
    Signalled,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Record(Record),
    /// Raise [`Event::DeadlinePassed`] after this time, instead of any earlier deadline.
    Arm(Duration),
    /// Ask the trainer to save, this long from now; and to leave then, if it is being stopped.
    RequestSave {
        after: Duration,
    },
    /// Start the trainer, whose turn has come.
    Begin,
    /// Start the trainer once more.
    StartAgain(Again),
    /// Kill the ranks, and nobody else: the launcher has yet to say why it ends them.
    KillRanks,
    /// INT goes to the ranks alone, the others to every process of the run.
    Signal(Force),
}

type Next = (RunState, Vec<Action>);

impl RunState {
    /// What `event`, at the time `at` of the supervisor's clock if that is known, makes of this state.
    #[must_use]
    pub fn on(self, event: Event, at: Option<Duration>) -> Next {
        match self {
            Self::Queued => queued(&event),
            Self::Starting => starting(event),
            Self::Running(running) => running.on(&event, at),
            Self::Stopping(stopping) => stopping.on(&event, at),
            Self::Waiting(waiting) => waiting.on(&event),
            // The end is the end.
            Self::Ended(outcome) => (Self::Ended(outcome), vec![]),
        }
    }

    pub const fn outcome(&self) -> Option<&Outcome> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::Queued | Self::Starting | Self::Running(_) | Self::Stopping(_) | Self::Waiting(_) => None,
        }
    }

    /// It does not wait in the queue, and was not taken out of it.
    pub const fn began(&self) -> bool {
        !matches!(self, Self::Queued | Self::Ended(Outcome::Withdrawn))
    }

    pub const fn evidence(&self) -> Option<&Evidence> {
        match self {
            Self::Running(Running { evidence, .. }) | Self::Stopping(Stopping { evidence, .. }) => {
                Some(evidence)
            }
            Self::Queued | Self::Starting | Self::Waiting(_) | Self::Ended(_) => None,
        }
    }

    /// It has reached its first step: there is something to save.
    pub fn has_trained(&self) -> bool {
        self.evidence().is_some_and(|it| matches!(it.phase, Phase::Training(_)))
    }

    /// What a reader should hear of at once: everything but how far the training is.
    pub const fn stage(&self) -> (&'static str, Option<(Degree, bool)>, Option<Save>) {
        match self {
            Self::Stopping(stopping) => (self.word(), Some((stopping.degree, stopping.save_requested)), None),
            Self::Running(running) => (self.word(), None, running.save),
            Self::Queued | Self::Starting | Self::Waiting(_) | Self::Ended(_) => (self.word(), None, None),
        }
    }

    /// One word for people and scripts.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Starting => "starting",
            Self::Running(running) => running.evidence.phase.word(),
            Self::Stopping(_) => "stopping",
            Self::Waiting(_) => "restarting",
            Self::Ended(outcome) => outcome.word(),
        }
    }
}

/// Nothing of it runs, so whatever ends it ends it at once.
fn queued(event: &Event) -> Next {
    match *event {
        Event::Turn => (RunState::Starting, vec![Action::Record(Record::Turn), Action::Begin]),
        Event::StopRequested(manner) => {
            let (state, mut actions) = ended(Outcome::Withdrawn);
            actions.insert(0, Action::Record(Record::StopRequested { manner }));
            (state, actions)
        }
        Event::Adopted => (RunState::Queued, vec![Action::Record(Record::Adopted)]),
        // The machine goes down; the next supervisor waits on.
        Event::Signalled
        | Event::Spawned(_)
        | Event::SpawnFailed { .. }
        | Event::Seen(_)
        | Event::ChildExited(_)
        | Event::OutputClosed
        | Event::OutOfMemory(_)
        | Event::NobodyLeft(_)
        | Event::Concerned(_)
        | Event::NodeFailed(_)
        | Event::SaveWanted
        | Event::SaveRequested
        | Event::SaveFailed
        | Event::DeadlinePassed => (RunState::Queued, vec![]),
    }
}

/// Requests are read only after the start has been answered, and only a child that was started can end.
fn starting(event: Event) -> Next {
    match event {
        Event::Spawned(process) => {
            let record = Record::Started { pid: process.pid };
            (RunState::Running(Running::default()), vec![Action::Record(record)])
        }
        Event::SpawnFailed { reason } => ended(Outcome::NotStarted { reason }),
        Event::Adopted => adopted(Running::default()),
        Event::NobodyLeft(_) => ended(Outcome::Lost),
        Event::Seen(_)
        | Event::ChildExited(_)
        | Event::OutputClosed
        | Event::OutOfMemory(_)
        | Event::StopRequested(_)
        | Event::Concerned(_)
        | Event::NodeFailed(_)
        | Event::SaveWanted
        | Event::SaveRequested
        | Event::SaveFailed
        | Event::DeadlinePassed
        | Event::Turn
        | Event::Signalled => (RunState::Starting, vec![]),
    }
}

impl Waiting {
    fn on(self, event: &Event) -> Next {
        let Self { again, last } = self;
        match *event {
            Event::DeadlinePassed => (RunState::Starting, vec![Action::StartAgain(again)]),
            Event::StopRequested(manner) => {
                let (state, mut actions) = ended(Outcome::Stopped { saved: false });
                actions.insert(0, Action::Record(Record::StopRequested { manner }));
                (state, actions)
            }
            Event::Signalled => ended(Outcome::Interrupted),
            Event::Adopted => {
                let actions = vec![Action::Record(Record::Adopted), Action::Arm(again.after)];
                (RunState::Waiting(Self { again, last }), actions)
            }
            Event::Spawned(_)
            | Event::SpawnFailed { .. }
            | Event::Seen(_)
            | Event::ChildExited(_)
            | Event::OutputClosed
            | Event::OutOfMemory(_)
            | Event::NobodyLeft(_)
            | Event::Concerned(_)
            | Event::NodeFailed(_)
            | Event::SaveWanted
            | Event::SaveRequested
            | Event::SaveFailed
            | Event::Turn => (RunState::Waiting(Self { again, last }), vec![]),
        }
    }
}

/// Only a training loop looks for the request to save.
fn first_degree(evidence: &Evidence, manner: Manner) -> (Degree, Vec<Action>) {
    match (manner, &evidence.phase) {
        (Manner::Now, _) => (Degree::Terminate, terminate(AFTER_TERM_NOW)),
        (Manner::Graceful, Phase::Training(_)) => (Degree::Save, vec![Action::Arm(evidence.patience())]),
        (Manner::Graceful, Phase::Loading | Phase::Caching) | (Manner::NoSave, _) => {
            (Degree::Interrupt, interrupt())
        }
    }
}

/// Asks the trainer to save, if a step that has just been done says when.
///
/// Every rank looks for the file by itself, right after a step, and they must all find it or all miss it: the middle of
/// a step is when none of them looks. A step that is long over is no moment to count from.
fn request_save(evidence: &Evidence, at: Option<Duration>) -> Option<Action> {
    match (&evidence.phase, at) {
        (Phase::Training(pace), Some(_)) => {
            Some(Action::RequestSave { after: (pace.step / 2).min(ASK_AFTER) })
        }
        _ => None,
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

fn stopping(evidence: Evidence, degree: Degree, asked: Option<Asked>) -> RunState {
    RunState::Stopping(Stopping { evidence, degree, asked, save_requested: false, save_due: false })
}

fn adopted(running: Running) -> Next {
    (RunState::Running(running), vec![Action::Record(Record::Adopted)])
}

fn waiting(again: Again, last: Outcome) -> Next {
    let ended = Record::AttemptEnded { outcome: last.clone() };
    let record = Record::Restarting { number: again.number, step: again.step, after: again.after };
    let actions = vec![Action::Record(ended), Action::Record(record), Action::Arm(again.after)];
    (RunState::Waiting(Waiting { again, last }), actions)
}

fn ended(outcome: Outcome) -> Next {
    let record = Record::Ended { outcome: outcome.clone() };
    (RunState::Ended(outcome), vec![Action::Record(record)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{stopping::SAVE_AT_SHUTDOWN, *};

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
            Event::NobodyLeft(None),
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
            Event::NobodyLeft(None),
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
            Event::NobodyLeft(None),
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
            Event::NobodyLeft(None),
        ]);
        assert_eq!(state, RunState::Ended(Outcome::Failed { exit: Exit::Code(3) }));
    }

    #[test]
    fn a_save_while_training_is_asked_for_once_and_the_training_goes_on() {
        let seen = Event::Seen;
        let (state, done) = play([
            Event::Spawned(CHILD),
            Event::SaveWanted,
            seen(Sight::Step),
            Event::SaveWanted,
            seen(Sight::Step),
            Event::SaveWanted,
            Event::SaveRequested,
            seen(Sight::Step),
            seen(Sight::Saving),
            seen(Sight::Step),
        ]);
        assert_eq!(done[1], [], "there is nothing to save yet");
        assert_eq!(done[3], [Action::Record(Record::SaveWanted)]);
        assert_eq!(done[4].len(), 1, "{:?}", done[4]);
        assert!(matches!(done[4][0], Action::RequestSave { .. }));
        assert_eq!((&done[5], &done[7]), (&vec![], &vec![]), "once is enough");
        assert_eq!(done[6], [Action::Record(Record::SaveRequested)]);
        assert_eq!(done[9], [Action::Record(Record::Saved)]);
        assert!(matches!(state, RunState::Running(Running { save: None, save_due: false, .. })), "{state:?}");
    }

    #[test]
    fn a_run_that_is_to_be_tried_again_waits_and_starts_unless_the_user_wanted_its_end() {
        let again = Again { number: 1, after: Duration::from_secs(9), step: Some(40) };
        let gone =
            || [Event::ChildExited(Exit::Code(247)), Event::OutputClosed, Event::NobodyLeft(Some(again))];
        let (state, done) = play([Event::Spawned(CHILD), Event::Seen(Sight::Step)].into_iter().chain(gone()));
        let last = Outcome::Killed { signal: Some(9) };
        assert_eq!(state, RunState::Waiting(Waiting { again, last }));
        assert_eq!(done[4].last(), Some(&Action::Arm(again.after)));
        let (state, actions) = state.on(Event::DeadlinePassed, None);
        assert_eq!((&state, actions), (&RunState::Starting, vec![Action::StartAgain(again)]));
        let (state, _) = state.on(Event::Spawned(CHILD), None);
        assert_eq!(state, RunState::Running(Running::default()));

        let stopped = [Event::Spawned(CHILD), Event::StopRequested(Manner::NoSave)];
        let (state, _) = play(stopped.into_iter().chain(gone()));
        assert_eq!(state, RunState::Ended(Outcome::Stopped { saved: false }));
        // What dpgui itself has ended may be tried again.
        let stalled = [Event::Spawned(CHILD), Event::Concerned(Concern::Stalled)];
        let (state, _) = play(stalled.into_iter().chain(gone()));
        let last = Outcome::Abandoned { concern: Concern::Stalled };
        assert_eq!(state, RunState::Waiting(Waiting { again, last }));
        let (state, _) = state.on(Event::StopRequested(Manner::Graceful), None);
        assert_eq!(state, RunState::Ended(Outcome::Stopped { saved: false }));
    }

    #[test]
    fn without_a_save_the_ranks_are_interrupted_at_once_even_if_a_save_was_waited_for() {
        let no_save = || Event::StopRequested(Manner::NoSave);
        let expected = [
            Action::Record(Record::StopRequested { manner: Manner::NoSave }),
            Action::Record(Record::Signalled { force: Force::Int }),
            Action::Signal(Force::Int),
            Action::Arm(AFTER_INT),
        ];
        let (_, done) = play([Event::Spawned(CHILD), Event::Seen(Sight::Step), no_save()]);
        assert_eq!(done[2], expected);
        let (_, done) =
            play([Event::Spawned(CHILD), Event::Seen(Sight::Step), graceful(), no_save(), graceful()]);
        assert_eq!((&done[3][..], &done[4][..]), (&expected[..], &[][..]));
    }

    #[test]
    fn a_machine_that_goes_down_gets_a_save_if_that_fits_and_has_cut_the_run_off() {
        let steps = |count| (0..count).map(|_| Event::Seen(Sight::Step));
        let training = |count| std::iter::once(Event::Spawned(CHILD)).chain(steps(count));
        let gone = || [Event::ChildExited(Exit::Code(254)), Event::OutputClosed, Event::NobodyLeft(None)];
        let interrupted = RunState::Ended(Outcome::Interrupted);
        let noted = Action::Record(Record::SupervisorSignalled);
        let (state, done) = play(
            training(3)
                .chain([Event::Signalled, Event::Seen(Sight::Step), Event::Seen(Sight::Quit)])
                .chain(gone()),
        );
        assert_eq!(done[4], [noted.clone(), Action::Arm(SAVE_AT_SHUTDOWN)]);
        assert!(matches!(done[5][..], [Action::RequestSave { .. }]), "{:?}", done[5]);
        assert_eq!(state, interrupted);
        // One that was measured to take longer, and one that would have nothing in it.
        let long = Event::Seen(Sight::Saving);
        let waits = (0..SAVE_AT_SHUTDOWN.as_secs()).map(|_| Event::DeadlinePassed);
        for before in
            [training(2).chain([long]).chain(waits).chain(steps(1)).collect(), vec![Event::Spawned(CHILD)]]
        {
            let (state, done) = play(before.into_iter().chain([Event::Signalled]).chain(gone()));
            let told = &done[done.len() - 4];
            assert!(told[0] == noted && told.contains(&Action::Signal(Force::Int)), "{told:?}");
            assert_eq!(state, interrupted);
        }
        // All processes are told at once: who hears of it first is chance.
        let term = || Event::ChildExited(Exit::Signal(15));
        let rest = || [Event::OutputClosed, Event::NobodyLeft(None)];
        for both in [[term(), Event::Signalled], [Event::Signalled, term()]] {
            assert_eq!(play(training(3).chain(both).chain(rest())).0, interrupted);
        }
        let (state, _) = play(training(3).chain([term()]).chain(rest()));
        assert_eq!(state, RunState::Ended(Outcome::Killed { signal: Some(15) }));
        let failed = [Event::ChildExited(Exit::Code(1)), Event::Signalled];
        let (state, _) = play(training(3).chain(failed).chain(rest()));
        assert_eq!(state, RunState::Ended(Outcome::Failed { exit: Exit::Code(1) }), "that was before");
        // What the user has stopped is not brought back.
        let stop = [graceful(), Event::Signalled, Event::Seen(Sight::Quit)];
        let (state, done) = play(training(3).chain(stop).chain(gone()));
        assert_eq!(done[5], [noted, Action::Arm(SAVE_AT_SHUTDOWN)]);
        assert_eq!(state, RunState::Ended(Outcome::Stopped { saved: true }));
    }

    #[test]
    fn a_state_is_read_back_as_it_was_written() {
        let (state, _) = play([Event::Spawned(CHILD), Event::Seen(Sight::Step), graceful()]);
        let text = serde_json::to_string(&state).expect("written");
        let read: RunState = serde_json::from_str(&text).expect("read");
        // All but the times of a clock that ends with its supervisor.
        assert_eq!(serde_json::to_string(&read).expect("written"), text);
    }

    fn any_again() -> impl Strategy<Value = Option<Again>> {
        let again = |number| Again { number, after: Duration::from_secs(10), step: None };
        prop::option::of((1..9u32).prop_map(again))
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
                Just(Sight::Orphaned),
                Just(Sight::GivenUp),
                (-20..300).prop_map(Sight::Returned),
            ]
            .prop_map(Event::Seen),
            prop_oneof![(0..256).prop_map(Exit::Code), (1..32).prop_map(Exit::Signal), Just(Exit::Unknown)]
                .prop_map(Event::ChildExited),
            Just(Event::OutputClosed),
            Just(Event::OutOfMemory(Memory::Host)),
            any_again().prop_map(Event::NobodyLeft),
            prop_oneof![Just(Manner::Graceful), Just(Manner::NoSave), Just(Manner::Now)]
                .prop_map(Event::StopRequested),
            prop_oneof![Just(Concern::NotANumber), Just(Concern::Stalled)].prop_map(Event::Concerned),
            prop_oneof![Just(None), Just(Some(Outcome::Lost))].prop_map(node_failed),
            Just(Event::SaveWanted),
            Just(Event::SaveRequested),
            Just(Event::SaveFailed),
            Just(Event::DeadlinePassed),
            Just(Event::Signalled),
            Just(Event::Turn),
        ]
    }

    fn node_failed(end: Option<Outcome>) -> Event {
        Event::NodeFailed(NodeFailure { host: "node2".to_owned(), end })
    }

    const fn degree(state: &RunState) -> Option<Degree> {
        match state {
            RunState::Stopping(stopping) => Some(stopping.degree),
            RunState::Queued
            | RunState::Starting
            | RunState::Running(_)
            | RunState::Waiting(_)
            | RunState::Ended(_) => None,
        }
    }

    proptest! {
        #[test]
        fn whatever_happens_the_run_ends_once_everything_is_gone(
            events in prop::collection::vec(any_event(), 0..40),
        ) {
            // One more try ends as well.
            let gone = [Event::DeadlinePassed, Event::ChildExited(Exit::Unknown), Event::OutputClosed, Event::NobodyLeft(None)];
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
                let begins_anew = matches!(state, RunState::Ended(_) | RunState::Waiting(_));
                prop_assert!(begins_anew || degree(&before) <= degree(&state));
                ends += actions.iter().filter(|it| matches!(it, Action::Record(Record::Ended { .. }))).count();
            }
            prop_assert_eq!(ends, usize::from(state.outcome().is_some()));
        }
    }
}
