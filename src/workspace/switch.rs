//! The switch: a copy of what is installed and the live one change places, whole over a kill at any moment.
//!
//! What is to change places is written down before the first of it does, with the numbers that tell the old from the
//! new. So whoever finds the journal knows what is still to be done. For who holds the setup's lock alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Kind, Report},
    platform::{
        checkpoint::{Checkpoint, reach},
        exchange::{exchange, identity, is_half_done, on_one_file_system},
        fs::{self, FsError},
        lock::Lock,
    },
};

use super::Workspace;

/// Raised when an older dpgui could misread a newer journal.
const SCHEMA: u32 = 1;

/// Which copy the live one changes places with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum With {
    /// What an update has prepared. What it replaces becomes the previous one.
    Next,
    /// What the last update, or the last way back, replaced.
    Previous,
}

/// Something of the copy that is to be live: the live path, and its own, both below the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub live: PathBuf,
    pub copy: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum SwitchError {
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("`{}` is a link, and what it leads to cannot change places with a new one", path.display())]
    Link { path: PathBuf },
    #[error("`{}` is on another file system than `{}`, so the two cannot change places", live.display(), copy.display())]
    Apart { live: PathBuf, copy: PathBuf },
    #[error("`{}`, which says what an update was exchanging, cannot be understood", path.display())]
    Journal { path: PathBuf },
    #[error("an update was exchanging `{}`, and somebody else has replaced it since", path.display())]
    Lost { path: PathBuf, journal: PathBuf },
}

