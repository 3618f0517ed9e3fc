//! Setup: from what is there to what is wanted, as a plan and then as steps that can be killed at any point.

pub mod archive;
pub mod bundle;
pub mod cache;
pub mod doctor;
pub mod download;
pub mod error;
pub mod farm;
pub mod index;
pub mod index_settings;
pub mod lock;
pub mod manifest;
pub mod node;
pub mod offline;
pub mod packages;
pub mod page;
pub mod pinned;
pub mod plan;
pub mod program;
pub mod python;
pub mod receipt;
pub mod repair;
pub mod repositories;
pub mod requirements;
pub mod schedule;
mod space;
pub mod step;
mod sweep;
pub mod torch;
pub mod update;
pub mod uv;
pub mod venv;
pub mod verify;

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    config,
    error::in_one_line,
    output::{Event, Line, Waiting, size},
    platform::{
        clock::Stopwatch,
        fs, gpu,
        lock::{Lock, LockError, Wait},
        reaper::Reaper,
    },
    workspace::{
        Settings, Workspace,
        remember::{Choices, remember},
        switch,
    },
};

use self::{
    farm::Farm,
    lock::{Lock as LockStep, Policy},
    node::Node,
    packages::List,
    page::Page,
    plan::{Planned, Selection, StepId},
    python::Python,
    receipt::Receipt,
    repositories::Checkout,
    requirements::Requirements,
    step::{Site, Step},
    torch::{Choice, Profile},
    uv::Uv,
    venv::Venv,
    verify::Verify,
};

pub use error::InstallError;
pub use sweep::leftovers;

/// What a workspace is set up for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// diffusion-pipe, with the submodules of these model types or of these names.
    Trainer { wanted: Vec<String> },
    /// A trainer of our own with this list of packages: no repositories, no Node.
    Demo { requirements: &'static str },
}

impl Purpose {
    const fn name(&self) -> &'static str {
        match self {
            Self::Trainer { .. } => "diffusion-pipe",
            Self::Demo { .. } => "the demo",
        }
    }
}

/// What the user wants of a setup.
#[derive(Clone, Debug)]
pub struct Wish {
    pub purpose: Purpose,
    /// `None`: what this machine's driver and GPUs run.
    pub profile: Option<Profile>,
    /// `--python PATH`.
    pub python: Option<PathBuf>,
    /// The files that packages come in stay in the cache.
    pub keep_downloads: bool,
    /// For which machines the lock is to be made.
    pub lock: lock::Scope,
}

/// What to do while somebody else is at work in the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfLocked {
    Wait,
    Fail,
}

impl IfLocked {
    /// How a lock is taken then; `tell` gets a word on who has it.
    pub fn wait(self, tell: &(dyn Fn(&str) + Sync)) -> Wait<'_> {
        match self {
            Self::Wait => Wait::Telling(tell),
            Self::Fail => Wait::No,
        }
    }
}

