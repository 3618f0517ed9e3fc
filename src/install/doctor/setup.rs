//! The steps of setup: whether each finds what it would make, in the version that is declared.

use crate::error::Report;

use super::{
    super::{
        Setup,
        plan::{Selection, Status, StepId},
    },
    Scene,
    check::Check,
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
    checks.extend(setup.steps.iter().map(|step| judge(&step.id(), step.inspect())));
    checks
}

fn judge(step: &StepId, status: Result<Status, impl Report>) -> Check {
    let check = match status {
        Ok(Status::Satisfied { what }) => Check::ok("setup", what),
        Ok(Status::Missing { what, why }) => {
            Check::problem("setup", format_args!("{what}: {why}")).advise("run `dpgui setup`")
        }
        Err(error) => Check::failed("setup", error),
    };
    check.about(step)
}

#[cfg(test)]
mod tests {
    use super::{super::super::InstallError, super::check::told, *};

    #[test]
    fn a_step_that_has_something_to_do_is_a_problem() {
        let check = |status: Result<Status, InstallError>, expected: &str| {
            assert_eq!(told(&judge(&StepId::Node, status)), expected);
        };
        let what = || "Node 22.12.0".to_owned();
        check(Ok(Status::Satisfied { what: what() }), "ok setup(node): Node 22.12.0");
        check(
            Ok(Status::Missing { what: what(), why: "not installed".to_owned() }),
            "problem setup(node): Node 22.12.0: not installed -> run `dpgui setup`",
        );
    }
}
