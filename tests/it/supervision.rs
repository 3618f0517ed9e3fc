//! What a supervisor survives, and whom it leaves alone: a full disk, its own death, a deleted folder, bystanders.

use std::{
    io::{BufRead, BufReader},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{
    lab::{Lab, Run, kill, until},
    sandbox::Said,
};

/// Kills the run's supervisor, so that the next command has to replace it.
fn lose_supervisor(run: &Run) {
    run.kill_supervisor();
    until("the lock is free", || {
        let file = std::fs::File::open(run.path.join("supervisor.lock")).expect("a lock");
        file.try_lock_shared().is_ok().then_some(())
    });
}

#[test]
fn a_run_that_ends_while_the_disk_is_full_is_known_once_there_is_room() {
    for lose in ["", "kill -9 $(cut -d ' ' -f 2 $run/supervisor.lock)"] {
        let lab = Lab::new(&[("STEPS", "200"), ("STEP_TIME", "0.02")]);
        let script = format!(
            "set -e; mkdir runs; mount -t tmpfs -o size=1m none runs
            run=runs/$(\"$0\" train configs/tiny.toml --detach)
            cookie=$(sed -n 's/.*\"cookie\": *\"\\([0-9a-f]*\\)\".*/\\1/p' $run/spec.json)
            until grep -q 'steps: 2 ' $run/log/rank0/*.log; do sleep 0.05; done
            if cat /dev/zero > runs/filler 2>/dev/null; then exit 9; fi
            while grep -q \"DPGUI_RUN_ID=$cookie\" /proc/[0-9]*/environ 2>/dev/null; do sleep 0.05; done
            {lose}
            for again in 1 2 3; do \"$0\" runs >&2; done
            # It is known at once how it ended; what has no room is what comes after that.
            for again in $(seq 100); do
                \"$0\" runs --json > said; grep -q '\"state\":\"completed\"' said && break; sleep 0.1
            done
            cat said >&2; grep -q '\"state\":\"completed\"' said
            rm runs/filler
            until grep -q ended $run/state.json; do sleep 0.05; done
            until grep -q ended $run/events.jsonl; do sleep 0.05; done
            \"$0\" runs --json; cat $run/state.json $run/events.jsonl >&2"
        );
        let usual = lab.sandbox.command(&[]);
        let mut command = Command::new("/usr/bin/unshare");
        command.args(["--map-root-user", "--mount", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_dpgui")]);
        command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let said =
            Said::from(command.current_dir(lab.sandbox.root()).output().expect("unshare is there")).ok();
        assert_eq!(said.events()[0]["state"], "completed", "{said}");
    }
}

#[test]
fn a_stop_on_a_full_disk_ends_the_run_and_says_what_it_cannot_write() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let script = "mkdir runs; mount -t tmpfs -o size=1m none runs || exit 7
        run=runs/$(\"$0\" train configs/tiny.toml --detach)
        cookie=$(sed -n 's/.*\"cookie\": *\"\\([0-9a-f]*\\)\".*/\\1/p' $run/spec.json)
        until grep -q 'steps: 2 ' $run/log/rank0/*.log; do sleep 0.05; done
        if cat /dev/zero > runs/filler 2>/dev/null; then exit 9; fi
        \"$0\" stop --now 2> said; code=$?; cat said >&2
        if grep -q \"DPGUI_RUN_ID=$cookie\" /proc/[0-9]*/environ 2>/dev/null; then exit 11; fi
        test $code = 6 || exit 10
        grep -q 'Stopped' said || exit 12
        grep -q 'how it ended cannot be written: the disk of' said || exit 13
        \"$0\" runs --json
        \"$0\" stop; test $? = 2 || exit 14
        rm runs/filler
        until grep -q ended $run/state.json; do sleep 0.05; done
        grep -q ended $run/events.jsonl || exit 16
        \"$0\" stop ${run#runs/} >&2 || exit 15";
    let usual = lab.sandbox.command(&[]);
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_dpgui")]);
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Said::from(command.current_dir(lab.sandbox.root()).output().expect("unshare is there")).ok();
    assert_eq!(said.events()[0]["state"], "stopped", "{said}");
}

#[test]
fn a_bystander_that_reads_the_pipe_is_left_alone() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let pipe = run.path.join("rank0.fifo");
    let mut bystander = Command::new("/bin/sh");
    bystander.args(["-c", "exec 3< \"$0\"; echo ready; exec sleep 60"]).arg(pipe);
    let mut bystander = bystander.stdout(std::process::Stdio::piped()).spawn().expect("sh starts");
    let mut ready = [0; 6];
    std::io::Read::read_exact(bystander.stdout.as_mut().expect("piped"), &mut ready)
        .expect("it has the pipe");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.assert_nobody_left();
    assert_eq!(bystander.try_wait().expect("asked"), None, "it still sleeps");
    bystander.kill().expect("ended");
    bystander.wait().expect("ended");
}

#[test]
fn of_many_commands_that_find_no_supervisor_one_replaces_it_and_the_others_say_nothing() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    lose_supervisor(&run);
    let commands: Vec<_> = (0..8).map(|_| lab.spawn(&["runs"])).collect();
    for command in commands {
        command.end().ok();
    }
    assert_eq!(std::fs::read_to_string(run.path.join("supervisor.log")).expect("there"), "");
    assert_eq!(run.events().iter().filter(|event| *event == "adopted").count(), 1);
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.assert_nobody_left();
}

#[test]
fn a_supervisor_that_is_killed_is_replaced_at_once_and_the_end_is_known_without_any_command() {
    let lab = Lab::new(&[("PRINT", "flood"), ("BYTES", "20000000"), ("STEPS", "20"), ("STEP_TIME", "0.05")]);
    let run = lab.detached(&[]);
    until("it has a keeper", || (!run.keepers().is_empty()).then_some(()));
    let mut killed = 0;
    while run.state()["ended"].is_null() {
        let pid = run.supervisor();
        // Each one that dies young makes the next come later: a few are enough to see that none loses anything.
        if killed < 5 && run.is_supervised() && is_alive(pid) {
            kill(pid, "KILL");
            killed += 1;
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    }
    assert!(killed > 2, "{killed}");
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    assert!(String::from_utf8_lossy(&run.log()).ends_with("TRAINING COMPLETE!\n"), "not a byte is lost");
    assert_eq!(run.events().iter().filter(|it| *it == "ended").count(), 1);
    run.assert_nobody_left();
    until("nobody keeps what is over", || run.keepers().is_empty().then_some(()));
}

#[test]
fn a_supervisor_that_panics_is_replaced_and_the_training_does_not_notice() {
    let mut lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    lose_supervisor(&run);
    // Only those who look after the run from now on are to panic.
    lab.sandbox.env("DPGUI_TEST_PANIC_AT", "save-asked");
    lab.sandbox.dpgui(&["runs"]).ok();
    let (doomed, ranks) = (run.supervisor(), run.processes());
    let mut save = lab.spawn(&["save"]);
    until("it has panicked and is replaced", || {
        (run.is_supervised() && run.supervisor() != doomed).then_some(())
    });
    save.0.kill().expect("it waits for a save");
    save.0.wait().expect("ended");
    let said = std::fs::read_to_string(run.path.join("supervisor.log")).expect("there");
    assert!(said.contains("a test wanted it to panic here"), "{said}");
    let on_record = until("it is on record", || {
        run.history().into_iter().find(|it| it["event"] == "supervisor-panicked")
    });
    assert!(
        on_record["said"].as_str().expect("text").contains("a test wanted it to panic here"),
        "{on_record}"
    );
    let shown = lab.sandbox.dpgui(&["runs", "show"]).ok().stderr;
    assert!(
        shown.contains("ended by a bug of dpgui") && shown.contains("a test wanted it to panic"),
        "{shown}"
    );
    let steps = String::from_utf8_lossy(&run.log()).matches("steps: ").count();
    run.wait_for_log(&format!("steps: {} ", steps + 5));
    assert_eq!(run.processes(), ranks, "nobody of it was ended or started");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": false }));
    let log = String::from_utf8(run.log()).expect("text");
    let step = |line: &str| line.strip_prefix("steps: ")?.split(' ').next()?.parse::<u64>().ok();
    let steps: Vec<u64> = log.lines().filter_map(step).collect();
    assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>(), "not a line is lost");
    run.assert_nobody_left();
}

#[test]
fn a_stop_is_asked_for_again_when_the_supervisor_dies_with_the_request_in_its_hands() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    // It has the request and cannot read it any more.
    kill(run.supervisor(), "STOP");
    let mut stop = lab.spawn(&["stop"]);
    let mut stderr = BufReader::new(stop.0.stderr.take().expect("piped"));
    let mut said = String::new();
    while !said.contains("has not answered for 5 s") {
        assert_ne!(stderr.read_line(&mut said).expect("text"), 0, "{said}");
    }
    lose_supervisor(&run);
    assert!(stop.0.wait().expect("ended").success());
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    run.assert_nobody_left();
}

/// As whoever wants its room does. The supervisor may write into it meanwhile.
fn delete_folder(run: &Run) {
    until("the folder is deleted", || std::fs::remove_dir_all(&run.path).ok());
}

fn steps(run: &Run) -> Vec<u64> {
    let text = String::from_utf8_lossy(&run.stream("rank0")).into_owned();
    let step = |line: &str| line.split("steps: ").nth(1)?.split(' ').next()?.parse().ok();
    text.lines().filter_map(step).collect()
}

#[test]
fn a_run_whose_folder_is_deleted_goes_on_in_a_new_one() {
    for args in [&["--launcher", "deepspeed"][..], &["--launcher", "direct"]] {
        let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.02"), ("CHECKPOINT", "3")]);
        let run = lab.detached(args);
        run.wait_for_log("steps: 3 ");
        let (processes, spec) = (run.processes(), run.json("spec.json"));
        for round in 1..=2 {
            delete_folder(&run);
            until("the folder is there again", || {
                run.path.join("spec.json").exists().then_some(run.json("state.json")?)
            });
            assert_eq!(run.json("spec.json"), spec);
            until("it is looked after", || run.events().iter().any(|it| it == "adopted").then_some(()));
            assert_eq!(run.processes(), processes);
            let restored = run.events().iter().filter(|it| *it == "folder-restored").count();
            assert_eq!((restored, run.events()[0].as_str()), (round, "started"));
        }
        // What it printed is whole, and what looks after it is replaced as before.
        until("somebody keeps it", || (!run.keepers().is_empty()).then_some(()));
        let supervisor = run.supervisor();
        kill(supervisor, "KILL");
        until("it has another one", || (run.supervisor() != supervisor).then_some(()));
        let seen = steps(&run).last().copied().expect("a step");
        until("it trains on", || (steps(&run).last() > Some(&(seen + 10))).then_some(()));
        lab.sandbox.dpgui(&["stop"]).ok();
        assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
        let steps = steps(&run);
        assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
        let stored = lab.sandbox.dpgui(&["logs", "--metrics", "--csv"]).ok().stdout;
        assert_eq!(stored.lines().count(), 1 + steps.len());
        run.assert_nobody_left();
    }
}

/// Deletes it, and waits until somebody looks after the new one.
fn restored(run: &Run) {
    delete_folder(run);
    until("the folder is there again", || {
        (run.path.join("spec.json").exists() && run.events().iter().any(|it| it == "folder-restored"))
            .then_some(())
    });
    until("it is looked after", || (!run.keepers().is_empty() && run.is_supervised()).then_some(()));
}

#[test]
fn a_run_whose_folder_was_deleted_ends_as_it_would_have_and_is_tried_again() {
    let lab = Lab::new(&[("STEPS", "0"), ("CHECKPOINT", "3"), ("AGAIN", "complete")]);
    let run = lab.detached(&["--restart", "on-failure:1", "--launcher", "direct"]);
    run.wait_for_log("steps: 4 ");
    restored(&run);
    kill(run.process("rank"), "KILL");
    until("it is tried again", || run.events().iter().any(|it| it == "restarting").then_some(()));
    let ended = run.history().into_iter().find(|it| it["event"] == "attempt-ended").expect("an end");
    assert_eq!(ended["outcome"], json!({ "outcome": "killed", "signal": 9 }));
    run.wait_for_log("Resuming training from checkpoint");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.outcome();
    run.assert_nobody_left();
}

#[test]
fn whoever_looks_on_while_the_folder_is_deleted_is_told_how_to_look_on_again() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let train = lab.spawn(&["train", "configs/tiny.toml"]);
    let run = lab.only_run();
    run.wait_for_log("steps: 3 ");
    restored(&run);
    let said = train.end();
    assert_eq!(said.code, Some(1), "{said}");
    assert!(
        said.stderr.contains("was deleted or moved")
            && said.stderr.contains(&format!("`dpgui watch {}` looks on", run.id())),
        "{said}"
    );
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    run.outcome();
}

