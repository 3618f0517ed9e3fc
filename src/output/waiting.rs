//! The word on a wait for somebody else who is at work in the workspace.

use serde::Serialize;

use super::{Event, Line};

/// A lock is held, and this is by whom.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "waiting")]
pub struct Waiting<'a> {
    pub holder: &'a str,
}

impl Event for Waiting<'_> {
    fn line(&self) -> Option<Line> {
        Some(Line { verb: "Waiting", text: format!("for {} to finish", self.holder) })
    }
}
