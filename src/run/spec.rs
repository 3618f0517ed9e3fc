//! What a run was started with. Written once, before anything runs; read by whoever looks after the run later.

use std::{fmt, ops::Range, path::PathBuf, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    logs::Stream,
    metrics::figures,
    platform::{Env, clock, process::CommandSpec, procfs},
    workspace::LogSettings,
};

use super::{
    devices::Devices,
    id::RunId,
    launch,
    lease::Claim,
    nodes::{Origin, Part},
    restart::{Attempt, Policy},
    watchdog::Wishes,
};

/// Of `spec.json` and `state.json`; raised when what they mean changes.
pub const VERSION: u32 = 1;

/// In every process of a run and nowhere else.
pub const COOKIE: &str = "DPGUI_RUN_ID";

/// The trainer's option for the folder to go on in.
pub const RESUME: &str = "--resume_from_checkpoint";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub version: u32,
    pub id: RunId,
    /// The value of [`COOKIE`] in the environment of the run's processes: 128 random bits.
    pub cookie: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    /// Those of them that the user gave for the trainer.
    #[serde(default)]
    pub passed_on: Vec<String>,
    pub cwd: PathBuf,
    /// Names of the variables that dpgui set; values may be secrets and are nowhere on disk.
    pub environment: Vec<String>,
    /// The file that the user named.
    pub source: PathBuf,
    /// The copy with absolute paths that the trainer reads.
    pub config: PathBuf,
    /// Where the trainer makes its own folder.
    pub output_dir: PathBuf,
    /// The trainer's own folder, by name, if this run continues in an old one.
    pub resumes: Option<String>,
    /// The step of the checkpoint there.
    #[serde(default)]
    pub resumes_step: Option<u64>,
    #[serde(default)]
    pub epochs: Option<u64>,
    /// Steps of one epoch, as the data check counts them.
    #[serde(default)]
    pub epoch_steps: Option<u64>,
    pub max_steps: Option<u64>,
    pub devices: Devices,
    pub launcher: Launcher,
    /// It begins when its turn comes.
    pub queued: bool,
    pub claim: Claim,
    pub logs: LogSettings,
    pub master_port: u16,
    /// What happens after a failure that may pass; `None`: nothing.
    pub restart: Option<Policy>,
    #[serde(default)]
    pub watchdog: Wishes,
    /// Of a run on several machines.
    #[serde(default)]
    pub part: Option<Part>,
    /// Of the machine's boot in which the run was started.
    pub boot_id: String,
    pub dpgui: String,
    pub created: Timestamp,
}

/// Who starts the ranks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Launcher {
    /// DeepSpeed's own: the stock command.
    #[default]
    Deepspeed,
    /// Our supervisor.
    Direct,
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deepspeed => "deepspeed",
            Self::Direct => "direct",
        })
    }
}

impl FromStr for Launcher {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "deepspeed" => Ok(Self::Deepspeed),
            "direct" => Ok(Self::Direct),
            _ => Err("`deepspeed` or `direct` is expected".to_owned()),
        }
    }
}

impl Spec {
    /// As far as that is known before it begins.
    pub fn total_steps(&self) -> Option<u64> {
        figures::total(self.epochs, self.epoch_steps, self.max_steps)
    }

    /// The turn of a queued run has come: what was true when it was queued need not be so any more.
    pub fn begin(&mut self, port: u16) {
        self.set_port(port);
        self.queued = false;
        self.boot_id = procfs::boot_id();
        self.created = clock::now();
    }

    fn set_port(&mut self, port: u16) {
        self.master_port = port;
        let mut args = self.args.iter_mut();
        while let Some(option) = args.next() {
            if option == "--master_port"
                && let Some(value) = args.next()
            {
                *value = port.to_string();
            }
        }
    }

