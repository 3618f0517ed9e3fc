//! `dpgui train`, `runs`, `stop`: whatever happens to a run, it ends as what it was and leaves nobody behind.

use crate::{
    starting::with_gpus,
    support::{
        lab::{Lab, kill, until},
        media::png,
    },
};

use serde_json::{Value, json};

#[test]
fn a_training_that_says_it_is_complete_is_a_success() {
    let lab = Lab::new(&[]);
    let said = lab.train(&[]).ok();
    let run = lab.only_run();
    assert!(said.stdout.contains("steps: 3 loss: 0.3333"), "{said}");
    let shown: String = String::from_utf8(run.log()).expect("text");
    assert_eq!(said.stdout.replace("[rank0] ", ""), shown, "the log is what was shown, and nothing else");
    assert!(said.stderr.contains("the training is complete"), "{said}");
    assert!(said.stderr.contains("adapter_model.safetensors"), "{said}");
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    assert_eq!(run.events(), ["started", "phase", "exited", "ended"]);
    run.assert_nobody_left();
    let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    assert_eq!((&listed[0]["state"], &listed[0]["step"]), (&json!("completed"), &json!(3)));
}

#[test]
fn an_exit_code_of_0_proves_nothing() {
    let lab = Lab::new(&[("END", "quiet")]);
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("ended without an error and without having finished"), "{said}");
    assert_eq!(lab.only_run().outcome(), json!({ "outcome": "exited-early" }));
    lab.only_run().assert_nobody_left();
}

#[test]
fn a_failure_shows_the_last_lines_and_the_code() {
    let lab = Lab::new(&[("END", "3")]);
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("failed with exit code 3"), "{said}");
    assert!(said.stderr.contains("ValueError: nobody told me"), "{said}");
    lab.only_run().assert_nobody_left();
}

#[test]
fn workers_of_a_rank_that_was_killed_do_not_outlive_the_run() {
    let lab = Lab::new(&[("END", "killed")]);
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("was killed with SIGKILL"), "{said}");
    lab.only_run().assert_nobody_left();
}

#[test]
fn ranks_that_lost_their_launcher_are_ended_though_deepspeed_says_0() {
    let lab = Lab::new(&[("END", "orphaned")]);
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    let run = lab.only_run();
    assert_eq!(run.outcome(), json!({ "outcome": "killed", "signal": null }));
    run.assert_nobody_left();
}

#[test]
fn a_process_that_hides_in_a_session_of_its_own_is_found() {
    let lab = Lab::new(&[("DAEMON", "yes")]);
    lab.train(&[]).ok();
    lab.only_run().assert_nobody_left();
}

#[test]
fn a_stop_lets_the_trainer_save_first() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let said = lab.sandbox.dpgui(&["stop"]).ok();
    run.assert_nobody_left();
    assert!(said.stderr.contains("saved a checkpoint"), "{said}");
    assert!(said.stderr.contains("global_step"), "{said}");
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(
        run.events(),
        ["started", "phase", "stop-requested", "save-requested", "exited", "ended"],
        "nobody had to be signalled"
    );
}

#[test]
fn a_stop_before_the_first_step_interrupts_the_ranks() {
    let lab = Lab::new(&[("CACHE", "600")]);
    let run = lab.detached(&[]);
    run.wait_for_log("caching latents");
    lab.sandbox.dpgui(&["stop", &run.id()]).ok();
    run.assert_nobody_left();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": false }));
    assert_eq!(run.events()[2..5], ["stop-requested", "signalled", "exited"]);
}

