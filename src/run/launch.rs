//! The command that trains: from what is wanted to what is started, without looking at the machine.

use std::path::{Path, PathBuf};

use crate::{
    config::Secret,
    platform::{Env, gpu::Nvidia},
    workspace::Workspace,
};

use super::{
    devices::Devices,
    nodes::Part,
    spec::{Launcher, RESUME},
};

/// DeepSpeed reads its hosts from here unless told otherwise, and then trains on several machines.
pub const HOSTFILE: &str = "/job/hostfile";

/// The command that stands between DeepSpeed's launcher and a rank.
pub const RANK: &str = "__rank";

/// What would reach into the trainer's Python from outside. `PYTHONDONTWRITEBYTECODE` would make every start slow, and
/// `PYTHONSAFEPATH` would hide the trainer's own modules from it.
///
/// The others are those of a distributed job around us, say on a cluster: the launcher sets its own for each rank.
const UNWANTED: [&str; 8] = [
    "PYTHONHOME",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONSAFEPATH",
    "RANK",
    "LOCAL_RANK",
    "WORLD_SIZE",
    "MASTER_ADDR",
    "MASTER_PORT",
];

/// All that decides about the command.
#[derive(Clone, Debug)]
pub struct Launch<'a> {
    pub workspace: &'a Workspace,
    /// The trainer's script, absolute; its folder is the working directory.
    pub script: &'a Path,
    /// The resolved configuration, absolute.
    pub config: &'a Path,
    pub devices: &'a Devices,
    pub port: u16,
    /// The folder under the configuration's `output_dir` to continue in.
    pub resumes: Option<&'a str>,
    /// For the trainer, as the user gave them after `--`.
    pub args: &'a [String],
    /// There is a [`HOSTFILE`] on this machine.
    pub hostfile: bool,
    pub launcher: Launcher,
    /// This machine's, of a run on several, and the hostfile that names them all.
    pub part: Option<(&'a Part, &'a Path)>,
    /// What starts each rank below DeepSpeed's launcher, up to the trainer's Python: `dpgui __rank RUN`.
    pub wrapper: [&'a Path; 2],
}

impl Launch<'_> {
    pub fn program(&self) -> PathBuf {
        match self.launcher {
            Launcher::Deepspeed => program(self.workspace),
            Launcher::Direct => python(self.workspace),
        }
    }

    /// What the program is given.
    pub fn args(&self) -> Vec<String> {
        match self.launcher {
            Launcher::Deepspeed if self.devices.ranks() > 1 || self.part.is_some() => self.wrapped(),
            Launcher::Deepspeed => self.stock(),
            Launcher::Direct => [vec!["-u".to_owned()], self.trainer()].concat(),
        }
    }

    /// DeepSpeed's own command, as anybody would type it. To other machines it finds its own way.
    pub fn stock(&self) -> Vec<String> {
        let Some((part, hostfile)) = self.part else {
            return [self.launcher_args(), self.trainer()].concat();
        };
        let (file, at) = (hostfile.to_string_lossy(), self.port.to_string());
        let words = ["--hostfile", &file, "--master_addr", part.master(), "--master_port", &at];
        [words.map(str::to_owned).to_vec(), self.trainer()].concat()
    }

    /// The same with [`RANK`] between the launcher and each rank, which gives the rank a pipe of its own. `--no_local_rank`,
    /// because the launcher would put `--local_rank` before our own arguments; we put it where it belongs.
    fn wrapped(&self) -> Vec<String> {
        let [dpgui, run] = self.wrapper.map(|path| path.to_string_lossy().into_owned());
        let python = python(self.workspace).to_string_lossy().into_owned();
        let words =
            ["--no_python".to_owned(), "--no_local_rank".to_owned(), dpgui, RANK.to_owned(), run, python];
        [self.launcher_args(), words.to_vec(), vec!["-u".to_owned()], self.trainer()].concat()
    }

    fn launcher_args(&self) -> Vec<String> {
        let mut args: Vec<String> = vec![];
        let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        let port = self.port.to_string();
        if let Some((part, hostfile)) = self.part {
            let (hostfile, own) = (hostfile.to_string_lossy(), part.own.to_string());
            // One launcher a machine, each under a supervisor: DeepSpeed's own way to the others ends at `pkill -f`.
            add(&["--hostfile", &hostfile, "--no_ssh", "--node_rank", &own, "--master_addr", part.master()]);
            add(&["--master_port", &port]);
            return args;
        }
        match self.devices {
            // Ids are given to `--include`, because `--num_gpus` counts from GPU 0 whatever else is said.
            Devices::Gpus(ids) => {
                let ids: Vec<String> = ids.iter().map(u32::to_string).collect();
                add(&["--include", &format!("localhost:{}", ids.join(","))]);
            }
            Devices::Cpu { ranks } => add(&["--num_gpus", &ranks.to_string()]),
        }
        if self.hostfile {
            add(&["--hostfile", "/dev/null/none"]);
        }
        add(&["--master_port", &port]);
        args
    }

    /// The script and what is for it.
    fn trainer(&self) -> Vec<String> {
        let mut args = vec![self.script.to_string_lossy().into_owned(), "--deepspeed".to_owned()];
        args.extend(["--config".to_owned(), self.config.to_string_lossy().into_owned()]);
        // Once more: the trainer has a port of its own, which it prefers to DeepSpeed's.
        args.extend(["--master_port".to_owned(), self.port.to_string()]);
        if let Some(folder) = self.resumes {
            args.extend([RESUME.to_owned(), folder.to_owned()]);
        }
        args.extend_from_slice(self.args);
        args
    }
}

