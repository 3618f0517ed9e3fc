//! What a supervisor is told, as lines on the control pipe, and what it does then.

use serde::{Deserialize, Serialize};

use crate::{
    platform::{
        checkpoint::{Checkpoint, reach},
        procfs::ProcessId,
    },
    run::{
        folder::TrainerFolder,
        nodes::{AtHead, NodeState},
        notify::NotTold,
        outcome::Manner,
        state::{Event, RunState},
    },
};

use super::Supervisor;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Command {
    Stop {
        manner: Manner,
    },
    /// Write a checkpoint and go on.
    Save,
    /// Leave the queue. One that has begun does not.
    Withdraw,
    /// Something is free that a queued run may have waited for.
    Look,
    /// From a rank that has become one below DeepSpeed's launcher.
    RankStarted {
        rank: usize,
        process: ProcessId,
    },
    /// What became of the part on another machine.
    Node {
        node: u32,
        state: NodeState,
    },
    /// Somebody could not be told of what happened.
    NotTold {
        why: String,
    },
    /// The head of this part is there, and how the whole run is.
    Beat {
        head: AtHead,
    },
}

impl Supervisor {
    /// Anybody who may write to the run's folder may send something; what is no command is ignored.
    pub(super) fn obey(&mut self, line: Option<&str>) {
        match line.and_then(|line| serde_json::from_str(line).ok()) {
            Some(Command::Stop { manner }) => self.tell(Event::StopRequested(manner)),
            Some(Command::Save) => self.tell(Event::SaveWanted),
            Some(Command::Look) => self.ask_for_turn(),
            Some(Command::Withdraw) if self.now.state == RunState::Queued => {
                self.tell(Event::StopRequested(Manner::NoSave));
            }
            Some(Command::RankStarted { rank, process }) => self.ranks.add(rank, process),
            Some(Command::Node { node, state }) => self.node_said(node, state),
            Some(Command::NotTold { why }) => self.journal.record(&NotTold { why }),
            Some(Command::Beat { head }) => self.head_said(head),
            Some(Command::Withdraw) | None => {}
        }
    }

    pub(super) fn request_save(&mut self) {
        self.save_request = None;
        let leave = match &self.now.state {
            RunState::Stopping(stopping) if stopping.wants_save() => true,
            RunState::Running(running) if running.save_due => false,
            _ => return,
        };
        let requested = TrainerFolder::find(&self.spec)
            .map(|folder| folder.is_some_and(|folder| folder.request_save(leave).is_ok()));
        reach(Checkpoint::SaveAsked);
        self.tell(if requested.unwrap_or(false) { Event::SaveRequested } else { Event::SaveFailed });
    }
}
