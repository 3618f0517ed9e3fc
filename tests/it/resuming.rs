//! `dpgui train --resume`: from which checkpoint, with what changed, and never from a broken one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::support::{
    browser::Served,
    lab::{Lab, Run, kill},
};

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

fn ended(lab: &Lab, run: &Run) -> Value {
    let said = lab.sandbox.dpgui(&["watch", &run.id(), "--json"]).events();
    said.into_iter().find(|it| it["event"] == "run-ended").expect("an end")
}

fn copy_adapter(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    for name in ["adapter_model.safetensors", "adapter_config.json"] {
        fs::copy(from.join(name), to.join(name)).expect("copied");
    }
}

fn cut(path: &Path) {
    let bytes = fs::read(path).expect("there");
    fs::write(path, &bytes[..bytes.len() - 9]).expect("written");
}

#[test]
fn weights_are_of_the_step_that_they_were_saved_at_whoever_saved_them_and_the_most_trained_are_named() {
    let mut lab = Lab::new(&[("STEPS", "6"), ("CHECKPOINT", "3")]);
    lab.train(&[]).ok();
    let first = lab.only_run();
    assert_eq!(ended(&lab, &first)["model_step"], 6);
    // As an export of an earlier checkpoint does.
    let epoch = lab.trainer_folder("output").join("epoch1");
    let step = epoch.with_file_name("step3");
    copy_adapter(&epoch, &step);
    let end = ended(&lab, &first);
    assert_eq!(end["model_step"], 6);
    assert!(end["model"].as_str().expect("a path").contains("epoch1"), "{end}");
    lab.sandbox.env("FAKE_STEPS", "0");
    lab.change("configs/tiny.toml", "epochs = 1", "epochs = 2");
    let next = lab.detached(&["--resume", &first.id()]);
    next.wait_for_log("steps: 9 ");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    assert_eq!(ended(&lab, &next)["model_step"], 6);
    // Another way from step 3 on, which did not come as far as the first one did.
    let other = lab.detached(&["--resume", &format!("{}@3", first.id())]);
    other.wait_for_log("steps: 5 ");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    assert_eq!(ended(&lab, &other)["model_step"], 3, "the most trained on its way");
    copy_adapter(&epoch, &epoch.with_file_name("step4"));
    assert_eq!(ended(&lab, &other)["model_step"], 4);
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
fn a_complete_run_goes_another_way_from_an_earlier_step_and_only_from_one() {
    let lab = Lab::new(&[("STEPS", "20"), ("CHECKPOINT", "10"), ("STEP_TIME", "0.002")]);
    lab.train(&[]).ok();
    for resume in ["tiny", "tiny@20"] {
        let said = lab.train(&["--resume", resume]);
        assert!(said.code == Some(2) && said.stderr.contains("is already complete, at step 20"), "{said}");
    }
    let said = lab.train(&["--resume", "tiny@10", "--name", "other"]).ok();
    assert!(said.stderr.contains("from the checkpoint at step 10"), "{said}");
}

#[test]
fn a_run_whose_checkpoints_are_all_broken_is_not_passed_over_for_an_older_one() {
    let lab = Lab::new(&[("STEPS", "0")]);
    stopped(&lab);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let newer = lab.detached(&["--name", "newer"]);
    newer.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop"]).ok();
    for folder in fs::read_dir(lab.sandbox.root().join("output"))
        .expect("there")
        .flatten()
        .filter(|it| it.path().is_dir())
    {
        let mut parts: Vec<_> =
            fs::read_dir(folder.path()).expect("there").flatten().map(|it| it.path()).collect();
        parts.retain(|it| it.file_name().is_some_and(|it| it.to_string_lossy().starts_with("global_step")));
        // The older one has two.
        if parts.len() == 1 {
            cut(&parts[0].join("mp_rank_01_model_states.pt"));
        }
    }
    let said = lab.train(&["--resume"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains(&format!("the checkpoint of {} at step", newer.id())), "{said}");
    assert!(said.stderr.contains("name an older run that `dpgui runs` lists"), "{said}");
}

#[test]
fn a_broken_checkpoint_is_passed_over_with_a_word_and_refused_only_when_it_is_named() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let (run, folder, step) = stopped(&lab);
    cut(&folder.join(format!("global_step{step}/mp_rank_01_model_states.pt")));
    let said = lab.train(&["--resume", &format!("tiny@{step}")]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("the end of `mp_rank_01_model_states.pt` is missing"), "{said}");
    assert!(said.stderr.contains(&format!("configs/tiny.toml --resume {}@1`", run.id())), "{said}");
    for resume in [&["--resume"][..], &["--resume", "tiny@latest"], &["--resume-or-start", "tiny"]] {
        fs::write(folder.join("latest"), format!("global_step{step}")).expect("written");
        let name = format!("again{}", resume.concat().len());
        let said = lab.train(&[resume, &["--detach", "--name", &name]].concat()).ok();
        let again = lab.run(said.stdout.trim());
        again.wait_for_log("Resuming training from checkpoint. Resuming at epoch: 1, step: 2");
        assert!(said.stderr.contains("the end of `mp_rank_01_model_states.pt` is missing"), "{said}");
        assert!(said.stderr.contains("the one at step 1 is used"), "{said}");
        lab.sandbox.dpgui(&["stop", "--now"]).ok();
    }
    // A power cut empties this one as well.
    fs::write(folder.join("latest"), "").expect("written");
    let said = lab.sandbox.dpgui(&["resume", "tiny"]).ok();
    assert!(said.stderr.contains("`latest` names no checkpoint"), "{said}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    // Where none is whole nothing begins anew either.
    for file in fs::read_dir(folder.join("global_step1")).expect("there").flatten() {
        fs::write(file.path(), "").expect("written");
    }
    let said = lab.train(&["--resume", "tiny"]);
    assert!(said.code == Some(2) && said.stderr.contains("is empty"), "{said}");
}

#[test]
fn what_a_later_run_made_is_not_said_of_the_one_before_it() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let (first, _, step) = stopped(&lab);
    let said = lab.train(&["--resume", "--detach", "--name", "second"]).ok();
    let second = lab.run(said.stdout.trim());
    second.wait_for_log(&format!("steps: {} ", step + 2));
    lab.sandbox.dpgui(&["stop", "second"]).ok();
    let shown = |run: &Run| {
        let said = lab.sandbox.dpgui(&["--json", "runs", "show", &run.id()]).ok();
        said.events().into_iter().find(|it| it["run"] == run.id()).expect("told of")
    };
    let steps = |run: &Run| -> Vec<u64> {
        let shown = shown(run);
        let all = shown["checkpoints"].as_array().expect("a list").iter();
        all.map(|it| it["step"].as_u64().expect("a step")).collect()
    };
    assert!(steps(&first).iter().all(|it| *it <= step), "{:?}", steps(&first));
    assert!(steps(&second).iter().any(|it| *it > step), "{:?}", steps(&second));
    assert_eq!(shown(&second)["goes_on_from"], format!("{}@{step}", first.id()));
    assert_eq!(shown(&first)["goes_on_from"], serde_json::Value::Null);
    assert_eq!(shown(&first)["continued_by"], serde_json::json!([second.id()]));
    assert_eq!(shown(&second).get("continued_by"), None);
    let said = lab.sandbox.dpgui(&["runs", "show", &first.id(), &second.id()]).ok();
    let row = |name: &str| said.stdout.lines().find(|it| it.starts_with(name)).expect("told of").to_owned();
    assert!(row("continued by").contains(&second.id()), "{said}");
    assert!(row("goes on from").contains(&first.id()), "{said}");
    // The page can go from one to the other.
    let served = Served::start(&lab.sandbox, &[]);
    let linked = |run: &Run| {
        let detail = served.get(&format!("/api/runs/{}", run.id())).ok();
        (detail["continues"].clone(), detail["continued_by"].clone())
    };
    assert_eq!(linked(&first), (serde_json::Value::Null, serde_json::json!([second.id()])));
    assert_eq!(linked(&second), (serde_json::json!(first.id()), serde_json::json!([])));
    let last = steps(&second).pop().expect("a checkpoint");
    let said = lab.sandbox.dpgui(&["export", &format!("{}@{last}", first.id())]);
    assert!(said.code == Some(2) && said.stderr.contains(&format!("no checkpoint at step {last}")), "{said}");
    let said = lab.sandbox.dpgui(&["export", &format!("{}@{step}", first.id()), "--step", "7"]);
    assert!(said.code == Some(2) && said.stderr.contains("two steps are named"), "{said}");
}

#[test]
fn a_run_goes_on_as_it_was_started_whatever_is_in_the_file_by_now() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let (_, _, step) = stopped(&lab);
    let resume = |expected: &str| {
        let said = lab.sandbox.dpgui(&["resume", "tiny"]).ok();
        assert!(said.stderr.contains(expected), "no `{expected}` in {said}");
        lab.sandbox.dpgui(&["stop", "--now"]).ok();
        said
    };
    let said = resume(&format!("from the checkpoint at step {step}"));
    assert!(!said.stderr.contains("is not what it was"), "{said}");
    lab.change("configs/tiny.toml", "rank = 4", "rank = 8");
    lab.change("configs/tiny.toml", "max_steps = 400", "max_steps = 500");
    resume("is not what it was (`max_steps`, `adapter.rank`)");
    lab.change("configs/tiny.toml", "rank = 8", "rank = = 8");
    resume("is not what it was (it cannot be read)");
    fs::remove_file(lab.sandbox.root().join("configs/tiny.toml")).expect("there");
    resume("is not what it was (it cannot be read)");
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
