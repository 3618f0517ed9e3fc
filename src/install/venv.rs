//! The Python environment: torch, DeepSpeed and the requirements in one resolution, bytecode compiled.
//!
//! It is made beside `venv` and renamed, so a killed or failed setup leaves the old one as it was. uv's
//! `--relocatable` makes that possible: the scripts in `bin/` find their Python relative to themselves.

mod phase;
mod pip_settings;

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{
    output::Progress,
    platform::{Env, digest::Sha256, disk, fs, process::CommandSpec, procfs},
    workspace::Workspace,
};

use self::phase::Installation;
use super::{
    InstallError,
    manifest::Known,
    plan::{Status, StepId},
    program,
    python::{Interpreter, Python},
    receipt::{self, Filled, Receipt},
    requirements,
    step::{Site, Step},
    torch::Profile,
    uv::Uv,
};

/// Packages that every environment has in their newest version: for what the user installs by hand later.
const TOOLS: [&str; 3] = ["pip", "setuptools", "wheel"];

/// Where the list of packages comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packages {
    /// The derived requirements of the checkouts.
    Trainer,
    /// A list of our own, embedded.
    Fixed(&'static str),
}

#[derive(Debug)]
pub struct Venv<'a> {
    pub site: &'a Site,
    pub uv: Uv<'a>,
    pub python: Python<'a>,
    pub profile: Profile,
    pub packages: Packages,
}

impl Venv<'_> {
    /// The whole list for uv. `None` while what it is derived from is missing.
    fn requirements(&self) -> Result<Option<String>, InstallError> {
        let list = match self.packages {
            Packages::Fixed(list) => Some(list.to_owned()),
            Packages::Trainer => fs::read_optional(&requirements::derived(&self.site.workspace))?,
        };
        let torch = self.profile.packages(&self.site.sources, self.site.host.arch);
        let pins = torch.iter().map(|(name, version)| format!("{name}=={version}\n"));
        let wanted = |(name, _): &(&str, &str)| self.packages == Packages::Trainer || *name == "torch";
        let pins: String = torch.iter().zip(pins).filter(|(it, _)| wanted(it)).map(|(_, pin)| pin).collect();
        Ok(list.map(|list| format!("# torch profile {}\n{pins}{}\n\n{list}", self.profile, TOOLS.join("\n"))))
    }

    fn inputs(&self, interpreter: &Interpreter, requirements: &str) -> Sha256 {
        receipt::inputs(&(interpreter, requirements, self.uv.version()))
    }

    fn what(&self) -> String {
        let [(_, torch), ..] = self.profile.packages(&self.site.sources, self.site.host.arch);
        format!("torch {torch} ({}) and DeepSpeed", self.profile)
    }

    fn fill(
        &self,
        interpreter: &Interpreter,
        list: &str,
        staged: &Path,
        progress: &Progress,
    ) -> Result<Filled, InstallError> {
        let uv = self.uv.program().ok_or_else(|| InstallError::Verify {
            problem: "uv is not there".to_owned(),
            hint: "run `dpgui setup` without `--only` and `--skip`".to_owned(),
        })?;
        progress.doing("reading pip's settings");
        let env = self.uv_env();
        let cwd = self.site.workspace.root();
        let uv = |args: &[&str]| CommandSpec::new(&uv, &env, cwd).arg("--no-config").args(args);
        progress.doing("making the environment");
        let make =
            uv(&["venv", "--relocatable", "--allow-existing", "--python"]).arg(&interpreter.path).arg(staged);
        program::run(&make, "uv venv", &mut |_| ())?;

        let file = self.site.workspace.internal().join("derived/install.txt");
        fs::create_dir_all(file.parent().unwrap_or(&file))?;
        fs::write_atomic(&file, list)?;
        let mut install = uv(&["pip", "install", "--compile-bytecode", "--requirement"]).arg(&file);
        install = install.arg("--python").arg(staged.join("bin/python"));
        let mut from = "the Python package index";
        // Who has an index of their own may not reach, or not want, anybody else's.
        let private = env.first(&["UV_DEFAULT_INDEX", "UV_INDEX_URL"]).is_some();
        if self.profile == Profile::Cpu
            && !private
            && self.site.http.answers(&self.site.sources.torch.cpu_index, Duration::from_secs(5))
        {
            install = install.args(["--torch-backend", "cpu"]);
            from = "PyTorch's CPU index and the Python package index";
        }
        run_install(&install, progress)?;
        progress.doing("writing it to the disk");
        let details = serde_json::json!({ "profile": self.profile });
        let receipt = Receipt::new(self.inputs(interpreter, list), self.what(), from).with_details(details);
        Ok(Filled::new(receipt).with_known(Known::of_environment(staged)?))
    }

    /// uv does not read pip's settings; people who set an index for pip mean it for this too.
    fn uv_env(&self) -> Env {
        let mut env = self.site.tool_env();
        pip_settings::translate(self.site, &mut env);
        // uv tries links first and talks at length about having to copy.
        if env.get("UV_LINK_MODE").is_none()
            && let Some(cache) = uv_cache(&env)
            && !disk::is_shared_by(&cache, self.site.workspace.root())
        {
            env.set("UV_LINK_MODE", "copy");
        }
        // The interpreter is settled; uv is not to fetch another. The system's certificates are what the user trusts.
        env.set("UV_PYTHON_DOWNLOADS", "never").set("UV_SYSTEM_CERTS", "true").remove("UV_TORCH_BACKEND");
        env
    }

    /// Packages whose absence shows that somebody took the environment apart.
    fn is_whole(&self) -> bool {
        let libs = self.site.workspace.venv().join("lib");
        let Ok(versions) = fs::names(&libs) else { return false };
        let [(_, torch), ..] = self.profile.packages(&self.site.sources, self.site.host.arch);
        let in_one = |python: &PathBuf| {
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
        let mut needs = vec![StepId::Uv, StepId::Python];
        if self.packages == Packages::Trainer {
            needs.push(StepId::Requirements);
        }
        needs
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let what = self.what();
        let missing = |why: &str| Status::Missing { what: what.clone(), why: why.to_owned() };
        let Some(receipt) = Receipt::of(&self.site.workspace.venv()) else {
            return Ok(missing("not installed"));
        };
        let (Some(interpreter), Some(list)) = (self.python.interpreter(), self.requirements()?) else {
            return Ok(missing("what it is made from is missing"));
        };
        Ok(if receipt.inputs != self.inputs(&interpreter, &list) {
            missing("the requirements, the torch profile, Python or uv changed")
        } else if !self.is_whole() {
            missing("packages are missing from it")
        } else {
            Status::Satisfied { what }
        })
    }

    fn apply(&self, progress: &Progress) -> Result<String, InstallError> {
        let (Some(interpreter), Some(list)) = (self.python.interpreter(), self.requirements()?) else {
            return Err(InstallError::Verify {
                problem: "the Python or the requirements that it is made from are missing".to_owned(),
                hint: "run `dpgui setup` without `--only` and `--skip`".to_owned(),
            });
        };
        let fill = |staged: &Path| self.fill(&interpreter, &list, staged, progress);
        let receipt = receipt::stage(&self.site.workspace.venv(), fill)?;
        Ok(format!("{} from {}", receipt.what, receipt.from))
    }
}

