//! The runs of a workspace that wait for their turn, in the order in which they get it.
//!
//! Each has a supervisor already, which asks here whether it may begin: so it begins with the environment of whoever
//! queued it, and is looked after like any run. This file only says who is before whom.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    platform::{Host, fifo, fs, lock::Lock, procfs, watch::Watch},
    workspace::Workspace,
};

use super::{
    RunError, adopt,
    dir::RunDir,
    id::RunId,
    lease::{Busy, Claim},
    outcome::Outcome,
    state::RunState,
    stop::ASK_EVERY,
    supervise::Command,
};

/// Why nobody begins then, and what lets them.
const AFTER_REBOOT: &str = "the machine was restarted: `dpgui resume --all` goes on with what that cut off, then with the \
                                queue; `dpgui queue resume` with the queue alone";

/// `.dpgui/queue.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// Somebody wants that nobody begins.
    held: bool,
    /// In which life of the machine they began to wait, or were told to go on waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_id: Option<String>,
    pub entries: Vec<Entry>,
}

/// A run that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    pub run: RunId,
    /// It lets the others pass.
    #[serde(default)]
    pub held: bool,
    /// What it waits for.
    pub claim: Claim,
}

impl Queue {
    /// As it is now, without the runs that are over or gone.
    ///
    /// # Errors
    /// When it cannot be read or understood.
    pub fn load(workspace: &Workspace) -> Result<Self, RunError> {
        let path = file(workspace);
        // What cannot be understood may hold everybody: nobody begins then.
        let mut queue = match fs::read_optional(&path)? {
            Some(text) => {
                serde_json::from_str(&text).map_err(|source| RunError::DamagedQueue { path, source })?
            }
            None => Self::default(),
        };
        queue.entries.retain(|entry| still_waits(&RunDir::new(workspace, entry.run.clone())));
        if queue.entries.is_empty() {
            queue.go_on_after_reboot();
        }
        Ok(queue)
    }

    /// Changes it, alone.
    pub fn change<T>(
        workspace: &Workspace,
        change: impl FnOnce(&mut Self) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        fs::create_dir_all(&workspace.internal())?;
        let _alone = Lock::wait(&workspace.internal().join("queue.lock"))?;
        let mut queue = Self::load(workspace)?;
        let before = queue.clone();
        let done = change(&mut queue)?;
        if !queue.entries.is_empty() {
            queue.boot_id.get_or_insert_with(this_life);
        }
        if queue != before {
            fs::write_atomic(&file(workspace), serde_json::to_string_pretty(&queue).unwrap_or_default())?;
        }
        Ok(done)
    }

    /// Nobody begins.
    pub fn is_held(&self) -> bool {
        self.held || self.is_from_before_reboot()
    }

    /// The machine was restarted: what it cut off had begun before those who wait, and whoever restarted it may have
    /// wanted it for something else.
    pub fn is_from_before_reboot(&self) -> bool {
        // Of another machine that shares the workspace nobody here knows anything.
        let life = this_life();
        let is_ours = |it: &&String| it.split_once(' ').map(|it| it.0) == life.split_once(' ').map(|it| it.0);
        self.boot_id.as_ref().filter(is_ours).is_some_and(|it| *it != life)
    }

    /// In a sentence.
    pub fn why_held(&self) -> Option<String> {
        if self.held {
            return Some("the queue is held: no run begins until `dpgui queue resume`".to_owned());
        }
        self.is_from_before_reboot().then(|| format!("the queue waits, for {AFTER_REBOOT}"))
    }

    pub fn hold(&mut self, held: bool) {
        self.held = held;
        if !held {
            self.go_on_after_reboot();
        }
    }

    /// Those who wait may begin again, unless somebody holds them.
    pub fn go_on_after_reboot(&mut self) {
        self.boot_id = None;
    }

    pub fn position(&self, run: &RunId) -> Option<usize> {
        self.entries.iter().position(|entry| entry.run == *run)
    }

    /// Whether it is this run's turn, should what it wants be free: nobody before it wants any of it.
    pub fn may_begin(&self, run: &RunId) -> bool {
        let Some(at) = self.position(run) else { return !self.is_held() };
        !(self.is_held() || self.entries[at].held || self.before(at).is_some())
    }

    /// The first of those before it that want what it wants.
    pub fn before(&self, at: usize) -> Option<&Entry> {
        let claim = &self.entries[at].claim;
        self.entries[..at].iter().find(|before| !before.held && before.claim.meets(claim))
    }

