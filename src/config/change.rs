//! Sets one key of a file that is there: `config set`.

use std::path::Path;

use toml_edit::{Item, Value};

use crate::platform::fs;

use super::{
    ConfigError,
    address::{self, Place},
    edit::{self, Edit, Step},
    portable,
    schema::{self, Key, Section},
    secret,
    setting::SettingError,
    source::Source,
    view::View,
};

/// What was set, for people to read: no secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// As TOML.
    pub value: String,
    /// What was there before, as TOML.
    pub before: Option<String>,
}

/// Which of the two files a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Training,
    Dataset,
}

impl Part {
    /// By what is in it: a file without folders and without a model may become either.
    fn of(root: &View) -> Self {
        if root.has("directory") && !root.has("model") { Self::Dataset } else { Self::Training }
    }

    const fn top(self) -> Section<'static> {
        match self {
            Self::Training => Section::Training,
            Self::Dataset => Section::Dataset,
        }
    }
}

/// Sets `key`, written `epochs`, `adapter.rank` or `directory[1].path`, to `text`: TOML, or plain text where the key
/// takes text. Comments and order stay. The folder after the last one is made.
///
/// # Errors
/// When the file cannot be read or written, has no such key, or the key cannot have that value.
pub fn set(path: &Path, key: &str, text: &str) -> Result<Changed, ConfigError> {
    let (text, changed) = set_in(&Source::read(path)?, None, key, text)?;
    fs::write_atomic(&fs::real_path(path), text)?;
    Ok(changed)
}

/// The same of a text, which is `part` if somebody knows.
///
/// # Errors
/// When there is no such key, or it cannot have that value.
pub fn set_in(
    source: &Source,
    part: Option<Part>,
    key: &str,
    text: &str,
) -> Result<(String, Changed), ConfigError> {
    let root = View::root(source);
    let target = Target::find(&root, part.unwrap_or_else(|| Part::of(&root)), key).map_err(|mut cause| {
        if let SettingError::Elsewhere { value, .. } = &mut cause {
            *value = Some(text.trim().to_owned()).filter(|it| secret::shown(key, it) == it);
        }
        cause
    })?;
    let value = target.value(key, text)?;
    let file = source.path().to_owned();
    let place = edit::Place { file, steps: target.steps, key: target.name.to_owned() };
    let before = target.table.as_ref().and_then(|table| table.get(target.name)).and_then(Item::as_value);
    // As somebody wrote it, if it is TOML.
    let written = text.trim().parse::<Value>().is_ok_and(|it| plain(&it) == plain(&value));
    let value = if written { text.trim().to_owned() } else { portable::spelt(&value) };
    let shown = |text: &str| secret::shown(key, text).to_owned();
    let changed = Changed { value: shown(&value), before: before.map(|it| shown(&plain(it))) };
    let edits = [Edit::Set { place, value }];
    let (text, done) = edit::apply(source, &edits)?;
    if done.is_empty() {
        return Err(ConfigError::NotAValue { key: key.to_owned() });
    }
    Ok((text, changed))
}

/// Where a key is to be.
struct Target<'a> {
    steps: Vec<Step>,
    /// Its table, if that is there.
    table: Option<View<'a>>,
    name: &'a str,
    /// `None` where a constructor may take anything.
    key: Option<&'static Key>,
}

impl<'a> Target<'a> {
    fn find(root: &View<'a>, part: Part, key: &'a str) -> Result<Self, SettingError> {
        let tables = tables(root, part);
        let places: Vec<Place> = tables
            .iter()
            .map(|it| Place { section: it.section, index: it.index(), is_there: it.view.is_some() })
            .collect();
        let (index, name) = address::find(key, &places).map_err(|it| or_elsewhere(it, root, part))?;
        let Table { section, steps, view } =
            tables.into_iter().nth(index).unwrap_or_else(|| Table::top(root, part));
        Ok(Self { steps, table: view, name, key: schema::key(section, name) })
    }

    fn value(&self, path: &str, text: &str) -> Result<Value, SettingError> {
        match self.key {
            Some(key) => key.typed(text).map_err(|wanted| SettingError::wrong(path, wanted, text)),
            None => Ok(text.trim().parse().unwrap_or_else(|_| text.into())),
        }
    }
}

