//! The steps of setup: whether each finds what it would make, in the version that is declared.

use std::path::PathBuf;

use crate::{error::Report, platform::fs, vendor::farm::Links, workspace::Workspace};

use super::{
    super::{
        Setup,
        plan::{Selection, Status, StepId},
        receipt::{self, Receipt},
    },
    Scene,
    check::{Check, Fix, Verdict},
};

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    // A lock that cannot be read is told of by itself, and no step can say anything without it.
    if !scene.is_set_up() || scene.site.locks().is_err() {
        return vec![];
    }
    let setup = match Setup::new(&scene.site, &scene.wish, &Selection::default()) {
        Ok(setup) => setup,
        Err(error) => return vec![Check::failed("setup", error)],
    };
    let mut checks = vec![Check::ok("torch-profile", &setup.torch().because)];
    if let Some(warning) = &setup.torch().warning {
        checks.push(Check::warning("torch-profile", warning));
    }
    // Each by itself: what a step cannot say does not keep the others from it.
    let workspace = &scene.site.workspace;
    checks.extend(setup.steps.iter().map(|step| {
        let is_there = is_there(workspace, &step.id());
        let check = judge(&step.id(), step.inspect(), is_there);
        // A setup would refuse: what it would say is the advice.
        let hint = step.obstacle().and_then(|it| it.hint());
        match hint {
            Some(hint) => Check { verdict: Verdict::Problem, fix: None, ..check }.advise(hint),
            // Any other setup would exchange it, and may not be able to.
            None if check.verdict != Verdict::Ok && step.is_as_locked() => {
                Check { verdict: Verdict::Note, fix: None, ..check }
                    .advise("leave it, and set up with `dpgui setup --frozen` here")
            }
            None => check,
        }
    }));
    checks
}

fn is_there(workspace: &Workspace, step: &StepId) -> bool {
    let Some(place) = place(workspace, step) else { return true };
    let links = || {
        let made = Receipt::of(&place).filter(|_| *step == StepId::Farm)?;
        serde_json::from_value::<Links>(made.details).ok()
    };
    // A link that is gone is as easily brought back as all of them are.
    let are_all_there = |it: Links| it.keys().all(|name| fs::exists(&place.join(name)));
    fs::exists(&place) && links().is_none_or(are_all_there)
}

/// Where a step puts what it makes; none of those that make nothing that a training needs to be there.
fn place(workspace: &Workspace, step: &StepId) -> Option<PathBuf> {
    match step {
        StepId::Node => Some(workspace.tools().join("node")),
        StepId::Uv => Some(workspace.tools().join("uv")),
        StepId::Python => Some(receipt::loose(&workspace.internal(), "python")),
        StepId::Repository(name) => Some(workspace.vendor().join(name)),
        StepId::Farm => Some(workspace.libs()),
        StepId::Venv => Some(workspace.venv()),
        StepId::Page | StepId::Requirements | StepId::Lock | StepId::Verify => None,
    }
}

/// What is there in another version than the one that is wanted now does its work until the next setup, and is not
/// replaced unasked. Where there is nothing, nothing can be lost.
fn judge(step: &StepId, status: Result<Status, impl Report>, is_there: bool) -> Check {
    let check = match status {
        Ok(Status::Satisfied { what }) => Check::ok("setup", what),
        Ok(Status::Missing { what, why }) => {
            let found = format!("{what}: {why}");
            if is_there {
                Check::warning("setup", found).advise("run `dpgui setup`")
            } else {
                Check::problem("setup", found)
                    .advise("run `dpgui setup`; `dpgui doctor --fix` does it too")
                    .mended_by(Fix::SetUp)
            }
        }
        Err(error) => Check::failed("setup", error),
    };
    check.about(step)
}

#[cfg(test)]
mod tests {
    use super::{super::super::InstallError, super::check::told, *};

    #[test]
    fn what_is_missing_is_worse_than_what_is_not_up_to_date() {
        let check = |status: Result<Status, InstallError>, is_there, expected: &str| {
            assert_eq!(told(&judge(&StepId::Node, status, is_there)), expected);
        };
        let what = || "Node 22.12.0".to_owned();
        check(Ok(Status::Satisfied { what: what() }), true, "ok setup(node): Node 22.12.0");
        let missing = |why: &str| Ok(Status::Missing { what: what(), why: why.to_owned() });
        check(
            missing("not installed"),
            false,
            "problem setup(node): Node 22.12.0: not installed -> run `dpgui setup`; `dpgui doctor --fix` does it too",
        );
        check(
            missing("Node 22.11.0 is there"),
            true,
            "warning setup(node): Node 22.12.0: Node 22.11.0 is there -> run `dpgui setup`",
        );
    }
}
