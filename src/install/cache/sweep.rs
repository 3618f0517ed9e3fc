//! What of the cache nobody needs, and its removal. What a setup uses at the moment is left alone.

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::{
    output::{Event, Line, size},
    platform::{
        checkpoint::{Checkpoint, reach},
        clock,
        digest::Sha256,
        fs::{self, FsError},
        hold::Hold,
    },
    workspace::commit::CommitId,
};

use super::{Cache, InstallError};

/// A download that nobody has gone on with for so long will not be gone on with: mise keeps them as long.
const STALE: SignedDuration = SignedDuration::from_hours(30 * 24);

/// A temporary file is there for a moment, unless its process was killed.
const MOMENT: SignedDuration = SignedDuration::from_hours(1);

/// What is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Whole files and repositories over the limit, those first that were not used for the longest time.
    OverLimit,
    /// Those, and parts of files that nobody went on with for a month.
    Unneeded,
    /// Every part of a file.
    Partials,
    /// Every whole file and repository.
    Whole,
    /// Everything.
    All,
}

/// Something in the cache or a workspace, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Junk {
    pub what: &'static str,
    pub path: PathBuf,
    pub bytes: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Swept {
    Removed(Junk),
    /// In a dry run.
    WouldRemove(Junk),
    /// A setup that is running needs it.
    InUse(Junk),
}

impl Event for Swept {
    fn line(&self) -> Option<Line> {
        let text = |it: &Junk| format!("{} `{}`, {}", it.what, it.path.display(), size::bytes(it.bytes));
        Some(match self {
            Self::Removed(junk) => Line { verb: "Removed", text: text(junk) },
            Self::WouldRemove(junk) => Line { verb: "Would remove", text: text(junk) },
            Self::InUse(junk) => Line { verb: "Left", text: format!("{}: a setup uses it", text(junk)) },
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Whole,
    /// A bare one, that somebody brought.
    Repository,
    Partial,
    /// A directory of pip's own.
    Pip,
    /// Of a process that was killed.
    Temporary,
}

/// One file, or what belongs to one, as it lies in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    form: Form,
    /// The name of its lock; `None` for what belongs to no file in particular.
    name: Option<String>,
    path: PathBuf,
    bytes: u64,
    used: Timestamp,
}

/// What a sweep means for an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Goes,
    /// While there is more than may be.
    OverLimit,
    Stays,
}

impl Cache {
    /// Keeps to the limit. For the end of a setup.
    pub fn trim(&self) -> Result<Vec<Swept>, InstallError> {
        self.sweep(Sweep::OverLimit, false)
    }

    /// Removes what `sweep` says, or in a dry run only says so.
    pub fn sweep(&self, sweep: Sweep, dry_run: bool) -> Result<Vec<Swept>, InstallError> {
        let swept = || {
            let chosen = choose(self.entries()?, sweep, self.limit, clock::now());
            if !dry_run && !chosen.is_empty() {
                // What somebody put there by hand may be all that is there.
                self.make()?;
            }
            chosen.into_iter().map(|it| self.remove(it, dry_run)).collect::<Result<_, FsError>>()
        };
        swept().map_err(|source| self.failed(source))
    }

    fn remove(&self, entry: Entry, dry_run: bool) -> Result<Swept, FsError> {
        let Entry { form, name, path, bytes, .. } = entry;
        let what = match form {
            Form::Whole => "download",
            Form::Repository => "repository",
            Form::Partial => "part of a download",
            Form::Pip => "what pip left",
            Form::Temporary => "temporary file",
        };
        let junk = Junk { what, path, bytes };
        let lock = name.map(|it| self.locks().join(it));
        if dry_run {
            let is_used = lock.is_some_and(|it| Hold::is_used(&it));
            return Ok(if is_used { Swept::InUse(junk) } else { Swept::WouldRemove(junk) });
        }
        let alone = lock.map(|it| Hold::alone_at_once(&it)).transpose()?;
        if matches!(alone, Some(None)) {
            return Ok(Swept::InUse(junk));
        }
        vanish(&junk.path)?;
        reach(Checkpoint::Cleaned);
        if form == Form::Partial {
            // What says where it came from goes with it.
            fs::remove_tree(&junk.path.with_extension("part.json"))?;
        }
        Ok(Swept::Removed(junk))
    }

