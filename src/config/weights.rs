//! What model a safetensors file holds, by the names and shapes of its tensors, and which key it can be given to.

mod search;

use std::{collections::BTreeMap, path::Path, sync::LazyLock};

use serde::Deserialize;

use super::safetensors::{Safetensors, Tensor};

pub use search::{Found, Search, search};

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// `FLUX.1 transformer`.
    pub name: String,
    /// How the numbers are kept: `bf16`, `fp8-scaled`.
    pub storage: String,
    pub kind: WeightsKind,
    fits: &'static [String],
    variant: Option<&'static str>,
}

/// What a file is a part of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightsKind {
    /// A transformer, or a whole checkpoint with one in it.
    Model,
    Vae,
    TextEncoder,
    Lora,
}

impl Weights {
    /// Whether it can be the value of a key of a model type.
    pub fn fits(&self, model: &str, key: &str) -> bool {
        self.fits.iter().any(|it| it.split_once('.') == Some((model, key)))
    }
}

/// The names of all weights that can be the value of a key of a model type.
pub fn fitting(model: &str, key: &str) -> Vec<&'static str> {
    let fits = |it: &&Signature| it.fits.iter().any(|it| it.split_once('.') == Some((model, key)));
    let mut names: Vec<&str> = SIGNATURES.iter().filter(fits).map(|it| it.name.as_str()).collect();
    names.dedup();
    names
}

/// Which half of the noise one of the two models of Wan 2.2 A14B is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noise {
    High,
    Low,
}

impl Noise {
    /// As the name of a file or folder has it.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let is =
            |half: &str| [format!("{half}_noise"), format!("{half}noise")].iter().any(|it| name.contains(it));
        match (is("high"), is("low")) {
            (true, false) => Some(Self::High),
            (false, true) => Some(Self::Low),
            _ => None,
        }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high-noise",
            Self::Low => "low-noise",
        }
    }

    /// `min_t` and `max_t` that upstream's `docs/supported_models.md` gives it.
    pub const fn range(self, from_image: bool) -> [f64; 2] {
        let border = if from_image { 0.9 } else { 0.875 };
        match self {
            Self::High => [border, 1.0],
            Self::Low => [0.0, border],
        }
    }
}

/// Recognises what `file` holds; `path` may say what the tensors cannot, such as the half of the noise range.
pub fn recognise(file: &Safetensors, path: &Path) -> Option<Weights> {
    let names = Names::of(file);
    let found = SIGNATURES.iter().find(|it| it.matches(&names))?;
    let name = match Noise::of(path).filter(|_| found.name.starts_with("Wan 14B")) {
        Some(noise) => found.name.replace("Wan 14B", &format!("Wan 2.2 {}", noise.name())),
        None => found.name.clone(),
    };
    let Signature { kind, ref fits, .. } = *found;
    Some(Weights { name, storage: storage(file), kind, fits, variant: found.variant.as_deref() })
}

/// How the names of scales end, whoever quantised the file.
const SCALES: [&str; 3] = ["scale_weight", "weight_scale", "scaled_fp8"];

/// The type that holds most of the bytes, and whether there are scales to it.
fn storage(file: &Safetensors) -> String {
    let mut bytes: BTreeMap<&str, u64> = BTreeMap::new();
    for Tensor { dtype, span: [start, end], .. } in file.tensors.values() {
        *bytes.entry(dtype).or_default() += end - start;
    }
    let most = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map_or("", |(dtype, _)| dtype);
    let name = match most {
        "F8_E4M3" => "fp8".to_owned(),
        "F8_E5M2" => "fp8 (e5m2)".to_owned(),
        "F32" | "F16" => format!("fp{}", &most[1..]),
        "I8" => "int8".to_owned(),
        other => other.to_lowercase(),
    };
    let scaled = file.tensors.keys().any(|name| SCALES.iter().any(|end| name.ends_with(end)));
    if scaled { format!("{name}-scaled") } else { name }
}

/// How a kind of weights is recognised.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    name: String,
    kind: WeightsKind,
    has: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
    side: Option<Side>,
    rank: Option<Rank>,
    fits: Vec<String>,
    /// Transformer and text encoder of one variant belong together.
    variant: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Side {
    of: String,
    index: usize,
    is: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rank {
    of: String,
    is: usize,
}

impl Signature {
    fn matches(&self, names: &Names) -> bool {
        let side = |side: &Side| names.shape(&side.of).and_then(|it| it.get(side.index)) == Some(&side.is);
        let rank = |rank: &Rank| names.shape(&rank.of).is_some_and(|it| it.len() == rank.is);
        self.has.iter().all(|name| names.has(name))
            && !self.lacks.iter().any(|name| names.has(name))
            && self.side.as_ref().is_none_or(side)
            && self.rank.as_ref().is_none_or(rank)
    }
}

/// Every tensor by each end of its name that begins after a dot, so that a prefix does not matter.
struct Names<'a> {
    ends: BTreeMap<&'a str, &'a Tensor>,
}

