//! The trainer's pair of TOML files, training and dataset: read, checked, and resolved for a run.
//!
//! What can be in them is data (`schema`). What dpgui does not know passes through as it was written.

mod address;
pub mod change;
mod checked;
pub mod derived;
mod draft;
pub mod edit;
pub mod effective;
mod error;
pub mod explain;
pub mod facts;
pub mod file_name;
pub mod finding;
pub mod json_schema;
mod locate;
pub mod masked;
mod mend;
mod nearby;
pub mod on_resume;
pub mod overview;
mod paths;
pub mod portable;
mod proposal;
mod read;
pub mod removal;
mod resolve;
pub mod rules;
pub mod safetensors;
pub mod sample;
pub mod schema;
pub mod secret;
pub mod setting;
pub mod source;
pub mod starter;
pub mod suggest;
pub mod template;
mod texts;
pub mod training;
mod view;
pub mod weights;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::{platform::Env, workspace::Workspace};

use paths::Role;
use source::Source;
use texts::Texts;

pub use checked::{Checked, check};
pub use error::ConfigError;
pub use finding::{Finding, Position, Severity};
pub use mend::{Mended, ROUNDS, mend};
pub use nearby::meant;
pub use paths::{Base, Hidden, Sight};
pub use resolve::{Resolved, Secret};
pub use rules::{
    unreadable_itself as not_there, without_control, without_directories, without_range, without_resolutions,
    wrong_in_directory,
};
pub use texts::{MayRead, Unsaved};
pub use training::{EvalDataset, Every, Resume, Training};

/// A training file and the dataset files that it names.
pub struct TrainConfig {
    pub training: Training,
    source: Source,
    datasets: Vec<Dataset>,
    base: Base,
}

/// What a training file names a dataset for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Training,
    Evaluation,
}

/// A dataset file, or why it cannot be read.
struct Dataset {
    /// Where the training file names it, as a byte offset.
    named_at: usize,
    path: PathBuf,
    source: Result<Source, Vec<Finding>>,
}

impl TrainConfig {
    /// Reads `path`, which must be absolute, and the dataset files that it names. Those may be missing or broken:
    /// that is for [`TrainConfig::findings`].
    ///
    /// # Errors
    /// When the training file itself is not there, is no TOML, or is a dataset file.
    pub fn load(path: &Path, workspace: &Workspace, env: &Env) -> Result<Self, ConfigError> {
        Self::load_for(path, workspace, env, &Sight::default())
    }

    /// The same for who may not look everywhere: what that is, is told by [`Self::hidden`].
    ///
    /// # Errors
    /// As for [`Self::load`], and when the file itself may not be looked at.
    pub fn load_for(
        path: &Path,
        workspace: &Workspace,
        env: &Env,
        sight: &Sight,
    ) -> Result<Self, ConfigError> {
        let texts = Texts::of_disk(sight);
        Self::load_of(path, &texts, Base::of(workspace, env).seeing(sight.clone()))
    }

    fn load_of(path: &Path, texts: &Texts, base: Base) -> Result<Self, ConfigError> {
        let source = texts.source(path)?;
        if source.root().contains_key("directory") && !source.root().contains_key("model") {
            return Err(ConfigError::IsDataset { path: path.to_owned() });
        }
        let training = Training::read(&source);
        let datasets = paths::in_training(&source, None)
            .into_iter()
            .filter(|it| it.role == Role::Dataset)
            .map(|it| {
                let path = base.absolute(it.text);
                let unreadable = |cause| rules::unreadable(&cause, source.at(Some(it.span.clone())));
                Dataset { named_at: it.span.start, source: texts.source(&path).map_err(unreadable), path }
            })
            .collect();
        Ok(Self { training, source, datasets, base })
    }

    /// The file as given to [`TrainConfig::load`].
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// The training file.
    pub const fn source(&self) -> &Source {
        &self.source
    }

    /// What its paths are relative to.
    pub const fn base(&self) -> &Base {
        &self.base
    }

    /// The dataset files that can be read, in the order in which the training file names them.
    pub fn datasets(&self) -> impl Iterator<Item = (Purpose, &Source)> {
        let trained = read::span_of(self.source.root(), "dataset").map(|span| span.start);
        let purpose = move |dataset: &Dataset| match trained {
            Some(at) if at == dataset.named_at => Purpose::Training,
            _ => Purpose::Evaluation,
        };
        self.datasets.iter().filter_map(move |it| Some((purpose(it), it.source.as_ref().ok()?)))
    }

