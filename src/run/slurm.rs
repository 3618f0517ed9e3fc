//! A batch script for Slurm that trains on a cluster, saves before its time is over, and goes on when it is
//! its turn again.

use std::{fmt, path::Path, str::FromStr};

use crate::{
    config::TrainConfig,
    platform::{Host, process::as_typed},
    workspace::Workspace,
};

use super::{RunError, start};

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
    pub time: Option<&'a TimeLimit>,
    pub partition: Option<&'a str>,
    /// More lines for Slurm, each as on its command line: `--mem=64G`.
    pub more: &'a [String],
    /// For `dpgui train`.
    pub args: &'a [String],
}

/// How long each part of the training may take, as `sbatch --time` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeLimit(String);

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let endless = ["unlimited", "infinite"].iter().any(|it| text.eq_ignore_ascii_case(it));
        let Some(seconds) = seconds(text).or_else(|| endless.then_some(0)) else {
            return Err(
                "`MINUTES`, `HOURS:MINUTES:SECONDS` or `DAYS-HOURS` is expected, as `12:00:00`".to_owned()
            );
        };
        // For Slurm, none is no limit.
        if (1..=u64::from(WARNING)).contains(&seconds) {
            let minutes = WARNING / 60;
            return Err(format!(
                "the training is saved {minutes} min before its time is over: give it longer"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for TimeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The forms of sbatch's manual: `M`, `M:S`, `H:M:S`, `D-H`, `D-H:M`, `D-H:M:S`.
fn seconds(text: &str) -> Option<u64> {
    let number = |it: &str| it.parse::<u32>().ok().filter(|_| !it.starts_with('+')).map(u64::from);
    let (days, rest) = match text.split_once('-') {
        Some((days, rest)) => (Some(number(days)?), rest),
        None => (None, text),
    };
    let parts = rest.split(':').map(number).collect::<Option<Vec<u64>>>()?;
    let (hours, minutes, seconds) = match (days, &parts[..]) {
        (None, [minutes]) => (0, *minutes, 0),
        (None, [minutes, seconds]) => (0, *minutes, *seconds),
        (Some(_), [hours]) => (*hours, 0, 0),
        (Some(_), [hours, minutes]) => (*hours, *minutes, 0),
        (_, [hours, minutes, seconds]) => (*hours, *minutes, *seconds),
        _ => return None,
    };
    Some(((days.unwrap_or(0) * 24 + hours) * 60 + minutes) * 60 + seconds)
}

/// What is worth a warning in the configuration, with as many ranks as the job has.
///
/// # Errors
/// What the start in the job would refuse, hours later.
pub fn check(job: &Job<'_>, host: &Host, workspace: &Workspace) -> Result<Vec<String>, RunError> {
    let config = TrainConfig::load(job.config, workspace, &host.env)?;
    // Alone and without GPUs, a machine has the ranks that the configuration asks for.
    let ranks = (job.gpus > 0 || job.nodes > 1).then(|| job.nodes.saturating_mul(job.gpus.max(1)));
    let for_trainer = job.args.iter().skip_while(|it| *it != "--").skip(1);
    start::check_config(&config, ranks, &for_trainer.cloned().collect::<Vec<_>>())
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
# What was complete before it could be stopped is not started again.
if [ -n "$requeue" ] && [ "$code" -ne 0 ]; then scontrol requeue "$SLURM_JOB_ID"; exit; fi
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
    let time = job.time.map(|it| &*it.0);
    for (option, value) in [("--time", time), ("--partition", job.partition)] {
        options.extend(value.map(|value| format!("{option}={value}")));
    }
    options.extend(["--requeue".to_owned(), "--open-mode=append".to_owned()]);
    options.push(format!("--signal=B:USR1@{WARNING}"));
    options.push(format!("--output={}/slurm-%j.log", job.workspace.display()));
    options.extend_from_slice(job.more);
    let lines: String =
        options.iter().flat_map(|option| ["#SBATCH ".to_owned(), quoted(option), "\n".to_owned()]).collect();
    format!("#!/bin/bash\n{lines}")
}

/// As `sbatch` reads an option in a script: it ends at a space that is not in quotes.
fn quoted(option: &str) -> String {
    match option.split_once('=') {
        // It may be quoted already.
        Some((_, value))
            if value.len() > 1 && value.starts_with(['"', '\'']) && value.ends_with(['"', '\'']) =>
        {
            option.to_owned()
        }
        Some((name, value)) if value.contains(|c: char| c.is_whitespace() || "\"'\\#".contains(c)) => {
            format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
        }
        _ => option.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_sbatch_and_leave_room_to_save() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(seconds(text), expected, "{text}");
        check("90", Some(5400));
        check("90:30", Some(5430));
        check("12:00:00", Some(43200));
        check("1-0", Some(86400));
        check("1-2:30", Some(95400));
        check("1-02:30:05", Some(95405));
        for text in ["foo", "", "1h", "1:2:3:4", "-5", "+5", "1-", "1-2:3:4:5", "1.5"] {
            check(text, None);
        }
        let is_refused = |text: &str| text.parse::<TimeLimit>().is_err();
        assert!(is_refused("5") && is_refused("10") && is_refused("foo"));
        assert!(!is_refused("11") && !is_refused("0") && !is_refused("UNLIMITED"));
    }
}
