//! When a run may begin: at once if what it computes on is free, or when its turn in the queue has come.
//!
//! Nothing here waits for a lock: what cannot be had now is asked for again, at the latest a second later.

use crate::{
    platform::{cgroup::OomKills, fs, lock::Lock, net},
    run::{
        RunError, adopt,
        dir::RunDir,
        folder, keeper,
        queue::{self, Queue},
        start,
        state::{Event, RunState},
        strangers,
    },
    workspace::Workspace,
};

use super::{Begin, Note, Remembered, Supervisor, chain};

impl Supervisor {
    /// The first thing that is done with a new run.
    pub(super) fn begin(&mut self) -> Result<(), RunError> {
        if self.spec.queued {
            self.now.state = RunState::Queued;
            self.journal.record(&Note::Queued);
            self.wait_for_turn();
            return Ok(());
        }
        match self.spec.claim.take(&self.purpose())? {
            Ok(leases) => {
                self.leases = Some(leases);
                self.note_strangers();
                self.start();
            }
            Err(busy) => self.tell(Event::SpawnFailed { reason: busy.to_string() }),
        }
        Ok(())
    }

    /// While it is queued, others may change what is installed.
    pub(super) fn wait_for_turn(&mut self) {
        self.using = None;
        self.ask_for_turn();
    }

    /// Begins if it may.
    pub(super) fn ask_for_turn(&mut self) {
        if self.now.state == RunState::Queued && self.may_begin().unwrap_or(false) {
            self.tell(Event::Turn);
        }
    }

    /// It is its turn, and all that it needs is its own now.
    fn may_begin(&mut self) -> Result<bool, RunError> {
        let workspace = self.dir.workspace();
        let queue = Queue::load(&workspace)?;
        if !queue.may_begin(&self.spec.id) {
            self.look_after_those_before(&workspace, &queue);
            return Ok(false);
        }
        // As for any start: one at a time, until the others can read what it uses.
        let Some(_starting) = Lock::attempt(&start::lock(&workspace), &self.purpose(), false)? else {
            return Ok(false);
        };
        let live = start::live(&workspace)?;
        if self.spec.resumes.is_none() && folder::is_crowded(&live, &self.spec.output_dir) {
            return Ok(false);
        }
        let Some(leases) = self.spec.claim.attempt(&self.purpose())? else { return Ok(false) };
        self.using = start::share_setup(&self.dir, Begin::Start)?;
        self.leases = Some(leases);
        self.spec.begin(net::free_port(&start::ports(&live)).map_err(RunError::NoPort)?);
        let text = serde_json::to_string_pretty(&self.spec).unwrap_or_default();
        fs::write_atomic(&self.dir.spec_file(), text)?;
        self.remembered = Remembered::of(&self.dir);
        Ok(true)
    }

    /// One that has lost its supervisor would keep everybody behind it waiting.
    fn look_after_those_before(&self, workspace: &Workspace, queue: &Queue) {
        let Some(at) = queue.position(&self.spec.id) else { return };
        for before in &queue.entries[..at] {
            let _ = adopt::adopt(&self.host, &RunDir::new(workspace, before.run.clone()));
        }
    }

    /// Its turn has come.
    pub(super) fn begin_queued(&mut self) {
        self.take_over_env();
        // Who adopted it found pipes without writers, which is an end.
        if let Err(cause) = self.streams.reopen(&self.dir) {
            return self.tell(Event::SpawnFailed { reason: chain(&cause) });
        }
        self.now.oom_kills = Some(OomKills::sample());
        self.note_strangers();
        // A successor must not take it for one that waits.
        self.journal.save(&self.now);
        self.start();
    }

    /// Whether what it computes on is its own. A successor has it from the time when the processes of the run do not have
    /// it any more.
    pub(super) fn has_leases(&mut self) -> bool {
        if self.leases.is_none() {
            self.leases = self.spec.claim.attempt(&self.purpose()).ok().flatten();
        }
        self.leases.is_some()
    }

    fn purpose(&self) -> String {
        // Whoever finds it taken may be in another workspace.
        format!("training {} of {}", self.spec.id, self.dir.workspace().root().display())
    }

    /// Nobody may be there to be warned; who asks later why there was too little memory finds it in the events.
    fn note_strangers(&mut self) {
        let strangers = strangers::on(&self.host, &self.spec.devices);
        if !strangers.is_empty() {
            self.journal.record(&Note::Strangers { strangers });
        }
    }

    /// A process that has us replaced should we be killed. Without one the next command does that.
    pub(super) fn have_a_keeper(&mut self) {
        if !self.is_over()
            && let Ok(Some(keeper)) = keeper::spawn(&self.host, &self.dir)
        {
            self.marks.helpers.insert(keeper);
        }
    }

    /// What it computes on is free: others may have waited for it.
    pub(super) fn give_way(&mut self) {
        (self.leases, self.using) = (None, None);
        queue::wake(&self.dir.workspace());
    }
}