    /// Who waits for any of what `claim` wants, and so has it before anybody who does not wait.
    ///
    /// What is free meanwhile stays free: whoever waits for several GPUs would never have them all otherwise.
    pub fn kept_from(&self, claim: &Claim) -> Option<Busy> {
        let waits = |it: &&Entry| !it.held && it.claim.meets(claim);
        let first = self.entries.iter().filter(|_| !self.is_held()).find(waits)?;
        Some(Busy::kept(claim, &first.run, &first.claim))
    }

    /// Takes what `claim` wants for a run that begins now, unless it is kept for somebody, whom only one overtakes that may.
    pub fn take(&self, claim: &Claim, overtakes: bool) -> Result<Result<Vec<Lock>, Busy>, RunError> {
        match self.kept_from(claim).filter(|_| !overtakes) {
            Some(kept) => Ok(Err(kept)),
            None => claim.take("dpgui train"),
        }
    }

    /// What the run at this place waits for, as far as that can be said in a sentence.
    pub fn waits_for(&self, at: usize) -> String {
        let entry = &self.entries[at];
        if self.held || entry.held {
            return "the end of its hold".to_owned();
        }
        if self.is_from_before_reboot() {
            return format!("somebody's word, for {AFTER_REBOOT}");
        }
        match self.before(at) {
            Some(before) => {
                format!(
                    "{}, which is before it and wants {} too",
                    before.run,
                    entry.claim.common(&before.claim)
                )
            }
            // What it is just taking for itself it does not wait for.
            None => entry.claim.look().filter(|it| !it.holder.contains(&entry.run.to_string())).map_or_else(
                || "nothing: it is about to begin".to_owned(),
                |it| format!("{}, in use by {}", it.place, it.holder),
            ),
        }
    }

    /// Puts the run at the place `to`, counted from 0; beyond the end is the end. Whether it is in the queue.
    pub fn put(&mut self, run: &RunId, to: usize) -> bool {
        let Some(at) = self.position(run) else { return false };
        let entry = self.entries.remove(at);
        self.entries.insert(to.min(self.entries.len()), entry);
        true
    }
}

/// This machine, and which time it is that it runs.
fn this_life() -> String {
    format!("{} {}", procfs::host_name(), procfs::boot_id())
}

/// What a run waits for, unless it does not wait any more.
pub fn waits_for(dir: &RunDir) -> Option<String> {
    let queue = Queue::load(&dir.workspace()).ok()?;
    queue.position(dir.id()).map(|at| queue.waits_for(at))
}

/// Puts a run at the end.
pub fn join(workspace: &Workspace, run: &RunId, claim: &Claim) -> Result<(), RunError> {
    Queue::change(workspace, |queue| {
        queue.entries.push(Entry { run: run.clone(), held: false, claim: claim.clone() });
        Ok(())
    })
}

/// Tells those who wait that it may be their turn. A supervisor that does not hear it looks by itself, a second later.
pub fn wake(workspace: &Workspace) {
    let message = serde_json::to_string(&Command::Look).unwrap_or_default();
    for entry in Queue::load(workspace).unwrap_or_default().entries {
        let _ = fifo::send(&RunDir::new(workspace, entry.run).control(), &message);
    }
}

/// Takes a run out, for good. False if it has begun meanwhile.
pub fn withdraw(host: &Host, dir: &RunDir) -> Result<bool, RunError> {
    let message = serde_json::to_string(&Command::Withdraw).unwrap_or_default();
    let watch = Watch::new(dir.path());
    loop {
        adopt::adopt(host, dir)?;
        fifo::send(&dir.control(), &message)?;
        watch.wait(ASK_EVERY);
        match dir.snapshot()?.map(|it| it.state) {
            None | Some(RunState::Queued) => {}
            Some(state) => return Ok(state.outcome() == Some(&Outcome::Withdrawn)),
        }
    }
}

/// It has not begun. One that is just being queued has no state yet.
fn still_waits(dir: &RunDir) -> bool {
    let waits = |state: Option<RunState>| state.is_none_or(|state| state == RunState::Queued);
    fs::exists(&dir.spec_file()) && dir.snapshot().is_ok_and(|it| waits(it.map(|it| it.state)))
}

fn file(workspace: &Workspace) -> PathBuf {
    workspace.internal().join("queue.json")
}
