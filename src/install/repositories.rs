//! The trainer's repository and its submodules, each a clean checkout of exactly one commit in `vendor/`.

mod wanted;

use std::{ffi::OsStr, path::PathBuf};

use crate::{
    error::in_one_line,
    output::{Progress, size},
    platform::{
        fs,
        mounts::{self, Space},
        net,
        process::as_typed,
    },
    vendor::{
        git::{self, CommitId, Git, GitError, GitProgress, Outcome, Pin, State},
        sources::{self, Repository},
    },
    workspace::Workspace,
};

pub(super) use self::wanted::pins_here;
use self::wanted::{InTrainer, Wanted};
use super::{
    InstallError,
    error::Room,
    offline::Missing,
    plan::{Cost, Status, StepId},
    step::{Site, Step, Turn},
};

/// A checkout has fewer, git's own among them.
const MANY_FILES: u64 = 20_000;

/// One repository: the trainer, or a submodule of it that lies beside it.
#[derive(Debug)]
pub struct Checkout<'a> {
    site: &'a Site,
    name: &'a str,
    repository: &'a Repository,
}

impl<'a> Checkout<'a> {
    pub const fn new(site: &'a Site, name: &'a str, repository: &'a Repository) -> Self {
        Self { site, name, repository }
    }

    fn dir(&self) -> PathBuf {
        self.site.workspace.vendor().join(self.name)
    }

    /// Beside an update, what is installed.
    fn live(&self) -> PathBuf {
        self.site.workspace.live().vendor().join(self.name)
    }

    /// What this is made to be, once the trainer is there.
    fn pin(&self) -> Result<Pin, InstallError> {
        let wanted = self.wanted()?;
        let commit = wanted.commit.ok_or_else(|| InstallError::Verify {
            problem: format!("{} names the commit of `{}`, and is not there", sources::TRAINER, self.name),
            hint: "run `dpgui setup` without `--only` and `--skip`".to_owned(),
        })?;
        // Its own name is proof of what comes, wherever it comes from.
        let url = wanted.url.unwrap_or_else(|| self.repository.url.clone());
        Ok(Pin { url, commit, nearby: self.nearby(commit)? })
    }

    /// A repository of this machine that has the commit: the checkout that an update leaves at its commit, or what
    /// somebody brought.
    fn nearby(&self, commit: CommitId) -> Result<Option<PathBuf>, InstallError> {
        let live = self.live();
        if live != self.dir() && git::head(&live)? == Some(commit) {
            return Ok(Some(live));
        }
        Ok(Some(self.site.cache.repository(commit)).filter(|it| fs::is_dir(it)))
    }

    fn warn_if_missing_in_trainer(&self, commit: CommitId) -> Result<(), InstallError> {
        if matches!(self.in_trainer()?, InTrainer::Missing) && !self.repository.commit_is_override {
            let (trainer, name, commit) = (sources::TRAINER, self.name, commit.short());
            self.site.output.warn(format_args!(
                "{trainer} at this commit has no submodule `{name}`; taking the declared commit {commit} of it"
            ));
        }
        Ok(())
    }
}

impl Checkout<'_> {
    /// `diffusion-pipe at 3adc40e8f7`
    fn trainer(&self) -> String {
        let commit = self.trainer_commit().map(|it| format!(" at {}", it.short())).unwrap_or_default();
        format!("{}{commit}", sources::TRAINER)
    }

    /// What somebody has to bring where there is no network.
    fn describe(&self, wanted: Wanted) -> Missing {
        let put = wanted.commit.map(|it| self.site.cache.repository(it));
        let url = wanted.url.map(|it| net::without_secrets(&it));
        let name = match (&url, wanted.commit) {
            (Some(url), Some(_)) => format!("repository {url}"),
            (None, Some(_)) => {
                format!("repository {}, from where `.gitmodules` of {} says", self.name, self.trainer())
            }
            (url, None) => {
                let which = url.as_deref().unwrap_or(self.name);
                format!("repository {which}, as {} pins it: told once that is there", self.trainer())
            }
        };
        // A branch or a tag leads to every commit that anybody pins.
        let clone = |(url, put): (&String, &PathBuf)| {
            let words = ["git", "clone", "--bare", &**url].map(OsStr::new);
            as_typed(words.into_iter().chain([put.file_name().unwrap_or_default()]))
        };
        Missing {
            step: self.id(),
            name,
            size: self.repository.about.filter(|_| wanted.commit.is_some()).map(|it| it.bytes),
            digest: wanted.commit.map(|it| it.to_string()),
            how: url.as_ref().zip(put.as_ref()).map(clone),
            put,
            is_another_there: false,
        }
    }

    /// Tries again after what may pass: a clone of hundreds of megabytes is not to end a setup by one bad answer.
    fn checkout(&self, pin: &Pin, progress: &Progress) -> Result<Outcome, InstallError> {
        let ask = |git: &Git| git.checkout(pin, &self.dir(), &mut |far| show(far, progress));
        patiently(self.site, progress, ask).map_err(|error| match error {
            // What was written of it is gone again: what is left is what the next try would find.
            InstallError::Git(source) if source.is_full() => {
                let (what, at) = (self.name.to_owned(), self.dir());
                let room = room(mounts::space(&at).ok(), self.repository.about.map(|it| it.disk));
                InstallError::CheckoutFull { what, at, room, source: Box::new(source) }
            }
            error => error,
        })
    }
}

