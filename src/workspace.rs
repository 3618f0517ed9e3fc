//! The workspace: one directory with everything of one user's training, and the only builder of paths in it.

pub mod change;
pub mod commit;
mod document;
pub mod remember;
pub mod settings;
pub mod switch;

use std::path::{Path, PathBuf};

use crate::platform::{Host, fs};

pub use settings::{LogSettings, RunSettings, Settings, SettingsError};

/// The file that marks a workspace and says what its user wants.
pub const SETTINGS_FILE: &str = "dpgui.toml";

/// Where things are. Knows names, reads nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    root: PathBuf,
    copy: Copy,
}

/// Which copy of what is installed. All else, and the tools, there is once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copy {
    /// What trainings use.
    Live,
    /// What an update prepares.
    Next,
    /// What the last update replaced.
    Previous,
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
        Self { root: clean, copy: Copy::Live }
    }

    /// The same workspace, where what is installed is what an update prepares.
    #[must_use]
    pub fn draft(&self) -> Self {
        Self { copy: Copy::Next, ..self.clone() }
    }

    /// The same workspace, where what is installed is what the last update replaced.
    #[must_use]
    pub fn previous(&self) -> Self {
        Self { copy: Copy::Previous, ..self.clone() }
    }

    /// The same workspace, where what is installed is what trainings use.
    #[must_use]
    pub fn live(&self) -> Self {
        Self { copy: Copy::Live, ..self.clone() }
    }

    pub fn is_live(&self) -> bool {
        self.copy == Copy::Live
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What is installed lies here: the checkouts, the environment, the lock.
    fn installed(&self) -> PathBuf {
        if self.is_live() { self.root.clone() } else { self.records() }
    }

    /// What dpgui notes about what is installed: derived files, some of the receipts. Of a copy it is the whole.
    pub fn records(&self) -> PathBuf {
        match self.copy {
            Copy::Live => self.internal(),
            Copy::Next => self.internal().join("next"),
            Copy::Previous => self.internal().join("previous"),
        }
    }

    /// Lists that are made from the checkouts.
    pub fn derived(&self) -> PathBuf {
        self.records().join("derived")
    }

    pub fn settings_file(&self) -> PathBuf {
        self.root.join(SETTINGS_FILE)
    }

    /// What setup installed, to the last byte; to be kept in git.
    pub fn lock_file(&self) -> PathBuf {
        self.installed().join("dpgui.lock")
    }

    /// The checkouts and the symlink farm.
    pub fn vendor(&self) -> PathBuf {
        self.installed().join("vendor")
    }

    /// The symlink farm, a run's `PYTHONPATH`.
    pub fn libs(&self) -> PathBuf {
        self.installed().join("vendor/libs")
    }

    pub fn tools(&self) -> PathBuf {
        self.root.join("tools")
    }

    /// The Python environment of the trainer.
    pub fn venv(&self) -> PathBuf {
        self.installed().join("venv")
    }

    /// Where Python packages are installed; `None` before setup.
    pub fn site_packages(&self) -> Option<PathBuf> {
        let lib = self.venv().join("lib");
        let versions = fs::names(&lib).ok()?;
        versions.into_iter().map(|it| lib.join(it).join("site-packages")).find(|it| fs::is_dir(it))
    }

    /// The version of the Python package `name` that is installed, as the name of its `dist-info` says.
    pub fn package_version(&self, name: &str) -> Option<String> {
        let names = fs::names(&self.site_packages()?).ok()?;
        let version = |it: &std::ffi::OsString| {
            let rest = it.to_str()?.strip_prefix(name)?.strip_prefix('-')?;
            rest.strip_suffix(".dist-info").map(str::to_owned)
        };
        names.iter().find_map(version)
    }

    pub fn python(&self) -> PathBuf {
        self.installed().join("venv/bin/python")
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

    /// What dpgui keeps for itself, whichever copy this is: receipts, locks, staging.
    pub fn internal(&self) -> PathBuf {
        self.root.join(".dpgui")
    }

    /// The built web page.
    pub fn page(&self) -> PathBuf {
        self.root.join(".dpgui/page")
    }

    /// Held by who changes what is installed, and shared by every training that uses it.
    pub fn setup_lock(&self) -> PathBuf {
        self.root.join(".dpgui/setup.lock")
    }

    /// Held by who prepares an update.
    pub fn update_lock(&self) -> PathBuf {
        self.root.join(".dpgui/update.lock")
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

    #[test]
    fn a_copy_has_what_is_installed_by_itself_and_shares_the_rest() {
        let live = Workspace::at("/w");
        let check = |copy: &Workspace, expected: [&str; 5]| {
            let found = [copy.venv(), copy.lock_file(), copy.derived(), copy.tools(), copy.setup_lock()];
            assert_eq!(found, expected.map(|it| Path::new("/w").join(it)));
        };
        let shared = ["tools", ".dpgui/setup.lock"];
        let [tools, lock] = shared;
        check(&live, ["venv", "dpgui.lock", ".dpgui/derived", tools, lock]);
        let next = [".dpgui/next/venv", ".dpgui/next/dpgui.lock", ".dpgui/next/derived", tools, lock];
        check(&live.draft(), next);
        check(
            &live.draft().previous(),
            next.map(|it| it.replace("next", "previous")).each_ref().map(String::as_str),
        );
        assert_eq!(live.draft().live(), live);
    }
}
