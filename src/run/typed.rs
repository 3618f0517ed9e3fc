//! The stock command that a run comes to, for whoever wants to type it himself or to ask others about it.

use std::{path::Path, str::FromStr};

use crate::{
    config::TrainConfig,
    platform::{fs, gpu, net, process::as_typed},
};

use super::{
    RunError,
    devices::Devices,
    launch::{self, HOSTFILE, Launch},
    request::Request,
    spec::Launcher,
    start::Site,
};

/// Launchers of DeepSpeed that start ranks on other machines in a way of their own (its `launcher/constants.py`). What they
/// start there has no supervisor, so that dpgui prints their command and does not run it.
pub const FOREIGN: [&str; 6] = ["pdsh", "openmpi", "mpich", "impi", "mvapich", "slurm"];

/// What `--launcher` may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    Supervised(Launcher),
    /// One of [`FOREIGN`].
    Foreign(&'static str),
}

impl FromStr for Starter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match FOREIGN.into_iter().find(|it| *it == text) {
            Some(name) => Ok(Self::Foreign(name)),
            None => text.parse().map(Self::Supervised).map_err(|cause| {
                format!("{cause}, or with `--print-command` and `--hostfile` one of {}", FOREIGN.join(", "))
            }),
        }
    }
}

/// DeepSpeed's own command, whoever would start the ranks, with the file of the user instead of the run's copy. Keys of
/// the configuration that are secret are not in it.
///
/// # Errors
/// When the configuration cannot be read, or asks for GPUs that are not there.
pub fn command(
    site: Site<'_>,
    request: &Request,
    hostfile: Option<&Path>,
    starter: Starter,
) -> Result<String, RunError> {
    request.check_machines()?;
    let Site { host, workspace, settings, .. } = site;
    let config = TrainConfig::load(&request.config, workspace, &host.env)?;
    let nvidia = gpu::detect(host);
    let found = nvidia.as_ref().map_or(&[][..], |it| &it.gpus);
    let part = request.part.as_ref().zip(hostfile);
    let devices = match part {
        Some((part, _)) => Devices::for_slots(&config.training, part.own_node().slots, found)?,
        None => Devices::choose(&config.training, request.gpus.as_deref(), found, &host.env)?,
    };
    let script = settings.trainer_script(workspace);
    let launch = Launch {
        workspace,
        script: &script,
        config: &request.config,
        devices: &devices,
        port: net::free_port(&[]).map_err(RunError::NoPort)?,
        resumes: None,
        args: &request.args,
        hostfile: fs::exists(Path::new(HOSTFILE)),
        launcher: Launcher::Deepspeed,
        part,
        wrapper: [&host.program, workspace.root()],
    };
    let env = launch::env(workspace, &devices, &host.env, nvidia.as_ref(), &[]);
    let unset = host.env.iter().filter(|(name, _)| env.iter().all(|(kept, _)| kept != *name));
    let mut words: Vec<String> =
        unset.flat_map(|(name, _)| ["-u".to_owned(), name.to_string_lossy().into_owned()]).collect();
    for (name, value) in env.iter().filter(|(name, value)| host.env.iter().all(|it| it != (*name, *value))) {
        words.push(format!("{}={}", name.to_string_lossy(), value.to_string_lossy()));
    }
    words.push(launch::program(workspace).to_string_lossy().into_owned());
    if let Starter::Foreign(name) = starter {
        words.extend(["--launcher".to_owned(), name.to_owned()]);
    }
    words.extend(launch.stock());
    let folder = script.parent().unwrap_or(Path::new("/"));
    Ok(format!("cd {} && env {}", as_typed([folder]), as_typed(words)))
}
