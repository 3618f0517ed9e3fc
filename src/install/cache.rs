//! The download cache: one for all workspaces of a user, so that nothing is fetched twice.
//!
//! A whole file is called by its digest, `downloads/SHA256`; one that is still on its way is `downloads/SHA256.part`, with
//! `SHA256.part.json` beside it for where it comes from. `locks/SHA256` is held by everybody who uses the file, and alone
//! by who fetches or removes it: two setups share one transfer, and nothing vanishes under a setup that unpacks it.
//! A file's own time is when it was last used. `kept/SHA256` is there for a file that somebody wants to stay when whoever
//! fetched it is done.

pub mod sweep;

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    platform::{
        Host,
        checkpoint::{Checkpoint, reach},
        clock,
        digest::{Hasher, Sha256},
        fs::{self, FsError},
        hold::Hold,
    },
    workspace::{Settings, Workspace, commit::CommitId},
};

use super::InstallError;

/// Tells backup programs to leave the directory out: <https://bford.info/cachedir/>.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This file marks a directory of downloads that dpgui can fetch again.\n\
    # See https://bford.info/cachedir/\n";

/// Between two tries to be alone with a file that whoever fetched it has given up.
const AGAIN: Duration = Duration::from_millis(20);

/// Where downloads are kept, and how much of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    dir: PathBuf,
    /// Bytes that may lie there when a setup ends.
    limit: u64,
}

/// A file of the cache that stays there, as it is, until this is dropped.
#[derive(Debug)]
pub struct Held {
    pub path: PathBuf,
    _hold: Hold,
}

/// What is at the place of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    Nothing,
    It,
    /// Something that is not what its name says.
    Another,
}

impl Cache {
    /// `DPGUI_CACHE_DIR`, else `dpgui` in `XDG_CACHE_HOME` or `~/.cache`, else, without a home, the workspace's own.
    pub fn of(host: &Host, workspace: &Workspace, settings: &Settings) -> Self {
        // A relative path in these counts as none: XDG base directory specification 0.8.
        let absolute = |path: PathBuf| Some(path).filter(|it| it.is_absolute());
        let named = || Some(host.absolute(Path::new(host.env.get("DPGUI_CACHE_DIR")?)));
        let xdg = || Some(absolute(host.env.get("XDG_CACHE_HOME")?.into())?.join("dpgui"));
        let home = || Some(host.env.existing_home()?.join(".cache/dpgui"));
        let dir = named().or_else(xdg).or_else(home).unwrap_or_else(|| workspace.internal().join("cache"));
        Self { dir, limit: settings.cache.limit }
    }

