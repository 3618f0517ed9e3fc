//! What the GPUs of a run did, from its start to its end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    metrics::{GpuHistory, GpuRecord},
    run::RunId,
};

use super::{
    super::{App, failure::Answer},
    dir,
};

/// Looks at each GPU in one answer: more than a chart has columns.
const SHOWN: usize = 720;

/// Of which run, and how finely.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GpusOf {
    #[schemars(with = "String")]
    id: RunId,
    /// Looks at each GPU at most; 720 if nothing is said.
    points: Option<usize>,
}

/// What the GPUs of a run did, each by columns. Where the run used none, or no driver told anything, there are none.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunGpus {
    /// Between two looks; `null` where there are none.
    every_seconds: Option<u64>,
    gpus: Vec<GpuColumns>,
}

/// One GPU by columns. What it does not measure is `null`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GpuColumns {
    index: u32,
    /// Seconds since 1970.
    time: Vec<f64>,
    utilisation_percent: Vec<Option<u32>>,
    /// Bytes, the most of each look.
    memory_used: Vec<Option<u64>>,
    /// Bytes.
    memory_total: Option<u64>,
    power_w: Vec<Option<f64>>,
    temperature_c: Vec<Option<u32>>,
}

/// What the GPUs of a run did.
pub fn gpus(app: &App, asked: &GpusOf) -> Answer<RunGpus> {
    let path = dir(&app.workspace, &asked.id)?.gpus();
    let Some(history) = GpuHistory::read(&path)? else {
        return Ok(RunGpus { every_seconds: None, gpus: vec![] });
    };
    let history = history.with_at_most(asked.points.unwrap_or(SHOWN));
    let gpus = history.gpus().into_iter().map(|index| {
        let records: Vec<&GpuRecord> = history.records.iter().filter(|it| it.gpu == index).collect();
        GpuColumns::of(index, &records)
    });
    Ok(RunGpus { every_seconds: Some(history.every.as_secs()), gpus: gpus.collect() })
}

impl GpuColumns {
    fn of(index: u32, records: &[&GpuRecord]) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are far below 2^52")]
        let seconds = |milliseconds: u64| milliseconds as f64 / 1000.0;
        let watts = |milliwatts: u32| f64::from(milliwatts) / 1000.0;
        Self {
            index,
            time: records.iter().map(|it| seconds(it.time)).collect(),
            utilisation_percent: records.iter().map(|it| it.utilisation_percent).collect(),
            memory_used: records.iter().map(|it| it.memory_used).collect(),
            memory_total: records.iter().rev().find_map(|it| it.memory_total),
            power_w: records.iter().map(|it| it.power_milliwatts.map(watts)).collect(),
            temperature_c: records.iter().map(|it| it.temperature_c).collect(),
        }
    }
}
