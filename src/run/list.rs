//! Runs as people name them: by id, by the beginning of an id, or by name.

use crate::{platform::fs, workspace::Workspace};

use super::{RunError, dir::RunDir, id::RunId, journal::Snapshot, state::RunState};

/// The run that `text` means. Of several with that very name the newest.
///
/// # Errors
/// With the nearest ids if there is none, with all of them if it may mean several.
pub fn find(workspace: &Workspace, text: &str) -> Result<RunDir, RunError> {
    find_among(&RunDir::all(workspace)?, text)
}

/// The same of some runs, the newest first.
pub fn find_among(all: &[RunDir], text: &str) -> Result<RunDir, RunError> {
    // What a script gives whose variable is not set; every run's name begins with it.
    if text.is_empty() {
        return Err(RunError::NoName);
    }
    let exact = |dir: &&RunDir| dir.id().to_string() == text || dir.id().name().as_str() == text;
    if let Some(dir) = all.iter().find(exact) {
        return Ok(dir.clone());
    }
    let begins =
        |dir: &&RunDir| dir.id().to_string().starts_with(text) || dir.id().name().as_str().starts_with(text);
    match all.iter().filter(begins).collect::<Vec<_>>()[..] {
        [dir] => Ok(dir.clone()),
        [] => Err(RunError::Unknown { name: text.to_owned(), nearest: nearest(text, all) }),
        ref several => {
            Err(RunError::Ambiguous { name: text.to_owned(), candidates: ids(several.iter().copied()) })
        }
    }
}

/// The named run or the newest; one that never began only if there is no other.
pub fn find_or_newest(workspace: &Workspace, text: Option<&str>) -> Result<RunDir, RunError> {
    if let Some(text) = text {
        return find(workspace, text);
    }
    let all: Vec<_> = RunDir::all(workspace)?.into_iter().filter(|dir| !is_part_of_another(dir)).collect();
    let has_begun = |dir: &&RunDir| dir.snapshot().is_ok_and(|it| it.is_none_or(|it| it.state.began()));
    let begun = all.iter().find(has_begun);
    begun.or(all.first()).cloned().ok_or(RunError::NoRuns)
}

/// The named run, a running one before others of that name, or the only one that is running; one that waits in the queue
/// only if there is no other.
pub fn find_or_running(workspace: &Workspace, text: Option<&str>) -> Result<RunDir, RunError> {
    let mut running: Vec<_> = RunDir::all(workspace)?.into_iter().filter(is_live).collect();
    if text.is_none() {
        running.retain(|dir| !is_part_of_another(dir));
    }
    if let Some(text) = text {
        // A newer run of that name may be over already.
        running.retain(|dir| dir.id().name().as_str() == text);
        prefer_begun(&mut running);
        return match &running[..] {
            [] => find(workspace, text),
            [dir] => Ok(dir.clone()),
            several => Err(RunError::Ambiguous { name: text.to_owned(), candidates: ids(several.iter()) }),
        };
    }
    prefer_begun(&mut running);
    match &running[..] {
        [] => Err(RunError::NoneRunning),
        [dir] => Ok(dir.clone()),
        several => Err(RunError::SeveralRunning(ids(several.iter()))),
    }
}

fn prefer_begun(running: &mut Vec<RunDir>) {
    if !running.iter().all(is_queued) {
        running.retain(|dir| !is_queued(dir));
    }
}

/// The run that it is a part of is here as well, in a workspace of several machines: that one is meant.
fn is_part_of_another(dir: &RunDir) -> bool {
    let origin = dir.spec().ok().and_then(|spec| spec.part?.of);
    origin.is_some_and(|it| fs::exists(&RunDir::new(&dir.workspace(), it.run).spec_file()))
}

/// It is not over, as far as the disk knows.
pub fn is_live(dir: &RunDir) -> bool {
    let is_live = |snapshot: Option<Snapshot>| snapshot.is_none_or(|it| it.state.outcome().is_none());
    dir.snapshot().is_ok_and(is_live)
}

/// It has not begun.
pub fn is_queued(dir: &RunDir) -> bool {
    dir.snapshot().is_ok_and(|it| it.is_some_and(|it| it.state == RunState::Queued))
}

fn ids<'a>(dirs: impl Iterator<Item = &'a RunDir>) -> Vec<RunId> {
    dirs.map(|dir| dir.id().clone()).collect()
}

/// At most three ids that look like `text`, by themselves or by their names.
fn nearest(text: &str, all: &[RunDir]) -> Vec<RunId> {
    /// Below this two words have nothing to do with each other.
    const ALIKE: f64 = 0.6;
    let likeness = |dir: &RunDir| {
        let (id, name) = (dir.id().to_string(), dir.id().name().as_str());
        strsim::jaro_winkler(text, &id).max(strsim::jaro_winkler(text, name))
    };
    let mut scored: Vec<_> =
        all.iter().map(|dir| (likeness(dir), dir)).filter(|(it, _)| *it >= ALIKE).collect();
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    ids(scored.into_iter().take(3).map(|(_, dir)| dir))
}
