//! Bringing a bundle in: into the cache, each file only if it is what the list says, and the lock into the workspace.

use std::{
    collections::BTreeSet,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use crate::{
    error::in_one_line,
    output::Progress,
    platform::{
        Arch,
        checkpoint::{Checkpoint, reach},
        digest::{Hashed, Hasher, Sha256},
        fs,
        lock::Lock,
    },
    vendor::lock::{LockFile, LockFileError},
    workspace::{Workspace, commit::CommitId},
};

use super::{
    super::{InstallError, Setup, archive, cache::Cache, lock::LockedError},
    Bundled, CONTENTS, Contents, Entry, Place, SCHEMA,
};

/// Far above any list: a repository at depth 1 has some hundred files, an environment as many.
const LONGEST_LIST: u64 = 64 << 20;

/// What a bundle is brought under.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// Asked for the workspace's lock before anything is written there.
    pub alone: &'a dyn Fn() -> Result<Lock, InstallError>,
    /// Asked about the bundle's lock before what it names is copied.
    pub accept: &'a dyn Fn(&LockFile) -> Result<(), InstallError>,
}

/// # Errors
/// When it is damaged or no bundle, for another kind of machine, or the workspace has another lock. What was found
/// sound before that is in the cache, and does no harm there.
pub fn bring(
    path: &Path,
    (cache, workspace): (&Cache, &Workspace),
    arch: Arch,
    (progress, terms): (&Progress, Terms<'_>),
) -> Result<Bundled, InstallError> {
    let mut inlet =
        Inlet { path, cache, workspace, accept: terms.accept, lock: None, staged: BTreeSet::new() };
    let brought = bring_all(&mut inlet, arch, progress);
    if brought.is_err() {
        // The error that is on its way says more than one about the tidying up. Others may bring theirs just now.
        for half in &inlet.staged {
            let _ = fs::remove_tree(half);
        }
    }
    let brought = brought?;
    // Last: a lock says that what it names can be had.
    if let Some(text) = inlet.lock.take() {
        let _alone = (terms.alone)()?;
        // While it was waited for, somebody may have written another one.
        inlet.take_lock(text)?;
        if let Some(text) = inlet.lock {
            fs::write_atomic(&workspace.lock_file(), text)?;
        }
    }
    Ok(brought)
}

fn bring_all(inlet: &mut Inlet<'_>, arch: Arch, progress: &Progress) -> Result<Bundled, InstallError> {
    let path = inlet.path;
    let bad = |problem: String| refusal(path, &problem);
    let unreadable = |cause: std::io::Error| bad(in_one_line(&cause));
    if fs::is_missing(path) {
        return Err(InstallError::MissingBundle { path: path.to_owned() });
    }
    if let Some(problem) = stranger(path)? {
        return Err(InstallError::NotABundle { path: path.to_owned(), problem });
    }
    let mut archive = tar::Archive::new(BufReader::with_capacity(1 << 20, fs::open(path)?));
    let mut entries = archive.entries().map_err(unreadable)?;
    let first = entries.next().ok_or_else(|| bad("it is empty".to_owned()))?.map_err(unreadable)?;
    let contents = contents(first).map_err(bad)?;
    if contents.arch != arch {
        return Err(InstallError::OtherArch { path: path.to_owned(), of: contents.arch, here: arch });
    }
    if let Some(both) = contents.file_and_folder() {
        return Err(bad(format!("`{}` in its list is a file and a folder", both.display())));
    }
    // The list is other people's bytes: sizes in it may be any.
    let bytes = contents.files.iter().map(|it| it.size).fold(0, u64::saturating_add);
    progress.expect_bytes(bytes);
    let mut done = 0;
    for expected in &contents.files {
        let entry = entries.next().ok_or_else(|| bad("it ends too early".to_owned()))?.map_err(unreadable)?;
        if entry.path().map_err(unreadable)? != expected.path || !entry.header().entry_type().is_file() {
            return Err(bad(format!("`{}` is not where its list says", expected.path.display())));
        }
        inlet.take(expected, entry, progress)?;
        reach(Checkpoint::Brought);
        done = u64::saturating_add(done, expected.size);
        progress.bytes(done);
    }
    for staged in &inlet.staged {
        inlet.settle(staged, progress)?;
    }
    Ok(Bundled::BundleBrought { path: path.to_owned(), files: contents.files.len(), bytes })
}

impl Setup<'_> {
    /// The lock of a bundle would be as this setup wants it.
    ///
    /// # Errors
    /// When it would change, as far as that can be told before anything is there.
    pub fn confirm_brought(&self, lock: &LockFile) -> Result<(), InstallError> {
        self.lock_step.confirm_brought(lock)
    }
}

/// Why the file is no bundle, nor the beginning of one. An empty one may be what is left of a copy.
fn stranger(path: &Path) -> Result<Option<String>, InstallError> {
    if fs::is_dir(path) {
        return Ok(Some("it is a directory".to_owned()));
    }
    // What comes through a pipe comes once.
    if !fs::is_file(path) {
        return Ok(None);
    }
    let (mut start, length) = (vec![], CONTENTS.len());
    let read = fs::open(path)?.take(length as u64).read_to_end(&mut start);
    read.map_err(fs::context("read", path))?;
    let begins = start == CONTENTS.as_bytes()[..start.len()];
    Ok((!begins).then(|| format!("it does not begin with `{CONTENTS}`")))
}

