//! A look at files, and what was read for it: what is mended has to be what was looked at.

use std::path::Path;

use crate::{platform::Env, workspace::Workspace};

use super::{Base, ConfigError, Finding, TrainConfig, rules, source::Source};

/// What is wrong with a file and those that it names.
#[derive(Default)]
pub struct Checked {
    pub findings: Vec<Finding>,
    /// The files that could be read.
    pub(super) sources: Vec<Source>,
}

/// Everything that is wrong with the file at `path`, which must be absolute: a training file with the dataset files
/// that it names, or a dataset file alone.
pub fn check(path: &Path, workspace: &Workspace, env: &Env, ranks: Option<u32>) -> Checked {
    let unreadable = |cause| Checked { findings: rules::unreadable_itself(&cause, path), sources: vec![] };
    match TrainConfig::load(path, workspace, env) {
        Ok(config) => Checked { findings: config.findings(ranks), sources: config.into_sources() },
        Err(ConfigError::IsDataset { .. }) => match Source::read(path) {
            Ok(source) => {
                let findings = rules::of_dataset(&source, &Base::of(workspace, env), None, &[]);
                Checked { findings, sources: vec![source] }
            }
            Err(cause) => unreadable(cause),
        },
        Err(cause) => unreadable(cause),
    }
}