/// Of a checkout that cannot be read nobody knows what in it is the user's, so nothing is made in its place unasked.
pub(super) fn unreadable(workspace: &Workspace, name: &str, source: GitError) -> InstallError {
    // What is prepared beside what is installed, no repair looks at.
    if workspace.is_live() {
        InstallError::Unreadable { name: name.to_owned(), source: Box::new(source) }
    } else {
        source.into()
    }
}

/// Asks a server with `ask`, and again after what may pass.
pub(super) fn patiently<T>(
    site: &Site,
    progress: &Progress,
    ask: impl Fn(&Git) -> Result<T, GitError>,
) -> Result<T, InstallError> {
    let git = Git::new(site.http.clone(), &site.host.env)?;
    let mut retries = site.http.retries(false);
    loop {
        let error = match ask(&git) {
            Err(GitError::Net(error)) => error,
            answer => return Ok(answer?),
        };
        let Some(pause) = retries.after(&error) else { return Err(GitError::Net(error).into()) };
        progress.waits(&format!("{}; trying again in {:.1} s", in_one_line(&error), pause.as_secs_f32()));
        if site.http.halt().pause(pause) {
            return Err(InstallError::GivenUp);
        }
    }
}

fn show(far: GitProgress, progress: &Progress) {
    match far {
        GitProgress::Receiving { objects, of, bytes } => {
            let size = size::bytes(bytes as u64);
            progress.doing(format!("receiving {objects} of {of} objects, {size}"));
            progress.fetched(bytes as u64, expected(objects, of, bytes));
        }
        GitProgress::Writing { files, of } => progress.doing(format!("writing {files} of {of} files")),
    }
}

/// Bytes in all, if the objects that are still to come are like those that have: nobody says it beforehand.
fn expected(objects: usize, of: usize, bytes: usize) -> Option<u64> {
    let (objects, of, bytes) = (objects as u64, of as u64, bytes as u64);
    // The first few say nothing.
    let enough = objects > 0 && objects * 10 >= of;
    enough.then(|| bytes.saturating_mul(of) / objects)
}

/// `3.00 MiB and 40 files are left there, and it takes 24.0 MiB`.
fn room(space: Option<Space>, needed: Option<u64>) -> Room {
    let mut files_are_short = false;
    let left = match space {
        // Only where that may be what is short.
        Some(Space { available, files: Some(files), .. }) if files < MANY_FILES => {
            files_are_short = needed.is_none_or(|it| it < available);
            format!("{} and {files} more files are left there", size::bytes(available))
        }
        Some(Space { available, .. }) => format!("{} are left there", size::bytes(available)),
        None => "it does not tell what is left".to_owned(),
    };
    let told = match needed {
        Some(needed) => format!("{left}, and it takes about {}", size::bytes(needed)),
        None => left,
    };
    Room { told, files_are_short }
}

