//! Verifying and repairing: what is damaged counts as missing, and setup makes it anew. Nothing else is touched.
//!
//! An edited checkout may be the user's own work: it is put in order only when they say so, and after the edits were
//! kept as a patch. Where git cannot tell what they edited, all of it is kept.

mod mend;

use std::{path::PathBuf, thread};

use serde::Serialize;

use crate::{
    error::Report as _,
    output::{Event, Line, Progress},
    workspace::remember::Choices,
};

use self::mend::Mend;
use super::{
    IfLocked, InstallError, Setup, Wish,
    doctor::{
        self, Check, Scene, Verdict,
        files::{self, Damage, Looked},
    },
    manifest::{Depth, Difference},
    plan::{Planned, Selection, StepId},
    step::Site,
};

/// Checks of the environment by which it counts as damaged; the others are about the machine.
const OF_THE_ENVIRONMENT: [&str; 4] = ["torch-import", "deepspeed", "launcher", "module"];

/// Everything that was looked at.
#[derive(Debug, Default)]
pub struct Findings {
    pub whole: Vec<Whole>,
    pub broken: Vec<Broken>,
}

/// A part of the setup that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "whole")]
pub struct Whole {
    pub step: StepId,
    pub what: String,
    /// Equal on every machine that has the same, whatever it is bound to there: a digest or a commit. `None`: an older dpgui
    /// made it.
    pub digest: Option<String>,
}

/// A part that is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "damaged")]
pub struct Broken {
    pub step: StepId,
    pub what: String,
    pub cure: Cure,
    /// What the user has to do first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    #[serde(skip)]
    place: PathBuf,
    /// Relative to `place`.
    #[serde(skip)]
    differences: Vec<Difference>,
}

/// What mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cure {
    /// It is made anew.
    Rebuild,
    /// Files that are gone are checked out again.
    Restore,
    /// What was edited is undone, if the user wants it.
    Discard,
    /// The whole folder is moved out of the way and kept, if the user wants it, and made anew: nobody can tell what was edited.
    SetAside,
    /// It is not there, or not the one that is wanted: any setup makes it.
    Setup,
    /// Something of the user's is in its way.
    Clear,
    /// Every file is as it was installed, so it would be no better afterwards.
    None,
}

impl Event for Whole {
    fn line(&self) -> Option<Line> {
        Some(Line { verb: "Whole", text: format!("{}: {}", self.step, self.what) })
    }
}

impl Event for Broken {
    fn line(&self) -> Option<Line> {
        let verb = match self.cure {
            Cure::Rebuild | Cure::Restore | Cure::SetAside | Cure::None => "Damaged",
            Cure::Discard => "Edited",
            Cure::Setup | Cure::Clear => "Missing",
        };
        Some(Line { verb, text: format!("{}: {}", self.step, self.what) })
    }
}

