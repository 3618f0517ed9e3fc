//! The Python environment: exactly the locked packages, installed by uv from files that are verified and here.
//!
//! It is made beside `venv` and renamed, so a killed or failed setup leaves the old one as it was. uv's
//! `--relocatable` makes that possible: the scripts in `bin/` find their Python relative to themselves.
//!
//! The files come by our own downloads, which survive a kill, and reach uv through `--find-links` and hashed
//! requirements, both stable parts of its interface. It gets a cache of its own, on the file system of the environment,
//! that is thrown away: installing is linking, and nobody else has links to the files, so what is edited in the
//! environment is edited nowhere else.

mod addresses;
mod arrival;
mod credentials;
mod make;
mod notes;
mod part;
mod passing;
mod phase;
mod wheelhouse;

use std::{path::Path, thread};

use crate::{
    output::Progress,
    platform::{digest::Sha256, fs},
    vendor::lock::{Package, Packages},
    workspace::Workspace,
};

use self::{
    arrival::{Arrived, Transfers},
    part::Part,
};
use super::{
    InstallError,
    cache::{Held, There},
    index_settings,
    lock::{LockedError, Policy},
    manifest::Difference,
    offline::Missing,
    packages::{self, Answer, List, Question, TorchIndex},
    plan::{Cost, Status, StepId, Tie},
    python::{Interpreter, Python},
    receipt::{self, Receipt},
    step::{Extent, Site, Step, Turn},
    torch::Profile,
    update,
    uv::Uv,
};

/// How often what was foreseen may turn out otherwise while the environment is made: by another Python, by other
/// requirements.
const SURPRISES: usize = 3;

#[derive(Debug)]
pub struct Venv<'a> {
    pub site: &'a Site,
    pub uv: Uv<'a>,
    pub python: Python<'a>,
    pub profile: Profile,
    pub list: List,
    /// The downloaded files stay in the cache.
    pub keep_downloads: bool,
}

/// The files of an environment, in the cache.
#[derive(Debug)]
pub struct Collected {
    /// Its name in the lock.
    pub environment: String,
    /// What holds them there.
    pub held: Vec<Held>,
    /// Those that were not there before.
    pub fetched: Vec<Sha256>,
}

