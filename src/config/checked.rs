//! A look at files, and what was read for it: what is mended has to be what was looked at.

use std::path::Path;

use crate::{platform::Env, workspace::Workspace};

use super::{Base, ConfigError, Finding, Position, TrainConfig, locate, rules, source::Source, texts::Texts};

/// What is wrong with a file and those that it names.
#[derive(Default)]
pub struct Checked {
    pub findings: Vec<Finding>,
    /// The files that could be read.
    pub(super) sources: Vec<Source>,
}

impl Checked {
    /// The key that a finding is about, `model.dtype` or `directory[0].path`: as the rule says, or by its place.
    pub fn key(&self, finding: &Finding) -> Option<String> {
        // What is wrong with the whole file points at its start, whatever is there.
        let by_place = || {
            let source = self.sources.iter().find(|it| it.path() == finding.file)?;
            (finding.position != Position::START).then(|| locate::key_at(source, finding.position))?
        };
        finding.key.clone().or_else(by_place)
    }

    pub(super) fn has_read(&self, path: &Path) -> bool {
        self.sources.iter().any(|it| it.path() == path)
    }

    pub(super) fn add(&mut self, more: Self) {
        self.findings.extend(more.findings);
        self.sources.extend(more.sources);
    }
}

/// Everything that is wrong with the file at `path`, which must be absolute: a training file with the dataset files
/// that it names, or a dataset file alone.
pub fn check(path: &Path, workspace: &Workspace, env: &Env, ranks: Option<u32>) -> Checked {
    check_of(path, &Texts::default(), &Base::of(workspace, env), ranks)
}

pub(super) fn check_of(path: &Path, texts: &Texts, base: &Base, ranks: Option<u32>) -> Checked {
    let unreadable = |cause| Checked { findings: rules::unreadable_itself(&cause, path), sources: vec![] };
    match TrainConfig::load_of(path, texts, base.clone()) {
        Ok(config) => Checked { findings: config.findings(ranks), sources: config.into_sources() },
        Err(ConfigError::IsDataset { .. }) => match texts.source(path) {
            Ok(source) => {
                let findings = rules::of_dataset(&source, base, None, &[]);
                Checked { findings, sources: vec![source] }
            }
            Err(cause) => unreadable(cause),
        },
        Err(cause) => unreadable(cause),
    }
}
