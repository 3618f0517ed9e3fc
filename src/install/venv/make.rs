//! How a whole environment is made: its files come, and uv installs them as they do.

use std::{path::Path, sync::mpsc::Receiver, thread};

use crate::{
    platform::checkpoint::{Checkpoint, reach},
    vendor::lock::Package,
};

use super::{
    super::{
        InstallError, index_settings,
        manifest::Known,
        packages::Answer,
        plan::StepId,
        program,
        receipt::{Filled, Receipt},
        step::Turn,
        verify,
    },
    Venv, addresses,
    arrival::{Arrived, Transfers},
    notes, passing,
    wheelhouse::Wheelhouse,
};

impl Venv<'_> {
    /// Fills `staged`, beginning with what is foreseen, and ends with what turned out to be wanted.
    pub(super) fn fill(&self, answer: &Answer, staged: &Path, turn: &Turn) -> Result<Filled, InstallError> {
        let packages = &answer.packages.0;
        self.while_arriving((answer, packages), turn, |it| self.install(answer, (it, staged), turn))
    }

    /// Has the files of these packages of `answer` fetched while `install` takes them as they arrive.
    pub(super) fn while_arriving(
        &self,
        (answer, packages): (&Answer, &[Package]),
        turn: &Turn,
        install: impl FnOnce(&Receiver<Result<Arrived, InstallError>>) -> Result<Filled, InstallError>,
    ) -> Result<Filled, InstallError> {
        turn.progress.doing("looking up where the packages are");
        let missing: Vec<&Package> = packages.iter().filter(|it| !self.site.cache.has(it.sha256)).collect();
        passing::note(&self.site.workspace, &missing)?;
        let python = self.python.expected();
        let look_up = |them: &[&Package]| addresses::find(self.site, &self.uv, (answer, python), them);
        let transfers =
            Transfers::new(self.site, packages, (&missing, &look_up), (turn.progress, self.keep_downloads))?;
        thread::scope(|scope| {
            let arrivals = transfers.start(scope);
            let filled = install(&arrivals);
            if filled.is_err() {
                transfers.stop();
            }
            match filled {
                // uv was ended because a transfer had failed, which says more.
                Err(InstallError::GivenUp) => {
                    Err(arrivals.iter().find_map(Result::err).unwrap_or(InstallError::GivenUp))
                }
                filled => filled,
            }
        })
    }

    fn install(
        &self,
        answer: &Answer,
        (arrivals, staged): (&Receiver<Result<Arrived, InstallError>>, &Path),
        turn: &Turn,
    ) -> Result<Filled, InstallError> {
        turn.wait_for(&StepId::Python)?;
        let interpreter = self.python.required()?;
        self.is_still(answer)?;
        turn.progress.doing("making the environment");
        let make = self.uv.command(&index_settings::locked_env(self.site))?;
        let make = make.args(["venv", "--relocatable", "--allow-existing", "--python"]);
        program::run(
            self.site.http.halt(),
            &make.arg(&interpreter.path).arg(staged),
            "uv venv",
            &mut |_| (),
        )?;
        reach(Checkpoint::EnvironmentMade);

        let packages = &answer.packages;
        let mut wheelhouse = Wheelhouse::new(self.site, &self.uv, staged)?;
        wheelhouse.unpack_arrivals(packages, arrivals, turn)?;
        let import = verify::import_early(self.site, staged);
        wheelhouse.install_built(turn.progress)?;
        turn.progress.doing("waiting for the checkouts' requirements");
        turn.wait_for(&StepId::Lock)?;
        self.is_still(answer)?;
        wheelhouse.finish(packages, turn.progress)?;
        notes::remove(staged)?;
        turn.progress.doing("writing it to the disk");
        let details = serde_json::json!({ "profile": self.profile, "locked": answer.key.to_string() });
        let inputs = self.inputs(&interpreter, packages);
        let receipt = Receipt::new(inputs, self.what(), "the package index").with_details(details);
        Ok(Filled::new(receipt).with_known(Known::of_environment(staged)?).beside(import))
    }

    /// # Errors
    /// [`InstallError::Surprise`] when another Python or other requirements were settled on meanwhile.
    pub(super) fn is_still(&self, answer: &Answer) -> Result<(), InstallError> {
        let still = self.answers()?.contains(answer);
        if still { Ok(()) } else { Err(InstallError::Surprise) }
    }
}
