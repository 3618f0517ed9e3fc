//! The plan: which steps have something to do, and why. Pure; printed by `--plan` and carried out by `apply`.

use std::fmt;

use serde::Serialize;

use crate::output::{Event, Line, size};

use super::InstallError;

/// A step of setup. The order is the one in which a plan is shown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepId {
    Node,
    Page,
    Uv,
    Python,
    Repository(String),
    Farm,
    Requirements,
    Lock,
    Venv,
    Verify,
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Page => "page",
            Self::Uv => "uv",
            Self::Python => "python",
            Self::Repository(name) => name,
            Self::Farm => "farm",
            Self::Requirements => "requirements",
            Self::Lock => "lock",
            Self::Venv => "venv",
            Self::Verify => "verify",
        })
    }
}

impl Serialize for StepId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a look at the workspace says about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// There, whole, and made from what is wanted.
    Satisfied { what: String },
    /// To do, with the reason and what it will be.
    Missing { what: String, why: String },
}

/// A step with its status and what must be done before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub id: StepId,
    pub needs: Vec<(StepId, Tie)>,
    pub cost: Cost,
    pub status: Status,
    /// It is missing, and may still turn out to be as it should be once what it needs is there.
    pub may_stay: bool,
}

/// What becomes of a step when something that it needs is done anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// Nothing: it is a tool.
    Tool,
    /// It may have to be done anew.
    Perhaps,
    /// It is done anew.
    Always,
}

/// What a step costs, as far as that is known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Bytes still to fetch.
    pub bytes: Option<u64>,
    /// Bytes that it takes on the workspace's disk while it is done.
    pub disk: Option<u64>,
}

/// What a plan says of one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "plan")]
#[expect(clippy::struct_excessive_bools, reason = "what scripts read, each by its own name")]
pub struct Planned {
    pub step: StepId,
    /// Something has to be done.
    pub pending: bool,
    /// By itself, rather than because of something that it is made from.
    pub missing: bool,
    /// It is pending, and nothing can turn out so that it need not be done.
    pub certain: bool,
    pub what: String,
    pub why: String,
    #[serde(flatten)]
    pub cost: Cost,
}

impl Cost {
    /// Nothing is fetched, and what is written is not worth counting.
    pub const NONE: Self = Self { bytes: Some(0), disk: Some(0) };
}

/// What the whole plan costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "plan-total")]
pub struct Total {
    /// The sums of what is known before.
    pub bytes: u64,
    pub disk: u64,
    /// Steps of which it is not known how much they fetch.
    pub unknown: usize,
    /// Free on the workspace's file system. `None`: it does not tell.
    pub free: Option<u64>,
}

impl Total {
    pub fn of(plan: &[Planned], free: Option<u64>) -> Self {
        // What is there and only made from something that is not mostly turns out the same.
        let costs = || plan.iter().filter(|it| it.missing).map(|it| it.cost);
        Self {
            bytes: costs().filter_map(|it| it.bytes).sum(),
            disk: costs().filter_map(|it| it.disk).sum(),
            unknown: costs().filter(|it| it.bytes.is_none()).count(),
            free,
        }
    }
}

impl Event for Total {
    fn line(&self) -> Option<Line> {
        let fetch = size::bytes(self.bytes);
        let unknown = match self.unknown {
            0 => String::new(),
            1 => " and 1 step of unknown size".to_owned(),
            count => format!(" and {count} steps of unknown size"),
        };
        let disk = match self.disk {
            0 => String::new(),
            disk => format!(", {} of disk", size::bytes(disk)),
        };
        let free = self.free.map(|it| format!("; {} are free", size::bytes(it))).unwrap_or_default();
        let text = format!("{fetch} to fetch{unknown}{disk}{free}");
        Some(Line { verb: "In all", text })
    }
}