    /// Everything that is wrong, the training file first, each file from its top. `ranks` is how many processes
    /// (GPUs) will train, if that is known.
    pub fn findings(&self, ranks: Option<u32>) -> Vec<Finding> {
        rules::of_training(self, ranks, &[])
    }

    /// The same for a training whose trainer gets `args`, some of which allow what is wrong otherwise.
    pub fn findings_with(&self, ranks: Option<u32>, args: &[String]) -> Vec<Finding> {
        rules::of_training(self, ranks, args)
    }

    /// What it names, in whichever file, that who asks may not look at.
    pub fn hidden(&self) -> Vec<Hidden> {
        let own = paths::in_training(&self.source, self.training.model.as_deref());
        let mut found: Vec<Hidden> = self.base.hidden(&self.source, &own).collect();
        found.extend(self.hidden_folder());
        for source in self.datasets.iter().filter_map(|it| it.source.as_ref().ok()) {
            found.extend(self.base.hidden(source, &paths::in_dataset(source)));
        }
        found
    }

    /// The folder to go on in, whose name may be a path that leads anywhere.
    fn hidden_folder(&self) -> Option<Hidden> {
        let Resume::Run(name) = &self.training.resume else { return None };
        let place = self.base.absolute(self.training.output_dir.as_deref()?).join(name);
        let hidden = Hidden { key: "resume_from_checkpoint".to_owned(), file: self.path().to_owned(), place };
        (!self.base.sees(&hidden.place)).then_some(hidden)
    }

    /// What the file holds that is for the trainer's environment alone.
    pub fn secrets(&self) -> Vec<Secret> {
        resolve::secrets(self)
    }

    /// The files that could be read.
    fn into_sources(self) -> Vec<Source> {
        let datasets = self.datasets.into_iter().filter_map(|it| it.source.ok());
        std::iter::once(self.source).chain(datasets).collect()
    }

    /// Writes copies of all files into `dir` that the trainer understands from any working directory. The
    /// originals stay as they are.
    ///
    /// # Errors
    /// When a file cannot be read or written, or holds something that the trainer's parser cannot read. Other
    /// findings are not looked for.
    pub fn resolve_into(&self, dir: &Path) -> Result<Resolved, ConfigError> {
        resolve::resolve(self, dir)
    }
}

/// Without the files' text, which may hold a key.
impl fmt::Debug for TrainConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainConfig").field("path", &self.path()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::fs;

    const TRAINING: &str = r"# Where results go
output_dir = './output'
dataset = 'configs/wan.toml'  # has the name of this file
eval_datasets = [
    # one only
    {name = 'held out', config = '~/eval.toml'},
]
epochs = 10
save_every_n_epochs = 1
checkpoint_every_n_minutes = 60

[model]
type = 'wan'
ckpt_path = 'models/Wan2.1'
dtype = 'bfloat16'

[optimizer]
type = 'adamw_optimi'
lr = 1e-4
betas = [0, 0.99]

