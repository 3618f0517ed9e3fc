//! Applies what findings offer to do by themselves: `config check --fix`.

use std::{collections::BTreeMap, path::PathBuf};

use crate::platform::fs;

use super::{
    ConfigError, Finding,
    edit::{self, Edit},
    source::Source,
};

/// A file that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mended {
    pub file: PathBuf,
    /// What was done, in the order of the file.
    pub changes: Vec<String>,
}

/// Changes the files that `findings` are about, each at once. What one change makes needless is left out, so the files
/// have to be checked again.
///
/// # Errors
/// When a file cannot be read or written.
pub fn mend(findings: &[Finding]) -> Result<Vec<Mended>, ConfigError> {
    let mut by_file: BTreeMap<PathBuf, Vec<Edit>> = BTreeMap::new();
    for edit in findings.iter().filter_map(|finding| finding.edit.as_ref()) {
        let edits = by_file.entry(edit.file().to_owned()).or_default();
        if !edits.contains(edit) {
            edits.push(edit.clone());
        }
    }
    let mut mended = vec![];
    for (file, edits) in by_file {
        let source = Source::read(&file)?;
        let (text, done) = edit::apply(&source, &edits)?;
        if done.is_empty() || source.is(&text) {
            continue;
        }
        // A link stays one.
        fs::write_atomic(&fs::real_path(&file), text)?;
        mended.push(Mended { file, changes: done.into_iter().map(Edit::done).collect() });
    }
    Ok(mended)
}
