//! What a machine has to know of a run that it shares with others.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::logs::Stream;

use super::super::{evidence::Proof, id::RunId, journal::Snapshot, outcome::Outcome, spec::Launcher};
use super::hostfile::Hostfile;

/// A machine, as the hostfile has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// As ssh and DeepSpeed are told: a name, an address, `user@name`.
    pub host: String,
    /// GPUs, the first of it; on machines without any ranks.
    pub slots: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Whose part it is. None at the head, whose run it is.
    pub of: Option<Origin>,
    /// All machines, the head first.
    pub nodes: Vec<Node>,
    /// Which of them this one is.
    pub own: u32,
    /// Without a sign of life from the other side, before it counts as lost.
    pub patience: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The run, at the head.
    pub run: RunId,
    /// The port there where the ranks meet.
    pub port: u16,
}

/// What is known at the head of the part on another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// As a run of this name there.
    Begun {
        run: RunId,
    },
    Ended(Ended),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Nothing of it is left there.
    Over(Outcome),
    /// The machine cannot be reached any more; what runs there ends when it notices.
    Lost { reason: String },
}

/// What the head has said last of the whole run: a part sees no steps by itself, and not why its ranks leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtHead {
    /// One word: `training`, `stopping`.
    pub doing: String,
    pub step: Option<u64>,
    /// The trainer's own word on how it leaves.
    pub proof: Option<Proof>,
}

/// `training, step 238`
impl fmt::Display for AtHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        self.step.map_or(Ok(()), |step| write!(f, ", step {step}"))
    }
}

impl AtHead {
    pub fn of(snapshot: &Snapshot) -> Self {
        Self {
            doing: snapshot.state.word().to_owned(),
            step: snapshot.last_step.map(|it| it.step),
            proof: snapshot.state.evidence().and_then(|it| it.proof),
        }
    }

    /// Worth a message before the next one is due.
    pub fn is_news_to(&self, said: Option<&Self>) -> bool {
        said.is_none_or(|it| (&it.doing, it.proof) != (&self.doing, self.proof))
    }
}

impl Node {
    /// Without the user that ssh is to be.
    pub fn address(&self) -> &str {
        self.host.rsplit_once('@').map_or(&self.host, |(_, host)| host)
    }
}

impl Part {
    pub fn at_head(hostfile: Hostfile, patience: Duration) -> Self {
        Self { of: None, nodes: hostfile.into_nodes(), own: 0, patience }
    }

    pub const fn is_head(&self) -> bool {
        self.of.is_none()
    }

    pub fn node(&self, number: u32) -> &Node {
        &self.nodes[number as usize]
    }

    pub fn own_node(&self) -> &Node {
        self.node(self.own)
    }

    /// Where the ranks meet: the head, by a name that all machines know.
    pub fn master(&self) -> &str {
        self.nodes[0].address()
    }

    /// Ranks of all machines.
    pub fn ranks(&self) -> u32 {
        self.nodes.iter().map(|it| it.slots).sum()
    }

    /// The ranks of one machine.
    pub fn ranks_of(&self, number: u32) -> std::ops::Range<u32> {
        let first = self.nodes[..number as usize].iter().map(|it| it.slots).sum();
        first..first + self.node(number).slots
    }

    /// The machines that have a part, if this is the head.
    pub fn guests(&self) -> std::ops::Range<u32> {
        let count = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if self.is_head() { 1..count } else { 0..0 }
    }

    /// What the part on another machine prints, as the head calls it and as it is called there.
    pub fn streams_of(&self, number: u32, launcher: Launcher) -> Vec<(Stream, Stream)> {
        let ranks = self.ranks_of(number).map(|rank| (Stream::Rank(rank), Stream::Rank(rank)));
        let launchers = (launcher == Launcher::Deepspeed).then_some((Stream::Node(number), Stream::Launcher));
        launchers.into_iter().chain(ranks).collect()
    }

    /// For people: `node1 (2), node2 (2)`.
    pub fn machines(&self) -> String {
        let one = |node: &Node| format!("{} ({})", node.host, node.slots);
        self.nodes.iter().map(one).collect::<Vec<_>>().join(", ")
    }
}

impl NodeState {
    pub const fn ended(&self) -> Option<&Ended> {
        match self {
            Self::Begun { .. } => None,
            Self::Ended(ended) => Some(ended),
        }
    }
}

impl Ended {
    /// What follows "the training" in a sentence.
    pub fn sentence(&self) -> String {
        match self {
            Self::Over(outcome) => outcome.sentence(),
            Self::Lost { reason } if reason.is_empty() => "was not heard of any more".to_owned(),
            Self::Lost { reason } => format!("was not heard of any more: {reason}"),
        }
    }

    /// The run cannot go on for it. A part that leaves without an error has done what it was there for, and one is
    /// stopped by the head, or by somebody there while the run `goes_on`.
    pub const fn is_failure(&self, goes_on: bool) -> bool {
        match self {
            Self::Over(Outcome::Completed) => false,
            Self::Over(Outcome::Stopped { .. } | Outcome::Interrupted) => goes_on,
            Self::Over(_) | Self::Lost { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_counted_through_all_machines_in_their_order() {
        let node = |host: &str, slots| Node { host: host.to_owned(), slots };
        let nodes = vec![node("me@node1", 2), node("node2", 1), node("node3", 3)];
        let part = Part { of: None, nodes, own: 0, patience: Duration::ZERO };
        assert_eq!((part.master(), part.ranks()), ("node1", 6));
        let ranks: Vec<_> = part.guests().map(|number| part.ranks_of(number)).collect();
        assert_eq!(ranks, [2..3, 3..6]);
        let names: Vec<String> = part
            .streams_of(2, Launcher::Deepspeed)
            .into_iter()
            .map(|(here, there)| format!("{here}={there}"))
            .collect();
        assert_eq!(names, ["node2=launcher", "rank3=rank3", "rank4=rank4", "rank5=rank5"]);
    }
}
