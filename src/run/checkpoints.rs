//! What is in a trainer's folder to go on from and to use: checkpoints and saved models, whole or not and why.
//!
//! DeepSpeed writes a checkpoint in place, file by file, each stage of the pipeline for itself: its layers, then its
//! `mp_rank_NN`. Rank 0 names it in `latest` when its own files are done, not when those of the others are (DeepSpeed
//! 0.18.4, `runtime/engine.py:3729`). So `latest` proves nothing, and every file is looked at.

mod models;
mod torch_file;

use std::{
    collections::BTreeSet,
    fmt,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::platform::fs::{self, FsError};

use super::RunError;

pub use models::Model;

/// The file with the name of the checkpoint that is loaded.
pub const LATEST: &str = "latest";

/// All that a trainer's folder holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Contents {
    /// In the order in which they were written.
    pub checkpoints: Vec<Checkpoint>,
    /// The same of the saved models.
    pub models: Vec<Model>,
}

/// A `global_stepN`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checkpoint {
    pub step: u64,
    pub path: PathBuf,
    /// When the last file of it was written.
    pub written: Timestamp,
    pub bytes: u64,
    /// The trainer would load this one.
    pub is_latest: bool,
    /// Why training cannot go on from it.
    pub fault: Option<Fault>,
}

/// Why something is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    Missing {
        name: String,
    },
    Empty {
        name: String,
    },
    /// The save was broken off in the middle of this file.
    Cut {
        name: String,
    },
    /// Some of its files are of an earlier training that had come this far.
    Mixed,
    /// Weights that are not what they should be.
    Weights {
        name: String,
        why: String,
    },
}

/// The files in a checkpoint.
#[derive(Debug, Default)]
struct Parts {
    path: PathBuf,
    stages: BTreeSet<u64>,
    layers: BTreeSet<u64>,
    /// Of optimizers that are spread over the ranks: stage and rank.
    shards: BTreeSet<(u64, u64)>,
    /// All that `torch.save` wrote.
    names: Vec<String>,
    times: Vec<Timestamp>,
    bytes: u64,
}

/// What the checkpoints of one folder have in common.
#[derive(Debug)]
struct Expected {
    stages: u64,
    layers: BTreeSet<u64>,
    /// When trainings began to write into this folder.
    starts: Vec<Timestamp>,
}

impl Contents {
    /// Looks at everything in `folder`; what is not there yet is empty.
    pub fn of(folder: &Path) -> Result<Self, FsError> {
        let latest = fs::read_optional(&folder.join(LATEST))?;
        let (mut parts, mut models, mut starts) = (vec![], vec![], vec![]);
        for name in fs::names(folder)? {
            let name = name.to_string_lossy();
            let path = folder.join(&*name);
            if let Some(step) = numbered(&name, "global_step") {
                parts.push((step, Parts::of(&path)?));
            } else if let Some(model) = Model::of(&name, &path)? {
                models.push(model);
            }
            starts.extend(start_of(&name));
        }
        let expected = Expected::of(folder, &parts, starts);
        let of_parts = |(step, parts): &(u64, Parts)| -> Result<Checkpoint, FsError> {
            Ok(Checkpoint {
                step: *step,
                path: parts.path.clone(),
                written: parts.times.iter().max().copied().unwrap_or(Timestamp::MIN),
                bytes: parts.bytes,
                is_latest: latest.as_deref().is_some_and(|it| it.trim() == format!("global_step{step}")),
                fault: parts.fault(&expected)?,
            })
        };
        let mut checkpoints = parts.iter().map(of_parts).collect::<Result<Vec<_>, _>>()?;
        checkpoints.sort_by_key(|it| (it.written, it.step));
        models.sort_by_key(|it| it.written);
        Ok(Self { checkpoints, models })
    }

    /// The one that the trainer would load, whole or not.
    pub fn latest(&self) -> Option<&Checkpoint> {
        self.checkpoints.iter().find(|it| it.is_latest)
    }

    pub fn at(&self, step: u64) -> Option<&Checkpoint> {
        self.checkpoints.iter().find(|it| it.step == step)
    }

    /// The one to go on from: what the trainer would load, or, where that is not whole, the last whole one that was written.
    /// A power cut empties files, `latest` among them; what was saved before is there all the same.
    pub fn usable(&self) -> Option<&Checkpoint> {
        self.latest().filter(|it| it.is_whole()).or_else(|| self.whole().next())
    }

    /// Why it is not what the trainer would have loaded, if it is not.
    pub fn passed_over(&self) -> Option<String> {
        let usable = self.usable()?;
        let instead = format!("the one at step {} is used", usable.step);
        match self.latest() {
            Some(latest) => {
                let fault = latest.fault.as_ref()?;
                Some(format!("the checkpoint at step {} is not whole: {fault}; {instead}", latest.step))
            }
            None => Some(format!("the file `latest` names no checkpoint that is there; {instead}")),
        }
    }