/// A setup that has been looked at: what it would do, and the means to do it.
pub struct Setup<'a> {
    site: &'a Site,
    purpose: &'static str,
    steps: Vec<Box<dyn Step + 'a>>,
    lock_step: LockStep<'a>,
    /// Likewise.
    venv: Venv<'a>,
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
    /// When a declaration or a name in `wish` or `selection` makes no sense, no torch runs on this machine, or the
    /// workspace is set up for something else.
    pub fn new(site: &'a Site, wish: &Wish, selection: &Selection) -> Result<Self, InstallError> {
        let root = site.workspace.root().to_owned();
        if root.to_str().is_none() {
            return Err(InstallError::NotUtf8 { root });
        }
        let (found, wanted) = (purpose_of(&site.workspace), wish.purpose.name());
        if let Some(found) = found.filter(|it| it != wanted) {
            return Err(InstallError::OtherPurpose { root, found, wanted: wanted.to_owned() });
        }
        let mut choice = torch::choose(wish.profile, gpu::detect(&site.host).as_ref(), site.host.arch)?;
        if wish.profile.is_none() {
            choice = keep_cuda(choice, venv::installed_profile(&site.workspace.live()));
        }
        let mut steps = steps(site, wish, choice.profile)?;
        let ids: Vec<StepId> = steps.iter().map(|it| it.id()).collect();
        selection.check(&ids)?;
        steps.retain(|it| selection.includes(&it.id()));
        let lock_step = lock_step(site, wish, choice.profile)?;
        let venv = environment(site, wish, choice.profile)?;
        Ok(Self { site, purpose: wanted, steps, lock_step, venv, choice })
    }

    /// Which torch it is to be, and why.
    pub const fn torch(&self) -> &Choice {
        &self.choice
    }

    /// What there is to do. Touches nothing.
    ///
    /// # Errors
    /// Where the lock must not change and would.
    pub fn plan(&self) -> Result<Vec<Planned>, InstallError> {
        // Whichever steps take part.
        if self.site.policy == Policy::Locked {
            self.lock_step.confirm()?;
        }
        Ok(plan::plan(&step::observe(&self.steps)?))
    }

    /// What its lock is to hold is known, and nothing has to be resolved.
    ///
    /// # Errors
    /// When what is locked cannot be read.
    pub fn knows_its_lock(&self) -> Result<bool, InstallError> {
        self.lock_step.knows_all()
    }

    /// The environment that this setup makes.
    pub fn environment(&self, wish: &Wish) -> Result<Venv<'a>, InstallError> {
        environment(self.site, wish, self.choice.profile)
    }

    /// Without a network, tells of everything that would have to come from it.
    ///
    /// # Errors
    /// When there is such a thing.
    pub fn require_all_here(&self) -> Result<(), InstallError> {
        if !self.site.http.is_offline() {
            return Ok(());
        }
        let missing = offline::missing(&self.steps, &self.plan()?)?;
        for thing in &missing {
            self.site.output.event(thing);
        }
        if missing.is_empty() { Ok(()) } else { Err(InstallError::Offline { count: missing.len() }) }
    }

    /// Does what the plan says, and keeps the choices of the command line for the next one; nothing at all if that is
    /// nothing.
    ///
    /// # Errors
    /// The first failure, with the steps before it done for good.
    pub fn apply(&self, if_locked: IfLocked, choices: Choices<'_>) -> Result<Done, InstallError> {
        let watch = Stopwatch::start();
        let done = |changed| Done { changed, seconds: watch.elapsed().as_secs_f64() };
        let workspace = &self.site.workspace;
        // The plan first: what it refuses is not to be remembered.
        let (plan, is_news) = (self.plan()?, choices.is_news(workspace)?);
        if is_news && choices.python.is_some() {
            self.venv.python.try_the_chosen()?;
        }
        let pending = is_news || plan.iter().any(|it| it.pending);
        let venv_is_there = plan.iter().any(|it| it.step == StepId::Venv && !it.pending);
        let has_downloads_to_go = venv_is_there && self.venv.has_downloads_to_go();
        if !pending && !has_downloads_to_go && leftovers(&self.site.workspace)?.is_empty() {
            return Ok(done(0));
        }
        let lock = match self.lock(if pending { if_locked } else { IfLocked::Fail }) {
            // There is only something to tidy up, which can wait for the next time.
            Err(InstallError::Lock(LockError::Held { .. })) if !pending => return Ok(done(0)),
            lock => lock?,
        };
        if switch::finish(workspace, &lock)? {
            // What was read of the workspace speaks of what was there before.
            return Err(InstallError::Switched);
        }
        Settings::mark(workspace)?;
        for line in remember(workspace, choices, &lock)? {
            self.site.output.status("Remembered", format_args!("`{line}` in `dpgui.toml`"));
        }
        self.mark_purpose()?;
        let changed = self.work()?;
        if has_downloads_to_go {
            self.venv.let_downloads_go()?;
        }
        Ok(done(changed))
    }

    /// Does what the plan says beside what is installed, in a draft of the workspace. Nothing of it is locked: that is
    /// the caller's to do.
    ///
    /// # Errors
    /// The first failure, with the steps before it done for good.
    pub fn prepare(&self) -> Result<usize, InstallError> {
        debug_assert!(!self.site.workspace.is_live(), "trainings may use what is installed");
        self.work()
    }

    fn work(&self) -> Result<usize, InstallError> {
        sweep::sweep(self.site)?;
        // Another setup may have finished between the look and the lock.
        let plan = self.plan()?;
        self.require_clear(&plan)?;
        if plan.iter().any(|it| it.pending && it.step == StepId::Venv) {
            self.announce();
            space::require(self.site, self.choice.profile, &plan)?;
        }
        let _reaper = Reaper::start(&self.site.host)?;
        let changed = schedule::apply(&self.steps, &plan, (&self.site.output, self.site.http.halt()));
        // What a setup that failed has fetched counts as well.
        if let Err(error) = self.site.cache.trim() {
            self.site.output.warn(in_one_line(&error));
        }
        changed
    }

    /// Alone with the workspace: no other setup works there, and no training uses it.
    ///
    /// # Errors
    /// When somebody else is at work there and is not to be waited for.
    pub fn lock(&self, if_locked: IfLocked) -> Result<Lock, InstallError> {
        fs::create_dir_all(&self.site.workspace.internal())?;
        let tell = |holder: &str| self.site.output.event(&Waiting { holder });
        Ok(Lock::exclusive(&self.site.workspace.setup_lock(), "dpgui setup", if_locked.wait(&tell))?)
    }

    fn announce(&self) {
        self.site.output.event(&self.choice);
        if let Some(warning) = &self.choice.warning {
            self.site.output.warn(warning);
        }
    }

    fn mark_purpose(&self) -> Result<(), InstallError> {
        if purpose_of(&self.site.workspace).is_none() {
            let path = receipt::loose(&self.site.workspace.internal(), PURPOSE);
            Receipt::new(receipt::inputs(&self.purpose), self.purpose, "its first setup")
                .write_loose(&path)?;
        }
        Ok(())
    }
}

