//! Runs that wait for what they compute on: one after the other, in the order that the user wants, never two on one GPU.

use serde_json::{Value, json};

use crate::{
    starting::with_gpus,
    support::lab::{Lab, Run, until},
};

fn state(lab: &Lab, run: &Run) -> Value {
    let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    listed.iter().find(|it| it["id"] == json!(run.id())).expect("listed")["state"].clone()
}

fn queued(lab: &Lab, args: &[&str]) -> Run {
    let said = lab.train(&[&["--queue"], args].concat()).ok();
    assert!(said.stderr.contains("Queued"), "{said}");
    lab.run(said.stdout.trim())
}

fn order(lab: &Lab) -> Vec<String> {
    let rows = lab.sandbox.dpgui(&["queue", "--json"]).ok().events();
    rows.iter().map(|it| it["run"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn two_runs_share_a_gpu_only_if_the_user_says_so() {
    let lab = with_gpus(&[("STEPS", "0")]);
    let first = lab.detached(&["--gpus", "0", "--name", "first"]);
    let refused = lab.train(&["--gpus", "0"]);
    assert_eq!(refused.code, Some(5), "{refused}");
    for words in ["GPU 0 is in use", &first.id(), "--queue", "--share"] {
        assert!(refused.stderr.contains(words), "{words}: {refused}");
    }
    assert_eq!(lab.sandbox.dpgui(&["runs", "--json"]).ok().events().len(), 1, "a refused run leaves nothing");
    // Its supervisor's death gives nothing free: its ranks still compute there.
    first.kill_supervisor();
    assert_eq!(lab.train(&["--gpus", "0"]).code, Some(5));
    lab.detached(&["--gpus", "1", "--name", "second"]);
    lab.detached(&["--gpus", "0", "--share", "--name", "third"]);
    for name in ["first", "second", "third"] {
        lab.sandbox.dpgui(&["stop", "--now", name]).ok();
    }
}

#[test]
fn the_gpus_of_another_workspace_are_as_taken_as_ones_own() {
    let lab = with_gpus(&[("STEPS", "0")]);
    let run = lab.detached(&["--gpus", "1"]);
    let other = lab.sandbox.path("other");
    let copied = std::process::Command::new("cp").arg("-r").arg(lab.sandbox.root()).arg(&other).status();
    assert!(copied.expect("cp").success());
    std::fs::remove_dir_all(other.join("runs")).expect("a copy without runs");
    let config = other.join("configs/tiny.toml").display().to_string();
    let said = lab.sandbox.dpgui(&["-C", &other.display().to_string(), "train", &config, "--gpus", "1"]);
    assert!(said.code == Some(5) && said.stderr.contains(&run.id()), "{said}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn who_waits_begins_when_its_turn_comes_in_the_order_that_the_user_wants() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let running = lab.detached(&["--name", "running"]);
    running.wait_for_log("steps: 1 ");
    let [second, third, fourth] = ["b", "c", "d"].map(|name| queued(&lab, &["--name", name]));
    assert_eq!(state(&lab, &second), "queued");
    assert_eq!(order(&lab), [second.id(), third.id(), fourth.id()]);
    lab.sandbox.dpgui(&["queue", "move", "d", "1"]).ok();
    lab.sandbox.dpgui(&["queue", "hold", "b"]).ok();
    assert_eq!(order(&lab), [fourth.id(), second.id(), third.id()]);
    let table = lab.sandbox.dpgui(&["queue"]).ok().stdout;
    assert!(
        table.contains(&format!("training {}", running.id())) && table.contains("the end of its hold"),
        "{table}"
    );
    lab.sandbox.dpgui(&["queue", "remove", "c"]).ok();
    assert_eq!(third.outcome(), json!({ "outcome": "withdrawn" }));
    assert_eq!(third.events(), ["stop-requested", "ended"], "nothing of it ever ran");
    lab.sandbox.dpgui(&["stop", "running"]).ok();
    fourth.wait_for_log("steps: 1 ");
    assert_eq!(state(&lab, &second), "queued");
    lab.sandbox.dpgui(&["stop", "d"]).ok();
    assert_eq!(order(&lab), [second.id()], "who is held waits though everything is free");
    lab.sandbox.dpgui(&["queue", "resume", "b"]).ok();
    second.wait_for_log("steps: 1 ");
    lab.sandbox.dpgui(&["stop", "b"]).ok();
    for run in [running, second, fourth] {
        assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
        run.assert_nobody_left();
    }
}

#[test]
fn a_whole_queue_is_held_and_names_what_is_wrong() {
    let lab = Lab::new(&[]);
    lab.sandbox.dpgui(&["queue", "hold"]).ok();
    let run = queued(&lab, &[]);
    let said = lab.sandbox.dpgui(&["queue"]).ok();
    assert!(said.stderr.contains("dpgui queue resume"), "{said}");
    for (args, words) in
        [(&["queue", "move", &run.id(), "0"][..], "1.."), (&["queue", "hold", "nobody"], "nobody")]
    {
        let refused = lab.sandbox.dpgui(args);
        assert!(refused.code == Some(2) && refused.stderr.contains(words), "{refused}");
    }
    lab.sandbox.dpgui(&["queue", "resume"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    let refused = lab.sandbox.dpgui(&["queue", "remove", &run.id()]);
    assert!(refused.code == Some(2) && refused.stderr.contains("does not wait in the queue"), "{refused}");
}

#[test]
fn a_queued_run_whose_supervisor_was_killed_waits_on_and_begins_once() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let running = lab.detached(&["--name", "running"]);
    running.wait_for_log("steps: 1 ");
    let waiting = queued(&lab, &["--name", "waiting"]);
    waiting.kill_supervisor();
    until("its lock is free", || (!waiting.is_supervised()).then_some(()));
    assert_eq!(state(&lab, &waiting), "queued");
    lab.sandbox.dpgui(&["stop", "running"]).ok();
    waiting.wait_for_log("steps: 1 ");
    lab.sandbox.dpgui(&["stop", "waiting"]).ok();
    assert_eq!(waiting.events().iter().filter(|it| *it == "started").count(), 1);
    assert_eq!(waiting.outcome(), json!({ "outcome": "stopped", "saved": true }));
}

#[test]
fn setup_may_change_things_while_runs_only_wait() {
    let lab = Lab::new(&[]);
    lab.sandbox.dpgui(&["queue", "hold"]).ok();
    let run = queued(&lab, &[]);
    let lock = std::fs::File::open(lab.sandbox.root().join(".dpgui/setup.lock")).expect("there");
    lock.try_lock().expect("nobody has it");
    lab.sandbox.dpgui(&["queue", "resume"]).ok();
    assert_eq!(state(&lab, &run), "queued", "what it needs is being changed");
    drop(lock);
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
}

#[test]
fn many_at_once_never_meet_on_a_gpu() {
    let mut lab = with_gpus(&[("STEPS", "3")]);
    let claims = lab.sandbox.path("w/claims");
    std::fs::create_dir(&claims).expect("created");
    lab.sandbox.env("FAKE_CLAIM", &claims);
    let gpus = ["0", "1", "0,1", "0", "1", "0", "1", "0,1", "0", "1"];
    let starts: Vec<_> =
        gpus.iter().map(|ids| lab.spawn(&["train", "configs/tiny.toml", "--queue", "--gpus", ids])).collect();
    let runs: Vec<Run> = starts.into_iter().map(|start| lab.run(start.end().ok().stdout.trim())).collect();
    for run in &runs {
        assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    }
    assert!(!claims.join("clash").exists(), "two runs used one GPU at once");
}
