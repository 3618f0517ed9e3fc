//! What has to hold between keys, files and the machine: the facts; the judgement is elsewhere.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFact {
    /// Stable, so that scripts can look for it.
    pub id: String,
    pub rule: String,
    /// Where the trainer relies on it.
    pub source: String,
    pub if_broken: String,
    pub when: When,
    pub needs: Needs,
    pub severity: Effect,
}

/// When a broken rule is noticed, in the order of a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    Startup,
    Init,
    Caching,
    ModelLoad,
    Optimizer,
    Resume,
    FirstBatch,
    FirstStep,
    Runtime,
    Eval,
    EpochEnd,
    Save,
}

/// What one has to know to judge a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needs {
    Config,
    Filesystem,
    Env,
    Media,
    FileHeader,
    GpuCount,
}

/// What a broken rule does to the training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// It ends with an error.
    Error,
    /// It goes on, and nothing says that it does something else.
    Silent,
    Hang,
    /// It ends as if all had gone well.
    Exit0,
}
