//! Sets one key of a file that is there: `config set`.

use std::path::Path;

use toml_edit::{Item, Value};

use crate::platform::fs;

use super::{
    ConfigError,
    edit::{self, Edit, Place, Step},
    portable, rules,
    schema::{self, Key, Kind, Section},
    secret,
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

/// Sets `key`, written `epochs`, `adapter.rank` or `directory[1].path`, to `text`: TOML, or plain text where the key
/// takes text. Comments and order stay.
///
/// # Errors
/// When the file cannot be read or written, has no such key, or the key cannot have that value.
pub fn set(path: &Path, key: &str, text: &str) -> Result<Changed, ConfigError> {
    let source = Source::read(path)?;
    let root = View::root(&source);
    let target = Target::find(&root, key)?;
    let value = target.value(key, text)?;
    let place = Place { file: path.to_owned(), steps: target.steps, key: target.name.to_owned() };
    let before = target.table.as_ref().and_then(|table| table.get(target.name)).and_then(Item::as_value);
    // As somebody wrote it, if it is TOML.
    let written = text.trim().parse::<Value>().is_ok_and(|it| plain(&it) == plain(&value));
    let value = if written { text.trim().to_owned() } else { portable::spelt(&value) };
    let shown = |text: &str| secret::shown(key, text).to_owned();
    let changed = Changed { value: shown(&value), before: before.map(|it| shown(&plain(it))) };
    let edits = [Edit::Set { place, value }];
    let (text, done) = edit::apply(&source, &edits)?;
    if done.is_empty() {
        return Err(ConfigError::NotAValue { key: key.to_owned() });
    }
    fs::write_atomic(&fs::real_path(path), text)?;
    Ok(changed)
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
    fn find(root: &View<'a>, key: &'a str) -> Result<Self, ConfigError> {
        let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
        let unknown = || ConfigError::NoSuchKey { key: key.to_owned(), nearest: nearest(root, key) };
        let (section, steps, view) = if is_dataset(root) {
            of_dataset(root, table).ok_or_else(unknown)?
        } else {
            let section = of_training(root, table).ok_or_else(unknown)?;
            let steps = if table.is_empty() { vec![] } else { vec![Step::Key(table.to_owned())] };
            (section, steps, if table.is_empty() { Some(root.clone()) } else { root.view(table) })
        };
        let open = matches!(section, Section::Optimizer(Some(name)) if schema::optimizer(name).is_none());
        match schema::key(section, name) {
            None if !open => Err(unknown()),
            key => Ok(Self { steps, table: view, name, key }),
        }
    }

    /// `text` as TOML, or as itself where the key takes text.
    fn value(&self, path: &str, text: &str) -> Result<Value, ConfigError> {
        let parsed = text.trim().parse::<Value>().ok();
        let Some(key) = self.key else {
            return Ok(parsed.unwrap_or_else(|| text.into()));
        };
        let takes_text =
            key.kind.alternatives().iter().any(|it| matches!(it, Kind::Text | Kind::Path | Kind::Dtype));
        let fits = |value: &Value| rules::wanted_instead(key, value).is_none();
        let candidates = parsed.into_iter().chain(takes_text.then(|| Value::from(text)));
        let wrong = || ConfigError::WrongValue {
            key: path.to_owned(),
            wanted: rules::wanted(key),
            text: secret::shown(path, text).to_owned(),
        };
        candidates.into_iter().find(fits).ok_or_else(wrong)
    }
}

fn is_dataset(root: &View) -> bool {
    root.has("directory") && !root.has("model")
}

fn of_training<'a>(root: &View<'a>, table: &str) -> Option<Section<'a>> {
    Some(match table {
        "" => Section::Training,
        "model" => root
            .text("model.type")
            .and_then(schema::model)
            .map_or(Section::AnyModel, |model| Section::Model(model.name)),
        "adapter" => Section::Adapter(root.text("adapter.type")),
        "optimizer" => Section::Optimizer(root.text("optimizer.type")),
        "monitoring" => Section::Monitoring,
        _ => return None,
    })
}

type Place3<'a> = (Section<'a>, Vec<Step>, Option<View<'a>>);

/// `directory` where there is one only, `directory[1]` for the second.
fn of_dataset<'a>(root: &View<'a>, table: &str) -> Option<Place3<'a>> {
    if table.is_empty() {
        return Some((Section::Dataset, vec![], Some(root.clone())));
    }
    let directories = root.views("directory");
    let rest = table.strip_prefix("directory")?;
    let index = match rest.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(index) => index.parse::<usize>().ok()?,
        None if rest.is_empty() && directories.len() == 1 => 0,
        None => return None,
    };
    let steps = vec![Step::Key("directory".to_owned()), Step::Index(index)];
    Some((Section::Directory, steps, Some(directories.get(index)?.clone())))
}

/// The key that is most like `key`, as one would write it.
fn nearest(root: &View, key: &str) -> Option<String> {
    let tables: &[&str] = if is_dataset(root) {
        &["", "directory"]
    } else {
        &["", "model", "adapter", "optimizer", "monitoring"]
    };
    let of = |table: &str| match is_dataset(root) {
        true if table.is_empty() => Some(Section::Dataset),
        true => Some(Section::Directory),
        false => of_training(root, table),
    };
    let spelt =
        |table: &str, key: &str| if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") };
    let all: Vec<String> = tables
        .iter()
        .filter_map(|table| Some((*table, of(table)?)))
        .flat_map(|(table, section)| {
            schema::section(section).into_iter().map(move |key| spelt(table, &key.name))
        })
        .collect();
    // The right name in the wrong place, or in none, is nearer than any other.
    let name = key.rsplit('.').next().unwrap_or(key);
    let last = |it: &str| it.rsplit('.').next() == Some(name);
    let same = all.iter().find(|it| last(it)).cloned();
    same.or_else(|| schema::nearest(key, all.iter().map(String::as_str), 0.8).map(str::to_owned))
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
        let path = |key| {
            nearest(&View::root(&Source::parse(Path::new("t"), TRAINING.to_owned()).expect("TOML")), key)
        };
        assert_eq!(path("rank").as_deref(), Some("adapter.rank"));
        assert_eq!(path("epoch").as_deref(), Some("epochs"));
        assert_eq!(path("xyz"), None);
    }
}
