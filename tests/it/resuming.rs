//! `dpgui train --resume`: from which checkpoint, with what changed, and never from a broken one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::lab::{Lab, Run, kill};

/// A run that was stopped, its trainer's folder, and the step at which it saved. There is another checkpoint at step 1.
fn stopped(lab: &Lab) -> (Run, PathBuf, u64) {
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop"]).ok();
    let folder = lab.trainer_folder("output");
    let latest = fs::read_to_string(folder.join("latest")).expect("a checkpoint");
    let step = latest.trim_start_matches("global_step").parse().expect("a step");
    fs::create_dir(folder.join("global_step1")).expect("made");
    for entry in fs::read_dir(folder.join(latest)).expect("there").flatten() {
        fs::copy(entry.path(), folder.join("global_step1").join(entry.file_name())).expect("copied");
    }
    (run, folder, step)
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("there");
    fs::write(path, &bytes[..bytes.len() - 9]).expect("written");
}

#[test]
fn a_training_goes_on_from_the_step_that_is_named() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let (first, folder, step) = stopped(&lab);
    let said = lab.train(&["--resume", &format!("{}@7000", first.id())]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("has no checkpoint at step 7000"), "{said}");
    fs::create_dir_all(folder.join("epoch3/tmp")).expect("made");
    fs::write(folder.join("save"), "").expect("written");

    let said = lab.train(&["--resume", "tiny@1", "--detach", "--name", "again"]).ok();
    let again = lab.run(said.stdout.trim());
    again.wait_for_log("Resuming training from checkpoint. Resuming at epoch: 1, step: 2");
    assert_eq!(again.events()[..2], ["latest-rewritten", "started"]);
    for text in [
        format!("the checkpoints beyond it ({step}) stay"),
        format!("removed `{}`", folder.join("epoch3/tmp").display()),
        "from the checkpoint at step 1".to_owned(),
    ] {
        assert!(said.stderr.contains(&text), "no `{text}` in {said}");
    }
    assert!(folder.join(format!("global_step{step}")).exists(), "it stays");
    assert!(!folder.join("epoch3/tmp").exists() && !folder.join("save").exists());
    for pid in again.processes() {
        kill(pid, "KILL");
    }
    again.outcome();
}

#[test]
fn a_broken_checkpoint_is_refused_and_the_whole_one_before_it_named() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let (run, folder, step) = stopped(&lab);
    cut(&folder.join(format!("global_step{step}/mp_rank_01_model_states.pt")));
    for resume in [&["--resume"][..], &["--resume", "tiny@latest"]] {
        let said = lab.train(resume);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(said.stderr.contains("the end of `mp_rank_01_model_states.pt` is missing"), "{said}");
        assert!(said.stderr.contains(&format!("configs/tiny.toml --resume {}@1`", run.id())), "{said}");
    }
    fs::write(folder.join("latest"), "").expect("written");
    let said = lab.train(&["--resume"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains(&format!("--resume {}@1`", run.id())), "{said}");
}

#[test]
fn what_changed_since_the_checkpoint_is_said_and_what_cannot_work_refused() {
    let lab = Lab::new(&[("STEPS", "0")]);
    stopped(&lab);
    lab.change("configs/tiny.toml", "rank = 4", "rank = 8");
    let said = lab.train(&["--resume"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("`adapter.rank` was 4, now 8, which cannot work"), "{said}");
    lab.change("configs/tiny.toml", "rank = 8", "rank = 4");
    lab.change("configs/tiny.toml", "type = 'adamw'", "type = 'AdamW'\nlr = 0.25");
    lab.change("configs/tiny.toml", "max_steps = 400", "max_steps = 500");
    let said = lab.train(&["--resume", "--detach", "--json"]).ok();
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    let changed: Vec<_> = said
        .events()
        .into_iter()
        .filter(|it| it["event"] == "changed")
        .map(|it| format!("{} {}", it["key"], it["effect"]))
        .filter(|it| !it.contains("optimizer.type"))
        .collect();
    assert_eq!(changed, [r#""max_steps" "applies""#, r#""optimizer.lr" "kept""#]);
}
