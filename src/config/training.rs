//! The training file: what dpgui needs to know of it, with the trainer's own defaults.

use super::{source::Source, view::View};

/// What the file says. A key that is not there, or is of another type, has the trainer's default, or `None` where it
/// has none; what is wrong with it is for the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// `type` in `[model]`.
    pub model: Option<String>,
    /// As written: relative to the workspace, with `~`.
    pub output_dir: Option<String>,
    /// As written.
    pub dataset: Option<String>,
    pub eval_datasets: Vec<EvalDataset>,
    pub epochs: Option<u64>,
    pub max_steps: Option<u64>,
    /// Of the first resolution, where it differs by resolution: the trainer counts with that one.
    pub micro_batch_size_per_gpu: u64,
    pub gradient_accumulation_steps: u64,
    pub pipeline_stages: u64,
    pub save: Every,
    pub checkpoint: Every,
    pub steps_per_print: u64,
    pub resume: Resume,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalDataset {
    pub name: String,
    /// The dataset file, as written.
    pub config: String,
}

/// How often something is written. Each that is set counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Every {
    pub epochs: Option<u64>,
    pub steps: Option<u64>,
    pub examples: Option<u64>,
    pub minutes: Option<f64>,
}

/// Which run folder the file says to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    No,
    Newest,
    Run(String),
}

impl Training {
    pub fn read(source: &Source) -> Self {
        let root = View::root(source);
        let text = |key: &str| root.text(key).map(str::to_owned);
        let count = |key: &str| root.int(key).and_then(|it| u64::try_from(it).ok());
        let positive = |key: &str| count(key).map(|it| it.max(1));
        Self {
            model: text("model.type"),
            output_dir: text("output_dir"),
            dataset: text("dataset"),
            eval_datasets: eval_datasets(&root),
            epochs: positive("epochs"),
            max_steps: positive("max_steps"),
            micro_batch_size_per_gpu: u64::try_from(first_micro_batch(&root)).unwrap_or(1),
            gradient_accumulation_steps: positive("gradient_accumulation_steps").unwrap_or(1),
            pipeline_stages: positive("pipeline_stages").unwrap_or(1),
            save: Every {
                epochs: count("save_every_n_epochs"),
                steps: count("save_every_n_steps"),
                examples: count("save_every_n_examples"),
                minutes: None,
            },
            checkpoint: Every {
                epochs: positive("checkpoint_every_n_epochs"),
                minutes: root.number("checkpoint_every_n_minutes"),
                ..Every::default()
            },
            steps_per_print: positive("steps_per_print").unwrap_or(1),
            resume: match (root.flag("resume_from_checkpoint"), text("resume_from_checkpoint")) {
                (Some(true), _) => Resume::Newest,
                (_, Some(name)) => Resume::Run(name),
                _ => Resume::No,
            },
        }
    }
}

fn eval_datasets(root: &View) -> Vec<EvalDataset> {
    let one = |table: &View| {
        let (name, config) = (table.text("name")?, table.text("config")?);
        Some(EvalDataset { name: name.to_owned(), config: config.to_owned() })
    };
    root.views("eval_datasets").iter().filter_map(one).collect()
}

/// One number, or that of the first of `[[resolution, batch], …]`: the trainer counts with it.
pub(super) fn first_micro_batch(root: &View) -> i64 {
    let Some(item) = root.get("micro_batch_size_per_gpu") else { return 1 };
    let first = item.as_array().and_then(|array| array.get(0)?.as_array()?.get(1)?.as_integer());
    first.or_else(|| item.as_integer()).unwrap_or(1).max(1)
}
