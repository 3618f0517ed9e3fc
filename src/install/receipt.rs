//! The proof that an artefact is whole: a small file inside it, written last and renamed with it.
//!
//! Its `inputs` say what it was made from, without addresses: another mirror makes no other artefact.

use std::{
    path::{Path, PathBuf},
    thread::JoinHandle,
};

use serde::{Deserialize, Serialize};

use crate::platform::{
    checkpoint::{Checkpoint, reach},
    clock::{self, Stopwatch},
    digest::Sha256,
    fs::{self, FsError},
};

use super::{
    InstallError,
    manifest::{Known, Manifest},
};

/// Raised when an older dpgui could misread a newer receipt. 1 had no contents and no durations; such an artefact is
/// ours all the same, and gets them when it is next made.
const SCHEMA: u32 = 2;

/// Where it lies in the artefact.
pub(super) const NAME: &str = ".dpgui-receipt.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    schema: u32,
    /// What the artefact was made from: equal inputs, equal artefact.
    pub inputs: Sha256,
    /// What it is, for people: `CPython 3.12.14`.
    pub what: String,
    /// Where it came from: an address without secrets, or a way.
    pub from: String,
    dpgui: String,
    /// When; so no two artefacts have the same receipt.
    pub finished: String,
    /// What the manifest beside it says, in short. `None` for what is no directory of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durations: Option<Durations>,
    /// What a later setup needs to know about it.
    #[serde(default)]
    pub details: serde_json::Value,
}

/// What an artefact consists of, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// The digest of the manifest.
    pub manifest: Sha256,
    /// The same without what is bound to this machine, see [`Manifest::portable`].
    pub portable: Sha256,
    pub files: u64,
    pub bytes: u64,
}

/// How long an artefact took, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Durations {
    /// Downloads and unpacking.
    pub fill: u64,
    /// The manifest.
    pub manifest: u64,
    /// The one sync.
    pub sync: u64,
}

/// A staging directory with everything in it.
#[derive(Debug)]
pub struct Filled {
    receipt: Receipt,
    listed: Listed,
    beside: Option<Beside>,
}

/// What is known of the files in it.
#[derive(Debug)]
enum Listed {
    /// These digests, which need not be worked out again.
    Partly(Known),
    /// That they are this, which was looked at.
    Wholly(Manifest),
}

/// Work in a staging directory that changes nothing of what counts there. It is waited for before the directory moves,
/// or goes.
#[derive(Debug)]
pub struct Beside(Option<JoinHandle<()>>);

impl From<JoinHandle<()>> for Beside {
    fn from(thread: JoinHandle<()>) -> Self {
        Self(Some(thread))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // What it came to is its own affair.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

impl Filled {
    pub fn new(receipt: Receipt) -> Self {
        Self { receipt, listed: Listed::Partly(Known::default()), beside: None }
    }

    /// Digests that need not be worked out again.
    #[must_use]
    pub fn with_known(mut self, known: Known) -> Self {
        self.listed = Listed::Partly(known);
        self
    }

    /// It was compared with this, and is as this says. Whatever else lies there is somebody else's.
    #[must_use]
    pub fn as_listed(mut self, manifest: Manifest) -> Self {
        self.listed = Listed::Wholly(manifest);
        self
    }

    /// Work that goes on there while everything is listed and synced.
    #[must_use]
    pub fn beside(mut self, work: Beside) -> Self {
        self.beside = Some(work);
        self
    }
}

impl From<Receipt> for Filled {
    fn from(receipt: Receipt) -> Self {
        Self::new(receipt)
    }
}

impl Receipt {
    pub fn new(inputs: Sha256, what: impl Into<String>, from: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA,
            inputs,
            what: what.into(),
            from: from.into(),
            dpgui: env!("CARGO_PKG_VERSION").to_owned(),
            finished: clock::now().to_string(),
            contents: None,
            durations: None,
            details: serde_json::Value::Null,
        }
    }

    #[must_use]
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.details = details;
        self
    }

    /// The receipt of the artefact in `dir`; one that cannot be understood counts as none.
    pub fn of(dir: &Path) -> Option<Self> {
        Self::read(&dir.join(NAME))
    }

    /// A receipt that lies somewhere by itself, of something that is not ours to write into.
    pub fn read(path: &Path) -> Option<Self> {
        let receipt: Self = serde_json::from_str(&fs::read_optional(path).ok()??).ok()?;
        (1..=SCHEMA).contains(&receipt.schema).then_some(receipt)
    }

    pub fn write_into(&self, dir: &Path) -> Result<(), FsError> {
        self.write(&dir.join(NAME))
    }

