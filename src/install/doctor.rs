//! The doctor: looks at everything that a training and a setup depend on, says what is wrong and what to do about it.
//!
//! Each probe observes a part of the world in a thread of its own and with a limit of its own; what it found is judged
//! by pure functions. A probe that fails, hangs or breaks off is a check that says so. Nothing here changes anything,
//! but for [`treat`].

mod arch;
mod check;
mod compiler;
pub mod files;
mod gpu;
mod launcher;
mod machine;
mod network;
mod runs;
mod setup;
mod storage;
mod torch;
mod versions;
mod workspace;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};

use serde::Serialize;

use crate::{
    error::Error,
    platform::{
        clock::Stopwatch,
        fs,
        gpu::Nvidia,
        lock::{Lock, Wait},
    },
    workspace::{Workspace, switch},
};

use super::{InstallError, Wish, manifest::Depth, step::Site};

pub use check::{Check, Fix, Group, Verdict};
pub use network::detours;
pub use runs::LostRun;

/// How long a probe may take, by itself and with `--full`.
#[derive(Clone, Copy)]
struct Limit {
    fast: Duration,
    full: Duration,
}

/// For what starts programs or asks the kernel.
const QUICK: Limit = Limit { fast: Duration::from_secs(20), full: Duration::from_secs(20) };

/// For looking at every file, and for reading gigabytes of them from a slow disk.
const FILES: Limit = Limit { fast: Duration::from_mins(1), full: Duration::from_mins(30) };

/// For imports of torch, and of DeepSpeed too, from a slow disk. The interpreter is stopped a little earlier.
const IMPORTS: Limit = Limit { fast: Duration::from_secs(130), full: Duration::from_secs(250) };

/// What is looked at, and how hard.
#[derive(Clone, Debug)]
pub struct Scene {
    pub site: Site,
    /// What a setup would be asked for here.
    pub wish: Wish,
    /// How closely the files are looked at.
    pub depth: Depth,
    /// Import all of DeepSpeed, and start it.
    pub deep: bool,
    /// Ask the servers that a setup gets things from.
    pub online: bool,
    /// How the runs are that nobody looks after; runs are on another floor.
    pub lost_runs: fn(&Workspace) -> Vec<Result<LostRun, Error>>,
    nvidia: Arc<OnceLock<Option<Nvidia>>>,
}

/// A check and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename = "check")]
pub struct Examined {
    pub group: Group,
    #[serde(flatten)]
    pub check: Check,
    /// Who found it.
    #[serde(skip)]
    probe: &'static str,
}

/// One look at a part of the world.
#[derive(Clone, Copy)]
struct Probe {
    name: &'static str,
    group: Group,
    look: fn(&Scene) -> Vec<Check>,
    limit: Limit,
}

#[rustfmt::skip] // one a line
const PROBES: [Probe; 14] = [
    Probe { name: "workspace", group: Group::Workspace, look: workspace::checks, limit: QUICK },
    Probe { name: "setup", group: Group::Workspace, look: setup::checks, limit: QUICK },
    Probe { name: "checkouts", group: Group::Files, look: workspace::checkouts, limit: FILES },
    Probe { name: "runs", group: Group::Workspace, look: runs::checks, limit: QUICK },
    Probe { name: "receipts", group: Group::Files, look: workspace::receipts, limit: QUICK },
    Probe { name: "files", group: Group::Files, look: files::checks, limit: FILES },
    Probe { name: "torch", group: Group::Environment, look: torch::checks, limit: IMPORTS },
    Probe { name: "launcher", group: Group::Environment, look: launcher::checks, limit: IMPORTS },
    Probe { name: "system", group: Group::Machine, look: machine::checks, limit: QUICK },
    Probe { name: "gpus", group: Group::Machine, look: gpu::checks, limit: QUICK },
    Probe { name: "compilers", group: Group::Machine, look: compiler::checks, limit: QUICK },
    Probe { name: "storage", group: Group::Storage, look: storage::checks, limit: QUICK },
    Probe { name: "network", group: Group::Network, look: network::checks, limit: QUICK },
    Probe { name: "mirrors", group: Group::Network, look: network::mirrors, limit: QUICK },
];

