//! What of a model type matters for its data: rate, lengths and sizes.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use toml_edit::Item;

use crate::{
    config::{
        TrainConfig,
        schema::{self, FrameRule, ModelType, Variant},
    },
    platform::fs,
};

/// The model of the demo's own trainer, which has one bucket and drops nothing.
pub const DEMO: &str = "demo";

/// What the demo's trainer takes for images. Source: `IMAGES` in `templates/demo/train.py`.
const OF_DEMO: [&str; 8] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// Whether the demo's trainer reads what is called so: it opens no archive.
pub fn demo_reads(name: &OsStr) -> bool {
    let is_one = |suffix: &str| OF_DEMO.iter().any(|it| suffix.eq_ignore_ascii_case(it));
    !name.as_bytes().contains(&b'/')
        && Path::new(name).extension().and_then(OsStr::to_str).is_some_and(is_one)
}

/// How a model takes its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataModel {
    /// The type, as in the training file; `None` if no training file says what the data is for.
    pub name: Option<&'static str>,
    /// Sides of a bucket are multiples of this.
    pub bucket_multiple: u32,
    /// What is encoded is scaled to multiples of this.
    pub encode_multiple: u32,
    /// `None` if it takes images only.
    pub video: Option<VideoRule>,
    /// Gives up on images.
    pub videos_only: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoRule {
    /// Frames per second to which videos are re-timed.
    pub rate: u32,
    pub frames: FrameRule,
}

impl DataModel {
    /// Of most models, where none is said.
    pub const UNKNOWN: Self =
        Self { name: None, bucket_multiple: 16, encode_multiple: 16, video: None, videos_only: false };

    /// The model of a training file, with the variant that its files are; `None` if there is no such type.
    pub fn of(config: &TrainConfig) -> Option<Self> {
        let model = schema::model(config.training.model.as_deref()?)?;
        let kind = if model.name == "wan" { wan_kind(config) } else { None };
        let videos_only = kind.as_deref().is_some_and(|it| ["i2v", "flf2v"].contains(&it));
        Some(Self { videos_only, ..Self::new(model, variant(model, config, kind.as_deref())) })
    }

    pub fn new(model: &'static ModelType, variant: Option<&Variant>) -> Self {
        let bucket_multiple = variant.and_then(|it| it.round_pixels_to).unwrap_or(model.round_pixels_to);
        let rate = variant.and_then(|it| it.frame_rate);
        Self {
            name: Some(model.name),
            bucket_multiple,
            encode_multiple: model.encode_round_pixels_to.unwrap_or(bucket_multiple),
            video: model
                .video
                .as_ref()
                .map(|video| VideoRule { rate: rate.unwrap_or(video.frame_rate), frames: video.frames }),
            videos_only: false,
        }
    }
}

/// Only Wan's variants differ in what matters here.
fn variant(model: &'static ModelType, config: &TrainConfig, kind: Option<&str>) -> Option<&'static Variant> {
    let named = |name: &str| model.variants.iter().find(|it| it.name == name);
    match kind {
        Some("ti2v") => named("5B"),
        _ if model.name == "wan" => {
            let folder = model_path(config, "ckpt_path")?;
            let name = folder.file_name()?.to_string_lossy().to_lowercase();
            named("SkyReels").filter(|_| name.contains("skyreels"))
        }
        _ => None,
    }
}

/// `model_type` in the configuration of Wan's weights: `t2v`, `i2v`, `flf2v` or `ti2v`.
/// Source: `WanPipeline.__init__` in `models/wan/wan.py`.
fn wan_kind(config: &TrainConfig) -> Option<String> {
    let folder = model_path(config, "ckpt_path")?;
    let weights = model_path(config, "transformer_path").unwrap_or_else(|| folder.clone());
    if fs::is_dir(&weights) {
        return model_type(&weights.join("config.json"));
    }
    model_type(&folder.join("config.json"))
        .or_else(|| model_type(&folder.join("low_noise_model/config.json")))
}

fn model_path(config: &TrainConfig, key: &str) -> Option<PathBuf> {
    let table = config.source().root().get("model").and_then(Item::as_table_like)?;
    table.get(key).and_then(Item::as_str).map(|text| config.base().absolute(text))
}

fn model_type(file: &Path) -> Option<String> {
    let text = fs::read_optional(file).ok()??;
    let json: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(json.get("model_type")?.as_str()?.to_owned())
}
