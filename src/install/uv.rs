//! uv: one pinned version, from `PATH`, from its publisher or from the package index.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    output::Progress,
    platform::{Env, fs, process::CommandSpec},
};

use super::{
    InstallError,
    offline::Missing,
    pinned::{self, Pinned},
    plan::{Cost, Status, StepId},
    receipt::{self, Filled, Receipt},
    step::{Site, Step, Turn},
};

const PROBE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Uv<'a> {
    site: &'a Site,
    pinned: Pinned<'a>,
}

impl<'a> Uv<'a> {
    pub fn new(site: &'a Site) -> Result<Self, InstallError> {
        Ok(Self { site, pinned: Pinned::new(site, "uv")? })
    }

    /// The program, if the pinned version is there: ours, else the one on `PATH`.
    pub fn program(&self) -> Option<PathBuf> {
        let ours = self.dir().join("uv");
        if Receipt::of(&self.dir()).is_some_and(|it| it.inputs == self.pinned.inputs()) && fs::exists(&ours) {
            return Some(ours);
        }
        let on_path = which::which_in("uv", self.site.host.env.get("PATH"), &self.site.host.cwd).ok()?;
        (self.version_of(&on_path).ok()? == self.pinned.archive.version).then_some(on_path)
    }

    /// uv with the environment `env`, in the workspace.
    ///
    /// # Errors
    /// When its step was left out.
    pub fn command(&self, env: &Env) -> Result<CommandSpec, InstallError> {
        let program = self.program().ok_or_else(|| InstallError::Verify {
            problem: "uv is not there".to_owned(),
            hint: "run `dpgui setup` without `--only` and `--skip`".to_owned(),
        })?;
        Ok(CommandSpec::new(program, env, self.site.workspace.root()).arg("--no-config"))
    }

    pub fn version(&self) -> &str {
        &self.pinned.archive.version
    }

    fn dir(&self) -> PathBuf {
        self.site.workspace.tools().join("uv")
    }

    /// `uv 0.12.5 (x86_64-unknown-linux-musl)` says `uv --version`.
    fn version_of(&self, program: &Path) -> Result<String, InstallError> {
        let command = CommandSpec::new(program, &self.site.tool_env(), &self.site.host.cwd).arg("--version");
        let said = command.capture(PROBE)?;
        match said.stdout.split_whitespace().nth(1) {
            Some(version) if said.success() => Ok(version.to_owned()),
            _ => {
                let problem = format!("`{}` fails: {}", command.display(), said.tail());
                Err(InstallError::BadArchive { archive: program.to_owned(), problem })
            }
        }
    }

    fn unpack(&self, staged: &Path, progress: &Progress) -> Result<Filled, InstallError> {
        let scripts = format!("uv-{}.data/scripts", self.version());
        let origin = self.pinned.unpack(&scripts, staged, progress)?;
        let program = staged.join("uv");
        if origin.repacked {
            fs::make_executable(&program)?;
        }
        let found = self.version_of(&program)?;
        if found != self.version() {
            let problem = format!("its uv says that it is `{found}`");
            return Err(InstallError::BadArchive { archive: program, problem });
        }
        let receipt = Receipt::new(self.pinned.inputs(), format!("uv {}", self.version()), origin.from);
        Ok(Filled::new(receipt).with_known(origin.known))
    }
}

impl Step for Uv<'_> {
    fn id(&self) -> StepId {
        StepId::Uv
    }

    fn needs(&self) -> Vec<StepId> {
        vec![]
    }

    fn obstacle(&self) -> Option<InstallError> {
        receipt::obstacle(&self.dir())
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let what = format!("uv {}", self.version());
        if self.program().is_some() {
            return Ok(Status::Satisfied { what });
        }
        let ours = Receipt::of(&self.dir()).filter(|it| it.inputs != self.pinned.inputs());
        let why = match ours {
            Some(ours) => self.pinned.instead(&ours, &what, |it| it),
            None => "this version is not installed".to_owned(),
        };
        Ok(Status::Missing { what, why })
    }

    fn is_as_locked(&self) -> bool {
        pinned::is_as_locked(self.site, "uv")
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        Ok(self.pinned.missing(self.id())?.into_iter().collect())
    }

    fn cost(&self) -> Cost {
        self.pinned.cost()
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        let progress = turn.progress;
        let receipt = receipt::stage(&self.dir(), |staged| self.unpack(staged, progress))?;
        Ok(format!("{} from {}", receipt.what, receipt.from))
    }
}
