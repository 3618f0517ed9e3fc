//! The step that builds the symlink farm.

use crate::{
    platform::checkpoint::{Checkpoint, reach},
    vendor::farm::{self, Entry, FarmError, Links},
};

use super::{
    InstallError,
    plan::{Cost, Status, StepId},
    receipt::{self, Receipt},
    step::{Site, Step, Turn},
};

#[derive(Debug)]
pub struct Farm<'a> {
    site: &'a Site,
    entries: Vec<Entry>,
    repositories: Vec<StepId>,
}

impl<'a> Farm<'a> {
    /// The links for these repositories.
    pub fn new(site: &'a Site, repositories: &[&str]) -> Result<Self, InstallError> {
        let needs = repositories.iter().map(|name| StepId::Repository((*name).to_owned())).collect();
        Ok(Self { site, entries: farm::entries(repositories)?, repositories: needs })
    }

    /// What the last farm linked: what is ours to remove.
    fn ours(&self) -> Links {
        let receipt = Receipt::of(&self.site.workspace.libs());
        receipt.and_then(|it| serde_json::from_value(it.details).ok()).unwrap_or_default()
    }

    fn links(&self) -> Links {
        self.entries.iter().map(|it| (it.name.clone(), it.target())).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|it| it.name.as_str()).collect()
    }
}

impl Step for Farm<'_> {
    fn id(&self) -> StepId {
        StepId::Farm
    }

    fn needs(&self) -> Vec<StepId> {
        self.repositories.clone()
    }

    fn inspect(&self) -> Result<Status, InstallError> {
        let what = format!("vendor/libs: {}", self.names().join(", "));
        // What is not in the receipt would be somebody else's later, and never be changed or removed.
        if farm::is_complete(&self.site.workspace.libs(), &self.entries) && self.ours() == self.links() {
            return Ok(Status::Satisfied { what });
        }
        let libs = self.site.workspace.libs();
        let why = match farm::in_the_way(&libs, &self.entries, &self.ours()) {
            Some(path) => format!("`{}` is in the way of a link", path.display()),
            None => "links are missing or lead elsewhere".to_owned(),
        };
        Ok(Status::Missing { what, why })
    }

    fn obstacle(&self) -> Option<InstallError> {
        let path = farm::in_the_way(&self.site.workspace.libs(), &self.entries, &self.ours())?;
        Some(FarmError::InTheWay { path }.into())
    }

    fn cost(&self) -> Cost {
        Cost::NONE
    }

    fn apply(&self, _turn: &Turn) -> Result<String, InstallError> {
        let libs = self.site.workspace.libs();
        farm::build(&libs, &self.entries, &self.ours())?;
        let links = self.links();
        let (inputs, details) = (receipt::inputs(&links), serde_json::to_value(&links).unwrap_or_default());
        Receipt::new(inputs, "symlink farm", "the checkouts").with_details(details).write_into(&libs)?;
        reach(Checkpoint::FarmReceipted);
        Ok(format!("{} links", self.entries.len()))
    }
}
