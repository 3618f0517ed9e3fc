//! What several tests need: servers, repositories, a place of their own.

pub(crate) mod git_repository;
pub(crate) mod git_server;