    /// The same for a further attempt: another port, and the folder to go on in.
    #[must_use]
    pub fn for_attempt(&self, attempt: &Attempt) -> Self {
        let mut spec = self.clone();
        if let Some(port) = attempt.port {
            spec.set_port(port);
        }
        if let Some(folder) = &attempt.resumes {
            match spec.args.iter().position(|it| it == RESUME) {
                Some(at) if at + 1 < spec.args.len() => spec.args[at + 1].clone_from(folder),
                _ => spec.args.extend([RESUME.to_owned(), folder.clone()]),
            }
            spec.resumes = Some(folder.clone());
            spec.resumes_step = attempt.checkpoint;
        }
        spec
    }

    /// What the run prints into. A launcher with one rank has one pipe: there is nobody whose lines could damage
    /// theirs, and the command stays the stock one.
    pub fn streams(&self) -> Vec<Stream> {
        let first = self.first_rank();
        let ranks = (first..first + self.devices.ranks()).map(Stream::Rank);
        let own = match self.launcher {
            Launcher::Deepspeed if self.devices.ranks() == 1 && self.part.is_none() => vec![Stream::Launcher],
            Launcher::Deepspeed => [Stream::Launcher].into_iter().chain(ranks).collect(),
            Launcher::Direct => ranks.collect(),
        };
        own.into_iter().chain(self.guests().flat_map(|number| self.streams_of(number))).collect()
    }

    /// Those that come from another machine.
    pub fn streams_of(&self, number: u32) -> Vec<Stream> {
        let Some(part) = &self.part else { return vec![] };
        part.streams_of(number, self.launcher).into_iter().map(|(here, _)| here).collect()
    }

    /// For people: the GPUs, or the machines.
    pub fn place(&self) -> String {
        match &self.part {
            Some(part) if part.is_head() => format!("{} machines: {}", part.nodes.len(), part.machines()),
            Some(_) | None => self.devices.to_string(),
        }
    }

    /// The run of another machine that this one is a part of.
    pub fn origin(&self) -> Option<&Origin> {
        self.part.as_ref()?.of.as_ref()
    }

    /// For people: `20261127-100000-wan of node1`.
    pub fn part_of(&self) -> Option<String> {
        Some(format!("{} of {}", self.origin()?.run, self.part.as_ref()?.master()))
    }

    /// The machines that have parts of this run.
    pub fn guests(&self) -> Range<u32> {
        self.part.as_ref().map_or(0..0, Part::guests)
    }

    /// Of this machine, among those of all.
    fn first_rank(&self) -> u32 {
        self.part.as_ref().map_or(0, |part| part.ranks_of(part.own).start)
    }

    /// What the supervisor starts, each with the stream that it prints to.
    pub fn commands(&self, env: &Env) -> Vec<(Stream, CommandSpec)> {
        let mut env = env.clone();
        env.set(COOKIE, &self.cookie);
        match self.launcher {
            Launcher::Deepspeed => {
                let command = CommandSpec::new(&self.program, &env, &self.cwd).args(&self.args);
                vec![(Stream::Launcher, command)]
            }
            Launcher::Direct => {
                let first = self.first_rank();
                let rank = |number| (Stream::Rank(first + number), self.rank(number, &env));
                (0..self.devices.ranks()).map(rank).collect()
            }
        }
    }

    /// One rank with what DeepSpeed's launcher would give it (`launcher/launch.py`).
    fn rank(&self, number: u32, env: &Env) -> CommandSpec {
        let (mut env, ranks) = (env.clone(), self.devices.ranks());
        let alone = ("127.0.0.1", ranks, 0, 1);
        let (master, world, node, nodes) =
            self.part.as_ref().map_or(alone, |it| (it.master(), it.ranks(), it.own, it.nodes.len()));
        env.set("CUDA_VISIBLE_DEVICES", self.devices.ids());
        env.set("MASTER_ADDR", master).set("MASTER_PORT", self.master_port.to_string());
        env.set("WORLD_SIZE", world.to_string()).set("LOCAL_SIZE", ranks.to_string());
        env.set("CROSS_RANK", node.to_string()).set("CROSS_SIZE", nodes.to_string());
        env.set("RANK", (self.first_rank() + number).to_string()).set("LOCAL_RANK", number.to_string());
        let args = launch::with_local_rank(&self.args, &number.to_string());
        CommandSpec::new(&self.program, &env, &self.cwd).args(args)
    }
}