impl Setup<'_> {
    /// Looks at every file that a setup made, and asks the environment whether it works. Touches nothing.
    ///
    /// # Errors
    /// When something cannot be looked at.
    pub fn verify(&self, wish: &Wish, depth: Depth) -> Result<Findings, InstallError> {
        let progress = self.site.output.progress("looking");
        let (looked, failures) = thread::scope(|scope| {
            let failures = scope.spawn(|| self.ask_environment(wish));
            let looked = files::look_at_all(self.site, depth, &progress);
            progress.doing("whether torch can be imported");
            (looked, failures.join())
        });
        let ids: Vec<StepId> = self.steps.iter().map(|it| it.id()).collect();
        let mut findings = Findings::default();
        for looked in looked? {
            findings.take(looked, &ids);
        }
        // Which commit of it was verified cannot be told, and is no damage of its own.
        let is_unreadable = findings.broken.iter().any(|it| it.cure == Cure::SetAside);
        let counts = |it: &Planned| it.missing && !(it.step == StepId::Verify && is_unreadable);
        for step in self.plan()?.into_iter().filter(counts) {
            if !findings.broken.iter().any(|it| it.step == step.step) {
                findings.whole.retain(|it| it.step != step.step);
                let what = format!("{} ({})", step.what, step.why);
                let advice = self.obstacle(&step.step).and_then(|it| it.hint());
                let cure = if advice.is_some() { Cure::Clear } else { Cure::Setup };
                let (step, place, differences) = (step.step, PathBuf::new(), vec![]);
                findings.broken.push(Broken { step, what, cure, advice, place, differences });
            }
        }
        self.judge_environment(&mut findings, &failures.unwrap_or_default(), (depth, &progress))?;
        let place = |step: &StepId| ids.iter().position(|it| it == step);
        findings.whole.sort_by_key(|it| place(&it.step));
        findings.broken.sort_by_key(|it| place(&it.step));
        Ok(findings)
    }

    /// # Errors
    /// When one of `names` is no checkout of this setup.
    pub fn check_checkouts(&self, names: &[String]) -> Result<(), InstallError> {
        let of_checkout = |id: StepId| matches!(id, StepId::Repository(_)).then(|| id.to_string());
        let known: Vec<String> = self.steps.iter().filter_map(|it| of_checkout(it.id())).collect();
        match names.iter().find(|it| !known.contains(it)) {
            Some(name) => Err(InstallError::Unknown { what: "checkout", name: name.clone(), known }),
            None => Ok(()),
        }
    }

    /// From now on these are no concern of this setup: what is in their way would end all of it.
    pub fn leave(&mut self, broken: &[&Broken]) {
        let is_left = |id: &StepId| {
            broken.iter().any(|it| it.step == *id && matches!(it.cure, Cure::Clear | Cure::SetAside))
        };
        self.steps.retain(|it| !is_left(&it.id()));
    }

    /// From now on these count as missing; an edited checkout if it is among them.
    pub fn mend(&mut self, broken: &[&Broken]) {
        let site = self.site;
        let mended = std::mem::take(&mut self.steps).into_iter().map(|inner| {
            let is_to_mend = |it: &&&Broken| {
                it.step == inner.id() && !matches!(it.cure, Cure::Setup | Cure::Clear | Cure::None)
            };
            match broken.iter().find(is_to_mend) {
                Some(broken) => Box::new(Mend { inner, site, broken: (*broken).clone() }),
                None => inner,
            }
        });
        self.steps = mended.collect();
    }

    /// Before anything is fetched for what cannot be put in its place.
    ///
    /// # Errors
    /// When something that no setup made is in the way of a step of `plan`.
    pub fn require_clear(&self, plan: &[Planned]) -> Result<(), InstallError> {
        let obstacle = plan.iter().filter(|it| it.missing).find_map(|it| self.obstacle(&it.step));
        obstacle.map_or(Ok(()), Err)
    }

    fn obstacle(&self, step: &StepId) -> Option<InstallError> {
        self.steps.iter().find(|it| it.id() == *step)?.obstacle()
    }

    fn ask_environment(&self, wish: &Wish) -> Vec<Check> {
        // Runs are not a part of a setup.
        let mut scene = Scene::new(self.site.clone(), wish.clone(), |_| vec![]);
        scene.deep = true;
        doctor::environment(&scene)
    }

    /// An environment that does not work is damaged, even where a glance at its files shows nothing.
    fn judge_environment(
        &self,
        findings: &mut Findings,
        checks: &[Check],
        (depth, progress): (Depth, &Progress),
    ) -> Result<(), InstallError> {
        // What is not found in a checkout that is known to be damaged is no news.
        let all_there = findings.broken.is_empty();
        let counts = |it: &Check| OF_THE_ENVIRONMENT.contains(&it.id) && (it.id != "module" || all_there);
        let of_it = |it: &&Check| counts(it) || it.id == "doctor";
        let failed = checks.iter().filter(of_it).find(|it| it.verdict == Verdict::Problem);
        let step = StepId::Venv;
        let is_broken = |findings: &Findings| findings.broken.iter().any(|it| it.step == step);
        let Some(failed) = failed.filter(|_| !is_broken(findings)) else {
            let told = checks.iter().filter(of_it).filter(|it| it.id != "module").map(|it| it.found.as_str());
            let told = told.collect::<Vec<_>>().join(", ");
            if let Some(whole) = findings.whole.iter_mut().find(|it| it.step == step && !told.is_empty()) {
                whole.what = format!("{}; {told}", whole.what);
            }
            return Ok(());
        };
        let place = self.site.workspace.venv();
        let of_it = |it| match it {
            Looked::Damaged(damage) if damage.step == step => Some(damage.differences),
            Looked::Damaged(_) | Looked::Whole { .. } | Looked::Unreadable { .. } => None,
        };
        let closer =
            if depth == Depth::Fast { files::look_at_all(self.site, Depth::Full, progress)? } else { vec![] };
        let differences = closer.into_iter().find_map(of_it).unwrap_or_default();
        let (cure, what) = if differences.is_empty() {
            (Cure::None, format!("{}; its files are as they were installed", failed.found))
        } else {
            (Cure::Rebuild, failed.found.clone())
        };
        findings.whole.retain(|it| it.step != step);
        findings.broken.push(Broken { step, what, cure, advice: None, place, differences });
        Ok(())
    }
}

