//! What a supervisor is told: lines on the control pipe.

use serde::{Deserialize, Serialize};

use crate::{
    platform::procfs::ProcessId,
    run::{
        nodes::{AtHead, NodeState},
        outcome::Manner,
    },
};

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
