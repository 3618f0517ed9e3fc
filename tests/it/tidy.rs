//! The rules of the house that neither rustc nor clippy can check.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Top floor first. A module may use its own floor's module (itself) and any floor below.
const FLOORS: &[&[&str]] = &[
    &["main", "lib"],
    &["cli"],
    &["commands"],
    &["ui"],
    &["install", "run"],
    &["data", "diagnosis"],
    &["config", "logs", "metrics", "vendor"],
    &["workspace"],
    &["output"],
    &["platform"],
    &["error"],
];

/// Lines of a source file, its tests left out.
const LONGEST_FILE: usize = 400;

#[test]
fn every_module_uses_only_floors_below_it() {
    for (path, source) in sources() {
        let module = module_of(&path);
        for used in used_modules(&source) {
            let below = floor(&module) < floor(&used);
            assert!(used == module || below, "{}: `{module}` may not use `{used}`", path.display());
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_fits_in_the_head() {
    for (path, source) in sources() {
        let path = path.display();
        assert!(source.starts_with("//! "), "{path}: no module doc on the first line");
        let code = source.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().count();
        assert!(lines <= LONGEST_FILE, "{path}: {lines} lines, over {LONGEST_FILE}");
    }
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut todo = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("src is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let source = fs::read_to_string(&path).expect("source is UTF-8");
                found.push((path, source));
            }
        }
    }
    assert!(!found.is_empty(), "no source found: the rules would hold of nothing");
    found
}

/// `src/install/torch.rs` and `src/install.rs` are both `install`.
fn module_of(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let first = path.strip_prefix(src).expect("under src").iter().next().expect("a name");
    first.to_string_lossy().trim_end_matches(".rs").to_owned()
}

fn floor(module: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&module));
    floor.unwrap_or_else(|| panic!("`{module}` is on no floor: add it to FLOORS"))
}

/// The first names after `crate::`, in `crate::a::b` and in `crate::{a, b::{c, d}}`.
fn used_modules(source: &str) -> Vec<String> {
    let mut used = vec![];
    for rest in source.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            used.push(first_name(rest));
            continue;
        };
        let mut depth = 0_usize;
        let mut at_name = true;
        for (index, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_name = true,
                c if at_name && c.is_ascii_alphabetic() => {
                    used.push(first_name(&group[index..]));
                    at_name = false;
                }
                _ => {}
            }
        }
    }
    used.retain(|name| !name.is_empty());
    used
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
}