    /// Writes the receipt of something that is no directory of ours to its place, see [`loose`].
    pub fn write_loose(&self, path: &Path) -> Result<(), FsError> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        self.write(path)?;
        reach(Checkpoint::LooseReceipt);
        Ok(())
    }

    fn write(&self, path: &Path) -> Result<(), FsError> {
        fs::write_atomic(path, serde_json::to_string_pretty(self).unwrap_or_default() + "\n")
    }
}

/// It was made by a setup, and nobody can read any more what from.
pub fn is_damaged(dir: &Path) -> bool {
    fs::exists(&dir.join(NAME)) && Receipt::of(dir).is_none()
}

/// What the artefact in `dir` was made from counts for nothing any more, so the next setup makes it anew, whoever is
/// killed before.
pub fn revoke(dir: &Path) -> Result<(), FsError> {
    match Receipt::of(dir) {
        Some(receipt) => Receipt { inputs: revoked(), ..receipt }.write_into(dir),
        None => Ok(()),
    }
}

/// It was revoked, and nobody has made it anew.
pub fn is_revoked(dir: &Path) -> bool {
    Receipt::of(dir).is_some_and(|it| it.inputs == revoked())
}

/// No artefact is made from this.
fn revoked() -> Sha256 {
    Sha256::of("revoked")
}

/// One digest for what an artefact is made from: texts, numbers and paths of text.
pub fn inputs(parts: &impl Serialize) -> Sha256 {
    Sha256::of(serde_json::to_vec(parts).unwrap_or_default())
}

/// Something is at `live` that no setup made.
fn is_foreign(live: &Path) -> Result<bool, FsError> {
    Ok(!fs::names(live)?.is_empty() && Receipt::of(live).is_none() && !is_damaged(live))
}

/// Why nothing will be made at `live`: what is there is somebody else's, or a link to what is not there now.
pub fn obstacle(live: &Path) -> Option<InstallError> {
    must_be_ours(live).err()
}

fn must_be_ours(live: &Path) -> Result<(), InstallError> {
    let path = live.to_owned();
    let leads_nowhere = || fs::is_missing(&fs::real_path(live).join(".")) && !fs::is_file(live);
    if let Some(target) = fs::link_target(live).filter(|_| leads_nowhere()) {
        return Err(InstallError::Dangling { path, target });
    }
    if is_foreign(live)? { Err(InstallError::Foreign { path }) } else { Ok(()) }
}

/// Makes a directory artefact whole or not at all: `fill` a staging directory beside `live`, the manifest, one sync,
/// the receipt, one rename. A process that is killed on the way leaves `live` as it was.
///
/// # Errors
/// When something is at `live` that is not to be replaced, and what `fill` says.
pub fn stage<F: Into<Filled>>(
    live: &Path,
    fill: impl FnOnce(&Path) -> Result<F, InstallError>,
) -> Result<Receipt, InstallError> {
    must_be_ours(live)?;
    // A link to a bigger disk is the user's: what it leads to is replaced, and staged there too.
    let live = &fs::real_path(live);
    fs::create_dir_all(live.parent().unwrap_or(Path::new("/")))?;
    fs::remove_leftovers(live)?;
    let staged = fs::beside(live, "tmp");
    fs::create_dir_new(&staged)?;
    let finished = finish(&staged, fill);
    if finished.is_err() {
        // The error that is on its way says more than one about the tidying up.
        let _ = fs::remove_tree(&staged);
    }
    let receipt = finished?;
    fs::replace_dir(&staged, live)?;
    Ok(receipt)
}

/// Fills `staged` until nothing is missing in it.
fn finish<F: Into<Filled>>(
    staged: &Path,
    fill: impl FnOnce(&Path) -> Result<F, InstallError>,
) -> Result<Receipt, InstallError> {
    let (filled, fill) = timed(|| fill(staged));
    let Filled { mut receipt, listed, beside } = filled?.into();
    reach(Checkpoint::Filled);
    let (contents, manifest) = timed(|| describe(staged, listed));
    receipt.contents = Some(contents?);
    reach(Checkpoint::Listed);
    let (synced, sync) = timed(|| fs::sync_filesystem(staged));
    synced?;
    drop(beside);
    receipt.durations = Some(Durations { fill, manifest, sync });
    receipt.write_into(staged)?;
    reach(Checkpoint::Receipted);
    Ok(receipt)
}

