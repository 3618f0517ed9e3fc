//! What the heads of model files say: nobody has to load 30 GB to find out that they do not fit.

use std::path::PathBuf;

use super::{Finding, Rule, Subject, all, one};
use crate::{
    config::{
        paths::{self, Role},
        safetensors::{Fault, Safetensors},
        schema::{Ability, PathKind},
    },
    platform::fs,
};

pub(super) const RULES: &[Rule] = &[
    all(&["damaged-file"], damaged_file),
    one(&["flux2-width-known"], flux2_width_known),
    one(&["hy15-not-distilled"], hy15_not_distilled),
    all(&["no-fp8-scaled-outside-comfy"], no_fp8_scaled_outside_comfy),
    one(&["comfy-quantised-needs-adapter"], comfy_quantised_needs_adapter),
    one(&["comfy-text-encoder-matches-model"], comfy_text_encoder_matches_model),
];

/// A safetensors file that the configuration names, or one in a folder that it names.
pub(in crate::config) struct Head<'a> {
    pub(in crate::config) key: &'a str,
    span: std::ops::Range<usize>,
    path: PathBuf,
    /// The trainer opens it; in a whole folder of Diffusers or Wan it opens some of the files only.
    is_opened: bool,
    pub(in crate::config) read: Result<Safetensors, Fault>,
}

pub(super) fn read<'a>(s: &Subject<'a>) -> Vec<Head<'a>> {
    let uses = paths::in_training(s.source(), s.text("model.type"));
    let inputs = uses.into_iter().filter(|it| matches!(it.role, Role::Input(..)) && !it.text.is_empty());
    let is_safetensors = |path: &PathBuf| path.extension().is_some_and(|it| it == "safetensors");
    let files = |place: PathBuf| {
        if !fs::is_dir(&place) {
            return vec![place];
        }
        fs::names(&place).unwrap_or_default().into_iter().map(|name| place.join(name)).collect()
    };
    inputs
        .flat_map(|it| {
            let files = files(s.base.absolute(it.text));
            let wanted = files.into_iter().filter(is_safetensors).filter(|path| fs::is_file(path));
            let is_opened = !matches!(
                it.role,
                Role::Input(PathKind::Folder | PathKind::FolderOrHub, "model-files-exist")
            );
            let head = move |path: PathBuf| Head {
                key: it.key,
                span: it.span.clone(),
                is_opened,
                read: Safetensors::read(&path),
                path,
            };
            wanted.map(head).collect::<Vec<_>>()
        })
        .collect()
}

/// The whole files that `key` names.
fn of<'s>(s: &'s Subject, key: &str) -> impl Iterator<Item = (&'s Head<'s>, &'s Safetensors)> {
    let heads = s.heads().iter().filter(move |it| it.key == key);
    heads.filter_map(|it| Some((it, it.read.as_ref().ok()?)))
}

fn damaged_file(s: &Subject, found: &mut Vec<Finding>) {
    for Head { key, span, path, is_opened, read } in s.heads() {
        if let Err(fault) = read {
            let message = format!("`{key}`: `{}` cannot be loaded: {fault}", path.display());
            let at = s.source().at(Some(span.clone()));
            let finding = match is_opened {
                true => Finding::error("damaged-file", at, message),
                false => Finding::warning("damaged-file", at, message),
            };
            found.push(finding.fix(fault.fix()));
        }
    }
}

/// As the trainer finds it out (models/flux2.py:28-51).
fn flux2_width_known(s: &Subject) -> Option<Finding> {
    const KNOWN: [u64; 3] = [6144, 3072, 4096];
    let (head, file) = of(s, "diffusion_model").next().filter(|_| s.is(&["flux2"]))?;
    let tensor = file.tensors.iter().find(|(name, _)| name.contains("img_in.weight"));
    let width = tensor.and_then(|(_, tensor)| tensor.shape.first());
    let message = match width {
        Some(width) if KNOWN.contains(width) => return None,
        Some(width) => format!("`{}` is of no known FLUX.2: its width is {width}", head.path.display()),
        None => format!("`{}` is no FLUX.2: it has no `img_in.weight`", head.path.display()),
    };
    Some(
        s.error("flux2-width-known", "model.diffusion_model", message)
            .fix("name the file of FLUX.2 dev, klein 4B or klein 9B"),
    )
}

