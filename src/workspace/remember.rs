//! Choices made on a command line, kept in `dpgui.toml`: the next command without them must not undo them.

use std::path::Path;

use toml_edit::{Array, DocumentMut, Item, TomlError, Value};

use crate::platform::{
    checkpoint::{Checkpoint, reach},
    fs,
    lock::Lock,
};

use super::{Settings, SettingsError, Workspace, change, document};

/// What was chosen; what is `None` or empty was not.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    pub torch: Option<&'a str>,
    pub python: Option<&'a Path>,
    pub models: &'a [String],
    pub submodules: &'a [String],
}

impl Choices<'_> {
    /// Nothing was chosen.
    pub const NONE: Self = Self { torch: None, python: None, models: &[], submodules: &[] };

    /// [`remember`] would write something.
    pub fn is_news(&self, workspace: &Workspace) -> Result<bool, SettingsError> {
        if !fs::exists(&workspace.settings_file()) {
            let Choices { torch, python, models, submodules } = self;
            return Ok(torch.is_some() || python.is_some() || !models.is_empty() || !submodules.is_empty());
        }
        Ok(!lay_over(workspace, *self)?.1.is_empty())
    }
}

/// Writes the choices into the workspace's settings, everything else in the file left as it is. What changed comes
/// back, as it stands in the file. For who holds the setup's lock.
pub fn remember(
    workspace: &Workspace,
    choices: Choices<'_>,
    _lock: &Lock,
) -> Result<Vec<String>, SettingsError> {
    Settings::mark(workspace)?;
    // Two at a time would lose what one of them chose.
    let _alone = change::alone(workspace)?;
    let (text, changed) = lay_over(workspace, choices)?;
    if !changed.is_empty() {
        fs::write_atomic(&workspace.settings_file(), text)?;
        reach(Checkpoint::Remembered);
    }
    Ok(changed)
}

/// The settings with the choices in them, and what changed.
fn lay_over(workspace: &Workspace, choices: Choices<'_>) -> Result<(String, Vec<String>), SettingsError> {
    let path = workspace.settings_file();
    let text = fs::read_text(&path)?;
    let broken = |cause: TomlError| SettingsError::Toml { path: path.clone(), details: cause.to_string() };
    let mut draft = Draft { text, changed: vec![] };
    if let Some(profile) = choices.torch {
        draft.set(&["torch", "profile"], profile).map_err(broken)?;
    }
    if let Some(python) = choices.python {
        draft.set(&["python"], &python.to_string_lossy()).map_err(broken)?;
    }
    draft.add("models", choices.models).map_err(broken)?;
    draft.add("submodules", choices.submodules).map_err(broken)?;
    Ok((draft.text, draft.changed))
}

/// The file as it shall be.
struct Draft {
    text: String,
    changed: Vec<String>,
}

impl Draft {
    fn set(&mut self, path: &[&str], text: &str) -> Result<(), TomlError> {
        let document: DocumentMut = self.text.parse()?;
        if document::find(document.as_table(), path).and_then(Item::as_str) != Some(text) {
            self.put(path, text.into())?;
        }
        Ok(())
    }

    fn add(&mut self, key: &str, names: &[String]) -> Result<(), TomlError> {
        let document: DocumentMut = self.text.parse()?;
        let mut list = document.get(key).and_then(Item::as_array).cloned().unwrap_or_else(Array::new);
        let before = list.len();
        for name in names {
            if !list.iter().any(|it| it.as_str() == Some(name)) {
                list.push(name);
            }
        }
        if list.len() > before {
            self.put(&[key], list.into())?;
        }
        Ok(())
    }

    fn put(&mut self, path: &[&str], value: Value) -> Result<(), TomlError> {
        self.text = document::put(&self.text, path, value.clone())?;
        let value = value.decorated("", "");
        self.changed.extend(path.last().map(|key| format!("{key} = {value}")));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(workspace: &Workspace, choices: Choices<'_>) -> Vec<String> {
        fs::create_dir_all(&workspace.internal()).expect("created");
        let lock = Lock::wait(&workspace.setup_lock()).expect("free");
        let is_news = choices.is_news(workspace).expect("readable");
        let changed = remember(workspace, choices, &lock).expect("remembered");
        assert_eq!(is_news, !changed.is_empty());
        changed
    }

    #[test]
    fn a_choice_is_kept_among_what_the_user_wrote() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        let text = "# mine\nmodels = [\"chroma\"] # both\n\n[sources.node]\nversion = \"1\"\n";
        fs::write_atomic(&workspace.settings_file(), text).expect("written");
        let models = ["chroma".to_owned(), "lumina_2".to_owned()];
        let choices =
            Choices { torch: Some("cu12"), python: Some(Path::new("/py")), models: &models, submodules: &[] };
        assert_eq!(
            keep(&workspace, choices),
            ["profile = \"cu12\"", "python = \"/py\"", "models = [\"chroma\", \"lumina_2\"]"]
        );
        let settings = Settings::load(&workspace).expect("still valid");
        assert_eq!((settings.torch.profile.as_deref(), settings.models), (Some("cu12"), models.to_vec()));
        assert_eq!((settings.python.as_deref(), settings.sources.len()), (Some(Path::new("/py")), 1));
        assert!(fs::read_text(&workspace.settings_file()).expect("read").starts_with("# mine\n"));
        assert_eq!(keep(&workspace, choices), Vec::<String>::new());
    }

    #[test]
    fn a_choice_goes_into_the_starter_file() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let workspace = Workspace::at(dir.path());
        let models = ["chroma".to_owned()];
        keep(&workspace, Choices { torch: Some("cpu"), models: &models, ..Choices::NONE });
        assert_eq!(keep(&workspace, Choices::NONE), Vec::<String>::new());
        let settings = Settings::load(&workspace).expect("valid");
        assert_eq!((settings.torch.profile.as_deref(), settings.models), (Some("cpu"), models.to_vec()));
    }
}
