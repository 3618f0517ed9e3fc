//! All that there is to see of a run at one moment, as values: whoever shows it, shows these.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::{TrainConfig, derived},
    logs::{self, Item, Mark, View, reader},
    metrics::{
        Reader, Record,
        figures::{self, Average},
    },
    output::size,
    platform::{
        Host,
        clock::{self, Stopwatch},
        fs::{self, FsError},
        gpu::{GpuSample, Sampler},
        memory::{self, Memory},
    },
};

use super::{
    RunError, adopt,
    devices::Devices,
    dir::RunDir,
    folder::TrainerFolder,
    journal::Snapshot,
    notify::Untold,
    outcome::Outcome,
    queue,
    spec::Spec,
    state::{Again, RunState, Save},
    status::Status,
    watchdog::Alarm,
};

/// Lines of the log that are kept for the view.
const LINES: usize = 200;

/// Between two looks at what the machine is doing.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Between two looks at how large a checkpoint is: it has many files.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, Default, Serialize)]
pub struct Scene {
    pub run: String,
    /// One word: `training`, `stopping`.
    pub doing: String,
    /// What a stop is waiting for.
    pub stopping: Option<&'static str>,
    /// How far a checkpoint is that somebody asked for.
    pub saving: Option<&'static str>,
    /// What comes before it begins, or begins again.
    pub waits_for: Option<String>,
    /// Of a part of another machine's run: which, and where.
    pub part_of: Option<String>,
    /// What is wrong, while it is.
    pub alarm: Option<Alarm>,
    /// Why the last one who was to be told of something was not.
    pub not_told: Option<String>,
    pub outcome: Option<Outcome>,
    pub elapsed: Duration,
    pub epoch: Option<u64>,
    pub epochs: Option<u64>,
    pub last: Option<Record>,
    pub total_steps: Option<u64>,
    /// Of the recent steps, in seconds.
    pub pace: Option<f64>,
    pub left: Option<Duration>,
    pub losses: Vec<f64>,
    /// The same, smoothed: [`figures::SMOOTHING`].
    pub smoothed: Vec<f64>,
    pub gpus: Vec<GpuSample>,
    pub memory: Option<Memory>,
    pub disk: Option<Room>,
    /// The last lines of the log, harmless.
    pub lines: Vec<String>,
}

/// Room where the trainer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Room {
    pub free: u64,
    /// Bytes of the next checkpoint: as many as the last one has or, before there is one, as the configuration says.
    pub checkpoint: Option<u64>,
}

/// One reader's view of one run, brought up to date by [`Self::refresh`]. It only reads files.
#[derive(Debug)]
pub struct Look {
    host: Host,
    dir: RunDir,
    spec: Spec,
    metrics: Reader,
    records: Vec<Record>,
    average: Average,
    log: logs::Reader,
    view: View,
    status: Status,
    sampler: Option<Sampler>,
    sampled: Option<Stopwatch>,
    measured: Option<Stopwatch>,
    /// Of a checkpoint, by the configuration.
    estimate: Option<u64>,
    checkpoint: Option<u64>,
    untold: Untold,
    scene: Scene,
}

/// `the next try in 12 s, from step 200`
fn next_try(again: Again, since: Timestamp) -> String {
    let waited = clock::now().duration_since(since).try_into().unwrap_or_default();
    let from = again.step.map(|step| format!(", from step {step}")).unwrap_or_default();
    let left = again.after.saturating_sub(waited).as_secs();
    format!("the next try in {}{from}", size::duration(Duration::from_secs(left)))
}

impl Look {
    pub fn new(host: &Host, dir: &RunDir) -> Result<Self, RunError> {
        let spec = dir.spec()?;
        let log = dir.log();
        let starts = reader::last_lines(&log, LINES)?;
        let config = TrainConfig::load(&spec.config, &dir.workspace(), &host.env).ok();
        let estimate = config.as_ref().map(|it| derived::derive(it, Some(spec.devices.ranks()), None));
        let scene = Scene {
            run: dir.id().to_string(),
            epochs: config.and_then(|it| it.training.epochs),
            part_of: spec.part_of(),
            ..Scene::default()
        };
        Ok(Self {
            host: host.clone(),
            dir: dir.clone(),
            metrics: Reader::new(&dir.metrics()),
            records: vec![],
            average: Average::default(),
            view: View::text(starts.len()),
            log: logs::Reader::new(&log, &starts, reader::PLAIN).growing(),
            status: Status::new(spec.total_steps()),
            sampler: matches!(spec.devices, Devices::Gpus(_)).then(|| Sampler::new(host)),
            sampled: None,
            measured: None,
            estimate: estimate.and_then(|it| it.checkpoint_bytes),
            checkpoint: None,
            untold: Untold::default(),
            spec,
            scene,
        })
    }

    pub const fn scene(&self) -> &Scene {
        &self.scene
    }

    /// Finds out what a queued run waits for, for those who show it: it is a look at the locks of all.
    pub fn find_what_it_waits_for(&mut self) {
        if self.scene.doing == RunState::Queued.word() {
            self.scene.waits_for = queue::waits_for(&self.dir);
        }
    }

