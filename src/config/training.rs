//! The training file: what dpgui needs to know of it, with the trainer's own defaults.

use toml_edit::{Item, TableLike};

use super::{finding::Finding, read::Reader, source::Source};

/// What the file says. A key that is not there has the trainer's default, or `None` where it has none.
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
    pub fn read(source: &Source) -> (Self, Vec<Finding>) {
        let mut reader = Reader::new(source);
        let root: &dyn TableLike = source.root();
        let model = reader.table(root, "model").and_then(|table| reader.text(table, "type"));
        let training = Self {
            model,
            output_dir: reader.text(root, "output_dir"),
            dataset: reader.text(root, "dataset"),
            eval_datasets: eval_datasets(&mut reader, root),
            epochs: reader.positive(root, "epochs", "epochs-present"),
            max_steps: reader.positive(root, "max_steps", "max-steps-positive"),
            micro_batch_size_per_gpu: micro_batch(&mut reader, root),
            gradient_accumulation_steps: reader
                .positive(root, "gradient_accumulation_steps", "batch-values-positive")
                .unwrap_or(1),
            pipeline_stages: reader.positive(root, "pipeline_stages", "stages-divide-gpus").unwrap_or(1),
            save: Every {
                epochs: reader.count(root, "save_every_n_epochs"),
                steps: reader.count(root, "save_every_n_steps"),
                examples: reader.count(root, "save_every_n_examples"),
                minutes: None,
            },
            checkpoint: Every {
                epochs: reader.positive(root, "checkpoint_every_n_epochs", "checkpoint-epochs-nonzero"),
                minutes: reader.number(root, "checkpoint_every_n_minutes"),
                ..Every::default()
            },
            steps_per_print: reader.positive(root, "steps_per_print", "steps-per-print-nonzero").unwrap_or(1),
            resume: resume(&mut reader, root),
        };
        (training, reader.found)
    }
}

fn eval_datasets(reader: &mut Reader, root: &dyn TableLike) -> Vec<EvalDataset> {
    let mut datasets = vec![];
    for table in reader.tables(root, "eval_datasets", "eval-dataset-table") {
        let (name, config) = (reader.text(table, "name"), reader.text(table, "config"));
        if let (Some(name), Some(config)) = (name, config) {
            datasets.push(EvalDataset { name, config });
        } else if !table.contains_key("name") || !table.contains_key("config") {
            let at = reader.source.at(super::read::span_of(root, "eval_datasets"));
            reader.found.push(
                Finding::error(
                    "eval-dataset-keys",
                    at,
                    "an entry of `eval_datasets` lacks `name` or `config`",
                )
                .fix("write it as `{ name = 'NAME', config = 'DATASET.toml' }`"),
            );
        }
    }
    datasets
}

/// One number, or `[[resolution, batch], …]`.
fn micro_batch(reader: &mut Reader, root: &dyn TableLike) -> u64 {
    const KEY: &str = "micro_batch_size_per_gpu";
    if !root.get(KEY).is_some_and(Item::is_array) {
        return reader.positive(root, KEY, "batch-values-positive").unwrap_or(1);
    }
    let first_pair = |item: &Item| -> Option<u64> {
        let pair = item.as_array()?.get(0)?.as_array()?;
        pair.get(1)?.as_integer()?.try_into().ok().filter(|batch| *batch > 0)
    };
    reader.typed(root, KEY, "a number, or a list of pairs `[resolution, batch]`", first_pair).unwrap_or(1)
}

fn resume(reader: &mut Reader, root: &dyn TableLike) -> Resume {
    let parse = |item: &Item| match (item.as_bool(), item.as_str()) {
        (Some(true), _) => Some(Resume::Newest),
        (Some(false), _) => Some(Resume::No),
        (None, name) => name.map(|it| Resume::Run(it.to_owned())),
    };
    let what = "`true`, `false` or the name of a run folder";
    reader.typed(root, "resume_from_checkpoint", what, parse).unwrap_or(Resume::No)
}
