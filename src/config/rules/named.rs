//! The rules of the trainer's that say of one key what it has to be: their names, for what the schema finds wrong.

use crate::config::schema::Wrong;

/// In which section of the files a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum In {
    Training,
    EvalDataset,
    Model,
    TextEncoder,
    Adapter,
    FuseAdapter,
    Optimizer,
    Monitoring,
    Dataset,
    Directory,
}

impl In {
    /// As messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Training | Self::Dataset => "the top of the file",
            Self::EvalDataset => "an entry of `eval_datasets`",
            Self::Model => "`[model]`",
            Self::TextEncoder => "an entry of `text_encoders`",
            Self::Adapter => "`[adapter]`",
            Self::FuseAdapter => "an entry of `fuse_adapters`",
            Self::Optimizer => "`[optimizer]`",
            Self::Monitoring => "`[monitoring]`",
            Self::Directory => "a `[[directory]]`",
        }
    }
}

/// Who says so when a required key is not there.
pub(super) fn missing(section: In, key: &str) -> &'static str {
    match (section, key) {
        (In::Training, "output_dir") => "output-dir-present",
        (In::Training, "dataset") => "dataset-present",
        (In::Training, "epochs") => "epochs-present",
        (In::Training, "model") | (In::Model, "type" | "dtype") => "model-required-keys",
        (In::Training | In::Optimizer, "optimizer" | "type") => "optimizer-table",
        (In::Training, "partition_split") => "partition-split-required",
        (In::EvalDataset, _) => "eval-dataset-keys",
        (In::Model, "max_sequence_length") => "auraflow-max-length",
        (In::Model, _) => "model-required-paths",
        (In::TextEncoder, _) => "comfy-text-encoder-path",
        (In::Adapter, _) => "adapter-rank-and-type",
        (In::Optimizer, "lr") => "optimi-needs-lr",
        (In::Directory, "path") => "dataset-directory-list",
        _ => "key-present",
    }
}

/// Who says so when a value is of another type, or none that is allowed.
pub(super) fn wrong(section: In, key: &str, wrong: Wrong) -> &'static str {
    let (of_type, of_value) = match (section, key) {
        (In::Training, key) => training(key),
        (In::Model, "timestep_sample_method") => (None, Some("timestep-method-known")),
        (In::Model, "min_t" | "max_t") => (None, Some("wan-t-range")),
        (_, "dtype" | "transformer_dtype" | "diffusion_model_dtype") => (None, Some("dtype-known")),
        (In::Adapter, "type") => (None, Some("adapter-type-known")),
        (In::Optimizer, "momentum_type" | "second_moment_type") => (None, Some("genericoptim-choices")),
        (In::Optimizer, "proj_type") => (None, Some("genericoptim-proj-type")),
        (In::Dataset | In::Directory, key) => dataset(key),
        _ => (None, None),
    };
    match wrong {
        Wrong::Type => of_type.unwrap_or("wrong-type"),
        Wrong::Value => of_value.unwrap_or("invalid-value"),
    }
}

type Ids = (Option<&'static str>, Option<&'static str>);

fn training(key: &str) -> Ids {
    match key {
        "save_dtype" => (None, Some("dtype-known")),
        "eval_datasets" => (Some("eval-dataset-table"), None),
        "lr_scheduler" => (None, Some("lr-scheduler-known")),
        "partition_method" => (None, Some("partition-method-known")),
        "video_clip_mode" => (None, Some("video-clip-mode-known")),
        "activation_checkpointing" => {
            (Some("activation-checkpointing-value"), Some("activation-checkpointing-value"))
        }
        "logging_steps" => (None, Some("logging-steps-nonzero")),
        "steps_per_print" => (None, Some("steps-per-print-nonzero")),
        "micro_batch_size_per_gpu"
        | "image_micro_batch_size_per_gpu"
        | "eval_micro_batch_size_per_gpu"
        | "eval_image_micro_batch_size_per_gpu" => (Some("micro-batch-type"), Some("batch-values-positive")),
        "gradient_accumulation_steps" => (None, Some("batch-values-positive")),
        "eval_gradient_accumulation_steps" => (None, Some("eval-accumulation-positive")),
        "caching_batch_size" => (None, Some("caching-batch-size-nonzero")),
        "uncond_fraction" => (None, Some("uncond-fraction-range")),
        "save_every_n_epochs" | "save_every_n_steps" => (None, Some("save-interval-nonzero")),
        "save_every_n_examples" => (None, Some("save-examples-zero-disables")),
        "checkpoint_every_n_epochs" => (None, Some("checkpoint-epochs-nonzero")),
        _ => (None, None),
    }
}

fn dataset(key: &str) -> Ids {
    match key {
        "directory" => (Some("dataset-directory-list"), None),
        "resolutions" | "ar_buckets" => (Some("resolution-pair-shape"), Some("resolution-pair-shape")),
        "size_buckets" => (Some("size-bucket-shape"), Some("size-bucket-shape")),
        "min_ar" | "max_ar" | "num_ar_buckets" => (None, Some("ar-range-valid")),
        "num_repeats" => (None, Some("num-repeats-positive")),
        _ => (None, None),
    }
}
