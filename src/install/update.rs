//! The way to a newer commit of the trainer, and back: prepared beside what is installed, then exchanged with it.
//!
//! While it is prepared, trainings go on with what is installed, and setups wait. Only the exchange needs the workspace
//! for itself, for milliseconds.

mod draft;
mod error;
mod previous;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::{
    output::{Event, Line, Output, Waiting},
    platform::{
        clock::Stopwatch,
        fs,
        lock::{Lock, LockError},
        net,
    },
    vendor::{
        farm,
        git::{self, CommitId, GitError, State},
        sources::{self, Repository},
    },
    workspace::{
        Workspace,
        switch::{self, Item, With},
    },
};

use super::{
    IfLocked, InstallError, Setup, Wish,
    plan::{Cost, Planned, Selection, StepId},
    repositories,
    step::Site,
};

pub use self::{
    draft::{give_back, is_stale},
    error::{UNPIN, UpdateError},
};

/// The steps whose results all copies share.
const TOOLS: [StepId; 3] = [StepId::Node, StepId::Uv, StepId::Python];

/// From which commit to which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    pub from: CommitId,
    pub to: CommitId,
}

/// The end of an update or of the way back.
#[derive(Debug, Serialize)]
#[serde(tag = "event")]
pub enum Moved {
    #[serde(rename = "update-done")]
    Updated {
        #[serde(flatten)]
        commits: Move,
        seconds: f64,
    },
    #[serde(rename = "rollback-done")]
    WentBack {
        #[serde(flatten)]
        commits: Move,
        seconds: f64,
    },
}

impl Event for Moved {
    fn line(&self) -> Option<Line> {
        let text = |Move { from, to }: &Move, seconds: &f64| {
            let (from, to) = (from.short(), to.short());
            format!("{} from commit {from} to {to}, exchanged in {:.0} ms", sources::TRAINER, seconds * 1e3)
        };
        Some(match self {
            Self::Updated { commits, seconds } => Line { verb: "Updated", text: text(commits, seconds) },
            Self::WentBack { commits, seconds } => Line { verb: "Went back", text: text(commits, seconds) },
        })
    }
}

/// Everything is there that the commit needs, beside what is installed.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "update-prepared")]
struct Prepared {
    commit: CommitId,
    /// The environment that is installed serves the new commit too.
    keeps_environment: bool,
}

impl Event for Prepared {
    fn line(&self) -> Option<Line> {
        let which =
            if self.keeps_environment { "the environment that is there" } else { "a new environment" };
        let text = format!("{} at commit {}, with {which}", sources::TRAINER, self.commit.short());
        Some(Line { verb: "Prepared", text })
    }
}

/// Keeps other updates off, and setups as long as what is installed must stay.
#[derive(Debug)]
pub struct Preparing {
    _alone: Lock,
    shared: Lock,
}

impl Preparing {
    /// # Errors
    /// When somebody else is at work and is not to be waited for.
    pub fn begin(workspace: &Workspace, output: &Output, if_locked: IfLocked) -> Result<Self, InstallError> {
        let tell = |holder: &str| output.event(&Waiting { holder });
        let wait = if_locked.wait(&tell);
        let alone = Lock::exclusive(&workspace.update_lock(), "dpgui update", wait)?;
        let shared = Lock::shared(&workspace.setup_lock(), "dpgui update, preparing", wait)?;
        Ok(Self { _alone: alone, shared })
    }
}

/// An update from what is installed to a commit.
pub struct Update<'a> {
    live: &'a Site,
    /// The same with the draft's paths and the new commit.
    draft: Site,
    wish: &'a Wish,
    commits: Move,
}

/// The commit that is installed.
///
/// # Errors
/// When none is, or a setup has something to do first.
pub fn installed(site: &Site, wish: &Wish) -> Result<CommitId, UpdateError> {
    let only = TOOLS.map(|it| it.to_string()).into();
    let tools = Setup::new(site, wish, &Selection { only, skip: vec![] })?.plan()?;
    let missing = |why: String| UpdateError::NotSetUp { why };
    if let Some(tool) = tools.iter().find(|it| it.pending) {
        return Err(missing(format!("{}: {}", tool.step, tool.why)));
    }
    let head = draft::head(&site.workspace)?;
    head.ok_or_else(|| missing(format!("{} is not cloned", sources::TRAINER)))
}

/// The newest commit of the trainer's default branch.
///
/// # Errors
/// When its repository cannot be asked.
pub fn latest(site: &Site) -> Result<CommitId, InstallError> {
    let url = &trainer(site)?.url;
    let progress = site.output.progress(sources::TRAINER);
    progress.doing(format!("asking {} for its newest commit", net::without_secrets(url)));
    repositories::patiently(site, &progress, |git| git.latest(url))
}

