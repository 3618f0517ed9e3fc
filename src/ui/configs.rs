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
    if name.strip_suffix(".toml").is_some_and(is_stem) {
        return Ok(workspace.configs().join(name));
    }
    let text = "a configuration is called `NAME.toml`, of letters, digits, `-`, `_`, `.` and spaces";
    Err(Failure::http(StatusCode::BAD_REQUEST, "usage", text))
}

/// Whether a file may be called so, before its `.toml`.
fn is_stem(stem: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
    stem.starts_with(|c: char| c.is_alphanumeric()) && !stem.ends_with(['.', ' ']) && stem.chars().all(plain)
}

/// The name of the dataset file beside the training file of this name.
fn of_dataset(stem: &str) -> String {
    format!("{stem}-dataset.toml")
}

/// The name nearest to `wish` that a new pair of files can have, without `.toml`; what a file from elsewhere is called
/// may be no name here.
fn free(workspace: &Workspace, wish: &str) -> String {
    /// Of the longest number that a name gets.
    const NUMBER: usize = 6;
    let wish = wish.trim().trim_end_matches(".toml");
    let mut name = if is_stem(wish) { wish.to_owned() } else { nearest(wish) };
    while of_dataset(&name).len() + NUMBER > LONGEST {
        name.pop();
    }
    let name = name.trim_end_matches(['.', ' ']);
    let is_free = |name: &String| {
        let files = [format!("{name}.toml"), of_dataset(name)];
        files.iter().all(|file| !fs::exists(&workspace.configs().join(file)))
    };
    let numbered = (2..).map(|number: u32| format!("{name}-{number}"));
    std::iter::once(name.to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}

/// With one dash for whatever cannot stay.
fn nearest(wish: &str) -> String {
    let plain = |c: char| if c.is_alphanumeric() || "_.".contains(c) { c } else { ' ' };
    let words: String = wish.chars().map(plain).collect();
    let name = words.split_whitespace().collect::<Vec<_>>().join("-");
    let name = name.trim_matches(|c: char| !c.is_alphanumeric());
    if name.is_empty() { "imported".to_owned() } else { name.to_owned() }
}