/// The environment of the trainer, from the user's. What the user set for the libraries wins.
pub fn env(
    workspace: &Workspace,
    devices: &Devices,
    user: &Env,
    nvidia: Option<&Nvidia>,
    secrets: &[Secret],
) -> Env {
    let mut env = user.clone();
    let venv = workspace.venv();
    for name in UNWANTED {
        env.remove(name);
    }
    env.prepend_path(&[venv.join("bin")]);
    env.set("VIRTUAL_ENV", &venv).set("PYTHONPATH", workspace.libs()).set("PYTHONUNBUFFERED", "1");
    // The trainer reads its TOML in the encoding of the locale, and TOML is UTF-8 everywhere.
    env.set("PYTHONUTF8", "1");
    match devices {
        Devices::Gpus(ids) => {
            // The order in which `--include`, `nvidia-smi` and we count; CUDA's own is by speed.
            env.set("CUDA_DEVICE_ORDER", "PCI_BUS_ID").remove("CUDA_VISIBLE_DEVICES");
            if nvidia.is_some_and(|it| lacks_peer_access(it, ids)) {
                set_if_absent(&mut env, "NCCL_P2P_DISABLE", "1");
                set_if_absent(&mut env, "NCCL_IB_DISABLE", "1");
            }
        }
        Devices::Cpu { .. } => {
            env.set("DS_ACCELERATOR", "cpu");
            // Ranks that each use every core get in each other's way: measured, 4 times slower.
            set_if_absent(&mut env, "OMP_NUM_THREADS", "1");
        }
    }
    for secret in secrets {
        env.set(secret.variable, &secret.value);
    }
    env
}

/// `-u SCRIPT …` as the launcher gives it to Python: with the rank's number right behind the script.
pub fn with_local_rank(args: &[String], number: &str) -> Vec<String> {
    let mut args = args.to_vec();
    args.insert(2.min(args.len()), format!("--local_rank={number}"));
    args
}

fn python(workspace: &Workspace) -> PathBuf {
    workspace.venv().join("bin/python")
}

/// DeepSpeed's launcher in the workspace.
pub fn program(workspace: &Workspace) -> PathBuf {
    workspace.venv().join("bin/deepspeed")
}

/// `GeForce` and workstation cards called `RTX 40…` cannot reach each other's memory, and NCCL finds out by failing.
/// Sources: README of diffusion-pipe ("RTX 4000 series needs those 2 environment variables set"); accelerate's
/// `check_cuda_p2p_ib_support`, which goes by the same three words.
fn lacks_peer_access(nvidia: &Nvidia, ids: &[u32]) -> bool {
    nvidia.gpus.iter().any(|gpu| ids.contains(&gpu.index) && gpu.name.contains("RTX 40"))
}

fn set_if_absent(env: &mut Env, name: &str, value: &str) {
    if env.get(name).is_none() {
        env.set(name, value);
    }
}

#[cfg(test)]
mod tests {
    use crate::platform::gpu::{DriverVersion, Gpu, Source};

    use super::*;

