//! Whether two machines have the same: what `dpgui setup --verify` says of this one, beside what it said on another.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Kind},
    install::repair::Whole,
    output::{Event, Line},
    platform::{digest::Sha256, fs},
};

use super::Context;

/// What a machine has, by the names of the parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Digests(Vec<(String, String)>);

/// A part of the setups of two machines.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "compared")]
pub(super) struct Compared {
    step: String,
    equal: bool,
    here: Option<String>,
    there: Option<String>,
}

impl Event for Compared {
    fn line(&self) -> Option<Line> {
        let told = |it: &Option<String>| it.clone().unwrap_or_else(|| "nothing".to_owned());
        let (step, here, there) = (&self.step, told(&self.here), told(&self.there));
        Some(if self.equal {
            Line { verb: "Equal", text: format!("{step}: `{here}`") }
        } else {
            Line { verb: "Different", text: format!("{step}: `{here}` here, `{there}` there") }
        })
    }
}

impl Compared {
    pub(super) const fn is_equal(&self) -> bool {
        self.equal
    }
}

impl Digests {
    pub(super) fn of(whole: &[Whole]) -> Self {
        Self::sorted(whole.iter().filter_map(|it| Some((it.step.to_string(), it.digest.clone()?))))
    }

    /// Those in a file that another machine's `dpgui setup --verify --json` printed.
    pub(super) fn read(typed: &Path, context: &Context) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Said {
            event: String,
            step: Option<String>,
            digest: Option<String>,
        }
        let path = context.host.absolute(typed);
        let text = fs::read_text(&path)?;
        let said = text.lines().filter_map(|line| serde_json::from_str::<Said>(line).ok());
        let whole = said.filter(|it| it.event == "whole").filter_map(|it| Some((it.step?, it.digest?)));
        let digests = Self::sorted(whole);
        if digests.0.is_empty() {
            let what = format!("`{}` names no part of a setup that is whole", path.display());
            let hint = "on the other machine: `dpgui setup --verify --json > FILE`";
            return Err(Error::new(Kind::Usage, what).with_hint(hint));
        }
        Ok(digests)
    }

    fn sorted(digests: impl Iterator<Item = (String, String)>) -> Self {
        let mut digests: Vec<_> = digests.collect();
        digests.sort();
        digests.dedup();
        Self(digests)
    }

    /// One for all of them.
    pub(super) fn together(&self) -> Sha256 {
        let lines: Vec<String> = self.0.iter().map(|(step, digest)| format!("{step} {digest}\n")).collect();
        Sha256::of(lines.concat())
    }

    pub(super) fn compare(&self, there: &Self) -> Vec<Compared> {
        let mut steps: Vec<&String> = self.0.iter().chain(&there.0).map(|(step, _)| step).collect();
        steps.sort();
        steps.dedup();
        let of = |digests: &Self, step: &String| {
            digests.0.iter().find(|(it, _)| it == step).map(|(_, digest)| digest.clone())
        };
        let compared = |step: &String| {
            let (here, there) = (of(self, step), of(there, step));
            Compared { step: step.clone(), equal: here == there, here, there }
        };
        steps.into_iter().map(compared).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_either_machine_is_compared() {
        let digests = |all: &[(&str, &str)]| {
            Digests::sorted(all.iter().map(|(step, digest)| ((*step).to_owned(), (*digest).to_owned())))
        };
        let here = digests(&[("venv", "a"), ("node", "b"), ("uv", "c")]);
        let there = digests(&[("node", "b"), ("venv", "x"), ("python", "d")]);
        let lines: Vec<String> = here
            .compare(&there)
            .iter()
            .filter_map(Event::line)
            .map(|it| format!("{} {}", it.verb, it.text))
            .collect();
        let expected = [
            "Equal node: `b`",
            "Different python: `nothing` here, `d` there",
            "Different uv: `c` here, `nothing` there",
            "Different venv: `a` here, `x` there",
        ];
        assert_eq!(lines, expected);
        assert_ne!(here.together(), there.together());
        assert_eq!(here.together(), digests(&[("uv", "c"), ("node", "b"), ("venv", "a")]).together());
    }
}
