//! `[adapter]`, or training without one.

use super::{Finding, Rule, Subject, one};

pub(super) const RULES: &[Rule] = &[
    one(&["adapter-no-alpha"], adapter_no_alpha),
    one(&["lokr-not-for-sdxl"], lokr_not_for_sdxl),
    one(&["lokr-not-for-flux"], lokr_not_for_flux),
    one(&["full-finetune-cannot-save"], full_finetune_cannot_save),
    one(&["full-finetune-no-names"], full_finetune_no_names),
    one(&["init-from-existing-overrides-rank"], init_from_existing_overrides_rank),
];

fn adapter_no_alpha(s: &Subject) -> Option<Finding> {
    const KEY: &str = "adapter.alpha";
    let same = s.has(KEY) && s.number(KEY) == s.number("adapter.rank");
    s.has(KEY).then(|| {
        s.error("adapter-no-alpha", KEY, "`alpha` is refused: it is always the `rank`")
            .fix("remove it; where it was another number, change `lr` instead")
            .edit(same.then(|| s.remove(KEY)))
    })
}

fn lokr_not_for_sdxl(s: &Subject) -> Option<Finding> {
    lokr(s, "lokr-not-for-sdxl", "sdxl", "cannot be trained with")
}

fn lokr_not_for_flux(s: &Subject) -> Option<Finding> {
    lokr(s, "lokr-not-for-flux", "flux", "cannot save")
}

fn lokr(s: &Subject, id: &'static str, model: &str, problem: &str) -> Option<Finding> {
    (s.is(&[model]) && s.text("adapter.type") == Some("lokr")).then(|| {
        s.error(id, "adapter.type", format!("the model type `{model}` {problem} `lokr`")).fix("use `lora`")
    })
}

/// Types whose parameters have no `original_name`, which the optimizer asks for (train.py:796). The others that
/// cannot be trained as a whole fail at the first save.
const NO_NAMES: &[&str] = &["sd3", "auraflow", "cosmos"];

fn full_finetune_cannot_save(s: &Subject) -> Option<Finding> {
    (!s.is(NO_NAMES)).then(|| full_finetune(s, "full-finetune-cannot-save")).flatten()
}

fn full_finetune_no_names(s: &Subject) -> Option<Finding> {
    s.is(NO_NAMES).then(|| full_finetune(s, "full-finetune-no-names")).flatten()
}

fn full_finetune(s: &Subject, id: &'static str) -> Option<Finding> {
    let (name, failure) = s.model.and_then(|it| Some((it.name, it.full_finetune_failure.as_ref()?)))?;
    (!s.has("adapter")).then(|| {
        let message = format!("the model type `{name}` can be trained with an `[adapter]` only");
        s.error(id, "model.type", message)
            .consequence(failure)
            .fix("add `[adapter]` with `type = 'lora'` and `rank = 32`")
    })
}

fn init_from_existing_overrides_rank(s: &Subject) -> Option<Finding> {
    const KEY: &str = "adapter.init_from_existing";
    (s.is(&["flux", "sdxl"]) && s.has(KEY)).then(|| {
        let message =
            "rank, dropout and excluded modules are those of `init_from_existing`, not those of the file";
        s.note("init-from-existing-overrides-rank", KEY, message)
            .fix("nothing, if the earlier adapter was made with the same")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    const EMPTY: &str = "\u{2}\0\0\0\0\0\0\0{}";
    use super::cases::case;
    &[
        case("adapter-no-alpha", "adapter.alpha = 8", "adapter.dropout = 0.5"),
        case(
            "lokr-not-for-sdxl",
            "model.type = 'sdxl'\nadapter.type = 'lokr'",
            "model.type = 'sdxl'\nadapter.type = 'lora'",
        ),
        case(
            "lokr-not-for-flux",
            "model.type = 'flux'\nadapter.type = 'lokr'",
            "model.type = 'chroma'\nadapter.type = 'lokr'",
        ),
        case(
            "full-finetune-cannot-save",
            "model.type = 'hidream'\nadapter = '-'",
            "model.type = 'wan'\nadapter = '-'",
        ),
        case(
            "full-finetune-no-names",
            "model.type = 'sd3'\nadapter = '-'",
            "model.type = 'qwen_image'\nadapter = '-'",
        ),
        case(
            "init-from-existing-overrides-rank",
            "model.type = 'sdxl'\nadapter.init_from_existing = 'old'",
            "model.type = 'wan'\nadapter.init_from_existing = 'old'",
        )
        .files(&[("old/adapter_model.safetensors", EMPTY)]),
    ]
};
