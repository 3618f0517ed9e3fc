//! Trainings that nobody looks after: their supervisor is dead, and they may still hold a GPU.

use crate::error::Error;

use super::{
    Scene,
    check::{Check, Fix},
};

/// A run without a living supervisor that is not at rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostRun {
    pub id: String,
    /// Its processes that live on.
    pub pids: Vec<i32>,
    /// Its end is on record.
    pub is_over: bool,
}

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let lost = (scene.lost_runs)(&scene.site.workspace);
    if lost.is_empty() {
        return vec![Check::ok("runs", "every run is over or looked after")];
    }
    let told = |error: &Error| Check::warning("runs", error.messages().join(": "));
    lost.iter().map(|run| run.as_ref().map_or_else(told, judge)).collect()
}

fn judge(run: &LostRun) -> Check {
    let LostRun { id, pids, is_over } = run;
    let numbers = pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match (pids.as_slice(), is_over) {
        ([], true) => Check::ok("runs", "over"),
        ([], false) => Check::note("runs", "it ended unseen; its end is not on record yet")
            .advise("`dpgui doctor --fix` puts it on record, as does `dpgui runs`")
            .mended_by(Fix::AdoptRuns),
        (_, false) => {
            Check::warning("runs", format_args!("it trains on without a supervisor (process {numbers})"))
                .advise("`dpgui doctor --fix` gives it a new one, as does `dpgui runs`")
                .mended_by(Fix::AdoptRuns)
        }
        (_, true) => {
            Check::warning("runs", format_args!("it is over, and processes of it live on: {numbers}"))
                .advise(format_args!("if nothing of yours is in them, end them: `kill {numbers}`"))
        }
    }
    .about(id)
}

#[cfg(test)]
mod tests {
    use super::{super::check::told, *};

    #[test]
    fn a_lost_run_is_judged_by_what_lives_of_it() {
        let check = |pids: &[i32], is_over, expected: &str| {
            let run = LostRun { id: "a-1".to_owned(), pids: pids.to_vec(), is_over };
            assert_eq!(told(&judge(&run)), expected);
        };
        check(
            &[],
            false,
            "note runs(a-1): it ended unseen; its end is not on record yet -> \
             `dpgui doctor --fix` puts it on record, as does `dpgui runs`",
        );
        check(
            &[7, 8],
            false,
            "warning runs(a-1): it trains on without a supervisor (process 7 8) -> \
             `dpgui doctor --fix` gives it a new one, as does `dpgui runs`",
        );
        check(
            &[7],
            true,
            "warning runs(a-1): it is over, and processes of it live on: 7 -> \
             if nothing of yours is in them, end them: `kill 7`",
        );
    }
}
