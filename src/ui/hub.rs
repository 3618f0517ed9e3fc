//! What is going on, looked at once for everybody who watches: the runs, the queue, the jobs, the machine.
//!
//! One thread looks each second, and at once when somebody has changed something. Who watches gets a topic when it has
//! changed; a slow watcher gets the newest and none of those between.

use std::{
    collections::VecDeque,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    platform::{
        Host, clock,
        gpu::{GpuSample, Sampler},
        memory,
    },
    run::adopt,
    workspace::Workspace,
};

use super::{
    failure::ApiError,
    jobs::{Job, Jobs},
    machine::{GpuNumbers, Room, Sample},
    queue::QueueState,
    runs::{Rows, RunRow},
};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Samples that are kept: an hour.
const KEPT: usize = 3600;

/// Samples that are handed out at once: more than a chart has columns.
const SHOWN: usize = 720;

/// What a watcher is told.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum News {
    Server {
        version: String,
    },
    Runs {
        runs: Vec<RunRow>,
    },
    Queue {
        queue: QueueState,
    },
    Jobs {
        jobs: Vec<Job>,
    },
    Sample {
        sample: Sample,
    },
    /// What the page said was not understood.
    Refused {
        error: ApiError,
    },
    JobEvents {
        job: String,
        from: usize,
        events: Vec<serde_json::Value>,
    },
}

/// The newest of each topic.
#[derive(Debug)]
pub struct Hub {
    runs: watch::Sender<Vec<RunRow>>,
    queue: watch::Sender<QueueState>,
    jobs: watch::Sender<Vec<Job>>,
    sample: watch::Sender<Option<Sample>>,
    history: Mutex<VecDeque<Sample>>,
    nudge: mpsc::SyncSender<()>,
}

/// One watcher's ends.
#[derive(Debug)]
pub struct Watcher {
    pub runs: watch::Receiver<Vec<RunRow>>,
    pub queue: watch::Receiver<QueueState>,
    pub jobs: watch::Receiver<Vec<Job>>,
    pub sample: watch::Receiver<Option<Sample>>,
}

/// The thread that looks.
#[derive(Debug)]
pub struct Observer {
    host: Host,
    workspace: Workspace,
    jobs: Jobs,
    nudged: mpsc::Receiver<()>,
}

impl Hub {
    pub fn new(host: &Host, workspace: &Workspace) -> (Self, Observer) {
        let (nudge, nudged) = mpsc::sync_channel(1);
        let hub = Self {
            runs: watch::Sender::default(),
            queue: watch::Sender::default(),
            jobs: watch::Sender::default(),
            sample: watch::Sender::default(),
            history: Mutex::default(),
            nudge,
        };
        let jobs = Jobs::of(workspace);
        (hub, Observer { host: host.clone(), workspace: workspace.clone(), jobs, nudged })
    }

    pub fn watch(&self) -> Watcher {
        Watcher {
            runs: self.runs.subscribe(),
            queue: self.queue.subscribe(),
            jobs: self.jobs.subscribe(),
            sample: self.sample.subscribe(),
        }
    }

    pub fn runs(&self) -> Vec<RunRow> {
        self.runs.borrow().clone()
    }

    /// Something was changed: look now.
    pub fn look(&self) {
        // One that is on its way already will see it.
        let _ = self.nudge.try_send(());
    }

    /// The last hour, the oldest first, thinned to what a chart can show.
    pub fn samples(&self) -> Vec<Sample> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let step = history.len().div_ceil(SHOWN).max(1);
        // The newest is always among them.
        let mut shown: Vec<Sample> = history.iter().rev().step_by(step).cloned().collect();
        shown.reverse();
        shown
    }
}

impl Observer {
    /// Looks until the hub is gone.
    pub fn run(self, hub: &Hub, is_over: impl Fn() -> bool) {
        let (mut rows, sampler) = (Rows::default(), Sampler::new(&self.host));
        while !is_over() {
            self.once(hub, &mut rows, &sampler);
            if self.nudged.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    fn once(&self, hub: &Hub, rows: &mut Rows, sampler: &Sampler) {
        // Whoever looks at runs looks after those whose supervisors were killed. What cannot be adopted shows as it is.
        let _ = adopt::adopt_all(&self.host, &self.workspace);
        tell(&hub.runs, rows.refresh(&self.host, &self.workspace));
        tell(&hub.queue, QueueState::of(&self.workspace));
        let jobs = self.jobs.refresh(&hub.jobs.borrow());
        tell(&hub.jobs, jobs.unwrap_or_default());
        let sample = self.sample(sampler.sample());
        let mut history = hub.history.lock().unwrap_or_else(PoisonError::into_inner);
        history.push_back(sample.clone());
        while history.len() > KEPT {
            history.pop_front();
        }
        drop(history);
        hub.sample.send_replace(Some(sample));
    }

    fn sample(&self, gpus: Vec<GpuSample>) -> Sample {
        Sample {
            time: clock::now(),
            memory: memory::sample().map(|it| Room { free: it.total - it.used, total: it.total }),
            disk: Room::of_disk(self.workspace.root()),
            gpus: gpus.into_iter().map(GpuNumbers::from).collect(),
        }
    }
}

fn tell<T: PartialEq>(topic: &watch::Sender<T>, new: T) {
    topic.send_if_modified(|old| {
        let changed = *old != new;
        *old = new;
        changed
    });
}