#[test]
fn a_run_whose_folder_was_deleted_and_that_is_all_gone_then_is_known_to_be() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    restored(&run);
    run.kill_supervisor();
    for pid in run.processes() {
        kill(pid, "KILL");
    }
    until("all are gone", || run.processes().is_empty().then_some(()));
    lab.sandbox.dpgui(&["runs"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "lost" }));
}

#[test]
fn a_run_whose_folder_or_workspace_is_moved_is_looked_after_where_it_is_now() {
    for workspace in [false, true] {
        let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.02")]);
        let run = lab.detached(&[]);
        run.wait_for_log("steps: 3 ");
        let root = lab.sandbox.root();
        let (from, to) = if workspace {
            (root.clone(), lab.sandbox.path("moved"))
        } else {
            (run.path.clone(), lab.sandbox.path("w/runs/aside"))
        };
        std::fs::rename(&from, &to).expect("moved");
        // Of a folder whose name is no run's any more nobody makes a run: there is a new one.
        let path = if workspace { to.join("runs").join(run.id()) } else { run.path.clone() };
        let now = Run { path };
        until("somebody looks after it", || {
            let events = now.path.join("events.jsonl").exists().then(|| now.events())?;
            events.iter().any(|it| it == "adopted").then_some(())
        });
        assert!(!workspace || !from.exists(), "no workspace is made in its place");
        let seen = steps(&now).last().copied().expect("a step");
        until("it trains on, and is heard", || (steps(&now).last() > Some(&(seen + 10))).then_some(()));
        let root = if workspace { to } else { root };
        let stopped = lab.sandbox.command(&["stop", "--now"]).current_dir(root).status().expect("started");
        assert!(stopped.success());
        assert_eq!(now.outcome(), json!({ "outcome": "stopped", "saved": false }));
        let steps = steps(&now);
        assert_eq!(steps, (1..=steps.len() as u64).collect::<Vec<_>>());
        now.assert_nobody_left();
    }
}

