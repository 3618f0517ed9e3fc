//! When a run may begin: at once if what it computes on is free, or when its turn in the queue has come.

use crate::{
    platform::{cgroup::OomKills, fs, lock::Lock, net},
    run::{
        RunError, folder, keeper,
        queue::{self, Queue},
        start,
        state::{Event, RunState},
    },
};

use super::{Begin, Supervisor, chain};

impl Supervisor {
    /// The first thing that is done with a new run.
    pub(super) fn begin(&mut self) -> Result<(), RunError> {
        if self.spec.queued {
            // While it waits, others may change what is installed.
            self.using = None;
            self.now.state = RunState::Queued;
            self.ask_for_turn();
            return Ok(());
        }
        match self.spec.claim.take(&self.spec.id)? {
            Ok(leases) => {
                self.leases = leases;
                self.start();
            }
            Err(busy) => self.tell(Event::SpawnFailed { reason: busy.to_string() }),
        }
        Ok(())
    }

    /// Begins if it may. What cannot be reached now is asked for again, a second later.
    pub(super) fn ask_for_turn(&mut self) {
        if self.now.state != RunState::Queued {
            return;
        }
        let may = Queue::load(&self.dir.workspace()).is_ok_and(|it| it.may_begin(&self.spec.id));
        if !may {
            return;
        }
        let Ok(Ok(leases)) = self.spec.claim.take(&self.spec.id) else { return };
        let Ok(using) = start::share_setup(&self.dir, Begin::Start) else { return };
        (self.leases, self.using) = (leases, using);
        self.tell(Event::Turn);
    }

    /// Its turn has come.
    pub(super) fn begin_queued(&mut self) {
        match self.complete_spec() {
            Ok(()) => {
                self.now.oom_kills = Some(OomKills::sample());
                self.start();
            }
            Err(cause) => self.tell(Event::SpawnFailed { reason: chain(&cause) }),
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
        self.leases.clear();
        queue::wake(&self.dir.workspace());
    }

    fn complete_spec(&mut self) -> Result<(), RunError> {
        let workspace = self.dir.workspace();
        // As for any start: one at a time, until the others can read what it uses.
        let _starting = Lock::wait(&start::lock(&workspace))?;
        let live = start::live(&workspace)?;
        if self.spec.resumes.is_none() {
            folder::keep_apart(&live, &self.spec.output_dir);
        }
        self.spec.begin(net::free_port(&start::ports(&live)).map_err(RunError::NoPort)?);
        fs::write_atomic(
            &self.dir.spec_file(),
            serde_json::to_string_pretty(&self.spec).unwrap_or_default(),
        )?;
        self.take_over_env();
        // Who adopted it found pipes without writers, which is an end.
        self.streams.reopen(&self.dir)
    }
}
