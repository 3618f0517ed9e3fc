//! Evaluation while training.

use std::collections::BTreeSet;

use super::{Finding, Rule, Subject, all, one};

pub(super) const RULES: &[Rule] = &[
    all(&["eval-names-unique"], eval_names_unique),
    all(&["eval-name-not-train"], eval_name_not_train),
    one(&["eval-examples-at-least-global-batch"], eval_examples_at_least_global_batch),
    one(&["eval-needs-datasets"], eval_needs_datasets),
];

fn eval_names_unique(s: &Subject, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for dataset in s.views("eval_datasets") {
        if let Some(name) = dataset.text("name").filter(|name| !seen.insert(*name)) {
            let message = format!("two evaluation datasets are called `{name}`: only the last one counts");
            found.push(dataset.warning("eval-names-unique", "name", message).fix("give each its own `name`"));
        }
    }
}

fn eval_name_not_train(s: &Subject, found: &mut Vec<Finding>) {
    for dataset in s.views("eval_datasets").into_iter().filter(|it| it.text("name") == Some("train")) {
        let message = "an evaluation dataset called `train` would write into the curve of the training loss";
        found.push(dataset.warning("eval-name-not-train", "name", message).fix("give it another `name`"));
    }
}

fn eval_examples_at_least_global_batch(s: &Subject) -> Option<Finding> {
    const KEY: &str = "eval_every_n_examples";
    let (examples, batch) = (s.int(KEY).filter(|examples| *examples > 0)?, s.global_batch());
    (examples < batch).then(|| {
        let message = format!("`{KEY} = {examples}` is less than the {batch} examples of one step");
        s.warning("eval-examples-at-least-global-batch", KEY, message)
            .fix(format!("set it to at least {batch}"))
    })
}

fn eval_needs_datasets(s: &Subject) -> Option<Finding> {
    let there = s.get("eval_datasets").and_then(toml_edit::Item::as_array).is_some_and(|it| !it.is_empty())
        || !s.views("eval_datasets").is_empty();
    let keys = ["eval_every_n_epochs", "eval_every_n_steps", "eval_every_n_examples"];
    let key = keys.into_iter().find(|key| s.has(key)).filter(|_| !there)?;
    // The demo's trainer takes neither, which is told.
    if s.is(&["demo"]) {
        return None;
    }
    let message = format!("`{key}` does nothing without `eval_datasets`");
    Some(s.note("eval-needs-datasets", key, message).fix("add `eval_datasets`, if you want to evaluate"))
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[
        case("eval-names-unique", "eval_datasets = [{ name = 'a', config = 'd.toml' }, { name = 'a', config = 'd.toml' }]", "eval_datasets = [{ name = 'a', config = 'd.toml' }, { name = 'b', config = 'd.toml' }]"),
        case("eval-name-not-train", "eval_datasets = [{ name = 'train', config = 'd.toml' }]", "eval_datasets = [{ name = 'Train', config = 'd.toml' }]"),
        case("eval-examples-at-least-global-batch", "eval_datasets = [{ name = 'a', config = 'd.toml' }]\neval_every_n_examples = 7\nmicro_batch_size_per_gpu = 4", "eval_datasets = [{ name = 'a', config = 'd.toml' }]\neval_every_n_examples = 8\nmicro_batch_size_per_gpu = 4").gpus(2),
        case("eval-needs-datasets", "eval_every_n_epochs = 1", "eval_before_first_step = false"),
    ]
};
