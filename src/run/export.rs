//! An adapter from a checkpoint: what `templates/export.py` is asked, and where its answer goes.
//!
//! Stopping early must not cost the adapter. The trainer itself saves one only at the intervals of its configuration.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;
use serde_json::json;

use crate::{
    config::schema,
    output::{Event, Line, size},
    platform::{
        fs,
        lock::{Lock, Wait},
        process::{CommandSpec, as_typed},
    },
};

use super::{
    RunError,
    checkpoints::{Checkpoint, Contents},
    dir::RunDir,
    lineage::Lineage,
    outcome::Outcome,
    start::Site,
};

const SCRIPT: &str = include_str!("../../templates/export.py");

/// Importing PyTorch on a busy machine takes half a minute, and adapters of 10 GB are read and written.
const PATIENCE: Duration = Duration::from_mins(30);

/// What is to be exported.
#[derive(Clone, Debug)]
pub struct Source {
    pub checkpoint: Checkpoint,
    /// With what it was trained.
    pub config: PathBuf,
    /// Why it is not the newest checkpoint.
    pub note: Option<String>,
}

/// What Python said of a fault that nobody foresaw.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Traceback(String);

/// It was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "exported")]
pub struct Exported {
    pub step: u64,
    pub checkpoint: PathBuf,
    /// The file with the weights.
    pub adapter: PathBuf,
    pub bytes: u64,
    /// It was there before.
    pub already: bool,
}

/// In the words of an export.
fn none_to_export(cause: RunError) -> RunError {
    match cause {
        RunError::NoCheckpoint { folder } => RunError::NothingToExport { place: format!("`{folder}`") },
        cause => cause,
    }
}

impl Source {
    /// From a run: at `step`, or the checkpoint that it would go on from.
    ///
    /// # Errors
    /// There is none, or it is not whole.
    pub fn of_run(dir: &RunDir, step: Option<u64>) -> Result<Self, RunError> {
        let spec = dir.spec()?;
        let lineage = Lineage::of(dir, &spec)?;
        if lineage.folder.is_none() {
            return Err(RunError::NothingToExport { place: dir.id().to_string() });
        }
        let contents = lineage.contents()?;
        let place = dir.id().to_string();
        let picked = contents.pick(&place, &format!("dpgui export {place}"), step);
        let checkpoint = picked.map_err(none_to_export)?.clone();
        let note = contents.passed_over().filter(|_| step.is_none());
        Ok(Self { checkpoint, config: spec.config, note })
    }

    /// From a trainer's folder, or one checkpoint in it. The configuration is the trainer's copy.
    pub fn of_path(path: &Path, step: Option<u64>) -> Result<Self, RunError> {
        let named = path.file_name().and_then(|it| it.to_str()?.strip_prefix("global_step")?.parse().ok());
        let folder = if named.is_some() { path.parent().unwrap_or(path) } else { path };
        let place = folder.display().to_string();
        let (contents, step) = (Contents::of(folder)?, named.or(step));
        let command = as_typed(["dpgui".as_ref(), "export".as_ref(), folder.as_os_str()]);
        let checkpoint = contents.pick(&place, &command, step).map_err(none_to_export)?.clone();
        let note = contents.passed_over().filter(|_| step.is_none());
        let config = super::checkpoints::configuration(folder).ok_or(RunError::NothingToExport { place })?;
        Ok(Self { checkpoint, config, note })
    }

