//! The other machines of a run: at the head those that have parts of it, on those the head.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::{
    logs::Stream,
    platform::{
        clock::Stopwatch,
        lock::Lock,
        procfs::{self, ProcessId},
        signal::Exit,
    },
    run::{
        evidence::{Evidence, NodeFailure, Proof, Sight},
        nodes::{AtHead, Ended, NodeState, link},
        outcome::Concern,
        spec::Launcher,
        state::{Degree, Event, RunState, Stopping},
    },
};

use super::{Note, Supervisor};

/// Between the end of a part's ranks and the head's word on it: two of its messages.
const WORD_OF_HEAD: Duration = Duration::from_secs(10);

/// Whom we are in touch with.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// The processes that keep the head in touch, by the number of the machine.
    links: BTreeMap<u32, ProcessId>,
    /// When a part heard of its head last, or began to listen.
    heard: Option<Stopwatch>,
}

/// For `events.jsonl`.
#[derive(Debug, Serialize)]
pub(super) struct NodeNote {
    host: String,
    state: NodeState,
}

impl Supervisor {
    pub(super) fn head_said(&mut self, head: AtHead) {
        self.others.heard = Some(Stopwatch::start());
        self.now.head = Some(head);
    }

    /// At the head, has a process for each other machine whose part is not over. Elsewhere, ends what has lost its head.
    pub(super) fn stay_in_touch(&mut self) {
        let Some(part) = &self.spec.part else { return };
        if self.is_over() {
            return;
        }
        if !part.is_head() {
            let patience = part.patience;
            let silence = self.others.heard.get_or_insert_with(Stopwatch::start).elapsed();
            if silence > patience && matches!(self.now.state, RunState::Running(_)) {
                self.tell(Event::Concerned(Concern::HeadLost));
            }
            return;
        }
        for number in part.guests() {
            let known = self.others.links.get(&number).is_some_and(|it| it.is_alive());
            let is_over = self.now.nodes.get(&number).is_some_and(|it| it.ended().is_some());
            if known || is_over {
                continue;
            }
            // One that an earlier supervisor started, else a new one. That could not be started is tried again.
            let lock = self.dir.link_lock(number);
            let there = if Lock::is_held(&lock) {
                procfs::lock_holders(&lock).first().and_then(|it| ProcessId::of(it.pid))
            } else {
                link::spawn(&self.host, &self.dir, number).ok().flatten()
            };
            if let Some(process) = there {
                self.others.links.insert(number, process);
                self.marks.helpers.insert(process);
            }
        }
    }

    /// The news of a part. What it printed is in the pipes before.
    pub(super) fn node_said(&mut self, number: u32, state: NodeState) {
        if !self.spec.guests().contains(&number) || self.now.nodes.get(&number) == Some(&state) {
            return;
        }
        let Some(part) = &self.spec.part else { return };
        let host = part.node(number).host.clone();
        self.journal.record(&Note::Node(NodeNote { host: host.clone(), state: state.clone() }));
        if let NodeState::Begun { run } = &state {
            self.now.parts.insert(number, run.clone());
        }
        self.now.nodes.insert(number, state.clone());
        let NodeState::Ended(ended) = state else { return };
        let streams = self.spec.streams_of(number);
        // What cannot be read is as good as ended: there is nobody any more who would write.
        let _ = self.take_output(|all, on_line| all.end_of(&streams, on_line));
        if ended.is_failure(matches!(self.now.state, RunState::Running(_))) {
            let end = match ended {
                Ended::Over(outcome) => Some(outcome),
                Ended::Lost { .. } => None,
            };
            self.tell(Event::NodeFailed(NodeFailure { host, end }));
        }
    }

    /// The same for parts whose end an earlier supervisor was told.
    pub(super) fn close_what_is_over(&mut self) {
        let over = self.now.nodes.iter().filter(|(_, state)| state.ended().is_some());
        let streams: Vec<Stream> = over.flat_map(|(number, _)| self.spec.streams_of(*number)).collect();
        let _ = self.take_output(|all, on_line| all.end_of(&streams, on_line));
    }

    /// Nothing of the run is left here, and the others are about to end: no reason to be harder on anybody.
    pub(super) fn waits_for_others(&mut self) -> bool {
        let lingers = match &self.now.state {
            RunState::Stopping(stopping) => stopping.degree >= Degree::Linger && self.has_exit(),
            _ => false,
        };
        lingers && self.spec.guests().any(|it| self.is_there(it)) && self.marks.find().is_empty()
    }

    /// Every rank of a part left without an error, the launcher last. Whether they were done or have saved and left on
    /// request is what the head reads from its own.
    fn has_left_in_order(&self) -> bool {
        let is_guest = self.spec.part.as_ref().is_some_and(|it| !it.is_head());
        let RunState::Stopping(Stopping { evidence: it, asked: None, .. }) = &self.now.state else {
            return false;
        };
        // Who took over from another supervisor does not learn with which code they left.
        let without_error = match (it.exit, self.spec.launcher) {
            (Some(Exit::Code(0)), _) => true,
            (Some(Exit::Unknown), Launcher::Deepspeed) => it.returned == Some(0),
            (Some(Exit::Unknown), Launcher::Direct) => self.saw_it_alive,
            _ => false,
        };
        let left = without_error && !it.survivors && it.failed_with().is_none() && it.proof.is_none();
        is_guest && left
    }

    fn knows_how_it_left(&self) -> bool {
        let knows = |it: &Evidence| it.exit != Some(Exit::Unknown) || it.returned == Some(0);
        self.now.state.evidence().is_some_and(knows)
    }

    fn hears_of_head(&self) -> bool {
        let patience = self.spec.part.as_ref().map(|it| it.patience);
        self.others.heard.zip(patience).is_some_and(|(heard, patience)| heard.elapsed() <= patience)
    }

    fn word_of_head(&self) -> Option<Proof> {
        self.now.head.as_ref().and_then(|it| it.proof)
    }

    /// Its ranks may be gone before the word of the head is here.
    pub(super) fn waits_for_word(&mut self) -> bool {
        if !self.has_left_in_order() || self.word_of_head().is_some() {
            return false;
        }
        // Where nobody knows with which code they left, only the head does: it may have to write its last model yet, or
        // its own ranks fail because these were killed.
        let waited = self.nobody_left.get_or_insert_with(Stopwatch::start).elapsed();
        waited < WORD_OF_HEAD || (!self.knows_how_it_left() && self.hears_of_head())
    }

    /// Of a head that has become silent it is not known that anything went wrong.
    pub(super) fn part_is_done(&mut self) {
        if self.has_left_in_order() && (self.knows_how_it_left() || self.word_of_head().is_some()) {
            let saved = self.word_of_head() == Some(Proof::Saved);
            self.tell(Event::Seen(if saved { Sight::Quit } else { Sight::Complete }));
        }
    }

    fn is_there(&self, number: u32) -> bool {
        self.now.nodes.get(&number).is_none_or(|it| it.ended().is_none())
    }
}
