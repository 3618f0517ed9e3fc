//! The last step: the new environment is asked, with its own interpreter, whether it is what a training needs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    platform::{digest::Sha256, fs, process::CommandSpec},
    vendor::{farm, git, sources},
};

use super::{
    InstallError,
    plan::{Cost, Status, StepId, Tie},
    program,
    receipt::{self, Beside, Receipt},
    step::{Site, Step, Turn},
};

/// The questions, in Python.
const SCRIPT: &str =
    concat!(include_str!("../../templates/modules.py"), include_str!("../../templates/verify.py"));

/// The import, by itself.
const IMPORT: &str = include_str!("../../templates/torch.py");

/// A first import of torch from a slow disk takes a minute.
const LIMIT: Duration = Duration::from_mins(10);

#[derive(Debug)]
pub struct Verify<'a> {
    pub site: &'a Site,
    /// The repositories whose modules must be found in the farm; none for the demo.
    pub repositories: Vec<&'a str>,
}

/// What the script prints.
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(flatten)]
    torch: Torch,
    deepspeed: String,
    problems: Vec<String>,
}

/// What an import of torch has shown.
#[derive(Debug, Serialize, Deserialize)]
struct Torch {
    torch: String,
    cuda: Option<String>,
}

/// The torch of an environment that was imported while that was made. For the verification after it alone: later,
/// anybody may have changed something.
#[derive(Clone, Debug, Default)]
pub struct Imported(Arc<Mutex<Option<Torch>>>);

/// Imports torch in the environment that is made in `staged`, once all wheels are in it: its first import takes
/// seconds, in which Python compiles what it reads, and one core. One that fails is made again by the verification,
/// which tells of it.
pub fn import_early(site: &Site, staged: &Path) -> Beside {
    let command = CommandSpec::new(staged.join("bin/python"), &site.tool_env(), site.workspace.root());
    let command = command.args(["-c", IMPORT]);
    let (Imported(imported), halt) = (site.imported.clone(), site.http.halt().clone());
    let import = move || {
        let mut said = String::new();
        let ended = program::run(&halt, &command, "python", &mut |line| line.clone_into(&mut said));
        let torch = ended.ok().and_then(|()| serde_json::from_str(&said).ok());
        *imported.lock().unwrap_or_else(PoisonError::into_inner) = torch;
    };
    thread::spawn(import).into()
}

impl Verify<'_> {
    fn receipt_path(&self) -> PathBuf {
        receipt::loose(&self.site.workspace.records(), "verify")
    }

    /// `None` while there is no environment to verify.
    fn inputs(&self) -> Option<Sha256> {
        let workspace = &self.site.workspace;
        let venv = Receipt::of(&workspace.venv())?;
        // Each environment, farm and commit by itself: an equal one that was made again is verified again.
        let farm = Receipt::of(&workspace.libs()).map(|it| it.finished);
        let heads: Vec<_> = self
            .repositories
            .iter()
            .map(|name| git::head(&workspace.vendor().join(name)).ok().flatten())
            .collect();
        Some(receipt::inputs(&(venv.inputs, venv.finished, farm, heads, SCRIPT)))
    }

    fn ask(&self) -> Result<Answer, InstallError> {
        let workspace = &self.site.workspace;
        let mut env = self.site.tool_env();
        env.set("PYTHONPATH", workspace.libs());
        let entries = farm::entries(&self.repositories)?;
        let questions = serde_json::json!({
            "libs": workspace.libs(),
            "farm": entries.iter().map(farm::Entry::module).collect::<Vec<_>>(),
            "imported": self.site.imported.0.lock().unwrap_or_else(PoisonError::into_inner).take(),
            "trainer": (!self.repositories.is_empty()).then(|| workspace.vendor().join(sources::TRAINER)),
        });
        let command = CommandSpec::new(workspace.python(), &env, workspace.root());
        let said = command.args(["-c", SCRIPT]).arg(questions.to_string()).capture(LIMIT)?;
        let answer = said.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
        answer.filter(|_| said.success()).ok_or_else(|| InstallError::Verify {
            problem: format!("`{}` fails:\n{}", workspace.python().display(), said.tail()),
            hint: "remove the folder `venv` and run `dpgui setup` again; if it fails again, report this"
                .to_owned(),
        })
    }

    /// The program that starts a training; `dpgui doctor --full` starts it too.
    fn launcher_is_there(&self) -> Result<(), InstallError> {
        let launcher = self.site.workspace.venv().join("bin/deepspeed");
        if fs::is_executable(&launcher) {
            return Ok(());
        }
        Err(InstallError::Verify {
            problem: format!("`{}` is not there or cannot be started", launcher.display()),
            hint: "remove the folder `venv` and run `dpgui setup` again".to_owned(),
        })
    }
}

impl Step for Verify<'_> {
    fn id(&self) -> StepId {
        StepId::Verify
    }

    fn needs(&self) -> Vec<StepId> {
        if self.repositories.is_empty() { vec![StepId::Venv] } else { vec![StepId::Venv, StepId::Farm] }
    }

    /// Whatever is new is verified.
    fn tie(&self, _need: &StepId) -> Tie {
        Tie::Always
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let what = "torch, DeepSpeed and the module search".to_owned();
        let verified = Receipt::read(&self.receipt_path()).map(|it| it.inputs);
        Ok(match self.inputs() {
            Some(inputs) if verified == Some(inputs) => Status::Satisfied { what },
            _ => Status::Missing { what, why: "this environment was not verified".to_owned() },
        })
    }

    fn cost(&self) -> Cost {
        Cost::NONE
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        let progress = turn.progress;
        progress.doing("importing torch and looking where modules come from");
        let strangers = farm::strangers(&self.site.workspace.libs(), &farm::entries(&self.repositories)?)?;
        if let Some(stranger) = strangers.first() {
            return Err(InstallError::Verify {
                problem: format!("`{}` is no link of dpgui, and could shadow a module", stranger.display()),
                hint: format!("move `{}` elsewhere", stranger.display()),
            });
        }
        let answer = self.ask()?;
        if !answer.problems.is_empty() {
            return Err(InstallError::Verify {
                problem: answer.problems.join("\n  "),
                hint: "uninstall the package that is found instead (`venv/bin/python -m pip uninstall NAME`)"
                    .to_owned(),
            });
        }
        self.launcher_is_there()?;
        let Answer { torch: Torch { torch, cuda }, deepspeed, .. } = answer;
        let cuda = cuda.map_or_else(|| "no CUDA".to_owned(), |it| format!("CUDA {it}"));
        if let Some(inputs) = self.inputs() {
            let path = self.receipt_path();
            Receipt::new(inputs, "verified environment", "the environment's own interpreter")
                .write_loose(&path)?;
        }
        Ok(format!("torch {torch} ({cuda}) and DeepSpeed {deepspeed}, modules where they should be"))
    }
}
