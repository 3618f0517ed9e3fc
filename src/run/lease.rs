//! Who may compute where: a lock for each GPU, held by the supervisor of a run and by what it started, so that it is free
//! when the last of them is gone, however they end.
//!
//! The locks are those of all workspaces of a user. A machine without GPUs has slots instead. A home on a network share
//! may have no locks; then they are in the machine's memory, where they belong anyway.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Kind, Report},
    platform::{
        Host, fs,
        gpu::Nvidia,
        lock::{Lock, LockError, Wait},
        system,
    },
    workspace::Workspace,
};

use super::{RunError, devices::Devices, id::RunId, queue::Queue, start::Site};

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

/// Somebody else computes there, or is to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} is {} {holder}", if *.is_kept { "kept for" } else { "in use by" })]
pub struct Busy {
    pub place: String,
    pub holder: String,
    /// The holder waits for its turn.
    pub is_kept: bool,
    pub instead: Instead,
}

/// What whoever finds it taken can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// There is one place for all runs, or a few.
    Cpu,
    /// Take others, if some are free.
    Gpus { free: Vec<u32> },
    /// It is one of several machines, which have to begin together.
    Machines,
}

impl Busy {
    /// With what can be done in a start of `claim` that found it so, alone or with other machines.
    #[must_use]
    pub fn seen(
        mut self,
        claim: &Claim,
        nvidia: Option<&Nvidia>,
        queue: &Queue,
        on_several_machines: bool,
    ) -> Self {
        if on_several_machines {
            self.instead = Instead::Machines;
        } else if let Instead::Gpus { free } = &mut self.instead {
            let all = nvidia.map_or(&[][..], |it| &it.gpus);
            let one = |index| {
                let place = Place { index, name: name_of(index, nvidia) };
                Claim { places: Places::Gpus(vec![place]), ..claim.clone() }
            };
            let is_free =
                |index: &u32| claim.is_free(*index, nvidia) && queue.kept_from(&one(*index)).is_none();
            *free = all.iter().map(|it| it.index).filter(is_free).collect();
        }
        self
    }

    /// What `claim` wants of it is kept for a run that waits with a claim of its own.
    pub(super) fn kept(claim: &Claim, run: &RunId, waits: &Claim) -> Self {
        let instead = match &claim.places {
            Places::Gpus(_) => Instead::Gpus { free: vec![] },
            Places::Slots(_) => Instead::Cpu,
        };
        let holder = format!("{run}, which waits in the queue for {waits}");
        let place =
            claim.common_gpus(waits).first().map_or_else(|| claim.to_string(), |id| format!("GPU {id}"));
        Self { place, holder, is_kept: true, instead }
    }
}

impl Claim {
    /// With what the user should know of where the locks are.
    pub fn new(
        site: Site<'_>,
        devices: &Devices,
        nvidia: Option<&Nvidia>,
        shared: bool,
    ) -> Result<(Self, Option<String>), RunError> {
        let slots = site.settings.runs.cpu_slots;
        let name = |index| name_of(index, nvidia);
        let places = match devices {
            Devices::Gpus(ids) => {
                Places::Gpus(ids.iter().map(|index| Place { index: *index, name: name(*index) }).collect())
            }
            Devices::Cpu { .. } => Places::Slots(slots),
        };
        let (folder, warning) = folder(site.host, site.workspace)?;
        Ok((Self { folder, places, shared }, warning))
    }

    /// Takes what the run computes on, for a `purpose` by which others will know us, or says who has it.
    ///
    /// # Errors
    /// When the locks cannot be reached.
    pub fn take(&self, purpose: &str) -> Result<Result<Vec<Lock>, Busy>, RunError> {
        if let Some(taken) = self.attempt(purpose)? {
            return Ok(Ok(taken));
        }
        // Somebody who only looked may have had it for a moment.
        let mut holders = vec![];
        for (place, name) in self.locks() {
            match self.lock(&name, purpose) {
                Ok(_) => {}
                Err(LockError::Held { holder, .. }) => holders.push((place, holder)),
                Err(cause) => return Err(cause.into()),
            }
        }
        if let Some(taken) = self.attempt(purpose)? {
            return Ok(Ok(taken));
        }
        Ok(Err(self.busy(holders)))
    }

