//! The Python that the environment is made with: portable in `tools/python`, else the system's, else the user's choice.

use std::{
    fmt,
    num::ParseIntError,
    path::{Path, PathBuf},
    str::FromStr,
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::Error,
    error::in_one_line,
    output::Progress,
    platform::{
        fs,
        process::{self, Captured, CommandSpec},
    },
};

use super::{
    InstallError,
    lock::Policy,
    offline::Missing,
    pinned::{self, Pinned},
    plan::{Cost, Status, StepId},
    receipt::{self, Filled, Receipt},
    step::{Site, Step, Turn},
};

/// How long an interpreter may take for an answer.
pub const PROBE: Duration = Duration::from_secs(20);

/// Asks an interpreter who it is. `sys.executable` sees through pyenv's shims, which are shell scripts; the base
/// is the interpreter that a virtual environment was made from.
const WHO: &str = "import json, sys, sysconfig; print(json.dumps(dict(
    path=sys.executable, version=list(sys.version_info[:3]), implementation=sys.implementation.name,
    threads=bool(sysconfig.get_config_var('Py_GIL_DISABLED')), base=getattr(sys, '_base_executable', sys.executable))))";

/// `3.12`, `3.12.14`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version(pub u32, pub u32, pub u32);

/// What the real trainer needs: `autocommit` of Python 3.12's sqlite3, in its caches.
pub const FOR_TRAINER: Version = Version(3, 12, 0);

/// What the demo needs: torch 2.13's and DeepSpeed's own minimum.
pub const FOR_DEMO: Version = Version(3, 10, 0);

/// PyTorch's wheels end here: what is newer finds none.
const NEWEST: Version = Version(3, 14, u32::MAX);

/// A real interpreter, no shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    pub path: PathBuf,
    pub version: Version,
}

/// Which interpreter a setup takes.
#[derive(Debug)]
pub struct Python<'a> {
    site: &'a Site,
    pinned: Pinned<'a>,
    /// `--python PATH`.
    chosen: Option<PathBuf>,
    oldest: Version,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl FromStr for Version {
    type Err = ParseIntError;

    /// `3.12.14`; what is left out is 0.
    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let mut numbers = text.splitn(3, '.').map(str::parse);
        let mut next = || numbers.next().unwrap_or(Ok(0));
        Ok(Self(next()?, next()?, next()?))
    }
}

impl<'a> Python<'a> {
    pub fn new(site: &'a Site, chosen: Option<PathBuf>, oldest: Version) -> Result<Self, InstallError> {
        let chosen = chosen.map(|path| named(site, &path)).transpose()?;
        let pinned = Pinned::new(site, "python")?;
        // What is exactly as locked is not made with another one.
        let pinned = if site.policy == Policy::Update { pinned.or_the_systems() } else { pinned };
        Ok(Self { site, pinned, chosen, oldest })
    }

    /// The interpreter that an earlier run of this step settled on, if it still fits.
    pub fn interpreter(&self) -> Option<Interpreter> {
        let receipt = Receipt::read(&self.receipt_path()).filter(|it| it.inputs == self.inputs())?;
        let found: Interpreter = serde_json::from_value(receipt.details).ok()?;
        (fs::exists(&found.path) && found.version >= self.oldest).then_some(found)
    }

    /// That interpreter.
    ///
    /// # Errors
    /// When this step was left out, so that there is none.
    pub fn required(&self) -> Result<Interpreter, InstallError> {
        self.interpreter().ok_or_else(|| InstallError::Verify {
            problem: "the Python that the environment is made from is missing".to_owned(),
            hint: "run `dpgui setup` without `--only` and `--skip`".to_owned(),
        })
    }

    /// The version that this step has settled on or will most likely settle on.
    pub fn expected(&self) -> Version {
        let chosen = || ask(self.site, self.chosen.as_ref()?).ok();
        let found = self.interpreter().or_else(chosen).map(|it| it.version);
        found.or_else(|| self.pinned.archive.version.parse().ok()).unwrap_or(self.oldest)
    }

    /// # Errors
    /// When one was chosen that cannot be used.
    pub fn try_the_chosen(&self) -> Result<(), InstallError> {
        self.chosen.as_ref().map_or(Ok(()), |path| self.the_chosen(path).map(drop))
    }

    fn dir(&self) -> PathBuf {
        self.site.workspace.tools().join("python")
    }

    fn receipt_path(&self) -> PathBuf {
        receipt::loose(&self.site.workspace.internal(), "python")
    }

    fn inputs(&self) -> crate::platform::digest::Sha256 {
        receipt::inputs(&(self.pinned.inputs(), &self.chosen))
    }

    fn settle(&self, found: &Interpreter, from: &str) -> Result<String, InstallError> {
        let what = format!("CPython {}", found.version);
        let details = serde_json::to_value(found).map_err(|_| not_utf8(&found.path))?;
        let path = self.receipt_path();
        Receipt::new(self.inputs(), what.as_str(), from).with_details(details).write_loose(&path)?;
        Ok(format!("{what}, {from}"))
    }