impl Event for Planned {
    fn line(&self) -> Option<Line> {
        let verb = match (self.pending, self.certain) {
            (true, true) => "Would do",
            (true, false) => "Might do",
            (false, _) => "Up to date",
        };
        let why = if self.pending { format!(" ({})", self.why) } else { String::new() };
        let size = |bytes: u64, of: &str| {
            if bytes == 0 { String::new() } else { format!(", {} {of}", size::bytes(bytes)) }
        };
        let (fetch, disk) = match self.cost {
            Cost { bytes: None, .. } if self.missing => (", of unknown size".to_owned(), String::new()),
            Cost { bytes, disk } => {
                (size(bytes.unwrap_or(0), "to fetch"), size(disk.unwrap_or(0), "of disk"))
            }
        };
        Some(Line { verb, text: format!("{}: {}{why}{fetch}{disk}", self.step, self.what) })
    }
}

/// Which steps the user wants looked at. Empty `only`: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    pub only: Vec<String>,
    pub skip: Vec<String>,
}

impl Selection {
    /// Whether `id` takes part.
    pub fn includes(&self, id: &StepId) -> bool {
        let name = id.to_string();
        (self.only.is_empty() || self.only.contains(&name)) && !self.skip.contains(&name)
    }

    /// # Errors
    /// When a name is none of `steps`.
    pub fn check(&self, steps: &[StepId]) -> Result<(), InstallError> {
        let known: Vec<String> = steps.iter().map(ToString::to_string).collect();
        match self.only.iter().chain(&self.skip).find(|name| !known.contains(name)) {
            Some(name) => Err(InstallError::Unknown { what: "step", name: name.clone(), known }),
            None => Ok(()),
        }
    }
}