    /// Who has what it wants; `None` if it could be had. Nothing is taken, not even for a moment.
    pub fn look(&self) -> Option<Busy> {
        let locks = self.locks();
        let held = |(place, name): &(String, String)| Some((place.clone(), Lock::holder(&self.file(name))?));
        let holders: Vec<_> = locks.iter().filter_map(held).collect();
        let is_free = match self.places {
            Places::Gpus(_) => holders.is_empty() || self.shared,
            Places::Slots(_) => holders.len() < locks.len(),
        };
        (!is_free).then(|| self.busy(holders))
    }

    /// `holders` by what they hold.
    fn busy(&self, holders: Vec<(String, String)>) -> Busy {
        let place = holders.first().map_or_else(|| self.to_string(), |(place, _)| place.clone());
        let holder = match &self.places {
            Places::Gpus(_) => holders.into_iter().map(|(_, holder)| holder).next(),
            Places::Slots(_) => {
                Some(holders.into_iter().map(|(_, holder)| holder).collect::<Vec<_>>().join(" and "))
            }
        };
        let instead = match &self.places {
            Places::Gpus(_) => Instead::Gpus { free: vec![] },
            Places::Slots(_) => Instead::Cpu,
        };
        let holder = holder.unwrap_or_else(|| "another run".to_owned());
        Busy { place, holder, is_kept: false, instead }
    }

    /// The same, in this very moment or not at all; nothing is held meanwhile that could not be had as a whole.
    pub fn attempt(&self, purpose: &str) -> Result<Option<Vec<Lock>>, RunError> {
        fs::create_dir_all(&self.folder)?;
        let mut taken = vec![];
        for (_, name) in self.locks() {
            let lock = Lock::attempt(&self.file(&name), purpose, self.shared)?;
            match (&self.places, lock) {
                (Places::Gpus(_), Some(lock)) => taken.push(lock),
                // It was said that it may be used by others too.
                (Places::Gpus(_), None) if self.shared => {}
                (Places::Gpus(_), None) => return Ok(None),
                (Places::Slots(_), Some(lock)) => return Ok(Some(vec![lock])),
                (Places::Slots(_), None) => {}
            }
        }
        Ok((self.shared || matches!(self.places, Places::Gpus(_))).then_some(taken))
    }

    /// What is to be had for people, and the names of the locks.
    fn locks(&self) -> Vec<(String, String)> {
        match &self.places {
            Places::Gpus(places) => {
                places.iter().map(|it| (format!("GPU {}", it.index), it.name.clone())).collect()
            }
            Places::Slots(slots) => {
                (0..*slots).map(|slot| ("the CPU".to_owned(), format!("cpu-{slot}"))).collect()
            }
        }
    }