/// ComfyUI takes a model for distilled that has these tensors (`comfy/model_detection.py`), and the trainer refuses it.
fn hy15_not_distilled(s: &Subject) -> Option<Finding> {
    let (head, file) = of(s, "diffusion_model").next().filter(|_| s.is(&["hunyuan_video_15"]))?;
    file.tensors.keys().any(|name| name.contains("guidance_in.")).then(|| {
        let message = format!("`{}` is a distilled model, which cannot be trained", head.path.display());
        s.error("hy15-not-distilled", "model.diffusion_model", message)
            .fix("name the file of the model that is not distilled")
    })
}

/// Keys whose files go through `load_state_dict` and `iterate_safetensors` (utils/common.py:84, 102).
fn plain_keys(model: &str) -> &'static [&'static str] {
    match model {
        "auraflow" | "cosmos" | "qwen_image" => &["transformer_path", "text_encoder_path", "vae_path"],
        "chroma" => &["transformer_path"],
        "cosmos_predict2" | "anima" => &["transformer_path", "t5_path", "llm_path", "llm_adapter_path"],
        "hunyuan_image" => &["transformer_path", "text_encoder_path", "vae_path", "byt5_path"],
        "lumina_2" => &["llm_path"],
        _ => &[],
    }
}

fn no_fp8_scaled_outside_comfy(s: &Subject, found: &mut Vec<Finding>) {
    for key in s.model.map_or(&[][..], |it| plain_keys(it.name)) {
        let scaled = |file: &Safetensors| {
            file.tensors.keys().any(|it| it.ends_with("scale_input") || it.ends_with("scale_weight"))
        };
        if let Some((head, _)) = of(s, key).find(|(_, file)| scaled(file)) {
            let message = format!("`{}` holds scaled 8-bit weights (fp8_scaled)", head.path.display());
            let path = format!("model.{key}");
            found.push(
                s.error("no-fp8-scaled-outside-comfy", &path, message)
                    .fix("name the file of bf16, or of plain fp8, weights"),
            );
        }
    }
}

/// The names that ComfyUI's quantised layers have in a file (`comfy/quant_ops.py` and older spellings).
fn is_quantised(file: &Safetensors) -> bool {
    let marks = ["scale_weight", "weight_scale", "comfy_quant", "scaled_fp8"];
    file.tensors.keys().any(|name| marks.iter().any(|mark| name.ends_with(mark)))
}

fn comfy_quantised_needs_adapter(s: &Subject) -> Option<Finding> {
    s.model.filter(|it| it.can(Ability::QuantisedWeights))?;
    let (head, _) = of(s, "diffusion_model").find(|(_, file)| is_quantised(file))?;
    // With a type to keep them in, the weights are dequantised.
    (!s.has("adapter") && !s.has("model.diffusion_model_dtype")).then(|| {
        let message = format!("`{}` holds quantised weights, which cannot be trained", head.path.display());
        s.error("comfy-quantised-needs-adapter", "model.diffusion_model", message)
            .fix("add `[adapter]`, or name the file of bf16 weights")
    })
}

