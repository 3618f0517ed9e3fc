//! Files: whether every artefact still is what its manifest says, and every checkout what its commit says.
//!
//! [`look_at_all`] is what `setup --verify` and `--repair` go by; the checks say the same to people.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    error::in_one_line,
    output::Progress,
    platform::{
        digest::Sha256,
        fs::{self, FsError},
    },
    vendor::git::{self, GitError, State},
    workspace::Workspace,
};

use super::{
    super::{
        InstallError,
        manifest::{self, Comparison, Depth, Difference, Manifest, NAME, Wrong},
        plan::StepId,
        receipt::Receipt,
        step::Site,
    },
    Scene,
    check::{Check, Fix, Verdict},
};

/// Paths that a line names; the others are counted.
const NAMED: usize = 3;

/// Something that is not what it was when a setup made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Damage {
    /// Who makes it anew.
    pub step: StepId,
    pub place: PathBuf,
    /// Relative to `place`; of a checkout the first few.
    pub differences: Vec<Difference>,
    /// How many there are in all.
    pub count: usize,
    /// It may be the user's own work, which must not be lost unasked.
    pub is_edit: bool,
}

impl Damage {
    /// `bin/node is missing, lib/x.js is changed and 3 more`
    pub fn describe(&self) -> String {
        described(&self.differences, self.count)
    }
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// With what was looked at of it.
    Whole {
        step: StepId,
        what: String,
        /// Equal on every machine that has the same, and that starts its Python with the same.
        digest: Option<String>,
    },
    Damaged(Damage),
    /// A checkout whose files cannot be compared with anything: its repository is damaged.
    Unreadable {
        step: StepId,
        place: PathBuf,
        why: String,
    },
}

/// Compares everything in the workspace with what it was when a setup made it. What no setup made is not looked at, nor
/// what a dpgui made that did not write lists of files yet. Only looks.
///
/// # Errors
/// When a list of files cannot be read.
pub fn look_at_all(site: &Site, depth: Depth, progress: &Progress) -> Result<Vec<Looked>, InstallError> {
    let mut looked = vec![];
    for (step, place) in artefacts(&site.workspace) {
        progress.doing(format!("at {step}"));
        let contents = Receipt::of(&place).and_then(|it| it.contents);
        if let (Depth::Full, Some(contents)) = (depth, contents) {
            progress.expect_bytes(contents.bytes);
        }
        let look = look(&place, depth, &|bytes| progress.bytes(bytes))?;
        let whole = judge(&look, depth).filter(|it| it.verdict == Verdict::Ok).map(|it| it.found);
        let differences = match (look, whole) {
            (Look::NotOurs | Look::Unlisted, _) => continue,
            (Look::Compared { comparison, .. }, Some(what)) => {
                let digest = contents.map(|it| with_hooks(it.portable, &place, &comparison.extra));
                let digest = digest.transpose()?.map(|it| it.to_string());
                looked.push(Looked::Whole { step, what, digest });
                continue;
            }
            (Look::ListLost, _) => vec![Difference { path: NAME.into(), what: Wrong::Missing }],
            (Look::Compared { comparison, .. }, None) => comparison.differences,
        };
        let count = differences.len();
        looked.push(Looked::Damaged(Damage { step, place, differences, count, is_edit: false }));
    }
    progress.expect_no_bytes();
    for name in site.sources.repositories.keys() {
        progress.doing(format!("at {name}"));
        looked.extend(look_at_checkout(&site.workspace, name)?);
    }
    Ok(looked)
}

/// What setup makes as a whole, with a receipt in it. The farm is links, which its step looks at one by one.
fn artefacts(workspace: &Workspace) -> [(StepId, PathBuf); 4] {
    let tools = workspace.tools();
    [
        (StepId::Node, tools.join("node")),
        (StepId::Uv, tools.join("uv")),
        (StepId::Python, tools.join("python")),
        (StepId::Venv, workspace.venv()),
    ]
}

/// What a look at an artefact showed.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Nothing is there, or no receipt in it.
    NotOurs,
    /// By a dpgui that wrote no lists of files.
    Unlisted,
    /// The receipt knows of a list that is gone, or another one.
    ListLost,
    Compared {
        files: u64,
        comparison: Comparison,
    },
}

fn look(place: &Path, depth: Depth, read: &(dyn Fn(u64) + Sync)) -> Result<Look, FsError> {
    let Some(receipt) = Receipt::of(place) else { return Ok(Look::NotOurs) };
    let Some(contents) = receipt.contents else { return Ok(Look::Unlisted) };
    let Some(manifest) = Manifest::stored(place, contents.manifest)? else { return Ok(Look::ListLost) };
    Ok(Look::Compared { files: contents.files, comparison: manifest.check(place, depth, read) })
}

