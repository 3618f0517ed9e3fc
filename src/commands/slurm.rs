//! `dpgui slurm`: the batch script with which a cluster trains a configuration.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use crate::{
    error::Error,
    run::slurm::{self, Job, TimeLimit},
};

use super::Context;

/// Print a batch script for Slurm: it saves before its time is over, is requeued and goes on
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The training TOML file
    config: PathBuf,
    /// Machines that it trains on; the first has to reach the others by ssh, see `dpgui train --hostfile`
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    nodes: u32,
    /// GPUs of each machine
    #[arg(long, default_value_t = 1)]
    gpus: u32,
    /// How long each part of the training may take, as `sbatch --time` has it: `12:00:00`
    #[arg(long)]
    time: Option<TimeLimit>,
    /// Where it is to run
    #[arg(long)]
    partition: Option<String>,
    /// More options for Slurm, each as on its command line: `--sbatch=--mem=64G`; may be given several times
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    sbatch: Vec<String>,
    /// More arguments for `dpgui train`
    #[arg(last = true, value_name = "ARGS")]
    passed_on: Vec<String>,
}

#[derive(Serialize)]
#[serde(tag = "event", rename = "batch-script")]
struct Written<'a> {
    /// For `sbatch`.
    script: &'a str,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let config = context.configuration(&args.config)?;
    let job = Job {
        program: &context.host.program,
        workspace: context.workspace.root(),
        config: &config,
        nodes: args.nodes,
        gpus: args.gpus,
        time: args.time.as_ref(),
        partition: args.partition.as_deref(),
        more: &args.sbatch,
        args: &args.passed_on,
    };
    for warning in slurm::check(&job, &context.host, &context.workspace)? {
        context.output.warn(warning);
    }
    let script = slurm::script(&job);
    context.output.result(&Written { script: &script }, &script);
    Ok(ExitCode::SUCCESS)
}