    fn the_chosen(&self, path: &Path) -> Result<Interpreter, InstallError> {
        let bad = |problem| InstallError::BadPython { path: path.to_owned(), problem };
        let found = ask(self.site, path).map_err(bad)?;
        if found.version < self.oldest {
            let (found, oldest) = (found.version, self.oldest);
            return Err(bad(format!("it is {found}, and {} ({oldest} or newer is needed)", why(oldest))));
        }
        Ok(found)
    }

    fn portable(&self, progress: &Progress) -> Result<(Interpreter, String), InstallError> {
        let dir = self.dir();
        let fits = Receipt::of(&dir).filter(|it| it.inputs == self.pinned.inputs());
        let receipt = match fits {
            Some(receipt) => receipt,
            None => receipt::stage(&dir, |staged| {
                let origin = self.pinned.unpack("", staged, progress)?;
                let program = staged.join("bin/python3");
                // What cannot be started here at all is no fault of the interpreter.
                CommandSpec::new(&program, &self.site.tool_env(), staged).arg("--version").capture(PROBE)?;
                ask(self.site, &program)
                    .map_err(|problem| InstallError::BadPython { path: program, problem })?;
                let what = format!("CPython {}", self.pinned.archive.version);
                let receipt = Receipt::new(self.pinned.inputs(), what, origin.from);
                Ok::<_, InstallError>(Filled::new(receipt).with_known(origin.known))
            })?,
        };
        let program = dir.join("bin/python3");
        let bad = |problem| InstallError::BadPython { path: program.clone(), problem };
        Ok((ask(self.site, &program).map_err(bad)?, format!("portable, from {}", receipt.from)))
    }
}

impl Step for Python<'_> {
    fn id(&self) -> StepId {
        StepId::Python
    }

    fn needs(&self) -> Vec<StepId> {
        vec![]
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        Ok(match (self.interpreter(), &self.chosen) {
            (Some(found), _) => {
                Status::Satisfied { what: format!("CPython {}, `{}`", found.version, found.path.display()) }
            }
            (None, Some(chosen)) => Status::Missing {
                what: format!("`{}`", chosen.display()),
                why: "chosen with `--python`".to_owned(),
            },
            (None, None) => {
                let version = &self.pinned.archive.version;
                let settled = Receipt::read(&self.receipt_path()).filter(|it| it.inputs != self.inputs());
                let inputs = |it| receipt::inputs(&(it, &self.chosen));
                let why = match settled {
                    Some(old) => self.pinned.instead(&old, &format!("CPython {version}"), inputs),
                    None => "no interpreter is settled on".to_owned(),
                };
                Status::Missing { what: format!("portable CPython {version}"), why }
            }
        })
    }

    fn is_as_locked(&self) -> bool {
        pinned::is_as_locked(self.site, "python")
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        let may_be = self.site.policy == Policy::Update;
        let fits = |it: &Interpreter| may_be && (self.oldest..=NEWEST).contains(&it.version);
        let missing = self.pinned.missing(self.id())?.filter(|_| self.chosen.is_none());
        Ok(missing.filter(|_| !of_the_system(self.site).iter().any(fits)).into_iter().collect())
    }

    fn cost(&self) -> Cost {
        if self.chosen.is_some() { Cost::NONE } else { self.pinned.cost() }
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        let progress = turn.progress;
        if let Some(path) = &self.chosen {
            return self.settle(&self.the_chosen(path)?, "chosen with `--python`");
        }
        let error = match self.portable(progress) {
            Ok((found, from)) => return self.settle(&found, &from),
            Err(error) if error.is_network() && self.site.policy == Policy::Update => error,
            Err(error) => return Err(error),
        };
        progress.doing("looking for a Python of the system");
        let fits = |it: &Interpreter| (self.oldest..=NEWEST).contains(&it.version);
        let Some(found) = of_the_system(self.site).into_iter().find(fits) else {
            let (wanted, why) = (format!("{}.{}", self.oldest.0, self.oldest.1), why(self.oldest));
            return Err(InstallError::NoPython { wanted, why, portable: Some(Box::new(error)) });
        };
        let shown = found.path.display();
        self.site.output.warn(format_args!(
            "{}; taking Python {} of the system, `{shown}`",
            in_one_line(&error),
            found.version
        ));
        self.settle(&found, "of the system")
    }
}

/// The interpreter that the user named: a bare name is looked up on `PATH`, as a shell does.
fn named(site: &Site, path: &Path) -> Result<PathBuf, InstallError> {
    let on_path = || which::which_in(path, site.host.env.get("PATH"), &site.host.cwd).ok();
    let bare = path.components().count() == 1 && path.file_name() == Some(path.as_os_str());
    let found = if bare {
        let problem = "there is no such program on `PATH`".to_owned();
        on_path().ok_or_else(|| InstallError::BadPython { path: path.to_owned(), problem })?
    } else {
        site.host.absolute(path)
    };
    // Receipts are JSON, which has no way to hold such a path.
    if found.to_str().is_some() { Ok(found) } else { Err(not_utf8(&found)) }
}

fn not_utf8(path: &Path) -> InstallError {
    InstallError::BadPython { path: path.to_owned(), problem: "its path is not UTF-8".to_owned() }
}

