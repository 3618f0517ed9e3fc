//! What the tests share: a place of their own to run the program in, and servers with faults.

pub(crate) mod file_server;
pub(crate) mod sandbox;
