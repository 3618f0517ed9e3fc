//! What the tests of several topics need.

pub(crate) mod old_toml;
