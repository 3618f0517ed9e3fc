//! Whether what a setup fetches and makes has room where it goes.

use crate::{
    output::size,
    platform::{disk, fs},
};

use super::{
    InstallError,
    plan::{Planned, StepId},
    step::Site,
    torch::Profile,
    venv,
};

/// Free space below which nothing can be installed: the smallest environment.
const LEAST: u64 = 1 << 30;

/// How much the environment will be nobody knows to the byte. So little space is a warning, and only hopelessly little an
/// error; but what is fetched is known, and without room for it there is no use in beginning.
///
/// # Errors
/// When there is no room.
pub(super) fn require(site: &Site, profile: Profile, plan: &[Planned]) -> Result<(), InstallError> {
    let (root, cache) = (site.workspace.root(), site.cache.dir());
    let (needed, available) = (needed(profile, plan), fs::available_bytes(root)?);
    if available < LEAST.min(needed) {
        let what = format!("an environment with torch ({profile})");
        return Err(InstallError::NoSpace { what, at: root.to_owned(), needed, available });
    }
    if available < needed {
        let (needed, available) = (size::bytes(needed), size::bytes(available));
        let root = root.display();
        site.output.warn(format_args!("{available} are free at `{root}`; {needed} are needed at most"));
    }
    let (to_cache, available) =
        (to_cache(plan), fs::available_bytes(cache).map_err(|it| site.cache.failed(it))?);
    if !disk::is_shared_by(cache, root) && available < to_cache {
        let what = "this setup".to_owned();
        return Err(InstallError::CacheFull { what, dir: cache.to_owned(), needed: to_cache, available });
    }
    Ok(())
}

/// What the plan says of the environment; the most that one takes, where it says nothing.
fn needed(profile: Profile, plan: &[Planned]) -> u64 {
    let of_plan = plan.iter().find(|it| it.missing && it.step == StepId::Venv).and_then(|it| it.cost.disk);
    of_plan.filter(|it| *it > 0).unwrap_or_else(|| venv::disk_need(profile))
}

/// Bytes that come into the download cache. Repositories go straight to their place.
fn to_cache(plan: &[Planned]) -> u64 {
    let comes = |it: &&Planned| it.missing && !matches!(it.step, StepId::Repository(_));
    plan.iter().filter(comes).filter_map(|it| it.cost.bytes).sum()
}

#[cfg(test)]
mod tests {
    use super::{super::plan::Cost, *};

    #[test]
    fn what_comes_into_the_cache_is_what_is_missing_and_no_repository() {
        let planned = |step, missing, bytes| {
            let (what, why, cost) = (String::new(), String::new(), Cost { bytes, disk: None });
            Planned { step, pending: true, missing, certain: missing, what, why, cost }
        };
        let plan = [
            planned(StepId::Node, true, Some(5)),
            planned(StepId::Uv, false, Some(70)),
            planned(StepId::Python, true, None),
            planned(StepId::Repository("ComfyUI".to_owned()), true, Some(900)),
            planned(StepId::Venv, true, Some(30)),
        ];
        assert_eq!(to_cache(&plan), 35);
    }

    #[test]
    fn a_part_of_an_environment_needs_room_for_a_part() {
        let check = |disk, missing, expected| {
            let (what, why, cost) = (String::new(), String::new(), Cost { bytes: None, disk });
            let (step, certain) = (StepId::Venv, missing);
            let plan = [Planned { step, pending: true, missing, certain, what, why, cost }];
            assert_eq!(needed(Profile::Cpu, &plan), expected);
        };
        let most = venv::disk_need(Profile::Cpu);
        check(Some(50 << 20), true, 50 << 20);
        check(Some(0), true, most);
        check(None, true, most);
        check(Some(50 << 20), false, most);
    }
}
