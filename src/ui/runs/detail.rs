//! One run in full.

use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    config::masked,
    diagnosis::Diagnosis,
    platform::fs,
    run::{
        RunError,
        checkpoints::{Checkpoint, Contents, Model},
        journal::Snapshot,
        lineage::Lineage,
        spec::Spec,
        state::RunState,
    },
};

use super::{
    super::{
        App,
        failure::{Answer, Failure},
        log::told_first,
    },
    OfRun, RunRow, dir,
    row::row,
};

/// One run in full.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunDetail {
    #[serde(flatten)]
    pub row: RunRow,
    pub folder: String,
    /// The configuration that the user named.
    pub source: String,
    pub output_dir: String,
    pub launcher: String,
    pub args: Vec<String>,
    /// The trainer's folder that it goes on in, as the trainer is told of it.
    pub resumes: Option<String>,
    /// The run that it goes on from, if that is still there.
    pub continues: Option<String>,
    /// The runs that went on in its folder, the first one first.
    pub continued_by: Vec<String>,
    /// What a stop waits for.
    pub stopping: Option<String>,
    pub streams: Vec<String>,
    pub restarts: u32,
    /// What is wrong with it while it goes on.
    pub alarm: Option<String>,
    pub checkpoints: Vec<Kept>,
    pub models: Vec<Kept>,
    pub full_diagnosis: Option<Cause>,
    /// Its own copies of the configuration, secrets hidden.
    pub files: Vec<TextFile>,
    pub may: May,
}

/// A checkpoint or a saved model.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Kept {
    pub name: String,
    /// Of a checkpoint.
    pub step: Option<u64>,
    pub path: String,
    pub written: Timestamp,
    pub bytes: u64,
    /// The trainer would go on from this one.
    pub is_latest: bool,
    /// Why it cannot be used.
    pub fault: Option<String>,
}

/// Why it failed.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Cause {
    pub cause: String,
    pub evidence: Vec<String>,
    pub advice: Vec<String>,
}

#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TextFile {
    pub name: String,
    pub text: String,
}

/// What can be done with the run now: `null`, or why not.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct May {
    pub stop: Option<String>,
    pub save: Option<String>,
    pub resume: Option<String>,
    pub export: Option<String>,
}

/// One run in full.
pub fn show(app: &App, asked: &OfRun) -> Answer<RunDetail> {
    let dir = dir(&app.workspace, &asked.id)?;
    let spec = dir.spec()?;
    let damaged = || Failure::not_found(RunError::Unknown { name: asked.id.to_string(), nearest: vec![] });
    let mut row = row(&dir).ok_or_else(damaged)?;
    if let Some(known) = app.hub.runs().into_iter().find(|it| it.id == row.id) {
        row.take_pace(known);
    }
    let snapshot = dir.snapshot()?;
    let lineage = Lineage::of(&dir, &spec)?;
    let contents = lineage.contents()?;
    let state = snapshot.as_ref().map_or(RunState::Starting, |it| it.state.clone());
    let stopping = match &state {
        RunState::Stopping(stopping) => Some(stopping.degree.sentence().to_owned()),
        _ => None,
    };
    Ok(RunDetail {
        folder: dir.path().display().to_string(),
        source: spec.source.display().to_string(),
        output_dir: spec.output_dir.display().to_string(),
        launcher: spec.launcher.to_string(),
        args: spec.passed_on.clone(),
        resumes: spec.resumes.clone(),
        continues: lineage.before.map(|it| it.to_string()),
        continued_by: lineage.after.iter().map(ToString::to_string).collect(),
        stopping,
        streams: told_first(&dir)?.iter().map(ToString::to_string).collect(),
        restarts: snapshot.as_ref().map_or(0, |it| it.attempt.number),
        alarm: snapshot.as_ref().and_then(Snapshot::alarm_now).map(|it| spec.watchdog.tell(it)),
        may: May::of(&state, &contents, &spec),
        checkpoints: contents.checkpoints.iter().map(Kept::of_checkpoint).collect(),
        models: contents.models.iter().map(Kept::of_model).collect(),
        full_diagnosis: snapshot.and_then(|it| it.diagnosis).map(Cause::of),
        files: files(&spec)?,
        row,
    })
}

/// The run's own copies of its configuration. The trainer's secrets were taken out when they were made; what is called like
/// one stays in them, and is hidden here.
fn files(spec: &Spec) -> Answer<Vec<TextFile>> {
    let folder = spec.config.parent().map(PathBuf::from).unwrap_or_default();
    let is_toml = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".toml");
    let names = fs::names(&folder)?.into_iter().filter(is_toml);
    let read = |name: std::ffi::OsString| {
        let text = masked::mask(&fs::read_text(&folder.join(&name))?);
        Ok(TextFile { name: name.to_string_lossy().into_owned(), text })
    };
    names.map(read).collect()
}

impl May {
    fn of(state: &RunState, contents: &Contents, spec: &Spec) -> Self {
        let over = state.outcome().is_some();
        let refused = |is: bool, why: &str| is.then(|| why.to_owned());
        let part = spec.part_of().map(|it| format!("it is a part of {it}"));
        let no_checkpoint =
            refused(contents.whole().next().is_none(), "it has no whole checkpoint to go on from");
        Self {
            stop: refused(over, "it is over"),
            save: refused(over, "it is over").or(part.clone()).or_else(|| {
                refused(!state.has_trained(), "it has not trained yet, so there is nothing to save")
            }),
            resume: part.or_else(|| refused(!over, "it is still running")).or_else(|| no_checkpoint.clone()),
            export: no_checkpoint,
        }
    }
}

impl Kept {
    fn of_checkpoint(it: &Checkpoint) -> Self {
        Self {
            name: format!("global_step{}", it.step),
            step: Some(it.step),
            path: it.path.display().to_string(),
            written: it.written,
            bytes: it.bytes,
            is_latest: it.is_latest,
            fault: it.fault.as_ref().map(ToString::to_string),
        }
    }

    fn of_model(it: &Model) -> Self {
        Self {
            name: it.name.clone(),
            step: None,
            path: it.path.display().to_string(),
            written: it.written,
            bytes: it.bytes,
            is_latest: false,
            fault: it.fault.as_ref().map(ToString::to_string),
        }
    }
}

impl Cause {
    fn of(diagnosis: Diagnosis) -> Self {
        Self {
            cause: diagnosis.cause.into_owned(),
            evidence: diagnosis.evidence.iter().map(ToString::to_string).collect(),
            advice: diagnosis.advice.into_iter().map(std::borrow::Cow::into_owned).collect(),
        }
    }
}
