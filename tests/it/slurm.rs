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
    let text = script(&lab, &["--gpus", "2"]);
    let said = lab.sandbox.dpgui(&["--json", "slurm", "configs/tiny.toml", "--gpus", "2"]).ok();
    assert_eq!(said.events()[0]["script"].as_str().map(str::trim_end), Some(text.trim_end()));
}

#[test]
fn a_job_whose_time_is_over_saves_is_requeued_and_goes_on() {
    let mut lab = Lab::new(&[("STEPS", "0")]);
    let told = lab.sandbox.path("told");
    lab.sandbox.program("scontrol", SCONTROL).env("SCONTROL_SAID", &told);
    let text =
        script(&lab, &["--gpus", "2", "--time", "1:00:00", "--sbatch=--mem=8G", "--sbatch=--comment=a b"]);
    for line in [
        "--gpus-per-node=2",
        "--time=1:00:00",
        "--mem=8G",
        "--comment=\"a b\"",
        "--requeue",
        "--signal=B:USR1@600",
    ] {
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
fn what_cannot_work_is_said_before_it_waits_in_a_queue() {
    let lab = Lab::new(&[]);
    let refused = |args: &[&str], words: &str| {
        let said = lab.sandbox.dpgui(&[&["slurm", "configs/tiny.toml"], args].concat());
        assert!(
            said.code == Some(2) && said.stderr.contains(words) && said.stdout.is_empty(),
            "{words}: {said}"
        );
    };
    refused(&["--gpus", "2", "--time", "foo"], "HOURS:MINUTES:SECONDS");
    refused(&["--gpus", "2", "--time", "5"], "saved 10 min before its time is over");
    refused(&["--gpus", "3"], "pipeline_stages");
    script(&lab, &["--gpus", "2", "--time", "1-0"]);
}

#[test]
fn a_job_that_is_complete_when_its_time_is_nearly_over_is_not_requeued_and_a_further_start_succeeds() {
    let mut lab = Lab::new(&[("STEPS", "60"), ("STEP_TIME", "0.1")]);
    let told = lab.sandbox.path("told");
    lab.sandbox.program("scontrol", SCONTROL).env("SCONTROL_SAID", &told);
    let text = script(&lab, &["--gpus", "0"]);
    // The moment that cannot be hit: the signal comes, and the training is done before the stop has reached it.
    let late =
        text.lines().find(|line| line.ends_with(" stop \"$run\"")).expect("it stops the run").to_owned();
    lab.sandbox.write("job.sh", text.replacen(&late, "    :", 1));
    let mut job = start(&lab);
    let run = lab.only_run();
    run.wait_for_log("steps: 2 ");
    signal(&job, "USR1");
    assert_eq!(job.wait().expect("ended").code(), Some(0));
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    assert!(!told.exists(), "nothing is left to be requeued for");
    assert_eq!(start(&lab).wait().expect("ended").code(), Some(0));
    let said = lab.train(&["--name", "job-7", "--resume-or-start", "job-7"]).ok();
    assert!(
        said.stderr.contains("is complete") && said.stderr.contains("nothing is left to train"),
        "{said}"
    );
    assert_eq!(lab.sandbox.dpgui(&["runs", "--json"]).ok().events().len(), 1);
    // Another job whose number begins in the same way is none of it.
    let said = lab.train(&["--name", "job", "--resume-or-start", "job"]).ok();
    assert!(said.stdout.contains("TRAINING COMPLETE!"), "{said}");
}

#[test]
fn a_job_ends_as_its_training_does() {
    for (end, code) in [("complete", 0), ("3", 1)] {
        let lab = Lab::new(&[("END", end)]);
        script(&lab, &["--gpus", "0"]);
        assert_eq!(start(&lab).wait().expect("ended").code(), Some(code), "{end}");
    }
}