impl Venv<'_> {
    /// What is locked for this environment by all that is known now; the best first.
    fn answers(&self) -> Result<Vec<Answer>, InstallError> {
        let locks = self.site.locks()?;
        let requirements = packages::requirements_of(self.site, self.list, &locks)?;
        let Some(list) = requirements.digest() else { return Ok(vec![]) };
        let ask = |index| self.question(index).ask(&locks, list);
        let has_cpu = self.profile.has_cpu_index(self.site.host.arch);
        let cpu = has_cpu.then(|| ask(TorchIndex::Cpu)).flatten();
        Ok(cpu.into_iter().chain(ask(TorchIndex::Usual)).collect())
    }

    fn question(&self, index: TorchIndex) -> Question<'_> {
        let (sources, arch, python) = (&self.site.sources, self.site.host.arch, self.python.expected());
        Question { sources, list: self.list, profile: self.profile, arch, index, python }
    }

    /// # Errors
    /// When the lock is to be taken as it is, and has no packages for this environment.
    pub fn must_be_locked(&self) -> Result<(), InstallError> {
        if self.site.policy == Policy::Frozen && self.answers()?.is_empty() {
            let key = self.question(TorchIndex::Usual).key();
            return Err(LockedError::NoEnvironment { key }.into());
        }
        Ok(())
    }

    /// The one to install, of those that are locked. PyTorch's own index is asked only for what would come from it.
    fn answer(&self) -> Result<Option<Answer>, InstallError> {
        Ok(self.answers()?.into_iter().find(|it| self.is_usable(it)))
    }

    fn is_usable(&self, answer: &Answer) -> bool {
        answer.index == TorchIndex::Usual || self.is_here(answer) || self.cpu_index_answers()
    }

    fn cpu_index_answers(&self) -> bool {
        self.profile.has_cpu_index(self.site.host.arch) && packages::cpu_index_answers(self.site)
    }

    /// Every file of it is in the cache.
    fn is_here(&self, answer: &Answer) -> bool {
        answer.packages.0.iter().all(|it| self.site.cache.has(it.sha256))
    }

    fn inputs(&self, interpreter: &Interpreter, packages: &Packages) -> Sha256 {
        receipt::inputs(&(interpreter, Packages::requirements(&packages.0), self.uv.version()))
    }

    fn what(&self) -> String {
        let [(_, torch), ..] = self.profile.packages(&self.site.sources, self.site.host.arch);
        format!("torch {torch} ({}) and DeepSpeed", self.profile)
    }

    /// Gets every file of the environment into the cache.
    ///
    /// # Errors
    /// When nothing is locked for it, or a file cannot be had.
    pub fn fetch_all(&self, progress: &Progress) -> Result<Collected, InstallError> {
        let answer = self.answer()?.ok_or_else(nothing_locked)?;
        let (packages, python) = (&answer.packages.0, self.python.expected());
        let missing: Vec<&Package> = packages.iter().filter(|it| !self.site.cache.has(it.sha256)).collect();
        let look_up = |them: &[&Package]| addresses::find(self.site, &self.uv, (&answer, python), them);
        let transfers = Transfers::new(self.site, packages, (&missing, &look_up), (progress, false))?;
        let held = thread::scope(|scope| {
            let arrivals = transfers.start(scope);
            let hold = |arrived| match arrived? {
                Arrived::Here(_, fetched) => Ok(fetched.held),
                Arrived::LeftToUv(_) => Err(InstallError::Verify {
                    problem: "the package index does not offer every locked file".to_owned(),
                    hint: "use the index that `dpgui.lock` was made with".to_owned(),
                }),
            };
            arrivals.iter().map(hold).collect::<Result<Vec<Held>, InstallError>>()
        })?;
        let fetched = missing.iter().map(|it| it.sha256).collect();
        Ok(Collected { environment: answer.key.to_string(), held, fetched })
    }

    /// A setup that was killed has left what it fetched for the environment that is there, or somebody used it then.
    pub fn has_downloads_to_go(&self) -> bool {
        !self.site.http.is_offline() && passing::is_any(&self.site.workspace)
    }

    /// Removes what was fetched for this environment alone, unless it is to be kept.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn let_downloads_go(&self) -> Result<(), InstallError> {
        // Without a network, what the user brought is theirs.
        if self.keep_downloads || self.site.http.is_offline() {
            return passing::forget(&self.site.workspace);
        }
        passing::discard(&self.site.workspace, &self.site.cache)
    }

    /// How many files of it are not in the cache.
    fn lacks(&self, answer: &Answer) -> usize {
        answer.packages.0.iter().filter(|it| !self.site.cache.has(it.sha256)).count()
    }

    /// The files of `packages` that are not in the cache, or not what their names say.
    fn to_fetch(&self, packages: &Packages) -> Result<Vec<Missing>, InstallError> {
        let cache = &self.site.cache;
        // PyTorch's own index alone calls a build so.
        let index = self.site.sources.torch.cpu_index.trim_end_matches('/').trim_end_matches("/torch");
        let from = |it: &Package| {
            if it.version.ends_with("+cpu") { format!(" --index-url {index}") } else { String::new() }
        };
        let how = |it: &Package| format!("pip download --no-deps {}=={}{}", it.name, it.version, from(it));
        let look = |it: &Package| match cache.look_into(it.sha256) {
            Ok(There::It) => None,
            Ok(there) => Some(Ok(Missing {
                step: StepId::Venv,
                name: it.file.clone(),
                size: it.size,
                digest: Some(it.sha256.to_string()),
                put: Some(cache.file(it.sha256)),
                is_another_there: there == There::Another,
                how: Some(how(it)),
            })),
            Err(error) => Some(Err(error)),
        };
        packages.0.iter().filter_map(look).collect()
    }

    /// Not every index says how much a file is.
    fn cost_of(&self, packages: &Packages) -> Cost {
        let bytes = |it: &Package| Some(it.size?.saturating_sub(self.site.cache.bytes_of(it.sha256)));
        let bytes: Option<u64> = packages.0.iter().map(bytes).sum();
        Cost { bytes, disk: unpacked(packages) }
    }

    /// The environment is there, and what it links to is not.
    fn lacks_only_python(&self) -> bool {
        let venv = self.site.workspace.venv();
        Receipt::of(&venv).is_some() && !receipt::is_revoked(&venv) && self.python.interpreter().is_none()
    }

    /// Packages whose absence shows that somebody took the environment apart.
    fn is_whole(&self) -> bool {
        let libs = self.site.workspace.venv().join("lib");
        let Ok(versions) = fs::names(&libs) else { return false };
        let [(_, torch), ..] = self.profile.packages(&self.site.sources, self.site.host.arch);
        let in_one = |python: &Path| {
            let names = fs::names(&python.join("site-packages")).unwrap_or_default();
            let has = |start: &str| names.iter().any(|it| it.to_string_lossy().starts_with(start));
            has(&format!("torch-{torch}")) && has("deepspeed-")
        };
        fs::exists(&self.site.workspace.python())
            && versions.iter().map(|it| libs.join(it)).any(|it| in_one(&it))
    }
}

