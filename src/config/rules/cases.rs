//! One file that breaks a rule and one that almost does, for every rule: the tests of all topics.

use std::{collections::BTreeSet, path::Path};

use toml::{Table, Value};

use super::{TOPICS, judge};
use crate::{
    config::{
        self, Checked, Finding, Severity, mend,
        rules::Judge,
        schema::{self, Key, Kind, PathKind, Required},
    },
    platform::{Env, fs},
    workspace::Workspace,
};

/// Stands for a key that is taken away.
const ABSENT: &str = "-";

/// Two changes to a pair of files that is all right. A change is TOML that is put over the file; `"-"` takes a key away.
pub(super) struct Case {
    id: &'static str,
    change: Change,
    broken: &'static str,
    almost: &'static str,
    /// Files besides those that the configuration names, by path in the workspace; a folder ends with `/`.
    files: &'static [(&'static str, &'static str)],
    gpus: Option<u32>,
}

enum Change {
    /// To the training file.
    Training,
    /// To the dataset file of a training of that type.
    Dataset(&'static str),
    /// In front of the training file, as it is.
    Front,
}

/// In the training file.
pub(super) const fn case(id: &'static str, broken: &'static str, almost: &'static str) -> Case {
    Case { id, change: Change::Training, broken, almost, files: &[], gpus: None }
}

/// In the dataset file, for a model type.
pub(super) const fn in_dataset(
    id: &'static str,
    model: &'static str,
    broken: &'static str,
    almost: &'static str,
) -> Case {
    Case { change: Change::Dataset(model), ..case(id, broken, almost) }
}

/// Text in front of the training file.
pub(super) const fn in_front(id: &'static str, broken: &'static str, almost: &'static str) -> Case {
    Case { change: Change::Front, ..case(id, broken, almost) }
}

impl Case {
    pub(super) const fn gpus(self, gpus: u32) -> Self {
        Self { gpus: Some(gpus), ..self }
    }

    pub(super) const fn files(self, files: &'static [(&'static str, &'static str)]) -> Self {
        Self { files, ..self }
    }
}

const CASES: &[&[Case]] = &[
    super::language::CASES,
    super::shape::CASES,
    super::unknown::CASES,
    super::refused::CASES,
    super::saving::CASES,
    super::schedule::CASES,
    super::batch::CASES,
    super::pipeline::CASES,
    super::memory::CASES,
    super::model::CASES,
    super::families::CASES,
    super::adapter::CASES,
    super::optimizer::CASES,
    super::monitoring::CASES,
    super::evaluation::CASES,
    super::dataset::CASES,
    super::files::CASES,
    super::headers::CASES,
    super::resume::CASES,
    super::environment::CASES,
];

/// A workspace in which everything that the pair names is there.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a temp dir") };
        world.write("data/a.png", "");
        world.write("data/a.txt", "a");
        world
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let place = self.dir.path().join(path);
        if path.ends_with('/') {
            return fs::create_dir_all(&place).expect("created");
        }
        fs::create_dir_all(place.parent().expect("a parent")).expect("created");
        fs::write_snapshot(&place, text).expect("written");
    }

    /// A pair of the model type with nothing wrong in it, and what it names.
    fn pair(&self, model: &str) -> (Table, Table) {
        let mut of_model = Table::from_iter([("type".to_owned(), Value::from(model))]);
        let known = schema::model(model).expect("a model type");
        let grouped = known.one_of.iter().map(|group| group.keys[0].clone()).collect::<BTreeSet<_>>();
        for key in &known.keys {
            let said = ["type", "dtype"].contains(&key.name.as_str());
            if key.required == Required::Yes && !said || grouped.contains(&key.name) {
                of_model.insert(key.name.clone(), self.value(key));
            }
        }
        self.write("models/ckpt_path/config.json", r#"{ "model_type": "t2v", "dim": 5120 }"#);
        let dtype = if model == "demo" { "float32" } else { "bfloat16" };
        of_model.insert("dtype".to_owned(), dtype.into());
        let mut training: Table = toml::from_str(
            "output_dir = 'output'\ndataset = 'd.toml'\nepochs = 1\nsave_every_n_epochs = 1\n\
             checkpoint_every_n_minutes = 60\n[adapter]\ntype = 'lora'\nrank = 8\n\
             [optimizer]\ntype = 'adamw_optimi'\nlr = 1e-4\n",
        )
        .expect("TOML");
        training.insert("model".to_owned(), of_model.into());
        let dataset = match model {
            "cosmos" => {
                "size_buckets = [[960, 960, 1]]\n[[directory]]\npath = 'data'\nsize_buckets = [[960, 960, 1]]\n"
            }
            _ => "resolutions = [512]\n[[directory]]\npath = 'data'\n",
        };
        (training, toml::from_str(dataset).expect("TOML"))
    }

    fn value(&self, key: &Key) -> Value {
        let path = format!("models/{}", key.name);
        match (&key.kind, key.path) {
            (Kind::Path | Kind::List(_), Some(kind)) => {
                let path = match kind {
                    PathKind::Folder | PathKind::FolderOrHub | PathKind::NewFolder => format!("{path}/"),
                    PathKind::File | PathKind::FileOrFolder => format!("{path}.safetensors"),
                };
                self.write(&path, if key.name == "diffusion_model" { KLEIN } else { SAFETENSORS });
                if key.kind == Kind::Path { path.into() } else { vec![Value::from(path)].into() }
            }
            (Kind::List(_), None) => {
                self.write("models/encoder.safetensors", SAFETENSORS);
                let of_type = key.items_type.clone().unwrap_or_else(|| "flux".to_owned());
                let entry = [("path", Value::from("models/encoder.safetensors")), ("type", of_type.into())];
                vec![Value::from(Table::from_iter(entry.map(|(key, value)| (key.to_owned(), value))))].into()
            }
            (Kind::Int, _) => 256.into(),
            (kind, _) => panic!("no value for `{}`, a {kind}", key.name),
        }
    }

    fn findings(&self, training: &str, dataset: &str, gpus: Option<u32>) -> Vec<Finding> {
        self.write("t.toml", training);
        self.write("d.toml", dataset);
        self.check(gpus).findings
    }

    fn check(&self, gpus: Option<u32>) -> Checked {
        let workspace = Workspace::at(self.dir.path());
        let path = self.dir.path().join("t.toml");
        config::check(&path, &workspace, &Env::default(), gpus)
    }

    fn judge(&self, case: &Case, change: &str) -> Vec<Finding> {
        let model = match case.change {
            Change::Dataset(model) => model.to_owned(),
            Change::Training => {
                let table: Table = toml::from_str(change).expect("a change is TOML");
                let named = table.get("model").and_then(|it| it.get("type")).and_then(Value::as_str);
                named.filter(|name| schema::model(name).is_some()).unwrap_or("wan").to_owned()
            }
            Change::Front => "wan".to_owned(),
        };
        let (mut training, mut dataset) = self.pair(&model);
        for (path, text) in case.files {
            self.write(path, text);
        }
        let mut front = "";
        match case.change {
            Change::Training => put_over(&mut training, toml::from_str(change).expect("TOML")),
            Change::Dataset(_) => put_over(&mut dataset, toml::from_str(change).expect("TOML")),
            Change::Front => front = change,
        }
        let text = |table: &Table| toml::to_string(table).expect("written");
        self.findings(&format!("{front}{}", text(&training)), &text(&dataset), case.gpus)
    }
}

