//! The directory that uv installs from: files that have arrived, under their own names.

use std::{
    ffi::OsString,
    panic::resume_unwind,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, mpsc::Receiver},
    thread,
};

use crate::{
    output::Progress,
    platform::{
        Env,
        checkpoint::{Checkpoint, reach},
        fs,
        halt::Halt,
        process::CommandSpec,
        procfs,
    },
    vendor::lock::{Package, Packages},
};

use super::{
    super::{
        InstallError,
        download::Fetched,
        index_settings,
        packages::TOOLS,
        program,
        step::{Site, Turn},
        uv::Uv,
    },
    arrival::Arrived,
    phase::Installation,
};

/// Bytes of wheels that are worth a run of uv, whose start takes a quarter of a second.
const BATCH: u64 = 128 << 20;

/// Directories of files that uv is pointed at. Two, because one uv builds from the one while another empties the other.
const WHEELS: &str = "wheels";
const SOURCES: &str = "sources";

/// The building of all sources into uv's cache, beside the unpacking of the wheels.
struct Build {
    command: CommandSpec,
    halt: Halt,
}

impl Build {
    /// Until all are built; whoever waits for it says so.
    fn run(&self) -> Result<(), InstallError> {
        program::run(&self.halt, &self.command, "uv", &mut |_| ())
    }
}

/// Removed when it is dropped.
pub(super) struct Wheelhouse<'a> {
    uv: &'a Uv<'a>,
    halt: Halt,
    staged: &'a Path,
    /// Of this setup alone: the files, uv's cache, lists.
    dir: PathBuf,
    env: Env,
    /// Arrived, and not unpacked yet.
    waiting: Vec<&'a Package>,
    /// Unpacked, or waiting; in the cache, and used by us.
    here: Vec<(&'a Package, Fetched)>,
    left_to_uv: Vec<&'a Package>,
}

impl<'a> Wheelhouse<'a> {
    pub(super) fn new(site: &Site, uv: &'a Uv<'a>, staged: &'a Path) -> Result<Self, InstallError> {
        let dir = fs::beside(&site.workspace.records().join("wheelhouse"), "tmp");
        fs::remove_tree(&dir)?;
        for inside in [WHEELS, SOURCES] {
            fs::create_dir_all(&dir.join(inside))?;
        }
        reach(Checkpoint::WheelhouseMade);
        let mut env = index_settings::locked_env(site);
        env.set("UV_CACHE_DIR", dir.join("uv-cache")).remove("UV_LINK_MODE").remove("UV_REQUIRE_HASHES");
        // What is built from sources is to come out the same everywhere: setup scripts print sets and dates
        // (measured: DeepSpeed's list of dependencies came in another order each time).
        env.set("PYTHONHASHSEED", "0").set("SOURCE_DATE_EPOCH", "315532800");
        let (waiting, here, left_to_uv) = (vec![], vec![], vec![]);
        let halt = site.http.halt().clone();
        Ok(Self { uv, halt, staged, dir, env, waiting, here, left_to_uv })
    }

    /// Installs the wheels as they arrive, and builds beside that what has to be built.
    pub(super) fn unpack_arrivals<'b: 'a>(
        &mut self,
        packages: &Packages,
        arrivals: &Receiver<Result<Arrived<'b>, InstallError>>,
        turn: &Turn,
    ) -> Result<(), InstallError> {
        thread::scope(|scope| {
            let (mut build, mut is_begun) = (None, false);
            let mut open = packages.0.len();
            while open > 0 {
                turn.go_on()?;
                let Ok(arrived) = arrivals.recv() else { break };
                open -= 1;
                self.take(arrived?)?;
                for more in arrivals.try_iter() {
                    open -= 1;
                    self.take(more?)?;
                }
                if !is_begun {
                    build = self.build(packages)?.map(|it: Build| scope.spawn(move || it.run()));
                    is_begun = build.is_some();
                }
                // A machine that cannot build is told before the rest has come.
                if let Some(ended) = build.take_if(|it| it.is_finished()) {
                    ended.join().unwrap_or_else(|panic| resume_unwind(panic))?;
                }
                self.unpack(turn.progress, open == 0)?;
            }
            if let Some(build) = build {
                turn.progress.doing("waiting for what is built from sources");
                build.join().unwrap_or_else(|panic| resume_unwind(panic))?;
            }
            Ok(())
        })
    }

    fn take(&mut self, arrived: Arrived<'a>) -> Result<(), InstallError> {
        match arrived {
            Arrived::Here(package, fetched) => {
                for link in self.links(package) {
                    fs::symlink(&fetched.path, &link)?;
                }
                reach(Checkpoint::WheelArrived);
                self.waiting.push(package);
                self.here.push((package, fetched));
            }
            Arrived::LeftToUv(package) => self.left_to_uv.push(package),
        }
        Ok(())
    }

    /// What builds the sources, once all of them and what they are built with have arrived.
    ///
    /// Into a directory that nobody needs: uv works in one environment at a time, and the wheels are unpacked into it
    /// meanwhile. What counts is that uv's cache has them then.
    fn build(&self, packages: &Packages) -> Result<Option<Build>, InstallError> {
        let is_here = |it: &Package| self.here.iter().any(|(here, _)| *here == it);
        let sources: Vec<&Package> = packages.0.iter().filter(|it| it.is_source()).collect();
        let tools = packages.0.iter().filter(|it| TOOLS.contains(&it.name.as_str()));
        if sources.is_empty() || !sources.iter().copied().chain(tools).all(is_here) {
            return Ok(None);
        }
        let list = self.dir.join("sources.txt");
        fs::write_atomic(&list, Packages::pins(sources))?;
        let command = self.unpacking(SOURCES)?.arg("--target").arg(self.dir.join("built"));
        Ok(Some(Build { command: command.arg("--requirement").arg(&list), halt: self.halt.clone() }))
    }

