//! The Python packages that are installed, against those that should be.

use std::collections::BTreeMap;

use crate::vendor::lock::{Environment, Key};

use super::{
    super::{Purpose, receipt::Receipt, venv},
    Scene,
    check::Check,
};

/// Packages that a line names; the others are counted.
const NAMED: usize = 4;

const REPAIR: &str = "run `dpgui setup --repair`; if you want them so, leave them";

/// `found`: versions by name (PEP 503).
pub(super) fn checks(scene: &Scene, found: &BTreeMap<String, String>) -> Vec<Check> {
    judge(&wanted(scene), found)
}

/// Exact versions by name: all that are locked for this environment or, where nothing is, what is declared.
fn wanted(scene: &Scene) -> Vec<(String, String)> {
    let Some(receipt) = Receipt::of(&scene.site.workspace.venv()) else { return vec![] };
    let key = receipt.details.get("locked").and_then(serde_json::Value::as_str);
    // A lock that cannot be read is told of by itself.
    let lock = scene.site.locks().ok().and_then(|it| it.own);
    let is_its_own = |(it, _): &(&Key, &Environment)| Some(it.to_string().as_str()) == key;
    if let Some((_, locked)) = lock.as_ref().and_then(|it| it.python.iter().find(is_its_own)) {
        return locked.packages.0.iter().map(|it| (it.name.clone(), it.version.clone())).collect();
    }
    let Some(profile) = venv::installed_profile(&scene.site.workspace) else { return vec![] };
    let count = match scene.wish.purpose {
        Purpose::Trainer { .. } => 3,
        // The demo needs torch alone of those that are built together.
        Purpose::Demo { .. } => 1,
    };
    let torch = profile.packages(&scene.site.sources, scene.site.host.arch);
    torch.iter().take(count).map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect()
}

fn judge(wanted: &[(String, String)], found: &BTreeMap<String, String>) -> Vec<Check> {
    if wanted.is_empty() {
        return vec![];
    }
    let (mut missing, mut different) = (vec![], vec![]);
    for (name, version) in wanted {
        match found.get(name) {
            None => missing.push(name.clone()),
            Some(it) if !is_version(it, version) => {
                different.push(format!("{name} {it} instead of {version}"));
            }
            Some(_) => {}
        }
    }
    let mut checks = vec![];
    if !missing.is_empty() {
        checks.push(Check::problem("packages", format_args!("missing: {}", named(&missing))).advise(REPAIR));
    }
    if !different.is_empty() {
        let told = format!("in other versions: {}", named(&different));
        checks.push(Check::warning("packages", told).advise(REPAIR));
    }
    if checks.is_empty() {
        checks.push(Check::ok("packages", format_args!("{} are in the versions wanted", wanted.len())));
    }
    checks
}

/// `2.13.0+cu130` is a build of `2.13.0`: who asks for none takes any.
fn is_version(found: &str, wanted: &str) -> bool {
    let public = found.split('+').next().unwrap_or(found);
    found == wanted || (!wanted.contains('+') && public == wanted)
}

fn named(all: &[String]) -> String {
    let shown = all.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::told, *};

    #[test]
    fn packages_that_are_missing_are_worse_than_those_in_another_version() {
        let check = |found: &[(&str, &str)], expected: &[&str]| {
            let wanted = [("torch", "2.13.0"), ("numpy", "2.5.1")];
            let owned = |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
            let found = found.iter().map(owned).collect();
            let checks = judge(&wanted.iter().map(owned).collect::<Vec<_>>(), &found);
            assert_eq!(checks.iter().map(told).collect::<Vec<_>>(), expected);
        };
        let repair = format!(" -> {REPAIR}");
        check(
            &[("torch", "2.13.0+cu130"), ("numpy", "2.5.1"), ("mine", "1")],
            &["ok packages: 2 are in the versions wanted"],
        );
        check(
            &[("torch", "2.13.0rc1")],
            &[
                &format!("problem packages: missing: numpy{repair}"),
                &format!("warning packages: in other versions: torch 2.13.0rc1 instead of 2.13.0{repair}"),
            ],
        );
    }

    #[test]
    fn a_build_that_is_asked_for_must_be_that_one() {
        assert!(is_version("2.13.0+cpu", "2.13.0+cpu"));
        assert!(!is_version("2.13.0+cu130", "2.13.0+cpu"));
        assert!(!is_version("2.13.0", "2.13.0+cpu"));
        assert!(is_version("2.13.0+cu130", "2.13.0"));
    }
}