    /// The step of the newest checkpoint, looked for now.
    pub fn newest_checkpoint(&self) -> Option<u64> {
        let folder = TrainerFolder::find(&self.spec).ok().flatten()?;
        folder.checkpoint().ok().flatten().map(|it| it.step)
    }

    /// Looks after the run, as every reader does, and at all that is new.
    pub fn refresh(&mut self) -> Result<(), RunError> {
        adopt::adopt(&self.host, &self.dir)?;
        let snapshot = self.dir.snapshot()?;
        // The end before the log: what was written before the end is never missed.
        self.read_log()?;
        self.read_metrics()?;
        self.sample();
        let updated = snapshot.as_ref().map_or_else(clock::now, |it| it.updated);
        if let Some(why) = self.untold.news(&self.dir).pop() {
            self.scene.not_told = Some(why);
        }
        self.scene.alarm = snapshot.as_ref().and_then(Snapshot::alarm_now);
        let is_part = snapshot.as_ref().filter(|it| it.head.is_some());
        let head = is_part.map(|it| it.word().to_owned());
        let state = snapshot.map_or(RunState::Starting, |it| it.state);
        self.take_state(&state, updated);
        if let Some(head) = head {
            head.clone_into(&mut self.scene.doing);
        }
        Ok(())
    }

    fn take_state(&mut self, state: &RunState, updated: Timestamp) {
        let scene = &mut self.scene;
        scene.outcome = state.outcome().cloned();
        scene.stopping = match state {
            RunState::Stopping(stopping) => Some(stopping.degree.sentence()),
            RunState::Queued
            | RunState::Starting
            | RunState::Running(_)
            | RunState::Waiting(_)
            | RunState::Ended(_) => None,
        };
        scene.saving = match state {
            RunState::Running(running) => running.save.map(Save::sentence),
            RunState::Queued
            | RunState::Starting
            | RunState::Stopping(_)
            | RunState::Waiting(_)
            | RunState::Ended(_) => None,
        };
        scene.waits_for = match state {
            RunState::Waiting(waiting) => Some(next_try(waiting.again, updated)),
            RunState::Queued
            | RunState::Starting
            | RunState::Running(_)
            | RunState::Stopping(_)
            | RunState::Ended(_) => None,
        };
        // The log says more than the state while it trains: saving, evaluating.
        scene.doing = match state {
            RunState::Running(_) => self.status.doing.to_owned(),
            RunState::Queued
            | RunState::Starting
            | RunState::Stopping(_)
            | RunState::Waiting(_)
            | RunState::Ended(_) => state.word().to_owned(),
        };
        let until = if scene.outcome.is_some() { updated } else { clock::now() };
        scene.elapsed = until.duration_since(self.spec.created).try_into().unwrap_or_default();
    }

    fn read_log(&mut self) -> Result<(), FsError> {
        let (view, status, lines) = (self.view, &mut self.status, &mut self.scene.lines);
        let mut take = |item: Item<'_>| {
            let Item::Line(entry) = item else { return };
            if let Some(mark) = Mark::parse(entry.line.text) {
                status.take(&mark);
            }
            lines.push(view.line(&entry));
            lines.drain(..lines.len().saturating_sub(LINES));
        };
        while self.log.next(|| true, &mut take)? {}
        Ok(())
    }

    fn read_metrics(&mut self) -> Result<(), RunError> {
        for record in self.metrics.read()? {
            self.scene.losses.push(record.loss);
            self.scene.smoothed.push(self.average.push(record.loss).unwrap_or(f64::NAN));
            self.records.push(record);
        }
        let (scene, records) = (&mut self.scene, &self.records);
        scene.last = records.last().copied();
        scene.epoch = self.status.epoch.or(scene.last.and_then(|it| it.epoch.map(u64::from)));
        let per_epoch = figures::epoch_length(records).or(self.spec.epoch_steps);
        scene.total_steps = figures::total(scene.epochs, per_epoch, self.spec.max_steps);
        scene.pace = figures::pace(records);
        let far = scene.last.zip(scene.total_steps).zip(scene.pace);
        scene.left = far.and_then(|((last, total), pace)| figures::left(last.step, total, pace));
        Ok(())
    }

    fn sample(&mut self) {
        if self.sampled.is_none_or(|since| since.elapsed() >= SAMPLE_EVERY) {
            self.sampled = Some(Stopwatch::start());
            let gpus = self.sampler.as_ref().map(Sampler::sample).unwrap_or_default();
            self.scene.gpus = self.spec.devices.own(gpus);
            self.scene.memory = memory::sample();
            let free = fs::available_bytes(&self.spec.output_dir).ok();
            let checkpoint = self.checkpoint.or(self.estimate);
            self.scene.disk = free.map(|free| Room { free, checkpoint });
        }
        if self.measured.is_none_or(|since| since.elapsed() >= MEASURE_EVERY) {
            self.measured = Some(Stopwatch::start());
            let folder = TrainerFolder::find(&self.spec).ok().flatten();
            let checkpoint = folder.and_then(|folder| folder.checkpoint().ok().flatten());
            self.checkpoint = checkpoint.map(|it| fs::tree_size(&it.path));
        }
    }
}
