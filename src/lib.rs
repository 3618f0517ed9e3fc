//! dpgui takes a bare Linux GPU machine to a supervised diffusion-pipe training run.
//!
//! The modules in reading order, top floor first; each uses only floors below its own (see `ARCHITECTURE.md`).

pub mod cli;
pub mod commands;

pub mod ui;

pub mod install;
pub mod run;

pub mod data;
pub mod diagnosis;

pub mod config;
pub mod logs;
pub mod metrics;
pub mod vendor;

pub mod workspace;

pub mod output;

pub mod platform;

pub mod error;

pub use cli::main;
