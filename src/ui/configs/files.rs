//! The configuration files that are there: listed, read without their secrets, and written, both of a pair or none.

use std::{
    path::{Path, PathBuf},
    sync::Mutex,
};

use axum::http::StatusCode;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    config::{
        ConfigError, Unsaved,
        masked::{self, Unknown},
        source::Source,
    },
    error::{Error, Kind},
    platform::{digest::Sha256, fs},
};

use super::{
    super::{
        App,
        failure::{Answer, Failure},
        roots::Roots,
        routes::Nothing,
    },
    file,
    pair::{self, Change},
    place,
};

/// Files that are listed: a folder with more is none of configurations.
const MOST: usize = 1000;

/// Bytes of a file.
pub(super) const LARGEST: u64 = 1 << 20;

/// Nobody writes between the look at what is there and the writing of what shall be.
static WRITING: Mutex<()> = Mutex::new(());

/// A file in `configs`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    name: String,
    path: String,
    model: Option<String>,
    modified: Option<Timestamp>,
    /// As the training file names it.
    dataset: Option<String>,
    kind: Kinds,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kinds {
    Training,
    Dataset,
    /// It is no TOML, or cannot be read.
    Broken,
}

pub fn list(app: &App, _: &Nothing) -> Answer<Vec<Row>> {
    let roots = Roots::with_configs(app)?;
    let names = fs::names(&app.workspace.configs())?;
    let names = names.iter().filter_map(|it| it.to_str());
    let files = names.filter_map(|name| Some((name, place(&app.workspace, name).ok()?)));
    Ok(files.filter(|(_, path)| !fs::is_dir(path)).take(MOST).map(|it| Row::of(&roots, it)).collect())
}

impl Row {
    fn of(roots: &Roots, (name, path): (&str, PathBuf)) -> Self {
        let text = roots.find(&path).and_then(|it| it.read_text(LARGEST));
        let source = text.ok().and_then(|text| Source::parse(&path, text).ok());
        let text_of = |keys: [&str; 2]| {
            let table = source.as_ref()?.root();
            let item = match keys {
                ["", key] => table.get(key),
                [table_name, key] => table.get(table_name)?.as_table_like()?.get(key),
            };
            item?.as_str().map(str::to_owned)
        };
        let kind = match source.as_ref().map(Source::root) {
            None => Kinds::Broken,
            Some(root) if root.contains_key("directory") && !root.contains_key("model") => Kinds::Dataset,
            Some(_) => Kinds::Training,
        };
        Self {
            name: name.to_owned(),
            model: text_of(["model", "type"]),
            modified: fs::modified(&path).ok(),
            dataset: text_of(["", "dataset"]),
            kind,
            path: path.display().to_string(),
        }
    }
}

/// A name in `configs`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OfConfig {
    pub name: String,
}

/// What a save would say of the name alone.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NameSaid {
    /// Why no new configuration can be called so; `null` if one can.
    problem: Option<String>,
    /// The nearest name that one can have, without `.toml`.
    free: String,
}

/// Whether a new configuration can be called so. Another may take the name before it is saved, which is told then.
pub fn name(app: &App, asked: &OfConfig) -> Answer<NameSaid> {
    let dataset = super::of_dataset(asked.name.trim_end_matches(".toml"));
    let problem = |file: &str| match place(&app.workspace, file) {
        Err(refused) => Some(refused.api().message),
        Ok(path) => fs::exists(&path).then(|| format!("there is a `{file}` already")),
    };
    let problem = problem(&asked.name).or_else(|| problem(&dataset));
    Ok(NameSaid { problem, free: super::free(&app.workspace, &asked.name) })
}

