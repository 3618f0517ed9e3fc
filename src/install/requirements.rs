//! The step that derives one list of Python requirements from the checkouts' own.

use std::path::PathBuf;

use crate::{
    platform::{
        checkpoint::{Checkpoint, reach},
        fs,
    },
    vendor::requirements::Rules,
    workspace::Workspace,
};

use super::{
    InstallError,
    plan::{Status, StepId},
    step::{Site, Step, Turn},
};

#[derive(Debug)]
pub struct Requirements<'a> {
    site: &'a Site,
    rules: Rules,
}

/// Where the derived list lies.
pub fn derived(workspace: &Workspace) -> PathBuf {
    workspace.derived().join("requirements.txt")
}

impl<'a> Requirements<'a> {
    pub fn new(site: &'a Site) -> Result<Self, InstallError> {
        Ok(Self { site, rules: Rules::load()? })
    }

    fn lists(&self) -> impl Iterator<Item = PathBuf> {
        let vendor = self.site.workspace.vendor();
        self.rules.precedence.iter().map(move |name| vendor.join(name).join("requirements.txt"))
    }

    /// `None` while a checkout is missing.
    fn text(&self) -> Result<Option<String>, InstallError> {
        let mut lists = vec![];
        for (name, list) in self.rules.precedence.iter().zip(self.lists()) {
            match fs::read_optional(&list)? {
                Some(text) => lists.push((name.as_str(), text)),
                None => return Ok(None),
            }
        }
        let lists: Vec<(&str, &str)> = lists.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Ok(Some(self.rules.derive(&lists)))
    }
}

impl Step for Requirements<'_> {
    fn id(&self) -> StepId {
        StepId::Requirements
    }

    fn needs(&self) -> Vec<StepId> {
        self.rules.precedence.iter().map(|name| StepId::Repository(name.clone())).collect()
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let what = format!("one list of {}", self.rules.precedence.join(", "));
        let written = fs::read_optional(&derived(&self.site.workspace))?;
        Ok(match (written, self.text()?) {
            (Some(written), Some(text)) if written == text => Status::Satisfied { what },
            (Some(_), Some(_)) => Status::Missing { what, why: "the lists or the rules changed".to_owned() },
            (_, None) | (None, _) => Status::Missing { what, why: "not derived".to_owned() },
        })
    }

    fn apply(&self, _turn: &Turn) -> Result<String, InstallError> {
        let path = derived(&self.site.workspace);
        let Some(text) = self.text()? else {
            let missing = self.lists().find(|list| !fs::exists(list)).unwrap_or_default();
            let checkout = missing.parent().unwrap_or(&missing).display().to_string();
            return Err(InstallError::Verify {
                problem: format!("`{}` is missing", missing.display()),
                hint: format!(
                    "get it back with `git -C {checkout} checkout -- requirements.txt`, or clone it with a whole `dpgui setup`"
                ),
            });
        };
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write_atomic(&path, &text)?;
        reach(Checkpoint::Derived);
        let (mut kept, mut left_out) = (0, 0);
        for line in text.lines() {
            left_out += usize::from(line.starts_with("# left out"));
            kept += usize::from(!line.is_empty() && !line.starts_with('#'));
        }
        Ok(format!("{kept} requirements, {left_out} left out with a reason each, in `{}`", path.display()))
    }
}