fn contents<R: Read>(first: tar::Entry<'_, R>) -> Result<Contents, String> {
    if first.path().ok().as_deref() != Some(Path::new(CONTENTS)) {
        return Err("it is no bundle of dpgui".to_owned());
    }
    let mut text = String::new();
    first.take(LONGEST_LIST).read_to_string(&mut text).map_err(|cause| cause.to_string())?;
    let contents: Contents = serde_json::from_str(&text).map_err(|cause| cause.to_string())?;
    if contents.schema != SCHEMA {
        return Err(format!("it is one of another dpgui ({})", contents.dpgui));
    }
    Ok(contents)
}

fn refusal(path: &Path, problem: &str) -> InstallError {
    InstallError::BadBundle { path: path.to_owned(), problem: archive::plain(problem) }
}

struct Inlet<'a> {
    path: &'a Path,
    cache: &'a Cache,
    workspace: &'a Workspace,
    accept: &'a dyn Fn(&LockFile) -> Result<(), InstallError>,
    /// For a workspace that has none.
    lock: Option<String>,
    /// Repositories that are not whole yet.
    staged: BTreeSet<PathBuf>,
}

impl Inlet<'_> {
    /// Puts one file where it belongs.
    fn take(
        &mut self,
        expected: &Entry,
        content: impl Read,
        progress: &Progress,
    ) -> Result<(), InstallError> {
        let path = self.path;
        let bad = |problem: String| refusal(path, &problem);
        match expected.place() {
            None => Err(bad(format!("`{}` is no part of a bundle", expected.path.display()))),
            // For the user; but a bundle that is damaged anywhere is a damaged bundle.
            Some(Place::Program) => {
                let mut hasher = Hasher::default();
                let mut content = content;
                hasher.update_from(&mut content).map_err(|cause| bad(in_one_line(&cause)))?;
                self.check(expected, hasher.finish())
            }
            Some(Place::Lock) => {
                let mut text = String::new();
                content
                    .take(LONGEST_LIST)
                    .read_to_string(&mut text)
                    .map_err(|cause| bad(in_one_line(&cause)))?;
                self.check(expected, Sha256::of(&text))?;
                self.take_lock(text)
            }
            Some(Place::Download(sha256)) => {
                // Who only uses it, as a bundle that is written does for its whole time, is not in the way.
                if self.cache.take(sha256)?.is_some() {
                    return Ok(());
                }
                let waiting = || progress.doing(format!("waiting for another dpgui that fetches `{sha256}`"));
                let Some(alone) = self.cache.alone(sha256, waiting)? else { return Ok(()) };
                if self.cache.is_sound(sha256)? {
                    return Ok(());
                }
                let draft = fs::beside(&self.cache.file(sha256), "tmp");
                self.write(expected, content, &draft)?;
                // Else a power cut could leave its name in the cache without its bytes.
                fs::sync_file(&draft).map_err(|source| self.cache.failed(source))?;
                reach(Checkpoint::Downloaded);
                self.cache.keep(&draft, sha256, alone).map(drop)
            }
            Some(Place::Repository(name, inside)) => {
                let place = self.cache.dir().join(super::REPOSITORIES).join(name);
                let staged = fs::beside(&place, "tmp");
                let target = staged.join(inside);
                if self.staged.insert(staged.clone()) {
                    fs::remove_leftovers(&place)?;
                    fs::remove_tree(&staged)?;
                }
                fs::create_dir_all(target.parent().unwrap_or(&staged))?;
                self.write(expected, content, &target)
            }
        }
    }

    fn write(&self, expected: &Entry, content: impl Read, target: &Path) -> Result<(), InstallError> {
        fs::remove_tree(target)?;
        let mut hashed = Hashed::new(content.take(expected.size.saturating_add(1)));
        fs::write_stream(target, &mut hashed, 0o644)?;
        let found = hashed.finish();
        if found != expected.sha256 {
            fs::remove_tree(target)?;
        }
        self.check(expected, found)
    }

    fn check(&self, expected: &Entry, found: Sha256) -> Result<(), InstallError> {
        if found == expected.sha256 {
            return Ok(());
        }
        Err(refusal(self.path, &format!("`{}` in it is not what its list says", expected.path.display())))
    }

    /// A workspace without a lock takes this one; another one is the user's decision.
    fn take_lock(&mut self, text: String) -> Result<(), InstallError> {
        let brought = LockFile::parse(&text).map_err(|source| match source {
            LockFileError::Newer(_) => LockedError::Unreadable { path: self.path.to_owned(), source }.into(),
            // The lock of a bundle is nobody's to mend.
            LockFileError::Toml(_) => {
                refusal(self.path, &format!("its `dpgui.lock`: {}", in_one_line(&source)))
            }
        })?;
        (self.accept)(&brought)?;
        match fs::read_optional(&self.workspace.lock_file())? {
            None => self.lock = Some(text),
            Some(own) if LockFile::parse(&own).is_ok_and(|own| own == brought) => {}
            Some(_) => {
                let why = format!("`{}` was made for another one", self.path.display());
                return Err(LockedError::Outdated { why }.into());
            }
        }
        Ok(())
    }

    /// Gives a repository that is whole its name.
    fn settle(&self, staged: &Path, progress: &Progress) -> Result<(), InstallError> {
        let name = staged.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = name.trim_start_matches('.').split(".tmp-").next().unwrap_or_default().to_owned();
        let commit = name.strip_suffix(".git").and_then(|it| it.parse().ok());
        let no_part = || refusal(self.path, &format!("`{name}` in it is no repository's name"));
        let commit: CommitId = commit.ok_or_else(no_part)?;
        fs::sync_filesystem(staged)?;
        let waiting = || progress.doing(format!("waiting for a setup that uses `{name}`"));
        let _alone = self.cache.repository_alone(commit, waiting)?;
        Ok(fs::replace_dir(staged, &staged.with_file_name(name))?)
    }
}
