//! What model a safetensors file holds, by the names and shapes of its tensors, and which key it can be given to.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::platform::fs;

use super::{
    safetensors::{Safetensors, Tensor},
    schema::{Items, Key, ModelType, PathKind},
    starter,
};

/// How deep below the folder with the models is looked, and at how many files at most.
const DEPTH: usize = 4;
const FILES: usize = 2000;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weights {
    /// `FLUX.1 transformer`.
    pub name: String,
    /// How the numbers are kept: `bf16`, `fp8-scaled`.
    pub storage: String,
    fits: &'static [String],
    variant: Option<&'static str>,
}

impl Weights {
    /// Whether it can be the value of a key of a model type.
    pub fn fits(&self, model: &str, key: &str) -> bool {
        self.fits.iter().any(|it| it.split_once('.') == Some((model, key)))
    }
}

/// What was found for a key of `[model]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Found {
    pub key: &'static str,
    pub value: Value,
    /// What the file or folder is, and where.
    pub what: Vec<(String, PathBuf)>,
    /// Others that would do.
    pub others: Vec<PathBuf>,
}

/// Recognises what `file` holds; `path` may say what the tensors cannot, such as the half of the noise range.
pub fn recognise(file: &Safetensors, path: &Path) -> Option<Weights> {
    let names = Names::of(file);
    let found = SIGNATURES.iter().find(|it| it.matches(&names))?;
    let file_name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let noise = ["high", "low"].into_iter().find(|noise| {
        found.name.starts_with("Wan 14B")
            && [format!("{noise}_noise"), format!("{noise}noise")].iter().any(|it| file_name.contains(it))
    });
    let name = match noise {
        Some(noise) => found.name.replace("Wan 14B", &format!("Wan 2.2 {noise}-noise")),
        None => found.name.clone(),
    };
    Some(Weights { name, storage: storage(file), fits: &found.fits, variant: found.variant.as_deref() })
}

/// Looks below `dir` for what a model type needs. Of several files for one key, that with the usual name, else the
/// first by name, is taken.
pub fn search(dir: &Path, model: &'static ModelType) -> Vec<Found> {
    let mut files = vec![];
    let mut folders = vec![];
    walk(dir, DEPTH, &mut files, &mut folders);
    let from_folders: Vec<Found> = model.keys.iter().filter_map(|key| folder(&folders, model, key)).collect();
    // What is in the checkpoint's own folder is loaded with it.
    let checkpoint = from_folders.iter().find(|it| it.key == "ckpt_path").map(|it| it.what[0].1.clone());
    files.retain(|path| checkpoint.as_ref().is_none_or(|folder| !path.starts_with(folder)));
    let known: Vec<(PathBuf, Weights)> = files
        .into_iter()
        .filter_map(|path| Some((recognise(&Safetensors::read(&path).ok()?, &path)?, path)))
        .map(|(weights, path)| (path, weights))
        .collect();
    let from_files = in_files(&known, model);
    let half = checkpoint.filter(|_| from_files.iter().all(|it| it.key != "transformer_path"));
    let half = half.and_then(|folder| half_of(&folder, model));
    let mut found: Vec<Found> = from_folders.into_iter().chain(from_files).chain(half).collect();
    found.sort_by_key(|it| model.keys.iter().position(|key| key.name == it.key));
    found
}

fn in_files(known: &[(PathBuf, Weights)], model: &'static ModelType) -> Vec<Found> {
    let mut usual = Table::new();
    if let Some(starter) = starter::of(model.name) {
        usual.extend(starter.hints.model);
        usual.extend(starter.values.model);
    }
    // Transformer and text encoder have to be of one variant, and the transformer says which.
    let transformer = model.paths().next();
    let variant = transformer.and_then(|key| pick(known, model, key, &usual, None).first()?.1.variant);
    let one = |key: &'static Key| {
        let fitting = pick(known, model, key, &usual, variant);
        match (key.path, key.items) {
            (Some(PathKind::File | PathKind::FileOrFolder), _) => {
                let (path, weights) = fitting.first()?;
                Some(Found {
                    key: &key.name,
                    value: Value::String(path.to_str()?.to_owned()),
                    what: vec![(described(weights), path.clone())],
                    others: fitting[1..].iter().map(|(path, _)| path.clone()).collect(),
                })
            }
            (None, Some(Items::TextEncoder)) => encoder(&fitting, key),
            _ => None,
        }
    };
    model.keys.iter().filter_map(one).collect()
}

/// Wan 2.2 A14B is two models in one folder; the one for little noise can also be used alone.
fn half_of(folder: &Path, model: &'static ModelType) -> Option<Found> {
    let half = folder.join("low_noise_model");
    let key = model.key("transformer_path").filter(|_| fs::is_file(&half.join("config.json")))?;
    Some(Found {
        key: &key.name,
        value: Value::String(half.to_str()?.to_owned()),
        what: vec![("Wan 2.2 low-noise transformer".to_owned(), half)],
        others: vec![folder.join("high_noise_model")],
    })
}

fn described(weights: &Weights) -> String {
    format!("{}, {}", weights.name, weights.storage)
}

/// The files that `key` can be given, the likeliest first.
fn pick<'a>(
    known: &'a [(PathBuf, Weights)],
    model: &ModelType,
    key: &Key,
    usual: &Table,
    variant: Option<&str>,
) -> Vec<&'a (PathBuf, Weights)> {
    let same = |weights: &Weights| match (variant, weights.variant) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    };
    let mut fitting: Vec<_> =
        known.iter().filter(|(_, it)| it.fits(model.name, &key.name) && same(it)).collect();
    let usual = usual.get(&key.name).map(ToString::to_string).unwrap_or_default();
    let likeness = |path: &Path| {
        strsim::jaro_winkler(&path.file_name().unwrap_or_default().to_string_lossy(), usual.trim_matches('"'))
    };
    fitting.sort_by(|(a, _), (b, _)| likeness(b).total_cmp(&likeness(a)));
    fitting
}