impl<'a> Names<'a> {
    fn of(file: &'a Safetensors) -> Self {
        let mut ends = BTreeMap::new();
        for (name, tensor) in &file.tensors {
            ends.insert(name.as_str(), tensor);
            for (dot, _) in name.match_indices('.') {
                ends.entry(&name[dot + 1..]).or_insert(tensor);
            }
        }
        Self { ends }
    }

    fn has(&self, name: &str) -> bool {
        match name.strip_suffix('.') {
            Some(_) => self.ends.range(name..).next().is_some_and(|(found, _)| found.starts_with(name)),
            None => self.ends.contains_key(name),
        }
    }

    fn shape(&self, name: &str) -> Option<&[u64]> {
        self.ends.get(name).map(|tensor| tensor.shape.as_slice())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    weights: Vec<Signature>,
}

/// # Panics
/// When the embedded file is not as this module wants it. A test reads it.
static SIGNATURES: LazyLock<Vec<Signature>> = LazyLock::new(|| {
    match toml::from_str::<SignatureFile>(include_str!("../../templates/schema/weights.toml")) {
        Ok(file) => file.weights,
        Err(error) => panic!("templates/schema/weights.toml is broken: {error}"),
    }
});

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{
        config::schema::{self, Items},
        platform::fs,
    };

    /// A whole file with one byte of each type's tensors, in the order given.
    fn write(path: &Path, tensors: &[(&str, &str, &[u64])]) {
        let mut head = serde_json::Map::new();
        let mut end = 0;
        for (name, dtype, shape) in tensors {
            let size = if dtype.starts_with("F8") { 1 } else { 2 };
            let start = end;
            end += shape.iter().product::<u64>() * size;
            head.insert(
                (*name).to_owned(),
                serde_json::json!({ "dtype": dtype, "shape": shape, "data_offsets": [start, end] }),
            );
        }
        let head = serde_json::to_string(&head).expect("JSON");
        let mut bytes = (head.len() as u64).to_le_bytes().to_vec();
        bytes.extend(head.bytes());
        bytes.resize(bytes.len() + usize::try_from(end).expect("small"), 0);
        fs::create_dir_all(path.parent().expect("a folder")).expect("created");
        fs::write_atomic(path, bytes).expect("written");
    }

