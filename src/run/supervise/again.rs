//! One more try: whether, from where, with what.

use crate::{
    config::TrainConfig,
    error::Kind,
    platform::{Env, cgroup::OomKills, clock::Stopwatch, gpu, net},
    run::{
        RunError,
        devices::Devices,
        diagnose::{self, Diagnosed},
        folder::TrainerFolder,
        journal::Record,
        launch,
        outcome::Memory,
        restart::Case,
        state::{Again, Event, RunState},
        watchdog::Watchdog,
    },
};

use super::{Begin, Supervisor};

impl Supervisor {
    /// Why it failed, if it did, now that nothing of it is left and before anybody hears of its end.
    pub(super) fn diagnose(&mut self) {
        let RunState::Stopping(stopping) = &self.now.state else { return };
        let by_dpgui = diagnose::by_dpgui(&self.spec, &self.now, stopping);
        let counted = diagnose::count(&self.dir, &self.spec, &self.host.env, &self.now, stopping);
        let by_log = |it| diagnose::at_end(&self.dir, &self.spec, &self.now.attempt.log_from, it);
        let why = by_dpgui.or_else(|| counted.as_ref().and_then(by_log));
        let why = why.or_else(|| diagnose::of_nothing(&self.spec, &self.now, &stopping.outcome()));
        self.now.numbers = counted;
        if let Some(memory) = why.as_ref().and_then(|it| Memory::of_cause(&it.id)) {
            self.tell(Event::OutOfMemory(memory));
        }
        if let Some(diagnosis) = &why {
            self.journal.record(&Diagnosed { run: None, diagnosis: diagnosis.clone() });
        }
        self.now.diagnosis = why;
    }

    /// The next try, if the end that has come is to be followed by one.
    pub(super) fn again(&mut self) -> Option<Again> {
        let policy = self.spec.restart?;
        let RunState::Stopping(stopping) = &self.now.state else { return None };
        let outcome = stopping.outcome();
        // What was stopped has not failed.
        outcome.failure().filter(|it| *it == Kind::Failed)?;
        let contents = TrainerFolder::find(&self.spec).ok().flatten().and_then(|it| it.contents().ok());
        let case = Case {
            outcome: &outcome,
            passes: self.now.diagnosis.as_ref().map(|it| it.recoverable),
            on_stall: self.spec.watchdog.on_stall,
            has_trained: self.now.last_step.is_some(),
            checkpoint: contents.and_then(|it| it.whole().map(|it| it.step).max()),
            seed: u64::from(std::process::id()),
        };
        match self.now.attempt.next(policy, case) {
            Ok((again, attempt)) => {
                self.now.attempt = attempt;
                Some(again)
            }
            Err(why) => {
                self.now.not_restarted = Some(why);
                self.journal.record(&Record::NotRestarted { why });
                None
            }
        }
    }

    /// Starts the trainer once more, in the folder that it made or in a new one if there is no checkpoint in it.
    pub(super) fn start_again(&mut self, again: Again) {
        if let Err(cause) = self.prepare_again(again) {
            return self.tell(Event::SpawnFailed { reason: super::chain(&cause) });
        }
        self.give_up();
        (self.now.child, self.now.alarm, self.now.diagnosis, self.now.numbers) = (None, None, None, None);
        self.now.attempt.log_from = self.now.parsed.clone();
        (self.killing, self.nobody_left) = (None, None);
        self.now.oom_kills = Some(OomKills::sample());
        self.watchdog = Watchdog::new(self.spec.watchdog, self.spec.resumes_step);
        self.watchdog.output(self.clock.map(Stopwatch::elapsed).unwrap_or_default());
        // A successor must not take it for one that waits.
        self.journal.save(&self.now);
        // Their ends were told once and for all.
        if let Err(cause) = self.streams.reopen(&self.dir) {
            return self.tell(Event::SpawnFailed { reason: super::chain(&cause) });
        }
        self.start();
    }

    fn prepare_again(&mut self, again: Again) -> Result<(), RunError> {
        let original = self.dir.spec()?;
        self.renew_pipes()?;
        // Whoever took the port meanwhile may be why it ended.
        self.now.attempt.port = Some(net::free_port(&[original.master_port]).map_err(RunError::NoPort)?);
        if let Some(step) = again.step
            && let Some(folder) = TrainerFolder::find(&self.spec)?
        {
            folder.forget_requests()?;
            // The newest may have been cut off while it was written.
            if let Some(rewound) = folder.rewind_to(step)? {
                self.journal.record(&rewound);
            }
            self.now.attempt.resumes = Some(folder.name_in(&original.output_dir));
        }
        // The parts on other machines begin anew as well.
        self.now.nodes.clear();
        self.now.parts.clear();
        self.spec = original.for_attempt(&self.now.attempt);
        self.take_over_env();
        Ok(())
    }

    /// A supervisor that came later starts the trainer with the environment that it is to have.
    pub(super) fn take_over_env(&mut self) {
        if self.begin == Begin::Adopt {
            self.host.env = self.trainer_env();
            self.begin = Begin::Start;
        }
    }

    /// As the run was started with. The supervisor that had it is gone; ours is that of whoever adopted the run.
    fn trainer_env(&self) -> Env {
        let workspace = self.dir.workspace();
        let on_gpus = matches!(self.spec.devices, Devices::Gpus(_));
        let nvidia = if on_gpus { gpu::detect(&self.host) } else { None };
        let secrets = TrainConfig::load(&self.spec.source, &workspace, &self.host.env)
            .map_or_else(|_| vec![], |config| config.secrets());
        launch::env(&workspace, &self.spec.devices, &self.host.env, nvidia.as_ref(), &secrets)
    }
}
