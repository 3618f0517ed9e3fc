//! What is done about a living run: saved on request, tried again, ended when nothing comes of it, told of.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::support::lab::{Lab, Run, kill, until};

fn records(run: &Run, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(run.path.join("events.jsonl")).expect("events");
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    all.filter(|it| it["event"] == name).collect()
}

fn settings(lab: &Lab, text: &str) {
    lab.sandbox.write("w/dpgui.toml", text);
}

fn checkpoints(folder: &Path) -> usize {
    let names = fs::read_dir(folder).expect("the trainer's folder").flatten();
    names.filter(|it| it.file_name().to_string_lossy().starts_with("global_step")).count()
}

#[test]
fn a_save_writes_a_checkpoint_and_the_training_goes_on() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let said = lab.sandbox.dpgui(&["save", "--json"]).ok();
    let event = &said.events()[0];
    assert_eq!(event["event"], "checkpoint-saved", "{said}");
    let step = event["step"].as_u64().expect("a step");
    assert!(
        Path::new(event["checkpoint"].as_str().expect("a path")).join("mp_rank_00_model_states.pt").exists()
    );
    run.wait_for_log(&format!("steps: {} ", step + 3));
    // Again, from another supervisor.
    run.kill_supervisor();
    let said = lab.sandbox.dpgui(&["save"]).ok();
    assert!(said.stderr.contains("Saved"), "{said}");
    assert_eq!(checkpoints(&lab.trainer_folder("output")), 2);
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.assert_nobody_left();
    assert_eq!(records(&run, "saved").len(), 2);
}

#[test]
fn what_cannot_be_saved_is_said_at_once() {
    let lab = Lab::new(&[("CACHE", "60")]);
    assert_eq!(lab.sandbox.dpgui(&["save"]).code, Some(2), "no run is running");
    let run = lab.detached(&[]);
    run.wait_for_log("caching latents");
    until("the state says so", || {
        let said = lab.sandbox.dpgui(&["save"]);
        said.stderr.contains("is caching: there is nothing to save yet").then_some(())
    });
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.assert_nobody_left();
}

#[test]
fn a_stop_without_a_save_lets_the_ranks_unwind_and_writes_no_checkpoint() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop", "--no-save"]).ok();
    run.assert_nobody_left();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": false }));
    assert_eq!(checkpoints(&lab.trainer_folder("output")), 0);
    assert!(String::from_utf8_lossy(&run.log()).contains("KeyboardInterrupt"));
}

#[test]
fn a_killed_training_goes_on_from_its_newest_checkpoint() {
    let knobs = [("STEPS", "7"), ("CHECKPOINT", "3"), ("END", "killed"), ("AGAIN", "complete")];
    let lab = Lab::new(&knobs);
    settings(&lab, "runs.restart-delay = '0.2 s'\n");
    let said = lab.train(&["--restart", "on-failure:2", "--json"]).ok();
    let run = lab.only_run();
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }), "{said}");
    let restarts = records(&run, "restarting");
    assert_eq!((restarts.len(), &restarts[0]["step"]), (1, &json!(6)));
    assert_eq!(records(&run, "attempt-ended")[0]["outcome"]["outcome"], "killed");
    assert_eq!(records(&run, "ended").len(), 1);
    let events = said.events();
    let told: Vec<&Value> = events.iter().filter(|it| it["event"] == "run-restarting").collect();
    let told = told.first().expect("whoever looks on hears of it");
    assert_eq!((&told["outcome"], &told["step"], &told["number"]), (&json!("killed"), &json!(6), &json!(1)));
    assert_eq!((&told["without_progress"], &told["limit"]), (&json!(1), &json!(2)), "{told}");
    assert!(told["cause"].as_str().is_some_and(|it| it.contains("killed")), "{told}");
    let log = String::from_utf8(run.log()).expect("text");
    assert!(log.contains("Resuming training from checkpoint. Resuming at epoch: 1, step: 7"), "{log}");
    assert!(lab.trainer_folder("output").join("latest").exists(), "in the same folder");
    // Of a step that was done twice it is told in which try.
    let csv = lab.sandbox.dpgui(&["logs", "--csv"]).ok().stdout;
    let rows = csv.lines().skip(1).map(|row| {
        let fields: Vec<&str> = row.split(',').collect();
        (fields[0].to_owned(), fields[fields.len() - 1].to_owned())
    });
    let steps = lab.sandbox.dpgui(&["logs", "--metrics", "--json"]).ok().events();
    let lines = steps.iter().map(|it| (it["step"].to_string(), it["attempt"].to_string()));
    let expected = [(1..8, 1), (7..8, 2)].map(|(steps, attempt)| {
        steps.map(|step: u64| (step.to_string(), attempt.to_string())).collect::<Vec<_>>()
    });
    assert_eq!(rows.collect::<Vec<_>>(), expected.concat(), "{csv}");
    assert_eq!(lines.collect::<Vec<_>>(), expected.concat());
}

