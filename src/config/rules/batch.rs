//! How many examples at once.

use toml_edit::Item;

use super::{Finding, Rule, Subject, one};

pub(super) const RULES: &[Rule] = &[one(&["micro-batch-first-entry"], micro_batch_first_entry)];

/// `[[resolution, batch], …]`, as far as it is that.
fn pairs(item: &Item) -> Vec<(i64, i64)> {
    let pair = |value: &toml_edit::Value| {
        let pair = value.as_array().filter(|pair| pair.len() == 2)?;
        Some((pair.get(0)?.as_integer()?, pair.get(1)?.as_integer()?))
    };
    item.as_array().map(|array| array.iter().filter_map(pair).collect()).unwrap_or_default()
}

fn micro_batch_first_entry(s: &Subject) -> Option<Finding> {
    const KEY: &str = "micro_batch_size_per_gpu";
    let pairs = s.get(KEY).map(pairs)?;
    let &(resolution, first) = pairs.first()?;
    pairs.iter().any(|(_, batch)| *batch != first).then(|| {
        let message = format!(
            "all counts of examples, so also samples per second, are those of the first entry: {first} at \
             {resolution} pixels"
        );
        s.note("micro-batch-first-entry", KEY, message)
            .fix("nothing, or put the resolution first that most of the examples have")
    })
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::case;
    &[case(
        "micro-batch-first-entry",
        "micro_batch_size_per_gpu = [[512, 4], [1024, 1]]",
        "micro_batch_size_per_gpu = [[512, 4], [1024, 4]]",
    )]
};