#[test]
fn stop_now_ends_ranks_that_ignore_everything_they_can() {
    let lab = Lab::new(&[("STEPS", "0"), ("IGNORE", "INT,TERM")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let said = lab.sandbox.dpgui(&["stop", "--now", "--json"]).ok();
    run.assert_nobody_left();
    let ended = said.events().pop().expect("an event");
    assert_eq!((&ended["event"], &ended["outcome"]), (&json!("run-ended"), &json!("stopped")));
}

#[test]
fn ctrl_c_stops_the_run_properly_and_the_exit_code_says_so() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let train = lab.spawn(&["train", "configs/tiny.toml"]);
    let run = lab.only_run();
    run.wait_for_log("steps: 2 ");
    train.signal("INT");
    let said = train.end();
    assert_eq!(said.code, Some(130), "{said}");
    assert!(said.stderr.contains("Ctrl-C again insists"), "{said}");
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    run.assert_nobody_left();
}

#[test]
fn a_second_ctrl_c_insists() {
    let lab = Lab::new(&[("STEPS", "0"), ("SAVE", "no")]);
    let train = lab.spawn(&["train", "configs/tiny.toml"]);
    let run = lab.only_run();
    run.wait_for_log("steps: 2 ");
    train.signal("INT");
    until("the request is recorded", || run.events().contains(&"save-requested".to_owned()).then_some(()));
    train.signal("INT");
    let said = train.end();
    assert_eq!(said.code, Some(130), "{said}");
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": false }));
    run.assert_nobody_left();
}

#[test]
fn closing_the_terminal_ends_nothing() {
    let lab = Lab::new(&[("STEPS", "200"), ("STEP_TIME", "0.005")]);
    let train = lab.spawn(&["train", "configs/tiny.toml"]);
    let run = lab.only_run();
    run.wait_for_log("steps: 1 ");
    train.signal("HUP");
    assert_eq!(train.end().code, None, "the one who looked on is gone");
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    run.assert_nobody_left();
}

#[test]
fn a_killed_supervisor_is_replaced_and_no_byte_is_lost() {
    // It trains until it is told to leave, however slow this machine is.
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.02")]);
    let run = lab.detached(&[]);
    for step in [5, 20, 40] {
        run.wait_for_log(&format!("steps: {step} "));
        run.kill_supervisor();
        until("the lock is free", || (!run.is_supervised()).then_some(()));
        let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
        assert_eq!(listed[0]["state"], "training");
    }
    lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    let log = String::from_utf8(run.log()).expect("text");
    let steps: Vec<&str> =
        log.lines().filter_map(|line| line.strip_prefix("steps: ")?.split(' ').next()).collect();
    let expected: Vec<String> = (1..=steps.len()).map(|step| step.to_string()).collect();
    assert!(steps.len() >= 40, "{steps:?}");
    assert_eq!(steps, expected);
    assert_eq!(run.events().iter().filter(|event| *event == "adopted").count(), 3);
    run.assert_nobody_left();
}

#[test]
fn bytes_that_arrive_while_the_supervisor_is_killed_are_neither_lost_nor_doubled() {
    // It trains on after the flood: what is in a pipe that nobody has open any more is lost, and the keeper, who would have
    // it open, is killed here too.
    let knobs = [("PRINT", "flood"), ("BYTES", "30000000"), ("STEPS", "0"), ("STEP_TIME", "0.05")];
    let lab = Lab::new(&knobs);
    let run = lab.detached(&[]);
    let mut kills = 0;
    while run.log().len() < 25_000_000 {
        run.kill_supervisor();
        until("the lock is free", || (!run.is_supervised()).then_some(()));
        lab.sandbox.dpgui(&["runs"]).ok();
        kills += 1;
    }
    run.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    let log = run.log();
    let numbers: Vec<u64> = log[..30_000_000]
        .split(|byte| *byte == b'\n')
        .filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok())
        .collect();
    assert_eq!(numbers, (0..300_000).collect::<Vec<u64>>(), "after {kills} kills");
    assert!(kills > 0, "the flood was over before anything was killed");
}

#[test]
fn a_run_that_ended_while_nobody_looked_after_it_is_known_by_its_log() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    run.kill_supervisor();
    until("the lock is free", || (!run.is_supervised()).then_some(()));
    for pid in run.processes() {
        kill(pid, "KILL");
    }
    until("all are gone", || run.processes().is_empty().then_some(()));
    let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    assert_eq!((&listed[0]["state"], &listed[0]["ended"]), (&json!("lost"), &json!(true)));
}

#[test]
fn a_supervisor_killed_before_it_could_say_what_it_started_is_replaced_too() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.02")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    run.kill_supervisor();
    until("the lock is free", || (!run.is_supervised()).then_some(()));
    let state = run.path.join("state.json");
    let mut snapshot: Value =
        serde_json::from_str(&std::fs::read_to_string(&state).expect("a state")).expect("JSON");
    snapshot["state"] = json!("starting");
    snapshot["child"] = json!(null);
    snapshot["parsed"] = json!({});
    std::fs::write(&state, snapshot.to_string()).expect("written");
    let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    assert_eq!(listed[0]["state"], "training");
    lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    run.assert_nobody_left();
}