    /// Makes the adapter. `output` is a file for the weights alone, or a folder; without it, one beside the checkpoint
    /// with the name that the trainer would give it.
    ///
    /// # Errors
    /// It is none of an adapter, or Python says why not.
    pub fn export(&self, site: Site<'_>, output: Option<&Path>) -> Result<Exported, RunError> {
        let folder = self.checkpoint.path.parent().unwrap_or(&self.checkpoint.path);
        let place =
            output.map_or_else(|| folder.join(format!("step{}", self.checkpoint.step)), Path::to_owned);
        let is_file = place.extension().is_some_and(|it| it == "safetensors");
        // Of two at once the second finds what the first has made.
        let _alone = Lock::wait(&site.workspace.internal().join("export.lock"))?;
        if output.is_none()
            && let Some(adapter) = whole_model(folder, &place)
        {
            return self.done(adapter, true);
        }
        let parent = place.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent)?;
        let staged = fs::beside(&place, "export");
        fs::remove_tree(&staged)?;
        fs::create_dir_new(&staged)?;
        let placed = self.ask(site, &staged).and_then(|()| self.place(&staged, &place, is_file));
        let _ = fs::remove_tree(&staged);
        self.done(placed?, false)
    }

    fn done(&self, adapter: PathBuf, already: bool) -> Result<Exported, RunError> {
        let bytes = fs::size(&adapter)?;
        let Checkpoint { step, path: checkpoint, .. } = self.checkpoint.clone();
        Ok(Exported { step, checkpoint, adapter, bytes, already })
    }

    fn ask(&self, Site { host, workspace, .. }: Site<'_>, staged: &Path) -> Result<(), RunError> {
        let questions = self.questions(staged)?;
        let python = workspace.venv().join("bin/python");
        if !fs::is_file(&python) {
            return Err(RunError::NotSetUp { path: python });
        }
        let mut env = host.env.clone();
        // It computes nothing, and finds all that it needs in the environment.
        env.set("CUDA_VISIBLE_DEVICES", "").set("HF_HUB_OFFLINE", "1");
        env.remove("PYTHONPATH").remove("PYTHONHOME");
        let command = CommandSpec::new(python, &env, staged).args(["-c", SCRIPT, &questions]);
        let said = command.capture(PATIENCE)?;
        if said.success() {
            return Ok(());
        }
        let step = self.checkpoint.step;
        let last = said.stderr.trim_end().lines().next_back().unwrap_or("Python said nothing");
        Err(match last.strip_prefix("error: ") {
            Some(refusal) => RunError::NotExported { step, said: refusal.to_owned(), source: None },
            None => {
                RunError::NotExported { step, said: last.to_owned(), source: Some(Traceback(said.tail())) }
            }
        })
    }

    /// What the script is asked, as JSON.
    fn questions(&self, staged: &Path) -> Result<String, RunError> {
        let refused = |why: String| RunError::CannotExport { step: self.checkpoint.step, why };
        let table: toml::Table = fs::read_text(&self.config)?
            .parse()
            .map_err(|cause| refused(format!("`{}` is no TOML: {cause}", self.config.display())))?;
        let text = |table: &toml::Table, key: &str| table.get(key)?.as_str().map(str::to_owned);
        let name = table.get("model").and_then(|it| text(it.as_table()?, "type")).unwrap_or_default();
        let Some(adapter) = table.get("adapter") else {
            return Err(refused(
                "the whole model was trained, and a checkpoint lacks what was frozen".to_owned(),
            ));
        };
        let kind = adapter.get("type").and_then(toml::Value::as_str).unwrap_or_default();
        let Some(model) = schema::model(&name) else {
            return Err(refused(format!("there is no model type `{name}`")));
        };
        if !model.adapters.iter().any(|it| it == kind) {
            return Err(refused(format!("the trainer itself cannot save `{kind}` of `{name}`")));
        }
        let questions = json!({
            "checkpoint": self.checkpoint.path,
            "output": staged,
            "layout": model.export,
            "adapter": adapter,
            "save_dtype": text(&table, "save_dtype"),
        });
        Ok(questions.to_string())
    }

    /// Puts what was written into its place, all at once; the weights' path comes back.
    fn place(&self, staged: &Path, place: &Path, is_file: bool) -> Result<PathBuf, RunError> {
        let missing = || {
            let said = "no file was written".to_owned();
            RunError::NotExported { step: self.checkpoint.step, said, source: None }
        };
        let names = fs::names(staged)?;
        let weights =
            names.iter().find(|it| it.to_string_lossy().ends_with(".safetensors")).ok_or_else(missing)?;
        if is_file {
            fs::sync_file(&staged.join(weights))?;
            fs::rename(&staged.join(weights), place)?;
            return Ok(place.to_owned());
        }
        // As beside every model that the trainer saves.
        let copy = staged.join(self.config.file_name().unwrap_or_default());
        fs::write_atomic(&copy, fs::read(&self.config)?)?;
        for name in fs::names(staged)? {
            fs::sync_file(&staged.join(name))?;
        }
        fs::replace_dir(staged, place)?;
        Ok(place.join(weights))
    }
}

/// After a stop that saved: the adapter of the checkpoint, unless the training has none. Failing at it is no failure of
/// the stop.
pub fn after_stop(site: Site<'_>, dir: &RunDir, outcome: &Outcome) -> Option<Result<Exported, RunError>> {
    if !matches!(outcome, Outcome::Stopped { saved: true }) {
        return None;
    }
    let source = Source::of_run(dir, None).ok()?;
    let table: toml::Table = fs::read_text(&source.config).ok()?.parse().ok()?;
    table.get("adapter")?;
    // A setup that is at work may just be replacing the environment.
    let setup = Lock::shared(&site.workspace.setup_lock(), "dpgui export", Wait::No);
    Some(setup.map_err(RunError::from).and_then(|_setup| source.export(site, None)))
}

fn whole_model(folder: &Path, place: &Path) -> Option<PathBuf> {
    let models = Contents::of(folder).ok()?.models;
    models.into_iter().find(|it| it.path == place && it.is_whole())?.weights
}

impl Event for Exported {
    fn line(&self) -> Option<Line> {
        let verb = if self.already { "Already" } else { "Exported" };
        let text = format!("step {}: `{}` ({})", self.step, self.adapter.display(), size::bytes(self.bytes));
        Some(Line { verb, text })
    }
}
