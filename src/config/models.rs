//! The model types of the trainer, and which of their keys hold paths.
//!
//! Source: the constructors and loaders in diffusion-pipe's `models/`, at the commit that `vendor/sources.toml`
//! pins.

/// What has to be at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    File,
    Folder,
    FileOrFolder,
    /// A folder in the layout of diffusers or transformers, whose loaders also take `OWNER/NAME` on the hub.
    FolderOrHub,
}

/// A key of `[model]` that holds a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathKey {
    pub name: &'static str,
    pub expected: Expected,
    pub required: bool,
}

/// A model type: the value of `type` in `[model]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    pub name: &'static str,
    pub title: &'static str,
    pub paths: &'static [PathKey],
    /// Of each group at least one key has to be there; the rule's name comes first.
    pub one_of: &'static [(&'static str, &'static [&'static str])],
}

use Expected::{File, FileOrFolder, Folder, FolderOrHub};

/// Those types that are built on ComfyUI's loaders share most keys.
const COMFY: &[PathKey] = &[must("diffusion_model", File), must("vae", File)];

const COSMOS_PREDICT2: &[PathKey] = &[
    must("transformer_path", File),
    must("vae_path", File),
    may("t5_path", File),
    may("llm_path", FileOrFolder),
    may("llm_adapter_path", File),
];

const TEXT_ENCODER: &[(&str, &[&str])] = &[("cosmos-predict2-text-encoder", &["t5_path", "llm_path"])];

/// All of them, the demo's last.
pub const MODELS: &[Model] = &[
    model("anima", "Anima", COSMOS_PREDICT2, TEXT_ENCODER),
    model(
        "auraflow",
        "AuraFlow",
        &[
            must("transformer_path", File),
            must("text_encoder_path", FileOrFolder),
            must("vae_path", FileOrFolder),
        ],
        &[],
    ),
    model("chroma", "Chroma", &[must("diffusers_path", FolderOrHub), must("transformer_path", File)], &[]),
    model(
        "cosmos",
        "Cosmos 1.0",
        &[must("transformer_path", File), must("vae_path", File), must("text_encoder_path", File)],
        &[],
    ),
    model("cosmos_predict2", "Cosmos-Predict2", COSMOS_PREDICT2, TEXT_ENCODER),
    model("ernie_image", "ERNIE-Image", COMFY, &[]),
    model("flux", "FLUX.1", &[must("diffusers_path", FolderOrHub), may("transformer_path", File)], &[]),
    model("flux2", "FLUX.2", COMFY, &[]),
    model(
        "hidream",
        "HiDream-I1",
        &[must("diffusers_path", FolderOrHub), must("llama3_path", FolderOrHub)],
        &[],
    ),
    model(
        "hunyuan-video",
        "HunyuanVideo",
        &[
            may("ckpt_path", Folder),
            may("transformer_path", File),
            may("vae_path", File),
            may("llm_path", Folder),
            may("clip_path", Folder),
        ],
        &[
            ("hunyuan-video-sources", &["transformer_path", "ckpt_path"]),
            ("hunyuan-video-sources", &["vae_path", "ckpt_path"]),
            ("hunyuan-video-sources", &["llm_path", "ckpt_path"]),
            ("hunyuan-video-sources", &["clip_path", "ckpt_path"]),
        ],
    ),
    model(
        "hunyuan_image",
        "HunyuanImage 2.1",
        &[
            must("transformer_path", FileOrFolder),
            must("vae_path", FileOrFolder),
            must("text_encoder_path", FileOrFolder),
            must("byt5_path", FileOrFolder),
        ],
        &[],
    ),
    model("hunyuan_video_15", "HunyuanVideo 1.5", COMFY, &[]),
    model("ideogram4", "Ideogram 4", COMFY, &[]),
    model("krea2", "Krea 2", COMFY, &[]),
    model(
        "ltx-video",
        "LTX-Video",
        &[must("diffusers_path", FolderOrHub), must("single_file_path", File)],
        &[],
    ),
    model("ltx2", "LTX-2", &[must("diffusion_model", File), must("text_encoder", File)], &[]),
    model(
        "lumina_2",
        "Lumina Image 2.0",
        &[must("transformer_path", File), must("llm_path", File), must("vae_path", File)],
        &[],
    ),
    model(
        "minimax_h3",
        "MiniMax H3",
        &[must("diffusion_model", File), must("vae", File), must("audio_vae", File)],
        &[],
    ),
    model("omnigen2", "OmniGen2", &[must("diffusers_path", FolderOrHub)], &[]),
    model(
        "qwen_image",
        "Qwen-Image",
        &[
            may("diffusers_path", Folder),
            may("transformer_path", FileOrFolder),
            may("text_encoder_path", FileOrFolder),
            may("vae_path", FileOrFolder),
        ],
        &[
            ("qwen-image-sources", &["transformer_path", "diffusers_path"]),
            ("qwen-image-sources", &["text_encoder_path", "diffusers_path"]),
            ("qwen-image-sources", &["vae_path", "diffusers_path"]),
        ],
    ),
    model("sd3", "Stable Diffusion 3", &[must("diffusers_path", FolderOrHub)], &[]),
    model("sdxl", "Stable Diffusion XL", &[must("checkpoint_path", File)], &[]),
    model(
        "wan",
        "Wan 2.1 and 2.2",
        &[must("ckpt_path", Folder), may("transformer_path", FileOrFolder), may("llm_path", File)],
        &[],
    ),
    model("z_image", "Z-Image", COMFY, &[]),
    model("demo", "the small model of `dpgui demo`, which needs no files", &[], &[]),
];

pub fn find(name: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.name == name)
}

/// The name that is most like `name`, if any is like it at all.
pub fn nearest(name: &str) -> Option<&'static str> {
    let likeness = |model: &Model| strsim::jaro_winkler(&name.to_lowercase(), model.name);
    let best = MODELS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    // Below this are coincidences such as `foo` and `flux`.
    (likeness(best) > 0.75).then_some(best.name)
}

const fn model(
    name: &'static str,
    title: &'static str,
    paths: &'static [PathKey],
    one_of: &'static [(&'static str, &'static [&'static str])],
) -> Model {
    Model { name, title, paths, one_of }
}

const fn must(name: &'static str, expected: Expected) -> PathKey {
    PathKey { name, expected, required: true }
}

const fn may(name: &'static str, expected: Expected) -> PathKey {
    PathKey { name, expected, required: false }
}