/// Makes anew what only lacks files of these steps' work, and does nothing else that a setup would do. The steps that had
/// something to do come back.
///
/// # Errors
/// When somebody is at work in the workspace, and what the steps say.
pub fn rebuild(site: &Site, wish: &Wish, steps: &[StepId]) -> Result<Vec<StepId>, InstallError> {
    let mut setup = Setup::new(site, wish, &Selection::default())?;
    let broken = |it: Damage| {
        let (what, cure) = (it.describe(), Cure::Rebuild);
        Broken { step: it.step, what, cure, advice: None, place: it.place, differences: it.differences }
    };
    let broken: Vec<Broken> = files::lacking(site, steps)?.into_iter().map(broken).collect();
    setup.mend(&broken.iter().collect::<Vec<_>>());
    let takes_part = |id: &StepId| {
        broken.iter().any(|it| it.step == *id || (it.step == StepId::Venv && *id == StepId::Verify))
    };
    setup.steps.retain(|it| takes_part(&it.id()));
    setup.require_all_here()?;
    setup.apply(IfLocked::Fail, Choices::NONE)?;
    Ok(broken.into_iter().map(|it| it.step).collect())
}

/// Sets up what is missing, as any setup does. How many steps had something to do comes back.
///
/// # Errors
/// When somebody is at work in the workspace, and what the steps say.
pub fn complete(site: &Site, wish: &Wish) -> Result<usize, InstallError> {
    let setup = Setup::new(site, wish, &Selection::default())?;
    setup.require_all_here()?;
    Ok(setup.apply(IfLocked::Fail, Choices::NONE)?.changed)
}

impl Findings {
    /// What none of these steps makes is not wanted here any more.
    fn take(&mut self, looked: Looked, steps: &[StepId]) {
        match looked {
            Looked::Whole { step, what, digest } if steps.contains(&step) => {
                self.whole.push(Whole { step, what, digest });
            }
            Looked::Damaged(damage) if steps.contains(&damage.step) => {
                let cure = match damage.step {
                    StepId::Repository(_) if damage.is_edit => Cure::Discard,
                    StepId::Repository(_) => Cure::Restore,
                    _ => Cure::Rebuild,
                };
                let what = damage.describe();
                let Damage { step, place, differences, .. } = damage;
                self.broken.push(Broken { step, what, cure, advice: None, place, differences });
            }
            Looked::Unreadable { step, place, why } if steps.contains(&step) => {
                let (cure, differences) = (Cure::SetAside, vec![]);
                self.broken.push(Broken { step, what: why, cure, advice: None, place, differences });
            }
            Looked::Whole { .. } | Looked::Damaged(_) | Looked::Unreadable { .. } => {}
        }
    }
}