impl Report for SwitchError {
    fn kind(&self) -> Kind {
        match self {
            Self::Fs(cause) => cause.kind(),
            Self::Link { .. } | Self::Apart { .. } => Kind::Usage,
            Self::Journal { .. } | Self::Lost { .. } => Kind::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Fs(cause) => return cause.hint(),
            Self::Link { path } => format!("put the folder itself at `{}`", path.display()),
            Self::Apart { live, .. } => {
                format!("put `{}` on the file system of the workspace", live.display())
            }
            Self::Journal { path } | Self::Lost { journal: path, .. } => {
                format!("remove `{}`, then run `dpgui setup`, which mends what is missing", path.display())
            }
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    schema: u32,
    with: With,
    /// The number of the copy's own directory.
    copy: Option<u64>,
    swaps: Vec<Swap>,
}

/// An item with the numbers of what was live before and of what is to be.
#[derive(Debug, Serialize, Deserialize)]
struct Swap {
    #[serde(flatten)]
    item: Item,
    from: Option<u64>,
    to: Option<u64>,
}

/// How far a swap is.
enum Stage {
    ToDo,
    Done,
    /// What is live is neither the one nor the other.
    Lost,
}

impl Item {
    /// `live` and `copy` are absolute.
    pub fn new(workspace: &Workspace, live: &Path, copy: &Path) -> Self {
        let below = |path: &Path| path.strip_prefix(workspace.root()).unwrap_or(path).to_owned();
        Self { live: below(live), copy: below(copy) }
    }

    fn at(&self, workspace: &Workspace) -> (PathBuf, PathBuf) {
        (workspace.root().join(&self.live), workspace.root().join(&self.copy))
    }

    /// Whether the two can change places, as far as that can be told before.
    ///
    /// # Errors
    /// When they cannot.
    pub fn check(&self, workspace: &Workspace) -> Result<(), SwitchError> {
        let (live, copy) = self.at(workspace);
        if fs::link_target(&live).is_some() {
            return Err(SwitchError::Link { path: live });
        }
        if on_one_file_system(parent(&live), parent(&copy))? {
            return Ok(());
        }
        Err(SwitchError::Apart { copy: parent(&copy).to_owned(), live })
    }
}

/// A switch was begun and is not at its end.
pub fn is_pending(workspace: &Workspace) -> bool {
    fs::exists(&journal_file(workspace))
}

/// Makes `items` of the copy live, all or none of them.
///
/// # Errors
/// When that cannot be; then nothing has changed.
pub fn switch(workspace: &Workspace, with: With, items: Vec<Item>, _lock: &Lock) -> Result<(), SwitchError> {
    items.iter().try_for_each(|it| it.check(workspace))?;
    let swap = |item: Item| {
        let (live, copy) = item.at(workspace);
        let (from, to) = (identity(&live)?, identity(&copy)?);
        Ok(Swap { item, from, to })
    };
    let swaps = items.into_iter().map(swap).collect::<Result<_, FsError>>()?;
    let copy = identity(&copy_of(workspace, with))?;
    let journal = Journal { schema: SCHEMA, with, copy, swaps };
    let path = journal_file(workspace);
    fs::write_atomic(&path, serde_json::to_string_pretty(&journal).unwrap_or_default() + "\n")?;
    reach(Checkpoint::SwitchWritten);
    if let Err(error) = journal.swap(workspace) {
        // What cannot be undone either, the journal still knows.
        journal.undo(workspace)?;
        fs::remove_synced(&path)?;
        return Err(error);
    }
    journal.conclude(workspace)
}

/// Brings a switch that was killed to its end. Says whether there was one.
///
/// # Errors
/// When the journal, or what it speaks of, is not as the switch left it.
pub fn finish(workspace: &Workspace, _lock: &Lock) -> Result<bool, SwitchError> {
    let path = journal_file(workspace);
    let Some(text) = fs::read_optional(&path)? else { return Ok(false) };
    let journal: Option<Journal> = serde_json::from_str(&text).ok();
    let journal = journal.filter(|it| it.schema == SCHEMA).ok_or(SwitchError::Journal { path })?;
    journal.swap(workspace)?;
    journal.conclude(workspace)?;
    Ok(true)
}

/// Removes a copy with all that is in it.
pub fn discard(copy: &Workspace) -> Result<(), FsError> {
    debug_assert!(!copy.is_live(), "trainings may use what is installed");
    // First by another name: what is half gone must not be taken for whole.
    let (path, doomed) = (copy.records(), fs::beside(&copy.records(), "old"));
    if !fs::exists(&path) {
        return Ok(());
    }
    fs::rename(&path, &doomed)?;
    fs::remove_tree(&doomed)?;
    reach(Checkpoint::CopyRemoved);
    Ok(())
}

impl Journal {
    fn swap(&self, workspace: &Workspace) -> Result<(), SwitchError> {
        // All are looked at before any is moved.
        for swap in &self.swaps {
            if matches!(swap.stage(workspace)?, Stage::Lost) {
                let (path, journal) = (swap.item.at(workspace).0, journal_file(workspace));
                return Err(SwitchError::Lost { path, journal });
            }
        }
        for swap in &self.swaps {
            let (live, copy) = swap.item.at(workspace);
            match (swap.stage(workspace)?, swap.from) {
                (Stage::ToDo, Some(_)) => exchange(&live, &copy)?,
                (Stage::ToDo, None) => fs::rename(&copy, &live)?,
                (Stage::Done | Stage::Lost, _) => {}
            }
        }
        Ok(())
    }

    fn undo(&self, workspace: &Workspace) -> Result<(), FsError> {
        for swap in self.swaps.iter().rev() {
            let (live, copy) = swap.item.at(workspace);
            match (swap.stage(workspace)?, swap.from) {
                (Stage::Done, Some(_)) => exchange(&live, &copy)?,
                (Stage::Done, None) => fs::rename(&live, &copy)?,
                (Stage::ToDo | Stage::Lost, _) => {}
            }
        }
        Ok(())
    }

    /// What is left once everything is at its place.
    fn conclude(&self, workspace: &Workspace) -> Result<(), SwitchError> {
        let (next, previous) = (workspace.draft(), workspace.previous());
        let (from, to) = (next.records(), previous.records());
        let is_there = self.copy.is_some() && identity(&from)? == self.copy;
        if self.with == With::Next && (is_there || is_half_done(&to)) {
            // It is no draft any more.
            fs::remove_tree(&draft_record(&next))?;
            if fs::exists(&to) || is_half_done(&to) {
                exchange(&from, &to)?;
            } else {
                fs::rename(&from, &to)?;
            }
            reach(Checkpoint::PreviousNamed);
        }
        fs::remove_synced(&journal_file(workspace))?;
        reach(Checkpoint::SwitchDone);
        if self.with == With::Next {
            discard(&next)?;
        }
        Ok(())
    }
}

impl Swap {
    fn stage(&self, workspace: &Workspace) -> Result<Stage, FsError> {
        let (live, copy) = self.item.at(workspace);
        let now = identity(&live)?;
        Ok(if is_half_done(&copy) {
            Stage::ToDo
        } else if now == self.to {
            Stage::Done
        } else if now == self.from {
            Stage::ToDo
        } else {
            Stage::Lost
        })
    }
}

/// What says for what a draft was begun.
pub fn draft_record(draft: &Workspace) -> PathBuf {
    draft.records().join("receipts/draft.json")
}

fn copy_of(workspace: &Workspace, with: With) -> PathBuf {
    match with {
        With::Next => workspace.draft().records(),
        With::Previous => workspace.previous().records(),
    }
}

fn journal_file(workspace: &Workspace) -> PathBuf {
    workspace.internal().join("switch.json")
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::lock::Wait;

    /// Live things with the text `old`, those of a draft with the text `new`, and the setup's lock.
    fn world(live: &[&str], next: &[&str]) -> (tempfile::TempDir, Workspace, Lock) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        let sides = [(workspace.root().to_owned(), live, "old"), (workspace.draft().records(), next, "new")];
        for (root, names, text) in sides {
            fs::create_dir_all(&root).expect("created");
            for name in names {
                fs::create_dir_all(&root.join(name)).expect("created");
                fs::write_atomic(&root.join(name).join("text"), text).expect("written");
            }
        }
        let lock = Lock::exclusive(&workspace.setup_lock(), "a test", Wait::No).expect("free");
        (dir, workspace, lock)
    }

    fn items(names: &[&str]) -> Vec<Item> {
        let item = |name: &&str| Item { live: name.into(), copy: Path::new(".dpgui/next").join(name) };
        names.iter().map(item).collect()
    }

    fn text(workspace: &Workspace, name: &str) -> Option<String> {
        fs::read_optional(&workspace.root().join(name).join("text")).expect("readable")
    }

    #[test]
    fn what_is_new_takes_the_place_of_what_was_there_and_gives_it_back() {
        let (_dir, workspace, lock) = world(&["a", "kept"], &["a", "added"]);
        let check = |a: &str| {
            let found = ["a", "added", "kept"].map(|name| text(&workspace, name));
            assert_eq!(found, [a, "new", "old"].map(|it| Some(it.to_owned())));
            assert!(!is_pending(&workspace) && !fs::exists(&workspace.draft().records()));
        };
        switch(&workspace, With::Next, items(&["a", "added"]), &lock).expect("switched");
        check("new");
        for a in ["old", "new"] {
            let back = Item { live: "a".into(), copy: ".dpgui/previous/a".into() };
            switch(&workspace, With::Previous, vec![back], &lock).expect("switched");
            check(a);
        }
    }

    #[test]
    fn a_switch_that_fails_half_way_is_undone() {
        let (_dir, workspace, lock) = world(&["a", "b"], &["a", "added"]);
        let mut items = items(&["added", "a"]);
        // Nothing changes places with a part of itself.
        fs::create_dir_all(&workspace.root().join("b/part")).expect("created");
        items.push(Item { live: "b".into(), copy: "b/part".into() });
        let error = switch(&workspace, With::Next, items, &lock).expect_err("it cannot be");
        assert_eq!(error.kind(), Kind::Disk, "{error}");
        assert_eq!(
            ["a", "added", "b"].map(|it| text(&workspace, it)),
            [Some("old"), None, Some("old")].map(|it| it.map(str::to_owned))
        );
        assert!(!is_pending(&workspace) && fs::exists(&workspace.draft().records().join("added/text")));
    }

    #[test]
    fn what_cannot_change_places_is_said_before_anything_is_moved() {
        let (_dir, workspace, lock) = world(&["a"], &["a", "venv"]);
        fs::symlink(Path::new("a"), &workspace.venv()).expect("linked");
        let error = switch(&workspace, With::Next, items(&["a", "venv"]), &lock).expect_err("a link");
        let expected = "is a link, and what it leads to cannot change places with a new one";
        assert!(error.to_string().ends_with(expected), "{error}");
        assert_eq!(text(&workspace, "a").as_deref(), Some("old"));
    }

    #[test]
    fn a_journal_that_does_not_fit_what_is_there_is_an_error_and_moves_nothing() {
        let (_dir, workspace, lock) = world(&["a", "b"], &["a", "b"]);
        let swap = |item: Item, from| Swap { to: Some(1), from, item };
        let a = identity(&workspace.root().join("a")).expect("there");
        let swaps = items(&["a", "b"]).into_iter().zip([a, Some(2)]).map(|(item, from)| swap(item, from));
        let journal = Journal { schema: SCHEMA, with: With::Next, copy: Some(3), swaps: swaps.collect() };
        let write = |text: &str| fs::write_atomic(&journal_file(&workspace), text).expect("written");
        let check = |expected: &str| {
            let error = finish(&workspace, &lock).expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert_eq!(
                ["a", "b"].map(|it| text(&workspace, it)),
                [Some("old".to_owned()), Some("old".to_owned())]
            );
        };
        write(&serde_json::to_string(&journal).expect("JSON"));
        check("b`, and somebody else has replaced it since");
        write("{");
        check("cannot be understood");
    }
}