/// A table that a key may be set in.
struct Table<'a> {
    section: Section<'a>,
    steps: Vec<Step>,
    /// `None` where it would have to be made.
    view: Option<View<'a>>,
}

impl<'a> Table<'a> {
    fn top(root: &View<'a>, part: Part) -> Self {
        Self { section: part.top(), steps: vec![], view: Some(root.clone()) }
    }

    fn index(&self) -> Option<usize> {
        self.steps.iter().find_map(|step| if let Step::Index(index) = step { Some(*index) } else { None })
    }
}

/// A key of the other file of the pair is no slip for one of this.
fn or_elsewhere(error: SettingError, root: &View, part: Part) -> SettingError {
    let SettingError::Unknown { name, nearest } = &error else { return error };
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    if nearest.as_deref().and_then(last) == last(name) {
        return error;
    }
    let (kind, file, is_there) = if part == Part::Dataset {
        let parts =
            [Section::Training, Section::Adapter(None), Section::Optimizer(None), Section::Monitoring];
        let models = schema::models().map(|it| Section::Model(it.name));
        ("training", None, address::is_in(name, parts.into_iter().chain(models)))
    } else {
        let parts = [Section::Dataset, Section::Directory];
        ("dataset", root.text("dataset").map(str::to_owned), address::is_in(name, parts.into_iter()))
    };
    if is_there { SettingError::Elsewhere { name: name.clone(), kind, file, value: None } } else { error }
}

fn tables<'a>(root: &View<'a>, part: Part) -> Vec<Table<'a>> {
    let mut tables = vec![Table::top(root, part)];
    if part == Part::Dataset {
        // And the next one, which would be made.
        let folders = root.views("directory").into_iter().map(Some).chain([None]);
        let directories = folders.enumerate().map(|(index, view)| Table {
            section: Section::Directory,
            steps: vec![Step::Key("directory".to_owned()), Step::Index(index)],
            view,
        });
        tables.extend(directories);
        return tables;
    }
    let model = root.text("model.type").and_then(schema::model);
    let sections = [
        model.map_or(Section::AnyModel, |model| Section::Model(model.name)),
        Section::Adapter(root.text("adapter.type")),
        Section::Optimizer(root.text("optimizer.type")),
        Section::Monitoring,
    ];
    tables.extend(sections.map(|section| {
        let name = address::prefix_of(section);
        Table { section, steps: vec![Step::Key(name.to_owned())], view: root.view(name) }
    }));
    tables
}

