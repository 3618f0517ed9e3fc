//! Runs: a folder each, and one process of ours that looks after it.
//!
//! [`start`] makes the folder and starts the supervisor ([`supervise`]), which starts the trainer and knows by the
//! pure machine in [`state`] what to do about everything that happens. All others only read the folder ([`RunDir`]);
//! what they want of the run they ask its supervisor for ([`stop`]).

pub mod adopt;
mod capture;
pub mod data;
pub mod devices;
pub mod dir;
pub mod error;
pub mod evidence;
pub mod folder;
pub mod id;
pub mod journal;
pub mod launch;
pub mod list;
pub mod outcome;
mod processes;
pub mod rank;
mod ranks;
mod recorder;
pub mod resume;
pub mod sight;
pub mod spec;
pub mod start;
pub mod state;
pub mod status;
pub mod stop;
pub mod supervise;
pub mod watch;

pub use dir::RunDir;
pub use error::RunError;
pub use id::{RunId, RunName};
pub use outcome::{Manner, Outcome};
pub use start::{Request, Resume, Site, Started, hold_setup, start};
