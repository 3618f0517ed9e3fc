//! Verifying and repairing: what is damaged counts as missing, and setup makes it anew. Nothing else is touched.
//!
//! An edited checkout may be the user's own work: it is put in order only when they say so, and after the edits were
//! kept as a patch.

use std::{path::PathBuf, thread};

use serde::Serialize;

use crate::{
    output::{Event, Line},
    platform::{
        checkpoint::{Checkpoint, reach},
        clock, fs,
    },
    vendor::git,
    workspace::remember::Choices,
};

use super::{
    IfLocked, InstallError, Setup, Wish,
    doctor::{
        self, Check, Scene, Verdict,
        files::{self, Damage, Looked},
    },
    manifest::Depth,
    offline::Missing,
    plan::{Cost, Selection, Status, StepId},
    receipt,
    step::{Site, Step, Turn},
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
}

/// A part that is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "damaged")]
pub struct Broken {
    pub step: StepId,
    pub what: String,
    pub cure: Cure,
    #[serde(skip)]
    place: PathBuf,
}

/// What mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cure {
    /// It is made anew.
    Rebuild,
    /// What was edited is undone, if the user wants it.
    Discard,
    /// It is not there, or not the one that is wanted: any setup makes it.
    Setup,
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
            Cure::Rebuild | Cure::None => "Damaged",
            Cure::Discard => "Edited",
            Cure::Setup => "Missing",
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
        let (looked, failures) = thread::scope(|scope| {
            let failures = scope.spawn(|| self.ask_environment(wish));
            (files::look_at_all(self.site, depth), failures.join())
        });
        let ids: Vec<StepId> = self.steps.iter().map(|it| it.id()).collect();
        let mut findings = Findings::default();
        for looked in looked? {
            findings.take(looked, &ids);
        }
        for step in self.plan()?.into_iter().filter(|it| it.missing) {
            if !findings.broken.iter().any(|it| it.step == step.step) {
                findings.whole.retain(|it| it.step != step.step);
                let what = format!("{} ({})", step.what, step.why);
                findings.broken.push(Broken {
                    step: step.step,
                    what,
                    cure: Cure::Setup,
                    place: PathBuf::new(),
                });
            }
        }
        self.judge_environment(&mut findings, &failures.unwrap_or_default(), depth)?;
        let place = |step: &StepId| ids.iter().position(|it| it == step);
        findings.whole.sort_by_key(|it| place(&it.step));
        findings.broken.sort_by_key(|it| place(&it.step));
        Ok(findings)
    }

    /// From now on these count as missing; an edited checkout if it is among them.
    pub fn mend(&mut self, broken: &[&Broken]) {
        let site = self.site;
        let mended = std::mem::take(&mut self.steps).into_iter().map(|inner| {
            let is_to_mend =
                |it: &&&Broken| it.step == inner.id() && matches!(it.cure, Cure::Rebuild | Cure::Discard);
            match broken.iter().find(is_to_mend) {
                Some(broken) => Box::new(Mend { inner, site, broken: (*broken).clone() }),
                None => inner,
            }
        });
        self.steps = mended.collect();
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
        depth: Depth,
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
        let differs = |it: &Looked| matches!(it, Looked::Damaged(damage) if damage.step == step);
        let is_damaged =
            depth == Depth::Fast && files::look_at_all(self.site, Depth::Full)?.iter().any(differs);
        let (cure, what) = if is_damaged {
            (Cure::Rebuild, failed.found.clone())
        } else {
            (Cure::None, format!("{}; its files are as they were installed", failed.found))
        };
        findings.whole.retain(|it| it.step != step);
        findings.broken.push(Broken { step, what, cure, place });
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
        let what = it.describe();
        Broken { step: it.step, what, cure: Cure::Rebuild, place: it.place }
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
            Looked::Whole { step, what } if steps.contains(&step) => self.whole.push(Whole { step, what }),
            Looked::Damaged(damage) if steps.contains(&damage.step) => {
                let cure = if damage.is_edit() { Cure::Discard } else { Cure::Rebuild };
                let what = damage.describe();
                self.broken.push(Broken { step: damage.step, what, cure, place: damage.place });
            }
            Looked::Whole { .. } | Looked::Damaged(_) => {}
        }
    }
}

/// A step whose work is damaged.
struct Mend<'a> {
    inner: Box<dyn Step + 'a>,
    site: &'a Site,
    broken: Broken,
}

impl Mend<'_> {
    fn rebuild(&self, turn: &Turn) -> Result<String, InstallError> {
        let place = &self.broken.place;
        receipt::revoke(place)?;
        let done = self.inner.apply(turn)?;
        if receipt::is_revoked(place) {
            // Something else is taken by now, a Python of the user's for instance.
            fs::remove_tree(place)?;
        }
        Ok(done)
    }

    fn discard(&self, turn: &Turn) -> Result<String, InstallError> {
        let place = &self.broken.place;
        let patch = git::patch(place)?;
        let kept = self.site.workspace.internal().join("discarded");
        fs::create_dir_all(&kept)?;
        // To the millisecond: the next repair, after one that was killed, may come within the same second.
        let now = clock::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        let kept = kept.join(format!("{}-{now}.patch", self.broken.step));
        // The checkout has them no longer after this.
        fs::write_new_synced(&kept, patch)?;
        reach(Checkpoint::EditsKept);
        git::restore(place)?;
        reach(Checkpoint::EditsUndone);
        let restored = format!("as committed; `{}` has the edits", kept.display());
        Ok(match self.inner.inspect()? {
            Status::Satisfied { .. } => restored,
            Status::Missing { .. } => format!("{}, {restored}", self.inner.apply(turn)?),
        })
    }
}

impl Step for Mend<'_> {
    fn id(&self) -> StepId {
        self.inner.id()
    }

    fn needs(&self) -> Vec<StepId> {
        self.inner.needs()
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let (Status::Satisfied { what } | Status::Missing { what, .. }) = self.inner.inspect()?;
        Ok(Status::Missing { what, why: self.broken.what.clone() })
    }

    fn begins_after(&self) -> Vec<StepId> {
        self.inner.begins_after()
    }

    fn cost(&self) -> Cost {
        self.inner.cost()
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        // What was edited in a checkout comes back from its own objects.
        match (self.broken.cure, self.inner.inspect()?) {
            (Cure::Discard, Status::Satisfied { .. }) => Ok(vec![]),
            _ => self.inner.missing(),
        }
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        match self.broken.cure {
            Cure::Rebuild => self.rebuild(turn),
            Cure::Discard => self.discard(turn),
            Cure::Setup | Cure::None => self.inner.apply(turn),
        }
    }
}