/// FLUX.2 takes three hidden states of its text encoder side by side, so their widths tell whether the two fit.
fn comfy_text_encoder_matches_model(s: &Subject) -> Option<Finding> {
    const STATES: u64 = 3;
    let (_, model) = of(s, "diffusion_model").next().filter(|_| s.is(&["flux2"]))?;
    let (head, encoder) = of(s, "path").chain(of(s, "paths")).next()?;
    let takes = *model.ending("txt_in.weight")?.shape.get(1)?;
    let gives = *encoder.ending("embed_tokens.weight")?.shape.get(1)?;
    (takes != STATES * gives).then(|| {
        let message = format!(
            "the text encoder `{}` is of width {gives}, and this model wants one of {}",
            head.path.display(),
            takes / STATES
        );
        s.error("comfy-text-encoder-matches-model", "model.text_encoders", message)
            .fix("name the text encoder of this variant: Mistral Small for dev, Qwen3 4B or 8B for klein")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    const SCALED: &str =
        "\u{44}\0\0\0\0\0\0\0{\"a.scale_weight\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]}}";
    // The head's length has to be UTF-8 in here: 0x0112, with spaces at its end.
    const DEV: &str = concat!(
        "\u{12}\u{1}\0\0\0\0\0\0",
        "{\"img_in.weight\":{\"dtype\":\"BF16\",\"shape\":[6144,0],\"data_offsets\":[0,0]},\"txt_in.weight\":{\"dtype\":\"BF16\",\"shape\":[0,15360],\"data_offsets\":[0,0]}}",
        "                                                                                                                                  ",
    );
    &[
        case(
            "damaged-file",
            "model.llm_path = 'models/torn.safetensors'",
            "model.llm_path = 'models/whole.safetensors'",
        )
        .files(&[
            ("models/torn.safetensors", "\u{36}\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"),
            ("models/whole.safetensors", "\u{37}\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
        ]),
        case(
            "flux2-width-known",
            "model = { type = 'flux2', diffusion_model = 'models/new.safetensors' }",
            "model = { type = 'flux2', diffusion_model = 'models/klein.safetensors' }",
        )
        .files(&[
            ("models/new.safetensors", "\u{48}\0\0\0\0\0\0\0{\"img_in.weight\":{\"dtype\":\"BF16\",\"shape\":[2048,0],\"data_offsets\":[0,0]}}"),
            ("models/klein.safetensors", "\u{48}\0\0\0\0\0\0\0{\"img_in.weight\":{\"dtype\":\"BF16\",\"shape\":[4096,0],\"data_offsets\":[0,0]}}"),
        ]),
        case(
            "hy15-not-distilled",
            "model = { type = 'hunyuan_video_15', diffusion_model = 'models/distilled.safetensors' }",
            "model = { type = 'hunyuan_video_15', diffusion_model = 'models/plain.safetensors' }",
        )
        .files(&[
            ("models/distilled.safetensors", "\u{51}\0\0\0\0\0\0\0{\"guidance_in.in_layer.weight\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
            ("models/plain.safetensors", "\u{43}\0\0\0\0\0\0\0{\"img_in.weight\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]}}"),
        ]),
        case(
            "no-fp8-scaled-outside-comfy",
            "model = { type = 'chroma', transformer_path = 'models/scaled.safetensors' }",
            "model = { type = 'z_image', diffusion_model = 'models/scaled.safetensors' }",
        )
        .files(&[("models/scaled.safetensors", SCALED)]),
        case(
            "comfy-quantised-needs-adapter",
            "adapter = '-'\nmodel = { type = 'z_image', diffusion_model = 'models/scaled.safetensors' }",
            "model = { type = 'z_image', diffusion_model = 'models/scaled.safetensors' }",
        )
        .files(&[("models/scaled.safetensors", SCALED)]),
        case(
            "comfy-text-encoder-matches-model",
            "model = { type = 'flux2', diffusion_model = 'models/dev.safetensors', \
             text_encoders = [{ type = 'flux2', path = 'models/qwen.safetensors' }] }",
            "model = { type = 'flux2', diffusion_model = 'models/dev.safetensors', \
             text_encoders = [{ type = 'flux2', path = 'models/mistral.safetensors' }] }",
        )
        .files(&[
            ("models/dev.safetensors", DEV),
            ("models/qwen.safetensors", "\u{4e}\0\0\0\0\0\0\0{\"embed_tokens.weight\":{\"dtype\":\"BF16\",\"shape\":[0,2560],\"data_offsets\":[0,0]}}"),
            ("models/mistral.safetensors", "\u{4e}\0\0\0\0\0\0\0{\"embed_tokens.weight\":{\"dtype\":\"BF16\",\"shape\":[0,5120],\"data_offsets\":[0,0]}}"),
        ]),
    ]
};
