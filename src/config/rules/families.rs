//! What holds for some types of `[model]` only.

use std::path::Path;

use super::{Finding, Rule, Subject, all, one};
use crate::config::schema;

pub(super) const RULES: &[Rule] = &[
    one(&["cosmos-predict2-fp8-kind"], cosmos_predict2_fp8_kind),
    one(&["cosmos-predict2-t5-wins"], cosmos_predict2_t5_wins),
    all(&["cosmos-predict2-te-quant"], cosmos_predict2_te_quant),
    one(&["cosmos-predict2-optimizer-lr"], cosmos_predict2_optimizer_lr),
    one(&["multiscale-images-only"], multiscale_images_only),
    one(&["comfy-single-text-encoder"], comfy_single_text_encoder),
    all(&["comfy-text-encoder-type-known", "text-encoder-type"], comfy_text_encoder_type),
    one(&["minimax-cfg-or-adapter"], minimax_cfg_or_adapter),
    one(&["sdxl-debiased-false-is-true"], sdxl_debiased_false_is_true),
    one(&["hunyuan-video-dtype"], hunyuan_video_dtype),
    one(&["wan-skyreels-by-folder-name"], wan_skyreels_by_folder_name),
];

const COSMOS_PREDICT2: &[&str] = &["cosmos_predict2", "anima"];

fn cosmos_predict2_fp8_kind(s: &Subject) -> Option<Finding> {
    let dtype = s.text("model.transformer_dtype").filter(|it| ["float8", "float8_e4m3fn"].contains(it))?;
    s.is(&["cosmos_predict2"]).then(|| {
        let message = format!("`transformer_dtype = '{dtype}'` gives poor results with this model type");
        s.warning("cosmos-predict2-fp8-kind", "model.transformer_dtype", message)
            .fix("use `float8_e5m2`")
            .edit(s.set("model.transformer_dtype", "float8_e5m2"))
    })
}

fn cosmos_predict2_t5_wins(s: &Subject) -> Option<Finding> {
    let both = s.has("model.t5_path") && s.has("model.llm_path");
    (s.is(COSMOS_PREDICT2) && both).then(|| {
        s.warning(
            "cosmos-predict2-t5-wins",
            "model.llm_path",
            "`llm_path` is not used: `t5_path` wins over it",
        )
        .fix("remove one of the two")
    })
}

fn cosmos_predict2_te_quant(s: &Subject, found: &mut Vec<Finding>) {
    const ID: &str = "cosmos-predict2-te-quant";
    if !s.is(COSMOS_PREDICT2) {
        return;
    }
    let on = |key: &str| s.flag(key) == Some(true);
    let (nf4, fp8) = ("model.text_encoder_nf4", "model.text_encoder_fp8");
    if !s.has("model.t5_path") {
        for path in [nf4, fp8].into_iter().filter(|key| on(key)) {
            let key = path.trim_start_matches("model.");
            let message =
                format!("`{key}` is not used: it is for the encoder in `t5_path`, which is not set");
            found.push(s.warning(ID, path, message).fix("remove it"));
        }
    } else if on(nf4) && on(fp8) {
        let message = "`text_encoder_fp8` is not used: `text_encoder_nf4` wins over it";
        found.push(s.warning(ID, fp8, message).fix("remove one of the two"));
    }
}

fn cosmos_predict2_optimizer_lr(s: &Subject) -> Option<Finding> {
    let needs = s.model?.requires.iter().any(|key| key == "optimizer.lr");
    // Those that do not go without it anyway are told so by the optimizer's own keys.
    let told = s.text("optimizer.type").is_some_and(needs_lr);
    (needs && s.has("optimizer") && !s.has("optimizer.lr") && !told).then(|| {
        let message = "`[optimizer]` lacks `lr`, which this model type's groups of weights need";
        s.error("cosmos-predict2-optimizer-lr", "optimizer", message).fix("set `lr` in `[optimizer]`")
    })
}

fn needs_lr(optimizer: &str) -> bool {
    let key = schema::key(schema::Section::Optimizer(Some(optimizer)), "lr");
    key.is_some_and(|key| key.required == schema::Required::Yes)
}

