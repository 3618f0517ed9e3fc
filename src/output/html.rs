//! Reports as one HTML file that needs nothing else.

use std::{fmt::Write as _, path::Path};

use crate::platform::fs::{self, FsError};

/// Bytes at the start of a report that have its mark in them.
const START: usize = 4096;

/// Text as it may stand between tags and in attributes.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub fn push(html: &mut String, text: std::fmt::Arguments) {
    // Writing to a string does not fail.
    let _ = html.write_fmt(text);
}

/// The file is an earlier report with this mark in its start, so that a new one may take its place.
pub fn is_report(path: &Path, mark: &str) -> Result<bool, FsError> {
    let start = fs::read_at(&mut fs::open_regular(path)?, path, 0, START)?;
    Ok(String::from_utf8_lossy(&start).contains(mark))
}
