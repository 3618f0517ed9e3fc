//! An environment with some damaged files, mended: what is whole is taken over, and the packages alone whose files are
//! damaged are installed again, from the locked files. It is made beside the damaged one as any other is, and has to be
//! what that was, to the last line of its manifest.
//!
//! What is taken over is the same file under a further name (a hard link), so it costs neither time nor room. Nothing
//! writes into such a file: everything that uv brings is left out before, so that it comes as a new file; and Python
//! writes what it compiles beside, and renames it. What the user added stays.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use crate::{
    platform::tree,
    vendor::lock::{Package, Packages},
};

use super::{
    super::{
        InstallError,
        manifest::{self, Depth, Difference, Manifest, Owner},
        offline::Missing,
        packages::{Answer, TOOLS},
        plan::{Cost, Status, StepId},
        receipt::{self, Filled, Receipt},
        step::{Step, Turn},
    },
    Venv, notes,
    wheelhouse::Wheelhouse,
};

/// The packages of an environment that have to be installed again, and what has to be known for that.
pub(super) struct Part<'a> {
    venv: &'a Venv<'a>,
    answer: Answer,
    receipt: Receipt,
    manifest: Manifest,
    /// Those that are damaged, with what the sources among them are built with.
    packages: Packages,
    /// `numpy 2.5.0, psutil 7.2.1`
    what: String,
    /// Everything that belongs to the damaged packages, and what else is damaged of them.
    renewed: HashSet<PathBuf>,
}

impl<'a> Part<'a> {
    /// `Err`: why all of the environment has to be made anew.
    pub(super) fn of(venv: &'a Venv<'a>, damage: &[Difference]) -> Result<Self, String> {
        let place = venv.site.workspace.venv();
        match venv.inspect() {
            Ok(Status::Satisfied { .. }) => {}
            Ok(Status::Missing { why, .. }) => return Err(why),
            Err(error) => return Err(error.to_string()),
        }
        let (Some(receipt), Some(interpreter)) = (Receipt::of(&place), venv.python.interpreter()) else {
            return Err("nobody knows what it was made from".to_owned());
        };
        let is_it = |it: &Answer| receipt.inputs == venv.inputs(&interpreter, &it.packages);
        let answer = venv.answers().unwrap_or_default().into_iter().find(is_it);
        let answer = answer.ok_or("its packages are not locked any more")?;
        let listed = receipt.contents.and_then(|it| Manifest::stored(&place, it.manifest).ok()?);
        let manifest = listed.ok_or("the list of its files is lost")?;
        let paths: HashSet<&Path> = damage.iter().map(|it| it.path.as_path()).collect();
        let owners = Owner::of_damaged(&place, &manifest, &paths).map_err(|it| it.to_string())?;
        let is_owned = |path: &&&Path| owners.iter().any(|it| it.files.contains(**path));
        if let Some(path) = paths.iter().find(|it| !is_owned(it)) {
            return Err(format!("`{}` belongs to no package", path.display()));
        }
        let mut damaged = vec![];
        for Owner { name, .. } in &owners {
            let package = answer.packages.0.iter().find(|it| it.name == *name);
            let package = package.ok_or_else(|| format!("`{name}` is not locked"))?;
            // Another version of it may be there too, by pip.
            if !damaged.contains(package) {
                damaged.push(package.clone());
            }
        }
        damaged.sort_by(|one, other| one.name.cmp(&other.name));
        let what =
            damaged.iter().map(|it| format!("{} {}", it.name, it.version)).collect::<Vec<_>>().join(", ");
        let packages = with_tools(damaged, &answer.packages);
        let renewed = owners.into_iter().flat_map(|it| it.files).collect();
        Ok(Self { venv, answer, receipt, manifest, packages, what, renewed })
    }

