//! On the way to the end: harder and harder, until nobody is left.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use super::{
    AFTER_KILL, AFTER_TERM, AFTER_TERM_NOW, Action, Degree, Event, LINGER, Next, RunState, Stopping, ended,
    interrupt, request_save, signal, terminate, waiting,
};
use crate::{
    platform::signal::Force,
    run::{
        evidence::{Asked, By, Evidence, Sight},
        journal::Record,
        outcome::{Manner, Outcome},
    },
};

/// For a save while the machine goes down: systemd gives its processes 90 s, of which the ranks need the rest to end.
pub(super) const SAVE_AT_SHUTDOWN: Duration = Duration::from_secs(50);

impl Degree {
    /// What is being waited for, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Save => "waiting for the trainer to save and leave",
            Self::Interrupt => "interrupted, waiting for the ranks to end",
            Self::GivenUp => "a rank has failed, waiting for the launcher to end the others",
            Self::Culled => "a rank has failed, the others were killed, waiting for the launcher to end",
            Self::Linger => "waiting for the last processes to end",
            Self::Terminate => "told everybody to end",
            Self::Kill => "killing what is left",
        }
    }
}

impl Stopping {
    pub(super) fn on(mut self, event: &Event, at: Option<Duration>) -> Next {
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
            Event::OutOfMemory(memory) => {
                self.evidence.out_of_memory = Some(memory);
                vec![]
            }
            Event::NobodyLeft(again) if self.evidence.exit.is_some() && self.evidence.output_closed => {
                let outcome = self.outcome();
                return match again {
                    Some(again) if self.may_go_on() => waiting(again, outcome),
                    _ => ended(outcome),
                };
            }
            Event::NodeFailed(ref failure) => {
                self.evidence.node_failed(failure);
                let mut actions = vec![Action::Record(Record::NodeFailed { host: failure.host.clone() })];
                if self.degree < Degree::Terminate {
                    self.degree = Degree::Terminate;
                    actions.extend(terminate(AFTER_TERM));
                }
                actions
            }
            Event::StopRequested(manner) => self.asked_again(manner),
            Event::SaveRequested => {
                self.save_requested = true;
                vec![Action::Record(Record::SaveRequested)]
            }
            Event::SaveFailed if self.degree == Degree::Save => self.rise(),
            Event::DeadlinePassed => self.rise(),
            Event::Signalled => self.signalled(),
            Event::Adopted => {
                // The old deadline died with its supervisor.
                let patience = if self.degree == Degree::Save { self.evidence.patience() } else { LINGER };
                vec![Action::Record(Record::Adopted), Action::Arm(patience)]
            }
            // Of `NobodyLeft`: its exit status or its last words are still on their way.
            Event::NobodyLeft(_)
            | Event::Spawned(_)
            | Event::SpawnFailed { .. }
            // It ends already, for another reason, or with a save if there is to be one.
            | Event::Concerned(_)
            | Event::SaveWanted
            | Event::SaveFailed
            | Event::Turn => vec![],
        };
        (RunState::Stopping(self), actions)
    }

    fn seen(mut self, sight: Sight, at: Option<Duration>) -> Next {
        self.evidence.take(sight, at);
        let mut actions = vec![];
        let asked = self.save_requested || self.save_due;
        if self.degree == Degree::Save && !asked && sight == Sight::Step {
            actions.extend(request_save(&self.evidence, at));
            self.save_due = !actions.is_empty();
        }
        (RunState::Stopping(self), actions)
    }

    /// The trainer is still to be asked to save and leave: nothing harder has been done and it does not leave already.
    pub fn wants_save(&self) -> bool {
        self.degree == Degree::Save && self.evidence.proof.is_none()
    }

    /// How it will have ended when nobody is left.
    pub fn outcome(&self) -> Outcome {
        self.evidence.outcome(self.asked)
    }

    /// The user has not asked for the end.
    const fn may_go_on(&self) -> bool {
        matches!(self.asked, None | Some(Asked { by: By::Dpgui(_), .. }))
    }

    /// Asking for this once more would change nothing.
    pub fn has_heard(&self, manner: Manner) -> bool {
        let by_itself = self.ends_by_itself();
        let harder = match manner {
            Manner::Graceful => true,
            Manner::NoSave => self.degree >= Degree::Interrupt,
            Manner::Now => self.degree >= Degree::Terminate,
        };
        (by_itself && harder) || self.asked.is_some_and(|it| it.by == By::User && it.manner >= manner)
    }

    /// Nobody asked for it.
    fn ends_by_itself(&self) -> bool {
        let has_begun =
            self.evidence.failed_with().is_some() || matches!(self.degree, Degree::GivenUp | Degree::Culled);
        self.evidence.exit.is_some() || (self.asked.is_none() && has_begun)
    }

    fn asked_again(&mut self, manner: Manner) -> Vec<Action> {
        if self.has_heard(manner) {
            return vec![];
        }
        // What ended by itself was not stopped by a request that came later.
        if !self.ends_by_itself() {
            let before = self.asked.map_or(manner, |before| before.manner);
            self.asked = Some(manner.or_harder(before).into());
        }
        let mut actions = vec![Action::Record(Record::StopRequested { manner })];
        match (manner, self.degree) {
            (
                Manner::Now,
                Degree::Save | Degree::Interrupt | Degree::GivenUp | Degree::Culled | Degree::Linger,
            ) => {
                self.degree = Degree::Terminate;
                actions.extend(terminate(AFTER_TERM_NOW));
            }
            (Manner::Now, Degree::Terminate) => actions.push(Action::Arm(AFTER_TERM_NOW)),
            (Manner::NoSave, Degree::Save) => {
                self.degree = Degree::Interrupt;
                actions.extend(interrupt());
            }
            (Manner::Graceful | Manner::NoSave | Manner::Now, _) => {}
        }
        actions
    }

    /// The machine goes down: what it ends is its doing, and what is asked for already has less time.
    fn signalled(&mut self) -> Vec<Action> {
        let mut actions = vec![Action::Record(Record::SupervisorSignalled)];
        match self.asked {
            // All processes are told at once, and the ranks or their launcher were faster.
            None if self.evidence.was_terminated()
                || matches!(self.degree, Degree::GivenUp | Degree::Culled) =>
            {
                self.asked = Some(Asked { manner: Manner::Graceful, by: By::Machine });
            }
            Some(Asked { by: By::User | By::Dpgui(_), .. }) if self.degree == Degree::Save => {
                match at_shutdown(&self.evidence) {
                    (Degree::Save, shorter) => actions.extend(shorter),
                    _ => actions.extend(self.rise()),
                }
            }
            // Told twice: somebody is in a hurry.
            Some(Asked { by: By::Machine, .. }) if self.degree == Degree::Save => actions.extend(self.rise()),
            Some(_) | None => {}
        }
        actions
    }

    fn rise(&mut self) -> Vec<Action> {
        let (degree, actions) = match self.degree {
            Degree::Save => (Degree::Interrupt, interrupt()),
            Degree::Interrupt | Degree::Culled => (Degree::Terminate, terminate(AFTER_TERM)),
            Degree::GivenUp => {
                let force = Force::Kill;
                let actions = vec![
                    Action::Record(Record::Signalled { force }),
                    Action::KillRanks,
                    Action::Arm(AFTER_TERM),
                ];
                (Degree::Culled, actions)
            }
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

/// A save that was measured to take longer than the machine waits would only be torn.
pub(super) fn at_shutdown(evidence: &Evidence) -> (Degree, Vec<Action>) {
    if evidence.save_takes().is_some_and(|it| it <= SAVE_AT_SHUTDOWN) {
        (Degree::Save, vec![Action::Arm(SAVE_AT_SHUTDOWN)])
    } else {
        (Degree::Interrupt, interrupt())
    }
}
