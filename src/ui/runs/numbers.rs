//! What runs measured: one run's numbers by columns, several runs side by side.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::effective,
    metrics::{Part, Record},
    output::plain,
    run::{
        RunDir, RunError, RunId,
        comparison::{self, Account},
        measures::Growing,
    },
};

use super::{
    super::{App, failure::Answer},
    dir,
};

/// From which record on.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricsOf {
    #[schemars(with = "String")]
    id: RunId,
    #[serde(default)]
    from: usize,
}

/// The numbers of a run, by columns. What is no number is `null`.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Metrics {
    /// Ask from here on the next time.
    next: usize,
    step: Vec<u64>,
    /// Seconds since 1970.
    time: Vec<f64>,
    loss: Vec<Option<f64>>,
    smoothed: Vec<Option<f64>>,
    seconds_per_step: Vec<f64>,
    lr: Vec<Option<f64>>,
    grad_norm: Vec<Option<f64>>,
    epoch: Vec<Option<u32>>,
    /// What only TensorBoard's files tell, evaluations; when asked from 0 on.
    scalars: Vec<Scalars>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Scalars {
    tag: String,
    step: Vec<u64>,
    value: Vec<Option<f64>>,
}

/// Runs whose numbers are remembered: those that somebody looks at.
const KEPT: usize = 8;

/// What was read of the numbers of the runs that were asked for last.
#[derive(Debug, Default)]
pub struct Curves(Mutex<VecDeque<(RunId, Arc<Mutex<Growing>>)>>);

impl Curves {
    fn of(&self, dir: &RunDir) -> Arc<Mutex<Growing>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.iter().position(|(id, _)| id == dir.id()).and_then(|at| all.remove(at));
        let (id, curve) = match known {
            Some(known) => known,
            None => (dir.id().clone(), Arc::new(Mutex::new(Growing::of(dir)))),
        };
        all.push_back((id, Arc::clone(&curve)));
        while all.len() > KEPT {
            all.pop_front();
        }
        curve
    }
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|it| it.is_finite())
}

pub fn metrics(app: &App, asked: &MetricsOf) -> Answer<Metrics> {
    let curve = app.curves.of(&dir(&app.workspace, &asked.id)?);
    let mut curve = curve.lock().unwrap_or_else(PoisonError::into_inner);
    let Part { steps, smoothed, next } = curve.from(asked.from)?;
    let column = |of: fn(&Record) -> f64| steps.iter().map(|it| finite(of(it))).collect();
    let mut scalars: Vec<Scalars> = vec![];
    for scalar in curve.scalars().iter().filter(|_| asked.from == 0) {
        let at = scalars.iter().position(|it| it.tag == scalar.tag).unwrap_or_else(|| {
            scalars.push(Scalars { tag: scalar.tag.clone(), step: vec![], value: vec![] });
            scalars.len() - 1
        });
        scalars[at].step.push(scalar.step);
        scalars[at].value.push(finite(scalar.value));
    }
    Ok(Metrics {
        next,
        step: steps.iter().map(|it| it.step).collect(),
        time: steps.iter().map(|it| it.time).collect(),
        loss: column(|it| it.loss),
        smoothed: smoothed.iter().copied().map(finite).collect(),
        seconds_per_step: steps.iter().map(|it| it.seconds_per_step).collect(),
        lr: column(|it| it.lr),
        grad_norm: column(|it| it.grad_norm),
        epoch: steps.iter().map(|it| it.epoch).collect(),
        scalars,
    })
}

/// Ids, with commas between them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    ids: String,
}

/// Runs side by side.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Comparison {
    runs: Vec<Side>,
    differences: Vec<Differs>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Side {
    id: String,
    state: String,
    config: String,
    devices: String,
    seconds: f64,
    steps: Option<u64>,
    last_loss: Option<f64>,
    average_loss: Option<f64>,
    best_average_loss: Option<f64>,
    best_step: Option<u64>,
    seconds_per_step: Option<f64>,
}

/// A key that does not mean the same in all of them.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Differs {
    key: String,
    /// As TOML, one for each run.
    values: Vec<Option<String>>,
}

pub fn compare(app: &App, asked: &Compared) -> Answer<Comparison> {
    let ids = asked.ids.split(',').filter(|it| !it.is_empty());
    let ids = ids.map(str::parse::<RunId>).collect::<Result<Vec<_>, _>>().map_err(RunError::from)?;
    let account = |id: &RunId| Ok(Account::of(&dir(&app.workspace, id)?, &app.host.env)?);
    let accounts = ids.iter().map(account).collect::<Answer<Vec<_>>>()?;
    let side = |it: &Account| Side {
        id: it.run.to_string(),
        state: it.outcome.as_ref().map_or_else(|| it.state.clone(), |it| it.word().to_owned()),
        config: plain::name(&it.config),
        devices: it.devices.clone(),
        seconds: it.seconds,
        steps: it.summary.steps,
        last_loss: it.summary.last_loss.and_then(finite),
        average_loss: it.summary.average_loss.and_then(finite),
        best_average_loss: it.summary.best_average_loss.and_then(finite),
        best_step: it.summary.best_step,
        seconds_per_step: it.summary.seconds_per_step.and_then(finite),
    };
    let differences = comparison::differences(&accounts).into_iter().map(|it| Differs {
        key: it.key,
        values: it.values.iter().map(|value| value.as_ref().map(effective::toml)).collect(),
    });
    Ok(Comparison { runs: accounts.iter().map(side).collect(), differences: differences.collect() })
}