/// What is to be done: a step is pending if it is missing, or if something that it is made from is pending.
///
/// `observed` lists every step after the ones it needs.
pub fn plan(observed: &[Observed]) -> Vec<Planned> {
    let mut planned: Vec<Planned> = vec![];
    for Observed { id, needs, cost, status, may_stay } in observed {
        let tie = |it: &Planned| needs.iter().find(|(need, _)| *need == it.step).map(|(_, tie)| *tie);
        let is_touched = |it: &&Planned| it.pending && tie(it).is_some_and(|it| it != Tie::Tool);
        let after = planned.iter().find(is_touched).map(|it| format!("after {}", it.step));
        let is_redone = planned.iter().any(|it| it.certain && tie(it) == Some(Tie::Always));
        let (pending, what, why) = match (status, after) {
            (Status::Missing { what, why }, _) => (true, what, why.clone()),
            (Status::Satisfied { what }, Some(after)) => (true, what, after),
            (Status::Satisfied { what }, None) => (false, what, "up to date".to_owned()),
        };
        let (step, what, cost) = (id.clone(), what.clone(), if pending { *cost } else { Cost::default() });
        let missing = matches!(status, Status::Missing { .. });
        let certain = if missing { !may_stay } else { is_redone };
        planned.push(Planned { step, pending, missing, certain, what, why, cost });
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observed(id: StepId, needs: &[StepId], missing: Option<&str>) -> Observed {
        let what = id.to_string();
        let status = match missing {
            Some(why) => Status::Missing { what, why: why.to_owned() },
            None => Status::Satisfied { what },
        };
        let needs = needs.iter().map(|it| (it.clone(), Tie::Perhaps)).collect();
        Observed { id, needs, cost: Cost::default(), status, may_stay: false }
    }

    fn check(observed: &[Observed], expected: &[(&str, bool, &str)]) {
        let planned = plan(observed);
        let found: Vec<_> =
            planned.iter().map(|it| (it.what.as_str(), it.pending, it.why.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_made_from_a_missing_thing_is_made_again() {
        check(
            &[
                observed(StepId::Node, &[], None),
                observed(StepId::Uv, &[], None),
                observed(StepId::Python, &[], Some("not installed")),
                observed(StepId::Venv, &[StepId::Uv, StepId::Python], None),
                observed(StepId::Verify, &[StepId::Venv], None),
            ],
            &[
                ("node", false, "up to date"),
                ("uv", false, "up to date"),
                ("python", true, "not installed"),
                ("venv", true, "after python"),
                ("verify", true, "after venv"),
            ],
        );
    }

    #[test]
    fn only_what_will_be_done_is_called_certain() {
        let tied = |id, needs: &[(StepId, Tie)], missing| Observed {
            needs: needs.to_vec(),
            ..observed(id, &[], missing)
        };
        let check = |uv, python, may_stay, expected: &[&str]| {
            let venv_needs = [(StepId::Uv, Tie::Tool), (StepId::Python, Tie::Perhaps)];
            let steps = [
                observed(StepId::Uv, &[], uv),
                Observed { may_stay, ..observed(StepId::Python, &[], python) },
                tied(StepId::Venv, &venv_needs, None),
                tied(StepId::Verify, &[(StepId::Venv, Tie::Always)], None),
                tied(StepId::Farm, &[(StepId::Python, Tie::Always)], None),
            ];
            let lines = plan(&steps)
                .into_iter()
                .filter_map(|it| it.line())
                .map(|it| format!("{} {}", it.verb, it.text));
            assert_eq!(lines.collect::<Vec<_>>(), expected);
        };
        let (well, gone) = (None, Some("gone"));
        check(
            gone,
            well,
            false,
            &[
                "Would do uv: uv (gone), of unknown size",
                "Up to date python: python",
                "Up to date venv: venv",
                "Up to date verify: verify",
                "Up to date farm: farm",
            ],
        );
        let then = |python: &'static str, farm| {
            [
                "Up to date uv: uv",
                python,
                "Might do venv: venv (after python)",
                "Might do verify: verify (after venv)",
                farm,
            ]
        };
        let (would, might) = ("Would do farm: farm (after python)", "Might do farm: farm (after python)");
        check(well, gone, false, &then("Would do python: python (gone), of unknown size", would));
        check(well, gone, true, &then("Might do python: python (gone), of unknown size", might));
    }

    #[test]
    fn costs_are_told_step_by_step_and_added_up_where_they_are_known() {
        let cost =
            |id, bytes, disk| Observed { cost: Cost { bytes, disk }, ..observed(id, &[], Some("new")) };
        let mut observed = vec![
            cost(StepId::Node, Some(5 << 20), None),
            cost(StepId::Uv, None, None),
            cost(StepId::Farm, Some(0), Some(0)),
            observed(StepId::Python, &[], None),
            cost(StepId::Venv, Some(1 << 30), Some(3 << 30)),
        ];
        observed
            .push(Observed { needs: vec![(StepId::Venv, Tie::Perhaps)], ..observed_well(StepId::Verify) });
        let plan = plan(&observed);
        let lines: Vec<String> = plan.iter().filter_map(Event::line).map(|it| it.text).collect();
        let expected = [
            "node: node (new), 5.00 MiB to fetch",
            "uv: uv (new), of unknown size",
            "farm: farm (new)",
            "python: python",
            "venv: venv (new), 1.00 GiB to fetch, 3.00 GiB of disk",
            "verify: verify (after venv)",
        ];
        assert_eq!(lines, expected);
        let total = Total::of(&plan, Some(9 << 30)).line().map(|it| it.text);
        let expected = "1.00 GiB to fetch and 1 step of unknown size, 3.00 GiB of disk; 9.00 GiB are free";
        assert_eq!(total.as_deref(), Some(expected));
    }

    fn observed_well(id: StepId) -> Observed {
        observed(id, &[], None)
    }

    #[test]
    fn an_unknown_step_is_refused_with_the_names_that_exist() {
        let selection = Selection { only: vec!["nod".to_owned()], skip: vec![] };
        let error = selection.check(&[StepId::Node, StepId::Uv]).expect_err("misspelt");
        assert_eq!(error.to_string(), "unknown step `nod`");
        assert_eq!(crate::error::Report::hint(&error).as_deref(), Some("the steps are node, uv"));
    }
}
