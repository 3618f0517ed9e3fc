//! What is wrong with a run that goes on: the watchdog is told what happens, and what it says is made known.

use std::time::Duration;

use crate::{
    output::size,
    platform::{
        clock::{self, Stopwatch},
        gpu::Sampler,
        procfs::{self, ProcessId},
    },
    run::{
        devices::Devices,
        evidence::{Phase, Sight},
        gpus::GpuWatch,
        journal::Record,
        notify::{self, About, Notice},
        outcome::Outcome,
        sight::Told,
        state::{Event, RunState},
        watchdog::{Activity, Alarm, Since},
    },
};

use super::Supervisor;

/// Between two looks at what the processes do, while it seems that they do nothing.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Of one processor: what waiting for something costs.
const IDLE: f64 = 0.05;

/// What the processes of the run had done when they were looked at last.
#[derive(Debug, Default)]
pub(super) struct Pulse {
    looked: Option<Duration>,
    computed: Duration,
    processes: Vec<ProcessId>,
    gpus: Option<GpuWatch>,
}

impl Supervisor {
    /// Tells the watchdog what was printed.
    pub(super) fn heard(&mut self, told: &[Told]) {
        let Some(at) = self.clock.map(Stopwatch::elapsed) else { return };
        let mut recovered = self.watchdog.output(at);
        for told in told {
            if matches!(told.sight(), Some(Sight::Saving | Sight::Evaluating)) {
                self.watchdog.busy();
            }
            if let Some(step) = told.step() {
                recovered |= self.now.alarm.is_some_and(|it| it.is_over(step.loss));
                let took = Duration::try_from_secs_f64(step.seconds_per_step).unwrap_or_default();
                self.watchdog.step(at, step.step, step.loss, took);
            }
        }
        if recovered {
            self.recovered();
        }
    }

    /// What was missed has come; unless the run is being ended: what it says then is about its end.
    fn recovered(&mut self) {
        if matches!(self.now.state, RunState::Running(_)) && self.now.alarm.take().is_some() {
            self.announce(&Record::Recovered);
        }
    }

    /// Asks the watchdog, once a second.
    pub(super) fn watch(&mut self) {
        self.watch_gpus();
        let Some(at) = self.clock.map(Stopwatch::elapsed) else { return };
        let RunState::Running(running) = &self.now.state else { return };
        let phase = running.evidence.phase.clone();
        let activity = if self.watchdog.is_suspicious(at) { self.pulse(at) } else { None };
        for alarm in self.watchdog.check(at, &phase, activity) {
            self.now.alarm = Some(alarm);
            self.now.alarm_since = Some(Since { at: clock::now(), step: self.now.step() });
            self.announce(&Record::Alarm { alarm, message: self.spec.watchdog.tell(alarm) });
            if let Some(concern) = self.watchdog.concern(alarm) {
                self.tell(Event::Concerned(concern));
            }
        }
        if matches!(self.now.alarm, Some(Alarm::Slower { .. })) && !self.watchdog.is_slow() {
            self.recovered();
        }
    }

    /// Has what its GPUs do kept, while it may compute on them.
    fn watch_gpus(&mut self) {
        let computes = match self.now.state {
            RunState::Starting | RunState::Running(_) | RunState::Stopping(_) => true,
            RunState::Queued | RunState::Waiting(_) | RunState::Ended(_) => false,
        };
        match (computes, &self.pulse.gpus) {
            (true, None) => self.pulse.gpus = GpuWatch::begin(&self.host, &self.dir, &self.spec.devices),
            (false, Some(_)) => self.pulse.gpus = None,
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Puts it on record, and tells whoever wants to hear of such things.
    pub(super) fn announce(&mut self, record: &Record) {
        self.journal.record(record);
        self.tell_the_world(record);
    }

    /// Starts the telling of what a person should hear of.
    fn tell_the_world(&mut self, record: &Record) {
        let (event, message) = match record {
            Record::Alarm { message, .. } => (About::Alarm, message.clone()),
            Record::Recovered => (About::Recovered, "it goes on".to_owned()),
            Record::Restarting { number, after, .. } => (
                About::Restarting,
                format!("it is tried again in {} (restart {number})", size::whole(*after)),
            ),
            Record::Ended { outcome } => (About::Ended, ended(outcome, self.cause())),
            _ => return,
        };
        let notice = Notice {
            event,
            run: self.spec.id.clone(),
            message: format!("{}: {message}", self.spec.id),
            state: self.now.state.word().to_owned(),
            cause: self.cause().map(str::to_owned),
            step: self.now.last_step.map(|it| it.step),
            loss: self.now.last_step.and_then(|it| it.loss),
            folder: self.dir.path().to_string_lossy().into_owned(),
        };
        // Nobody is told where it cannot be done; what happened is on disk all the same.
        if let Ok(Some(helper)) = notify::spawn(&self.host, &self.dir, &notice) {
            self.marks.helpers.insert(helper);
        }
    }

    /// Why the last attempt failed, in one sentence.
    fn cause(&self) -> Option<&str> {
        self.now.diagnosis.as_ref().filter(|it| it.is_known()).map(|it| &*it.cause)
    }

    /// What the run's processes and GPUs have done since the last look; `None` at the first, and between looks.
    fn pulse(&mut self, at: Duration) -> Option<Activity> {
        let since = self.pulse.looked.map(|looked| at.saturating_sub(looked));
        let every = LOOK_EVERY.min(self.spec.watchdog.stall_after / 4);
        if since.is_some_and(|since| since < every) {
            return None;
        }
        // Not found anew each time: a process that came is one that does something, and its parent with it.
        if self.pulse.processes.is_empty() || self.pulse.processes.iter().any(|it| !it.is_alive()) {
            self.pulse.processes = self.marks.find().into_iter().map(|it| it.id).collect();
        }
        let computed = procfs::processor_time(&self.pulse.processes);
        let before = std::mem::replace(&mut self.pulse.computed, computed);
        self.pulse.looked = Some(at);
        let since = since?;
        let used = computed.saturating_sub(before).as_secs_f64() / since.as_secs_f64();
        let dead_child = matches!(&self.now.state, RunState::Running(it) if it.evidence.phase == Phase::Caching)
            && procfs::has_dead_child(&self.pulse.processes);
        Some(Activity { idle: used < IDLE && !self.gpus_compute(), dead_child })
    }

    /// One of the run's GPUs is used. Asked only when the processors say that nothing happens: it loads the driver.
    fn gpus_compute(&self) -> bool {
        let Devices::Gpus(ids) = &self.spec.devices else { return false };
        let samples = Sampler::new(&self.host).sample();
        samples
            .iter()
            .any(|it| ids.contains(&it.index) && it.utilisation_percent.is_some_and(|used| used > 1))
    }
}

/// How it ended and why, on one line.
fn ended(outcome: &Outcome, cause: Option<&str>) -> String {
    let sentence = format!("the training {}", outcome.sentence());
    // Such an outcome says the cause itself.
    match cause.filter(|_| !matches!(outcome, Outcome::OutOfMemory { .. })) {
        Some(cause) => format!("{sentence}: {cause}"),
        None => sentence,
    }
}
