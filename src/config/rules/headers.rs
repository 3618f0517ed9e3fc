//! What the heads of model files say: nobody has to load 30 GB to find out that they do not fit.

use std::path::PathBuf;

use super::{Finding, Rule, Subject, all, one};
use crate::{
    config::{
        paths::{self, Role},
        safetensors::{Fault, Safetensors},
        schema::{Ability, PathKind},
        weights::{self, Noise, WeightsKind},
    },
    platform::fs,
};

pub(super) const RULES: &[Rule] = &[
    all(&["damaged-file"], damaged_file),
    all(&["file-of-another-kind"], file_of_another_kind),
    one(&["wan-noise-range"], wan_noise_range),
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
    /// Named itself, and not the folder that it is in.
    is_named: bool,
    role: Role,
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
            let place = s.base.place(it.text);
            let is_named = !fs::is_dir(&place);
            let files = files(place);
            let wanted = files.into_iter().filter(is_safetensors).filter(|path| fs::is_file(path));
            let head = move |path: PathBuf| Head {
                key: it.key,
                span: it.span.clone(),
                is_named,
                role: it.role,
                read: Safetensors::read(&path),
                path,
            };
            wanted.map(head).collect::<Vec<_>>()
        })
        .collect()
}

impl Head<'_> {
    /// The trainer opens it; in a whole folder of Diffusers or Wan it opens some of the files only.
    fn is_opened(&self) -> bool {
        !matches!(self.role, Role::Input(PathKind::Folder | PathKind::FolderOrHub, "model-files-exist"))
    }

    fn is_of_adapter(&self) -> bool {
        matches!(self.role, Role::Input(_, "adapter-files-exist" | "init-from-existing-folder"))
    }
}

/// The whole files that `key` names.
fn of<'s>(s: &'s Subject, key: &str) -> impl Iterator<Item = (&'s Head<'s>, &'s Safetensors)> {
    let heads = s.heads().iter().filter(move |it| it.key == key);
    heads.filter_map(|it| Some((it, it.read.as_ref().ok()?)))
}

fn damaged_file(s: &Subject, found: &mut Vec<Finding>) {
    for head in s.heads() {
        let Head { key, span, path, read, .. } = head;
        if let Err(fault) = read {
            let message = format!("`{key}`: `{}` cannot be loaded: {fault}", path.display());
            let at = s.source().at(Some(span.clone()));
            let finding = if head.is_opened() {
                Finding::error("damaged-file", at, message)
            } else {
                Finding::warning("damaged-file", at, message)
            };
            found.push(finding.fix(fault.fix()));
        }
    }
}

/// What the tensors say that a file is, against what its key asks for. A file that nobody has described is taken for
/// what it is given as.
fn file_of_another_kind(s: &Subject, found: &mut Vec<Finding>) {
    const ID: &str = "file-of-another-kind";
    let Some(model) = s.model else { return };
    let is_part =
        |path: &std::path::Path| path.file_name().is_some_and(|it| it.to_string_lossy().contains("-of-"));
    for head in s.heads().iter().filter(|it| it.is_named && !is_part(&it.path)) {
        let Some(weights) = head.read.as_ref().ok().and_then(|file| weights::recognise(file, &head.path))
        else {
            continue;
        };
        let Some(wanted) = wanted_kind(head) else { continue };
        let key = if ["path", "paths"].contains(&head.key) { "text_encoders" } else { head.key };
        let names = if head.is_of_adapter() { vec![] } else { weights::fitting(model.name, key) };
        let is_other_kind = weights.kind != wanted;
        // A text encoder may come with or without the part of it that sees.
        let plain = |name: &str| name.replace("-VL", "");
        let is_known = names.is_empty() || names.iter().any(|it| plain(it) == plain(&weights.name));
        if weights.fits(model.name, key) || !is_other_kind && (is_known || is_shared(s, wanted)) {
            continue;
        }
        let at = s.source().at(Some(head.span.clone()));
        let wants =
            if is_other_kind || names.is_empty() { name_of(wanted).to_owned() } else { names.join(" or ") };
        let message =
            format!("`{}`: `{}` is no {wants}: it is a {}", head.key, head.path.display(), weights.name);
        // Another model is never loaded; what encodes for one may do for another that nobody has tried.
        let finding = if is_other_kind || wanted == WeightsKind::Model {
            Finding::error(ID, at, message)
        } else {
            Finding::warning(ID, at, message)
        };
        found.push(finding.fix(format!("name the {wants} of `{}`", model.name)));
    }
}