#[test]
fn a_restart_outlives_the_supervisor_that_planned_it() {
    let knobs = [("STEPS", "7"), ("CHECKPOINT", "3"), ("END", "killed"), ("AGAIN", "complete")];
    let lab = Lab::new(&knobs);
    settings(&lab, "runs.restart-delay = '2 s'\n");
    let run = lab.detached(&["--restart", "on-failure"]);
    until("it waits", || (records(&run, "restarting").len() == 1).then_some(()));
    run.kill_supervisor();
    until("it has ended", || {
        lab.sandbox.dpgui(&["runs"]).ok();
        (records(&run, "ended").len() == 1).then_some(())
    });
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    run.assert_nobody_left();
}

#[test]
fn a_training_that_never_gets_further_is_given_up() {
    let knobs = [("STEPS", "4"), ("CHECKPOINT", "3"), ("END", "killed")];
    let lab = Lab::new(&knobs);
    settings(&lab, "runs.restart-delay = '0.1 s'\n");
    let said = lab.train(&["--restart", "on-failure:2"]);
    assert_eq!(said.code, Some(1), "{said}");
    for told in [
        "Restarting",
        "was killed with SIGKILL: ",
        "from the checkpoint at step 3; try 1 of 2 without",
        "try 2 of 2 without",
    ] {
        assert!(said.stderr.contains(told), "no `{told}` in {said}");
    }
    let run = lab.only_run();
    assert_eq!(run.outcome(), json!({ "outcome": "killed", "signal": 9 }));
    assert_eq!((records(&run, "restarting").len(), records(&run, "ended").len()), (2, 1));
    assert_eq!(records(&run, "not-restarted")[0]["why"], "no-progress");
    let why = "tried again: its restarts are used up, and none has reached a new checkpoint";
    assert!(said.stderr.contains(&format!("not {why}")), "{said}");
    let shown = lab.sandbox.dpgui(&["runs", "show"]).ok().stdout;
    assert!(shown.contains(&format!("is not {why}")), "{shown}");
    assert_eq!(run.json("state.json").expect("a state")["not_restarted"], "no-progress");
    let shown = lab.sandbox.dpgui(&["runs", "show", "--json"]).ok().events();
    assert_eq!(shown[0]["not_restarted"], "no-progress");
    run.assert_nobody_left();
}

#[test]
fn a_failure_of_the_trainers_own_is_not_tried_again() {
    let lab = Lab::new(&[("STEPS", "4"), ("CHECKPOINT", "3"), ("END", "3")]);
    let said = lab.train(&["--restart", "on-failure"]);
    assert_eq!(said.code, Some(1), "{said}");
    let run = lab.only_run();
    assert_eq!(records(&run, "not-restarted")[0]["why"], "would-fail-again");
}

#[test]
fn a_run_that_is_stopped_is_not_said_to_fail_again() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&["--restart", "on-failure"]);
    run.wait_for_log("steps: 2 ");
    let said = lab.sandbox.dpgui(&["stop"]).ok();
    assert!(!said.stderr.contains("tried again"), "{said}");
    assert_eq!(run.outcome()["outcome"], "stopped");
    assert_eq!(records(&run, "not-restarted").len(), 0);
}