fn plain(value: &Value) -> String {
    value.clone().decorated("", "").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAINING: &str = "# top\nepochs = 5 # five\n\n[model]\ntype = 'wan'\ndtype = 'bfloat16'\n\n[optimizer]\ntype = 'Prodigy'\n";

    /// The file after it, or the error.
    fn check(text: &str, key: &str, value: &str, expected: &str) {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().join("t.toml");
        fs::write_snapshot(&path, text).expect("written");
        let said = match set(&path, key, value) {
            Ok(_) => fs::read_text(&path).expect("read"),
            Err(error) => {
                assert_eq!(fs::read_text(&path).expect("read"), text);
                error.to_string()
            }
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn a_value_is_typed_by_its_key_and_the_rest_stays() {
        check(TRAINING, "epochs", "7", &TRAINING.replace("= 5 #", "= 7 #"));
        check(TRAINING, "model.dtype", "float16", &TRAINING.replace("'bfloat16'", "'float16'"));
        check(TRAINING, "model.dtype", "'float16'", &TRAINING.replace("'bfloat16'", "'float16'"));
        check(TRAINING, "optimizer.d_coef", "0.5", &format!("{TRAINING}d_coef = 0.5\n"));
        check(TRAINING, "adapter.rank", "8", &format!("{TRAINING}\n[adapter]\nrank = 8\n"));
        check(TRAINING, "output_dir", "true", &TRAINING.replace("# five\n", "# five\noutput_dir = 'true'\n"));
        let dataset = "resolutions = [512]\n[[directory]]\npath = 'a'\n[[directory]]\npath = 'b'\n";
        check(dataset, "resolutions", "[512, 768]", &dataset.replace("[512]", "[512, 768]"));
        check(dataset, "directory[1].path", "c", &dataset.replace("'b'", "'c'"));
        check(dataset, "resolutions", "[512, [1280, 720]]", &dataset.replace("[512]", "[512, [1280, 720]]"));
        check(dataset, "directory.path", "c", "`directory.path` is a key of more than one part");
        check(dataset, "directory[2].path", "c", &format!("{dataset}\n[[directory]]\npath = 'c'\n"));
        check(dataset, "directory[3].path", "c", "there is no key `directory[3].path`");
        // A name alone is enough where it can be only one; a table is made only for who names it.
        check(
            TRAINING,
            "transformer_dtype",
            "float8",
            &TRAINING.replace("'bfloat16'\n", "'bfloat16'\ntransformer_dtype = 'float8'\n"),
        );
    }

    #[test]
    fn a_key_of_the_other_file_is_told_where_it_belongs() {
        let training = format!("dataset = 'configs/d.toml'\n{TRAINING}");
        let dataset = "resolutions = [512]\n[[directory]]\npath = 'a'\n";
        let check = |text: &str, key: &str, expected: (&str, &str)| {
            let source = Source::parse(Path::new("t"), text.to_owned()).expect("TOML");
            let root = View::root(&source);
            let error = Target::find(&root, Part::of(&root), key).err().expect("there is no such key");
            assert_eq!((error.to_string().as_str(), error.hint().as_str()), expected);
        };
        let of_dataset = |key: &str| format!("`{key}` is a key of the dataset file, and this is none");
        let there = |key: &str| format!("set it there: `dpgui config set configs/d.toml {key} VALUE`");
        for key in ["resolutions", "num_repeats"] {
            check(&training, key, (&of_dataset(key), &there(key)));
        }
        // As a shell takes it.
        check(
            &training,
            "directory[1].path",
            (&of_dataset("directory[1].path"), &there("'directory[1].path'")),
        );
        check(
            TRAINING,
            "resolutions",
            (&of_dataset("resolutions"), "set it there: `dpgui config set DATASET.toml resolutions VALUE`"),
        );
        for key in ["epochs", "model.transformer_dtype", "adapter.rank"] {
            let message = format!("`{key}` is a key of the training file, and this is none");
            let hint = format!("set it there: `dpgui config set TRAINING.toml {key} VALUE`");
            check(dataset, key, (&message, &hint));
        }
        let source = Source::parse(Path::new("t"), dataset.to_owned()).expect("TOML");
        let hint = |key: &str, value: &str| {
            let error = set_in(&source, None, key, value).map(|_| ()).expect_err("there is no such key");
            crate::error::Report::hint(&error).expect("a hint")
        };
        for (key, value, expected) in [
            ("model.dtype", "two words", "model.dtype 'two words'"),
            ("monitoring.wandb_api_key", "0123", "monitoring.wandb_api_key VALUE"),
        ] {
            let expected = format!("set it there: `dpgui config set TRAINING.toml {expected}`");
            assert_eq!(hint(key, value), expected);
        }
        // Not if this file has a key of that name.
        check(
            TRAINING,
            "directory.dtype",
            ("there is no key `directory.dtype`", "did you mean `model.dtype`?"),
        );
    }

    #[test]
    fn a_key_that_is_not_there_or_a_value_that_it_cannot_have_changes_nothing() {
        check(TRAINING, "epochs", "many", "`epochs` must be a whole number, at least 1, not `many`");
        check(
            TRAINING,
            "model.dtype",
            "bf16",
            "`model.dtype` must be `float32`, `float16`, `bfloat16`, `float8`, `float8_e4m3fn` or `float8_e5m2`, not `bf16`",
        );
        check(TRAINING, "rank", "8", "there is no key `rank`");
        check(TRAINING, "model.epochs", "8", "there is no key `model.epochs`");
        check(TRAINING, "model", "8", "`model` must be a table, not `8`");
        let nearest = |key| {
            let source = Source::parse(Path::new("t"), TRAINING.to_owned()).expect("TOML");
            match Target::find(&View::root(&source), Part::Training, key).err() {
                Some(SettingError::Unknown { nearest, .. }) => nearest,
                other => panic!("{key}: {other:?}"),
            }
        };
        assert_eq!(nearest("rank").as_deref(), Some("adapter.rank"));
        assert_eq!(nearest("epoch").as_deref(), Some("epochs"));
        assert_eq!(nearest("xyz"), None);
    }
}