    fn fill(&self, staged: &Path, turn: &Turn) -> Result<Filled, InstallError> {
        let Self { venv, packages, .. } = self;
        venv.while_arriving((&self.answer, &packages.0), turn, |arrivals| {
            turn.progress.doing("taking over what is whole");
            self.take_over(staged)?;
            let mut wheelhouse = Wheelhouse::new(venv.site, &venv.uv, staged)?;
            wheelhouse.unpack_arrivals(packages, arrivals, turn)?;
            wheelhouse.install_built(turn.progress)?;
            wheelhouse.get_the_rest(packages, turn.progress)?;
            drop(wheelhouse);
            notes::remove(staged)?;
            turn.progress.doing("comparing it with what was there");
            self.is_as_it_was(staged)?;
            let Receipt { inputs, what, details, .. } = self.receipt.clone();
            let receipt = Receipt::new(inputs, what, "the package index").with_details(details);
            Ok(Filled::new(receipt).as_listed(self.manifest.clone()))
        })
    }

    /// What Python compiled of a damaged file goes with it: Python believes that by time and size.
    fn take_over(&self, staged: &Path) -> Result<(), InstallError> {
        let place = self.venv.site.workspace.venv();
        let above: HashSet<&Path> = self.renewed.iter().flat_map(|it| it.ancestors().skip(1)).collect();
        let dirs: HashSet<&Path> = self.renewed.iter().filter_map(|it| it.parent()).collect();
        let skip = |path: &Path| {
            let is_compiled = path.file_name().is_some_and(|it| it == "__pycache__")
                && path.parent().is_some_and(|it| dirs.contains(it));
            is_compiled || self.renewed.contains(path) || manifest::is_about_the_artefact(path)
        };
        let mut places = tree::walk(&place, &skip)?;
        // A link in the place of a directory would lead what is installed out of here.
        places.retain(|it| it.is_dir || !above.contains(it.path.as_path()));
        // Of a package that is left out no directory stays either: uv would take it for the package.
        let files = places.iter().filter(|it| !it.is_dir);
        let used: HashSet<PathBuf> = files.flat_map(|it| it.path.ancestors()).map(Path::to_owned).collect();
        places.retain(|it| !above.contains(it.path.as_path()) || used.contains(&it.path));
        Ok(tree::mirror(&place, staged, &places)?)
    }

    /// # Errors
    /// [`InstallError::Surprise`] when it is not: a package that is built here may come out otherwise with another compiler.
    fn is_as_it_was(&self, staged: &Path) -> Result<(), InstallError> {
        let renewed = self.manifest.part(&self.renewed).check(staged, Depth::Full, &|_| ());
        let all = self.manifest.check(staged, Depth::Fast, &|_| ());
        let is_it = renewed.differences.is_empty() && all.differences.is_empty();
        if is_it { Ok(()) } else { Err(InstallError::Surprise) }
    }
}

/// Sources are built with these, which come as wheels.
fn with_tools(damaged: Vec<Package>, all: &Packages) -> Packages {
    let mut packages = damaged;
    if packages.iter().any(Package::is_source) {
        let tools = all.0.iter().filter(|it| TOOLS.contains(&it.name.as_str()));
        let more: Vec<Package> = tools.filter(|it| !packages.contains(it)).cloned().collect();
        packages.extend(more);
    }
    Packages::sorted(packages)
}

impl Step for Part<'_> {
    fn id(&self) -> StepId {
        StepId::Venv
    }

    fn needs(&self) -> Vec<StepId> {
        self.venv.needs()
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let what = format!("{} again, and nothing else of it", self.what);
        Ok(Status::Missing { what, why: "damaged".to_owned() })
    }

    fn cost(&self) -> Cost {
        self.venv.cost_of(&self.packages)
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        self.venv.to_fetch(&self.packages)
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        turn.wait_for(&StepId::Uv)?;
        turn.wait_for(&StepId::Python)?;
        turn.wait_for(&StepId::Lock)?;
        self.venv.is_still(&self.answer)?;
        receipt::stage(&self.venv.site.workspace.venv(), |staged| self.fill(staged, turn))?;
        self.venv.let_downloads_go()?;
        Ok(format!("{} installed again, all else as it was", self.what))
    }
}
