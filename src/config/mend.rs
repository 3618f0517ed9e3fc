//! Applies what findings offer to do by themselves: `config check --fix`.

use std::{collections::BTreeMap, path::PathBuf};

use crate::platform::fs;

use super::{
    Checked, ConfigError,
    edit::{self, Edit},
    source::Source,
};

/// Changes make others possible: a key that got its right name may have a wrong value. More rounds than this there are
/// none, unless two changes undo each other.
pub const ROUNDS: usize = 8;

/// A file that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mended {
    pub file: PathBuf,
    /// What was done, in the order of the file.
    pub changes: Vec<String>,
}

/// What a file would be.
pub(super) struct MendedText {
    pub(super) file: PathBuf,
    pub(super) text: String,
    pub(super) changes: Vec<String>,
}

/// Changes the files that were checked, each at once. What one change makes needless is left out, so the files have to
/// be checked again.
///
/// # Errors
/// When a file cannot be read or written, or somebody has changed it since: what the findings say is of another text.
pub fn mend(checked: &Checked) -> Result<Vec<Mended>, ConfigError> {
    let mut mended = vec![];
    for MendedText { file, text, changes } in texts(checked)? {
        let now = fs::read(&file)?;
        let is_same = |it: &Source| it.path() == file && it.framed(it.text(), true).into_bytes() == now;
        if !checked.sources.iter().any(is_same) {
            return Err(ConfigError::Changed { path: file });
        }
        // A link stays one.
        fs::write_atomic(&fs::real_path(&file), text)?;
        mended.push(Mended { file, changes });
    }
    Ok(mended)
}

/// What the files would be.
pub(super) fn texts(checked: &Checked) -> Result<Vec<MendedText>, ConfigError> {
    let mut by_file: BTreeMap<PathBuf, Vec<Edit>> = BTreeMap::new();
    for edit in checked.findings.iter().filter_map(|finding| finding.edit.as_ref()) {
        let edits = by_file.entry(edit.file().to_owned()).or_default();
        if !edits.contains(edit) {
            edits.push(edit.clone());
        }
    }
    let mut mended = vec![];
    for (file, edits) in by_file {
        let Some(source) = checked.sources.iter().find(|it| it.path() == file) else { continue };
        let (text, done) = edit::apply(source, &edits)?;
        if !done.is_empty() && !source.is(&text) {
            let changes = done.into_iter().map(Edit::done).collect();
            mended.push(MendedText { file, text, changes });
        }
    }
    Ok(mended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::check, platform::Env, workspace::Workspace};

    #[test]
    fn what_somebody_changed_since_it_was_checked_is_left_alone() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("d.toml");
        let look = || check(&path, &Workspace::at(dir.path()), &Env::default(), None);
        let misspelt = "resolution = [512]\n[[directory]]\npath = '.'\n";
        fs::write_snapshot(&path, misspelt).expect("written");
        let checked = look();
        // Even if what was to be changed is where it was.
        let changed = format!("{misspelt}num_repeats = 2\n");
        fs::write_snapshot(&path, &changed).expect("written");
        let refused = mend(&checked).map_err(|cause| cause.to_string()).expect_err("changed");
        assert!(refused.contains("was changed by somebody else"), "{refused}");
        assert_eq!(fs::read_text(&path).expect("read"), changed);
        assert_eq!(mend(&look()).expect("mended").len(), 1);
        assert_eq!(fs::read_text(&path).expect("read"), changed.replace("resolution ", "resolutions "));
    }
}