/// An interpreter of the system that has pip, the newest first.
pub fn with_pip(site: &Site) -> Option<PathBuf> {
    that_answers(site, &["-m", "pip", "--version"]).map(|(path, _)| path)
}

/// The first of the system's interpreters that does this well, and what it prints.
pub fn that_answers(site: &Site, args: &'static [&str]) -> Option<(PathBuf, String)> {
    let asking = site.clone();
    let answer = move |path: PathBuf| {
        let command = CommandSpec::new(&path, &asking.tool_env(), &asking.host.cwd).args(args);
        let said = command.capture(PROBE).ok().filter(Captured::success)?;
        Some((path, said.stdout))
    };
    let paths = of_the_system(site).into_iter().map(|it| it.path).collect();
    at_once(paths, answer).flatten().next()
}

/// Interpreters on `PATH` and in pyenv's folder: 3.12 first, because that is what the trainer is used with, then by
/// age, the newest first.
fn of_the_system(site: &Site) -> Vec<Interpreter> {
    let env = &site.host.env;
    let names = ["python3.12", "python3.13", "python3.14", "python3.11", "python3.10", "python3", "python"];
    let on_path = names.iter().filter_map(|name| which::which_in(name, env.get("PATH"), &site.host.cwd).ok());
    let pyenv = env.get("PYENV_ROOT").map(PathBuf::from).or_else(|| Some(env.home()?.join(".pyenv")));
    let versions = pyenv.map(|root| root.join("versions")).unwrap_or_default();
    let installed = fs::names(&versions).unwrap_or_default();
    let in_pyenv = installed.iter().map(|name| versions.join(name).join("bin/python3"));
    let mut candidates: Vec<PathBuf> = vec![];
    for candidate in on_path.chain(in_pyenv.filter(|it| it.exists())) {
        if !candidates.contains(&candidate) {
            candidates.push(candidate);
        }
    }
    let asking = site.clone();
    let mut found: Vec<Interpreter> = vec![];
    for interpreter in at_once(candidates, move |it| ask(&asking, &it)).flatten() {
        if !found.contains(&interpreter) {
            found.push(interpreter);
        }
    }
    found.sort_by_key(|it| (it.version.1 != 12, std::cmp::Reverse(it.version)));
    found
}

/// Asks of all `items` at the same time; the answers come in their order, none later than those before it allow.
/// Whoever has heard enough need not wait for the rest.
fn at_once<T: Send + 'static, A: Send + 'static>(
    items: Vec<T>,
    ask: impl Fn(T) -> A + Clone + Send + 'static,
) -> impl Iterator<Item = A> {
    let start = |item| {
        let (ask, (sender, answer)) = (ask.clone(), mpsc::channel());
        // The receiver is gone when nobody waits for this answer any more.
        thread::spawn(move || sender.send(ask(item)).is_ok());
        answer
    };
    let answers: Vec<_> = items.into_iter().map(start).collect();
    answers.into_iter().filter_map(|it| it.recv().ok())
}

/// Runs the interpreter to learn what it really is.
fn ask(site: &Site, path: &Path) -> Result<Interpreter, String> {
    #[derive(Deserialize)]
    struct Answer {
        path: PathBuf,
        version: Version,
        implementation: String,
        threads: bool,
        base: PathBuf,
    }
    let command = CommandSpec::new(path, &site.tool_env(), &site.host.cwd).args(["-I", "-c", WHO]);
    let said = command.capture(PROBE).map_err(|error| Error::from(error).messages().join(": "))?;
    let answer: Option<Answer> = serde_json::from_str(said.stdout.trim()).ok();
    let Some(answer) = answer.filter(|_| said.success()) else {
        let tail = said.tail();
        // Other programs repeat the question, which is news to nobody.
        let repeats = WHO.lines().any(|line| tail.contains(line.trim()));
        return Err(match tail.trim() {
            "" => format!("it answers nothing and ends with {}", process::describe(said.status)),
            _ if repeats => "it is no Python interpreter".to_owned(),
            tail if said.success() => format!("it does not answer like a Python interpreter: `{tail}`"),
            tail => format!("it fails: {tail}"),
        });
    };
    if answer.implementation != "cpython" || answer.threads {
        return Err("it is not a standard CPython, and PyTorch has no wheels for it".to_owned());
    }
    // An environment made from an environment would break with it.
    let path = if answer.base.exists() { answer.base } else { answer.path };
    Ok(Interpreter { path, version: answer.version })
}

fn why(oldest: Version) -> &'static str {
    if oldest == FOR_TRAINER {
        "the trainer's caches use `autocommit` of sqlite3, which came with 3.12"
    } else {
        "PyTorch has no wheels for older ones"
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn answers_come_in_order_and_nobody_waits_for_those_behind_the_first_that_will_do() {
        let (together, never) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let ask = move |item: u32| {
            // The first two need each other; the third never answers.
            if item < 2 {
                together.wait()
            } else {
                never.wait()
            };
            item
        };
        let answers: Vec<u32> = at_once(vec![0, 1, 2], ask).take(2).collect();
        assert_eq!(answers, [0, 1]);
    }
}
