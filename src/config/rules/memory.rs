//! What is kept in main memory, or computed twice, so that a training fits a GPU.

use super::{Finding, Rule, Subject, one};

pub(super) const RULES: &[Rule] = &[
    one(&["block-swap-single-stage"], block_swap_single_stage),
    one(&["block-swap-needs-adapter"], block_swap_needs_adapter),
    one(&["block-swap-supported-type"], block_swap_supported_type),
    one(&["block-swap-upper-bound"], block_swap_upper_bound),
    one(&["disable-swap-needs-swap"], disable_swap_needs_swap),
    one(&["unsloth-forces-reentrant"], unsloth_forces_reentrant),
    one(&["fp8-only-with-adapter"], fp8_only_with_adapter),
];

const KEY: &str = "blocks_to_swap";

fn swapped(s: &Subject) -> Option<i64> {
    s.int(KEY).filter(|blocks| *blocks > 0)
}

fn block_swap_single_stage(s: &Subject) -> Option<Finding> {
    let stages = s.stages();
    (swapped(s).is_some() && stages > 1).then(|| {
        let message = format!("`{KEY}` cannot be used with `pipeline_stages = {stages}`");
        s.error("block-swap-single-stage", KEY, message)
            .fix("set `pipeline_stages = 1`, or remove `blocks_to_swap`")
    })
}

fn block_swap_needs_adapter(s: &Subject) -> Option<Finding> {
    (swapped(s).is_some() && !s.has("adapter")).then(|| {
        let message = format!("`{KEY}` cannot be used to train all weights: there is no `[adapter]`");
        s.error("block-swap-needs-adapter", KEY, message).fix("add `[adapter]`, or remove `blocks_to_swap`")
    })
}

fn block_swap_supported_type(s: &Subject) -> Option<Finding> {
    let model = s.model.filter(|it| it.block_swap.is_none() && it.name != "demo")?;
    swapped(s).map(|_| {
        let message = format!("the model type `{}` cannot swap blocks", model.name);
        s.error("block-swap-supported-type", KEY, message).fix("remove `blocks_to_swap`")
    })
}

fn block_swap_upper_bound(s: &Subject) -> Option<Finding> {
    let (blocks, model) = (swapped(s)?, s.model?);
    let swap = model.block_swap.as_ref()?;
    // Where it depends on the variant, more than the largest one has is wrong for certain.
    let of_variants = model.variants.iter().filter_map(|it| it.most_blocks_to_swap).max();
    let most = swap.most.or(of_variants)?;
    (blocks > i64::from(most)).then(|| {
        let message = format!("`{KEY} = {blocks}` is more than the model type `{}` can swap", model.name);
        s.error("block-swap-upper-bound", KEY, message).fix(format!("set it to at most {most}"))
    })
}

fn disable_swap_needs_swap(s: &Subject) -> Option<Finding> {
    const KEY: &str = "disable_block_swap_for_eval";
    (s.flag(KEY) == Some(true) && swapped(s).is_none()).then(|| {
        let message = format!("`{KEY}` does nothing without `blocks_to_swap`");
        s.warning("disable-swap-needs-swap", KEY, message).fix("remove it")
    })
}

fn unsloth_forces_reentrant(s: &Subject) -> Option<Finding> {
    const KEY: &str = "reentrant_activation_checkpointing";
    let unsloth = s.text("activation_checkpointing") == Some("unsloth");
    (unsloth && s.flag(KEY) == Some(false)).then(|| {
        let message = format!("`activation_checkpointing = 'unsloth'` turns `{KEY}` on");
        s.warning("unsloth-forces-reentrant", KEY, message).fix("remove it, or set it to `true`")
    })
}

fn fp8_only_with_adapter(s: &Subject) -> Option<Finding> {
    let keys = ["model.transformer_dtype", "model.diffusion_model_dtype", "model.dtype"];
    let key = keys.into_iter().find(|key| s.text(key).is_some_and(|it| it.starts_with("float8")))?;
    (!s.has("adapter")).then(|| {
        let message = "weights of 8 bits can be kept, but not trained: there is no `[adapter]`";
        s.warning("fp8-only-with-adapter", key, message).fix("add `[adapter]`, or use `bfloat16`")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case(
            "block-swap-single-stage",
            "blocks_to_swap = 2\npipeline_stages = 2",
            "blocks_to_swap = 0\npipeline_stages = 2",
        ),
        case("block-swap-needs-adapter", "blocks_to_swap = 2\nadapter = '-'", "blocks_to_swap = 2"),
        case(
            "block-swap-supported-type",
            "blocks_to_swap = 2\nmodel.type = 'sdxl'",
            "blocks_to_swap = 2\nmodel.type = 'z_image'",
        ),
        case("block-swap-upper-bound", "blocks_to_swap = 39", "blocks_to_swap = 38"),
        case(
            "disable-swap-needs-swap",
            "disable_block_swap_for_eval = true",
            "disable_block_swap_for_eval = true\nblocks_to_swap = 2",
        ),
        case(
            "unsloth-forces-reentrant",
            "activation_checkpointing = 'unsloth'\nreentrant_activation_checkpointing = false",
            "activation_checkpointing = true\nreentrant_activation_checkpointing = false",
        ),
        case(
            "fp8-only-with-adapter",
            "model.transformer_dtype = 'float8'\nadapter = '-'",
            "model.transformer_dtype = 'float8'",
        ),
    ]
};
