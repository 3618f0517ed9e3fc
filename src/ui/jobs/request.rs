//! What the page may start, typed: no endpoint takes the words of a command.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{run::RunId, workspace::Workspace};

use super::super::{App, configs, failure::Answer, runs};

/// A command of dpgui's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum JobRequest {
    /// What a setup would do.
    SetupPlan {},
    Setup {},
    Doctor {
        #[serde(default)]
        fix: bool,
        #[serde(default)]
        full: bool,
    },
    DataCheck {
        /// A name in `configs`.
        config: String,
        /// On how many it shall train; on all that there are, unless it is said.
        #[serde(default)]
        gpus: Option<std::num::NonZeroU32>,
    },
    Export {
        #[schemars(with = "String")]
        run: RunId,
        step: Option<u64>,
    },
    Stop {
        #[schemars(with = "String")]
        run: RunId,
        #[serde(default)]
        manner: StopManner,
    },
    Save {
        #[schemars(with = "String")]
        run: RunId,
    },
    Demo {},
}

/// How a run is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StopManner {
    /// It saves and leaves.
    #[default]
    Graceful,
    /// It ends in order, without a checkpoint.
    NoSave,
    /// Nobody waits for anything.
    Now,
}

impl JobRequest {
    /// The name of its kind in JSON.
    pub fn kind(&self) -> String {
        let value = serde_json::to_value(self).unwrap_or_default();
        value["kind"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn subject(&self) -> Option<String> {
        match self {
            Self::SetupPlan {} | Self::Setup {} | Self::Doctor { .. } | Self::Demo {} => None,
            Self::DataCheck { config, .. } => Some(config.clone()),
            Self::Export { run, .. } | Self::Stop { run, .. } | Self::Save { run } => Some(run.to_string()),
        }
    }

    /// The words of the command, each from what is known here or parsed.
    pub(super) fn words(&self) -> Vec<String> {
        let words = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        match self {
            Self::SetupPlan {} => words(&["setup", "--plan"]),
            Self::Setup {} => words(&["setup"]),
            Self::Doctor { fix, full } => {
                let options = [("--fix", *fix), ("--full", *full)];
                let given = options.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned());
                words(&["doctor", "--verbose"]).into_iter().chain(given).collect()
            }
            Self::DataCheck { config, gpus } => {
                let file = format!("configs/{config}");
                let gpus = gpus.map(|it| ["--gpus".to_owned(), it.to_string()]);
                let options = gpus.into_iter().flatten();
                words(&["data", "check", &file, "--list", "all"]).into_iter().chain(options).collect()
            }
            Self::Export { run, step } => {
                let run = run.to_string();
                let step = step.map(|it| ["--step".to_owned(), it.to_string()]);
                words(&["export", &run]).into_iter().chain(step.into_iter().flatten()).collect()
            }
            Self::Stop { run, manner } => {
                let manner = match manner {
                    StopManner::Graceful => None,
                    StopManner::NoSave => Some("--no-save".to_owned()),
                    StopManner::Now => Some("--now".to_owned()),
                };
                words(&["stop", &run.to_string()]).into_iter().chain(manner).collect()
            }
            Self::Save { run } => words(&["save", &run.to_string()]),
            Self::Demo {} => words(&["demo"]),
        }
    }

    /// What it would look at may be looked at from here.
    pub fn must_be_granted(&self, app: &App) -> Answer<()> {
        if let Self::DataCheck { config, .. } = self { configs::must_be_granted(app, config) } else { Ok(()) }
    }

    pub(super) fn check(&self, workspace: &Workspace) -> Answer<()> {
        match self {
            Self::DataCheck { config, .. } => configs::file(workspace, config).map(drop),
            Self::Export { run, .. } | Self::Stop { run, .. } | Self::Save { run } => {
                runs::dir(workspace, run).map(drop)
            }
            Self::SetupPlan {} | Self::Setup {} | Self::Doctor { .. } | Self::Demo {} => Ok(()),
        }
    }
}