#[test]
fn two_trainers_never_write_into_one_folder() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let first = lab.detached(&["--name", "first"]);
    first.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop"]).ok();
    let second = lab.detached(&["--name", "second", "--resume"]);
    second.wait_for_log("Resuming training");
    for resume in [&["--resume"][..], &["--resume", "first"]] {
        let said = lab.train(resume);
        assert_eq!(said.code, Some(5), "{said}");
        assert!(said.stderr.contains(&format!("`{}` is still running", second.id())), "{said}");
    }
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn stop_works_without_a_supervisor_too() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    run.kill_supervisor();
    until("the lock is free", || (!run.is_supervised()).then_some(()));
    lab.sandbox.dpgui(&["stop", "tiny"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    run.assert_nobody_left();
}

#[test]
fn the_log_holds_exactly_what_was_written() {
    let lab = Lab::new(&[("PRINT", "garbage")]);
    lab.train(&[]).ok();
    let log = lab.only_run().log();
    let start: &[u8] = b"\xff\xfe broken \xc3( \x1b]0;title\x07\x00 end\nxxx";
    assert_eq!(log[..start.len()], *start);
    let endless = log.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"xxx"));
    assert_eq!(endless.map(<[u8]>::len), Some(200_000));
}

#[test]
fn killing_any_process_of_a_run_ends_all_of_it() {
    for (word, expected) in [
        // Only the runner has this: what it starts gets what follows the name of the script.
        ("--num_gpus", json!({ "outcome": "killed", "signal": 9 })),
        ("launcher", json!({ "outcome": "killed", "signal": null })),
        ("rank", json!({ "outcome": "killed", "signal": 9 })),
    ] {
        let lab = Lab::new(&[("STEPS", "0")]);
        let run = lab.detached(&[]);
        run.wait_for_log("steps: 1 ");
        kill(run.process(word), "KILL");
        assert_eq!(run.outcome(), expected, "{word}");
        run.assert_nobody_left();
    }
}

#[test]
fn a_shutdown_of_the_machine_interrupts_ranks_that_have_nothing_to_save() {
    let lab = Lab::new(&[("CACHE", "1000")]);
    let run = lab.detached(&[]);
    run.wait_for_log("caching");
    kill(run.supervisor(), "TERM");
    assert_eq!(run.outcome(), json!({ "outcome": "interrupted" }));
    assert_eq!(run.events()[2..4], ["supervisor-signalled", "signalled"]);
    run.assert_nobody_left();
}

#[test]
fn a_run_of_an_earlier_boot_was_interrupted() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    run.kill_supervisor();
    for pid in run.processes() {
        kill(pid, "KILL");
    }
    until("all are gone", || (run.processes().is_empty() && !run.is_supervised()).then_some(()));
    let spec = std::fs::read_to_string(run.path.join("spec.json")).expect("a spec");
    let boot = run.spec()["boot_id"].as_str().expect("an id").to_owned();
    std::fs::write(run.path.join("spec.json"), spec.replace(&boot, "another-boot")).expect("written");
    lab.sandbox.dpgui(&["runs"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "interrupted" }));
}

#[test]
fn a_full_disk_costs_lines_of_the_log_and_not_the_training() {
    let lab = Lab::new(&[("PRINT", "flood"), ("BYTES", "5000000")]);
    let dpgui = lab.sandbox.command(&["train", "configs/tiny.toml"]);
    // Files beyond 64 KiB cannot be written, as if the disk were full at that point.
    let mut limited = std::process::Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "bash"]);
    limited.arg(dpgui.get_program()).args(dpgui.get_args()).env_clear().current_dir(lab.sandbox.root());
    limited.envs(dpgui.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().expect("bash starts");
    let run = lab.only_run();
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(run.log().len(), 64 * 1024);
    assert_eq!(run.events(), ["started", "disk-full", "phase", "exited", "gap", "disk-room", "ended"]);
}

