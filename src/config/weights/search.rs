//! Looks through a folder for the files that a model type needs.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
};

use serde::Serialize;
use toml::{Table, Value};

use crate::{
    config::{
        safetensors::Safetensors,
        schema::{Items, Key, ModelType, PathKind},
        starter,
    },
    platform::fs,
};

use super::{Noise, Weights, recognise};

/// How deep below the folder with the models is looked, and at how many files at most.
const DEPTH: usize = 4;
const FILES: usize = 2000;

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

/// What a look at a folder came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Search {
    pub found: Vec<Found>,
    /// Safetensors files.
    pub looked_at: usize,
    /// Files of PyTorch, whose content only running it would tell.
    pub closed: Vec<PathBuf>,
}

/// Looks below `dir` for what a model type needs. Of several files for one key, that with the usual name, else the
/// first by name, is taken.
pub fn search(dir: &Path, model: &'static ModelType) -> Search {
    let mut files = vec![];
    let mut folders = vec![];
    let mut closed = vec![];
    walk(dir, DEPTH, &mut files, &mut folders);
    files.retain(|path| {
        let is_open = path.extension() == Some(OsStr::new("safetensors"));
        if !is_open {
            closed.push(path.clone());
        }
        is_open
    });
    let looked_at = files.len();
    let from_folders: Vec<Found> = model.keys.iter().filter_map(|key| folder(&folders, model, key)).collect();
    // What is in the checkpoint's own folder is loaded with it.
    let checkpoint = from_folders.iter().find(|it| it.key == "ckpt_path").map(|it| it.what[0].1.clone());
    files.retain(|path| checkpoint.as_ref().is_none_or(|folder| !path.starts_with(folder)));
    let (mut known, mut unknown) = (vec![], vec![]);
    for path in files {
        match Safetensors::read(&path).ok().map(|file| recognise(&file, &path)) {
            Some(Some(weights)) => known.push((path, weights)),
            Some(None) => unknown.push(path),
            None => {}
        }
    }
    let mut from_files = in_files(&known, model);
    let by_name = model.keys.iter().filter(|key| from_files.iter().all(|it| it.key != key.name));
    let by_name: Vec<Found> = by_name.filter_map(|key| called(&unknown, model, key)).collect();
    from_files.extend(by_name);
    let half = checkpoint.filter(|_| from_files.iter().all(|it| it.key != "transformer_path"));
    let half = half.and_then(|folder| half_of(&folder, model));
    let mut found: Vec<Found> = from_folders.into_iter().chain(from_files).chain(half).collect();
    found.extend(range(&found, model));
    found.sort_by_key(|it| model.keys.iter().position(|key| key.name == it.key));
    Search { found, looked_at, closed }
}

/// What the files of a model type are usually called.
fn usual_names(model: &ModelType) -> Table {
    let mut usual = Table::new();
    if let Some(starter) = starter::of(model.name) {
        usual.extend(starter.hints.model);
        usual.extend(starter.values.model);
    }
    usual
}

/// A file whose tensors nobody has described, under the very name that upstream's documentation has for it.
fn called(unknown: &[PathBuf], model: &ModelType, key: &'static Key) -> Option<Found> {
    let usual = usual_names(model);
    let name = Path::new(usual.get(&key.name)?.as_str()?).file_name()?;
    let path =
        unknown.iter().find(|path| key.path == Some(PathKind::File) && path.file_name() == Some(name))?;
    Some(Found {
        key: &key.name,
        value: Value::String(path.to_str()?.to_owned()),
        what: vec![("not known by its tensors, taken by its name".to_owned(), path.clone())],
        others: vec![],
    })
}

/// One of the two models of Wan 2.2 A14B works in its own half of the noise.
fn range(found: &[Found], model: &'static ModelType) -> Vec<Found> {
    let Some((what, path)) = found.iter().find(|it| it.key == "transformer_path").map(|it| &it.what[0])
    else {
        return vec![];
    };
    let checkpoint = found.iter().find(|it| it.key == "ckpt_path").map(|it| it.what[0].0.as_str());
    let from_image = what.contains("image-to-video") || checkpoint.is_some_and(|it| it.contains("(i2v)"));
    let Some(noise) = Noise::of(path).filter(|_| what.starts_with("Wan 2.2 ")) else { return vec![] };
    let of = |(name, value)| {
        let key = model.key(name)?;
        let what = vec![(format!("{value:?}, where the {} model works", noise.name()), path.clone())];
        Some(Found { key: &key.name, value: Value::Float(value), what, others: vec![] })
    };
    ["min_t", "max_t"].into_iter().zip(noise.range(from_image)).filter_map(of).collect()
}

fn in_files(known: &[(PathBuf, Weights)], model: &'static ModelType) -> Vec<Found> {
    let usual = usual_names(model);
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
        ("hidream", "llama3_path") => &["LlamaForCausalLM"],
        _ => return None,
    };
    let what = |folder: &PathBuf| {
        let is_class = |it: &String| classes.contains(&it.as_str());
        let name = match (classes.is_empty(), &*key.name) {
            (true, _) => wan(folder)?,
            (_, "llama3_path") => architecture(folder).filter(is_class)?,
            _ => index(folder).filter(is_class)?,
        };
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

/// What transformers takes for a text model, which has no `model_index.json`.
fn architecture(folder: &Path) -> Option<String> {
    let config: serde_json::Value =
        serde_json::from_str(&fs::read_text(&folder.join("config.json")).ok()?).ok()?;
    Some(config["architectures"][0].as_str()?.to_owned())
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
        if path
            .extension()
            .is_some_and(|it| ["safetensors", "pt", "pth", "ckpt"].iter().any(|end| it == *end))
        {
            // A part of a model that is cut into several files is none by itself.
            if !name.to_string_lossy().contains("-of-") {
                files.push(path);
            }
        } else if depth > 0 && fs::is_dir(&path) {
            walk(&path, depth - 1, files, folders);
        }
    }
}