    /// `dir` must be absolute.
    pub const fn at(dir: PathBuf, limit: u64) -> Self {
        Self { dir, limit }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the whole file is, or would be.
    pub fn file(&self, sha256: Sha256) -> PathBuf {
        self.downloads().join(sha256.to_string())
    }

    /// The whole file is there. Cheap: whether it is what its name says is found out when it is used.
    pub fn has(&self, sha256: Sha256) -> bool {
        fs::is_file(&self.file(sha256))
    }

    /// Bytes of the file that are there already, whole or not.
    pub fn bytes_of(&self, sha256: Sha256) -> u64 {
        let there = fs::size(&self.file(sha256)).or_else(|_| fs::size(&self.partial(sha256)));
        there.unwrap_or(0)
    }

    /// The file, if it is there, used from now on. One that is not what its name says is as good as none.
    pub fn take(&self, sha256: Sha256) -> Result<Option<Held>, InstallError> {
        let path = self.file(sha256);
        if !self.has(sha256) {
            return Ok(None);
        }
        let take = || {
            let hold = Hold::shared(&self.lock(sha256)?)?;
            Ok(if self.sound(sha256)? { Some(Held { path, _hold: hold }) } else { None })
        };
        take().map_err(|source| self.failed(source))
    }

    /// The whole file is there, and is what its name says. For who is alone with it.
    pub fn is_sound(&self, sha256: Sha256) -> Result<bool, InstallError> {
        self.sound(sha256).map_err(|source| self.failed(source))
    }

    /// What is there by this name. Reads the file: for where it cannot be fetched again.
    pub fn look_into(&self, sha256: Sha256) -> Result<There, InstallError> {
        if !self.has(sha256) {
            return Ok(There::Nothing);
        }
        Ok(if self.take(sha256)?.is_some() { There::It } else { There::Another })
    }

    /// Takes `path`, which must lie on the cache's file system and is verified already, as the whole file. `None` if
    /// somebody tidied up at the very moment: then it has to be fetched again.
    pub fn keep(&self, path: &Path, sha256: Sha256, alone: Hold) -> Result<Option<Held>, InstallError> {
        let keep = || {
            let file = self.file(sha256);
            // Of an earlier file, which has gone since.
            fs::remove_tree(&self.mark(&sha256.to_string()))?;
            fs::rename(path, &file)?;
            reach(Checkpoint::Kept);
            drop(alone);
            let hold = Hold::shared(&self.lock(sha256)?)?;
            Ok(fs::is_file(&file).then_some(Held { path: file, _hold: hold }))
        };
        keep().map_err(|source| self.failed(source))
    }

    /// The file is to stay when others who use it are done. For who holds it.
    pub fn want_kept(&self, sha256: Sha256) -> Result<(), InstallError> {
        let mark = self.mark(&sha256.to_string());
        let want = || fs::create_dir_all(&self.kept()).and_then(|()| fs::create(&mark)).map(drop);
        want().map_err(|source| self.failed(source))
    }

    /// Removes the file, unless somebody wants it kept. `false` if somebody uses it just now: then it is still there.
    pub fn discard(&self, sha256: Sha256) -> Result<bool, InstallError> {
        let discard = || match Hold::alone_at_once(&self.lock(sha256)?)? {
            Some(_alone) if fs::exists(&self.mark(&sha256.to_string())) => Ok(true),
            Some(_alone) => fs::remove_tree(&self.file(sha256)).map(|()| true),
            None => Ok(false),
        };
        discard().map_err(|source| self.failed(source))
    }

    /// For who fetches the file, alone. Others who do that are waited for, after a word to `waiting`; `None` if the file is
    /// there then. That they are done with using it is not waited for: they may wait for a file that the caller uses.
    pub fn alone(&self, sha256: Sha256, waiting: impl FnOnce()) -> Result<Option<Hold>, InstallError> {
        let alone = || {
            let lock = self.lock(sha256)?;
            if let Some(alone) = Hold::alone_at_once(&lock)? {
                return Ok(Some(alone));
            }
            waiting();
            loop {
                let shared = Hold::shared(&lock)?;
                if self.sound(sha256)? {
                    return Ok(None);
                }
                drop(shared);
                if let Some(alone) = Hold::alone_at_once(&lock)? {
                    return Ok(Some(alone));
                }
                clock::pause(AGAIN);
            }
        };
        alone().map_err(|source| self.failed(source))
    }

    /// Where the file is until it is whole.
    pub fn partial(&self, sha256: Sha256) -> PathBuf {
        self.file(sha256).with_extension("part")
    }

    /// Beside it: where its bytes came from.
    pub fn origin(&self, sha256: Sha256) -> PathBuf {
        self.file(sha256).with_extension("part.json")
    }

    /// Where a bare repository with this commit is, if somebody brought one.
    pub fn repository(&self, commit: CommitId) -> PathBuf {
        self.repositories().join(format!("{commit}.git"))
    }

    /// The repository stays there until this is dropped.
    pub fn hold_repository(&self, commit: CommitId) -> Result<Hold, InstallError> {
        let hold = || {
            self.make()?;
            let hold = Hold::shared(&self.locks().join(commit.to_string()))?;
            // Of use to the order of tidying up alone: not worth an error.
            let _ = fs::touch(&self.repository(commit), clock::now());
            Ok(hold)
        };
        hold().map_err(|source| self.failed(source))
    }

    /// For who puts the repository there. Who uses it is waited for, after a word to `waiting`.
    pub fn repository_alone(&self, commit: CommitId, waiting: impl FnOnce()) -> Result<Hold, InstallError> {
        let alone = || {
            self.make()?;
            Hold::alone(&self.locks().join(commit.to_string()), waiting)
        };
        alone().map_err(|source| self.failed(source))
    }

    /// A directory of pip's own for this wheel.
    pub fn for_pip(&self, sha256: Sha256) -> PathBuf {
        self.dir.join("pip").join(sha256.to_string())
    }

    /// An error of the cache: what is to be done about it is not what is to be done about a workspace.
    pub fn failed(&self, source: FsError) -> InstallError {
        InstallError::Cache { dir: self.dir.clone(), source }
    }

    fn downloads(&self) -> PathBuf {
        self.dir.join("downloads")
    }

    fn repositories(&self) -> PathBuf {
        self.dir.join("repositories")
    }

    fn kept(&self) -> PathBuf {
        self.dir.join("kept")
    }

    fn mark(&self, name: &str) -> PathBuf {
        self.kept().join(name)
    }

    fn locks(&self) -> PathBuf {
        self.dir.join("locks")
    }

    fn lock(&self, sha256: Sha256) -> Result<PathBuf, FsError> {
        self.make()?;
        Ok(self.locks().join(sha256.to_string()))
    }

    fn make(&self) -> Result<(), FsError> {
        let locks = self.locks();
        if !fs::is_dir(&locks) || !fs::is_dir(&self.downloads()) {
            fs::create_dir_all(&self.downloads())?;
            // In place: several setups write the same, and there is no temporary file to be left behind.
            let tag = self.dir.join("CACHEDIR.TAG");
            fs::create(&tag)?.write_all(TAG.as_bytes()).map_err(fs::context("write", &tag))?;
            // Last: with it everything is there.
            fs::create_dir_all(&locks)?;
        }
        Ok(())
    }

    /// The whole file is there and is the one that its name says; it was used just now.
    fn sound(&self, sha256: Sha256) -> Result<bool, FsError> {
        let path = self.file(sha256);
        if !fs::is_file(&path) {
            return Ok(false);
        }
        let mut hasher = Hasher::default();
        hasher.update_from(&mut fs::open(&path)?).map_err(fs::context("read", &path))?;
        if hasher.finish() != sha256 {
            return Ok(false);
        }
        // Whoever was killed between naming it and this left it; a file that cannot be removed does no harm.
        let _ = fs::remove_tree(&self.origin(sha256));
        // Of use to the order of tidying up alone: not worth an error.
        let _ = fs::touch(&path, clock::now());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use crate::platform::{Arch, Env};

    use super::*;

    #[test]
    fn the_cache_is_the_users_own_and_without_a_home_the_workspaces() {
        let check = |variables: &[(&str, &str)], expected: &str| {
            let mut env = Env::default();
            for (name, value) in variables {
                env.set(name, value);
            }
            let host = Host {
                env,
                cwd: PathBuf::from("/cwd"),
                program: PathBuf::new(),
                arch: Arch::X86_64,
                terminal: false,
            };
            let cache = Cache::of(&host, &Workspace::at("/w"), &Settings::default());
            assert_eq!((cache.dir(), cache.limit), (Path::new(expected), 30_000_000_000));
        };
        let (home, xdg) = (("HOME", "/usr"), ("XDG_CACHE_HOME", "/x"));
        check(&[], "/w/.dpgui/cache");
        check(&[home], "/usr/.cache/dpgui");
        check(&[home, xdg], "/x/dpgui");
        check(&[home, xdg, ("DPGUI_CACHE_DIR", "/c")], "/c");
        check(&[home, xdg, ("DPGUI_CACHE_DIR", "c")], "/cwd/c");
        check(&[home, xdg, ("DPGUI_CACHE_DIR", "~/c")], "/usr/c");
        check(&[home, xdg, ("DPGUI_CACHE_DIR", "")], "/x/dpgui");
        check(&[home, ("XDG_CACHE_HOME", "x")], "/usr/.cache/dpgui");
        check(&[("HOME", "/nonexistent")], "/w/.dpgui/cache");
        check(&[("HOME", "u")], "/w/.dpgui/cache");
    }

    #[test]
    fn what_somebody_wants_kept_survives_whoever_fetched_it_and_no_longer_than_itself() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let cache = Cache::at(dir.path().join("cache"), u64::MAX);
        let sha256 = Sha256::of("whole");
        let fetch = || {
            let alone = cache.alone(sha256, || ()).expect("free").expect("not there");
            fs::write_atomic(&cache.partial(sha256), "whole").expect("written");
            cache.keep(&cache.partial(sha256), sha256, alone).expect("kept").expect("there")
        };
        let (fetcher, keeper) = (fetch(), cache.take(sha256).expect("looked").expect("there"));
        drop(fetcher);
        assert!(!cache.discard(sha256).expect("asked"), "it is used");
        cache.want_kept(sha256).expect("marked");
        drop(keeper);
        assert!(cache.discard(sha256).expect("asked") && cache.has(sha256));

        cache.sweep(sweep::Sweep::Whole, false).expect("swept");
        assert!(!cache.has(sha256));
        drop(fetch());
        assert!(cache.discard(sha256).expect("asked") && !cache.has(sha256), "nobody wants this one kept");
    }

    #[test]
    fn who_waits_for_a_file_has_it_when_it_is_there_however_long_others_use_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let cache = Cache::at(dir.path().join("cache"), u64::MAX);
        let sha256 = Sha256::of("whole");
        let alone = cache.alone(sha256, || ()).expect("free").expect("not there");
        std::thread::scope(|scope| {
            let (sender, waits) = std::sync::mpsc::channel();
            let second = scope.spawn(|| cache.alone(sha256, move || sender.send(()).expect("heard")));
            waits.recv().expect("it says that it waits");
            fs::write_atomic(&cache.partial(sha256), "whole").expect("written");
            let used = cache.keep(&cache.partial(sha256), sha256, alone).expect("kept");
            assert!(second.join().expect("it ran").expect("asked").is_none());
            drop(used);
        });
    }

    #[test]
    fn a_file_that_is_not_what_its_name_says_is_as_good_as_none() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let cache = Cache::at(dir.path().join("cache"), u64::MAX);
        let sha256 = Sha256::of("whole");
        assert!(cache.take(sha256).expect("looked").is_none());
        assert!(!cache.dir().exists(), "a look makes nothing");
        drop(cache.alone(sha256, || ()).expect("free"));
        fs::write_atomic(&cache.file(sha256), "other").expect("written");
        assert!(cache.has(sha256) && cache.take(sha256).expect("looked").is_none());
        fs::write_atomic(&cache.file(sha256), "whole").expect("written");
        let long_ago = "2020-01-01T00:00:00Z".parse().expect("a time");
        fs::touch(&cache.file(sha256), long_ago).expect("touched");
        let held = cache.take(sha256).expect("looked").expect("there");
        assert_eq!(held.path, cache.file(sha256));
        assert!(fs::modified(&held.path).expect("there") > long_ago, "it was used");
        assert!(
            fs::read_text(&cache.dir().join("CACHEDIR.TAG")).expect("there").starts_with("Signature: 8a47")
        );
    }
}