#[test]
fn what_is_secret_reaches_the_trainer_and_no_file() {
    let lab = with_gpus(&[("STEPS", "0")]);
    // The demo's trainer reports to nobody.
    let another = "type = 'sdxl'\ndtype = 'bfloat16'\ncheckpoint_path = 'weights'";
    lab.change("configs/tiny.toml", "type = 'demo'\ndtype = 'float32'", another);
    lab.sandbox.write("w/weights", "");
    lab.sandbox.write("w/data/a.png", png(64, 64));
    let text = std::fs::read_to_string(lab.sandbox.path("w/configs/tiny.toml")).expect("there");
    let monitoring = "[monitoring]\nenable_wandb = true\nwandb_api_key = 'canary'\n\
                      wandb_tracker_name = 't'\nwandb_run_name = 'r'\n";
    lab.sandbox.write("w/configs/tiny.toml", format!("{text}{monitoring}"));
    let run = lab.detached(&["--gpus", "0"]);
    let environ = std::fs::read(format!("/proc/{}/environ", run.process("rank"))).expect("readable");
    assert!(String::from_utf8_lossy(&environ).contains("WANDB_API_KEY=canary"));
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    let found =
        std::process::Command::new("grep").args(["-r", "canary"]).arg(&run.path).output().expect("grep");
    // Pipes are not read by `grep -r`; everything else in the folder is.
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    assert!(run.spec()["environment"].to_string().contains("WANDB_API_KEY"));
}

#[test]
fn the_gpus_that_were_asked_for_are_the_ones_that_are_used() {
    let mut lab = Lab::new(&[]);
    let csv = "0, NVIDIA GeForce RTX 4090, GPU-a, 24564, 580.65.06, 8.9\n\
               1, NVIDIA GeForce RTX 4090, GPU-b, 24564, 580.65.06, 8.9\n\
               2, NVIDIA GeForce RTX 4090, GPU-c, 24564, 580.65.06, 8.9\n";
    lab.sandbox.program("nvidia-smi", &format!("#!/bin/sh\ncat <<'END'\n{csv}END\n"));
    lab.sandbox.env("DPGUI_GPU_SOURCE", "nvidia-smi");
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("does not divide the number of GPUs, 3"), "{said}");
    lab.train(&["--gpus", "0,2", "--name", "two"]).ok();
    let spec = lab.only_run().spec();
    assert_eq!((&spec["args"][0], &spec["args"][1]), (&json!("--include"), &json!("localhost:0,2")));
    assert!(spec["environment"].to_string().contains("NCCL_P2P_DISABLE"));
    lab.sandbox.env("CUDA_VISIBLE_DEVICES", "GPU-b,2");
    let said = lab.train(&["--json"]);
    assert_eq!(said.events()[0]["on"], "GPUs 1, 2", "{said}");
}

#[test]
fn scripts_that_watch_get_every_step_as_an_object() {
    let lab = Lab::new(&[("PRINT", "bars")]);
    let events = lab.train(&["--watch", "--json"]).ok().events();
    let steps: Vec<_> = events.iter().filter(|it| it["event"] == "status").map(|it| &it["step"]).collect();
    assert_eq!(steps, [1, 2, 3]);
    let names: Vec<_> = events.iter().filter_map(|it| it["event"].as_str()).collect();
    assert_eq!((names[0], names[names.len() - 1]), ("run-started", "run-ended"));
    assert_eq!(events[events.len() - 1]["last_step"]["step"], 3, "{events:#?}");
}

