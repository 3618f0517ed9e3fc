//! A step of a repair: what is damaged is made anew, checked out again, or put in order after the edits were kept.

use std::path::PathBuf;

use crate::{
    platform::{
        checkpoint::{Checkpoint, reach},
        clock, fs,
    },
    vendor::git,
};

use super::{
    super::{
        InstallError,
        offline::Missing,
        plan::{Cost, Status, StepId, Tie},
        receipt,
        step::{Extent, Site, Step, Turn},
    },
    Broken, Cure,
};

/// A step whose work is damaged.
pub(super) struct Mend<'a> {
    pub(super) inner: Box<dyn Step + 'a>,
    pub(super) site: &'a Site,
    pub(super) broken: Broken,
}

impl Mend<'_> {
    fn extent(&self) -> Extent<'_> {
        match self.broken.cure {
            Cure::Rebuild => self.inner.extent(&self.broken.differences),
            Cure::Restore | Cure::Discard | Cure::SetAside | Cure::Setup | Cure::Clear | Cure::None => {
                Extent::All
            }
        }
    }

    fn rebuild(&self, turn: &Turn) -> Result<String, InstallError> {
        let place = &self.broken.place;
        if let Extent::Part(part) = self.extent() {
            match part.apply(turn) {
                Err(InstallError::Surprise) => self.site.output.warn(format_args!(
                    "a part of {} does not come out as it was: all of it is made anew",
                    self.broken.step
                )),
                // A part that failed, or was killed, is still damaged: it is found again.
                done => return done,
            }
        }
        receipt::revoke(place)?;
        let done = self.inner.apply(turn)?;
        if receipt::is_revoked(place) {
            // Something else is taken by now, a Python of the user's for instance.
            fs::remove_tree(place)?;
        }
        Ok(done)
    }

    /// What is wanted is there, whatever became of it.
    fn is_there(&self) -> bool {
        matches!(self.inner.inspect(), Ok(Status::Satisfied { .. }))
    }

    fn discard(&self, turn: &Turn) -> Result<String, InstallError> {
        let place = &self.broken.place;
        let patch = git::patch(place)?;
        let kept = self.kept(".patch")?;
        // The checkout has them no longer after this.
        fs::write_new_synced(&kept, patch)?;
        reach(Checkpoint::EditsKept);
        self.restore(turn, &format!("as committed; `{}` has the edits", kept.display()))
    }

    /// Whatever is in it is kept as it is.
    fn set_aside(&self, turn: &Turn) -> Result<String, InstallError> {
        let place = &self.broken.place;
        let kept = self.kept("")?;
        fs::rename(place, &kept)?;
        reach(Checkpoint::SetAside);
        match self.inner.apply(turn) {
            Ok(done) => Ok(format!("{done}; `{}` is what was there", kept.display())),
            Err(error) => {
                // What was there serves a training as it did before.
                if !fs::exists(place) {
                    fs::rename(&kept, place)?;
                }
                Err(error)
            }
        }
    }

    /// Where what goes is kept.
    fn kept(&self, ending: &str) -> Result<PathBuf, InstallError> {
        let kept = self.site.workspace.internal().join("discarded");
        fs::create_dir_all(&kept)?;
        // To the millisecond: the next repair, after one that was killed, may come within the same second.
        let now = clock::now().strftime("%Y%m%dT%H%M%S%.3fZ");
        Ok(kept.join(format!("{}-{now}{ending}", self.broken.step)))
    }

    fn restore(&self, turn: &Turn, restored: &str) -> Result<String, InstallError> {
        git::restore(&self.broken.place)?;
        reach(Checkpoint::EditsUndone);
        Ok(match self.inner.inspect()? {
            Status::Satisfied { .. } => restored.to_owned(),
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
        let why = self.broken.what.clone();
        let extent = self.extent();
        let looked = if let Extent::Part(part) = &extent { part.inspect()? } else { self.inner.inspect()? };
        let (Status::Satisfied { what } | Status::Missing { what, .. }) = looked;
        Ok(Status::Missing {
            what,
            why: match extent {
                Extent::AllBecause(reason) => format!("{why}; all of it, because {reason}"),
                Extent::All | Extent::Part(_) => why,
            },
        })
    }

    fn tie(&self, need: &StepId) -> Tie {
        self.inner.tie(need)
    }

    fn begins_after(&self) -> Vec<StepId> {
        self.inner.begins_after()
    }

    fn cost(&self) -> Cost {
        // What was edited or deleted in a checkout comes back from its own objects.
        match (self.broken.cure, self.extent()) {
            (Cure::Discard | Cure::Restore, _) if self.is_there() => Cost::NONE,
            (_, Extent::Part(part)) => part.cost(),
            _ => self.inner.cost(),
        }
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        match (self.broken.cure, self.extent()) {
            (Cure::Discard | Cure::Restore, _) if self.is_there() => Ok(vec![]),
            (_, Extent::Part(part)) => part.missing(),
            _ => self.inner.missing(),
        }
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        match self.broken.cure {
            Cure::Rebuild => self.rebuild(turn),
            Cure::Discard => self.discard(turn),
            Cure::SetAside => self.set_aside(turn),
            Cure::Restore => self.restore(turn, "as committed"),
            Cure::Setup | Cure::Clear | Cure::None => self.inner.apply(turn),
        }
    }
}