/// The files of a checkout, and whether they are as committed.
fn look_at_checkout(workspace: &Workspace, name: &str) -> Result<Option<Looked>, InstallError> {
    let place = workspace.vendor().join(name);
    let step = StepId::Repository(name.to_owned());
    let (head, state) = match git::look(&place) {
        Ok(Some(it)) => it,
        Ok(None) => return Ok(None),
        Err(error @ GitError::Read { .. }) => {
            return Ok(Some(Looked::Unreadable { step, place, why: in_one_line(&error) }));
        }
        Err(error) => return Err(error.into()),
    };
    let State::Edited { files, .. } = state else {
        let what = format!("commit {}, every file as committed", head.short());
        return Ok(Some(Looked::Whole { step, what, digest: Some(head.to_string()) }));
    };
    let what = |name: &String| if fs::exists(&place.join(name)) { Wrong::Content } else { Wrong::Missing };
    let differences =
        files.some.iter().map(|name| Difference { path: name.into(), what: what(name) }).collect();
    Ok(Some(Looked::Damaged(Damage {
        step,
        place,
        differences,
        count: files.count,
        is_edit: !files.are_gone,
    })))
}

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let depth = scene.depth;
    let of_artefact = |(step, place): (StepId, PathBuf)| {
        let check = match look(&place, depth, &|_| ()) {
            Ok(look) => {
                let check = judge(&look, depth)?;
                if can_be_rebuilt(&look) {
                    check.mended_by(Fix::Rebuild { step: Box::new(step.clone()) })
                } else {
                    check
                }
            }
            Err(error) => Check::failed("files", error),
        };
        Some(check.about(step))
    };
    artefacts(&scene.site.workspace).into_iter().filter_map(of_artefact).collect()
}

fn judge(look: &Look, depth: Depth) -> Option<Check> {
    let id = "files";
    let repair = "`dpgui setup --repair` makes it anew";
    Some(match look {
        // The receipts' own check tells of it.
        Look::NotOurs => return None,
        Look::Unlisted => Check::note(id, "an older dpgui made it, and wrote down no list of its files"),
        Look::ListLost => {
            Check::problem(id, "the list of its files is damaged, so they cannot be checked").advise(repair)
        }
        Look::Compared { files, comparison: Comparison { differences, extra } } if differences.is_empty() => {
            let more = added(extra);
            Check::ok(
                id,
                match depth {
                    Depth::Fast => format!("{files} are there{more}"),
                    Depth::Full => format!("{files} are as they were installed, to the last byte{more}"),
                },
            )
        }
        Look::Compared { comparison: Comparison { differences, .. }, .. } => {
            let told = described(differences, differences.len());
            if by_pip(differences) {
                Check::warning(id, format_args!("{told}; pip was at work here"))
                    .advise(format_args!("if you did not change packages yourself: {repair}"))
            } else {
                Check::new(id, Verdict::Problem, told).advise(repair)
            }
        }
    })
}

/// What a glance finds missing or changed of the artefact at `place`, for people; `None` where it is whole, or is as the
/// user's pip left it.
///
/// # Errors
/// When its list of files cannot be read.
pub fn glance(place: &Path) -> Result<Option<String>, FsError> {
    Ok(match look(place, Depth::Fast, &|_| ())? {
        Look::NotOurs => Some("the receipt is missing or damaged".to_owned()),
        Look::ListLost => Some("the list of files is missing or damaged".to_owned()),
        Look::Unlisted => None,
        Look::Compared { comparison: Comparison { differences, extra }, .. } => {
            // Whoever installs another version leaves its own list; who deletes everything leaves none.
            let is_wanted_so = by_pip(&differences) && extra.iter().any(|it| manifest::is_record(it));
            let is_whole = differences.is_empty() || is_wanted_so;
            (!is_whole).then(|| described(&differences, differences.len()))
        }
    })
}

/// Of these steps' artefacts those that only lack files. Reads all others in them: an edit may be as long as what was
/// there before.
///
/// # Errors
/// When a list of files cannot be read.
pub fn lacking(site: &Site, steps: &[StepId]) -> Result<Vec<Damage>, InstallError> {
    let mut found = vec![];
    for (step, place) in artefacts(&site.workspace).into_iter().filter(|(it, _)| steps.contains(it)) {
        let look = look(&place, Depth::Full, &|_| ())?;
        if !can_be_rebuilt(&look) {
            continue;
        }
        if let Look::Compared { comparison: Comparison { differences, .. }, .. } = look {
            let count = differences.len();
            found.push(Damage { step, place, differences, count, is_edit: false });
        }
    }
    Ok(found)
}