/// The declaration of the trainer's repository.
///
/// # Errors
/// Never, with the declarations that dpgui ships.
pub fn trainer(site: &Site) -> Result<&Repository, InstallError> {
    site.sources.repositories.get(sources::TRAINER).ok_or(InstallError::Surprise)
}

impl<'a> Update<'a> {
    pub fn new(live: &'a Site, wish: &'a Wish, commits: Move) -> Self {
        let mut draft = Site { workspace: live.workspace.draft(), ..live.clone() };
        if let Some(trainer) = draft.sources.repositories.get_mut(sources::TRAINER) {
            trainer.commit = commits.to;
        }
        Self { live, draft, wish, commits }
    }

    /// What there is to do in the draft. Touches nothing.
    ///
    /// # Errors
    /// When what is there cannot be read.
    pub fn plan(&self) -> Result<Vec<Planned>, InstallError> {
        let mut plan = self.setup(&[])?.plan()?;
        let venv = plan.iter_mut().find(|it| it.step == StepId::Venv);
        // Nobody knows before the commit is here, and most commits change no requirements.
        if let Some(venv) = venv.filter(|it| it.pending && !fs::exists(&self.draft.workspace.venv())) {
            (venv.certain, venv.missing, venv.cost) = (false, false, Cost::default());
            "only if the commit asks for other packages than those that are installed"
                .clone_into(&mut venv.why);
        }
        Ok(plan)
    }

    /// Makes the draft whole: checkouts, requirements, lock, environment, all verified.
    ///
    /// # Errors
    /// Whatever a setup may meet, and files of the user's that are in the way. What is installed is as it was.
    pub fn prepare(&self, _preparing: &Preparing) -> Result<(), UpdateError> {
        self.refuse_edits()?;
        self.say_what_a_link_forbids();
        let prepared = || {
            draft::begin(&self.live.workspace, self.commits.to)?;
            let workspace = &self.draft.workspace;
            let item = |live: PathBuf, copy: PathBuf| Item::new(workspace, &live, &copy).check(workspace);
            item(self.live.workspace.libs(), workspace.libs())?;
            // What the commit needs is known once it is there; most want what is installed.
            self.setup(&[StepId::Venv, StepId::Verify])?.prepare()?;
            if self.venv_is_missing()? {
                draft::borrow(workspace)?;
                if self.venv_is_missing()? {
                    give_back(workspace)?;
                    item(self.live.workspace.venv(), workspace.venv())?;
                }
            }
            self.setup(&[])?.prepare()
        };
        let commit = self.commits.to;
        prepared()
            .map_err(|cause: InstallError| UpdateError::Unprepared { commit, source: Box::new(cause) })?;
        let keeps_environment = draft::is_borrowed(&self.draft.workspace);
        self.live.output.event(&Prepared { commit, keeps_environment });
        Ok(())
    }

    /// Exchanges the draft with what is installed, once nobody uses that.
    ///
    /// # Errors
    /// When it is in use and is not to be waited for. What is installed is as it was, and the draft stays.
    pub fn switch(&self, preparing: Preparing, if_locked: IfLocked) -> Result<Moved, UpdateError> {
        let Preparing { _alone, shared } = preparing;
        drop(shared);
        let commit = self.commits.to;
        let (workspace, draft) = (&self.live.workspace, &self.draft.workspace);
        let lock = exclusive(workspace, &self.live.output, "dpgui update", if_locked)
            .map_err(|source| UpdateError::InUse { commit, source })?;
        // A setup may have been before us.
        if is_stale_for(self)? {
            return Err(UpdateError::Changed { commit });
        }
        let watch = Stopwatch::start();
        let exchanged = || {
            let items = draft::items(draft)?;
            refuse_edits_in(draft, &items)?;
            Ok(switch::switch(workspace, With::Next, items, &lock)?)
        };
        exchanged()
            .map_err(|cause: InstallError| UpdateError::Unswitched { commit, source: Box::new(cause) })?;
        Ok(Moved::Updated { commits: self.commits, seconds: watch.elapsed().as_secs_f64() })
    }