    fn nvidia(names: &[&str]) -> Nvidia {
        let gpu = |(index, name): (u32, &&str)| Gpu {
            index,
            name: (*name).to_owned(),
            uuid: None,
            capability: None,
            memory_bytes: None,
        };
        Nvidia {
            driver: DriverVersion { major: 580, minor: 65, patch: Some(6) },
            cuda: None,
            gpus: (0..).zip(names).map(gpu).collect(),
            source: Source::Nvml,
        }
    }

    /// The command line, and what is different in the environment.
    fn launched(devices: &Devices, user: &Env, nvidia: Option<&Nvidia>) -> (String, Vec<String>) {
        let workspace = Workspace::at("/w");
        let launch = Launch {
            workspace: &workspace,
            script: Path::new("/w/vendor/diffusion-pipe/train.py"),
            config: Path::new("/w/runs/R/config/wan.toml"),
            devices,
            port: 40_001,
            resumes: None,
            args: &["--trust_cache".to_owned()],
            hostfile: false,
            launcher: Launcher::Deepspeed,
            part: None,
            wrapper: [Path::new("/bin/dpgui"), Path::new("/w/runs/R")],
        };
        let secret = Secret { variable: "WANDB_API_KEY", value: "canary".to_owned() };
        let env = env(&workspace, devices, user, nvidia, &[secret]);
        let text = |name: &std::ffi::OsString| {
            format!("{0}={1}", name.display(), env.text(&name.to_string_lossy()).unwrap_or_default())
        };
        (launch.args().join(" "), env.changes_since(user).map(text).collect())
    }

    #[test]
    fn on_gpus_they_are_named_and_the_port_is_given_twice() {
        let user =
            Env::from([("PATH", "/bin"), ("CUDA_VISIBLE_DEVICES", "1"), ("PYTHONHOME", "/x"), ("RANK", "3")]);
        let (args, env) = launched(&Devices::Gpus(vec![0, 2]), &user, Some(&nvidia(&["NVIDIA A100"])));
        assert_eq!(
            args,
            "--include localhost:0,2 --master_port 40001 --no_python --no_local_rank /bin/dpgui __rank /w/runs/R \
             /w/venv/bin/python -u /w/vendor/diffusion-pipe/train.py --deepspeed \
             --config /w/runs/R/config/wan.toml --master_port 40001 --trust_cache"
        );
        assert_eq!(
            env,
            [
                "CUDA_DEVICE_ORDER=PCI_BUS_ID",
                "PATH=/w/venv/bin:/bin",
                "PYTHONPATH=/w/vendor/libs",
                "PYTHONUNBUFFERED=1",
                "PYTHONUTF8=1",
                "VIRTUAL_ENV=/w/venv",
                "WANDB_API_KEY=canary",
            ]
        );
    }

    #[test]
    fn on_the_cpu_ranks_share_the_cores() {
        let (args, env) = launched(&Devices::Cpu { ranks: 2 }, &Env::from([("PATH", "/bin")]), None);
        assert!(args.starts_with("--num_gpus 2 --master_port 40001 "), "{args}");
        assert_eq!(env[..2], ["DS_ACCELERATOR=cpu", "OMP_NUM_THREADS=1"]);
        let (_, env) = launched(&Devices::Cpu { ranks: 2 }, &Env::from([("OMP_NUM_THREADS", "8")]), None);
        assert!(!env.iter().any(|set| set.starts_with("OMP")), "{env:?}");
    }

    #[test]
    fn cards_without_peer_access_get_what_they_need_unless_the_user_knows_better() {
        let check = |names: &[&str], ids: &[u32], user: &Env, expected: &[&str]| {
            let (_, env) = launched(&Devices::Gpus(ids.to_vec()), user, Some(&nvidia(names)));
            let nccl: Vec<_> = env.iter().filter(|set| set.starts_with("NCCL")).collect();
            assert_eq!(nccl, expected, "{names:?} {ids:?}");
        };
        let both = &["NCCL_IB_DISABLE=1", "NCCL_P2P_DISABLE=1"];
        let none = Env::default();
        check(&["NVIDIA GeForce RTX 4090"], &[0], &none, both);
        check(&["NVIDIA GeForce RTX 4060 Ti", "NVIDIA A100"], &[1], &none, &[]);
        check(&["NVIDIA GeForce RTX 3090"], &[0], &none, &[]);
        check(&["NVIDIA H100 80GB HBM3"], &[0], &none, &[]);
        let user = Env::from([("NCCL_P2P_DISABLE", "0")]);
        check(&["NVIDIA GeForce RTX 4090"], &[0], &user, &["NCCL_IB_DISABLE=1"]);
    }
}