#[test]
fn a_run_whose_folder_cannot_be_made_anew_does_not_go_on_unseen() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let (supervisor, processes) = (run.supervisor(), run.processes());
    assert!(processes.len() > 1, "{processes:?}");
    delete_folder(&run);
    std::fs::write(&run.path, "").expect("in its way");
    for pid in processes.into_iter().chain([supervisor]) {
        until("it is gone", || (!is_alive(pid)).then_some(()));
    }
}

#[test]
fn a_run_that_was_lost_ended_when_it_was_last_seen() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    lose_supervisor(&run);
    for pid in run.processes() {
        kill(pid, "KILL");
    }
    until("all are gone", || run.processes().is_empty().then_some(()));
    let state = run.path.join("state.json");
    let text = std::fs::read_to_string(&state).expect("a state");
    let mut snapshot: Value = serde_json::from_str(&text).expect("JSON");
    snapshot["updated"] = json!("2026-01-01T00:00:00Z");
    std::fs::write(&state, snapshot.to_string()).expect("written");
    lab.sandbox.dpgui(&["runs"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "lost" }));
    let said = lab.sandbox.dpgui(&["diagnose", "--json"]).ok().events();
    assert_eq!((&said[0]["id"], &said[0]["ok"]), (&json!("lost"), &json!(false)), "{said:?}");
    let said = lab.sandbox.dpgui(&["diagnose"]).ok().stdout;
    assert!(
        said.contains("nobody saw why") && said.contains(&format!("dpgui resume {}`", run.id())),
        "{said}"
    );
    let text = std::fs::read_to_string(&state).expect("a state");
    assert!(text.contains("2026-01-01T00:00:00Z"), "{text}");
}

/// Zombies are not: in a container nobody may wait for them.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|fields| !fields.is_empty() && !fields.starts_with(" Z"))
}