fn wanted_kind(head: &Head) -> Option<WeightsKind> {
    if head.is_of_adapter() {
        return Some(WeightsKind::Lora);
    }
    Some(match head.key {
        "transformer_path" | "diffusion_model" | "single_file_path" | "checkpoint_path" => WeightsKind::Model,
        "vae" | "vae_path" | "audio_vae" => WeightsKind::Vae,
        "path" | "paths" | "text_encoder" | "text_encoder_path" | "llm_path" | "t5_path" | "byt5_path" => {
            WeightsKind::TextEncoder
        }
        "merge_adapters" => WeightsKind::Lora,
        _ => return None,
    })
}

const fn name_of(kind: WeightsKind) -> &'static str {
    match kind {
        WeightsKind::Model => "model",
        WeightsKind::Vae => "VAE",
        WeightsKind::TextEncoder => "text encoder",
        WeightsKind::Lora => "LoRA",
    }
}

/// One class of the trainer loads both types, with and without the adapter in the file (models/cosmos_predict2.py:262-313).
fn is_shared(s: &Subject, kind: WeightsKind) -> bool {
    kind != WeightsKind::Vae && s.is(&["cosmos_predict2", "anima"])
}

/// A model for one half of the noise that is trained in the other, or in both.
fn wan_noise_range(s: &Subject) -> Option<Finding> {
    let path = s.base.place(s.text("model.transformer_path").filter(|_| s.is(&["wan"]))?);
    let noise = Noise::of(&path)?;
    let [least, most] = ["min_t", "max_t"].map(|key| s.number(&format!("model.{key}")));
    // Between the borders of text-to-video and image-to-video nobody can tell.
    let ([_, low], [high, _]) = (Noise::Low.range(true), Noise::High.range(false));
    let is_wrong = match noise {
        // The low-noise model can also be used alone, for all of the noise.
        Noise::Low => least.is_some_and(|it| it >= high),
        Noise::High => most.is_some_and(|it| it <= low) || least.is_none_or(|it| it < high),
    };
    is_wrong.then(|| {
        let (border, image) = (Noise::High.range(false)[0], Noise::High.range(true)[0]);
        let side = if noise == Noise::Low { "below" } else { "above" };
        let name = noise.name();
        let message = format!("`{}` is the {name} model, which works {side} {border} only", path.display());
        let (key, value) = if noise == Noise::Low { ("max_t", border) } else { ("min_t", border) };
        s.warning("wan-noise-range", "model.transformer_path", message)
            .fix(format!("set `{key} = {value}` for text-to-video, `{image}` for image-to-video"))
    })
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
    const EMPTY: &str = "\u{2}\0\0\0\0\0\0\0{}";
    const VAE: &str = "\u{4f}\0\0\0\0\0\0\0{\"decoder.conv_in.weight\":{\"dtype\":\"BF16\",\"shape\":[0,16],\"data_offsets\":[0,0]}}";
    const LORA: &str =
        "\u{43}\0\0\0\0\0\0\0{\"lora_A.weight\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]}}";
    const COSMOS: &str = "\u{50}\0\0\0\0\0\0\0{\"blocks.0.mlp.layer1.weight\":{\"dtype\":\"BF16\",\"shape\":[0],\"data_offsets\":[0,0]}}";
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
            "file-of-another-kind",
            "model = { type = 'z_image', diffusion_model = 'models/vae.safetensors' }",
            "model = { type = 'z_image', vae = 'models/vae.safetensors' }",
        )
        .files(&[("models/vae.safetensors", VAE)]),
        case(
            "file-of-another-kind",
            "model = { type = 'auraflow', vae_path = 'models/vae.safetensors' }",
            "model = { type = 'lumina_2', vae_path = 'models/vae.safetensors' }",
        )
        .files(&[("models/vae.safetensors", VAE)]),
        case(
            "file-of-another-kind",
            "model = { type = 'qwen_image', transformer_path = 'models/cosmos.safetensors' }",
            "model = { type = 'anima', transformer_path = 'models/cosmos.safetensors' }",
        )
        .files(&[("models/cosmos.safetensors", COSMOS)]),
        case(
            "file-of-another-kind",
            "model = { type = 'z_image', merge_adapters = ['models/vae.safetensors'] }",
            "model = { type = 'z_image', merge_adapters = ['models/lora.safetensors'] }",
        )
        .files(&[("models/vae.safetensors", VAE), ("models/lora.safetensors", LORA)]),
        case(
            "wan-noise-range",
            "model.transformer_path = 'low_noise.safetensors'\nmodel.min_t = 0.875\nmodel.max_t = 1.0",
            "model.transformer_path = 'low_noise.safetensors'",
        )
        .files(&[("low_noise.safetensors", EMPTY)]),
        case(
            "wan-noise-range",
            "model.transformer_path = 'HighNoise.safetensors'",
            "model.transformer_path = 'HighNoise.safetensors'\nmodel.min_t = 0.9",
        )
        .files(&[("HighNoise.safetensors", EMPTY)]),
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
