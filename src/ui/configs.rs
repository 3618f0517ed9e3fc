//! The configurations of the workspace.

pub mod catalog;
pub mod edit;
pub mod files;
mod granted;
pub mod pair;

use std::path::PathBuf;

use axum::http::StatusCode;

use crate::{
    error::{Error, Kind},
    platform::fs,
    workspace::Workspace,
};

use super::failure::{Answer, Failure};

pub use granted::{FOR_PAGE, must_be_granted, must_see_all, refused, sight, sight_of_command};

/// The longest name that every file system takes, with room for `-dataset.toml`.
const LONGEST: usize = 200;

/// The file called `name` in `configs`, which is there.
pub fn file(workspace: &Workspace, name: &str) -> Answer<PathBuf> {
    let path = place(workspace, name)?;
    if fs::is_file(&path) {
        return Ok(path);
    }
    let missing = Error::new(Kind::Usage, format!("there is no configuration `{name}`"));
    Err(Failure::not_found(missing))
}

/// Where the file called `name` is, or would be: in `configs`, nowhere else.
pub fn place(workspace: &Workspace, name: &str) -> Answer<PathBuf> {
    if name.len() > LONGEST {
        let text =
            format!("the name of a configuration has at most {LONGEST} bytes, and this one {}", name.len());
        return Err(Failure::http(StatusCode::BAD_REQUEST, "usage", text));
    }
    let plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    let is_name =
        name.strip_suffix(".toml").is_some_and(|stem| !stem.is_empty() && !stem.ends_with(['.', ' ']))
            && name.starts_with(|c: char| c.is_alphanumeric())
            && name.chars().all(plain);
    if is_name {
        return Ok(workspace.configs().join(name));
    }
    let text = "a configuration is called `NAME.toml`, of letters, digits, `-`, `_`, `.` and spaces";
    Err(Failure::http(StatusCode::BAD_REQUEST, "usage", text))
}
