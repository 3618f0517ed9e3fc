//! The directory that uv installs from: files that have arrived, under their own names.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use crate::{
    output::Progress,
    platform::{
        Env,
        checkpoint::{Checkpoint, reach},
        fs,
        process::CommandSpec,
        procfs,
    },
    vendor::lock::{Package, Packages},
};

use super::{
    super::{InstallError, download::Fetched, index_settings, packages::TOOLS, program, step::Site, uv::Uv},
    arrival::Arrived,
    phase::Installation,
};

/// Bytes of wheels that are worth a run of uv, whose start takes a quarter of a second.
const BATCH: u64 = 128 << 20;

/// Removed when it is dropped.
pub(super) struct Wheelhouse<'a> {
    uv: &'a Uv<'a>,
    staged: &'a Path,
    /// Of this setup alone: the files, uv's cache, lists.
    dir: PathBuf,
    env: Env,
    /// Arrived, and not unpacked yet.
    waiting: Vec<&'a Package>,
    /// Unpacked, or waiting; in the cache, and used by us.
    here: Vec<(&'a Package, Fetched)>,
    left_to_uv: bool,
}

impl<'a> Wheelhouse<'a> {
    pub(super) fn new(site: &Site, uv: &'a Uv<'a>, staged: &'a Path) -> Result<Self, InstallError> {
        let dir = fs::beside(&site.workspace.records().join("wheelhouse"), "tmp");
        fs::remove_tree(&dir)?;
        fs::create_dir_all(&dir.join("files"))?;
        reach(Checkpoint::WheelhouseMade);
        let mut env = index_settings::uv_env(site);
        env.set("UV_CACHE_DIR", dir.join("uv-cache")).remove("UV_LINK_MODE");
        // What is built from sources is to come out the same everywhere: setup scripts print sets and dates
        // (measured: DeepSpeed's list of dependencies came in another order each time).
        env.set("PYTHONHASHSEED", "0").set("SOURCE_DATE_EPOCH", "315532800");
        let (waiting, here) = (vec![], vec![]);
        Ok(Self { uv, staged, dir, env, waiting, here, left_to_uv: false })
    }

    pub(super) fn take(&mut self, arrived: Arrived<'a>) -> Result<(), InstallError> {
        match arrived {
            Arrived::Here(package, fetched) => {
                fs::symlink(&fetched.path, &self.link(package))?;
                reach(Checkpoint::WheelArrived);
                self.waiting.push(package);
                self.here.push((package, fetched));
            }
            Arrived::LeftToUv => self.left_to_uv = true,
        }
        Ok(())
    }

    /// Lets uv install what has arrived, if that is enough to be worth it or `all` has.
    pub(super) fn unpack(&mut self, progress: &Progress, all: bool) -> Result<(), InstallError> {
        let bytes: u64 = self.waiting.iter().filter_map(|it| it.size).sum();
        let tools_are_here = TOOLS.iter().all(|tool| self.here.iter().any(|(it, _)| it.name == *tool));
        let ready = |it: &&Package| all || tools_are_here || !it.is_source();
        let has_sources = tools_are_here && self.waiting.iter().any(|it| it.is_source());
        if bytes < BATCH && !all && !has_sources {
            return Ok(());
        }
        let batch: Vec<&Package> = self.waiting.extract_if(.., |it| ready(&&**it)).collect();
        if batch.is_empty() || self.left_to_uv {
            return Ok(());
        }
        let list = self.dir.join("batch.txt");
        fs::write_atomic(&list, Packages::requirements(batch.iter().copied()))?;
        let install = self.uv(&["pip", "install", "--no-deps", "--offline", "--no-index"])?;
        Self::run(&install.arg("--requirement").arg(&list), progress)?;
        for package in batch.iter().filter(|it| !TOOLS.contains(&it.name.as_str())) {
            fs::remove_tree(&self.link(package))?;
        }
        reach(Checkpoint::BatchInstalled);
        Ok(())
    }

    /// Makes the environment exactly `packages`: what uv alone can get is got, what does not belong is removed.
    pub(super) fn finish(&mut self, packages: &Packages, progress: &Progress) -> Result<(), InstallError> {
        let list = self.dir.join("all.txt");
        fs::write_atomic(&list, Packages::requirements(&packages.0))?;
        let mut sync = self.uv(&["pip", "sync"])?;
        if !self.left_to_uv {
            sync = sync.args(["--offline", "--no-index"]);
        }
        Self::run(&sync.arg(&list), progress)?;
        reach(Checkpoint::EnvironmentSynced);
        Ok(())
    }

    fn uv(&self, words: &[&str]) -> Result<CommandSpec, InstallError> {
        let command = self.uv.command(&self.env)?.args(words);
        let command =
            command.args(["--require-hashes", "--find-links"]).arg(as_address(&self.dir.join("files")));
        Ok(command.arg("--python").arg(self.staged.join("bin/python")))
    }

    fn run(command: &CommandSpec, progress: &Progress) -> Result<(), InstallError> {
        let installation = Mutex::new(Installation::default());
        let learn = |news: &dyn Fn(&mut Installation)| {
            let mut installation = installation.lock().unwrap_or_else(PoisonError::into_inner);
            news(&mut installation);
            progress.doing(installation.describe());
        };
        let look = |pid| learn(&|it| it.see(procfs::bytes_written(pid)));
        program::run_watched(command, "uv", &mut |line| learn(&|it| it.hear(line)), &look)
    }

    fn link(&self, package: &Package) -> PathBuf {
        self.dir.join("files").join(&package.file)
    }
}

/// For uv a place ends at a comma, which an address need not have.
fn as_address(dir: &Path) -> OsString {
    let address = url::Url::from_file_path(dir);
    address.map_or_else(|()| dir.into(), |it| it.as_str().replace(',', "%2C").into())
}

impl Drop for Wheelhouse<'_> {
    fn drop(&mut self) {
        // What stays is swept by the next setup.
        let _ = fs::remove_tree(&self.dir);
    }
}
