//! The datasets of a run, looked at before it starts.

use std::path::PathBuf;

use serde::Serialize;

use crate::{
    config::{Purpose, Severity, TrainConfig},
    data::{
        self,
        model::{DEMO, DataModel},
    },
};

use super::{RunError, start::Site};

/// What a dataset comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "data")]
pub struct DataSummary {
    /// The training file that names the dataset.
    #[serde(skip)]
    pub config: PathBuf,
    pub dataset: PathBuf,
    pub files: usize,
    pub files_trained: usize,
    pub samples: u64,
    pub samples_trained: u64,
    pub steps: u64,
    /// All of it in a line.
    #[serde(skip)]
    pub text: String,
}

/// What a look at all datasets came to.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    pub summaries: Vec<DataSummary>,
    /// Steps of one epoch of the training.
    pub epoch_steps: Option<u64>,
}

/// Looks at all that will be trained or evaluated with.
///
/// # Errors
/// All that is wrong, if there is something that the trainer would give up on.
pub(super) fn check(site: Site<'_>, config: &TrainConfig, ranks: u32) -> Result<Looked, RunError> {
    let Some(model) = DataModel::of(config) else { return Ok(Looked::default()) };
    let here = data::Site { workspace: site.workspace, env: &site.host.env, output: site.output };
    let (mut looked, mut found) = (Looked::default(), vec![]);
    for (purpose, source) in config.datasets() {
        let survey = data::survey_for(config, (purpose, source), model.clone(), ranks, here);
        found.extend_from_slice(&survey.findings);
        if purpose == Purpose::Training {
            looked.epoch_steps = Some(survey.epoch.steps).filter(|steps| *steps > 0);
        }
        // Its trainer has no buckets to put anything into.
        if model.name == Some(DEMO) {
            continue;
        }
        let (files_trained, files) = survey.files();
        looked.summaries.push(DataSummary {
            config: config.path().to_owned(),
            dataset: source.path().to_owned(),
            files,
            files_trained,
            samples: survey.epoch.before,
            samples_trained: survey.epoch.kept,
            steps: survey.epoch.steps,
            text: survey.summary(),
        });
    }
    if found.iter().any(|it| it.severity == Severity::Error) {
        return Err(RunError::Findings(found));
    }
    Ok(looked)
}
