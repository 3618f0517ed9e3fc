//! The models that a training saved: `epochN` and `stepN`.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    config::safetensors::Safetensors,
    platform::fs::{self, FsError},
};

use super::{Fault, numbered};

/// A folder with weights that can be used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Model {
    /// `epoch3` or `step200`.
    pub name: String,
    pub path: PathBuf,
    /// The file with the weights, once there is one.
    pub weights: Option<PathBuf>,
    pub written: Timestamp,
    pub bytes: u64,
    /// What a save that was broken off left behind. The trainer makes this folder anew, and fails if it is there
    /// (`utils/saver.py:60`).
    pub leftover: Option<PathBuf>,
    /// Why it cannot be used.
    pub fault: Option<Fault>,
}

impl Model {
    /// `None` if `name` is no model's.
    pub(super) fn of(name: &str, path: &Path) -> Result<Option<Self>, FsError> {
        let is_ours = ["epoch", "step"].iter().any(|stem| numbered(name, stem).is_some());
        if !is_ours || !fs::is_dir(path) {
            return Ok(None);
        }
        let names = fs::names(path)?;
        let is_weights =
            |it: &PathBuf| it.extension().is_some_and(|it| it == "safetensors") && fs::is_file(it);
        let weights = names.iter().map(|file| path.join(file)).find(is_weights);
        let leftover = Some(path.join("tmp")).filter(|it| fs::exists(it));
        Ok(Some(Self {
            name: name.to_owned(),
            written: fs::modified(weights.as_deref().unwrap_or(path))?,
            bytes: fs::tree_size(path),
            fault: fault(path, weights.as_deref()),
            path: path.to_owned(),
            weights,
            leftover,
        }))
    }

    /// The last step in it, where `of_epoch` says what the last one of an epoch was.
    pub fn step<E>(&self, of_epoch: impl FnOnce(u64) -> Result<Option<u64>, E>) -> Result<Option<u64>, E> {
        match (numbered(&self.name, "step"), numbered(&self.name, "epoch")) {
            (Some(step), _) => Ok(Some(step)),
            (None, Some(epoch)) => of_epoch(epoch),
            (None, None) => Ok(None),
        }
    }

    pub const fn is_whole(&self) -> bool {
        self.fault.is_none()
    }
}

/// The weights are as long as their head says, and what describes an adapter beside them can be read.
fn fault(path: &Path, weights: Option<&Path>) -> Option<Fault> {
    let Some(weights) = weights else {
        return Some(Fault::Missing { name: "*.safetensors".to_owned() });
    };
    let name = weights.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Err(cause) = Safetensors::read(weights) {
        return Some(Fault::Weights { name, why: cause.to_string() });
    }
    if name != "adapter_model.safetensors" {
        return None;
    }
    let about = path.join("adapter_config.json");
    let name = "adapter_config.json".to_owned();
    match fs::read_optional(&about) {
        Ok(Some(text)) if serde_json::from_str::<serde_json::Value>(&text).is_ok() => None,
        Ok(Some(text)) if text.is_empty() => Some(Fault::Empty { name }),
        Ok(Some(_)) => Some(Fault::Cut { name }),
        Ok(None) | Err(_) => Some(Fault::Missing { name }),
    }
}
