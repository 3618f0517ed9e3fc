//! A batch script for Slurm that trains on a cluster, saves before its time is over, and goes on when it is
//! its turn again.

use std::path::Path;

use crate::platform::process::as_typed;

/// Seconds before the end of the time at which Slurm says so: enough for a step and a large checkpoint.
const WARNING: u32 = 600;

/// What the script is made of.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    pub program: &'a Path,
    pub workspace: &'a Path,
    /// Absolute.
    pub config: &'a Path,
    /// Machines; of several, ssh has to lead from the first to the others.
    pub nodes: u32,
    /// GPUs of each; 0 for machines without.
    pub gpus: u32,
    /// As `sbatch --time` has it.
    pub time: Option<&'a str>,
    pub partition: Option<&'a str>,
    /// More lines for Slurm, each as on its command line: `--mem=64G`.
    pub more: &'a [String],
    /// For `dpgui train`.
    pub args: &'a [String],
}

/// The whole script.
pub fn script(job: &Job<'_>) -> String {
    let head = head(job);
    let train = as_typed(
        [
            job.program.as_os_str(),
            "-C".as_ref(),
            job.workspace.as_os_str(),
            "train".as_ref(),
            job.config.as_os_str(),
        ]
        .into_iter()
        .chain(job.args.iter().map(AsRef::as_ref)),
    );
    let (hosts, machines) = hosts(job);
    let stop = as_typed([job.program.as_os_str(), "-C".as_ref(), job.workspace.as_os_str(), "stop".as_ref()]);
    format!(
        r#"{head}
# Every start of this job, the first and those after a requeue, goes on from what it has saved so far.
run="job-$SLURM_JOB_ID"
requeue=
{hosts}
# The time is nearly over, or the job is preempted: save, leave, and be started again.
again() {{
    requeue=yes
    {stop} "$run"
}}
# Somebody cancelled it: save and leave.
leave() {{
    {stop} "$run"
}}
trap again USR1
trap leave TERM INT

{train}{machines} --name "$run" --resume-or-start "$run" &
training=$!
# A signal ends a wait and not the training.
while kill -0 "$training" 2> /dev/null; do wait "$training"; done
wait "$training"
code=$?
if [ -n "$requeue" ]; then scontrol requeue "$SLURM_JOB_ID"; exit; fi
exit "$code"
"#
    )
}

/// Of a job on several machines: the lines that write their names down, and what `dpgui train` is told of it.
fn hosts(job: &Job<'_>) -> (String, &'static str) {
    if job.nodes == 1 {
        return (String::new(), "");
    }
    let slots = job.gpus.max(1);
    let text = format!(
        r#"
# The machines of this start, the one that this script runs on first.
hosts=$(mktemp)
trap 'rm -f "$hosts"' EXIT
scontrol show hostnames "$SLURM_JOB_NODELIST" | sed 's/$/ slots={slots}/' > "$hosts"
"#
    );
    (text, r#" --hostfile "$hosts""#)
}

/// What Slurm is asked for.
fn head(job: &Job<'_>) -> String {
    let name = job.config.file_stem().unwrap_or_default().to_string_lossy();
    let mut options = vec![format!("--job-name={name}"), format!("--nodes={}", job.nodes)];
    options.push("--ntasks-per-node=1".to_owned());
    if job.gpus > 0 {
        options.push(format!("--gpus-per-node={}", job.gpus));
    }
    for (option, value) in [("--time", job.time), ("--partition", job.partition)] {
        options.extend(value.map(|value| format!("{option}={value}")));
    }
    options.extend(["--requeue".to_owned(), "--open-mode=append".to_owned()]);
    options.push(format!("--signal=B:USR1@{WARNING}"));
    options.push(format!("--output={}/slurm-%j.log", job.workspace.display()));
    options.extend_from_slice(job.more);
    let lines: String = options.iter().flat_map(|option| ["#SBATCH ", option, "\n"]).collect();
    format!("#!/bin/bash\n{lines}")
}