impl Step for Venv<'_> {
    fn id(&self) -> StepId {
        StepId::Venv
    }

    fn needs(&self) -> Vec<StepId> {
        vec![StepId::Uv, StepId::Python, StepId::Lock]
    }

    fn tie(&self, need: &StepId) -> Tie {
        if *need == StepId::Uv { Tie::Tool } else { Tie::Perhaps }
    }

    fn may_stay(&self) -> bool {
        self.lacks_only_python()
    }

    fn obstacle(&self) -> Option<InstallError> {
        receipt::obstacle(&self.site.workspace.venv())
    }

    /// uv knows where the packages are; they need neither Python nor the checkouts to be on their way.
    fn begins_after(&self) -> Vec<StepId> {
        vec![]
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        // Before anything is fetched for an environment that cannot be made.
        self.must_be_locked()?;
        let what = self.what();
        let missing = |why: &str| Status::Missing { what: what.clone(), why: why.to_owned() };
        let Some(receipt) = Receipt::of(&self.site.workspace.venv()) else {
            let is_damaged = receipt::is_damaged(&self.site.workspace.venv());
            return Ok(missing(if is_damaged { "its receipt cannot be read" } else { "not installed" }));
        };
        let Some(interpreter) = self.python.interpreter() else {
            return Ok(missing("its Python is missing: it stays as it is if the same one comes back"));
        };
        let is_made_of = |it: &Answer| receipt.inputs == self.inputs(&interpreter, &it.packages);
        let answers = self.answers()?;
        // Another commit may ask for the same packages: the lock, which this needs, will tell.
        let is_open = answers.is_empty() && self.site.policy != Policy::Frozen;
        Ok(if !is_open && !answers.iter().any(is_made_of) {
            missing("the locked packages, the torch profile, Python or uv changed")
        } else if !self.is_whole() {
            missing("packages are missing from it")
        } else {
            Status::Satisfied { what }
        })
    }

    fn cost(&self) -> Cost {
        if self.lacks_only_python() {
            return Cost { bytes: Some(0), disk: Some(0) };
        }
        // The one that will be installed: PyTorch's CPU index has a tenth of the bytes, and may not answer.
        let answers = self.answers().unwrap_or_default();
        let answer = match &answers[..] {
            // There is no choice, whoever answers.
            [only] => Some(only),
            // What is listed as missing then.
            several if self.site.http.is_offline() => several.iter().min_by_key(|it| self.lacks(it)),
            several => several.iter().find(|it| self.is_usable(it)),
        };
        let Some(answer) = answer else {
            return Cost { bytes: None, disk: Some(disk_need(self.profile)) };
        };
        self.cost_of(&answer.packages)
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        let of_each =
            self.answers()?.iter().map(|it| self.to_fetch(&it.packages)).collect::<Result<Vec<_>, _>>()?;
        Ok(of_each.into_iter().min_by_key(Vec::len).unwrap_or_default())
    }

    fn extent(&self, damage: &[Difference]) -> Extent<'_> {
        match Part::of(self, damage) {
            Ok(part) => Extent::Part(Box::new(part)),
            Err(why) => Extent::AllBecause(why),
        }
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        update::give_back(&self.site.workspace)?;
        if self.lacks_only_python() {
            turn.wait_for(&StepId::Python)?;
            if let Status::Satisfied { what } = self.inspect()? {
                return Ok(format!("{what}, as it was"));
            }
        }
        // What pip is set up for takes a second or two to find out: uv is on its way meanwhile.
        index_settings::uv_env(self.site);
        turn.wait_for(&StepId::Uv)?;
        let mut is_locked = false;
        for _ in 0..=SURPRISES {
            let Some(answer) = self.answer()? else {
                self.must_be_locked()?;
                if is_locked {
                    return Err(nothing_locked());
                }
                turn.wait_for(&StepId::Lock)?;
                is_locked = true;
                continue;
            };
            let fill = |staged: &Path| self.fill(&answer, staged, turn);
            let receipt = match receipt::stage(&self.site.workspace.venv(), fill) {
                Err(InstallError::Surprise) => continue,
                receipt => receipt?,
            };
            // Only now: killed before, the next setup would have to fetch them again.
            self.let_downloads_go()?;
            return Ok(format!("{}, {} packages", receipt.what, answer.packages.0.len()));
        }
        Err(InstallError::Surprise)
    }
}

