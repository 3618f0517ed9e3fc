//! What several tests need: a place of their own to run the program in, servers with faults, repositories.

pub(crate) mod browser;
pub(crate) mod cluster;
pub(crate) mod file_server;
pub(crate) mod git_repository;
pub(crate) mod git_server;
pub(crate) mod lab;
pub(crate) mod media;
pub(crate) mod old_toml;
pub(crate) mod oracle;
pub(crate) mod package_index;
pub(crate) mod preload;
pub(crate) mod random;
pub(crate) mod raw_tar;
pub(crate) mod raw_zip;
pub(crate) mod sandbox;
pub(crate) mod small_world;
pub(crate) mod terminal;