#[test]
fn a_failure_that_is_known_to_pass_is_tried_again_and_its_cause_is_of_its_own_attempt() {
    let said = "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network \
                address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use";
    let knobs = [("STEPS", "4"), ("CHECKPOINT", "3"), ("END", "1"), ("LAST", said), ("AGAIN", "killed")];
    let lab = Lab::new(&knobs);
    settings(&lab, "runs.restart-delay = '0.1 s'\n");
    let said = lab.train(&["--restart", "on-failure:2"]);
    assert_eq!(said.code, Some(1), "{said}");
    let run = lab.only_run();
    let causes: Vec<Value> = records(&run, "diagnosed").into_iter().map(|it| it["id"].clone()).collect();
    assert_eq!(causes[0], "port_in_use", "{causes:?}");
    assert!(causes[1..].iter().all(|it| it != "port_in_use"), "{causes:?}");
    assert_eq!(records(&run, "attempt-ended")[0]["outcome"]["outcome"], "failed");
    assert_eq!(run.outcome(), json!({ "outcome": "killed", "signal": 9 }));
}

#[test]
fn a_gpu_without_enough_memory_is_an_outcome_of_its_own_and_not_tried_again() {
    let said = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of \
                23.64 GiB of which 1.00 GiB is free.";
    let lab = Lab::new(&[("STEPS", "4"), ("CHECKPOINT", "3"), ("END", "1"), ("LAST", said)]);
    let said = lab.train(&["--restart", "on-failure"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("a GPU ran out of memory"), "{said}");
    let run = lab.only_run();
    assert_eq!(run.outcome(), json!({ "outcome": "out-of-memory", "memory": "gpu" }));
    assert_eq!(records(&run, "not-restarted").len(), 1);
    let rows = lab.sandbox.dpgui(&["runs"]).ok().stdout;
    assert!(rows.contains("out of memory"), "{rows}");
}

#[test]
fn a_training_that_begins_anew_instead_of_going_on_is_ended() {
    let mut lab = Lab::new(&[("STEPS", "7"), ("CHECKPOINT", "3")]);
    lab.train(&[]).ok();
    let run = lab.only_run();
    lab.sandbox.env("FAKE_ANEW", "yes").env("FAKE_STEPS", "0");
    lab.change("configs/tiny.toml", "max_steps = 400", "max_steps = 500");
    let said = lab.train(&["--resume"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("began at step 1: the checkpoint was not loaded"), "{said}");
    assert_eq!(lab.other_run(&run).outcome(), json!({ "outcome": "abandoned", "concern": "not-resumed" }));
}

#[test]
fn a_loss_that_is_no_number_ends_the_run_if_the_user_wants_that() {
    let lab = Lab::new(&[("STEPS", "0"), ("NAN", "5")]);
    let said = lab.train(&["--on-nan", "stop"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("its loss was not a number any more"), "{said}");
    let run = lab.only_run();
    assert_eq!(run.outcome(), json!({ "outcome": "abandoned", "concern": "not-a-number" }));
    assert_eq!(records(&run, "alarm")[0]["alarm"]["alarm"], "not-a-number");
    let said = lab.sandbox.dpgui(&["diagnose"]).stdout;
    for words in [
        "the loss has not been a number for ",
        "the last step was ",
        "by `--on-nan stop`",
        "configs/tiny.toml --resume",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    assert_eq!(records(&run, "diagnosed")[0]["id"], "loss_not_a_number");
    run.assert_nobody_left();
}

#[test]
fn a_training_goes_on_from_where_its_loss_was_a_number() {
    let mut lab = Lab::new(&[("STEPS", "30"), ("NAN", "12"), ("CHECKPOINT", "5"), ("STEP_TIME", "0.002")]);
    let said = lab.train(&[]).ok();
    assert!(said.stderr.contains("loss was no number from step 12 on: what was saved since is"), "{said}");
    let listed = lab.sandbox.dpgui(&["runs"]).ok().stdout;
    assert!(listed.contains(" NaN "), "{listed}");
    let told = lab.sandbox.dpgui(&["diagnose"]).ok().stdout;
    assert!(
        told.contains("is complete; the loss was no number from step 12 on") && told.contains("--resume"),
        "{told}"
    );
    lab.change("configs/tiny.toml", "max_steps = 400", "max_steps = 401");
    let resumed = |lab: &Lab, resume: &str, name: &str| {
        let said = lab.train(&["--resume", resume, "--name", name, "--detach"]).ok();
        lab.run(said.stdout.trim()).outcome();
        said.stderr
    };
    let said = resumed(&lab, "tiny", "again");
    for words in [
        "from step 12 on",
        "at step 30 is passed over, and the one at step 10 is used",
        "from the checkpoint at step 10 of ",
    ] {
        assert!(said.contains(words), "no `{words}` in {said}");
    }
    let said = resumed(&lab, "tiny@30", "all-the-same");
    assert!(said.contains("so the checkpoint at step 30 may hold nothing that can be trained on"), "{said}");
    // What a healthy run wrote there since is judged by that run.
    lab.sandbox.env("FAKE_NAN", "1000000");
    resumed(&lab, "tiny@10", "healthy");
    let said = resumed(&lab, "tiny", "on");
    assert!(said.contains("from the checkpoint at step 30 of ") && !said.contains("no number"), "{said}");
}

#[test]
fn a_training_that_hangs_is_told_of_and_goes_on_or_ends_as_the_user_wants() {
    let lab = Lab::new(&[("STEPS", "0"), ("HANG", "30")]);
    settings(&lab, "runs.stall-after = '1 s'\n");
    let run = lab.detached(&[]);
    until("it is noticed", || records(&run, "alarm").first().cloned());
    let said = lab.sandbox.dpgui(&["runs", "--json"]).ok();
    assert_eq!(said.events()[0]["ended"], false, "{said}");
    let told = || {
        let said = lab.sandbox.dpgui(&["runs"]).ok().stdout;
        let (_, wrong) = said.split_once("WRONG")?.1.split_once(" for ")?;
        wrong.split_once(" s")?.0.parse::<u64>().ok()
    };
    let first = until("the list says for how long", told);
    until("the list counts on", || told().filter(|it| *it > first));
    let shown = lab.sandbox.dpgui(&["runs", "show"]).ok().stdout;
    assert!(shown.lines().any(|it| it.starts_with("wrong") && it.contains(" for ")), "{shown}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();

    let said = lab.train(&["--on-stall", "stop"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(
        said.stderr.contains("if nothing happens for 1.00 s, it is stopped, by `--on-stall stop`"),
        "{said}"
    );
    // Whether it was silence or a missing step that was noticed first.
    assert!(said.stderr.contains("; now it is stopped, by `--on-stall stop`"), "{said}");
    let other = lab.other_run(&run);
    assert_eq!(other.outcome(), json!({ "outcome": "abandoned", "concern": "stalled" }));
    let state = other.json("state.json").expect("a state");
    assert_eq!(state["diagnosis"]["id"], "stalled", "{state}");
    for words in [
        "the last step was 30",
        "by `--on-stall stop` with `stall-after` at 1.00 s",
        "configs/tiny.toml --resume",
    ] {
        assert!(
            said.stderr.contains(words) || state["diagnosis"].to_string().contains(words),
            "no `{words}` in {said}"
        );
    }
    other.assert_nobody_left();
}

#[test]
fn a_dead_caching_process_is_noticed_although_the_trainer_waits_for_it() {
    let lab = Lab::new(&[("CACHE", "dies")]);
    settings(&lab, "runs.stall-after = '2 s'\n");
    let said = lab.train(&["--on-stall", "stop"]);
    assert_eq!(said.code, Some(1), "{said}");
    let alarm = &records(&lab.only_run(), "alarm")[0];
    assert_eq!(alarm["alarm"]["alarm"], "caching-died", "{said}");
    assert!(said.stderr.contains("the process that caches the dataset is gone"), "{said}");
    assert!(said.stderr.contains("it had done no step: it was caching"), "{said}");
}

#[test]
fn a_command_and_an_address_hear_of_the_end() {
    let server = crate::support::file_server::FileServer::start();
    let lab = Lab::new(&[("STEPS", "2")]);
    let heard = lab.sandbox.root().join("heard");
    settings(&lab, &format!("runs.notify = [\"{}\"]\n", server.file("/hook", "")));
    let command = format!("echo \"$DPGUI_EVENT $DPGUI_STATE $DPGUI_MESSAGE\" > {}", heard.display());
    lab.train(&["--notify", &command]).ok();
    let run = lab.only_run();
    let text = until("the command heard", || fs::read_to_string(&heard).ok().filter(|it| it.ends_with('\n')));
    let id = run.path.file_name().expect("an id").to_string_lossy().into_owned();
    assert_eq!(text, format!("ended completed {id}: the training is complete\n"));
    until("the address was asked", || {
        server.requests().iter().any(|it| it.contains("POST /hook")).then_some(())
    });
    // An address holds a key: it is nowhere that is shown.
    let spec = run.spec().to_string();
    assert!(!spec.contains("/hook"), "{spec}");
    let mode = fs::metadata(run.path.join("notify.json")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn whoever_could_not_be_told_is_on_record_and_shown_and_the_cause_is_told() {
    let last = "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network \
                address. port: 29500, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use";
    let lab = Lab::new(&[("STEPS", "2"), ("END", "1"), ("LAST", last)]);
    let heard = lab.sandbox.root().join("heard");
    let command =
        format!("echo \"$DPGUI_MESSAGE\" > {0}; echo \"$DPGUI_NOTICE\" > {0}.json", heard.display());
    let refused = lab.train(&["--notify", "ftp://x"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("`ftp://` cannot be told"), "{refused}");
    lab.train(&["--notify", &command, "--notify", "echo no such bell >&2; exit 3"]);
    let run = lab.only_run();
    let cause =
        run.json("state.json").expect("a state")["diagnosis"]["cause"].as_str().expect("one").to_owned();
    let notice = until("the command heard", || {
        serde_json::from_str::<Value>(&fs::read_to_string(heard.with_extension("json")).ok()?).ok()
    });
    assert_eq!(notice["cause"], cause.as_str(), "{notice}");
    let text = fs::read_to_string(&heard).expect("heard");
    assert!(text.trim_end().ends_with(&format!("the training failed with exit code 1: {cause}")), "{text}");
    until("it is on record", || (records(&run, "not-told").len() == 1).then_some(()));
    let sequence: Vec<u64> = fs::read_to_string(run.path.join("events.jsonl"))
        .expect("events")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(sequence, (1..=sequence.len() as u64).collect::<Vec<_>>(), "one writer at a time");
    let shown = lab.sandbox.dpgui(&["runs", "show"]).ok();
    assert!(shown.stderr.contains("no such bell"), "{shown}");
    let shown = lab.sandbox.dpgui(&["runs", "show", "--json"]).ok().events();
    assert!(shown[0]["not_told"][0].as_str().expect("why").contains("no such bell"), "{shown:?}");
}

/// The run as it would be after the machine went down under it.
fn reboot(run: &Run) {
    run.kill_supervisor();
    for pid in run.processes() {
        kill(pid, "KILL");
    }
    until("all are gone", || run.processes().is_empty().then_some(()));
    let file = run.path.join("spec.json");
    let mut spec = run.spec();
    spec["boot_id"] = json!("another");
    fs::write(file, spec.to_string()).expect("written");
}

#[test]
fn after_a_reboot_what_was_cut_off_goes_on_as_it_was_started_and_only_once() {
    let knobs = [("STEPS", "0"), ("STEP_TIME", "0.05"), ("CHECKPOINT", "3")];
    let mut lab = Lab::new(&knobs);
    assert!(lab.sandbox.dpgui(&["resume", "--all"]).ok().stderr.contains("no run was cut off"));
    let run = lab.detached(&["--restart", "on-failure:7", "--on-nan", "stop", "--", "--trust_cache"]);
    run.wait_for_log("steps: 4 ");
    reboot(&run);
    lab.sandbox.env("FAKE_STEPS", "30");
    lab.sandbox.dpgui(&["resume", "--all"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "interrupted" }));
    let next = lab.other_run(&run);
    let (before, spec) = (run.spec(), next.spec());
    for key in ["passed_on", "watchdog", "restart", "devices", "source"] {
        assert_eq!(spec[key], before[key], "{key}");
    }
    assert_eq!(spec["passed_on"], json!(["--trust_cache"]));
    next.wait_for_log("Resuming training from checkpoint");
    // It goes on: nothing is left to be resumed, now or when it has ended.
    assert!(lab.sandbox.dpgui(&["resume", "--all"]).ok().stderr.contains("no run was cut off"));
    until("it has ended", || {
        let state = fs::read_to_string(next.path.join("state.json")).ok()?;
        state.contains("completed").then_some(())
    });
    assert!(lab.sandbox.dpgui(&["resume", "--all"]).ok().stderr.contains("no run was cut off"));
}

#[test]
fn after_a_reboot_what_was_cut_off_comes_before_what_had_waited_for_it() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05"), ("CHECKPOINT", "3")]);
    let cut = lab.detached(&["--name", "cut"]);
    cut.wait_for_log("steps: 4 ");
    let waits = lab.run(lab.train(&["--queue", "--name", "waits"]).ok().stdout.trim());
    let state = |run: &Run| -> String {
        let text = fs::read_to_string(run.path.join("state.json")).unwrap_or_default();
        serde_json::from_str(&text).map_or(String::new(), |it: serde_json::Value| it["state"].to_string())
    };
    until("it waits", || (state(&waits) == "\"queued\"").then_some(()));
    waits.kill_supervisor();
    reboot(&cut);
    lab.sandbox.dpgui(&["resume", "--all"]).ok();
    assert_eq!(cut.outcome(), json!({ "outcome": "interrupted" }));
    let next = lab.other_runs(&[&cut, &waits]).pop().expect("it goes on");
    next.wait_for_log("Resuming training from checkpoint");
    assert_eq!(state(&waits), "\"queued\"");
    // No other command sets the queue going.
    waits.kill_supervisor();
    queued_before_reboot(&lab);
    reboot(&next);
    lab.sandbox.dpgui(&["runs"]).ok();
    let listed = lab.sandbox.dpgui(&["queue"]).ok();
    assert!(listed.stderr.contains("the queue waits, for the machine was restarted"), "{listed}");
    let whole = lab.sandbox.dpgui(&["queue", "--json"]).ok().events()[0].clone();
    assert_eq!(whole["held"], true);
    let is_why = |it: &Value| it.as_str().is_some_and(|it| it.contains("the machine was restarted"));
    assert!(is_why(&whole["why_held"]), "{whole}");
    // To let one run go on lets nobody begin, and says so.
    let one = lab.sandbox.dpgui(&["queue", "resume", "waits"]).ok();
    assert!(one.stderr.contains("; the queue waits, for the machine was restarted"), "{one}");
    let one = lab.sandbox.dpgui(&["queue", "resume", "waits", "--json"]).ok().events()[0].clone();
    assert!(one["held"] == false && is_why(&one["why_held"]), "{one}");
    lab.sandbox.dpgui(&["resume", "--all"]).ok();
    let last = lab.other_runs(&[&cut, &waits, &next]).pop().expect("it goes on");
    last.wait_for_log("Resuming training from checkpoint");
    assert_eq!(state(&waits), "\"queued\"");
    lab.sandbox.dpgui(&["stop", "--now", &last.id()]).ok();
    waits.wait_for_log("steps: 2 ");
    // Nor does it need what was cut off to be resumed.
    let third = lab.run(lab.train(&["--queue", "--name", "third"]).ok().stdout.trim());
    queued_before_reboot(&lab);
    lab.sandbox.dpgui(&["stop", "--now", "waits"]).ok();
    let fourth = lab.train(&["--queue", "--name", "fourth"]).ok();
    assert!(fourth.stderr.contains("the machine was restarted"), "{fourth}");
    assert_eq!(state(&third), "\"queued\"");
    lab.sandbox.dpgui(&["queue", "remove", "fourth"]).ok();
    lab.sandbox.dpgui(&["queue", "resume"]).ok();
    third.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop", "--now", "third"]).ok();
}

/// What is in the queue came there before the machine was restarted.
fn queued_before_reboot(lab: &Lab) {
    let file = lab.sandbox.root().join(".dpgui/queue.json");
    let mut queue: Value = serde_json::from_str(&fs::read_to_string(&file).expect("a queue")).expect("JSON");
    let life = queue["boot_id"].as_str().expect("one").to_owned();
    queue["boot_id"] = json!(format!("{} another", life.split(' ').next().expect("a machine")));
    fs::write(file, queue.to_string()).expect("written");
}

#[test]
fn a_supervisor_that_somebody_halted_is_let_go_on_to_hear_a_stop() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    kill(run.supervisor(), "STOP");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": false }));
    run.assert_nobody_left();
}

#[test]
fn one_that_takes_long_to_be_told_does_not_delay_the_word_to_others() {
    let lab = Lab::new(&[("STEPS", "2")]);
    let heard = lab.sandbox.root().join("heard");
    let (slow, quick) = (
        format!("until [ -e {0} ]; do sleep 0.05; done; touch {0}.too", heard.display()),
        format!("touch {}", heard.display()),
    );
    lab.train(&["--notify", &slow, "--notify", &quick]).ok();
    until("both heard", || heard.with_extension("too").exists().then_some(()));
}

#[test]
fn what_the_machine_ended_in_order_was_saved_and_goes_on_and_what_a_user_stopped_does_not() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05")]);
    for (name, expected) in [("stopped", "no run was cut off"), ("cut", "Training")] {
        let run = lab.detached(&["--name", name]);
        run.wait_for_log("steps: 5 ");
        if name == "stopped" {
            lab.sandbox.dpgui(&["stop", "--now", &run.id()]).ok();
            assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": false }));
        } else {
            kill(run.supervisor(), "TERM");
            assert_eq!(run.outcome(), json!({ "outcome": "interrupted" }), "{:?}", run.history());
            let happened = run.events();
            assert!(happened.iter().any(|it| it == "save-requested"), "{happened:?}");
            assert!(!happened.iter().any(|it| it == "signalled"), "it left in order: {happened:?}");
        }
        until("its supervisor has gone", || (!run.is_supervised()).then_some(()));
        run.assert_nobody_left();
        let said = lab.sandbox.dpgui(&["resume", "--all"]).ok();
        assert!(said.stderr.contains(expected), "{said}");
    }
    lab.sandbox.dpgui(&["stop", "--now", "cut"]).ok();
}

/// What systemd does to all processes of a control group, in whatever order.
#[test]
fn where_a_shutdown_reaches_the_ranks_first_the_run_was_cut_off_by_it_all_the_same() {
    for launcher in ["deepspeed", "direct"] {
        for is_supervisor_first in [true, false] {
            let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05"), ("CHECKPOINT", "3")]);
            let run = lab.detached(&["--launcher", launcher]);
            run.wait_for_log("steps: 5 ");
            // What it starts has its cookie, as it has not itself.
            let mut all = [run.keepers(), run.processes()].concat();
            if is_supervisor_first {
                all.insert(0, run.supervisor());
            } else {
                all.push(run.supervisor());
            }
            for pid in all {
                kill(pid, "TERM");
            }
            let what = format!("{launcher}, {is_supervisor_first}: {:?}", run.history());
            assert_eq!(run.outcome(), json!({ "outcome": "interrupted" }), "{what}");
            until("its supervisor has gone", || (!run.is_supervised()).then_some(()));
            run.assert_nobody_left();
            let said = lab.sandbox.dpgui(&["resume", "--all"]).ok();
            assert!(said.stderr.contains("Training"), "{what}: {said}");
            lab.sandbox.dpgui(&["stop", "--now", &lab.other_run(&run).id()]).ok();
        }
    }
}

/// Programs that answer as those of systemd do, and write down what they were asked.
fn with_systemd(lab: &mut Lab, kills: &str) {
    lab.sandbox.env("XDG_SESSION_ID", "1");
    lab.sandbox.program(
        "loginctl",
        &format!("#!/bin/sh\n[ \"$1\" = show-user ] && echo Linger=no || echo KillUserProcesses={kills}\n"),
    );
    lab.sandbox.program("systemctl", "#!/bin/sh\necho \"$*\" >> \"$HOME/systemctl\"\n");
    lab.sandbox.program(
        "systemd-run",
        "#!/bin/sh\necho \"$*\" >> \"$HOME/systemd-run\"\nwhile [ \"$1\" != -- ]; do shift; done; shift; exec \"$@\"\n",
    );
}

#[test]
fn where_a_logout_kills_processes_the_run_lives_in_a_scope_of_its_own_and_that_is_said() {
    let mut lab = Lab::new(&[("STEPS", "2")]);
    with_systemd(&mut lab, "yes");
    let said = lab.train(&[]).ok();
    assert!(said.stderr.contains("ends the run when your last login ends"), "{said}");
    let home = lab.sandbox.path("home");
    let asked = fs::read_to_string(home.join("systemd-run")).expect("it was used");
    assert!(asked.starts_with("--user --scope --quiet --collect --unit=dpgui-"), "{asked}");

    let mut lab = Lab::new(&[("STEPS", "2")]);
    with_systemd(&mut lab, "no");
    let said = lab.train(&[]).ok();
    assert!(!said.stderr.contains("log"), "{said}");
    assert!(!lab.sandbox.path("home").join("systemd-run").exists());
}

/// By what the kernel tells in `/proc/PID/status`.
fn catches_interrupts(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask").trim();
    u64::from_str_radix(caught, 16).expect("a number") & (1 << (2 - 1)) != 0
}

#[test]
fn whoever_does_not_wait_for_a_stop_is_told_that_it_goes_on() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05"), ("SAVE", "no")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let mut stop = lab.sandbox.command(&["stop"]);
    let stop = stop.stderr(std::process::Stdio::piped()).spawn().expect("started");
    until("it is asked to save", || run.events().iter().any(|it| it == "save-requested").then_some(()));
    until("it is ready for a Ctrl-C", || catches_interrupts(stop.id()).then_some(()));
    kill(stop.id(), "INT");
    let said = stop.wait_with_output().expect("ended");
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(!said.status.success() && text.contains("the stop goes on without you"), "{text}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    assert_eq!(run.outcome()["outcome"], "stopped");
}

#[test]
fn an_adapter_that_cannot_be_made_costs_a_stop_one_line() {
    let lab = Lab::new(&[("STEPS", "0")]);
    lab.train(&["--detach"]).ok();
    let run = lab.only_run();
    run.wait_for_log("steps: 2 ");
    lab.sandbox
        .write("w/venv/bin/python", "#!/bin/sh\nexec python3 -c 'def adapter(): return 1 / 0\nadapter()'\n");
    let said = lab.sandbox.dpgui(&["stop"]).ok();
    assert!(
        said.stderr.contains("at step")
            && said.stderr.contains("ZeroDivisionError: division by zero; try again"),
        "{said}"
    );
    assert!(!said.stderr.contains("Traceback"), "{said}");
    let said = lab.sandbox.dpgui(&["export"]);
    assert!(said.code == Some(1) && said.stderr.contains("in adapter"), "{said}");
}

#[test]
fn the_service_is_a_unit_that_resumes_everything_and_goes_without_a_trace() {
    let mut lab = Lab::new(&[]);
    let said = lab.sandbox.dpgui(&["service", "install"]);
    assert_eq!(said.code, Some(8), "{said}");
    assert!(said.stderr.contains("@reboot"), "{said}");
    let units = lab.sandbox.path("home").join(".config/systemd/user");
    let count = || fs::read_dir(&units).map_or(0, Iterator::count);
    assert!(!lab.sandbox.path("home/.config").exists(), "a unit that nobody starts");
    with_systemd(&mut lab, "no");
    lab.sandbox.dpgui(&["service", "install"]).ok();
    assert_eq!(count(), 1);
    assert!(lab.sandbox.dpgui(&["service", "status"]).ok().stdout.starts_with("installed: "));
    assert_eq!(lab.sandbox.dpgui(&["--json", "service", "status"]).ok().events()[0]["installed"], true);
    let asked = fs::read_to_string(lab.sandbox.path("home").join("systemctl")).expect("asked");
    assert!(asked.contains("--user daemon-reload\n--user enable dpgui-"), "{asked}");
    lab.sandbox.dpgui(&["service", "remove"]).ok();
    assert_eq!(count(), 0);
    let asked = || fs::read_to_string(lab.sandbox.path("home").join("systemctl")).expect("asked");
    let before = asked();
    let said = lab.sandbox.dpgui(&["service", "remove"]).ok();
    assert!(
        said.stderr.contains("is installed for this workspace") && said.stderr.contains("-C WORKSPACE"),
        "{said}"
    );
    assert_eq!(asked(), before, "nothing was removed");
}
