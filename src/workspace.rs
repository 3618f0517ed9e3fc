//! The workspace: one directory with everything of one user's training, and the only builder of paths in it.

pub mod commit;
pub mod remember;
pub mod settings;

use std::path::{Path, PathBuf};

use crate::platform::{Host, fs};

pub use settings::{Settings, SettingsError};

/// The file that marks a workspace and says what its user wants.
pub const SETTINGS_FILE: &str = "dpgui.toml";

/// Where things are. Knows names, reads nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// `-C DIR`, then `DPGUI_WORKSPACE`, then the nearest ancestor that holds `dpgui.toml`, then the working directory.
    pub fn find(host: &Host, chosen: Option<&Path>) -> Self {
        let named = chosen.or_else(|| host.env.get("DPGUI_WORKSPACE").map(Path::new));
        let marked = || host.cwd.ancestors().find(|dir| fs::exists(&dir.join(SETTINGS_FILE)));
        Self::at(named.map_or_else(|| marked().unwrap_or(&host.cwd).to_owned(), |dir| host.absolute(dir)))
    }

    /// `root` must be absolute.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        // `a/./b/..` would end up in receipts, links and logs.
        let mut clean = PathBuf::new();
        for part in root.into().components() {
            match part {
                std::path::Component::CurDir => {}
                std::path::Component::ParentDir => {
                    clean.pop();
                }
                part => clean.push(part),
            }
        }
        Self { root: clean }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn settings_file(&self) -> PathBuf {
        self.root.join(SETTINGS_FILE)
    }

    /// What setup installed, to the last byte; to be kept in git.
    pub fn lock_file(&self) -> PathBuf {
        self.root.join("dpgui.lock")
    }

    /// The checkouts and the symlink farm.
    pub fn vendor(&self) -> PathBuf {
        self.root.join("vendor")
    }

    /// The symlink farm, a run's `PYTHONPATH`.
    pub fn libs(&self) -> PathBuf {
        self.root.join("vendor/libs")
    }

    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// The Python environment of the trainer.
    pub fn venv(&self) -> PathBuf {
        self.root.join("venv")
    }

    pub fn python(&self) -> PathBuf {
        self.root.join("venv/bin/python")
    }

    pub fn configs(&self) -> PathBuf {
        self.root.join("configs")
    }

    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// What dpgui keeps for itself: receipts, downloads, staging, derived files.
    pub fn internal(&self) -> PathBuf {
        self.root.join(".dpgui")
    }

    /// Held by who changes what is installed, and shared by every training that uses it.
    pub fn setup_lock(&self) -> PathBuf {
        self.root.join(".dpgui/setup.lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_path_has_no_dots_in_it() {
        assert_eq!(Workspace::at("/a/./b/../c").root(), Path::new("/a/c"));
        assert_eq!(Workspace::at("/a/b/").python(), Path::new("/a/b/venv/bin/python"));
    }
}