fn describe(staged: &Path, listed: Listed) -> Result<Contents, FsError> {
    let manifest = match listed {
        Listed::Partly(known) => Manifest::of_tree(staged, &known)?,
        Listed::Wholly(manifest) => manifest,
    };
    let (files, bytes) = (manifest.files(), manifest.bytes());
    Ok(Contents { manifest: manifest.store(staged)?, portable: manifest.portable(), files, bytes })
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let watch = Stopwatch::start();
    let done = work();
    (done, u64::try_from(watch.elapsed().as_millis()).unwrap_or(u64::MAX))
}

/// Where receipts of things lie that are not directories of ours.
pub fn loose(internal: &Path, name: &str) -> PathBuf {
    internal.join("receipts").join(name).with_extension("json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artefact_appears_whole_with_its_receipt_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let live = dir.path().join("node");
        let failed = stage(&live, |staged| {
            fs::write_atomic(&staged.join("half"), "x")?;
            Err::<Receipt, _>(InstallError::NoPip)
        });
        failed.expect_err("the filling failed");
        assert!(fs::names(dir.path()).expect("listed").is_empty());

        let thing = || Receipt::new(inputs(&"1.0"), "thing 1.0", "here");
        for _ in 0..2 {
            let made = stage(&live, |staged| {
                fs::write_atomic(&staged.join("whole"), "x")?;
                Ok(thing())
            });
            let made = made.expect("made");
            assert_eq!(Receipt::of(&live).as_ref(), Some(&made));
            assert_eq!(fs::names(dir.path()).expect("listed"), ["node"]);
            let contents = made.contents.expect("it is a directory of ours");
            let manifest = Manifest::stored(&live, contents.manifest).expect("read").expect("stored");
            assert_eq!(manifest, Manifest::of_tree(&live, &Known::default()).expect("told"));
            assert_eq!((contents.files, contents.bytes), (1, 1));
            assert_eq!(contents.portable, manifest.portable());
        }
    }

    #[test]
    fn what_lies_behind_a_link_is_replaced_there() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let (link, disk) = (dir.path().join("venv"), dir.path().join("disk"));
        fs::create_dir_all(&disk.join("big")).expect("created");
        fs::symlink(&disk.join("big"), &link).expect("linked");
        let of_the_dead = disk.join(format!(".big.tmp-{}", i32::MAX));
        fs::create_dir_all(&of_the_dead).expect("created");
        for _ in 0..2 {
            let filled = stage(&link, |_| Ok(Receipt::new(inputs(&"1.0"), "thing", "here")));
            filled.expect("made");
            assert_eq!(fs::link_target(&link), Some(disk.join("big")));
            assert_eq!(fs::names(&disk).expect("listed"), ["big"]);
            assert_eq!(fs::names(&disk.join("big")).expect("listed"), [".dpgui-manifest", NAME]);
        }
    }

    #[test]
    fn what_no_setup_made_is_never_replaced() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let live = dir.path().join("venv");
        fs::create_dir_all(&live).expect("created");
        fs::write_atomic(&live.join("mine"), "x").expect("written");
        let error =
            stage(&live, |_| Ok(Receipt::new(inputs(&"1.0"), "thing", "here"))).expect_err("not ours");
        assert_eq!(error.to_string(), format!("`{}` is there, and no setup made it", live.display()));
        assert_eq!(fs::names(&live).expect("listed"), ["mine"]);
    }

    #[test]
    fn what_has_a_damaged_receipt_is_made_anew() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let live = dir.path().join("venv");
        fs::create_dir_all(&live).expect("created");
        for name in [NAME, "half"] {
            fs::write_atomic(&live.join(name), "{").expect("written");
        }
        stage(&live, |_| Ok(Receipt::new(inputs(&"1.0"), "thing", "here"))).expect("made");
        assert_eq!(fs::names(&live).expect("listed"), [".dpgui-manifest", NAME]);
    }

    #[test]
    fn a_receipt_of_a_newer_schema_or_a_cut_one_is_none() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let receipt = Receipt::new(inputs(&"1.0"), "thing", "here");
        let whole = serde_json::to_string(&receipt).expect("json");
        let check = |text: &str, expected: Option<&Receipt>| {
            fs::write_atomic(&dir.path().join(NAME), text).expect("written");
            assert_eq!(Receipt::of(dir.path()).as_ref(), expected);
        };
        check(&whole, Some(&receipt));
        check(&whole.replace(r#""schema":2"#, r#""schema":3"#), None);
        let old = Receipt { schema: 1, ..receipt.clone() };
        check(&whole.replace(r#""schema":2"#, r#""schema":1"#), Some(&old));
        check(&whole[..whole.len() / 2], None);
    }
}