/// The name of the receipt that says what a workspace is for.
const PURPOSE: &str = "purpose";

fn purpose_of(workspace: &Workspace) -> Option<String> {
    Receipt::read(&receipt::loose(&workspace.internal(), PURPOSE)).map(|it| it.what)
}

/// A driver that does not answer for once is no reason to replace an environment that works by one for the CPU.
fn keep_cuda(choice: Choice, installed: Option<Profile>) -> Choice {
    match (choice.profile, installed) {
        (Profile::Cpu, Some(profile @ (Profile::Cu13 | Profile::Cu12))) => Choice {
            profile,
            because: format!("{profile}: it is installed, though no NVIDIA GPU answers now"),
            warning: Some("no NVIDIA GPU answers; `--torch cpu` would replace the environment".to_owned()),
        },
        (Profile::Cpu | Profile::Cu13 | Profile::Cu12, _) => choice,
    }
}

fn environment<'a>(site: &'a Site, wish: &Wish, profile: Profile) -> Result<Venv<'a>, InstallError> {
    let (oldest, list) = match wish.purpose {
        Purpose::Trainer { .. } => (python::FOR_TRAINER, List::Trainer),
        Purpose::Demo { requirements } => (python::FOR_DEMO, List::Demo(requirements)),
    };
    let (uv, python) = (Uv::new(site)?, Python::new(site, wish.python.clone(), oldest)?);
    Ok(Venv { site, uv, python, profile, list, keep_downloads: wish.keep_downloads })
}

fn lock_step<'a>(site: &'a Site, wish: &Wish, profile: Profile) -> Result<LockStep<'a>, InstallError> {
    let Venv { uv, python, list, .. } = environment(site, wish, profile)?;
    Ok(LockStep { site, uv, python, profile, list, scope: wish.lock })
}

/// Every step, each after the ones it needs.
fn steps<'a>(site: &'a Site, wish: &Wish, profile: Profile) -> Result<Vec<Box<dyn Step + 'a>>, InstallError> {
    let lock = lock_step(site, wish, profile)?;
    let venv = environment(site, wish, profile)?;
    let mut steps: Vec<Box<dyn Step + 'a>> = vec![];
    let mut names = vec![];
    if let Purpose::Trainer { wanted } = &wish.purpose {
        let known: Vec<&str> = config::schema::model_names().collect();
        let repositories = site.sources.repositories_for(wanted, &known)?;
        names = repositories.iter().map(|(name, _)| *name).collect();
        steps.push(Box::new(Node::new(site)?));
        steps.extend(Page::wanted(site)?.map(|it| Box::new(it) as Box<dyn Step>));
        let checkouts = repositories.into_iter().map(|(name, it)| Checkout::new(site, name, it));
        steps.extend(checkouts.map(|it| Box::new(it) as Box<dyn Step>));
        steps.push(Box::new(Farm::new(site, &names)?));
        steps.push(Box::new(Requirements::new(site)?));
    }
    steps.push(Box::new(Uv::new(site)?));
    steps.push(Box::new(environment(site, wish, profile)?.python));
    if site.policy != Policy::Frozen {
        steps.push(Box::new(lock));
    }
    steps.push(Box::new(venv));
    steps.push(Box::new(Verify { site, repositories: names }));
    Ok(steps)
}
