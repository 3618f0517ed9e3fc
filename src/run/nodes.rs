//! Several machines: the first one of a hostfile has the run, and each other one a part of it.
//!
//! A part is an ordinary run on its machine, in the same workspace there: its own folder, supervisor and GPUs. The head
//! starts one over ssh and stays in touch with it by a process of its own ([`link`]), which brings what it prints into the
//! head's log, says how it ends, and passes on that it is to end. What ssh reaches there is [`guest`]. A part that has not
//! heard of its head for a while ends itself, and a head that has not heard of a part ends the rest: whatever breaks,
//! nothing is left anywhere.

mod error;
pub mod guest;
pub mod hostfile;
pub mod link;
mod look;
pub mod part;
pub mod preflight;
mod ssh;
mod talk;

pub use error::NodesError;
pub use hostfile::Hostfile;
pub use part::{AtHead, Ended, Node, NodeState, Origin, Part};
pub use preflight::Obstacle;
