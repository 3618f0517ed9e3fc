//! Setup: from what is there to what is wanted, as a plan and then as steps that can be killed at any point.

pub mod archive;
pub mod download;
pub mod error;
pub mod farm;
pub mod index;
pub mod node;
pub mod pinned;
pub mod plan;
pub mod program;
pub mod python;
pub mod receipt;
pub mod repositories;
pub mod requirements;
pub mod step;
pub mod torch;
pub mod uv;
pub mod venv;
pub mod verify;

use std::{collections::BTreeSet, path::PathBuf};

use serde::Serialize;

use crate::{
    config,
    output::{Event, Line, size},
    platform::{clock::Stopwatch, fs, gpu, lock::Lock},
    workspace::Settings,
};

use self::{
    farm::Farm,
    node::Node,
    plan::{Planned, Selection, StepId},
    python::Python,
    repositories::Checkout,
    requirements::Requirements,
    step::{Site, Step},
    torch::{Choice, Profile},
    uv::Uv,
    venv::{Packages, Venv},
    verify::Verify,
};

pub use error::InstallError;

/// What a workspace is set up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// diffusion-pipe, with the submodules of these model types or of these names.
    Trainer { wanted: Vec<String> },
    /// A trainer of our own with this list of packages: no repositories, no Node.
    Demo { requirements: &'static str },
}

/// What the user wants of a setup.
#[derive(Clone, Debug)]
pub struct Wish {
    pub purpose: Purpose,
    /// `None`: what this machine's driver and GPUs run.
    pub profile: Option<Profile>,
    /// `--python PATH`.
    pub python: Option<PathBuf>,
}

/// A setup that has been looked at: what it would do, and the means to do it.
pub struct Setup<'a> {
    site: &'a Site,
    steps: Vec<Box<dyn Step + 'a>>,
    choice: Choice,
}

impl Event for Choice {
    fn line(&self) -> Option<Line> {
        Some(Line { verb: "PyTorch", text: self.because.clone() })
    }
}

/// The end of a setup.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "setup-done")]
pub struct Done {
    /// Steps that had something to do.
    pub changed: usize,
    pub seconds: f64,
}

impl Event for Done {
    fn line(&self) -> Option<Line> {
        let took = size::duration(std::time::Duration::from_secs_f64(self.seconds));
        Some(match self.changed {
            0 => Line { verb: "Up to date", text: format!("nothing to do, looked in {took}") },
            1 => Line { verb: "Finished", text: format!("1 step in {took}") },
            count => Line { verb: "Finished", text: format!("{count} steps in {took}") },
        })
    }
}

impl<'a> Setup<'a> {
    /// # Errors
    /// When a declaration or a name in `wish` or `selection` makes no sense, or no torch runs on this machine.
    pub fn new(site: &'a Site, wish: &Wish, selection: &Selection) -> Result<Self, InstallError> {
        let choice = torch::choose(wish.profile, gpu::detect(&site.host).as_ref(), site.host.arch)?;
        let mut steps = steps(site, wish, choice.profile)?;
        let ids: Vec<StepId> = steps.iter().map(|it| it.id()).collect();
        selection.check(&ids)?;
        steps.retain(|it| selection.includes(&it.id()));
        Ok(Self { site, steps, choice })
    }

    /// Which torch it is to be, and why.
    pub const fn torch(&self) -> &Choice {
        &self.choice
    }

    /// What there is to do. Touches nothing.
    pub fn plan(&self) -> Result<Vec<Planned>, InstallError> {
        Ok(plan::plan(&step::observe(&self.steps)?))
    }

    /// Does what the plan says; nothing at all if that is nothing.
    ///
    /// # Errors
    /// The first failure, with the steps before it done for good.
    pub fn apply(&self) -> Result<Done, InstallError> {
        let watch = Stopwatch::start();
        let done = |changed| Done { changed, seconds: watch.elapsed().as_secs_f64() };
        if self.plan()?.iter().all(|it| !it.pending) {
            return Ok(done(0));
        }
        let internal = self.site.workspace.internal();
        fs::create_dir_all(&internal)?;
        Settings::mark(&self.site.workspace)?;
        let _lock = Lock::exclusive(&internal.join("setup.lock"), "dpgui setup")?;
        // Another setup may have finished between the look and the lock.
        let pending: BTreeSet<StepId> =
            self.plan()?.into_iter().filter(|it| it.pending).map(|it| it.step).collect();
        self.announce(&pending);
        if pending.contains(&StepId::Venv) {
            self.require_space()?;
        }
        Ok(done(step::apply(&self.steps, &pending, &self.site.output)?))
    }

    fn announce(&self, pending: &BTreeSet<StepId>) {
        if pending.contains(&StepId::Venv) {
            self.site.output.event(&self.choice);
            if let Some(warning) = &self.choice.warning {
                self.site.output.warn(warning);
            }
        }
    }

    fn require_space(&self) -> Result<(), InstallError> {
        let root = self.site.workspace.root();
        let (needed, available) = (venv::disk_need(self.choice.profile), fs::available_bytes(root)?);
        if needed <= available {
            return Ok(());
        }
        let what = format!("the Python environment with torch ({})", self.choice.profile);
        Err(InstallError::NoSpace { what, at: root.to_owned(), needed, available })
    }
}

/// Every step, each after the ones it needs.
fn steps<'a>(site: &'a Site, wish: &Wish, profile: Profile) -> Result<Vec<Box<dyn Step + 'a>>, InstallError> {
    let (oldest, packages) = match wish.purpose {
        Purpose::Trainer { .. } => (python::FOR_TRAINER, Packages::Trainer),
        Purpose::Demo { requirements } => (python::FOR_DEMO, Packages::Fixed(requirements)),
    };
    let python = || Python::new(site, wish.python.clone(), oldest);
    let venv = Venv { site, uv: Uv::new(site)?, python: python()?, profile, packages };
    let mut steps: Vec<Box<dyn Step + 'a>> = vec![];
    let mut names = vec![];
    if let Purpose::Trainer { wanted } = &wish.purpose {
        let known: Vec<&str> = config::models::MODELS.iter().map(|it| it.name).collect();
        let repositories = site.sources.repositories_for(wanted, &known)?;
        names = repositories.iter().map(|(name, _)| *name).collect();
        steps.push(Box::new(Node::new(site)?));
        let checkouts = repositories.into_iter().map(|(name, it)| Checkout::new(site, name, it));
        steps.extend(checkouts.map(|it| Box::new(it) as Box<dyn Step>));
        steps.push(Box::new(Farm::new(site, &names)?));
        steps.push(Box::new(Requirements::new(site)?));
    }
    steps.push(Box::new(Uv::new(site)?));
    steps.push(Box::new(python()?));
    steps.push(Box::new(venv));
    steps.push(Box::new(Verify { site, repositories: names }));
    Ok(steps)
}
