//! The integration tests, one binary: the real program against real servers, processes and files.
#![expect(clippy::disallowed_methods, reason = "tests look at the world as the program left it")]

mod archives;
mod cached;
mod clean;
mod config;
mod config_check;
mod config_differential;
mod config_explain;
mod config_new;
mod config_parser;
mod data;
mod data_plan;
mod deepspeed;
mod doctor;
mod downloads;
mod git;
mod hostile_archives;
mod kill_commands;
mod kill_matrix;
mod kill_random;
mod kill_whole;
mod lock;
mod locking;
mod logs;
mod odd_machines;
mod offline;
mod repair;
mod setup;
mod setup_whole;
mod side_by_side;
mod starting;
mod supervision;
mod support;
mod tidy;
mod train;
mod update;
