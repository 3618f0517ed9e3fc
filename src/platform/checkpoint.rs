//! The moments after every durable change, so that a test can kill dpgui in each of them.
//!
//! Builds with debug assertions kill themselves with SIGKILL when `DPGUI_TEST_KILL_AT` is `NAME` or `NAME:N`, at the
//! N-th time they reach NAME, and append every name that they reach to the file `DPGUI_TEST_CHECKPOINTS`. They panic at
//! each checkpoint that `DPGUI_TEST_PANIC_AT` names. In others all of this is nothing.

macro_rules! checkpoints {
    ($($(#[doc = $what:literal])* $variant:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Checkpoint {
            $($(#[doc = $what])* $variant,)*
        }

        impl Checkpoint {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

checkpoints! {
    // Files and directories, whosever they are.
    /// A temporary file is written and synced, and has its real name not yet.
    Written = "written",
    /// Something has its real name; its directory is not synced.
    Renamed = "renamed",
    /// The directory of something renamed is synced.
    ParentSynced = "parent-synced",
    /// A new directory has taken the place of an old one, which is still there.
    Exchanged = "exchanged",
    /// The old directory is gone.
    OldRemoved = "old-removed",
    /// A new directory to be filled is there.
    DirectoryCreated = "directory-created",
    /// Everything that was written is on the disk.
    Synced = "synced",
    // A setup.
    /// The lock file is there and ours.
    Locked = "locked",
    /// `dpgui.toml` holds what was chosen on the command line.
    Remembered = "remembered",
    /// The workspace has a `dpgui.toml`.
    Marked = "marked",
    /// Something that an earlier setup left is removed.
    LeftoverRemoved = "leftover-removed",
    /// A receipt that lies by itself is written.
    LooseReceipt = "loose-receipt",
    // Downloads.
    /// Where a download comes from is written.
    OriginWritten = "origin-written",
    /// A download is whole, verified and synced.
    Downloaded = "downloaded",
    /// It has its name in the cache.
    Kept = "kept",
    /// What was written beside it is gone.
    PartialForgotten = "partial-forgotten",
    // A directory artefact.
    /// An archive is unpacked.
    Unpacked = "unpacked",
    /// Everything is in the staging directory.
    Filled = "filled",
    /// The manifest is written.
    Listed = "listed",
    /// The receipt is written.
    Receipted = "receipted",
    // A run.
    /// The trainer is asked to save.
    SaveAsked = "save-asked",
    // Bundles, and tidying up.
    /// A bundle is whole and synced, and has its real name not yet.
    BundleWritten = "bundle-written",
    /// Something of a bundle is where it belongs.
    Brought = "brought",
    /// Something that nobody needs is removed.
    Cleaned = "cleaned",
    /// A list of requirements is derived.
    Derived = "derived",
    // The lock and the environment.
    /// `dpgui.lock` is written.
    LockWritten = "lock-written",
    /// There is a directory that uv installs from.
    WheelhouseMade = "wheelhouse-made",
    /// An environment without packages is there.
    EnvironmentMade = "environment-made",
    /// The file of a package is where uv installs from.
    WheelArrived = "wheel-arrived",
    /// Some packages are installed.
    BatchInstalled = "batch-installed",
    /// The environment has exactly the locked packages.
    EnvironmentSynced = "environment-synced",
    /// The files of its packages have left the cache.
    DownloadsDiscarded = "downloads-discarded",
    // Checkouts and the farm.
    /// The edits of a checkout are kept as a patch.
    EditsKept = "edits-kept",
    /// They are undone in the checkout.
    EditsUndone = "edits-undone",
    /// A checkout that cannot be read is moved out of the way.
    SetAside = "set-aside",
    /// An empty repository is there.
    RepositoryCreated = "repository-created",
    /// It has the commit.
    Fetched = "fetched",
    /// Its files are written.
    CheckedOut = "checked-out",
    /// A link that is not wanted any more is gone.
    LinkRemoved = "link-removed",
    /// A link is made, and has its real name not yet.
    LinkMade = "link-made",
    /// The farm's receipt is written.
    FarmReceipted = "farm-receipted",
    // An update and a rollback.
    /// The draft of an update knows what it is for.
    DraftBegun = "draft-begun",
    /// What is to be switched is written down.
    SwitchWritten = "switch-written",
    /// Two things have changed places.
    Swapped = "swapped",
    /// What was replaced is the previous one by name.
    PreviousNamed = "previous-named",
    /// Nothing is left to be switched.
    SwitchDone = "switch-done",
    /// The copy before the previous one is gone.
    CopyRemoved = "copy-removed",
}

#[cfg(debug_assertions)]
pub use watched::reach;

/// Says that `checkpoint` has been reached.
#[cfg(not(debug_assertions))]
#[inline]
pub const fn reach(_: Checkpoint) {}

#[cfg(debug_assertions)]
mod watched {
    use std::{
        env,
        fs::File,
        io::Write,
        sync::{
            LazyLock,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use nix::{
        sys::signal::{Signal, kill},
        unistd::{Pid, pause},
    };

    use super::Checkpoint;

    struct Watch {
        list: Option<File>,
        /// The name, and which time it is.
        last: Option<(String, usize)>,
        panics_at: Option<String>,
        reached: AtomicUsize,
    }

    static WATCH: LazyLock<Watch> = LazyLock::new(|| {
        let open = |path| File::options().append(true).create(true).open(path).ok();
        let last = env::var("DPGUI_TEST_KILL_AT").ok().map(|text| {
            let counted = text.split_once(':').and_then(|(name, count)| Some((name, count.parse().ok()?)));
            let (name, count) = counted.unwrap_or((&text, 1));
            (name.to_owned(), count)
        });
        Watch {
            list: env::var_os("DPGUI_TEST_CHECKPOINTS").and_then(open),
            last,
            panics_at: env::var("DPGUI_TEST_PANIC_AT").ok(),
            reached: AtomicUsize::new(0),
        }
    });

    /// Says that `checkpoint` has been reached.
    ///
    /// # Panics
    /// When a test wants that.
    pub fn reach(checkpoint: Checkpoint) {
        if let Some(mut list) = WATCH.list.as_ref() {
            // In one write: the steps of a setup reach theirs side by side.
            let _ = list.write_all(format!("{}\n", checkpoint.name()).as_bytes());
        }
        assert!(WATCH.panics_at.as_deref() != Some(checkpoint.name()), "a test wanted it to panic here");
        let Some((name, count)) = &WATCH.last else { return };
        if name == checkpoint.name() && WATCH.reached.fetch_add(1, Ordering::SeqCst) + 1 == *count {
            let _ = kill(Pid::this(), Signal::SIGKILL);
            // Nothing more happens in this thread.
            pause();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_checkpoints_have_one_name() {
        let names: BTreeSet<&str> = Checkpoint::ALL.iter().map(|it| it.name()).collect();
        assert_eq!(names.len(), Checkpoint::ALL.len());
    }
}
