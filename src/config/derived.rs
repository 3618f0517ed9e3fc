//! Numbers that follow from a configuration: how many examples a step has, how many steps there are, how large what is
//! written will be.

use serde::Serialize;

use super::{
    TrainConfig, Training,
    rules::Subject,
    safetensors::{Safetensors, Tensor},
};

/// What follows from a configuration. What cannot be known is `None`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Derived {
    pub gpus: Option<u32>,
    /// GPUs that one copy of the model is cut across.
    pub pipeline_stages: u64,
    /// Copies of the model that train side by side.
    pub copies: Option<u64>,
    pub micro_batch_size: u64,
    pub gradient_accumulation_steps: u64,
    /// Examples of one optimizer step.
    pub global_batch: Option<u64>,
    pub steps_per_epoch: Option<u64>,
    pub total_steps: Option<u64>,
    /// Weights that are trained, estimated from the shapes in the model's files.
    pub trained_weights: Option<u64>,
    /// Why that cannot be estimated, and so nothing of what is written.
    pub size_unknown: Option<&'static str>,
    /// Models that are saved in all: at the intervals, and at the end.
    pub saved_models: Option<u64>,
    /// Of one saved model, in bytes, estimated.
    pub saved_bytes: Option<u64>,
    /// Of one checkpoint, in bytes, estimated.
    pub checkpoint_bytes: Option<u64>,
}

/// `batches_per_epoch` is what a data check found: batches of the global size that one pass has.
pub fn derive(config: &TrainConfig, gpus: Option<u32>, batches_per_epoch: Option<u64>) -> Derived {
    let training = &config.training;
    let subject = Subject::of(config, gpus);
    let stages = training.pipeline_stages;
    let copies = gpus.map(u64::from).filter(|gpus| gpus % stages == 0).map(|gpus| gpus / stages);
    let batch = training.micro_batch_size_per_gpu.saturating_mul(training.gradient_accumulation_steps);
    let all = batches_per_epoch.zip(training.epochs).map(|(steps, epochs)| steps.saturating_mul(epochs));
    let total_steps = match (all, training.max_steps) {
        (Some(all), Some(most)) => Some(all.min(most)),
        (all, _) => all,
    };
    let trained_weights = trained_weights(&subject);
    let bytes = |per_weight: Option<u64>| {
        trained_weights.zip(per_weight).map(|(count, each)| count.saturating_mul(each))
    };
    let kept = width(&subject, &["adapter.dtype", "model.dtype"]);
    Derived {
        gpus,
        pipeline_stages: stages,
        copies,
        micro_batch_size: training.micro_batch_size_per_gpu,
        gradient_accumulation_steps: training.gradient_accumulation_steps,
        global_batch: copies.map(|copies| batch.saturating_mul(copies)),
        steps_per_epoch: batches_per_epoch,
        total_steps,
        size_unknown: trained_weights.is_none().then(|| why_unknown(&subject)),
        trained_weights,
        saved_models: saved_models(training, total_steps, batches_per_epoch, copies.unwrap_or(1) * batch),
        saved_bytes: bytes(width(&subject, &["save_dtype", "adapter.dtype", "model.dtype"])),
        checkpoint_bytes: bytes(kept.and_then(|kept| Some(kept + optimizer_state(&subject, kept)?))),
    }
}

/// The intervals of steps and epochs count each for itself; a name that both would use is written once, which is rare
/// enough. `save_every_n_examples` takes the place of `save_every_n_steps`. Source: diffusion-pipe's `train.py:643` and
/// `utils/saver.py`.
fn saved_models(training: &Training, steps: Option<u64>, per_epoch: Option<u64>, batch: u64) -> Option<u64> {
    let steps = steps?;
    let every_steps = match training.save.examples {
        Some(examples) => examples.checked_div(batch),
        None => training.save.steps,
    };
    let by_steps = every_steps.and_then(|every| steps.checked_div(every)).unwrap_or(0);
    let epochs = steps.checked_div(per_epoch?).unwrap_or(0);
    let by_epochs = training.save.epochs.and_then(|every| epochs.checked_div(every)).unwrap_or(0);
    Some((by_steps + by_epochs).max(1))
}

/// Of the first of `keys` that is there, in bytes.
fn width(s: &Subject, keys: &[&str]) -> Option<u64> {
    match keys.iter().find_map(|key| s.text(key))? {
        "float32" => Some(4),
        "float16" | "bfloat16" => Some(2),
        name if name.starts_with("float8") => Some(1),
        _ => None,
    }
}

/// Bytes that the optimizer keeps of each weight of `width` bytes.
fn optimizer_state(s: &Subject, width: u64) -> Option<u64> {
    match s.text("optimizer.type")?.to_ascii_lowercase().as_str() {
        // Two moments of the weight's own type.
        "adamw" => Some(2 * width),
        // And what Kahan summation keeps, which is on by itself below 32 bits.
        "adamw_optimi" | "stableadamw" => Some(if width < 4 { 3 * width } else { 2 * width }),
        "adamw8bit" => Some(2),
        "adamw8bitkahan" => Some(2 + width),
        _ => None,
    }
}

/// A `LoRA` has two thin matrices beside each matrix of the model's blocks; without an adapter all is trained.
fn trained_weights(s: &Subject) -> Option<u64> {
    const MODEL_KEYS: [&str; 5] =
        ["transformer_path", "diffusion_model", "single_file_path", "checkpoint_path", "ckpt_path"];
    let key = MODEL_KEYS.iter().find(|key| s.heads().iter().any(|head| head.key == **key))?;
    let files: Vec<&Safetensors> = s
        .heads()
        .iter()
        .filter(|head| head.key == *key)
        .map(|head| head.read.as_ref().ok())
        .collect::<Option<_>>()?;
    let tensors = || files.iter().flat_map(|file| &file.tensors);
    match s.text("adapter.type") {
        None if s.has("adapter") => None,
        None => Some(tensors().map(|(_, tensor)| tensor.elements()).sum()),
        Some("lora") => {
            let rank = u64::try_from(s.int("adapter.rank")?).ok()?;
            let sides = tensors()
                .filter(|(name, tensor)| is_adapted(name, tensor))
                .map(|(_, it)| it.shape[0].saturating_add(it.shape[1]));
            Some(rank.saturating_mul(sides.sum()))
        }
        Some(_) => None,
    }
}

fn why_unknown(s: &Subject) -> &'static str {
    match s.text("adapter.type") {
        Some("lokr") => "a LoKr's size follows from how the trainer factors each matrix",
        _ => "the model's files are not there, or are none whose shapes can be read",
    }
}

fn is_adapted(name: &str, tensor: &Tensor) -> bool {
    tensor.shape.len() == 2
        && name.ends_with(".weight")
        && (name.contains("block") || name.contains("layers."))
}