/// Nothing is in it that would be lost: no files of the user's, no edits, no packages that they installed.
fn can_be_rebuilt(look: &Look) -> bool {
    match look {
        Look::NotOurs | Look::Unlisted | Look::ListLost => false,
        Look::Compared { comparison: Comparison { differences, extra }, .. } => {
            let is_lost = |it: &Difference| it.what == Wrong::Missing;
            extra.is_empty()
                && !differences.is_empty()
                && differences.iter().all(is_lost)
                && !by_pip(differences)
        }
    }
}

/// Every Python that starts in this environment runs the file: "site - Site-specific configuration hook" in Python's
/// documentation.
fn is_hook(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_among_packages = path.parent().and_then(Path::file_name).is_some_and(|it| it == "site-packages");
    is_among_packages
        && (name.ends_with(".pth") || ["sitecustomize.py", "usercustomize.py"].contains(&&*name))
}

/// What was installed is not all that runs where files were added that every Python runs: a machine that has none of them
/// is another one.
fn with_hooks(installed: Sha256, place: &Path, extra: &[PathBuf]) -> Result<Sha256, FsError> {
    let mut hooks: Vec<&PathBuf> = extra.iter().filter(|it| is_hook(it)).collect();
    if hooks.is_empty() {
        return Ok(installed);
    }
    hooks.sort();
    let line = |it: &&PathBuf| Ok(format!("{} {}\n", it.display(), Sha256::of(fs::read(&place.join(it))?)));
    let lines = hooks.iter().map(line).collect::<Result<Vec<_>, FsError>>()?;
    Ok(Sha256::of(format!("{installed}\n{}", lines.concat())))
}

/// How many files the user added, and which of them change every Python that starts.
fn added(extra: &[PathBuf]) -> String {
    let hooks = extra.iter().filter(|it| is_hook(it));
    let run: Vec<String> = hooks.map(|it| format!("`{}`", it.display())).collect();
    match (extra.len(), run.join(", ")) {
        (0, _) => String::new(),
        (count, run) if run.is_empty() => format!(", and {count} that you added"),
        (count, run) => format!(", and {count} that you added; every Python that starts here runs {run}"),
    }
}

/// Somebody changed packages by pip or uv, which rewrite this list of each; damage does not.
fn by_pip(differences: &[Difference]) -> bool {
    differences.iter().any(|it| manifest::is_record(&it.path))
}

fn described(differences: &[Difference], count: usize) -> String {
    let told = |it: &Difference| format!("`{}` is {}", it.path.display(), it.what);
    let shown = differences.iter().take(NAMED).map(told).collect::<Vec<_>>();
    match count.saturating_sub(shown.len()) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::told, *};

    fn differences(paths: &[(&str, Wrong)]) -> Vec<Difference> {
        paths.iter().map(|(path, what)| Difference { path: path.into(), what: *what }).collect()
    }

    #[test]
    fn files_are_judged_by_what_became_of_them() {
        let check = |found: &[(&str, Wrong)], extra: &[&str], depth, expected: &str| {
            let extra = extra.iter().map(PathBuf::from).collect();
            let comparison = Comparison { differences: differences(found), extra };
            let judged = judge(&Look::Compared { files: 7, comparison }, depth).expect("a check");
            assert_eq!(told(&judged), expected);
        };
        check(&[], &[], Depth::Fast, "ok files: 7 are there");
        check(
            &[],
            &["lib/mine.pth", "lib/python3.12/site-packages/mine.py"],
            Depth::Full,
            "ok files: 7 are as they were installed, to the last byte, and 2 that you added",
        );
        let hook = "lib/python3.12/site-packages/sitecustomize.py";
        let told = format!(
            "ok files: 7 are there, and 1 that you added; every Python that starts here runs `{hook}`"
        );
        check(&[], &[hook], Depth::Fast, &told);
        let repair = "`dpgui setup --repair` makes it anew";
        check(
            &[("bin/node", Wrong::Missing), ("a", Wrong::Size), ("b", Wrong::Target), ("c", Wrong::Kind)],
            &[],
            Depth::Fast,
            &format!(
                "problem files: `bin/node` is missing, `a` is changed, `b` is a link that leads elsewhere and 1 more -> {repair}"
            ),
        );
        check(
            &[("lib/numpy/x.py", Wrong::Size), ("lib/numpy-2.0.dist-info/RECORD", Wrong::Missing)],
            &[],
            Depth::Fast,
            &format!(
                "warning files: `lib/numpy/x.py` is changed, `lib/numpy-2.0.dist-info/RECORD` is missing; \
                 pip was at work here -> if you did not change packages yourself: {repair}"
            ),
        );
        check(
            &[("data/RECORD", Wrong::Missing)],
            &[],
            Depth::Fast,
            &format!("problem files: `data/RECORD` is missing -> {repair}"),
        );
    }
}