    /// The whole checkpoint of `step`, or the one to go on from. `place` is what it belongs to, `command` what names it there,
    /// up to an `@`.
    ///
    /// # Errors
    /// It is not there, or not whole; then another one may be.
    pub fn pick(&self, place: &str, command: &str, step: Option<u64>) -> Result<&Checkpoint, RunError> {
        let place = place.to_owned();
        let found = match step {
            Some(step) => self.at(step).ok_or_else(|| {
                let steps = self.whole().map(|it| it.step).collect();
                RunError::NoSuchCheckpoint { place: place.clone(), step, steps }
            })?,
            None => self
                .usable()
                .or_else(|| self.latest())
                .or_else(|| self.checkpoints.last())
                .ok_or_else(|| RunError::NoCheckpoint { folder: place.clone() })?,
        };
        match &found.fault {
            None => Ok(found),
            Some(fault) => Err(RunError::BrokenCheckpoint {
                place,
                step: found.step,
                fault: fault.clone(),
                other: self.usable().map(|it| it.step),
                command: command.to_owned(),
            }),
        }
    }

    /// The whole ones, those written last first.
    pub fn whole(&self) -> impl Iterator<Item = &Checkpoint> {
        self.checkpoints.iter().rev().filter(|it| it.is_whole())
    }

    /// The whole ones, those saved last last.
    pub fn whole_models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter().filter(|it| it.is_whole())
    }
}

impl Checkpoint {
    pub const fn is_whole(&self) -> bool {
        self.fault.is_none()
    }
}

impl Parts {
    fn of(path: &Path) -> Result<Self, FsError> {
        let mut parts = Self { path: path.to_owned(), ..Self::default() };
        for name in fs::names(path)? {
            let file = path.join(&name);
            // Copies of optimizer states that are kept on a disk are folders; their ranks name them.
            if !fs::is_file(&file) {
                continue;
            }
            let name = name.to_string_lossy().into_owned();
            parts.bytes += fs::size(&file)?;
            parts.times.push(fs::modified(&file)?);
            if let Some(stage) = between(&name, "mp_rank_", "_model_states.pt") {
                parts.stages.insert(stage);
            } else if let Some(layer) = between(&name, "layer_", "-model_states.pt") {
                parts.layers.insert(layer);
            } else if let Some(shard) = shard(&name) {
                parts.shards.insert(shard);
            }
            if file.extension().is_some_and(|it| it == "pt") {
                parts.names.push(name);
            }
        }
        Ok(parts)
    }

    /// What is missing first, then what is there but broken.
    fn fault(&self, expected: &Expected) -> Result<Option<Fault>, FsError> {
        let missing = |name: String| Ok(Some(Fault::Missing { name }));
        if let Some(stage) = (0..expected.stages).find(|it| !self.stages.contains(it)) {
            return missing(format!("mp_rank_{stage:02}_model_states.pt"));
        }
        let layer = expected.layers.difference(&self.layers).next().copied();
        if let Some(layer) = layer.or_else(|| self.layers.is_empty().then_some(0)) {
            return missing(format!("layer_{layer:02}-model_states.pt"));
        }
        if let Some(name) = self.missing_shard() {
            return missing(name);
        }
        for name in &self.names {
            let path = self.path.join(name);
            if fs::size(&path)? == 0 {
                return Ok(Some(Fault::Empty { name: name.clone() }));
            }
            if !torch_file::is_whole(&path)? {
                return Ok(Some(Fault::Cut { name: name.clone() }));
            }
        }
        let is_before = |start: &Timestamp| self.times.iter().any(|it| it < start);
        let is_after = |start: &Timestamp| self.times.iter().any(|it| it >= start);
        let is_mixed = expected.starts.iter().any(|start| is_before(start) && is_after(start));
        Ok(is_mixed.then_some(Fault::Mixed))
    }

    /// If one rank wrote its part of the optimizer, all did.
    fn missing_shard(&self) -> Option<String> {
        let ranks = self.shards.iter().map(|(_, rank)| rank + 1).max()?;
        let all = self.stages.iter().flat_map(|stage| (0..ranks).map(move |rank| (*stage, rank)));
        all.into_iter()
            .find(|it| !self.shards.contains(it))
            .map(|(stage, rank)| format!("zero_pp_rank_{rank}_mp_rank_{stage:02}_optim_states.pt"))
    }
}

