//! A step of setup, and what all steps share.

use crate::{
    output::{Output, Progress},
    platform::{Env, Host, net::Http, reaper},
    vendor::sources::Sources,
    workspace::Workspace,
};

use super::{
    InstallError,
    cache::Cache,
    index_settings::PipSettings,
    lock::{Locks, Policy},
    manifest::Difference,
    offline::Missing,
    packages::CpuIndex,
    plan::{Cost, Observed, Status, StepId, Tie},
    schedule::Board,
    verify::Imported,
};

/// What every step works with.
#[derive(Clone, Debug)]
pub struct Site {
    pub host: Host,
    pub workspace: Workspace,
    pub sources: Sources,
    pub http: Http,
    pub cache: Cache,
    pub output: Output,
    pub policy: Policy,
    pub pip: PipSettings,
    pub cpu_index: CpuIndex,
    pub imported: Imported,
}

impl Site {
    /// What is locked by now: setup itself changes it.
    pub fn locks(&self) -> Result<Locks, InstallError> {
        Locks::load(&self.workspace, self.policy)
    }

    /// The environment of the programs that setup runs: the user's, less what would lead Python astray. They do not outlive
    /// this process.
    pub fn tool_env(&self) -> Env {
        let mut env = self.host.env.clone();
        for name in ["PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV"] {
            env.remove(name);
        }
        reaper::mark(&mut env);
        env
    }
}

/// Look, then act. Safe to run again after a kill at any point.
pub trait Step: Sync {
    fn id(&self) -> StepId;

    /// The steps whose results this one is made from.
    fn needs(&self) -> Vec<StepId>;

    /// What becomes of it when this one of [`Self::needs`] is done anew.
    fn tie(&self, _need: &StepId) -> Tie {
        Tie::Perhaps
    }

    /// Cheap: a plan of nothing to do takes milliseconds.
    fn inspect(&self) -> Result<Status, InstallError>;

    /// The steps after which this one may begin when it is missing by itself; it waits for the others of its needs
    /// with [`Turn::wait_for`].
    fn begins_after(&self) -> Vec<StepId> {
        self.needs()
    }

    /// It counts as missing only because something is that it needs, and may be found as it should be then.
    fn may_stay(&self) -> bool {
        false
    }

    /// Why it will not be done: something of the user's is in its way.
    fn obstacle(&self) -> Option<InstallError> {
        None
    }

    /// Where it counts as missing: the lock names another build than is declared, and that one is there. A setup that goes by
    /// the lock alone has nothing to do.
    fn is_as_locked(&self) -> bool {
        false
    }

    /// What doing it costs, as far as that can be known.
    fn cost(&self) -> Cost {
        Cost::default()
    }

    /// What doing it has to fetch and finds nowhere on this machine.
    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        Ok(vec![])
    }

    /// How much of it has to be made anew where its artefact has this damage.
    fn extent(&self, _damage: &[Difference]) -> Extent<'_> {
        Extent::All
    }

    /// Does it, and says in a few words how.
    fn apply(&self, turn: &Turn) -> Result<String, InstallError>;
}

/// How much of something damaged is made anew.
pub enum Extent<'a> {
    /// It has no parts.
    All,
    /// It has parts, and this is why they will not do.
    AllBecause(String),
    /// What this step does.
    Part(Box<dyn Step + 'a>),
}

/// What a step is given to act with.
pub struct Turn<'a> {
    pub progress: &'a Progress,
    pub(super) board: &'a Board,
}

impl Turn<'_> {
    /// Returns when `step` is done, at once if there was nothing to do.
    ///
    /// # Errors
    /// [`InstallError::GivenUp`] when it, or any other, has failed.
    pub fn wait_for(&self, step: &StepId) -> Result<(), InstallError> {
        self.board.wait_for(step)
    }

    /// Long work looks here now and then.
    ///
    /// # Errors
    /// [`InstallError::GivenUp`] when another step has failed.
    pub fn go_on(&self) -> Result<(), InstallError> {
        self.board.go_on()
    }
}

/// Looks at every step.
pub fn observe(steps: &[Box<dyn Step + '_>]) -> Result<Vec<Observed>, InstallError> {
    let look = |step: &dyn Step| {
        let status = step.inspect()?;
        let cost = match &status {
            Status::Satisfied { .. } => Cost::default(),
            Status::Missing { .. } => step.cost(),
        };
        let needs = step.needs().into_iter().map(|it| (it.clone(), step.tie(&it))).collect();
        let may_stay = matches!(status, Status::Missing { .. }) && step.may_stay();
        Ok(Observed { id: step.id(), needs, cost, status, may_stay })
    };
    steps.iter().map(|it| look(&**it)).collect()
}