impl Examined {
    /// A check by somebody else than the probes here.
    pub const fn new(group: Group, check: Check) -> Self {
        Self { group, check, probe: "" }
    }
}

impl Scene {
    pub fn new(site: Site, wish: Wish, lost_runs: fn(&Workspace) -> Vec<Result<LostRun, Error>>) -> Self {
        Self { site, wish, depth: Depth::Fast, deep: false, online: false, lost_runs, nvidia: Arc::default() }
    }

    /// A setup was begun here.
    fn is_set_up(&self) -> bool {
        super::purpose_of(&self.site.workspace).is_some()
    }

    /// The driver and its GPUs. Asked once for all probes: some drivers take seconds to wake up.
    fn nvidia(&self) -> Option<&Nvidia> {
        self.nvidia.get_or_init(|| crate::platform::gpu::detect(&self.site.host)).as_ref()
    }
}

/// Looks at everything, side by side.
pub fn examine(scene: &Scene) -> Vec<Examined> {
    examine_by(scene, PROBES.iter())
}

/// Asks the environment alone: torch, DeepSpeed and where the modules come from.
pub fn environment(scene: &Scene) -> Vec<Check> {
    let probes = PROBES.iter().filter(|it| ["torch", "launcher"].contains(&it.name));
    examine_by(scene, probes).into_iter().map(|it| it.check).collect()
}

/// Looks again at what could be mended, and takes the new findings for the old ones.
pub fn look_again(scene: &Scene, examined: &mut Vec<Examined>) {
    let mended = |probe: &&Probe| examined.iter().any(|it| it.probe == probe.name && it.check.fix.is_some());
    let probes: Vec<&Probe> = PROBES.iter().filter(mended).collect();
    examined.retain(|it| !probes.iter().any(|probe| probe.name == it.probe));
    examined.extend(examine_by(scene, probes.into_iter()));
}

fn examine_by<'a>(scene: &Scene, probes: impl Iterator<Item = &'a Probe>) -> Vec<Examined> {
    let watch = Stopwatch::start();
    let started: Vec<_> = probes.map(|probe| (probe, begin(*probe, scene.clone()))).collect();
    let mut examined = vec![];
    for (Probe { name, group, limit, .. }, answer) in started {
        let limit = if scene.deep || scene.depth == Depth::Full { limit.full } else { limit.fast };
        let checks = match answer.recv_timeout(limit.saturating_sub(watch.elapsed())) {
            Ok(Ok(checks)) => checks,
            Ok(Err(message)) => vec![
                Check::problem("doctor", format_args!("looking broke off: {message}"))
                    .about(name)
                    .advise("this is a bug of dpgui: please report it with `dpgui doctor --json`"),
            ],
            Err(_) => vec![
                Check::problem("doctor", format_args!("no answer within {} s", limit.as_secs()))
                    .about(name)
                    .advise("a disk, a file server or a driver hangs: look at `dmesg`"),
            ],
        };
        examined.extend(checks.into_iter().map(|check| Examined { group: *group, check, probe: name }));
    }
    examined
}

/// In a thread that nobody waits for longer than its limit: what asks a dead file server never comes back.
fn begin(probe: Probe, scene: Scene) -> mpsc::Receiver<Result<Vec<Check>, String>> {
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let checks = catch_unwind(AssertUnwindSafe(|| (probe.look)(&scene)));
        // Whoever does not wait any more has said so already.
        sender.send(checks.map_err(|panic| message(&*panic))).is_ok()
    });
    answer
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}

/// Removes what killed setups left behind, as far as it is still there once nobody else is setting up.
///
/// # Errors
/// When a setup is under way, or the disk does not let us.
pub fn treat(workspace: &Workspace) -> Result<Vec<PathBuf>, InstallError> {
    fs::create_dir_all(&workspace.internal())?;
    let lock = Lock::exclusive(&workspace.setup_lock(), "dpgui doctor --fix", Wait::No)?;
    switch::finish(workspace, &lock)?;
    let leftovers = super::leftovers(workspace)?;
    for path in &leftovers {
        fs::remove_tree(path)?;
    }
    Ok(leftovers)
}
