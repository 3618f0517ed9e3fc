//! A run that goes on: what is seen of it, and a checkpoint that somebody asks for meanwhile.
#![deny(clippy::wildcard_enum_match_arm)]

use std::time::Duration;

use crate::run::{
    evidence::{Asked, By, Phase, Sight},
    journal::Record,
    outcome::Manner,
};

use super::{
    AFTER_GIVING_UP, AFTER_TERM, Action, Degree, Event, LINGER, Next, RunState, Running, Save, adopted,
    first_degree, interrupt, request_save, stopping, stopping::at_shutdown, terminate,
};

impl Running {
    pub const fn has_trained(&self) -> bool {
        matches!(self.evidence.phase, Phase::Training(_))
    }

    pub(super) fn on(mut self, event: &Event, at: Option<Duration>) -> Next {
        let actions = match *event {
            // Those that do not end by themselves would be waited for one after the other, on GPUs that cost money.
            Event::Seen(Sight::GivenUp) => {
                return (stopping(self.evidence, Degree::GivenUp, None), vec![Action::Arm(AFTER_GIVING_UP)]);
            }
            Event::Seen(sight) => self.seen(sight, at),
            Event::ChildExited(exit) => {
                self.evidence.exit = Some(exit);
                let actions = vec![Action::Record(Record::Exited { exit }), Action::Arm(LINGER)];
                return (stopping(self.evidence, Degree::Linger, None), actions);
            }
            Event::OutputClosed => {
                self.evidence.output_closed = true;
                vec![]
            }
            Event::OutOfMemory(memory) => {
                self.evidence.out_of_memory = Some(memory);
                vec![]
            }
            Event::StopRequested(manner) => {
                let (degree, mut actions) = first_degree(&self.evidence, manner);
                actions.insert(0, Action::Record(Record::StopRequested { manner }));
                return (stopping(self.evidence, degree, Some(manner.into())), actions);
            }
            Event::Concerned(concern) => {
                let mut actions = vec![Action::Record(Record::Concerned { concern })];
                actions.extend(interrupt());
                // What is on disk is worth more than what it would save now.
                let asked = Asked { manner: Manner::NoSave, by: By::Dpgui(concern) };
                return (stopping(self.evidence, Degree::Interrupt, Some(asked)), actions);
            }
            Event::NodeFailed(ref failure) => {
                self.evidence.node_failed(failure);
                let mut actions = vec![Action::Record(Record::NodeFailed { host: failure.host.clone() })];
                // The others wait for it in the middle of a step: there is nothing that they could save.
                actions.extend(terminate(AFTER_TERM));
                return (stopping(self.evidence, Degree::Terminate, None), actions);
            }
            Event::Signalled => {
                let (degree, mut actions) = at_shutdown(&self.evidence);
                actions.insert(0, Action::Record(Record::SupervisorSignalled));
                let asked = Asked { manner: Manner::Graceful, by: By::Machine };
                return (stopping(self.evidence, degree, Some(asked)), actions);
            }
            Event::Adopted => return adopted(self),
            Event::SaveWanted => self.save_wanted(),
            Event::SaveRequested if self.save.is_some() => {
                self.save = Some(Save::Asked);
                vec![Action::Record(Record::SaveRequested)]
            }
            Event::SaveFailed if self.save.is_some() => {
                (self.save, self.save_due) = (None, false);
                vec![Action::Record(Record::SaveFailed)]
            }
            // The child has not ended yet, and nothing was asked for.
            Event::Spawned(_)
            | Event::SpawnFailed { .. }
            | Event::NobodyLeft(_)
            | Event::SaveRequested
            | Event::SaveFailed
            | Event::Turn
            | Event::DeadlinePassed => vec![],
        };
        (RunState::Running(self), actions)
    }

    fn seen(&mut self, sight: Sight, at: Option<Duration>) -> Vec<Action> {
        let before = self.evidence.phase.word();
        self.evidence.take(sight, at);
        let phase = self.evidence.phase.word();
        let changed = (phase != before).then_some(Action::Record(Record::Phase { phase }));
        let mut actions: Vec<_> = changed.into_iter().collect();
        match (self.save, sight) {
            (Some(Save::Wanted), Sight::Step) if !self.save_due => {
                let request = request_save(&self.evidence, at);
                self.save_due = request.is_some();
                actions.extend(request);
            }
            (Some(Save::Asked), Sight::Saving) => self.save = Some(Save::Writing),
            (Some(Save::Writing), Sight::Step) => {
                (self.save, self.save_due) = (None, false);
                actions.push(Action::Record(Record::Saved));
            }
            _ => {}
        }
        actions
    }

    fn save_wanted(&mut self) -> Vec<Action> {
        if self.save.is_some() || !self.has_trained() {
            return vec![];
        }
        self.save = Some(Save::Wanted);
        vec![Action::Record(Record::SaveWanted)]
    }
}