/// A safetensors file without tensors.
const SAFETENSORS: &[u8] = b"\x02\0\0\0\0\0\0\0{}";

/// One with what FLUX.2 is known by; the other types do not look at it.
const KLEIN: &[u8] =
    b"\x48\0\0\0\0\0\0\0{\"img_in.weight\":{\"dtype\":\"BF16\",\"shape\":[4096,0],\"data_offsets\":[0,0]}}";

fn put_over(table: &mut Table, change: Table) {
    for (key, value) in change {
        match (table.get_mut(&key), value) {
            (_, Value::String(text)) if text == ABSENT => {
                table.remove(&key);
            }
            (Some(Value::Table(inner)), Value::Table(change)) => put_over(inner, change),
            // The first entries are changed, not replaced.
            (Some(Value::Array(inner)), Value::Array(change))
                if key == "directory" && change.iter().all(Value::is_table) =>
            {
                for (index, change) in change.into_iter().enumerate() {
                    let Value::Table(change) = change else { unreachable!("looked at above") };
                    match inner.get_mut(index).and_then(Value::as_table_mut) {
                        Some(entry) => put_over(entry, change),
                        None => inner.push(change.into()),
                    }
                }
            }
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

fn lines(found: &[Finding], root: &Path) -> String {
    let lines: Vec<_> = found.iter().map(|it| format!("\n    {it}")).collect();
    lines.concat().replace(&root.display().to_string(), "DIR")
}

#[test]
fn a_pair_of_any_type_with_what_it_needs_is_clean() {
    for model in schema::model_names() {
        let world = World::new();
        let (training, dataset) = world.pair(model);
        let text = |table: &Table| toml::to_string(table).expect("written");
        let found = world.findings(&text(&training), &text(&dataset), Some(1));
        assert_eq!(lines(&found, world.dir.path()), "", "{model}:\n{}", text(&training));
    }
}

#[test]
fn what_breaks_a_rule_is_found_by_that_rule_alone_and_what_almost_does_is_not() {
    let mut wrong = vec![];
    for case in CASES.iter().copied().flatten() {
        let id = case.id;
        let broken = World::new();
        let found = broken.judge(case, case.broken);
        if found.is_empty() || found.iter().any(|it| it.id != id) {
            wrong.push(format!("\n`{id}` broken by `{}`:{}", case.broken, lines(&found, broken.dir.path())));
        }
        let almost = World::new();
        let found = almost.judge(case, case.almost);
        if !found.is_empty() {
            wrong.push(format!("\n`{id}` almost by `{}`:{}", case.almost, lines(&found, almost.dir.path())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}

#[test]
fn what_is_mended_stays_so_and_nothing_gets_worse() {
    let mut tried = 0;
    for case in CASES.iter().copied().flatten() {
        let world = World::new();
        let before = world.judge(case, case.broken);
        let errors = |found: &[Finding]| found.iter().filter(|it| it.severity == Severity::Error).count();
        let offered = before.iter().any(|it| it.edit.is_some());
        let mended = mend(&world.check(case.gpus)).expect("mended");
        let Checked { findings: after, .. } = world.check(case.gpus);
        assert!(
            errors(&after) <= errors(&before),
            "`{}` got worse:{}",
            case.broken,
            lines(&after, world.dir.path())
        );
        assert_eq!(!mended.is_empty(), offered, "`{}`", case.broken);
        assert!(
            !offered || after.is_empty(),
            "`{}` is not mended:{}",
            case.broken,
            lines(&after, world.dir.path())
        );
        assert_eq!(mend(&world.check(case.gpus)).expect("mended"), [], "`{}` is mended twice", case.broken);
        tried += usize::from(offered);
    }
    assert!(tried >= 15, "hardly anything can be mended: {tried}");
}

#[test]
fn every_rule_that_is_judged_here_has_its_pair() {
    let tried: BTreeSet<&str> = CASES.iter().copied().flatten().map(|case| case.id).collect();
    let looked_for = TOPICS.iter().copied().flatten().flat_map(|rule| rule.ids).copied();
    let promised =
        schema::rules().iter().map(|it| it.id.as_str()).filter(|id| judge(id) == Some(Judge::Check));
    let untried: BTreeSet<&str> = looked_for.chain(promised).filter(|id| !tried.contains(id)).collect();
    // A file alone does not say who asks: tests/it/ui_configs.rs does.
    assert_eq!(untried, BTreeSet::from(["path-hidden"]));
}

#[test]
fn a_finding_says_what_happens_and_when() {
    let world = World::new();
    let found = world.judge(&case("x", "", ""), "blocks_to_swap = 99");
    let said = found.iter().map(|it| it.outcome().unwrap_or_default()).collect::<Vec<_>>();
    assert_eq!(said, ["AssertionError after caching and model loading"]);
}

#[test]
fn a_damaged_file_in_a_folder_of_which_the_trainer_opens_some_is_a_warning() {
    const FILES: &[(&str, &str)] = &[
        ("flux/a.safetensors", "version https://git-lfs.github.com/spec/v1\n"),
        ("flux/vae/b.safetensors", "\u{2}\0\0\0\0\0\0\0{}"),
    ];
    let check = |change: &str, expected| {
        let found = World::new().judge(&case("damaged-file", "", "").files(FILES), change);
        let found: Vec<_> = found.iter().map(|it| (it.id, it.severity)).collect();
        assert_eq!(found, [("damaged-file", expected)], "{change}");
    };
    check("model = { type = 'flux', diffusers_path = 'flux' }", Severity::Warning);
    check("model = { type = 'qwen_image', transformer_path = 'flux' }", Severity::Error);
    check("model = { type = 'wan', llm_path = 'flux/a.safetensors' }", Severity::Error);
    check("adapter.init_from_existing = 'flux'", Severity::Error);
}

#[test]
fn a_key_of_the_top_that_is_there_too_is_only_needless_elsewhere() {
    let check = |change: &str, expected| {
        let found = World::new().judge(&case("root-key-in-table", "", ""), change);
        let found: Vec<_> = found.iter().map(|it| (it.id, it.severity, it.edit.is_some())).collect();
        assert_eq!(found, [("root-key-in-table", expected, expected == Severity::Error)], "{change}");
    };
    check("model.gradient_clipping = 2.0", Severity::Error);
    check("gradient_clipping = 1.0\nmodel.gradient_clipping = 2.0", Severity::Warning);
}

#[test]
fn a_number_that_the_trainer_takes_for_a_truth_is_a_warning_and_counts() {
    let check = |case: Case, expected: &[(&str, Severity)]| {
        let found = World::new().judge(&case, case.broken);
        let found: Vec<_> = found.iter().map(|it| (it.id, it.severity)).collect();
        assert_eq!(found, expected, "{}", case.broken);
    };
    let poor = ("wrong-type", Severity::Warning);
    check(in_dataset("wrong-type", "wan", "directory = [{ skip_empty_caption = 0 }]", ""), &[poor]);
    check(
        in_dataset("wrong-type", "wan", "enable_ar_bucket = 1\nmin_ar = 0.5\nmax_ar = 2.0", ""),
        &[poor, ("ar-range-top-level", Severity::Error)],
    );
    check(
        in_dataset("wrong-type", "wan", "directory = [{ skip_empty_caption = 2 }]", ""),
        &[("wrong-type", Severity::Error)],
    );
}
