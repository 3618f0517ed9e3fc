//! Everything that touches the machine: files, processes, the network, the clock, the GPUs.
//!
//! Modules above this floor decide; what they want done to the world goes through here, so that the fence in
//! `clippy.toml` can hold.
#![expect(clippy::disallowed_methods, reason = "this is the place that the ban points to")]

pub mod cgroup;
pub mod checkpoint;
pub mod clock;
pub mod conversation;
pub mod cores;
pub mod digest;
pub mod disk;
pub mod env;
pub mod exchange;
pub mod fifo;
pub mod fs;
pub mod gpu;
pub mod halt;
pub mod hold;
mod leftovers;
pub mod limits;
pub mod lock;
pub mod meeting;
pub mod memory;
pub mod mounts;
pub mod net;
pub mod pager;
pub mod patience;
pub mod place;
pub mod ports;
pub mod process;
pub mod procfs;
pub mod random;
pub mod reaper;
pub mod retry;
pub mod session;
pub mod signal;
pub mod system;
pub mod tick;
pub mod tree;
pub mod watch;

pub use env::{Arch, Env, Host};