fn multiscale_images_only(s: &Subject) -> Option<Finding> {
    const KEY: &str = "model.multiscale_loss_weight";
    let weight = s.number(KEY).filter(|it| *it != 0.0)?;
    let long = |frames: Option<Vec<i64>>| frames.is_some_and(|all| all.iter().any(|it| *it > 1));
    let with_videos = s.datasets.iter().any(|root| {
        let last = |bucket: &toml_edit::Value| bucket.as_array()?.get(2)?.as_integer();
        std::iter::once(root.clone()).chain(root.views("directory")).any(|table| {
            long(table.list("frame_buckets", toml_edit::Value::as_integer))
                || long(table.list("size_buckets", last))
        })
    });
    (s.is(COSMOS_PREDICT2) && with_videos).then(|| {
        let message =
            format!("`multiscale_loss_weight = {weight}` works on images only, and there are frame buckets");
        s.error("multiscale-images-only", KEY, message).fix("remove it, or train on images only")
    })
}

fn comfy_single_text_encoder(s: &Subject) -> Option<Finding> {
    s.model?.key("text_encoders")?;
    let count = s.view("model")?.views("text_encoders").len();
    (count > 1).then(|| {
        let message = format!("all {count} `text_encoders` would load the files of the last one");
        s.warning("comfy-single-text-encoder", "model.text_encoders", message)
            .fix("keep one entry; files that belong together go into its `paths`")
    })
}

fn comfy_text_encoder_type(s: &Subject, found: &mut Vec<Finding>) {
    let Some(expected) = s.model.and_then(|it| it.key("text_encoders")) else { return };
    let Some(key) = schema::key(schema::Section::TextEncoder, "type") else { return };
    for encoder in s.view("model").map(|it| it.views("text_encoders")).unwrap_or_default() {
        let Some(name) = encoder.text("type") else { continue };
        let known = key.choices.iter().any(|it| it.as_str().is_some_and(|it| it.eq_ignore_ascii_case(name)));
        let wanted = expected.items_type.as_deref();
        if !known {
            let message = format!("`type = '{name}'` is no text encoder of ComfyUI's");
            let finding = encoder.warning("comfy-text-encoder-type-known", "type", message);
            found.push(match wanted {
                Some(wanted) => {
                    finding.fix(format!("set `type = '{wanted}'`")).edit(encoder.set("type", wanted))
                }
                None => finding.fix("name one of ComfyUI's CLIP types"),
            });
        } else if let Some(wanted) = wanted.filter(|it| !it.eq_ignore_ascii_case(name)) {
            let message = format!("the text encoder of this model type is of type `{wanted}`, not `{name}`");
            let fix = format!("set `type = '{wanted}'`");
            found.push(encoder.warning("text-encoder-type", "type", message).fix(fix));
        }
    }
}

fn minimax_cfg_or_adapter(s: &Subject) -> Option<Finding> {
    let cfg = s.number("model.cfg").filter(|cfg| *cfg > 1.0)?;
    let merged = s.get("model.merge_adapters")?.as_array().is_some_and(|it| !it.is_empty());
    (s.is(&["minimax_h3"]) && merged).then(|| {
        let message = format!("`cfg = {cfg}` and `merge_adapters` are two ways to the same end");
        s.warning("minimax-cfg-or-adapter", "model.cfg", message).fix("use one of the two")
    })
}

fn sdxl_debiased_false_is_true(s: &Subject) -> Option<Finding> {
    const KEY: &str = "model.debiased_estimation_loss";
    (s.is(&["sdxl"]) && s.flag(KEY) == Some(false)).then(|| {
        let message =
            "`debiased_estimation_loss = false` turns it on: the trainer asks only whether it is there";
        s.warning("sdxl-debiased-false-is-true", KEY, message).fix("remove it").edit(s.remove(KEY))
    })
}

/// It looks the type up in a table of its own (`models/hunyuan_video.py:32`, `hyvideo/constants.py`).
fn hunyuan_video_dtype(s: &Subject) -> Option<Finding> {
    let dtype = s.text("model.dtype").filter(|it| it.starts_with("float8") && s.is(&["hunyuan-video"]))?;
    schema::about().dtypes.iter().any(|it| it == dtype).then(|| {
        let message =
            format!("`dtype` of this model type must be `float32`, `float16` or `bfloat16`, not `{dtype}`");
        s.error("hunyuan-video-dtype", "model.dtype", message)
            .fix("set `dtype = 'bfloat16'`; 8 bits are for `transformer_dtype`")
    })
}