impl Expected {
    fn of(folder: &Path, parts: &[(u64, Parts)], starts: Vec<Timestamp>) -> Self {
        let seen = parts.iter().filter_map(|(_, it)| it.stages.last()).max().map_or(1, |last| last + 1);
        let layers = parts.iter().flat_map(|(_, it)| it.layers.iter().copied()).collect();
        Self { stages: configured_stages(folder).unwrap_or(seen), layers, starts }
    }
}

/// The stages that the model is cut into, by the copy of the configuration that the trainer keeps in its folder. A
/// training cannot go on with another number.
fn configured_stages(folder: &Path) -> Option<u64> {
    let copy = fs::read_text(&configuration(folder)?).ok()?.parse::<toml::Table>().ok()?;
    let stages = copy.get("pipeline_stages").map_or(Some(1), toml::Value::as_integer)?;
    u64::try_from(stages).ok()
}

/// The copy of the training file that the trainer keeps in its folder.
pub fn configuration(folder: &Path) -> Option<PathBuf> {
    let is_training = |path: &PathBuf| {
        let table = fs::read_text(path).ok().and_then(|it| it.parse::<toml::Table>().ok());
        table.is_some_and(|it| it.contains_key("model"))
    };
    let files = fs::names(folder).ok()?.into_iter().map(|name| folder.join(name));
    files.filter(|it| it.extension().is_some_and(|it| it == "toml")).find(is_training)
}

/// TensorBoard's file is called by the second in which it was begun, after the checkpoint was loaded and before the
/// first step (`train.py:904`): `events.out.tfevents.1795775172.HOST.PID.0`.
fn start_of(name: &str) -> Option<Timestamp> {
    let seconds = name.strip_prefix("events.out.tfevents.")?.split('.').next()?;
    Timestamp::from_second(seconds.parse().ok()?).ok()
}

/// N of `STEMN`.
fn numbered(name: &str, stem: &str) -> Option<u64> {
    let digits = name.strip_prefix(stem)?;
    digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn between(name: &str, start: &str, end: &str) -> Option<u64> {
    numbered(name.strip_suffix(end)?, start)
}

/// Stage and rank of `zero_pp_rank_R_mp_rank_SS_optim_states.pt`, perhaps with `bf16_` before it.
fn shard(name: &str) -> Option<(u64, u64)> {
    let name = name.strip_prefix("bf16_").unwrap_or(name);
    let (rank, stage) = name.strip_prefix("zero_pp_rank_")?.split_once("_mp_rank_")?;
    Some((stage.strip_suffix("_optim_states.pt")?.parse().ok()?, rank.parse().ok()?))
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name } => write!(f, "`{name}` is missing"),
            Self::Empty { name } => write!(f, "`{name}` is empty"),
            Self::Cut { name } => write!(f, "the end of `{name}` is missing"),
            Self::Mixed => f.write_str("some of its files were written anew and others were not"),
            Self::Weights { name, why } => write!(f, "`{name}`: {why}"),
        }
    }
}

impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What each of two stages writes, in order.
    const STAGES: [&[&str]; 2] = [
        &["layer_00-model_states.pt", "layer_01-model_states.pt", "mp_rank_00_model_states.pt"],
        &["layer_03-model_states.pt", "mp_rank_01_model_states.pt"],
    ];
    const EARLIER: i64 = 1_000;
    const LATER: i64 = 3_000;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().expect("a temp dir"));
            folder.write("t.toml", b"pipeline_stages = 2\n[model]\ntype = 'demo'\n", EARLIER);
            folder
        }

        fn path(&self) -> &Path {
            self.0.path()
        }

        fn write(&self, name: &str, bytes: &[u8], second: i64) {
            let path = self.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            fs::write_snapshot(&path, bytes).expect("written");
            fs::touch(&path, Timestamp::from_second(second).expect("a time")).expect("touched");
        }

        /// A save that was killed after so many bytes; `turns` says whose turn it is. Returns whether it came to its end.
        fn save(&self, step: u64, turns: &[bool], mut bytes: usize, second: i64) -> bool {
            let content = torch_file::tests::archive(b"some weights", false);
            let mut left = STAGES.map(|names| names.iter());
            let mut turns = turns.iter().map(|it| usize::from(*it)).chain([0, 1].into_iter().cycle());
            while left.iter().any(|it| it.len() > 0) {
                let turn = turns.next().expect("they go on for ever");
                let Some(name) = left[turn].next() else { continue };
                let written = content.len().min(bytes);
                // A file is there before its first byte is.
                self.write(&format!("global_step{step}/{name}"), &content[..written], second);
                bytes -= written;
                if written < content.len() {
                    return false;
                }
                if left[0].len() == 0 {
                    self.write(LATEST, format!("global_step{step}").as_bytes(), second);
                }
            }
            true
        }

        fn faults(&self) -> Vec<(u64, Option<String>)> {
            let contents = Contents::of(self.path()).expect("read");
            let said = |it: &Checkpoint| (it.step, it.fault.as_ref().map(Fault::to_string));
            contents.checkpoints.iter().map(said).collect()
        }
    }

    fn turns() -> impl Strategy<Value = Vec<bool>> {
        prop::collection::vec(any::<bool>(), 0..6)
    }

    proptest! {
        #[test]
        fn half_a_checkpoint_is_never_believed_and_a_whole_one_never_refused(
            turns in turns(), killed_at in 0usize..3_000, anew in any::<bool>(), before in any::<bool>(),
        ) {
            let folder = Folder::new();
            if before {
                prop_assert!(folder.save(50, &[], usize::MAX, EARLIER));
            }
            if anew {
                // An earlier training had come this far already, and another went on from a step before.
                prop_assert!(folder.save(200, &[true], usize::MAX, EARLIER));
            }
            folder.write("events.out.tfevents.2000.vm.1.0", b"", 2_000);
            let is_complete = folder.save(200, &turns, killed_at, LATER);
            let contents = Contents::of(folder.path()).expect("read");
            let found = contents.at(200).expect("begun");
            prop_assert_eq!(found.is_whole(), is_complete, "{:?}", found.fault);
            prop_assert_eq!(contents.at(50).map(Checkpoint::is_whole), before.then_some(true));
            let expected = if is_complete { Some(200) } else { before.then_some(50) };
            prop_assert_eq!(contents.whole().next().map(|it| it.step), expected);
        }
    }

    #[test]
    fn what_is_wrong_with_a_checkpoint_is_said() {
        let folder = Folder::new();
        for step in [10, 20, 30, 40, 50] {
            folder.save(step, &[], usize::MAX, LATER);
        }
        let remove = |name: &str| fs::remove_tree(&folder.path().join(name)).expect("removed");
        remove("global_step10/mp_rank_01_model_states.pt");
        remove("global_step20/layer_01-model_states.pt");
        folder.write("global_step30/layer_03-model_states.pt", b"", LATER);
        folder.write(
            "global_step40/mp_rank_00_model_states.pt",
            b"PK\x03\x04 and no end of it, as it seems",
            LATER,
        );
        // Rank 1 of 2 never wrote its part of the optimizer.
        let shard = torch_file::tests::archive(b"state", false);
        folder.write("global_step50/bf16_zero_pp_rank_1_mp_rank_00_optim_states.pt", &shard, LATER);
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(
            folder.faults(),
            [
                (10, said("`mp_rank_01_model_states.pt` is missing")),
                (20, said("`layer_01-model_states.pt` is missing")),
                (30, said("`layer_03-model_states.pt` is empty")),
                (40, said("the end of `mp_rank_00_model_states.pt` is missing")),
                (50, said("`zero_pp_rank_0_mp_rank_00_optim_states.pt` is missing")),
            ]
        );
    }

    #[test]
    fn a_model_is_whole_when_its_weights_are() {
        let folder = Folder::new();
        let weights = |length: usize| {
            let head = br#"{"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}"#;
            [&(head.len() as u64).to_le_bytes()[..], head, &b"1234"[..length]].concat()
        };
        for (model, weights, about) in [
            ("epoch1", weights(4), "{}"),
            ("epoch2", weights(3), "{}"),
            ("step30", vec![], "{}"),
            ("step40", weights(4), "{"),
        ] {
            folder.write(&format!("{model}/adapter_model.safetensors"), &weights, LATER);
            folder.write(&format!("{model}/adapter_config.json"), about.as_bytes(), LATER);
        }
        folder.write("epoch3/tmp/state_dict_0.bin", b"", LATER + 9);
        folder.write("epochs/model.safetensors", &weights(4), LATER);
        let contents = Contents::of(folder.path()).expect("read");
        let said = |it: &Model| {
            let leftover = if it.leftover.is_some() { " (tmp)" } else { "" };
            let fault = it.fault.as_ref().map_or("whole".to_owned(), Fault::to_string);
            format!("{}{leftover}: {fault}", it.name)
        };
        let mut said: Vec<String> = contents.models.iter().map(said).collect();
        said.sort();
        assert_eq!(
            said,
            [
                "epoch1: whole",
                "epoch2: `adapter_model.safetensors`: its end is missing: it has 64 of 65 bytes, 1 B too few",
                "epoch3 (tmp): `*.safetensors` is missing",
                "step30: `adapter_model.safetensors`: it is empty",
                "step40: the end of `adapter_config.json` is missing",
            ]
        );
        assert_eq!(contents.whole_models().last().map(|it| it.name.as_str()), Some("epoch1"));
    }
}
