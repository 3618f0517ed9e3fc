//! Weights & Biases.

use super::{Finding, Rule, Subject, all, one};

pub(super) const RULES: &[Rule] =
    &[all(&["wandb-keys"], wandb_keys), one(&["wandb-key-in-file"], wandb_key_in_file)];

fn wandb_keys(s: &Subject, found: &mut Vec<Finding>) {
    if s.flag("monitoring.enable_wandb") != Some(true) {
        return;
    }
    for key in ["wandb_api_key", "wandb_tracker_name", "wandb_run_name"] {
        let path = format!("monitoring.{key}");
        if s.has(&path) {
            continue;
        }
        let message = format!("with `enable_wandb` the trainer needs `{key}` in `[monitoring]`");
        let finding = s.error("wandb-keys", "monitoring.enable_wandb", message);
        found.push(match key {
            "wandb_api_key" => finding
                .fix("set `wandb_api_key = ''` and put the key into `WANDB_API_KEY`")
                .edit(s.set(&path, "")),
            _ => finding.fix(format!("set `{key}`")),
        });
    }
}

fn wandb_key_in_file(s: &Subject) -> Option<Finding> {
    const KEY: &str = "monitoring.wandb_api_key";
    s.text(KEY).filter(|key| !key.is_empty()).map(|_| {
        s.warning("wandb-key-in-file", KEY, "`wandb_api_key` is written in the file")
            .fix("set it to `''` and put the key into the environment: `WANDB_API_KEY`")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case(
            "wandb-keys",
            "monitoring = { enable_wandb = true, wandb_api_key = '', wandb_tracker_name = 'a' }",
            "monitoring = { enable_wandb = true, wandb_api_key = '', wandb_tracker_name = 'a', wandb_run_name = 'b' }",
        ),
        case("wandb-key-in-file", "monitoring.wandb_api_key = 'secret'", "monitoring.wandb_api_key = ''"),
    ]
};