    /// Everything in the cache that is known as ours.
    fn entries(&self) -> Result<Vec<Entry>, FsError> {
        let (downloads, repositories) = (self.downloads(), self.repositories());
        let pip = self.dir.join("pip");
        let mut found = vec![];
        for name in fs::names(&downloads)? {
            let name = name.to_string_lossy();
            let (digest, form) = match name.split_once(".part") {
                Some((digest, "")) => (digest, Form::Partial),
                // Goes with its part, or is all that is left of one.
                Some((digest, ".json")) if !fs::exists(&downloads.join(format!("{digest}.part"))) => {
                    (digest, Form::Partial)
                }
                Some(_) => continue,
                None => (&*name, Form::Whole),
            };
            let Ok(sha256) = digest.parse::<Sha256>() else { continue };
            found.push((form, Some(sha256.to_string()), downloads.join(&*name)));
        }
        for name in fs::names(&pip)? {
            let Ok(sha256) = name.to_string_lossy().parse::<Sha256>() else { continue };
            found.push((Form::Pip, Some(sha256.to_string()), pip.join(&name)));
        }
        for name in fs::names(&repositories)? {
            let text = name.to_string_lossy();
            let Some(Ok(commit)) = text.strip_suffix(".git").map(str::parse::<CommitId>) else { continue };
            found.push((Form::Repository, Some(commit.to_string()), repositories.join(&name)));
        }
        for dir in [&downloads, &repositories, &self.dir] {
            found.extend(fs::leftovers(dir)?.into_iter().map(|it| (Form::Temporary, None, it)));
        }
        let entry = |(form, name, path): (Form, Option<String>, PathBuf)| {
            // What vanishes meanwhile needs no tidying up.
            let (bytes, used) = (fs::tree_size(&path), fs::modified(&path).ok()?);
            Some(Entry { form, name, path, bytes, used })
        };
        Ok(found.into_iter().filter_map(entry).collect())
    }
}

/// Removes it, and nobody sees half of a directory, however that ends.
fn vanish(path: &Path) -> Result<(), FsError> {
    if !fs::is_dir(path) {
        return fs::remove_tree(path);
    }
    let gone = fs::beside(path, "old");
    fs::rename(path, &gone)?;
    fs::remove_tree(&gone)
}

fn choose(mut entries: Vec<Entry>, sweep: Sweep, limit: u64, now: Timestamp) -> Vec<Entry> {
    entries.sort_by(|one, other| one.used.cmp(&other.used).then_with(|| one.path.cmp(&other.path)));
    let fates: Vec<Fate> = entries.iter().map(|it| fate(it, sweep, now)).collect();
    let stays = |(_, fate): &(&Entry, &Fate)| **fate != Fate::Goes;
    // What goes anyway makes room too.
    let mut all: u64 = entries.iter().zip(&fates).filter(stays).map(|(it, _)| it.bytes).sum();
    let mut fates = fates.into_iter();
    entries.retain(|it| match fates.next() {
        Some(Fate::Goes) => true,
        Some(Fate::OverLimit) if all > limit => {
            all -= it.bytes;
            true
        }
        Some(Fate::OverLimit | Fate::Stays) | None => false,
    });
    entries
}

fn fate(entry: &Entry, sweep: Sweep, now: Timestamp) -> Fate {
    let unused = now.duration_since(entry.used);
    let goes_if = |goes| if goes { Fate::Goes } else { Fate::Stays };
    match (entry.form, sweep) {
        (Form::Whole | Form::Repository, Sweep::OverLimit | Sweep::Unneeded) => Fate::OverLimit,
        (Form::Whole | Form::Repository, Sweep::Whole | Sweep::All)
        | (Form::Partial | Form::Pip, Sweep::Partials | Sweep::All) => Fate::Goes,
        (Form::Partial | Form::Pip, Sweep::Unneeded) => goes_if(unused > STALE),
        (Form::Temporary, Sweep::Unneeded | Sweep::Partials | Sweep::All) => goes_if(unused > MOMENT),
        (Form::Whole | Form::Repository, Sweep::Partials)
        | (Form::Partial | Form::Pip | Form::Temporary, Sweep::OverLimit | Sweep::Whole) => Fate::Stays,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sweep_takes_what_it_says_and_the_oldest_first() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().expect("a time");
        let entry = |form, name: &str, bytes, days: i64| Entry {
            form,
            name: None,
            path: name.into(),
            bytes,
            used: now - SignedDuration::from_hours(24 * days),
        };
        let entries = vec![
            entry(Form::Whole, "new", 50, 1),
            entry(Form::Whole, "old", 30, 9),
            entry(Form::Repository, "middle", 40, 5),
            entry(Form::Whole, "future", 10, -400),
            entry(Form::Partial, "part", 5, 29),
            entry(Form::Partial, "stale", 5, 31),
            entry(Form::Partial, "from-tomorrow", 5, -1),
            entry(Form::Pip, "pip", 5, 31),
            entry(Form::Temporary, "tmp", 1, 1),
            entry(Form::Temporary, "tmp-now", 1, 0),
        ];
        let check = |sweep, limit, expected: &[&str]| {
            let chosen = choose(entries.clone(), sweep, limit, now);
            let names: Vec<_> = chosen.iter().map(|it| it.path.to_string_lossy()).collect();
            assert_eq!(names, expected, "{sweep:?} {limit}");
        };
        // What may still be needed counts too, and does not go for it.
        check(Sweep::OverLimit, 152, &[]);
        check(Sweep::OverLimit, 151, &["old"]);
        check(Sweep::OverLimit, 121, &["old", "middle"]);
        check(Sweep::OverLimit, 0, &["old", "middle", "new", "future"]);
        check(Sweep::Unneeded, 141, &["pip", "stale", "tmp"]);
        check(Sweep::Unneeded, 122, &["pip", "stale", "old", "tmp"]);
        check(Sweep::Partials, 0, &["pip", "stale", "part", "tmp", "from-tomorrow"]);
        check(Sweep::Whole, 1000, &["old", "middle", "new", "future"]);
        let all = ["pip", "stale", "part", "old", "middle", "new", "tmp", "from-tomorrow", "future"];
        check(Sweep::All, 1000, &all);
    }
}