    /// Lets uv install the wheels that have arrived, if they are enough to be worth it or `all` have.
    fn unpack(&mut self, progress: &Progress, all: bool) -> Result<(), InstallError> {
        let bytes: u64 = self.waiting.iter().filter(|it| !it.is_source()).filter_map(|it| it.size).sum();
        if bytes < BATCH && !all {
            return Ok(());
        }
        let batch: Vec<_> = self.waiting.extract_if(.., |it| !it.is_source()).collect();
        self.install(&batch, WHEELS, progress)
    }

    /// Lets uv install what is built. It knows it by the path of its sources.
    pub(super) fn install_built(&mut self, progress: &Progress) -> Result<(), InstallError> {
        let batch = std::mem::take(&mut self.waiting);
        self.install(&batch, SOURCES, progress)
    }

    fn install(&self, batch: &[&Package], from: &str, progress: &Progress) -> Result<(), InstallError> {
        if batch.is_empty() || !self.left_to_uv.is_empty() {
            return Ok(());
        }
        let list = self.dir.join("batch.txt");
        fs::write_atomic(&list, Packages::pins(batch.iter().copied()))?;
        self.run(&self.unpacking(from)?.arg("--requirement").arg(&list), &[], progress)?;
        for package in batch {
            fs::remove_tree(&self.dir.join(WHEELS).join(&package.file))?;
        }
        reach(Checkpoint::BatchInstalled);
        Ok(())
    }

    /// Makes the environment exactly `packages`: what uv alone can get is got, what does not belong is removed.
    pub(super) fn finish(&mut self, packages: &Packages, progress: &Progress) -> Result<(), InstallError> {
        let list = self.dir.join("all.txt");
        fs::write_atomic(&list, Packages::requirements(&packages.0))?;
        let mut sync = self.uv(&["pip", "sync", "--require-hashes"], WHEELS)?;
        if self.left_to_uv.is_empty() {
            sync = sync.args(["--offline", "--no-index"]);
        }
        self.run(&sync.arg(&list), &self.left_to_uv, progress)?;
        reach(Checkpoint::EnvironmentSynced);
        Ok(())
    }

    /// Gets what uv alone can get of `packages`. What is there already stays as it is.
    pub(super) fn get_the_rest(&self, packages: &Packages, progress: &Progress) -> Result<(), InstallError> {
        if self.left_to_uv.is_empty() {
            return Ok(());
        }
        let list = self.dir.join("rest.txt");
        fs::write_atomic(&list, Packages::requirements(&packages.0))?;
        let command = self.uv(&["pip", "install", "--no-deps", "--require-hashes"], WHEELS)?;
        self.run(&command.arg("--requirement").arg(&list), &self.left_to_uv, progress)
    }

    /// Without hashes: each file was hashed as it came, nothing but those files is offered, and uv would hash them once
    /// more, one after the other (measured with 3.1 GB: 27 instead of 19 seconds).
    fn unpacking(&self, from: &str) -> Result<CommandSpec, InstallError> {
        self.uv(&["pip", "install", "--no-deps", "--offline", "--no-index"], from)
    }

    fn uv(&self, words: &[&str], from: &str) -> Result<CommandSpec, InstallError> {
        let command = self.uv.command(&self.env)?.args(words);
        let command = command.arg("--find-links").arg(as_address(&self.dir.join(from)));
        Ok(command.arg("--python").arg(self.staged.join("bin/python")))
    }

    /// What uv fetches on the way is `left`.
    fn run(&self, command: &CommandSpec, left: &[&Package], progress: &Progress) -> Result<(), InstallError> {
        let installation = Mutex::new(Installation::default());
        let ours: u64 = self.here.iter().map(|(_, it)| fs::size(&it.path).unwrap_or(0)).sum();
        let size = |installation: &Installation, it: &Package| {
            it.size.unwrap_or_else(|| installation.size_of(&it.name))
        };
        let learn = |news: &dyn Fn(&mut Installation)| {
            let mut installation = installation.lock().unwrap_or_else(PoisonError::into_inner);
            news(&mut installation);
            progress.doing(installation.describe());
            if !left.is_empty() {
                // uv says when a file has come, and not how much of it: so much has come for certain.
                let come = left.iter().filter(|it| installation.has_come(&it.name));
                let come: u64 = come.map(|it| size(&installation, it)).sum();
                let all: u64 = left.iter().map(|it| size(&installation, it)).sum();
                progress.arrived(ours + come, ours + all);
            }
        };
        let look = |pid| learn(&|it| it.see(procfs::bytes_written(pid)));
        program::run_watched(&self.halt, command, "uv", &mut |line| learn(&|it| it.hear(line)), &look)?;
        if !left.is_empty() {
            let installation = installation.into_inner().unwrap_or_else(PoisonError::into_inner);
            let all = ours + left.iter().map(|it| size(&installation, it)).sum::<u64>();
            progress.arrived(all, all);
        }
        Ok(())
    }

    /// Where uv finds the file: what sources are built with is a wheel of the environment too.
    fn links(&self, package: &Package) -> Vec<PathBuf> {
        let is_tool = TOOLS.contains(&package.name.as_str());
        let places = [(WHEELS, !package.is_source()), (SOURCES, package.is_source() || is_tool)];
        let wanted = places.into_iter().filter(|(_, is_wanted)| *is_wanted);
        wanted.map(|(inside, _)| self.dir.join(inside).join(&package.file)).collect()
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
