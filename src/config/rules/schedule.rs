//! Learning rate schedules and losses.

use super::{Finding, Rule, Subject, all, one};

pub(super) const RULES: &[Rule] = &[
    one(&["lr-scheduler-uses-epochs"], lr_scheduler_uses_epochs),
    all(&["force-constant-lr-wins"], force_constant_lr_wins),
    all(&["loss-keys-scope"], loss_keys_scope),
];

fn lr_scheduler_uses_epochs(s: &Subject) -> Option<Finding> {
    let schedule = s.text("lr_scheduler").filter(|it| ["linear", "cosine"].contains(it))?;
    s.has("max_steps").then(|| {
        let message = format!("`{schedule}` reaches its end after all `epochs`, whatever `max_steps` says");
        s.warning("lr-scheduler-uses-epochs", "lr_scheduler", message)
            .fix("set `epochs` to what `max_steps` amounts to, or use `constant`")
    })
}

fn force_constant_lr_wins(s: &Subject, found: &mut Vec<Finding>) {
    // `if 'force_constant_lr' in config` (train.py:873, 893): whatever it is.
    if !s.has("force_constant_lr") {
        return;
    }
    let schedule = s.text("lr_scheduler").is_some_and(|it| it != "constant").then_some("lr_scheduler");
    let warmup = s.int("warmup_steps").is_some_and(|it| it > 0).then_some("warmup_steps");
    for key in schedule.into_iter().chain(warmup) {
        let message = format!("`{key}` is not used: `force_constant_lr` replaces it");
        found.push(s.warning("force-constant-lr-wins", key, message).fix("remove one of the two"));
    }
}

fn loss_keys_scope(s: &Subject, found: &mut Vec<Finding>) {
    const ID: &str = "loss-keys-scope";
    /// Types whose loss is their own (`models/sdxl.py:632`, `models/ltx_video.py:205`, `models/cosmos.py:280`).
    const OWN_LOSS: [&str; 3] = ["sdxl", "ltx-video", "cosmos"];
    let keys = ["huber_delta", "smooth_l1_beta"];
    if let Some(model) = s.model.filter(|it| OWN_LOSS.contains(&it.name)) {
        for key in keys.into_iter().filter(|key| s.has(key)) {
            let message = format!("`{key}` is not used: the model type `{}` has its own loss", model.name);
            found.push(s.warning(ID, key, message).fix("remove it"));
        }
    } else if keys.iter().all(|key| s.has(key)) {
        let message = "`smooth_l1_beta` is not used: `huber_delta` wins over it";
        found.push(s.warning(ID, "smooth_l1_beta", message).fix("remove one of the two"));
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case(
            "lr-scheduler-uses-epochs",
            "lr_scheduler = 'linear'\nmax_steps = 100",
            "lr_scheduler = 'constant'\nmax_steps = 100",
        ),
        case(
            "force-constant-lr-wins",
            "force_constant_lr = 1e-4\nwarmup_steps = 5",
            "force_constant_lr = 1e-4\nwarmup_steps = 0\nlr_scheduler = 'constant'",
        ),
        case("invalid-value", "force_constant_lr = 0", "force_constant_lr = 1e-6"),
        case("loss-keys-scope", "huber_delta = 1.0\nsmooth_l1_beta = 1.0", "smooth_l1_beta = 1.0"),
    ]
};