[monitoring]
enable_wandb = true
wandb_api_key = 'canary'
wandb_tracker_name = 'p'
wandb_run_name = 'r'
";

    /// A workspace in which `wan.toml` is `training`, and all that [`TRAINING`] names is there.
    fn load(training: &str) -> (tempfile::TempDir, Result<TrainConfig, ConfigError>) {
        let dir = tempfile::tempdir().expect("a temp dir");
        for folder in ["configs", "models/Wan2.1", "data/it's", "home"] {
            fs::create_dir_all(&dir.path().join(folder)).expect("created");
        }
        let files = [
            ("wan.toml", training),
            ("configs/wan.toml", "resolutions = [512, [1280, 720]]\n[[directory]]\npath = \"data/it's\"\n"),
            ("home/eval.toml", "\u{feff}resolutions = [512]\r\ndirectory = [{path = \"data/it's\"}]\r\n"),
        ];
        let media = [("data/it's/a.png", ""), ("data/it's/a.txt", "a")];
        for (path, text) in files.into_iter().chain(media) {
            fs::write_atomic(&dir.path().join(path), text).expect("written");
        }
        let home = dir.path().join("home").display().to_string();
        let env = Env::from([("HOME", home.as_str())]);
        let config = TrainConfig::load(&dir.path().join("wan.toml"), &Workspace::at(dir.path()), &env);
        (dir, config)
    }

    /// `text`, with the directory of this test named `DIR`.
    fn anonymous(text: &str, dir: &tempfile::TempDir) -> String {
        text.replace(&dir.path().display().to_string(), "DIR")
    }

    fn check_findings(training: &str, ranks: Option<u32>, expected: &[&str]) {
        let (dir, config) = load(training);
        let found = config.expect("valid TOML").findings(ranks);
        let lines: Vec<_> = found.iter().map(|it| anonymous(&it.to_string(), &dir)).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn the_copies_have_absolute_paths_names_that_differ_and_no_secret() {
        let (dir, config) = load(TRAINING);
        let run = dir.path().join("runs/1");
        let resolved = config.expect("valid").resolve_into(&run).expect("resolved");
        assert_eq!(
            resolved,
            Resolved {
                config: run.join("wan.toml"),
                dataset: run.join("wan-2.toml"),
                eval_datasets: vec![run.join("eval.toml")],
                output_dir: dir.path().join("output"),
                secrets: vec![Secret { variable: "WANDB_API_KEY", value: "canary".to_owned() }],
            }
        );
        let read = |path: &Path| anonymous(&fs::read_text(path).expect("written"), &dir);
        let expected = TRAINING
            .replace("'./output'", "'DIR/output'")
            .replace("'configs/wan.toml'", "'DIR/runs/1/wan-2.toml'")
            .replace("'~/eval.toml'", "'DIR/runs/1/eval.toml'")
            .replace("'models/Wan2.1'", "'DIR/models/Wan2.1'")
            .replace("[0, 0.99]", "[0.0, 0.99]")
            .replace("'canary'", "''");
        assert_eq!(read(&resolved.config), expected);
        assert_eq!(
            read(&resolved.dataset),
            "resolutions = [[512, 512], [1280, 720]]\n[[directory]]\npath = \"DIR/data/it's\"\n"
        );
        assert_eq!(
            read(&resolved.eval_datasets[0]),
            "resolutions = [512]\ndirectory = [{path = \"DIR/data/it\\u0027s\"}]\n"
        );
    }

    #[test]
    fn a_key_in_the_wrong_place_is_in_no_copy_either() {
        let wrong = TRAINING.replace("epochs = 10", "wandb_api_key = 'canary'\nepochs = 10").replace(
            "[optimizer]",
            "[[extra]]\nb = { hf_api_key = 'canary' }\n[optimizer]\nwandb_apikey = ['canary']",
        );
        let (dir, config) = load(&wrong);
        let dataset = dir.path().join("configs/wan.toml");
        let text = fs::read_text(&dataset).expect("read")
            + "wandb_api_key = 'canary' # was wandb_api_key = 'canary'\n# wandb_api_key = \"canary\"\n";
        fs::write_atomic(&dataset, text).expect("written");
        let path = config.expect("valid").path().to_owned();
        let home = dir.path().join("home").display().to_string();
        let env = Env::from([("HOME", home.as_str())]);
        let config = TrainConfig::load(&path, &Workspace::at(dir.path()), &env).expect("valid");
        let resolved = config.resolve_into(&dir.path().join("runs/1")).expect("resolved");
        for copy in [resolved.config, resolved.dataset] {
            let text = fs::read_text(&copy).expect("written");
            assert!(!text.contains("canary") && text.contains("wandb_api_key = ''"), "{text}");
        }
        assert_eq!(resolved.secrets.len(), 1);
    }

    #[test]
    fn what_is_repaired_in_the_copy_is_only_a_note() {
        check_findings(
            TRAINING,
            Some(8),
            &[
                "DIR/wan.toml:20:9: note[toml-homogeneous-arrays]: `betas` mixes types, which the trainer's TOML parser refuses",
                "DIR/wan.toml:24:17: warning[wandb-key-in-file]: `wandb_api_key` is written in the file",
                "DIR/configs/wan.toml:1:15: note[toml-homogeneous-arrays]: `resolutions` mixes types, which the trainer's TOML parser refuses",
                "DIR/home/eval.toml:1:1: note[toml-no-bom]: the file starts with a byte-order mark, which the trainer takes for a part of the first key",
            ],
        );
    }

    #[test]
    fn everything_that_cannot_work_is_found_at_once() {
        let training = r"
output_dir = 3
dataset = 'configs/absent.toml'
eval_datasets = ['eval.toml']
save_every_n_steps = 0
pipeline_stages = 2
micro_batch_size_per_gpu = [[512, 0]]
[model]
type = 'want'
epochs = 5
when = 2020-01-01
[monitoring]
enable_wandb = true
";
        check_findings(
            training,
            Some(3),
            &[
                "DIR/wan.toml:1:1: error[epochs-present]: `epochs` is missing",
                "DIR/wan.toml:1:1: error[optimizer-table]: `optimizer` is missing",
                "DIR/wan.toml:1:1: note[checkpoint-needed-for-resume]: no checkpoints are written on the way, so a training that breaks off starts anew",
                "DIR/wan.toml:2:14: error[wrong-type]: `output_dir` must be a path, not `3`",
                "DIR/wan.toml:3:11: error[dataset-exists]: there is no configuration file `DIR/configs/absent.toml`",
                "DIR/wan.toml:4:17: error[eval-dataset-table]: `eval_datasets` must be a list of tables, not `['eval.toml']`",
                "DIR/wan.toml:5:22: error[save-interval-nonzero]: `save_every_n_steps` must be a whole number, at least 1, not `0`",
                "DIR/wan.toml:6:19: error[stages-divide-gpus]: `pipeline_stages = 2` does not divide the number of GPUs, 3",
                "DIR/wan.toml:7:28: error[batch-values-positive]: `micro_batch_size_per_gpu` must be a whole number, or a list of pairs `[a, b]`, at least 1, not `[[512, 0]]`",
                "DIR/wan.toml:8:2: error[model-required-keys]: `[model]` lacks `dtype`",
                "DIR/wan.toml:9:8: error[model-type-known]: the trainer has no model type `want`",
                "DIR/wan.toml:10:1: error[root-key-in-table]: `epochs` belongs at the top of the file; here it is a part of `[model]`",
                "DIR/wan.toml:11:8: error[toml-no-dates]: `when` is a date, which the trainer cannot use",
                "DIR/wan.toml:13:16: error[wandb-keys]: with `enable_wandb` the trainer needs `wandb_api_key` in `[monitoring]`",
                "DIR/wan.toml:13:16: error[wandb-keys]: with `enable_wandb` the trainer needs `wandb_tracker_name` in `[monitoring]`",
                "DIR/wan.toml:13:16: error[wandb-keys]: with `enable_wandb` the trainer needs `wandb_run_name` in `[monitoring]`",
            ],
        );
    }

    #[test]
    fn what_an_argument_of_the_trainer_allows_is_no_error_with_it() {
        let (dir, config) = load(TRAINING);
        let path = config.expect("valid").path().to_owned();
        let training = TRAINING.replace("epochs = 10", "epochs = 10\nresume_from_checkpoint = 'old'");
        let begun = "[model]\ntype = 'wan'\n[optimizer]\ntype = 'Lion'\nlr = 1e-5\n";
        fs::create_dir_all(&dir.path().join("output/old")).expect("created");
        let dataset = "resolutions = [1, 2, 3, 4]\n[[directory]]\npath = \"data/it's\"\n";
        let files = [
            ("wan.toml", &*training),
            ("configs/wan.toml", dataset),
            ("output/old/wan.toml", begun),
            ("output/old/latest", "a"),
        ];
        for (path, text) in files {
            fs::write_atomic(&dir.path().join(path), text).expect("written");
        }
        let home = dir.path().join("home").display().to_string();
        let env = Env::from([("HOME", home.as_str())]);
        let config = TrainConfig::load(&path, &Workspace::at(dir.path()), &env).expect("valid");
        let check = |args: &[&str], expected: &[&str]| {
            let args: Vec<String> = args.iter().map(|&it| it.to_owned()).collect();
            let ids =
                ["resolutions-at-most-three", "resume-same-model-shape", "lr-changes-ignored-on-resume"];
            let found: Vec<&str> = config.findings_with(Some(8), &args).iter().map(|it| it.id).collect();
            let found: Vec<&str> = ids.into_iter().filter(|id| found.contains(id)).collect();
            assert_eq!(found, expected, "{args:?}");
        };
        let (many, shape, lr) =
            ("resolutions-at-most-three", "resume-same-model-shape", "lr-changes-ignored-on-resume");
        check(&[], &[many, shape, lr]);
        check(&["--i_know_what_i_am_doing"], &[shape, lr]);
        check(&["--reset_optimizer"], &[many, lr]);
        check(&["--reset_optimizer_params"], &[many, shape]);
    }

    #[test]
    fn broken_toml_is_shown_with_its_line_and_a_mark_under_the_place() {
        let (dir, config) = load("output_dir = 'a'\nepochs = = 3\n");
        assert_eq!(
            anonymous(&config.expect_err("broken").to_string(), &dir),
            "`DIR/wan.toml` is no valid TOML\nDIR/wan.toml:2:10: extra `=`, expected nothing\n  | epochs = = 3\n  |          ^"
        );
    }
}
