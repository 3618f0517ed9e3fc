//! Where a configuration names files and folders, and what those names mean.
//!
//! The trainer takes every relative path from its working directory, which has to be its own checkout, and knows
//! no `~`. To dpgui a relative path is relative to the workspace; the copy that the trainer gets has absolute ones.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use toml_edit::{Item, TableLike, Value};

use crate::{
    platform::{Env, fs},
    workspace::Workspace,
};

use super::{
    read::tables,
    schema::{self, Kind, PathKind},
    source::Source,
    texts::MayRead,
};

/// What paths in a configuration are relative to.
#[derive(Clone, Debug)]
pub struct Base {
    pub(super) root: PathBuf,
    pub(super) env: Env,
    sight: Sight,
}

/// What may be looked at for who asks; all, unless it is said.
#[derive(Clone, Default)]
pub struct Sight(Option<MayRead>);

/// What a configuration names that who asks may not look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    pub key: String,
    /// Where it is named.
    pub file: PathBuf,
    /// Where it leads.
    pub place: PathBuf,
}

/// There is nothing, whatever else there is.
const NOWHERE: &str = "/dev/null/hidden";

impl Base {
    pub fn of(workspace: &Workspace, env: &Env) -> Self {
        Self { root: workspace.root().to_owned(), env: env.clone(), sight: Sight::default() }
    }

    /// For who may not look everywhere.
    #[must_use]
    pub fn seeing(self, sight: Sight) -> Self {
        Self { sight, ..self }
    }

    /// Whether who asks may know what is at `path`.
    pub(super) fn sees(&self, path: &Path) -> bool {
        self.sight.reaches(path)
    }

    /// Where to look for `text`: nowhere, if who asks may not know what is there.
    pub(super) fn place(&self, text: &str) -> PathBuf {
        let path = self.absolute(text);
        if self.sees(&path) { path } else { PathBuf::from(NOWHERE) }
    }

    /// Those of the `named` in `file` that who asks may not look at.
    pub(super) fn hidden(&self, file: &Source, named: &[PathUse<'_>]) -> impl Iterator<Item = Hidden> {
        let place = |it: &PathUse<'_>| Hidden {
            key: it.key.to_owned(),
            file: file.path().to_owned(),
            place: self.absolute(it.text),
        };
        named.iter().filter(|it| !it.text.is_empty()).map(place).filter(|it| !self.sees(&it.place))
    }

    /// What a dataset file names that who asks may not look at.
    pub fn hidden_in(&self, dataset: &Source) -> Vec<Hidden> {
        self.hidden(dataset, &in_dataset(dataset)).collect()
    }

    /// `text` without `~` and `./`, absolute. A `..` stays: after a link it means something.
    pub fn absolute(&self, text: &str) -> PathBuf {
        self.root.join(self.env.expand_home(Path::new(text))).components().collect()
    }
}

impl Sight {
    /// Only this.
    pub fn of(may_read: MayRead) -> Self {
        Self(Some(may_read))
    }

    pub fn reaches(&self, path: &Path) -> bool {
        self.0.as_ref().is_none_or(|may_read| may_read(path))
    }
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "some" } else { "all" })
    }
}

/// A path in a file: where it is, and what it has to lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathUse<'a> {
    /// As messages show it.
    pub(super) key: &'a str,
    pub(super) text: &'a str,
    pub(super) span: Range<usize>,
    pub(super) role: Role,
}

/// What a path in a configuration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Made when it is not there.
    Output,
    /// A dataset file.
    Dataset,
    /// A file or folder that has to be there; the rule of that name says so.
    Input(PathKind, &'static str),
}

/// The paths of a training file, in the order of the file's sections.
pub(super) fn in_training<'a>(source: &'a Source, model: Option<&str>) -> Vec<PathUse<'a>> {
    let root: &dyn TableLike = source.root();
    let mut uses = vec![];
    uses.extend(path_at(root, "output_dir", Role::Output));
    uses.extend(path_at(root, "dataset", Role::Dataset));
    for table in tables_at(root, "eval_datasets") {
        uses.extend(path_at(table, "config", Role::Dataset));
    }
    if let Some(table) = root.get("model").and_then(Item::as_table_like) {
        uses.extend(in_model(table, model));
    }
    if let Some(adapter) = root.get("adapter").and_then(Item::as_table_like) {
        let weights = Role::Input(PathKind::FileOrFolder, "init-from-existing-folder");
        uses.extend(path_at(adapter, "init_from_existing", weights));
        for table in tables_at(adapter, "fuse_adapters") {
            uses.extend(path_at(table, "path", Role::Input(PathKind::FileOrFolder, "adapter-files-exist")));
        }
    }
    uses
}

/// The paths of a dataset file.
pub(super) fn in_dataset(source: &Source) -> Vec<PathUse<'_>> {
    let mut uses = vec![];
    for table in tables_at(source.root(), "directory") {
        for key in ["path", "mask_path", "control_path"] {
            uses.extend(path_at(table, key, Role::Input(PathKind::Folder, "directory-exists")));
        }
        uses.extend(path_at(table, "default_mask_file", Role::Input(PathKind::File, "directory-exists")));
    }
    uses
}

/// `OWNER/NAME`: the name of a repository on the hub, unless there is such a folder.
pub(super) fn is_on_hub(text: &str, base: &Base) -> bool {
    let plain = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    let is_name = text.split_once('/').is_some_and(|(owner, name)| plain(owner) && plain(name));
    is_name && !fs::exists(&base.place(text))
}

fn in_model<'a>(table: &'a dyn TableLike, model: Option<&str>) -> Vec<PathUse<'a>> {
    const RULE: &str = "model-files-exist";
    let mut uses = vec![];
    // Of a type that is not known, only what most types have.
    let known = model.and_then(schema::model);
    for key in known.into_iter().flat_map(schema::ModelType::paths) {
        let Some(expected) = key.path else { continue };
        let role = Role::Input(expected, RULE);
        if key.kind == Kind::Path {
            uses.extend(path_at(table, &key.name, role));
        } else if key.name != "merge_adapters" {
            uses.extend(paths_in(table, &key.name, role));
        }
    }
    let file = Role::Input(PathKind::File, RULE);
    uses.extend(paths_in(table, "merge_adapters", file));
    for encoder in tables_at(table, "text_encoders") {
        uses.extend(path_at(encoder, "path", file));
        uses.extend(paths_in(encoder, "paths", file));
    }
    uses
}

fn tables_at<'a>(table: &'a dyn TableLike, key: &str) -> Vec<&'a dyn TableLike> {
    table.get(key).and_then(tables).unwrap_or_default()
}

fn path_at<'a>(table: &'a dyn TableLike, key: &'a str, role: Role) -> Option<PathUse<'a>> {
    let item = table.get(key)?;
    Some(PathUse { key, text: item.as_str()?, span: item.span()?, role })
}

/// A list of paths.
fn paths_in<'a>(table: &'a dyn TableLike, key: &'a str, role: Role) -> Vec<PathUse<'a>> {
    let array = table.get(key).and_then(Item::as_array);
    let value = |value: &'a Value| Some(PathUse { key, text: value.as_str()?, span: value.span()?, role });
    array.map(|array| array.iter().filter_map(value).collect()).unwrap_or_default()
}
