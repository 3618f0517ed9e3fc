//! The batch script for a cluster: what Slurm does to it, done by hand. `scontrol` is a stand-in; the shell, the signals and
//! the runs are real.

use std::process::{Child, Command};

use serde_json::json;

use crate::support::lab::{Lab, Run, until};

const SCONTROL: &str = "#!/bin/sh\necho \"$@\" >> \"$SCONTROL_SAID\"\n";

fn script(lab: &Lab, args: &[&str]) -> String {
    let said = lab.sandbox.dpgui(&[&["slurm", "configs/tiny.toml"], args].concat()).ok();
    lab.sandbox.write("job.sh", &said.stdout);
    said.stdout
}

/// A start of the job, as Slurm makes it.
fn start(lab: &Lab) -> Child {
    let like = lab.sandbox.command(&[]);
    let mut bash = Command::new("bash");
    bash.arg(lab.sandbox.path("job.sh")).env_clear().current_dir(lab.sandbox.root());
    bash.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bash.env("SLURM_JOB_ID", "7").spawn().expect("bash starts")
}

fn signal(child: &Child, name: &str) {
    crate::support::lab::kill(child.id(), name);
}

#[test]
fn a_program_gets_the_script_in_an_object() {
    let lab = Lab::new(&[]);
    let text = script(&lab, &[]);
    let said = lab.sandbox.dpgui(&["--json", "slurm", "configs/tiny.toml"]).ok();
    assert_eq!(said.events()[0]["script"].as_str().map(str::trim_end), Some(text.trim_end()));
}

#[test]
fn a_job_whose_time_is_over_saves_is_requeued_and_goes_on() {
    let mut lab = Lab::new(&[("STEPS", "0")]);
    let told = lab.sandbox.path("told");
    lab.sandbox.program("scontrol", SCONTROL).env("SCONTROL_SAID", &told);
    let text = script(&lab, &["--gpus", "2", "--time", "1:00:00", "--sbatch=--mem=8G"]);
    for line in ["--gpus-per-node=2", "--time=1:00:00", "--mem=8G", "--requeue", "--signal=B:USR1@600"] {
        assert!(text.contains(&format!("#SBATCH {line}\n")), "{line}: {text}");
    }
    let mut job = start(&lab);
    let first = lab.only_run();
    first.wait_for_log("steps: 2 ");
    signal(&job, "USR1");
    job.wait().expect("ended");
    assert_eq!(first.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(std::fs::read_to_string(&told).expect("told"), "requeue 7\n");

    let mut job = start(&lab);
    let second: Run = until("it goes on", || {
        let runs = std::fs::read_dir(lab.sandbox.root().join("runs")).ok()?.flatten();
        runs.map(|it| Run { path: it.path() })
            .find(|it| it.path != first.path && it.path.join("spec.json").exists())
    });
    second.wait_for_log("Resuming training from checkpoint");
    // Whoever cancels it wants no further start.
    signal(&job, "TERM");
    assert_eq!(job.wait().expect("ended").code(), Some(130));
    assert_eq!(second.outcome()["outcome"], "stopped");
    assert_eq!(std::fs::read_to_string(&told).expect("told"), "requeue 7\n");
}

#[test]
fn a_job_ends_as_its_training_does() {
    for (end, code) in [("complete", 0), ("3", 1)] {
        let lab = Lab::new(&[("END", end)]);
        script(&lab, &["--gpus", "0"]);
        assert_eq!(start(&lab).wait().expect("ended").code(), Some(code), "{end}");
    }
}