/// One entry of `text_encoders`, with as many files as there are kinds of them.
fn encoder(fitting: &[&(PathBuf, Weights)], key: &'static Key) -> Option<Found> {
    let mut names = BTreeSet::new();
    let (taken, others): (Vec<_>, Vec<_>) =
        fitting.iter().copied().partition(|(_, it)| names.insert(it.name.clone()));
    let paths: Option<Vec<Value>> =
        taken.iter().map(|(path, _)| Some(Value::String(path.to_str()?.to_owned()))).collect();
    let mut paths = paths.filter(|it| !it.is_empty())?;
    let mut entry = Table::new();
    if paths.len() == 1 {
        entry.insert("path".to_owned(), paths.remove(0));
    } else {
        entry.insert("paths".to_owned(), Value::Array(paths));
    }
    entry.insert("type".to_owned(), Value::String(key.items_type.clone()?));
    Some(Found {
        key: &key.name,
        value: Value::Array(vec![Value::Table(entry)]),
        what: taken.iter().map(|(path, weights)| (described(weights), path.clone())).collect(),
        others: others.iter().map(|(path, _)| path.clone()).collect(),
    })
}

/// A folder that says what it is: `model_index.json` of diffusers, `config.json` of Wan.
fn folder(folders: &[PathBuf], model: &ModelType, key: &'static Key) -> Option<Found> {
    let classes: &[&str] = match (model.name, key.name.as_str()) {
        ("flux", "diffusers_path") => &["FluxPipeline", "FluxKontextPipeline"],
        ("chroma", "diffusers_path") => &["FluxPipeline"],
        ("sd3", "diffusers_path") => &["StableDiffusion3Pipeline"],
        ("ltx-video", "diffusers_path") => &["LTXPipeline"],
        ("hidream", "diffusers_path") => &["HiDreamImagePipeline"],
        ("qwen_image", "diffusers_path") => &["QwenImagePipeline", "QwenImageEditPipeline"],
        ("omnigen2", "diffusers_path") => &["OmniGen2Pipeline"],
        ("wan", "ckpt_path") => &[],
        _ => return None,
    };
    let what = |folder: &PathBuf| {
        let is_class = |it: &String| classes.contains(&it.as_str());
        let name = if classes.is_empty() { wan(folder)? } else { index(folder).filter(is_class)? };
        Some((name, folder.clone()))
    };
    let mut found = folders.iter().filter_map(what);
    let (name, path) = found.next()?;
    Some(Found {
        key: &key.name,
        value: Value::String(path.to_str()?.to_owned()),
        what: vec![(name, path)],
        others: found.map(|(_, path)| path).collect(),
    })
}

fn index(folder: &Path) -> Option<String> {
    let index: serde_json::Value =
        serde_json::from_str(&fs::read_text(&folder.join("model_index.json")).ok()?).ok()?;
    Some(index["_class_name"].as_str()?.to_owned())
}

/// Wan's checkpoint folders have their VAE beside `config.json`, or beside the folders of the two halves.
fn wan(folder: &Path) -> Option<String> {
    let has = |name: &str| fs::is_file(&folder.join(name));
    let config = ["config.json", "low_noise_model/config.json"].into_iter().find(|it| has(it))?;
    let is_wan = has("Wan2.1_VAE.pth") || has("Wan2.2_VAE.pth");
    let config: serde_json::Value = serde_json::from_str(&fs::read_text(&folder.join(config)).ok()?).ok()?;
    let kind = config["model_type"].as_str().filter(|_| is_wan)?;
    Some(format!("Wan checkpoint ({kind})"))
}

fn walk(dir: &Path, depth: usize, files: &mut Vec<PathBuf>, folders: &mut Vec<PathBuf>) {
    folders.push(dir.to_owned());
    for name in fs::names(dir).unwrap_or_default() {
        let path = dir.join(&name);
        if files.len() >= FILES {
            return;
        }
        if path.extension() == Some(OsStr::new("safetensors")) {
            // A part of a model that is cut into several files is none by itself.
            if !name.to_string_lossy().contains("-of-") {
                files.push(path);
            }
        } else if depth > 0 && fs::is_dir(&path) {
            walk(&path, depth - 1, files, folders);
        }
    }
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
    use super::*;
    use crate::config::schema;

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
        // Every file that a ComfyUI type needs can be found, but for those whose tensors nobody has described.
        let unknown = ["minimax_h3.vae", "minimax_h3.audio_vae"];
        for model in schema::models().filter(|it| it.key("diffusion_model").is_some()) {
            let required = model.paths().filter(|key| key.required == schema::Required::Yes);
            for key in required.map(|key| format!("{}.{}", model.name, key.name)) {
                assert!(keys.contains(key.as_str()) || unknown.contains(&key.as_str()), "{key}");
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
        let found = search(dir.path(), schema::model("flux2").expect("a type"));
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
            let found = search(dir.path(), model).into_iter();
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
            [folder, "transformer_path: Wan 2.2 low-noise transformer: A14B/low_noise_model"]
        );
        for noise in ["high", "low"] {
            write(&at(&format!("wan2.2_t2v_{noise}_noise_14B.safetensors")), wan);
        }
        let file = "transformer_path: Wan 2.2 low-noise text-to-video transformer, bf16: wan2.2_t2v_low_noise_14B.safetensors";
        assert_eq!(shown(), [folder, file]);
    }
}
