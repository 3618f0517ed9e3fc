//! Who judges each rule of the trainer's: every one is somebody's.

use std::fmt;

use Judge::{Check, Data, Launch, Nobody, Setup};

/// Who looks whether a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// `dpgui config check`, from the files and what they name.
    Check,
    /// `dpgui data check`, from the media.
    Data,
    /// `dpgui train` starts the trainer so that it holds.
    Launch(&'static str),
    /// `dpgui setup` makes it so, and `dpgui doctor` looks.
    Setup(&'static str),
    /// It is only explained, for this reason.
    Nobody(&'static str),
}

impl fmt::Display for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Check => f.write_str("`dpgui config check`"),
            Self::Data => f.write_str("`dpgui data check`"),
            Self::Launch(how) => write!(f, "nobody has to: with `dpgui train`, {how}"),
            Self::Setup(how) => write!(f, "`dpgui doctor`: {how}"),
            Self::Nobody(why) => write!(f, "nobody: {why}"),
        }
    }
}

/// `None` for a rule that the trainer does not have.
pub fn judge(id: &str) -> Option<Judge> {
    ACCOUNTS.iter().find(|(name, _)| *name == id).map(|(_, judge)| *judge)
}

/// In the order of `templates/schema/rules.toml`.
#[rustfmt::skip]
const ACCOUNTS: [(&str, Judge); 175] = [
    ("toml-homogeneous-arrays", Check),
    ("toml-no-bom", Check),
    ("toml-no-leading-dot-float", Check),
    ("toml-no-dates", Check),
    ("no-path-expansion", Check),
    ("paths-relative-to-cwd", Launch("the copy that a run trains with has absolute paths")),
    ("cwd-is-repo-root", Launch("the trainer is started in its own checkout")),
    ("save-trigger-present", Check),
    ("save-interval-nonzero", Check),
    ("save-examples-at-least-global-batch", Check),
    ("save-examples-overrides-steps", Check),
    ("save-examples-zero-disables", Check),
    ("checkpoint-epochs-nonzero", Check),
    ("checkpoint-needed-for-resume", Check),
    ("config-file-must-persist", Launch("a run's copy stays in its folder")),
    ("save-tmp-leftover", Check),
    ("distinct-basenames", Launch("the copies have names that differ")),
    ("epochs-present", Check),
    ("lr-scheduler-known", Check),
    ("lr-scheduler-uses-epochs", Check),
    ("force-constant-lr-wins", Check),
    ("logging-steps-nonzero", Check),
    ("steps-per-print-nonzero", Check),
    ("batch-values-positive", Check),
    ("eval-accumulation-positive", Check),
    ("micro-batch-type", Check),
    ("micro-batch-first-entry", Check),
    ("caching-batch-size-nonzero", Check),
    ("dtype-known", Check),
    ("nf4-rejected", Check),
    ("hunyuan-video-dtype", Check),
    ("weights-dtype-key-mismatch", Check),
    ("fp8-only-with-adapter", Check),
    ("cosmos-predict2-fp8-kind", Check),
    ("model-required-keys", Check),
    ("model-type-known", Check),
    ("model-files-exist", Check),
    ("output-dir-writable", Check),
    ("run-dir-second-resolution", Launch("a run waits until the one before it has its folder")),
    ("model-required-paths", Check),
    ("timestep-method-known", Check),
    ("shift-beats-resolution-shift", Check),
    ("shift-key-not-read", Check),
    ("wan-t-range", Check),
    ("hunyuan-video-sources", Check),
    ("qwen-image-sources", Check),
    ("cosmos-predict2-text-encoder", Check),
    ("cosmos-predict2-t5-wins", Check),
    ("cosmos-predict2-te-quant", Check),
    ("cosmos-predict2-optimizer-lr", Check),
    ("multiscale-images-only", Check),
    ("sd3-diffusers-path", Check),
    ("auraflow-max-length", Check),
    ("comfy-text-encoder-path", Check),
    ("comfy-text-encoder-type-known", Check),
    ("comfy-single-text-encoder", Check),
    ("comfy-text-encoder-matches-model", Check),
    ("minimax-cfg-single-stage", Check),
    ("minimax-cfg-or-adapter", Check),
    ("hy15-not-distilled", Check),
    ("flux2-width-known", Check),
    ("wan-variant-known", Check),
    ("wan22-needs-transformer-path", Check),
    ("wan-single-file-config", Check),
    ("wan-skyreels-by-folder-name", Check),
    ("wan-i2v-video-only", Data),
    ("safetensors-file-or-dir", Check),
    ("no-fp8-scaled-outside-comfy", Check),
    ("comfy-quantised-needs-adapter", Check),
    ("sdxl-debiased-false-is-true", Check),
    ("loss-keys-scope", Check),
    ("cache-text-embeddings-scope", Check),
    ("guidance-scope", Check),
    ("flash-attn-needed", Check),
    ("cosmos-transformer-engine", Check),
    ("adapter-type-known", Check),
    ("adapter-rank-and-type", Check),
    ("adapter-no-alpha", Check),
    ("lokr-not-for-sdxl", Check),
    ("lokr-not-for-flux", Check),
    ("full-finetune-cannot-save", Check),
    ("full-finetune-no-names", Check),
    ("init-from-existing-folder", Check),
    ("init-from-existing-keys-match", Nobody("only the trainer knows the modules of a model")),
    ("init-from-existing-overrides-rank", Check),
    ("fuse-adapters-scope", Check),
    ("merge-adapters-scope", Check),
    ("block-swap-single-stage", Check),
    ("block-swap-needs-adapter", Check),
    ("block-swap-supported-type", Check),
    ("block-swap-upper-bound", Check),
    ("disable-swap-needs-swap", Check),
    ("activation-checkpointing-value", Check),
    ("unsloth-forces-reentrant", Check),
    ("stages-divide-gpus", Check),
    ("partition-method-known", Check),
    ("partition-split-length", Check),
    ("partition-split-required", Check),
    ("partition-split-ascending", Check),
    ("partition-split-only-manual", Check),
    ("master-port-to-train-py", Launch("each run has a port of its own, given to the launcher and to the trainer")),
    ("launcher-env", Launch("DeepSpeed's launcher starts the trainer")),
    ("visible-devices-ignored", Launch("GPUs are named with `--include`")),
    ("num-gpus-available", Launch("GPUs are counted before they are asked for")),
    ("no-deepspeed-config", Launch("the launcher gets no such argument")),
    ("optimizer-table", Check),
    ("optimizer-fallback-name", Check),
    ("optimizer-kwargs", Check),
    ("optimi-needs-lr", Check),
    ("automagic-no-betas", Check),
    ("sgd-no-betas", Check),
    ("beta2-half-life-betas", Check),
    ("gradient-release-lr-groups", Check),
    ("gradient-release-single-dp", Check),
    ("gradient-release-no-clipping", Check),
    ("kahan-needs-old-bitsandbytes", Check),
    ("offload-torchao-path", Check),
    ("genericoptim-choices", Check),
    ("genericoptim-one-muon", Check),
    ("genericoptim-ranges", Check),
    ("genericoptim-rank-gap", Check),
    ("genericoptim-sm-rank", Check),
    ("genericoptim-proj-type", Check),
    ("genericoptim-rank-first-group", Check),
    ("wandb-keys", Check),
    ("wandb-package", Setup("it is in the trainer's requirements, which setup installs")),
    ("eval-dataset-table", Check),
    ("eval-dataset-keys", Check),
    ("eval-names-unique", Check),
    ("eval-name-not-train", Check),
    ("eval-examples-at-least-global-batch", Check),
    ("eval-needs-datasets", Check),
    ("dataset-directory-list", Check),
    ("resolutions-top-level", Check),
    ("ar-range-top-level", Check),
    ("resolutions-at-most-three", Check),
    ("resolution-pair-shape", Check),
    ("ar-range-valid", Check),
    ("size-bucket-shape", Check),
    ("size-buckets-win", Check),
    ("num-repeats-positive", Check),
    ("online-captions-file", Data),
    ("cosmos-dataset", Check),
    ("same-directory-twice", Check),
    ("edit-dataset-supported-type", Check),
    ("edit-and-plain-mix", Data),
    ("uncond-fraction-range", Check),
    ("directory-exists", Check),
    ("directory-has-media", Check),
    ("directory-writable", Data),
    ("captions-present", Data),
    ("captions-json-lists", Data),
    ("captions-json-replaces-txt", Data),
    ("control-file-per-target", Data),
    ("mask-same-size", Data),
    ("no-animated-webp", Data),
    ("video-clip-mode-known", Check),
    ("videos-need-video-model", Data),
    ("videos-need-frame-bucket", Data),
    ("frame-bucket-alignment", Check),
    ("buckets-hold-a-batch", Data),
    ("caching-exceptions-hang", Nobody("what leads to it are rules of their own; a run that hangs is seen by who watches it")),
    ("resume-output-dir-clean", Launch("the folder to go on in is named; it is found by its checkpoint")),
    ("resume-latest-file", Check),
    ("resume-same-model-shape", Check),
    ("resume-layer-count", Nobody("only the trainer knows how many layers it makes of a model")),
    ("resume-config-from-cli", Launch("a run resumes with the file it is given, and keeps its copy")),
    ("lr-changes-ignored-on-resume", Check),
    ("python-3-12", Setup("setup brings its own Python 3.12")),
    ("torchaudio-needed", Setup("it comes with torch")),
    ("submodules-comfy-hunyuan", Setup("setup checks both out and links what is imported")),
    ("no-comfyui-on-pythonpath", Launch("`PYTHONPATH` of a run is `vendor/libs` and nothing else")),
    ("no-other-comfy-package", Setup("setup and `dpgui doctor` ask the interpreter where modules would come from")),
    ("gpu-needed-for-import", Setup("`dpgui doctor` asks torch for GPUs")),
    ("test-sample-scope", Nobody("it is an argument, and dpgui gives none")),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::config::{facts, rules::TOPICS, schema};

    use super::*;

    #[test]
    fn every_rule_of_the_trainers_has_one_account_and_no_other_has() {
        let known: Vec<&str> = schema::rules().iter().map(|rule| rule.id.as_str()).collect();
        let accounted: Vec<&str> = ACCOUNTS.iter().map(|(id, _)| *id).collect();
        assert_eq!(accounted, known);
    }

    #[test]
    fn what_is_judged_here_is_what_there_is_a_judgement_for() {
        // Why a file cannot be read is no look at a file.
        let while_reading = ["toml-no-leading-dot-float"];
        let looked_for: BTreeSet<&str> = TOPICS
            .iter()
            .copied()
            .flatten()
            .flat_map(|rule| rule.ids)
            .copied()
            .chain(while_reading)
            .collect();
        for id in &looked_for {
            assert!(facts::of(id).is_some(), "nothing is known of `{id}`");
        }
        let of_trainer = |id: &&str| schema::rule(id).is_some();
        let judged: BTreeSet<&str> = looked_for.into_iter().filter(of_trainer).collect();
        let promised: BTreeSet<&str> =
            ACCOUNTS.iter().filter(|(_, judge)| *judge == Check).map(|(id, _)| *id).collect();
        assert_eq!(judged, promised);
    }
}
