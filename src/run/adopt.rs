//! Supervisors: how one is started, and how a run whose own was killed gets a new one.

use std::{io::Read, path::PathBuf, thread};

use crate::{
    platform::{
        Env, Host, clock, fs,
        lock::{Lock, LockError, Wait},
        process::{Apart, CommandSpec},
        procfs::{self, ProcessId},
        session::{self, Logout},
    },
    workspace::Workspace,
};

use super::{
    RunError,
    dir::RunDir,
    id::RunId,
    journal::{Journal, Record, Snapshot},
    outcome::Outcome,
    spec::{COOKIE, Spec},
    state::RunState,
    supervise::Begin,
};

/// A run this young without a state is one that somebody else is starting right now.
const STARTING: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// Gives every run that has none and is not over a new supervisor. Those that are gone end at once, by what is known
/// of them; those that live go on being looked after.
///
/// A run that cannot be looked after does not keep the others from it: why is returned.
pub fn adopt_all(host: &Host, workspace: &Workspace) -> Result<Vec<RunError>, RunError> {
    Ok(RunDir::all(workspace)?.iter().filter_map(|dir| adopt(host, dir).err()).collect())
}

/// The same for those that have begun. Whoever waits for its turn waits on: others may have been there before it.
pub fn adopt_begun(host: &Host, workspace: &Workspace) -> Result<Vec<RunError>, RunError> {
    let waits =
        |dir: &RunDir| dir.snapshot().is_ok_and(|it| it.is_some_and(|it| it.state == RunState::Queued));
    let begun = RunDir::all(workspace)?.into_iter().filter(|dir| !waits(dir));
    Ok(begun.filter_map(|dir| adopt(host, &dir).err()).collect())
}

/// The same for one run. Nothing to do is fine.
pub fn adopt(host: &Host, dir: &RunDir) -> Result<(), RunError> {
    match standing(dir)? {
        Standing::LookedAfter | Standing::Over => Ok(()),
        Standing::Lost => spawn_supervisor(host, dir, &host.env, Begin::Adopt),
        Standing::Copied { original } => end_copy(dir, original),
    }
}

/// A run that nobody looks after, or that is over and has living processes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    pub id: RunId,
    pub processes: Vec<ProcessId>,
    pub is_over: bool,
}

/// Every such run, or why it cannot be told of one. Only looks.
pub fn lost(workspace: &Workspace) -> Result<Vec<Result<Lost, RunError>>, RunError> {
    let all = procfs::processes();
    let look = |dir: &RunDir| {
        let is_over = match standing(dir)? {
            // Whose processes those of a copy are, the original knows.
            Standing::LookedAfter | Standing::Copied { .. } => return Ok(None),
            Standing::Over => true,
            Standing::Lost => false,
        };
        let cookie = dir.spec()?.cookie;
        let marked = all.iter().filter(|it| it.variable(COOKIE).as_deref() == Some(&cookie));
        let processes: Vec<ProcessId> = marked.map(|it| it.id).collect();
        let is_at_rest = is_over && processes.is_empty();
        Ok((!is_at_rest).then(|| Lost { id: dir.id().clone(), processes, is_over }))
    };
    Ok(RunDir::all(workspace)?.iter().filter_map(|dir| look(dir).transpose()).collect())
}

enum Standing {
    /// By a supervisor, or by whoever is starting it right now.
    LookedAfter,
    Over,
    Lost,
    /// Somebody copied it with its workspace while it was not over, and it is still there.
    Copied {
        original: PathBuf,
    },
}

fn standing(dir: &RunDir) -> Result<Standing, RunError> {
    if dir.is_supervised() {
        return Ok(Standing::LookedAfter);
    }
    let young = clock::now().duration_since(dir.id().created()) < STARTING;
    // Until its end is written where it belongs, somebody has to look after that.
    Ok(match dir.written()? {
        Some(snapshot) if snapshot.state.outcome().is_some() => Standing::Over,
        None if young => Standing::LookedAfter,
        Some(_) | None => match original(dir, &dir.spec()?) {
            Some(original) => Standing::Copied { original },
            None => Standing::Lost,
        },
    })
}

/// The run of which this one is a copy, if it is where this one was started.
fn original(dir: &RunDir, spec: &Spec) -> Option<PathBuf> {
    let started_in = RunDir::at(spec.config.parent()?.parent()?)?;
    let is_another = fs::is_same(started_in.path(), dir.path()).is_ok_and(|same| !same);
    let is_it = is_another && started_in.spec().is_ok_and(|it| it.cookie == spec.cookie);
    is_it.then(|| started_in.path().to_owned())
}

/// Its paths and its marks are the original's: a supervisor of its own would start that one a second time, or take its
/// processes for its own.
fn end_copy(dir: &RunDir, original: PathBuf) -> Result<(), RunError> {
    let _alone = match Lock::exclusive(&dir.lock(), "dpgui", Wait::No) {
        Err(LockError::Held { .. }) => return Ok(()),
        alone => alone?,
    };
    let mut now = dir.snapshot()?.unwrap_or_else(|| Snapshot::new(None));
    let outcome = if now.state == RunState::Queued { Outcome::Withdrawn } else { Outcome::Lost };
    let mut journal = Journal::open(dir)?;
    journal.record(&Record::Copied { original: original.clone() });
    journal.record(&Record::Ended { outcome: outcome.clone() });
    now.state = RunState::Ended(outcome);
    journal.save(&now);
    Err(RunError::Copied { id: dir.id().clone(), original })
}

/// Starts the supervisor and waits until the first state is on disk. No terminal reaches it; what it says about
/// itself goes to the run's folder.
pub fn spawn_supervisor(host: &Host, dir: &RunDir, env: &Env, begin: Begin) -> Result<(), RunError> {
    let log = fs::open_append(&dir.supervisor_log())?;
    let before = fs::size(&dir.supervisor_log())?;
    let mut command = CommandSpec::new(&host.program, env, dir.path()).arg("__supervise").arg(dir.path());
    if begin == Begin::Adopt {
        command = command.arg("--adopt");
    }
    if let Logout::Kills { manager: true, .. } = session::at_logout(host) {
        command = session::in_scope(&format!("dpgui-{}-{}", dir.id(), &procfs::random_id()[..8]), command);
    }
    // It closes its stdout when the state is written, and so does its death.
    let (mut reader, writer) = std::io::pipe().map_err(RunError::Supervisor)?;
    let mut child = command.spawn(Apart::Session, &[], writer, log)?;
    let _ = reader.read_to_end(&mut vec![]);
    // Ours or, if another command was faster, its.
    if dir.is_supervised() {
        // Whoever lives longer than the run would have its remains as a child.
        let _ = thread::Builder::new().spawn(move || child.wait());
        return Ok(());
    }
    // Over already, or never begun.
    let _ = child.wait();
    if dir.snapshot()?.is_some_and(|it| it.state.outcome().is_some()) {
        return Ok(());
    }
    let mut log = fs::open(&dir.supervisor_log())?;
    let said = fs::read_at(&mut log, &dir.supervisor_log(), before, 4096)?;
    Err(RunError::SupervisorDied {
        id: dir.id().clone(),
        said: String::from_utf8_lossy(&said).trim().to_owned(),
    })
}