/// The profile that the environment there was made for.
pub fn installed_profile(workspace: &Workspace) -> Option<Profile> {
    let receipt = Receipt::of(&workspace.venv())?;
    serde_json::from_value(receipt.details.get("profile")?.clone()).ok()
}

/// Where uv keeps what it has downloaded, for all environments of the user.
pub fn uv_cache(env: &Env) -> Option<PathBuf> {
    let named = env.get("UV_CACHE_DIR").map(PathBuf::from);
    let usual = || env.get("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(env.home()?.join(".cache")));
    named.or_else(|| Some(usual()?.join("uv")))
}

/// Runs uv and keeps saying what it does; bytes of wheels that have come cannot be known (see [`phase`]).
fn run_install(command: &CommandSpec, progress: &Progress) -> Result<(), InstallError> {
    let installation = Mutex::new(Installation::default());
    let learn = |news: &dyn Fn(&mut Installation)| {
        let mut installation = installation.lock().unwrap_or_else(PoisonError::into_inner);
        news(&mut installation);
        progress.doing(installation.describe());
    };
    learn(&|_| ());
    let look = |pid| learn(&|it| it.see(procfs::bytes_written(pid)));
    program::run_watched(command, "uv pip install", &mut |line| learn(&|it| it.hear(line)), &look)
}

/// Bytes that an environment takes at most, uv's cache on the same file system counted in (measured with Python
/// 3.12 on x86-64: 131 packages, 5.8 GB with torch 2.13.0; 8.1 GB with 2.9.1).
pub fn disk_need(profile: Profile) -> u64 {
    const GIB: u64 = 1 << 30;
    match profile {
        Profile::Cu13 | Profile::Cpu => 9 * GIB,
        Profile::Cu12 => 12 * GIB,
    }
}
