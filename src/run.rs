//! Runs: a folder each, and one process of ours that looks after it.
//!
//! [`start`] makes the folder and starts the supervisor ([`supervise`]), which starts the trainer and knows by the
//! pure machine in [`state`] what to do about everything that happens. All others only read the folder ([`RunDir`]);
//! what they want of the run they ask its supervisor for ([`stop`]).

pub mod adopt;
pub mod attempts;
pub mod brief;
mod capture;
pub mod checkpoints;
pub mod comparison;
pub mod data;
pub mod devices;
pub mod diagnose;
pub mod dir;
pub mod error;
pub mod evidence;
pub mod export;
pub mod folder;
pub mod gauge;
mod gpus;
pub mod id;
pub mod journal;
pub mod keeper;
pub mod launch;
pub mod lease;
pub mod lineage;
pub mod list;
pub mod measures;
pub mod nodes;
pub mod notify;
pub mod outcome;
mod processes;
pub mod queue;
pub mod rank;
mod ranks;
mod recorder;
mod request;
mod reserve;
pub mod restart;
pub mod resume;
pub mod save;
pub mod scene;
pub mod service;
pub mod sight;
pub mod slurm;
pub mod spec;
pub mod start;
pub mod state;
pub mod status;
pub mod stop;
pub mod strangers;
pub mod stuck;
pub mod supervise;
pub mod typed;
pub mod vram;
pub mod watch;
pub mod watchdog;

pub use dir::RunDir;
pub use error::RunError;
pub use id::{RunId, RunName};
pub use outcome::{Manner, Outcome};
pub use request::{Request, Resume};
pub use start::{Site, Started, hold_setup, start};