/// A configuration as it is on the disk.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Saved {
    name: String,
    training: SavedText,
    /// `null` where the training file names none in `configs`.
    dataset: Option<SavedDataset>,
    /// As the training file names it.
    dataset_path: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedText {
    /// Its secrets are placeholders, `(hidden 1)`, that may be sent back.
    text: String,
    digest: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SavedDataset {
    name: String,
    text: String,
    digest: String,
}

pub fn show(app: &App, asked: &OfConfig) -> Answer<Saved> {
    let path = file(&app.workspace, &asked.name)?;
    let roots = Roots::with_configs(app)?;
    let text = roots.find(&path)?.read_text(LARGEST)?;
    let digest = Sha256::of(&text).to_string();
    let training = SavedText { text: masked::mask(&text), digest };
    let source = Source::parse(&path, text.clone()).ok();
    let named = source.and_then(|it| it.root().get("dataset")?.as_str().map(str::to_owned));
    let dataset_path = Unsaved::new(&path, text, None, &app.workspace, &app.host.env).dataset().to_owned();
    let dataset = match &named {
        Some(_) => dataset(app, &roots, &dataset_path)?,
        None => None,
    };
    Ok(Saved { name: asked.name.clone(), training, dataset, dataset_path: named })
}

/// The dataset file, if it is one of `configs` that is there.
fn dataset(app: &App, roots: &Roots, path: &Path) -> Answer<Option<SavedDataset>> {
    let Some(name) = name_in_configs(app, path).filter(|_| fs::is_file(path)) else { return Ok(None) };
    let text = roots.find(path)?.read_text(LARGEST)?;
    let digest = Sha256::of(&text).to_string();
    Ok(Some(SavedDataset { name, text: masked::mask(&text), digest }))
}

fn name_in_configs(app: &App, path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let expected = place(&app.workspace, name).ok()?;
    (path == expected).then(|| name.to_owned())
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveRequest {
    training: String,
    /// `null` leaves the dataset file alone.
    dataset: Option<String>,
    /// Of what the page had loaded.
    digests: Digests,
}

/// Of files; `null` of one that is not there.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Digests {
    training: Option<String>,
    #[serde(default)]
    dataset: Option<String>,
}

impl Digests {
    /// Whether what lies there is what these are of; a file that the page does not show is not looked at.
    ///
    /// # Errors
    /// When somebody changed one of the files, or it cannot be read.
    pub fn must_be_of(&self, app: &App, name: &str) -> Answer<()> {
        let now = show(app, &OfConfig { name: name.to_owned() })?;
        let dataset = now.dataset.as_ref();
        let pairs = [
            (name, self.training.as_ref(), Some(&now.training.digest)),
            (
                dataset.map_or("the dataset file", |it| &it.name),
                self.dataset.as_ref(),
                dataset.map(|it| &it.digest),
            ),
        ];
        match pairs.into_iter().find(|(_, shown, there)| shown.is_some() && shown != there) {
            None => Ok(()),
            Some((name, ..)) => {
                let text = format!("`{name}` was changed meanwhile, and is not what is shown");
                Err(Failure::conflict(
                    Error::new(Kind::Usage, text).with_hint("load it again, then start it"),
                ))
            }
        }
    }
}

/// Writes a configuration, unless somebody else has changed it meanwhile.
pub fn save(app: &App, asked: &OfConfig, body: &SaveRequest) -> Answer<Digests> {
    let path = place(&app.workspace, &asked.name)?;
    let unsaved = |dataset| {
        Unsaved::new(&path, body.training.clone(), dataset, &app.workspace, &app.host.env)
            .dataset()
            .to_owned()
    };
    let _alone = WRITING.lock();
    pair::finish(&app.workspace)?;
    fs::create_dir_all(&app.workspace.configs())?;
    let roots = Roots::with_configs(app)?;
    let training = change(&roots, &path, &body.training, body.digests.training.as_ref())?;
    let Some(text) = &body.dataset else {
        training.write()?;
        return Ok(Digests { training: Some(training.digest()), dataset: None });
    };
    // Which file the dataset's is, only TOML tells.
    if let Err(ConfigError::Syntax { problems, .. }) = Source::parse(&path, body.training.clone()) {
        let first =
            problems.first().map(|it| format!(" line {} of `{}`: {}", it.at.line, asked.name, it.message));
        let text = format!("not saved:{}", first.unwrap_or_default());
        return Err(Failure::http(StatusCode::UNPROCESSABLE_ENTITY, "usage", text)
            .with_hint("mend it, or save it without its dataset"));
    }
    let dataset_path = unsaved(None);
    if name_in_configs(app, &dataset_path).is_none() || dataset_path == path {
        let text = format!(
            "the dataset file `{}` that the training file names is none of its own in `configs`",
            dataset_path.display()
        );
        return Err(Failure::http(StatusCode::BAD_REQUEST, "usage", text).with_hint(
            "save the training file alone, or name one there: `dataset = 'configs/NAME-dataset.toml'`",
        ));
    }
    let dataset = change(&roots, &dataset_path, text, body.digests.dataset.as_ref())?;
    // The training file last: it is the one that people and commands look for.
    let pair = [dataset, training];
    pair::write(&app.workspace, &pair)?;
    let [dataset, training] = pair.map(|it| Some(it.digest()));
    Ok(Digests { training, dataset })
}

/// What shall become of the file at `path`; `digest` is that of the file which the page had loaded.
fn change(roots: &Roots, path: &Path, text: &str, digest: Option<&String>) -> Answer<Change> {
    // A link to nothing would become a file wherever it leads.
    if fs::exists(path) && fs::resolved(path).is_err() {
        let text = format!("`{}` is a link that leads nowhere", path.display());
        return Err(Failure::conflict(Error::new(Kind::Usage, text).with_hint("remove it")));
    }
    let found = fs::exists(path).then(|| roots.find(path)).transpose()?;
    let before = found.as_ref().map(|it| it.read_text(LARGEST)).transpose()?;
    if before.as_ref().map(|it| Sha256::of(it).to_string()).as_ref() != digest {
        let name = path.file_name().unwrap_or_default().display();
        let again = "load it again, or save under another name";
        let (text, hint) = match (&before, digest) {
            (Some(_), None) => (format!("there is a `{name}` already"), again),
            (None, _) => {
                (format!("`{name}` was removed meanwhile"), "write it anew, or save under another name")
            }
            (Some(_), Some(_)) => (format!("`{name}` was changed by somebody else meanwhile"), again),
        };
        let error = Error::new(Kind::Usage, text).with_hint(hint);
        return Err(Failure::conflict(error));
    }
    let after = masked::unmask(text, before.as_deref().unwrap_or_default()).map_err(unknown)?;
    // Behind a link, which stays one.
    Ok(Change { path: found.map_or_else(|| path.to_owned(), |it| it.path), before, after })
}

fn unknown(cause: Unknown) -> Failure {
    Failure::http(StatusCode::BAD_REQUEST, "usage", cause)
        .with_hint("write the secret itself, or leave it empty and set it in the environment")
}