#[test]
fn two_runs_at_once_have_their_own_ports_and_folders() {
    let lab = Lab::new(&[("STEPS", "0")]);
    // The trainer names its folders by whole seconds: two that begin in the same one would share theirs.
    let text = std::fs::read_to_string(lab.sandbox.path("w/configs/tiny.toml")).expect("there");
    lab.sandbox.write("w/configs/other.toml", text.replace("'output'", "'other'"));
    let other = lab.sandbox.dpgui(&["train", "configs/other.toml", "--detach", "--share"]).ok();
    let runs = [lab.detached(&["--share"]), lab.run(other.stdout.trim())];
    let ports = runs.each_ref().map(|run| run.spec()["master_port"].as_u64());
    assert_ne!(ports[0], ports[1]);
    for run in &runs {
        run.wait_for_log("steps: 2 ");
    }
    let said = lab.sandbox.dpgui(&["stop"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("several runs are running"), "{said}");
    for run in &runs {
        lab.sandbox.dpgui(&["stop", &run.id()]).ok();
        assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
        run.assert_nobody_left();
    }
}

#[test]
fn a_stopped_run_is_resumed_where_it_saved() {
    let mut lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    lab.sandbox.dpgui(&["stop"]).ok();
    // As if it had been killed between the request and the next step.
    std::fs::write(lab.trainer_folder("output").join("save_quit"), "").expect("written");
    lab.sandbox.env("FAKE_STEPS", "400").env("FAKE_STEP_TIME", "0.001");
    let said = lab.train(&["--resume", "--json"]).ok();
    let events = said.events();
    let begun = events.iter().find(|event| event["event"] == "run-started").expect("it says so");
    let step = begun["resumes_step"].as_u64().expect("a step");
    assert!(said.stdout.contains(&format!("Resuming at epoch: 1, step: {}", step + 1)), "{said}");
    let folders = std::fs::read_dir(lab.sandbox.root().join("output")).expect("there");
    assert_eq!(folders.flatten().filter(|it| it.path().is_dir()).count(), 1, "it goes on in the same folder");
}

#[test]
fn a_resume_without_a_checkpoint_never_starts_from_step_1() {
    let lab = Lab::new(&[("END", "quiet")]);
    lab.train(&[]);
    for resume in [&["--resume"][..], &["--resume", "tiny"]] {
        let said = lab.train(resume);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(said.stderr.contains("whole checkpoint to resume from"), "{said}");
    }
    lab.only_run();
}

#[test]
fn what_is_missing_or_wrong_is_said_before_there_is_a_run() {
    let lab = Lab::new(&[]);
    let check = |args: &[&str], code: i32, text: &str| {
        let said = lab.sandbox.dpgui(args);
        assert_eq!(said.code, Some(code), "{said}");
        assert!(said.stderr.contains(text), "{said}");
    };
    check(&["stop"], 2, "no run is running");
    check(&["stop", "wan"], 2, "there is no run `wan`");
    check(&["train", "configs/absent.toml"], 2, "absent.toml");
    check(&["train", "configs/tiny.toml", "--gpus", "0"], 2, "there is no GPU 0 on this machine");
    check(&["train", "configs/tiny.toml", "--name", "../x"], 2, "is no name for a run");
    let text = std::fs::read_to_string(lab.sandbox.root().join("configs/tiny.toml")).expect("there");
    let text = text.replace("type = 'demo'", "type = 'omnigen2'\ndiffusers_path = 'data'");
    lab.sandbox.write("w/configs/omnigen.toml", text);
    check(&["train", "configs/omnigen.toml"], 8, "needs an NVIDIA GPU");
    lab.sandbox.write("w/configs/bad.toml", "output_dir = 'o'\n[model]\ntype = 'demo'\ndtype = 'float32'\n");
    check(&["train", "configs/bad.toml"], 2, "error[epochs-present]");
    std::fs::remove_file(lab.sandbox.root().join("vendor/diffusion-pipe/train.py")).expect("removed");
    check(&["train", "configs/tiny.toml"], 2, "run `dpgui setup`");
    std::fs::remove_file(lab.sandbox.root().join("venv/bin/deepspeed")).expect("removed");
    check(&["train", "configs/tiny.toml"], 2, "run `dpgui setup`");
    let runs = std::fs::read_dir(lab.sandbox.root().join("runs")).map_or(0, Iterator::count);
    assert_eq!(runs, 0);
}

#[test]
fn a_deepspeed_that_cannot_be_executed_is_one_clear_error() {
    let lab = Lab::new(&[]);
    lab.sandbox.write("w/venv/bin/deepspeed", "#!/no/such/interpreter\n");
    let said = lab.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("`deepspeed` could not be started"), "{said}");
    let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    assert_eq!(listed[0]["state"], "failed");
}

#[test]
fn an_unknown_run_is_answered_with_the_nearest_ids() {
    let lab = Lab::new(&[]);
    lab.train(&["--name", "wan-lora"]).ok();
    let said = lab.sandbox.dpgui(&["stop", "wan-lroa"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains(&format!("did you mean `{}`", lab.only_run().id())), "{said}");
}
