//! Runs side by side: what each was, what it came to, and what was set otherwise.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::effective::{self, Setting},
    diagnosis::Diagnosis,
    metrics::{GpuHistory, GpuSummary},
    platform::{Env, clock, fs},
};

use super::{
    RunError,
    checkpoints::Contents,
    dir::RunDir,
    id::RunId,
    journal::{self, Snapshot},
    lineage::Lineage,
    measures::{Measures, Summary},
    nodes::{Ended, Node, NodeState},
    notify,
    outcome::Outcome,
    restart::Refusal,
    spec::Spec,
    state::RunState,
    watchdog::Alarm,
};

/// All that there is to tell of one run.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "run")]
pub struct Account {
    pub run: RunId,
    /// One word.
    pub state: String,
    pub outcome: Option<Outcome>,
    /// What is wrong with it while it goes on, as it is by now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<Alarm>,
    pub diagnosis: Option<Diagnosis>,
    /// The file that the user named.
    #[serde(serialize_with = "crate::output::lossy")]
    pub config: PathBuf,
    pub devices: String,
    /// Of a run on several: all of them, this one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<Machine>,
    /// The run of another machine that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part_of: Option<PartOf>,
    pub started: Timestamp,
    /// It does not wait in the queue, and was not taken out of it.
    pub began: bool,
    /// From its start to its end, or until now.
    pub seconds: f64,
    /// `RUN@STEP`.
    pub goes_on_from: Option<String>,
    /// The runs that went on in its folder, the first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub continued_by: Vec<RunId>,
    /// Why some who were to be told of it were not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_told: Vec<String>,
    /// What supervisors of it said that ended by a bug of dpgui.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub panics: Vec<String>,
    /// Tries after the first one.
    pub restarts: u32,
    /// Why it was not tried again, though the user wishes for restarts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_restarted: Option<Refusal>,
    #[serde(flatten)]
    pub summary: Summary,
    /// What each of its GPUs did, as far as NVML told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<GpuSummary>,
    #[serde(flatten)]
    pub contents: Contents,
    #[serde(skip)]
    pub measures: Measures,
    #[serde(skip)]
    settings: Vec<Setting>,
}

/// One of several machines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Machine {
    pub host: String,
    pub slots: u32,
    /// Its part, as it is called there; `None` at the head, and where nothing is known of it.
    pub run: Option<RunId>,
    /// How its part ended, after "the training", once that is known.
    pub end: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartOf {
    pub run: RunId,
    pub host: String,
}

impl Machine {
    /// Those of a head, with what it knows of the others.
    fn all(spec: &Spec, now: Option<&Snapshot>) -> Vec<Self> {
        let Some(part) = spec.part.as_ref().filter(|it| it.is_head()) else { return vec![] };
        let state = |number| now.and_then(|it| it.nodes.get(&number));
        let machine = |(node, number): (&Node, u32)| Self {
            host: node.host.clone(),
            slots: node.slots,
            run: now.and_then(|it| it.parts.get(&number)).cloned(),
            end: state(number).and_then(NodeState::ended).map(Ended::sentence),
        };
        part.nodes.iter().zip(0..).map(machine).collect()
    }
}

impl PartOf {
    fn of(spec: &Spec) -> Option<Self> {
        let part = spec.part.as_ref()?;
        Some(Self { run: part.of.as_ref()?.run.clone(), host: part.master().to_owned() })
    }
}

/// A key that does not mean the same in all runs.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename = "difference")]
pub struct Difference {
    /// With its table: `optimizer.lr`.
    pub key: String,
    /// In the order of the runs; `None` where it is not set and has no default.
    pub values: Vec<Option<serde_json::Value>>,
}

impl Account {
    /// # Errors
    /// When the files of the run cannot be read.
    pub fn of(dir: &RunDir, env: &Env) -> Result<Self, RunError> {
        let spec = dir.spec()?;
        let snapshot = dir.snapshot()?;
        let measures = Measures::of(dir)?;
        let lineage = Lineage::of(dir, &spec)?;
        let contents = lineage.contents()?;
        let state = snapshot.as_ref().map_or(RunState::Starting, |it| it.state.clone());
        let updated = snapshot.as_ref().map_or(spec.created, |it| it.updated);
        let until = if state.outcome().is_some() { updated } else { clock::now() };
        // What it was trained with, whatever the user's file says by now.
        let settings = effective::of_file(&spec.config, &dir.workspace(), env);
        Ok(Self {
            run: dir.id().clone(),
            not_told: notify::not_told(dir),
            panics: fs::read(&dir.events()).map(|it| journal::panics(&it)).unwrap_or_default(),
            state: snapshot.as_ref().map_or_else(|| state.word(), |it| it.word()).to_owned(),
            outcome: state.outcome().cloned(),
            restarts: snapshot.as_ref().map_or(0, |it| it.attempt.number),
            not_restarted: snapshot.as_ref().and_then(|it| it.not_restarted),
            goes_on_from: lineage.before.zip(spec.resumes_step).map(|(run, step)| format!("{run}@{step}")),
            continued_by: lineage.after,
            alarm: snapshot.as_ref().and_then(Snapshot::alarm_now),
            diagnosis: snapshot.as_ref().and_then(|it| it.diagnosis.clone()),
            machines: Machine::all(&spec, snapshot.as_ref()),
            part_of: PartOf::of(&spec),
            devices: spec.place(),
            config: spec.source,
            started: spec.created,
            began: state.began(),
            seconds: until.duration_since(spec.created).as_secs_f64().max(0.0),
            summary: measures.summary(),
            gpus: GpuHistory::read(&dir.gpus())?.map(|it| it.summaries()).unwrap_or_default(),
            contents,
            measures,
            settings: settings.map(|it| it.settings).unwrap_or_default(),
        })
    }
}

/// What was set otherwise, by meaning, in the order of the first run's file.
pub fn differences(accounts: &[Account]) -> Vec<Difference> {
    let all: Vec<_> = accounts.iter().map(|it| by_key(&it.settings)).collect();
    let mut keys: Vec<&String> = vec![];
    for (settings, account) in all.iter().zip(accounts) {
        for name in account.settings.iter().map(name) {
            if let Some((key, _)) = settings.get_key_value(&name)
                && !keys.contains(&key)
            {
                keys.push(key);
            }
        }
    }
    let of = |key: &String| Difference {
        key: key.clone(),
        values: all.iter().map(|it| it.get(key).map(|value| (*value).clone())).collect(),
    };
    let differ = |it: &Difference| it.values.iter().any(|value| *value != it.values[0]);
    keys.into_iter().map(of).filter(differ).collect()
}

/// The dataset's file is each run's own copy: what is in it counts.
fn by_key(settings: &[Setting]) -> BTreeMap<String, &serde_json::Value> {
    let counts = |it: &&Setting| !(it.section.is_empty() && it.key == "dataset");
    settings.iter().filter(counts).map(|it| (name(it), &it.value)).collect()
}

fn name(setting: &Setting) -> String {
    match setting.section.as_str() {
        "" => setting.key.clone(),
        section => format!("{section}.{}", setting.key),
    }
}
