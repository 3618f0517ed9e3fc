//! What somebody meant who names a configuration that is not there.

use std::path::{Path, PathBuf};

use crate::{platform::fs, workspace::Workspace};

/// How much the names of two files have to be alike, between 0 and 1.
const ALIKE: f64 = 0.85;

/// The file that `typed`, which is `path`, was probably meant to be. What is typed is relative to the working directory;
/// some take it for relative to the workspace, or for a name in its `configs`, and some leave out `.toml`.
pub fn meant(typed: &Path, path: &Path, workspace: &Workspace) -> Option<PathBuf> {
    let name = typed.file_name()?;
    let stem = typed.file_stem()?.to_string_lossy().to_lowercase();
    let places = [path.to_owned(), workspace.root().join(typed), workspace.configs().join(name)];
    let with_end = places.iter().map(|it| it.with_added_extension("toml"));
    let exact = places.iter().cloned().chain(with_end).find(|it| it != path && fs::is_file(it));
    exact.or_else(|| like(&stem, &places))
}

/// The TOML file in one of the folders of `places` whose name is most like `stem`.
fn like(stem: &str, places: &[PathBuf]) -> Option<PathBuf> {
    let mut folders: Vec<&Path> = places.iter().filter_map(|it| it.parent()).collect();
    folders.dedup();
    let likeness = |path: &PathBuf| {
        let other = path.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
        strsim::jaro_winkler(stem, &other)
    };
    let is_toml = |path: &PathBuf| path.extension().is_some_and(|it| it == "toml");
    folders
        .into_iter()
        .flat_map(|folder| fs::names(folder).unwrap_or_default().into_iter().map(|it| folder.join(it)))
        .filter(is_toml)
        .map(|path| (likeness(&path), path))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_in_the_workspace_by_its_end_or_by_a_name_that_is_like_it() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let at = |name: &str| dir.path().join(name);
        for folder in ["w/configs", "home"] {
            fs::create_dir_all(&at(folder)).expect("created");
        }
        for file in ["w/configs/wan.toml", "w/configs/flux-dev.toml", "w/t.toml", "home/mine.toml"] {
            fs::write_snapshot(&at(file), "").expect("written");
        }
        let workspace = Workspace::at(at("w"));
        let check = |typed: &str, expected: Option<&str>| {
            let path = at("home").join(typed);
            assert_eq!(meant(Path::new(typed), &path, &workspace), expected.map(at), "{typed}");
        };
        check("configs/wan.toml", Some("w/configs/wan.toml"));
        check("t.toml", Some("w/t.toml"));
        check("wan", Some("w/configs/wan.toml"));
        check("mine", Some("home/mine.toml"));
        check("flux-dve.toml", Some("w/configs/flux-dev.toml"));
        check("Mine.toml", Some("home/mine.toml"));
        check("sdxl.toml", None);
    }
}