    fn check(file: &str, tensors: &[(&str, &str, &[u64])], expected: Option<(&str, &str)>) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join(file);
        write(&path, tensors);
        let found = recognise(&Safetensors::read(&path).expect("whole"), &path);
        assert_eq!(found.as_ref().map(|it| (&it.name[..], &it.storage[..])), expected);
    }

    #[test]
    fn a_model_is_recognised_by_its_tensors_whatever_is_in_front_of_their_names() {
        let block = "double_blocks.0.img_attn.norm.key_norm.scale";
        check(
            "a.safetensors",
            &[
                (block, "BF16", &[1]),
                ("img_in.weight", "BF16", &[2, 64]),
                ("vector_in.in_layer.weight", "BF16", &[1]),
            ],
            Some(("FLUX.1 transformer", "bf16")),
        );
        check(
            "a.safetensors",
            &[(block, "BF16", &[1]), ("img_in.weight", "BF16", &[3072, 2])],
            Some(("FLUX.2 klein 4B transformer", "bf16")),
        );
        let wan: &[(&str, &str, &[u64])] = &[
            ("model.diffusion_model.head.modulation", "F16", &[1, 2, 5120]),
            ("model.diffusion_model.patch_embedding.weight", "F16", &[1, 16, 1]),
            ("model.diffusion_model.blocks.0.ffn.0.weight", "F8_E4M3", &[50000]),
            ("model.diffusion_model.blocks.0.ffn.0.scale_weight", "F16", &[1]),
        ];
        check(
            "wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
            wan,
            Some(("Wan 2.2 high-noise text-to-video transformer", "fp8-scaled")),
        );
        check("x.safetensors", wan, Some(("Wan 14B text-to-video transformer", "fp8-scaled")));
        check("x.safetensors", &[("layers.0.lora_A.weight", "F16", &[1])], Some(("LoRA", "fp16")));
        // A whole checkpoint has its VAE in it, and is none.
        let mut whole: Vec<(&str, &str, &[u64])> = vec![
            ("model.diffusion_model.input_blocks.0.0.weight", "F16", &[1]),
            ("first_stage_model.decoder.conv_in.weight", "F16", &[1, 4]),
        ];
        check("x.safetensors", &whole, Some(("Stable Diffusion checkpoint that is no SDXL", "fp16")));
        whole.push(("conditioner.embedders.1.model.ln_final.weight", "F16", &[1]));
        check("x.safetensors", &whole, Some(("Stable Diffusion XL checkpoint", "fp16")));
        check("x.safetensors", &whole[1..2], Some(("Stable Diffusion or SDXL VAE", "fp16")));
        let video = [
            ("decoder.transformer_blocks.0.scale1", "F16", &[1][..]),
            ("encoder.down.5.block.0.conv1.weight", "F16", &[1]),
        ];
        check("x.safetensors", &video, Some(("MiniMax H3 video VAE", "fp16")));
        check("x.safetensors", &video[..1], None);
        let audio = [("pre_block.attn.zero_k_bias", "F16", &[1][..])];
        check("x.safetensors", &audio, Some(("MiniMax H3 audio VAE", "fp16")));
        check("x.safetensors", &[("who.knows", "F16", &[1])], None);
    }

    #[test]
    fn what_weights_fit_is_a_key_that_takes_files() {
        let mut keys = BTreeSet::new();
        for fits in SIGNATURES.iter().flat_map(|it| &it.fits) {
            let (model, key) = fits.split_once('.').expect("`type.key`");
            let found = schema::model(model).and_then(|it| it.key(key));
            let found = found.unwrap_or_else(|| panic!("there is no `{fits}`"));
            assert!(found.path.is_some() || found.items == Some(Items::TextEncoder), "{fits}");
            keys.insert(fits.as_str());
        }
        // Every file that a ComfyUI type needs can be found.
        for model in schema::models().filter(|it| it.key("diffusion_model").is_some()) {
            let required = model.paths().filter(|key| key.required == schema::Required::Yes);
            for key in required.map(|key| format!("{}.{}", model.name, key.name)) {
                assert!(keys.contains(key.as_str()), "{key}");
            }
        }
    }

    #[test]
    fn a_folder_of_models_is_searched_for_what_a_type_needs() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let at = |name: &str| dir.path().join(name);
        let block = "double_blocks.0.img_attn.norm.key_norm.scale";
        write(
            &at("unet/flux-2-klein-base-4b.safetensors"),
            &[(block, "BF16", &[1]), ("img_in.weight", "BF16", &[3072, 2])],
        );
        write(
            &at("vae/flux2-vae.safetensors"),
            &[("decoder.conv_in.weight", "F32", &[2, 32])].map(|(a, _, c)| (a, "F16", &c[..])),
        );
        let norm = "model.layers.0.input_layernorm.weight";
        let query = "model.layers.0.self_attn.q_norm.weight";
        write(&at("text_encoders/qwen_3_4b.safetensors"), &[(norm, "BF16", &[2560]), (query, "BF16", &[1])]);
        write(&at("text_encoders/mistral.safetensors"), &[(norm, "BF16", &[5120])]);
        fs::write_atomic(&at("broken.safetensors"), "<html>").expect("written");
        let found = search(dir.path(), schema::model("flux2").expect("a type")).found;
        let shown: Vec<_> = found
            .iter()
            .map(|it| (it.key, it.what.iter().map(|it| it.0.as_str()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(
            shown,
            [
                ("diffusion_model", vec!["FLUX.2 klein 4B transformer, bf16"]),
                ("vae", vec!["FLUX.2 VAE, fp16"]),
                ("text_encoders", vec!["Qwen3 4B, bf16"]),
            ]
        );
        let encoder = at("text_encoders/qwen_3_4b.safetensors");
        assert_eq!(
            found[2].value.to_string(),
            format!("[{{ path = {:?}, type = \"flux2\" }}]", encoder.to_str().expect("UTF-8"))
        );
    }

    #[test]
    fn a_checkpoint_folder_of_wan_is_one_thing_and_its_parts_are_none() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let at = |name: &str| dir.path().join(name);
        let wan: &[(&str, &str, &[u64])] =
            &[("head.modulation", "BF16", &[1, 1, 5120]), ("patch_embedding.weight", "BF16", &[1, 16])];
        for half in ["low_noise_model", "high_noise_model"] {
            write(&at(&format!("A14B/{half}/diffusion_pytorch_model-00001-of-00006.safetensors")), wan);
            fs::write_atomic(&at(&format!("A14B/{half}/config.json")), r#"{"model_type": "t2v"}"#)
                .expect("written");
        }
        fs::write_atomic(&at("A14B/Wan2.1_VAE.pth"), "x").expect("written");
        let model = schema::model("wan").expect("a type");
        let shown = || -> Vec<_> {
            let found = search(dir.path(), model).found.into_iter();
            found
                .map(|it| {
                    format!(
                        "{}: {}: {}",
                        it.key,
                        it.what[0].0,
                        it.what[0].1.strip_prefix(dir.path()).expect("below").display()
                    )
                })
                .collect()
        };
        let folder = "ckpt_path: Wan checkpoint (t2v): A14B";
        assert_eq!(
            shown(),
            [
                folder,
                "transformer_path: Wan 2.2 low-noise transformer: A14B/low_noise_model",
                "min_t: 0.0, where the low-noise model works: A14B/low_noise_model",
                "max_t: 0.875, where the low-noise model works: A14B/low_noise_model",
            ]
        );
        for noise in ["high", "low"] {
            write(&at(&format!("wan2.2_t2v_{noise}_noise_14B.safetensors")), wan);
        }
        let file = "transformer_path: Wan 2.2 low-noise text-to-video transformer, bf16: wan2.2_t2v_low_noise_14B.safetensors";
        assert_eq!(shown()[..2], [folder, file]);
        fs::remove_tree(&at("wan2.2_t2v_low_noise_14B.safetensors")).expect("removed");
        let range = "min_t: 0.875, where the high-noise model works: wan2.2_t2v_high_noise_14B.safetensors";
        assert_eq!(shown()[2], range);
    }
}
