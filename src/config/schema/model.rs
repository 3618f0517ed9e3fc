//! A model type: what `type` in `[model]` selects, and what the trainer can do with it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Key, OneOf};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModelType {
    /// The value of `type`.
    #[serde(skip_deserializing, rename = "type")]
    pub name: &'static str,
    /// What people call it.
    pub title: String,
    /// The trainer's class.
    pub class: String,
    /// The types of `[adapter]` that can be trained and saved.
    pub adapters: Vec<String>,
    pub abilities: Vec<Ability>,
    /// The key with which the frozen weights are kept smaller.
    pub weights_dtype_key: Option<String>,
    /// How a training without `[adapter]` fails; `None` if it does not.
    pub full_finetune_failure: Option<String>,
    /// `None` if `blocks_to_swap` cannot be used.
    pub block_swap: Option<BlockSwap>,
    /// Sides of a size bucket are multiples of this.
    pub round_pixels_to: u32,
    /// What is encoded is cut to multiples of this, where that differs.
    pub encode_round_pixels_to: Option<u32>,
    /// `None` if videos are skipped.
    pub video: Option<Video>,
    /// The name of the folder in `cache` beside the media; or how it is found.
    pub cache_dir: String,
    /// Why the trainer has to run in its own checkout, if it has to.
    pub working_dir: Option<String>,
    /// When `LOCAL_SIZE` has to be in the environment.
    pub local_size_env: Option<String>,
    /// Keys that have to be there although they are optional elsewhere: `optimizer.lr`.
    #[serde(default)]
    pub requires: Vec<String>,
    pub submodules: Vec<String>,
    /// Python packages that are not in the trainer's requirements.
    #[serde(default)]
    pub extra_packages: Vec<String>,
    pub adapter_files: Vec<String>,
    /// Empty if it cannot be fine-tuned as a whole.
    #[serde(default)]
    pub full_model_files: Vec<String>,
    /// What has to be in the folder `ckpt_path`.
    #[serde(default)]
    pub files_in_ckpt_path: Vec<String>,
    /// The only `[width, height, frames]` that it can be trained at; empty for any.
    #[serde(default)]
    pub size_buckets: Vec<[u32; 3]>,
    #[serde(default)]
    pub notes: Vec<String>,
    #[serde(default, rename = "variant")]
    pub variants: Vec<Variant>,
    pub export: Export,
    #[serde(rename = "key")]
    pub keys: Vec<Key>,
    /// Groups of keys of which at least one has to be there.
    #[serde(default)]
    pub one_of: Vec<OneOf>,
    /// By table, `training` the file's top, all keys that its trainer takes, if it refuses every other; empty for
    /// diffusion-pipe, which ignores what it does not know.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reads: BTreeMap<String, Vec<String>>,
}

/// How the layers of a checkpoint become an adapter: what `templates/export.py` has to know. DeepSpeed numbers the
/// layers of its pipeline; the names that files need are those of the parts of the whole model.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    pub writer: Writer,
    /// Of the class in `diffusers.loaders` that writes it.
    pub mixin: Option<String>,
    /// Before every name.
    #[serde(default)]
    pub prefix: String,
    /// What is replaced in names, in this order.
    #[serde(default)]
    pub rename: Vec<(String, String)>,
    /// The kinds of blocks, in the order in which they follow each other; at most two.
    #[serde(default)]
    pub blocks: Vec<Blocks>,
    /// What the parts of layers are called that follow no pattern, by the layer's number. A part without a name is the
    /// layer itself.
    #[serde(default)]
    pub layers: BTreeMap<String, BTreeMap<String, String>>,
    pub read_at: String,
}

/// What writes the file, once names and tensors are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Writer {
    /// `adapter_model.safetensors`, and PEFT's `adapter_config.json` beside it.
    Peft,
    /// `pytorch_lora_weights.safetensors`, by diffusers.
    Diffusers,
    /// `lora.safetensors` with the names of kohya's scripts.
    Kohya,
    /// The demo's own.
    Demo,
}

/// Layers that wrap one block of the model each.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Blocks {
    /// With `{}` where its number stands.
    pub name: String,
    /// The layer of the first one, of the first kind.
    pub first: Option<u32>,
    /// With what the name of a tensor begins that the first kind has and the second has not.
    pub has: Option<String>,
    /// Layers between the first kind and the second.
    pub after: Option<u32>,
}

impl ModelType {
    pub fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }

    pub fn key(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// Its trainer takes a key of this name in that table of `reads`: diffusion-pipe does everywhere.
    pub fn takes(&self, table: &str, key: &str) -> bool {
        self.reads.get(table).is_none_or(|keys| keys.iter().any(|it| it == key))
    }

    /// The keys that hold paths, or lists of them.
    pub fn paths(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(|key| key.path.is_some())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ability {
    /// The frozen weights can be kept in 8 bits with `weights_dtype_key`.
    Fp8,
    /// `mask_path` counts.
    Masks,
    /// `control_path` counts.
    EditDatasets,
    /// Takes files whose weights are quantised: `fp8_scaled`, `int8`.
    QuantisedWeights,
    Audio,
}

/// Transformer blocks that can wait in main memory.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BlockSwap {
    /// The largest `blocks_to_swap`; `None` where it differs between variants or files.
    pub most: Option<u32>,
    pub source: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Video {
    /// Frames per second to which videos are re-timed.
    pub frame_rate: u32,
    pub frames: FrameRule,
    pub note: Option<String>,
}

/// How many frames a clip may have: `n × multiple_of + plus`, and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FrameRule {
    pub multiple_of: u32,
    pub plus: u32,
}

impl FrameRule {
    pub const fn allows(self, frames: u32) -> bool {
        frames == 1 || (frames > 0 && frames % self.multiple_of == self.plus)
    }

    /// The longest allowed clip that is no longer than `frames`, which are at least 1.
    pub const fn floor(self, frames: u32) -> u32 {
        let rest = frames.saturating_sub(self.plus);
        let floor = rest - rest % self.multiple_of + self.plus;
        if floor == 0 || floor > frames { 1 } else { floor }
    }
}

/// What differs between the models of one type.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    pub name: String,
    /// By what the trainer knows it.
    pub found_by: String,
    /// Transformer blocks.
    pub blocks: Option<u32>,
    pub most_blocks_to_swap: Option<u32>,
    pub round_pixels_to: Option<u32>,
    pub frame_rate: Option<u32>,
    pub cache_dir: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_as_long_as_the_model_wants() {
        let check = |rule: FrameRule, allowed: &[u32]| {
            let found: Vec<u32> = (0..=52).filter(|it| rule.allows(*it)).collect();
            assert_eq!(found, allowed);
            for frames in 1..=52 {
                let expected = allowed.iter().rfind(|it| **it <= frames);
                assert_eq!(Some(&rule.floor(frames)), expected, "{frames}");
            }
        };
        check(FrameRule { multiple_of: 8, plus: 1 }, &[1, 9, 17, 25, 33, 41, 49]);
        check(FrameRule { multiple_of: 17, plus: 0 }, &[1, 17, 34, 51]);
    }
}
