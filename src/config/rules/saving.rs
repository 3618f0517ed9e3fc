//! When models and checkpoints are written.

use super::{Finding, Rule, Subject, one};

pub(super) const RULES: &[Rule] = &[
    one(&["save-trigger-present"], save_trigger_present),
    one(&["save-examples-at-least-global-batch"], save_examples_at_least_global_batch),
    one(&["save-examples-overrides-steps"], save_examples_overrides_steps),
    one(&["checkpoint-needed-for-resume"], checkpoint_needed_for_resume),
];

fn save_trigger_present(s: &Subject) -> Option<Finding> {
    let keys = ["save_every_n_epochs", "save_every_n_steps", "save_every_n_examples"];
    let absent = keys.iter().all(|key| !s.has(key));
    absent.then(|| {
        let message =
            "nothing says when to save: there is no `save_every_n_epochs`, `…_steps` or `…_examples`";
        s.error("save-trigger-present", "", message).fix("set `save_every_n_epochs = 1`")
    })
}

fn save_examples_at_least_global_batch(s: &Subject) -> Option<Finding> {
    let examples = s.int("save_every_n_examples").filter(|examples| *examples > 0)?;
    let batch = s.global_batch();
    (examples < batch).then(|| {
        let message =
            format!("`save_every_n_examples = {examples}` is less than the {batch} examples of one step");
        s.error("save-examples-at-least-global-batch", "save_every_n_examples", message)
            .fix(format!("set it to at least {batch}"))
    })
}

fn save_examples_overrides_steps(s: &Subject) -> Option<Finding> {
    let both = s.int("save_every_n_examples").is_some_and(|it| it > 0) && s.has("save_every_n_steps");
    both.then(|| {
        s.warning(
            "save-examples-overrides-steps",
            "save_every_n_steps",
            "`save_every_n_steps` is not used: `save_every_n_examples` replaces it",
        )
        .fix("remove one of the two")
    })
}

fn checkpoint_needed_for_resume(s: &Subject) -> Option<Finding> {
    let absent = !s.has("checkpoint_every_n_epochs") && !s.has("checkpoint_every_n_minutes");
    // The demo writes checkpoints with every save.
    (absent && !s.is(&["demo"])).then(|| {
        let message = "no checkpoints are written on the way, so a training that breaks off starts anew";
        s.note("checkpoint-needed-for-resume", "", message).fix("set `checkpoint_every_n_minutes = 60`")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case(
            "save-trigger-present",
            "save_every_n_epochs = '-'",
            "save_every_n_epochs = '-'\nsave_every_n_steps = 1",
        ),
        case(
            "save-examples-at-least-global-batch",
            "save_every_n_examples = 15\ngradient_accumulation_steps = 4",
            "save_every_n_examples = 16\ngradient_accumulation_steps = 4",
        )
        .gpus(4),
        case(
            "save-examples-overrides-steps",
            "save_every_n_examples = 100\nsave_every_n_steps = 10",
            "save_every_n_examples = 100\nsave_every_n_epochs = 1",
        ),
        case(
            "checkpoint-needed-for-resume",
            "checkpoint_every_n_minutes = '-'",
            "checkpoint_every_n_minutes = '-'\ncheckpoint_every_n_epochs = 1",
        ),
    ]
};