    /// Nobody has this GPU.
    fn is_free(&self, index: u32, nvidia: Option<&Nvidia>) -> bool {
        Lock::holder(&self.file(&name_of(index, nvidia))).is_none()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.lock"))
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

    /// What both want, for people.
    pub fn common(&self, other: &Self) -> String {
        let ids = self.common_gpus(other);
        if ids.is_empty() { self.to_string() } else { Devices::Gpus(ids).to_string() }
    }

    fn common_gpus(&self, other: &Self) -> Vec<u32> {
        let (Places::Gpus(ours), Places::Gpus(theirs)) = (&self.places, &other.places) else { return vec![] };
        let is_theirs = |our: &&Place| theirs.iter().any(|their| our.name == their.name);
        ours.iter().filter(is_theirs).map(|it| it.index).collect()
    }

    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    fn lock(&self, name: &str, purpose: &str) -> Result<Lock, LockError> {
        let path = self.file(name);
        if self.shared {
            Lock::shared(&path, purpose, Wait::No)
        } else {
            Lock::exclusive(&path, purpose, Wait::No)
        }
    }
}

/// What the lock of a GPU is called.
fn name_of(index: u32, nvidia: Option<&Nvidia>) -> String {
    let gpu = nvidia.and_then(|it| it.gpus.iter().find(|gpu| gpu.index == index));
    gpu.and_then(|gpu| gpu.uuid.clone()).unwrap_or_else(|| format!("gpu-{index}"))
}

/// One for all workspaces: `DPGUI_STATE_DIR`, else `dpgui` in `XDG_STATE_HOME` or `~/.local/state`, else, without a home,
/// the workspace's own. Where that has no locks, one of the machine's, which is said.
fn folder(host: &Host, workspace: &Workspace) -> Result<(PathBuf, Option<String>), RunError> {
    let usual = usual_folder(host, workspace);
    fs::create_dir_all(&usual)?;
    match Lock::attempt(&usual.join("probe.lock"), "dpgui train", true) {
        Err(LockError::Unsupported { .. }) => {
            let own = Path::new("/dev/shm").join(format!("dpgui-{}", system::user_id())).join("leases");
            fs::create_private_dir(&own)?;
            let warning = format!(
                "the file system of `{}` has no locks: who computes where is settled in `{}`, for this machine alone",
                usual.display(),
                own.display()
            );
            Ok((own, Some(warning)))
        }
        // Whatever else is wrong there is told of when it is used.
        _ => Ok((usual, None)),
    }
}

fn usual_folder(host: &Host, workspace: &Workspace) -> PathBuf {
    // A relative path in these counts as none: XDG base directory specification 0.8.
    let absolute = |name: &str| Some(PathBuf::from(host.env.get(name)?)).filter(|path| path.is_absolute());
    let own = || absolute("DPGUI_STATE_DIR");
    let xdg = || Some(absolute("XDG_STATE_HOME")?.join("dpgui"));
    let home = || Some(host.env.existing_home()?.join(".local/state/dpgui"));
    let root = own().or_else(xdg).or_else(home).unwrap_or_else(|| workspace.internal());
    root.join("leases")
}

impl Report for Busy {
    fn kind(&self) -> Kind {
        Kind::Locked
    }

    fn hint(&self) -> Option<String> {
        let wait = "`--queue` waits for it, `--share` uses it beside the other";
        Some(match &self.instead {
            Instead::Cpu => {
                format!(
                    "{wait}; `[runs] cpu-slots` in `dpgui.toml` says how many may train at once without a GPU"
                )
            }
            Instead::Gpus { free } if free.is_empty() => wait.to_owned(),
            Instead::Gpus { free } => {
                let ids = free.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
                format!("take what is free: `--gpus {ids}`; or {wait}")
            }
            Instead::Machines => {
                "begin when that one has ended, which `dpgui stop` on that machine brings about, or \
                 use it beside the other with `--share`"
                    .to_owned()
            }
        })
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
        let take = |places, shared| claim(dir.path(), places, shared).take("training a").expect("reached");
        let both = take(gpus(&[0, 1]), false).expect("free");
        let busy = take(gpus(&[1, 2]), false).expect_err("taken");
        assert!(busy.place == "GPU 1" && busy.holder.contains("(training a)"), "{busy:?}");
        let _other = take(gpus(&[2]), false).expect("given back when the whole could not be had");
        // Told to share, it takes no lock that another has alone.
        assert_eq!(take(gpus(&[0]), true).expect("told").len(), 0);
        drop(both);
        let _shared = [take(gpus(&[0]), true).expect("free"), take(gpus(&[0]), true).expect("shared")];
        take(gpus(&[0]), false).expect_err("whoever does not share waits for all who do");
        let look = |places| claim(dir.path(), places, false).look();
        assert_eq!(look(gpus(&[7])), None);
        assert!(look(gpus(&[0])).is_some_and(|it| it.place == "GPU 0" && it.holder.contains("(training a)")));
        let slots = [take(Places::Slots(2), false), take(Places::Slots(2), false)];
        assert!(slots.iter().all(Result::is_ok));
        take(Places::Slots(2), false).expect_err("both are taken");
        assert!(look(Places::Slots(2)).is_some() && look(Places::Slots(3)).is_none());
    }

    #[test]
    fn who_wants_the_same_has_to_wait() {
        let meet = |one, other| claim(Path::new("/"), one, false).meets(&claim(Path::new("/"), other, false));
        assert!(meet(gpus(&[0, 1]), gpus(&[1])) && meet(Places::Slots(3), Places::Slots(3)));
        assert!(!meet(gpus(&[0]), gpus(&[1])) && !meet(gpus(&[0]), Places::Slots(1)));
    }
}
