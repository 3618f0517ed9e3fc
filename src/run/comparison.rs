//! Runs side by side: what each was, what it came to, and what was set otherwise.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::effective::{self, Setting},
    diagnosis::Diagnosis,
    platform::{Env, clock},
};

use super::{
    RunError,
    checkpoints::Contents,
    dir::RunDir,
    id::RunId,
    lineage::Lineage,
    measures::{Measures, Summary},
    outcome::Outcome,
    state::RunState,
};

/// All that there is to tell of one run.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "run")]
pub struct Account {
    pub run: RunId,
    /// One word.
    pub state: &'static str,
    pub outcome: Option<Outcome>,
    pub diagnosis: Option<Diagnosis>,
    /// The file that the user named.
    #[serde(serialize_with = "crate::output::lossy")]
    pub config: PathBuf,
    pub devices: String,
    pub started: Timestamp,
    /// From its start to its end, or until now.
    pub seconds: f64,
    /// `RUN@STEP`.
    pub goes_on_from: Option<String>,
    /// Tries after the first one.
    pub restarts: u32,
    #[serde(flatten)]
    pub summary: Summary,
    #[serde(flatten)]
    pub contents: Contents,
    #[serde(skip)]
    pub measures: Measures,
    #[serde(skip)]
    settings: Vec<Setting>,
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
            state: state.word(),
            outcome: state.outcome().cloned(),
            restarts: snapshot.as_ref().map_or(0, |it| it.attempt.number),
            diagnosis: snapshot.and_then(|it| it.diagnosis),
            goes_on_from: lineage.before.zip(spec.resumes_step).map(|(run, step)| format!("{run}@{step}")),
            config: spec.source,
            devices: spec.devices.to_string(),
            started: spec.created,
            seconds: until.duration_since(spec.created).as_secs_f64().max(0.0),
            summary: measures.summary(),
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
