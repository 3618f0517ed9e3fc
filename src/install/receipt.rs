//! The proof that an artefact is whole: a small file inside it, written last and renamed with it.
//!
//! Its `inputs` say what it was made from, without addresses: another mirror makes no other artefact.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::platform::{
    clock,
    digest::Sha256,
    fs::{self, FsError},
};

use super::InstallError;

/// Raised when an older dpgui could misread a newer receipt.
const SCHEMA: u32 = 1;

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
    /// What a later setup needs to know about it.
    #[serde(default)]
    pub details: serde_json::Value,
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
        (receipt.schema == SCHEMA).then_some(receipt)
    }

    pub fn write_into(&self, dir: &Path) -> Result<(), FsError> {
        self.write(&dir.join(NAME))
    }

    /// Writes the receipt of something that is no directory of ours to its place, see [`loose`].
    pub fn write_loose(&self, path: &Path) -> Result<(), FsError> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        self.write(path)
    }

    fn write(&self, path: &Path) -> Result<(), FsError> {
        fs::write_atomic(path, serde_json::to_string_pretty(self).unwrap_or_default() + "\n")
    }
}

/// One digest for what an artefact is made from: texts, numbers and paths of text.
pub fn inputs(parts: &impl Serialize) -> Sha256 {
    Sha256::of(serde_json::to_vec(parts).unwrap_or_default())
}

/// Makes a directory artefact whole or not at all: `fill` a staging directory beside `live`, one sync, the
/// receipt, one rename. A process that is killed on the way leaves `live` as it was.
///
/// # Errors
/// When something is at `live` that no setup made, and what `fill` says.
pub fn stage(
    live: &Path,
    fill: impl FnOnce(&Path) -> Result<Receipt, InstallError>,
) -> Result<Receipt, InstallError> {
    if !fs::names(live)?.is_empty() && Receipt::of(live).is_none() {
        return Err(InstallError::Foreign { path: live.to_owned() });
    }
    fs::create_dir_all(live.parent().unwrap_or(Path::new("/")))?;
    let staged = fs::beside(live, "tmp");
    fs::create_dir_new(&staged)?;
    let receipt = match fill(&staged) {
        Ok(receipt) => receipt,
        Err(error) => {
            // The error that is on its way says more than one about the tidying up.
            let _ = fs::remove_tree(&staged);
            return Err(error);
        }
    };
    fs::sync_filesystem(&staged)?;
    receipt.write_into(&staged)?;
    fs::replace_dir(&staged, live)?;
    Ok(receipt)
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
            Err(InstallError::NoPip)
        });
        failed.expect_err("the filling failed");
        assert!(fs::names(dir.path()).expect("listed").is_empty());

        let thing = || Receipt::new(inputs(&"1.0"), "thing 1.0", "here");
        for _ in 0..2 {
            let made = stage(&live, |staged| {
                fs::write_atomic(&staged.join("whole"), "x")?;
                Ok(thing())
            });
            assert_eq!(Receipt::of(&live), made.ok());
            assert_eq!(fs::names(dir.path()).expect("listed"), ["node"]);
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
    fn a_receipt_of_another_schema_or_a_cut_one_is_none() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let receipt = Receipt::new(inputs(&"1.0"), "thing", "here");
        let whole = serde_json::to_string(&receipt).expect("json");
        let check = |text: &str, expected: Option<&Receipt>| {
            fs::write_atomic(&dir.path().join(NAME), text).expect("written");
            assert_eq!(Receipt::of(dir.path()).as_ref(), expected);
        };
        check(&whole, Some(&receipt));
        check(&whole.replace(r#""schema":1"#, r#""schema":2"#), None);
        check(&whole[..whole.len() / 2], None);
    }
}