    fn setup(&self, without: &[StepId]) -> Result<Setup<'_>, InstallError> {
        let skip = TOOLS.iter().chain(without).map(ToString::to_string).collect();
        Setup::new(&self.draft, self.wish, &Selection { only: vec![], skip })
    }

    fn venv_is_missing(&self) -> Result<bool, InstallError> {
        let selection = Selection { only: vec![StepId::Venv.to_string()], skip: vec![] };
        let plan = Setup::new(&self.draft, self.wish, &selection)?.plan()?;
        Ok(plan.iter().any(|it| it.pending))
    }

    /// What the commit wants is known once it is here, and most want what is installed, which may lie anywhere.
    fn say_what_a_link_forbids(&self) {
        let venv = self.live.workspace.venv();
        if fs::link_target(&venv).is_some() {
            self.live.output.warn(format_args!(
                "`{}` is a link: only a commit that needs no other packages can be updated to",
                venv.display()
            ));
        }
    }

    /// Before anything is done. Which commits the submodules will be at is not known yet: what lies between the files
    /// of theirs is looked at before the exchange.
    fn refuse_edits(&self) -> Result<(), InstallError> {
        for name in self.live.sources.repositories.keys() {
            let dir = self.live.workspace.vendor().join(name);
            if let Some(damage) = git::damage(&dir)? {
                return Err(repositories::unreadable(&self.live.workspace, name, damage));
            }
            let Some(head) = git::head(&dir)? else { continue };
            let wanted = if name == sources::TRAINER { self.commits.to } else { head };
            refuse(&self.live.workspace, &dir, wanted)?;
        }
        let known: Vec<&str> = self.live.sources.repositories.keys().map(String::as_str).collect();
        let strangers = farm::strangers(&self.live.workspace.libs(), &farm::entries(&known)?)?;
        match strangers.into_iter().next() {
            Some(path) => Err(GitError::Foreign { path }.into()),
            None => Ok(()),
        }
    }
}

/// Goes back to what the last update, or the last way back, replaced.
///
/// # Errors
/// When there is nothing to go back to or only half of it, or files of the user's would go with it.
pub fn go_back(workspace: &Workspace, output: &Output, if_locked: IfLocked) -> Result<Moved, UpdateError> {
    let previous = workspace.previous();
    let missing = || UpdateError::NoPrevious { root: workspace.root().to_owned() };
    let is_there = || fs::exists(&previous.records()).then_some(()).ok_or_else(missing);
    // Nothing is written where no workspace is.
    is_there()?;
    let lock = exclusive(workspace, output, "dpgui rollback", if_locked)?;
    let watch = Stopwatch::start();
    is_there()?;
    previous::must_be_whole(&previous)?;
    let to = draft::head(&previous)?.ok_or_else(missing)?;
    let items = draft::items(&previous)?;
    refuse_edits_in(&previous, &items)?;
    let from = draft::head(workspace)?.unwrap_or(to);
    switch::switch(workspace, With::Previous, items, &lock)?;
    Ok(Moved::WentBack { commits: Move { from, to }, seconds: watch.elapsed().as_secs_f64() })
}

/// Brings a switch that was killed to its end, if there is one. Before anything is read of what is installed.
///
/// # Errors
/// When somebody else is at work and is not to be waited for.
pub fn finish_switch(
    workspace: &Workspace,
    output: &Output,
    if_locked: IfLocked,
) -> Result<bool, InstallError> {
    if !switch::is_pending(workspace) {
        return Ok(false);
    }
    let lock = exclusive(workspace, output, "dpgui, finishing an update", if_locked)?;
    Ok(switch::finish(workspace, &lock)?)
}

fn exclusive(
    workspace: &Workspace,
    output: &Output,
    purpose: &str,
    if_locked: IfLocked,
) -> Result<Lock, LockError> {
    let tell = |holder: &str| output.event(&Waiting { holder });
    Lock::exclusive(&workspace.setup_lock(), purpose, if_locked.wait(&tell))
}

fn is_stale_for(update: &Update<'_>) -> Result<bool, InstallError> {
    let is_other = draft::head(&update.live.workspace)? != Some(update.commits.from);
    Ok(is_other || update.plan()?.iter().any(|it| it.pending))
}

/// The live checkouts that are to go would take these files with them.
fn refuse_edits_in(copy: &Workspace, items: &[Item]) -> Result<(), InstallError> {
    let live = copy.live();
    for item in items {
        let (dir, copy) = (live.root().join(&item.live), live.root().join(&item.copy));
        if let Some(wanted) = git::head(&copy)? {
            refuse(&live, &dir, wanted)?;
        }
    }
    Ok(())
}

fn refuse(live: &Workspace, path: &Path, wanted: CommitId) -> Result<(), InstallError> {
    let path = path.to_owned();
    Err(match git::inspect(&path, &wanted) {
        Ok(State::Absent | State::AtCommit | State::OtherCommit { .. }) => return Ok(()),
        Ok(State::Edited { head, files }) => git::refusal(&path, head, files).into(),
        Ok(State::Moved { head }) => GitError::Moved { path, head }.into(),
        Ok(State::Foreign) => GitError::Foreign { path }.into(),
        Err(damage @ GitError::Read { .. }) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            repositories::unreadable(live, &name, damage)
        }
        Err(error) => error.into(),
    })
}
