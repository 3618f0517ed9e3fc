//! Keys that the trainer of a model type refuses: the demo's, which ends at the first one that it does not know.

use super::{
    Finding, Rule, all, datasets,
    named::In,
    shape::{self, Part},
    unknown,
};
use crate::config::schema::{self, ModelType};

pub(super) const RULES: &[Rule] = &[
    all(&["demo-key", "root-key-in-table", "unknown-key"], |s, found| {
        of_parts(s.model, shape::training(s), found);
    }),
    datasets(&["demo-key", "unknown-key"], |d, found| of_parts(d.model, shape::dataset(d), found)),
];

/// How an attempt with such a key ends.
const ENDS: &str = "the demo's trainer ends with `unknown key` after it has started";

fn of_parts(model: Option<&ModelType>, parts: Vec<Part>, found: &mut Vec<Finding>) {
    let Some(model) = model.filter(|it| !it.reads.is_empty()) else { return };
    for part in parts {
        // What stands in a table that is refused as a whole is not told once more.
        let Some(table) = table(part.of) else { continue };
        let strange = part.view.table().iter().map(|(key, _)| key).filter(|key| !model.takes(table, key));
        // A rule of its own refuses that one, whatever the trainer.
        let untold = strange.filter(|key| !(part.of == In::Adapter && *key == "alpha"));
        found.extend(untold.map(|key| refused(&part, key, &model.reads[table])));
    }
}

/// As `[reads]` calls it.
const fn table(of: In) -> Option<&'static str> {
    match of {
        In::Training => Some("training"),
        In::Model => Some("model"),
        In::Adapter => Some("adapter"),
        In::Optimizer => Some("optimizer"),
        In::Dataset => Some("dataset"),
        In::Directory => Some("directory"),
        In::EvalDataset | In::TextEncoder | In::FuseAdapter | In::Monitoring => None,
    }
}

fn refused(part: &Part, key: &str, read: &[String]) -> Finding {
    let is_inside = !matches!(part.of, In::Training | In::Dataset | In::Directory);
    if let Some(finding) = unknown::root_key(part, key).filter(|_| is_inside) {
        return finding;
    }
    let at = part.view.at_key(key);
    let finding = |message| Finding::error("unknown-key", at, message).consequence(ENDS);
    if schema::key(part.section, key).is_some() {
        let message = format!("the demo's trainer knows no `{key}`");
        return Finding::error("demo-key", at, message).fix("remove it: it is for other model types");
    }
    match unknown::nearest(key, read.iter().map(String::as_str)) {
        Some(known) => finding(format!("unknown key `{key}`, did you mean `{known}`?"))
            .fix(format!("rename it to `{known}`"))
            .edit(unknown::renaming(part, key, known)),
        None => finding(format!("unknown key `{key}` in {}", part.of.name())).fix("remove it"),
    }
}

#[cfg(test)]
pub(super) const CASES: &[super::cases::Case] = {
    use super::cases::{case, in_dataset};
    &[
        case("demo-key", "model.type = 'demo'\ncompile = true", "model.type = 'demo'\nmax_steps = 5"),
        case(
            "demo-key",
            "model.type = 'demo'\neval_datasets = [{ name = 'a', config = 'd.toml' }]\neval_every_n_epochs = 1\n\
             [monitoring]\nenable_wandb = false",
            "model.type = 'demo'\nsave_every_n_steps = 5",
        ),
        case("unknown-key", "model.type = 'demo'\nfoo_bar = 1", "model.type = 'demo'\nsteps_per_print = 1"),
        case("unknown-key", "model.type = 'demo'\nwarmup_step = 1", "model.type = 'demo'\nwarmup_steps = 1"),
        case(
            "unknown-key",
            "model.type = 'demo'\nmodel.guidance = 1.0",
            "model = { type = 'flux', guidance = 1.0 }",
        ),
        in_dataset("demo-key", "demo", "enable_ar_bucket = false", "resolutions = [16]"),
        in_dataset(
            "demo-key",
            "demo",
            "directory = [{ mask_path = 'data' }]",
            "directory = [{ num_repeats = 2 }]",
        ),
    ]
};

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const TRAINER: &str = include_str!("../../../templates/demo/train.py");

    /// The keys of a table in the trainer's script: every text with a colon after it.
    fn keys(name: &str) -> Vec<String> {
        let (_, rest) = TRAINER.split_once(&format!("\n{name} = {{")).expect("the script has it");
        let end = if rest.starts_with('\n') { rest.find("\n}") } else { rest.find("}\n") };
        let table = &rest[..end.expect("its end")];
        let parts: Vec<&str> = table.split('"').collect();
        let named = parts.windows(2).filter(|pair| pair[1].starts_with(':'));
        named.map(|pair| pair[0].to_owned()).collect()
    }

    #[test]
    fn what_the_demos_trainer_is_said_to_read_is_what_its_script_reads() {
        let said = &schema::model("demo").expect("there").reads;
        let tables = ["training", "model", "adapter", "optimizer", "dataset", "directory"];
        let script = |table: &str| (table.to_owned(), keys(&format!("{}_KEYS", table.to_uppercase())));
        assert_eq!(*said, tables.map(script).into_iter().collect::<BTreeMap<_, _>>());
    }
}