fn nothing_locked() -> InstallError {
    InstallError::Verify {
        problem: "no packages are locked for this environment".to_owned(),
        hint: "run `dpgui setup` without `--only` and `--skip`".to_owned(),
    }
}

/// The profile that the environment there was made for.
pub fn installed_profile(workspace: &Workspace) -> Option<Profile> {
    let receipt = Receipt::of(&workspace.venv())?;
    serde_json::from_value(receipt.details.get("profile")?.clone()).ok()
}

/// Bytes that the packages take unpacked, with the files themselves while they are there (measured with the 130
/// packages of Python 3.12 on x86-64: 3.1 GB of files, 6.5 GB unpacked).
///
/// A file that does not tell its size counts as the largest that does; `None` where that is torch, the largest of all.
fn unpacked(packages: &Packages) -> Option<u64> {
    let untold: Vec<&Package> = packages.0.iter().filter(|it| it.size.is_none()).collect();
    let largest = packages.0.iter().filter_map(|it| it.size).max();
    let each = match largest {
        _ if untold.is_empty() => 0,
        Some(largest) if untold.iter().all(|it| it.name != "torch") => largest,
        Some(_) | None => return None,
    };
    let bytes = packages.size().saturating_add(each.saturating_mul(untold.len() as u64));
    Some((bytes / 10).saturating_mul(31))
}

/// The same where nothing is known of the packages yet.
pub fn disk_need(profile: Profile) -> u64 {
    const GIB: u64 = 1 << 30;
    match profile {
        Profile::Cu13 | Profile::Cpu => 9 * GIB,
        Profile::Cu12 => 12 * GIB,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_environment_takes_is_worked_out_unless_torch_does_not_tell() {
        let check = |sizes: &[(&str, Option<u64>)], expected| {
            let package = |(name, size): &(&str, Option<u64>)| Package {
                name: (*name).to_owned(),
                version: "1".to_owned(),
                file: format!("{name}-1-py3-none-any.whl"),
                sha256: Sha256::of(name),
                size: *size,
            };
            assert_eq!(unpacked(&Packages(sizes.iter().map(package).collect())), expected, "{sizes:?}");
        };
        check(&[], Some(0));
        check(&[("torch", Some(100)), ("numpy", Some(20))], Some(12 * 31));
        check(&[("torch", Some(100)), ("torchvision", None)], Some(20 * 31));
        check(&[("torch", None), ("numpy", Some(20))], None);
        check(&[("numpy", None)], None);
    }
}
