//! Runs that wait for what they compute on: one after the other, in the order that the user wants, never two on one GPU.

use serde_json::{Value, json};

use crate::{
    starting::with_gpus,
    support::lab::{Lab, Run, kill, until},
};

fn state(lab: &Lab, run: &Run) -> Value {
    let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    listed.iter().find(|it| it["run"] == json!(run.id())).expect("listed")["state"].clone()
}

fn queued(lab: &Lab, args: &[&str]) -> Run {
    let said = lab.train(&[&["--queue"], args].concat()).ok();
    assert!(said.stderr.contains("Queued"), "{said}");
    lab.run(said.stdout.trim())
}

fn order(lab: &Lab) -> Vec<String> {
    let rows = lab.sandbox.dpgui(&["queue", "--json"]).ok().events();
    let (whole, rows) = rows.split_first().expect("the queue itself");
    assert_eq!((&whole["event"], &whole["waiting"]), (&"queue".into(), &rows.len().into()));
    rows.iter().map(|it| it["run"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn two_runs_share_a_gpu_only_if_the_user_says_so() {
    let lab = with_gpus(&[("STEPS", "0")]);
    let first = lab.detached(&["--gpus", "0", "--name", "first"]);
    let refused = lab.train(&["--gpus", "0"]);
    assert_eq!(refused.code, Some(5), "{refused}");
    for words in ["GPU 0 is in use", &first.id(), "`--gpus 1`", "--queue", "--share"] {
        assert!(refused.stderr.contains(words), "{words}: {refused}");
    }
    assert_eq!(lab.sandbox.dpgui(&["runs", "--json"]).ok().events().len(), 1, "a refused run leaves nothing");
    assert!(!refused.stderr.contains("cpu-slots"), "there are GPUs: {refused}");
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
    let held = format!("training {} of {}", run.id(), lab.sandbox.root().display());
    assert!(said.code == Some(5) && said.stderr.contains(&held), "{said}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn a_copy_of_a_workspace_neither_starts_what_waits_there_nor_takes_what_trains_there_for_its_own() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let running = lab.detached(&["--name", "running"]);
    running.wait_for_log("steps: 2 ");
    let waiting = queued(&lab, &["--name", "waiting"]);
    let copy = lab.sandbox.path("copy").display().to_string();
    // What it is copied from writes on: a file that is cut is as good.
    let copied = std::process::Command::new("cp").arg("-r").arg(lab.sandbox.root()).arg(&copy).output();
    assert!(copied.expect("cp").status.code().is_some());
    let in_copy = |args: &[&str]| lab.sandbox.dpgui(&[&["-C", &copy], args].concat());
    let said = in_copy(&["runs", "--json"]).ok();
    assert_eq!(said.stdout.matches("is a copy of").count(), 2, "{said}");
    let state = |name: &str| {
        said.events().into_iter().find(|it| it["run"].as_str().is_some_and(|id| id.ends_with(name)))
    };
    let states = ["running", "waiting"].map(|name| state(name).expect("listed")["state"].clone());
    assert_eq!(states, ["lost", "withdrawn"], "{said}");
    assert_eq!(in_copy(&["stop"]).code, Some(2));
    assert!(!in_copy(&["runs"]).ok().stderr.contains("copy"), "it is said once");
    lab.sandbox.dpgui(&["stop", "running"]).ok();
    waiting.wait_for_log("steps: 1 ");
    lab.sandbox.dpgui(&["stop", "--now", "waiting"]).ok();
    assert_eq!(running.outcome(), json!({ "outcome": "stopped", "saved": true }));
}

#[test]
fn programs_that_are_no_runs_are_named_before_they_are_missed_memory() {
    let mut lab = with_gpus(&[]);
    let apps = format!("GPU-aa11, {}, 12000\nGPU-bb22, 999999, 1", std::process::id());
    lab.sandbox.env("FAKE_APPS", apps);
    let said = lab.train(&["--gpus", "0"]).ok();
    let words = format!("process {} (`", std::process::id());
    assert!(
        said.stderr.contains(&words) && said.stderr.contains("computes on GPU 0 and has 11.7 GiB of it"),
        "{said}"
    );
    assert!(!said.stderr.contains("999999"), "the other GPU is not used: {said}");
    assert_eq!(lab.only_run().events()[0], "strangers");
}

#[test]
fn a_stop_says_which_memory_is_free_again() {
    let mut lab = with_gpus(&[("STEPS", "0")]);
    let vram = lab.sandbox.write("vram", "20000");
    lab.sandbox.env("FAKE_VRAM", &vram);
    let run = lab.detached(&["--gpus", "0"]);
    run.wait_for_log("steps: 1 ");
    std::fs::write(&vram, "20000").expect("written");
    let said = lab.sandbox.dpgui(&["stop"]).ok();
    assert!(said.stderr.contains("Freed 14.6 GiB on GPU 0, 4.88 GiB still in use"), "{said}");
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
    let said = lab.sandbox.dpgui(&["queue", "hold", "b"]).ok();
    assert!(said.stderr.contains("until `dpgui queue resume 2"), "the run is named: {said}");
    assert_eq!(order(&lab), [fourth.id(), second.id(), third.id()]);
    let table = lab.sandbox.dpgui(&["queue"]).ok().stdout;
    assert!(
        table.contains(&format!("training {}", running.id())) && table.contains("the end of its hold"),
        "{table}"
    );
    lab.sandbox.dpgui(&["queue", "remove", "c"]).ok();
    assert_eq!(third.outcome(), json!({ "outcome": "withdrawn" }));
    assert_eq!(third.events(), ["queued", "stop-requested", "ended"], "nothing of it ever ran");
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
fn who_never_began_is_nobodys_newest_and_who_goes_on_may_wait() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let running = lab.detached(&["--name", "running"]);
    running.wait_for_log("steps: 2 ");
    let [withdrawn, waiting] = ["withdrawn", "waiting"].map(|name| queued(&lab, &["--name", name]));
    lab.sandbox.dpgui(&["queue", "remove", "withdrawn"]).ok();
    assert_eq!(withdrawn.outcome(), json!({ "outcome": "withdrawn" }));
    for args in [&["logs", "-n", "1"][..], &["runs", "show"]] {
        assert_ne!(lab.sandbox.dpgui(args).ok().stdout, "", "{args:?}");
    }
    let shown = lab.sandbox.dpgui(&["runs", "show", "waiting"]).ok().stdout;
    let said = |heading: &str| shown.lines().find(|it| it.starts_with(heading)).map(|it| it.ends_with(" -"));
    assert_eq!([said("started"), said("duration")], [Some(true); 2], "{shown}");
    assert!(shown.contains("`dpgui queue` says for what"), "{shown}");
    for (name, hint) in [("waiting", "`dpgui queue`"), ("withdrawn", "`dpgui train ")] {
        let refused = lab.sandbox.dpgui(&["resume", name]);
        assert!(refused.code == Some(2) && refused.stderr.contains(hint), "{refused}");
    }
    lab.sandbox.dpgui(&["stop", "running"]).ok();
    waiting.wait_for_log("steps: 1 ");
    let refused = lab.sandbox.dpgui(&["resume", "running"]);
    assert!(refused.code == Some(5) && refused.stderr.contains("`--queue` waits for it"), "{refused}");
    lab.sandbox.dpgui(&["resume", "running", "--queue"]).ok();
    let again = lab.other_runs(&[&running, &withdrawn, &waiting]).pop().expect("it waits");
    assert_eq!(state(&lab, &again), "queued");
    lab.sandbox.dpgui(&["stop", "waiting"]).ok();
    again.wait_for_log("Resuming training from checkpoint");
    lab.sandbox.dpgui(&["stop", &again.id()]).ok();
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
    // Its successor leaves it to others as well.
    run.kill_supervisor();
    until("its lock is free", || (!run.is_supervised()).then_some(()));
    assert_eq!(state(&lab, &run), "queued");
    let lock = std::fs::File::open(lab.sandbox.root().join(".dpgui/setup.lock")).expect("there");
    lock.try_lock().expect("nobody has it");
    lab.sandbox.dpgui(&["queue", "resume"]).ok();
    // It looks once a second.
    std::thread::sleep(std::time::Duration::from_millis(2500));
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

#[test]
fn starts_in_one_moment_are_refused_and_leave_nothing() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let starts = [(); 4].map(|()| lab.spawn(&["train", "configs/tiny.toml", "--detach"]));
    let mut codes = starts.map(|it| it.end().code);
    codes.sort_unstable();
    assert_eq!(codes, [Some(0), Some(5), Some(5), Some(5)]);
    assert_eq!(lab.sandbox.dpgui(&["runs", "--json"]).ok().events().len(), 1);
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn a_run_that_is_to_be_tried_again_keeps_its_place_though_its_supervisor_was_replaced() {
    let lab = Lab::new(&[("END", "killed"), ("CHECKPOINT", "2")]);
    lab.sandbox.write("w/dpgui.toml", "[runs]\nrestart-delay = '1 min'\n");
    let run = lab.detached(&["--restart", "on-failure:1"]);
    until("it waits for its next try", || (!run.state()["waiting"].is_null()).then_some(()));
    kill(run.supervisor(), "KILL");
    until("it has a successor", || run.events().contains(&"adopted".to_owned()).then_some(()));
    let refused = lab.train(&[]);
    assert!(refused.code == Some(5) && refused.stderr.contains(&run.id()), "{refused}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.outcome();
}

#[test]
fn a_waiting_run_whose_folder_is_deleted_is_gone_from_the_queue() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let running = lab.detached(&["--name", "running"]);
    running.wait_for_log("steps: 1 ");
    let [deleted, next] = ["deleted", "next"].map(|name| queued(&lab, &["--name", name]));
    std::fs::remove_dir_all(&deleted.path).expect("deleted");
    lab.sandbox.dpgui(&["queue", "move", "next", "1"]).ok();
    until("nobody looks after it", || deleted.supervisors().is_empty().then_some(()));
    assert!(!deleted.path.exists(), "it came back");
    assert_eq!(order(&lab), [next.id()]);
    lab.sandbox.dpgui(&["stop", "running"]).ok();
    next.wait_for_log("steps: 1 ");
    lab.sandbox.dpgui(&["stop", "--now", "next"]).ok();
}

#[test]
fn what_a_successor_starts_is_as_quick_as_any() {
    let lab = Lab::new(&[("STEPS", "0")]);
    lab.sandbox.dpgui(&["queue", "hold"]).ok();
    let run = queued(&lab, &[]);
    until("it has a keeper", || (!run.keepers().is_empty()).then_some(()));
    kill(run.supervisor(), "KILL");
    until("it has a successor", || run.events().contains(&"adopted".to_owned()).then_some(()));
    lab.sandbox.dpgui(&["queue", "resume"]).ok();
    run.wait_for_log("steps: 1 ");
    for pid in run.processes() {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
        let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
        assert_eq!(fields[16], "0", "the priority of {pid}");
    }
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn a_queue_that_cannot_be_read_holds_everybody() {
    let lab = Lab::new(&[]);
    lab.sandbox.dpgui(&["queue", "hold"]).ok();
    let run = queued(&lab, &[]);
    let file = lab.sandbox.root().join(".dpgui/queue.json");
    let good = std::fs::read_to_string(&file).expect("there");
    std::fs::write(&file, "{").expect("written");
    let said = lab.sandbox.dpgui(&["queue"]);
    assert!(said.code != Some(0) && said.stderr.contains("queue.json"), "{said}");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(state(&lab, &run), "queued");
    std::fs::write(&file, good).expect("written");
    lab.sandbox.dpgui(&["queue", "resume"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
}

#[test]
fn whoever_watches_a_run_that_waits_is_told_what_for() {
    let lab = with_gpus(&[("STEPS", "0")]);
    let first = lab.detached(&["--gpus", "0", "--name", "first"]);
    let second = queued(&lab, &["--gpus", "0", "--name", "second"]);
    let mut watching = lab.sandbox.command(&["watch", "second"]);
    let watching = watching.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn();
    let mut watching = watching.expect("it starts");
    let mut said = std::io::BufReader::new(watching.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).expect("it says something");
    let how_far = line.contains("waiting in the queue");
    if how_far {
        line.clear();
        std::io::BufRead::read_line(&mut said, &mut line).expect("it says more");
    }
    assert!(line.contains("it waits for ") && line.contains(&first.id()), "{line}");
    lab.sandbox.dpgui(&["queue", "remove", &second.id()]).ok();
    lab.sandbox.dpgui(&["stop", "--now", "first"]).ok();
    watching.wait().expect("it ends with the run");
}

#[test]
fn whoever_waits_for_several_gpus_is_overtaken_by_nobody_who_wants_one_of_them() {
    let lab = with_gpus(&[("STEPS", "0")]);
    let first = lab.detached(&["--gpus", "0", "--name", "first"]);
    let both = queued(&lab, &["--gpus", "0,1", "--name", "both"]);
    let one = queued(&lab, &["--gpus", "1", "--name", "one"]);
    // GPU 1 is free all the time.
    let refused = lab.train(&["--gpus", "1"]);
    let kept = format!("GPU 1 is kept for {}, which waits in the queue for GPUs 0, 1", both.id());
    assert!(refused.code == Some(5) && refused.stderr.contains(&kept), "{refused}");
    assert!(refused.stderr.contains("--queue") && !refused.stderr.contains("take what is free"), "{refused}");
    let table = lab.sandbox.dpgui(&["queue", "list"]).ok().stdout;
    let front = format!("GPU 0, in use by process {} (training {}", first.supervisor(), first.id());
    let behind = format!("{}, which is before it and wants GPU 1 too", both.id());
    assert!(table.contains(&front) && table.contains(&behind), "{table}");
    assert_eq!([state(&lab, &both), state(&lab, &one)], ["queued", "queued"]);
    // A front that is held keeps nothing from anybody.
    lab.sandbox.dpgui(&["queue", "hold", "both"]).ok();
    one.wait_for_log("steps: 1 ");
    lab.sandbox.dpgui(&["queue", "resume", "both"]).ok();
    lab.sandbox.dpgui(&["stop", "--now", "one"]).ok();
    assert_eq!(lab.train(&["--gpus", "1"]).code, Some(5), "it is kept again");
    lab.detached(&["--gpus", "1", "--share", "--name", "told"]);
    for name in ["told", "first"] {
        lab.sandbox.dpgui(&["stop", "--now", name]).ok();
    }
    both.wait_for_log("steps: 1 ");
    lab.sandbox.dpgui(&["stop", "--now", "both"]).ok();
}
