//! Who may compute where: a lock for each GPU, held by the supervisor of a run and by what it started, so that it is free
//! when the last of them is gone, however they end.
//!
//! The locks are those of all workspaces of a user. A machine without GPUs has slots instead.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Kind, Report},
    platform::{
        Host, fs,
        gpu::Nvidia,
        lock::{Lock, LockError, Wait},
    },
    workspace::Workspace,
};

use super::{RunError, devices::Devices, id::RunId, start::Site};

/// What a run has to have before it may begin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Where the locks are.
    folder: PathBuf,
    places: Places,
    /// Others may compute on the same GPUs: the user said so.
    shared: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Places {
    /// All of these.
    Gpus(Vec<Place>),
    /// Any one of so many.
    Slots(u32),
}

/// A GPU, with the name of its lock, which is its own wherever it is plugged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    index: u32,
    name: String,
}

/// Somebody else computes there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} is in use by {holder}")]
pub struct Busy {
    pub place: String,
    pub holder: String,
}

impl Claim {
    pub fn new(site: Site<'_>, devices: &Devices, nvidia: Option<&Nvidia>, shared: bool) -> Self {
        let slots = site.settings.runs.cpu_slots;
        let name = |index: u32| {
            let gpu = nvidia.and_then(|it| it.gpus.iter().find(|gpu| gpu.index == index));
            gpu.and_then(|gpu| gpu.uuid.clone()).unwrap_or_else(|| format!("gpu-{index}"))
        };
        let places = match devices {
            Devices::Gpus(ids) => {
                Places::Gpus(ids.iter().map(|index| Place { index: *index, name: name(*index) }).collect())
            }
            Devices::Cpu { .. } => Places::Slots(slots),
        };
        Self { folder: folder(site.host, site.workspace), places, shared }
    }

    /// Takes what the run computes on, or says who has it.
    ///
    /// # Errors
    /// When the locks cannot be reached.
    pub fn take(&self, run: &RunId) -> Result<Result<Vec<Lock>, Busy>, RunError> {
        self.take_for(&format!("training {run}"))
    }

    /// The same for a `purpose`, by which others will know us.
    pub fn take_for(&self, purpose: &str) -> Result<Result<Vec<Lock>, Busy>, RunError> {
        fs::create_dir_all(&self.folder)?;
        let mut taken = vec![];
        match &self.places {
            Places::Gpus(places) => {
                for place in places {
                    match self.lock(&place.name, purpose) {
                        Ok(lock) => taken.push(lock),
                        // It was said that it may be used by others too.
                        Err(LockError::Held { .. }) if self.shared => {}
                        Err(LockError::Held { holder, .. }) => {
                            return Ok(Err(Busy { place: format!("GPU {}", place.index), holder }));
                        }
                        Err(cause) => return Err(cause.into()),
                    }
                }
            }
            Places::Slots(_) if self.shared => {}
            Places::Slots(slots) => {
                let mut holders = vec![];
                for slot in 0..*slots {
                    match self.lock(&format!("cpu-{slot}"), purpose) {
                        Ok(lock) => return Ok(Ok(vec![lock])),
                        Err(LockError::Held { holder, .. }) => holders.push(holder),
                        Err(cause) => return Err(cause.into()),
                    }
                }
                return Ok(Err(Busy { place: "the CPU".to_owned(), holder: holders.join(" and ") }));
            }
        }
        Ok(Ok(taken))
    }

    /// Whether both want the same place, so that one has to wait for the other.
    pub fn meets(&self, other: &Self) -> bool {
        match (&self.places, &other.places) {
            (Places::Gpus(ours), Places::Gpus(theirs)) => {
                ours.iter().any(|our| theirs.iter().any(|their| our.name == their.name))
            }
            (Places::Slots(_), Places::Slots(_)) => true,
            (Places::Gpus(_), Places::Slots(_)) | (Places::Slots(_), Places::Gpus(_)) => false,
        }
    }

    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    fn lock(&self, name: &str, purpose: &str) -> Result<Lock, LockError> {
        let path = self.folder.join(format!("{name}.lock"));
        if self.shared {
            Lock::shared(&path, purpose, Wait::No)
        } else {
            Lock::exclusive(&path, purpose, Wait::No)
        }
    }
}

/// One for all workspaces: `DPGUI_STATE_DIR`, else `dpgui` in `XDG_STATE_HOME` or `~/.local/state`, else, without a home,
/// the workspace's own.
fn folder(host: &Host, workspace: &Workspace) -> PathBuf {
    // A relative path in these counts as none: XDG base directory specification 0.8.
    let absolute = |name: &str| Some(PathBuf::from(host.env.get(name)?)).filter(|path| path.is_absolute());
    let own = || absolute("DPGUI_STATE_DIR");
    let xdg = || Some(absolute("XDG_STATE_HOME")?.join("dpgui"));
    let home = || Some(host.env.home().filter(|it| it.is_absolute())?.join(".local/state/dpgui"));
    let root = own().or_else(xdg).or_else(home).unwrap_or_else(|| workspace.internal());
    root.join("leases")
}

impl Report for Busy {
    fn kind(&self) -> Kind {
        Kind::Locked
    }

    fn hint(&self) -> Option<String> {
        Some("`--queue` waits for it, `--gpus` chooses others, `--share` uses it beside the other".to_owned())
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.places {
            Places::Gpus(places) => {
                let ids = places.iter().map(|it| it.index).collect();
                write!(f, "{}", Devices::Gpus(ids))
            }
            Places::Slots(_) => f.write_str("the CPU"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn claim(folder: &Path, places: Places, shared: bool) -> Claim {
        Claim { folder: folder.to_owned(), places, shared }
    }

    fn gpus(ids: &[u32]) -> Places {
        Places::Gpus(ids.iter().map(|index| Place { index: *index, name: format!("GPU-{index}") }).collect())
    }

    #[test]
    fn a_gpu_is_had_once_unless_both_may_share_it_and_slots_are_counted() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let run: RunId = "20261127T000000Z-a".parse().expect("an id");
        let take = |places, shared| claim(dir.path(), places, shared).take(&run).expect("reached");
        let both = take(gpus(&[0, 1]), false).expect("free");
        let busy = take(gpus(&[1, 2]), false).expect_err("taken");
        assert!(busy.place == "GPU 1" && busy.holder.contains("20261127T000000Z-a"), "{busy:?}");
        let _other = take(gpus(&[2]), false).expect("given back when the whole could not be had");
        // Told to share, it takes no lock that another has alone.
        assert_eq!(take(gpus(&[0]), true).expect("told").len(), 0);
        drop(both);
        let _shared = [take(gpus(&[0]), true).expect("free"), take(gpus(&[0]), true).expect("shared")];
        take(gpus(&[0]), false).expect_err("whoever does not share waits for all who do");
        let slots = [take(Places::Slots(2), false), take(Places::Slots(2), false)];
        assert!(slots.iter().all(Result::is_ok));
        take(Places::Slots(2), false).expect_err("both are taken");
    }

    #[test]
    fn who_wants_the_same_has_to_wait() {
        let meet = |one, other| claim(Path::new("/"), one, false).meets(&claim(Path::new("/"), other, false));
        assert!(meet(gpus(&[0, 1]), gpus(&[1])) && meet(Places::Slots(3), Places::Slots(3)));
        assert!(!meet(gpus(&[0]), gpus(&[1])) && !meet(gpus(&[0]), Places::Slots(1)));
    }
}