fn wan_skyreels_by_folder_name(s: &Subject) -> Option<Finding> {
    let path = Path::new(s.text("model.ckpt_path")?);
    let name = path.file_name()?.to_str()?;
    (s.is(&["wan"]) && name.to_lowercase().contains("skyreels")).then(|| {
        let message =
            format!("`{name}` is taken for SkyReels by its name: videos are re-timed to 24 frames a second");
        s.note("wan-skyreels-by-folder-name", "model.ckpt_path", message)
            .fix("rename the folder if it holds another model")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    const WAN: &str = r#"{ "model_type": "t2v", "dim": 5120 }"#;
    use super::cases::case;
    &[
        case(
            "cosmos-predict2-fp8-kind",
            "model = { type = 'cosmos_predict2', transformer_dtype = 'float8' }",
            "model = { type = 'cosmos_predict2', transformer_dtype = 'float8_e5m2' }",
        ),
        case(
            "cosmos-predict2-t5-wins",
            "model = { type = 'anima', llm_path = 'models/vae_path.safetensors' }",
            "model = { type = 'anima' }",
        ),
        case(
            "cosmos-predict2-te-quant",
            "model = { type = 'anima', text_encoder_nf4 = true, text_encoder_fp8 = true }",
            "model = { type = 'anima', text_encoder_nf4 = true, text_encoder_fp8 = false }",
        ),
        case(
            "cosmos-predict2-optimizer-lr",
            "model.type = 'anima'\noptimizer = { type = 'automagic', lr = '-' }",
            "model.type = 'wan'\noptimizer = { type = 'automagic', lr = '-' }",
        ),
        case(
            "comfy-single-text-encoder",
            "model = { type = 'z_image', text_encoders = [{ type = 'lumina2', path = 'models/vae.safetensors' }, { type = 'lumina2', path = 'models/vae.safetensors' }] }",
            "model = { type = 'z_image', text_encoders = [{ type = 'lumina2', paths = ['models/vae.safetensors', 'models/vae.safetensors'] }] }",
        ),
        case(
            "comfy-text-encoder-type-known",
            "model = { type = 'z_image', text_encoders = [{ type = 'lumina', path = 'models/vae.safetensors' }] }",
            "model = { type = 'z_image', text_encoders = [{ type = 'Lumina2', path = 'models/vae.safetensors' }] }",
        ),
        case(
            "text-encoder-type",
            "model = { type = 'z_image', text_encoders = [{ type = 'flux', path = 'models/vae.safetensors' }] }",
            "model = { type = 'z_image', text_encoders = [{ type = 'lumina2', path = 'models/vae.safetensors' }] }",
        ),
        case(
            "minimax-cfg-or-adapter",
            "model = { type = 'minimax_h3', cfg = 1.5, merge_adapters = ['models/vae.safetensors'] }",
            "model = { type = 'minimax_h3', cfg = 1.5, merge_adapters = [] }",
        ),
        case(
            "hunyuan-video-dtype",
            "model = { type = 'hunyuan-video', dtype = 'float8' }",
            "model = { type = 'hunyuan-video', dtype = 'float16' }",
        ),
        case(
            "multiscale-images-only",
            "dataset = 'v.toml'\nmodel = { type = 'anima', multiscale_loss_weight = 0.5 }",
            "model = { type = 'anima', multiscale_loss_weight = 0.5 }",
        )
        .files(&[("v.toml", "resolutions = [512]\nframe_buckets = [1, 33]\n[[directory]]\npath = 'data'\n")]),
        case(
            "sdxl-debiased-false-is-true",
            "model = { type = 'sdxl', debiased_estimation_loss = false }",
            "model = { type = 'sdxl', debiased_estimation_loss = true }",
        ),
        case(
            "wan-skyreels-by-folder-name",
            "model.ckpt_path = 'models/SkyReels-V2'",
            "model.ckpt_path = 'skyreels/Wan2.1'",
        )
        .files(&[("models/SkyReels-V2/config.json", WAN), ("skyreels/Wan2.1/config.json", WAN)]),
    ]
};
