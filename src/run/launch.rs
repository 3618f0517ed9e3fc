//! The command that trains: from what is wanted to what is started, without looking at the machine.

use std::path::{Path, PathBuf};

use crate::{
    config::Secret,
    platform::{Env, gpu::Nvidia},
    workspace::Workspace,
};

use super::devices::Devices;

/// DeepSpeed reads its hosts from here unless told otherwise, and then trains on several machines.
pub const HOSTFILE: &str = "/job/hostfile";

/// What would reach into the trainer's Python from outside. `PYTHONDONTWRITEBYTECODE` would make every start slow, and
/// `PYTHONSAFEPATH` would hide the trainer's own modules from it.
const UNWANTED: [&str; 3] = ["PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "PYTHONSAFEPATH"];

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
}

impl Launch<'_> {
    pub fn program(&self) -> PathBuf {
        program(self.workspace)
    }

    /// What `deepspeed` is given.
    pub fn args(&self) -> Vec<String> {
        let mut args: Vec<String> = vec![];
        let mut add = |words: &[&str]| args.extend(words.iter().map(|word| (*word).to_owned()));
        let port = self.port.to_string();
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
        add(&["--master_port", &port, &self.script.to_string_lossy(), "--deepspeed"]);
        add(&["--config", &self.config.to_string_lossy()]);
        // Once more: the trainer has a port of its own, which it prefers to DeepSpeed's.
        add(&["--master_port", &port]);
        if let Some(folder) = self.resumes {
            add(&["--resume_from_checkpoint", folder]);
        }
        args.extend_from_slice(self.args);
        args
    }

    /// The environment of the trainer, from the user's. What the user set for the libraries wins.
    pub fn env(&self, user: &Env, nvidia: Option<&Nvidia>, secrets: &[Secret]) -> Env {
        let mut env = user.clone();
        let venv = self.workspace.venv();
        for name in UNWANTED {
            env.remove(name);
        }
        env.prepend_path(&[venv.join("bin")]);
        env.set("VIRTUAL_ENV", &venv).set("PYTHONPATH", self.workspace.libs()).set("PYTHONUNBUFFERED", "1");
        // The trainer reads its TOML in the encoding of the locale, and TOML is UTF-8 everywhere.
        env.set("PYTHONUTF8", "1");
        match self.devices {
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
}

/// DeepSpeed's launcher in the workspace.
pub fn program(workspace: &Workspace) -> PathBuf {
    workspace.venv().join("bin/deepspeed")
}

/// GeForce and workstation cards called `RTX 40…` cannot reach each other's memory, and NCCL finds out by failing.
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