impl Step for Checkout<'_> {
    fn id(&self) -> StepId {
        StepId::Repository(self.name.to_owned())
    }

    fn needs(&self) -> Vec<StepId> {
        match self.repository.submodule {
            Some(_) => vec![StepId::Repository(sources::TRAINER.to_owned())],
            None => vec![],
        }
    }

    fn obstacle(&self) -> Option<InstallError> {
        let path = self.dir();
        if let Some(damage) = git::damage(&path).ok()? {
            return Some(unreadable(&self.site.workspace, self.name, damage));
        }
        // A look at every file is for who has a repository there.
        if git::head(&path).ok()?.is_some() {
            return None;
        }
        let is_foreign = matches!(git::inspect(&path, &self.repository.commit), Ok(State::Foreign));
        is_foreign.then(|| GitError::Foreign { path }.into())
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let (wanted, head) = (self.wanted()?, git::head(&self.dir())?);
        let because = |state: &str| format!("{state}; {}", self.repository.why);
        if let Some(damage) = git::damage(&self.dir())? {
            let commit =
                wanted.commit.map_or_else(|| "the commit".to_owned(), |it| format!("commit {}", it.short()));
            return Ok(Status::Missing { what: commit, why: in_one_line(&damage) });
        }
        let Some(commit) = wanted.commit else {
            let what = format!("the commit that {} names, known once that is there", self.trainer());
            let why = match head {
                Some(head) => format!("{} is checked out", head.short()),
                None if git::head(&self.live())?.is_some() => "copied if it is what is installed".to_owned(),
                None => because("not cloned"),
            };
            return Ok(Status::Missing { what, why });
        };
        let what = format!("commit {}", commit.short());
        // The head alone: a look at every file is for the doctor, and an edit of the user's is theirs to keep.
        Ok(match head {
            Some(head) if head == commit => Status::Satisfied { what },
            Some(head) => Status::Missing { what, why: because(&format!("{} is checked out", head.short())) },
            None if self.nearby(commit)?.as_ref() == Some(&self.live()) => {
                Status::Missing { what, why: "the same as is installed, copied from there".to_owned() }
            }
            None => Status::Missing { what, why: because("not cloned") },
        })
    }

    fn may_stay(&self) -> bool {
        let is_there = || git::head(&self.dir()).ok().flatten().is_some();
        self.wanted().is_ok_and(|it| it.commit.is_none()) && is_there()
    }

    fn missing(&self) -> Result<Vec<Missing>, InstallError> {
        let wanted = self.wanted()?;
        let nearby = wanted.commit.map(|it| self.nearby(it)).transpose()?.flatten();
        let git = Git::new(self.site.http.clone(), &self.site.host.env)?;
        let is_local = |url: &String| Ok::<_, GitError>(git.local(url)?.is_some());
        if nearby.is_some() || wanted.url.as_ref().map_or(Ok(false), is_local)? {
            return Ok(vec![]);
        }
        Ok(vec![self.describe(wanted)])
    }

    fn cost(&self) -> Cost {
        let Some(about) = self.repository.about else { return Cost::default() };
        let Ok(Wanted { commit: Some(commit), url }) = self.wanted() else { return Cost::default() };
        let is_local = || {
            let git = Git::new(self.site.http.clone(), &self.site.host.env).ok()?;
            let is_on_this_machine = url.and_then(|it| git.local(&it).ok().flatten()).is_some();
            Some(is_on_this_machine || self.nearby(commit).ok()?.is_some())
        };
        let bytes = if is_local().unwrap_or(false) { 0 } else { about.bytes };
        Cost { bytes: Some(bytes), disk: Some(about.disk) }
    }

    fn apply(&self, turn: &Turn) -> Result<String, InstallError> {
        let progress = turn.progress;
        let mut pin = self.pin()?;
        let brought =
            pin.nearby.is_some().then(|| self.site.cache.hold_repository(pin.commit)).transpose()?;
        if brought.is_some() {
            // Somebody may have removed it before it was held.
            pin.nearby = self.nearby(pin.commit)?;
        }
        progress.doing(format!("from {}", net::without_secrets(&pin.url)));
        self.warn_if_missing_in_trainer(pin.commit)?;
        let outcome = self.checkout(&pin, progress)?;
        drop(brought);
        let commit = pin.commit.short();
        Ok(match outcome {
            Outcome::AlreadyThere => format!("commit {commit} was there"),
            Outcome::Made => format!("commit {commit}"),
            Outcome::Replaced(old) => format!("commit {commit} in the place of {}", old.short()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_a_repository_will_be_is_told_by_the_part_that_has_come() {
        assert_eq!(expected(0, 0, 0), None);
        assert_eq!(expected(9, 100, 5000), None);
        assert_eq!(expected(10, 100, 5000), Some(50_000));
        assert_eq!(expected(100, 100, 60_000), Some(60_000));
    }

    #[test]
    fn what_is_left_and_what_is_needed_are_both_said() {
        let check = |files, needed, expected: &str| {
            let space = Space { total: 9 << 20, available: 3 << 20, files };
            let room = room(Some(space), needed);
            assert_eq!((&*room.told, room.files_are_short), (expected, files == Some(7)));
        };
        check(None, None, "3.00 MiB are left there");
        check(Some(1 << 20), Some(24 << 20), "3.00 MiB are left there, and it takes about 24.0 MiB");
        check(Some(7), None, "3.00 MiB and 7 more files are left there");
    }
}
