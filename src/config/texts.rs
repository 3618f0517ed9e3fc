//! Files as somebody is writing them: a check, a change or a repair of what is on no disk yet.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{platform::Env, workspace::Workspace};

use super::{
    Base, Checked, ConfigError, Hidden, Sight, TrainConfig, checked, mend,
    paths::{self, Role},
    source::Source,
};

/// What takes the place of the files on the disk, by their paths.
#[derive(Clone, Default)]
pub(super) struct Texts {
    texts: BTreeMap<PathBuf, String>,
    /// Which others may be read.
    sight: Sight,
}

/// Whether the file at a path may be read for who asks.
pub type MayRead = Arc<dyn Fn(&Path) -> bool + Send + Sync>;

impl Texts {
    /// No text in place of any file.
    pub(super) fn of_disk(sight: &Sight) -> Self {
        Self { texts: BTreeMap::new(), sight: sight.clone() }
    }

    pub(super) fn source(&self, path: &Path) -> Result<Source, ConfigError> {
        match self.texts.get(path) {
            Some(text) => Source::parse(path, text.clone()),
            None if self.sight.reaches(path) => Source::read(path),
            None => Err(ConfigError::Hidden { path: path.to_owned() }),
        }
    }
}

/// A training file and its dataset file in the making.
#[derive(Clone)]
pub struct Unsaved {
    training: PathBuf,
    /// Where the training file says that it is, or where it would be looked for.
    dataset: PathBuf,
    texts: Texts,
    base: Base,
}

impl Unsaved {
    /// A pair that would be at `training`, which must be absolute; a dataset file on its own goes for one. Without a text
    /// for the dataset the one on the disk counts.
    pub fn new(
        path: &Path,
        training: String,
        dataset: Option<String>,
        workspace: &Workspace,
        env: &Env,
    ) -> Self {
        let base = Base::of(workspace, env);
        let named = Source::parse(path, training.clone()).ok().and_then(|it| dataset_of(&it, &base));
        let usual = || path.with_file_name(format!("{}-dataset.toml", stem(path)));
        let place = named.unwrap_or_else(usual);
        let mut texts = Texts::default();
        texts.texts.extend(dataset.map(|text| (place.clone(), text)));
        // The last word, should a training file name itself.
        texts.texts.insert(path.to_owned(), training);
        Self { training: path.to_owned(), dataset: place, texts, base }
    }

    /// For who may not read every file: of the others, what they say is not told.
    #[must_use]
    pub fn seeing(mut self, sight: Sight) -> Self {
        self.base = self.base.seeing(sight.clone());
        self.texts.sight = sight;
        self
    }

    /// Where the dataset file is, or would be.
    pub fn dataset(&self) -> &Path {
        &self.dataset
    }

    pub fn texts(&self) -> (&str, Option<&str>) {
        let text = |path: &Path| self.texts.texts.get(path).map(String::as_str);
        let dataset = if self.dataset == self.training { None } else { text(&self.dataset) };
        (text(&self.training).unwrap_or_default(), dataset)
    }

    /// # Errors
    /// When the training file is no TOML, or is a dataset file.
    pub fn config(&self) -> Result<TrainConfig, ConfigError> {
        TrainConfig::load_of(&self.training, &self.texts, self.base.clone())
    }

    /// What it names, in whichever file, that who asks may not look at.
    ///
    /// # Errors
    /// When the training file is no TOML.
    pub fn hidden(&self) -> Result<Vec<Hidden>, ConfigError> {
        match self.config() {
            Ok(config) => Ok(config.hidden()),
            Err(ConfigError::IsDataset { .. }) => {
                let own = self.texts.source(&self.training)?;
                Ok(self.base.hidden(&own, &paths::in_dataset(&own)).collect())
            }
            Err(cause) => Err(cause),
        }
    }

    /// One of the two as TOML, which is either there or not.
    pub fn source(&self, path: &Path) -> Option<Source> {
        self.texts.texts.get(path).and_then(|text| Source::parse(path, text.clone()).ok())
    }

    pub fn path(&self) -> &Path {
        &self.training
    }

    /// The same as [`super::check`] finds in files.
    pub fn check(&self, ranks: Option<u32>) -> Checked {
        let mut checked = checked::check_of(&self.training, &self.texts, &self.base, ranks);
        // Of a training file that is broken, or names none: what is wrong with the dataset counts all the same.
        let was_read = checked.has_read(&self.dataset)
            || checked.findings.iter().any(|it| it.file == self.dataset)
            || self.texts().1.is_none();
        if !was_read {
            checked.add(checked::check_of(&self.dataset, &self.texts, &self.base, ranks));
        }
        checked
    }

    /// Mends what can be mended without a choice, and says what was done.
    ///
    /// # Errors
    /// When the outcome would be no TOML; then there was a bug of ours.
    pub fn mend(&mut self) -> Result<Vec<String>, ConfigError> {
        let mut changes = vec![];
        for _ in 0..mend::ROUNDS {
            let mended = mend::texts(&self.check(None))?;
            // Files that are on the disk only, as those for evaluation, are none of the pair.
            let ours: Vec<_> =
                mended.into_iter().filter(|it| self.texts.texts.contains_key(&it.file)).collect();
            if ours.is_empty() {
                break;
            }
            for it in ours {
                changes.extend(it.changes);
                self.texts.texts.insert(it.file, it.text);
            }
        }
        Ok(changes)
    }
}

/// Without the texts, which may hold a key.
impl fmt::Debug for Unsaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsaved").field("training", &self.training).finish_non_exhaustive()
    }
}

fn dataset_of(source: &Source, base: &Base) -> Option<PathBuf> {
    let text = source.root().get("dataset")?.as_str()?;
    let named = paths::in_training(source, None).into_iter().any(|it| it.role == Role::Dataset);
    named.then(|| base.absolute(text))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
