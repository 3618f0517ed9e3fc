//! Without a network: everything that is missing, at once and before anything is done, with where to put it.

use std::path::PathBuf;

use serde::Serialize;

use crate::output::{Event, Line, size};

use super::{
    InstallError,
    plan::{Planned, StepId},
    step::Step,
};

/// Something that a step would have to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "missing")]
pub struct Missing {
    pub step: StepId,
    pub name: String,
    /// Bytes, where they are known.
    pub size: Option<u64>,
    /// A sha256 or a commit; nothing for what must be worked out with a network.
    pub digest: Option<String>,
    /// Where it would be found.
    pub put: Option<PathBuf>,
    /// Something else is there by its name.
    pub is_another_there: bool,
    /// The command that gets it where there is a network.
    pub how: Option<String>,
}

/// Below the text of a line.
const INDENT: &str = "             ";

impl Event for Missing {
    fn line(&self) -> Option<Line> {
        let size = self.size.map(|it| format!(", {}", size::bytes(it))).unwrap_or_default();
        let digest = self.digest.as_ref().map(|it| format!("\n{INDENT}{it}")).unwrap_or_default();
        let put = self.put.as_ref().map(|it| format!("\n{INDENT}to `{}`", it.display())).unwrap_or_default();
        let another = if self.is_another_there { ", where something else is that has its name" } else { "" };
        let how = self.how.as_ref().map(|it| format!("\n{INDENT}got by `{it}`")).unwrap_or_default();
        let text = format!("{}: {}{size}{digest}{put}{another}{how}", self.step, self.name);
        Some(Line { verb: "Missing", text })
    }
}

/// What the steps that `plan` finds missing would have to fetch, in the order of the plan.
pub fn missing(steps: &[Box<dyn Step + '_>], plan: &[Planned]) -> Result<Vec<Missing>, InstallError> {
    // What is there and only made from something that is not will most likely turn out the same.
    let absent: Vec<&StepId> = plan.iter().filter(|it| it.missing).map(|it| &it.step).collect();
    let steps = steps.iter().filter(|it| absent.contains(&&it.id()));
    let missing = steps.map(|it| it.missing()).collect::<Result<Vec<_>, _>>()?;
    Ok(missing.into_iter().flatten().collect())
}
