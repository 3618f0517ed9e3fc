//! Runs on several machines, over a real sshd: both print, both stop, and whatever breaks leaves nothing on either.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{
    browser::Served,
    cluster::{Cluster, OTHER},
    lab::{Run, kill, until, until_within},
};

/// A start of DeepSpeed and a few dozen steps, on a busy machine with two cores.
const PATIENCE: Duration = Duration::from_mins(5);

/// What ssh does for the run.
fn connections(run: &Run) -> Vec<u32> {
    let children =
        |link| std::fs::read_to_string(format!("/proc/{link}/task/{link}/children")).unwrap_or_default();
    let all: Vec<String> = run.links().into_iter().map(children).collect();
    all.iter().flat_map(|it| it.split_whitespace()).map(|it| it.parse().expect("a number")).collect()
}

/// What the part says of itself, as its head does.
fn part_does(part: &Run, doing: &str) {
    until("the part has heard it", || (part.json("state.json")?["head"]["doing"] == doing).then_some(()));
}

/// Kills what looks after the part, and waits until another one does.
fn replace_supervisor(part: &Run) {
    until("somebody keeps it", || (!part.keepers().is_empty()).then_some(()));
    let first = part.supervisor_here();
    kill(first, "KILL");
    until("it has another one", || (part.supervisor_here() != first).then_some(()));
}

/// The cause that is on record, named `id`, with this among what shows it and nobody else blamed for our signals.
fn diagnosed(run: &Run, id: &str, fact: &str) {
    let diagnosis = run.json("state.json").expect("a state")["diagnosis"].clone();
    assert_eq!(diagnosis["id"], id, "{diagnosis}");
    let all = diagnosis.to_string();
    assert!(all.contains(fact) && !all.contains("SIGTERM") && !all.contains("Ctrl-C"), "{diagnosis}");
}

#[test]
fn both_machines_train_and_what_they_print_is_in_one_log() {
    let Some(mut cluster) = Cluster::new(&[("GREET", "yes")]) else { return };
    cluster.lab.sandbox.env("NCCL_SOCKET_IFNAME", "eth7");
    let said = cluster.train(&[]).ok();
    for line in ["I am rank 0", "I am rank 1 by eth7", "TRAINING COMPLETE!", "[node1] the launcher has ended"]
    {
        assert!(said.stdout.contains(line), "{line}: {said}");
    }
    assert!(said.stderr.contains("on 2 machines: 127.0.0.1 (1), 127.0.0.2 (1)"), "{said}");
    let (run, part) = (cluster.lab.only_run(), cluster.part());
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    assert_eq!(part.outcome(), json!({ "outcome": "completed" }));
    assert_eq!(run.stream("rank1"), part.stream("rank1"));
    run.assert_nobody_left();
    part.assert_nobody_left();
}

#[test]
fn a_stop_reaches_both_machines_saved_or_not() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let said = cluster.lab.sandbox.dpgui(&["save"]).ok();
    assert!(said.stderr.contains("Saved"), "{said}");
    part_does(&part, "training");
    let listed = cluster.there(&["runs", "--json"]).ok().events();
    assert_eq!((&listed[0]["state"], &listed[0]["part_of"]), (&json!("training"), &json!(run.id())));
    assert!(listed[0]["step"].as_u64() > Some(0), "{listed:?}");
    let said = cluster.there(&["save"]);
    assert!(said.code == Some(2) && said.stderr.contains(&format!("`dpgui save {}`", run.id())), "{said}");
    cluster.lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(part.outcome(), json!({ "outcome": "stopped", "saved": true }));
    part.assert_nobody_left();
    let shown = cluster.lab.sandbox.dpgui(&["runs", "show"]).ok();
    let its_part = format!("its part is {}", part.id());
    for text in ["2 machines: 127.0.0.1 (1), 127.0.0.2 (1)", OTHER, &its_part, "was stopped and saved"] {
        assert!(shown.stdout.contains(text), "{text}: {shown}");
    }
    let shown = cluster.lab.sandbox.dpgui(&["runs", "show", "--json"]).ok().events();
    assert_eq!(shown[0]["machines"][1]["host"], OTHER, "{shown:?}");
    assert_eq!(shown[0]["machines"][1]["run"], part.id(), "{shown:?}");
    let shown = cluster.there(&["runs", "show"]).ok();
    assert!(shown.stdout.contains(&format!("{} of 127.0.0.1", run.id())), "{shown}");

    let second = cluster.lab.detached(&["--hostfile", "hosts", "--launcher", "direct"]);
    second.wait_for_log("steps: 2 ");
    let part = cluster.part_of(&second);
    cluster.lab.sandbox.dpgui(&["stop", "--now"]).ok();
    assert_eq!(second.outcome(), json!({ "outcome": "stopped", "saved": false }));
    assert_eq!(part.outcome(), json!({ "outcome": "stopped", "saved": false }));
    second.assert_nobody_left();
    part.assert_nobody_left();
}

#[test]
fn a_rank_that_dies_on_the_other_machine_ends_both_and_is_named() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    kill(part.process("rank"), "KILL");
    let end = json!({ "outcome": "killed", "signal": 9 });
    assert_eq!(run.outcome(), json!({ "outcome": "node-failed", "host": OTHER, "end": end }));
    assert_eq!(part.outcome(), end);
    run.assert_nobody_left();
    part.assert_nobody_left();
    let listed = cluster.lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    assert_eq!(listed[0]["state"], "failed", "{listed:?}");
    diagnosed(&run, "node_killed", "on `127.0.0.2` the training was killed with SIGKILL");
}

#[test]
fn a_stop_that_somebody_types_at_a_part_stops_all_of_the_run_and_saves_it() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let said = cluster.there(&["stop"]).ok();
    let expected = format!("`{}` of `127.0.0.1`, whose part on this machine is {}", run.id(), part.id());
    assert!(said.stderr.contains(&expected), "{said}");
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(part.outcome(), json!({ "outcome": "stopped", "saved": true }));
    run.assert_nobody_left();
    part.assert_nobody_left();
}

#[test]
fn a_part_that_somebody_ends_there_ends_the_run_and_is_not_resumed_there() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let said = cluster.there(&["stop", "--now"]).ok();
    assert!(said.stderr.contains(&format!("a part of `{}` of `127.0.0.1`, which fails", run.id())), "{said}");
    let end = json!({ "outcome": "stopped", "saved": false });
    assert_eq!(run.outcome(), json!({ "outcome": "node-failed", "host": OTHER, "end": end }));
    diagnosed(&run, "node_stopped", "on `127.0.0.2` the training was stopped");
    let said = cluster.there(&["resume", &part.id()]);
    assert!(said.code == Some(2) && said.stderr.contains(&format!("`dpgui resume {}`", run.id())), "{said}");
}

#[test]
fn a_machine_that_is_gone_ends_the_run_and_is_named() {
    let Some(mut cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, _) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    cluster.pull_the_plug();
    assert_eq!(run.outcome(), json!({ "outcome": "node-failed", "host": OTHER, "end": null }));
    run.assert_nobody_left();
    diagnosed(&run, "node_lost", "nothing was heard of `127.0.0.2` any more");
    let shown = cluster.lab.sandbox.dpgui(&["runs", "show"]).ok();
    assert!(shown.stdout.contains("Cause: the machine `127.0.0.2` could not be reached any more"), "{shown}");
}

#[test]
fn a_stop_says_which_machine_was_not_heard_of() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    until("the part has begun", || run.json("state.json")?["nodes"]["1"].get("begun").cloned());
    for ssh in connections(&run) {
        kill(ssh, "STOP");
    }
    let said = cluster.lab.sandbox.dpgui(&["stop"]).ok();
    assert!(said.stderr.contains("`127.0.0.2`: its part may still run there, and ends by itself"), "{said}");
    assert_eq!(run.outcome()["outcome"], "stopped");
    part.outcome();
    part.assert_nobody_left();
}

#[test]
fn a_part_that_hears_nothing_of_its_head_ends_itself() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    until("the part has begun", || run.json("state.json")?["nodes"]["1"].get("begun").cloned());
    // As if the plug of the head had been pulled: everything of it at once.
    let mut all = run.keepers();
    all.extend(run.links());
    all.push(run.supervisor());
    all.extend(run.processes());
    for pid in all {
        kill(pid, "KILL");
    }
    assert_eq!(part.outcome(), json!({ "outcome": "abandoned", "concern": "head-lost" }));
    part.assert_nobody_left();
}

#[test]
fn machines_that_hear_nothing_of_each_other_both_end_their_part() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    until("the part has begun", || run.json("state.json")?["nodes"]["1"].get("begun").cloned());
    // What a cut network does to a connection: nobody is told.
    let link = run.links()[0];
    let children =
        std::fs::read_to_string(format!("/proc/{link}/task/{link}/children")).expect("its children");
    for ssh in children.split_whitespace() {
        kill(ssh.parse().expect("a number"), "STOP");
    }
    assert_eq!(run.outcome(), json!({ "outcome": "node-failed", "host": OTHER, "end": null }));
    run.assert_nobody_left();
    diagnosed(&run, "node_lost", "it said nothing for ");
    // It is not cut for ever: the part may have been told to end by then.
    assert_ne!(part.outcome()["outcome"], "completed");
    part.assert_nobody_left();
}

#[test]
fn a_run_whose_other_machine_failed_is_tried_again_from_its_checkpoint_on_both() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0"), ("CHECKPOINT", "3"), ("GREET", "yes")]) else {
        return;
    };
    let settings = cluster.lab.sandbox.root().join("dpgui.toml");
    let text = std::fs::read_to_string(&settings).expect("there");
    std::fs::write(&settings, format!("{text}restart-delay = '100 ms'\n")).expect("written");
    let (run, part) = cluster.detached(&["--restart", "on-failure:1"]);
    run.wait_for_log("steps: 4 ");
    until("the part has begun", || run.json("state.json")?["nodes"]["1"].get("begun").cloned());
    kill(part.process("rank"), "KILL");
    run.wait_for_log("Resuming training from checkpoint");
    let next = until("there is another part", || {
        let parts =
            std::fs::read_dir(cluster.other("w/runs")).ok()?.flatten().map(|it| Run { path: it.path() });
        parts.into_iter().find(|it| it.path != part.path && it.path.join("spec.json").exists())
    });
    until("its rank has said something", || (!next.stream("rank1").is_empty()).then_some(()));
    cluster.lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(next.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(run.stream("rank1"), [part.stream("rank1"), next.stream("rank1")].concat());
    run.assert_nobody_left();
    next.assert_nobody_left();
}

#[test]
fn whoever_is_killed_between_the_machines_is_replaced_and_no_byte_is_lost() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0"), ("GREET", "yes")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let first = connections(&run);
    for ssh in &first {
        kill(*ssh, "KILL");
    }
    until("there is another connection", || connections(&run).into_iter().find(|it| !first.contains(it)));
    for pid in run.links() {
        kill(pid, "KILL");
    }
    kill(part.supervisor_here(), "KILL");
    kill(run.supervisor(), "KILL");
    until("it is supervised again", || run.is_supervised().then_some(()));
    until("somebody is in touch again", || (!run.links().is_empty()).then_some(()));
    cluster.lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    part.outcome();
    assert_eq!(run.stream("rank1"), part.stream("rank1"));
    run.assert_nobody_left();
    part.assert_nobody_left();
}

#[test]
fn a_part_whose_supervisor_was_replaced_leaves_in_order_as_any_other() {
    for (steps, end) in
        [("80", json!({ "outcome": "completed" })), ("0", json!({ "outcome": "stopped", "saved": true }))]
    {
        let knobs = [("STEPS", steps), ("STEP_TIME", "0.1"), ("LAUNCHER_SAYS", "yes")];
        let Some(cluster) = Cluster::new(&knobs) else { return };
        let (run, part) = cluster.detached(&[]);
        run.wait_for_log("steps: 2 ");
        replace_supervisor(&part);
        if steps == "0" {
            cluster.lab.sandbox.dpgui(&["stop"]).ok();
        }
        assert_eq!((run.outcome(), part.outcome()), (end.clone(), end));
        run.assert_nobody_left();
        part.assert_nobody_left();
    }
}

#[test]
fn a_part_whose_supervisor_was_replaced_and_that_is_killed_then_ends_the_run() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    replace_supervisor(&part);
    for pid in part.processes() {
        kill(pid, "KILL");
    }
    assert_eq!((&run.outcome()["outcome"], &run.outcome()["host"]), (&json!("node-failed"), &json!(OTHER)));
    assert!(["lost", "killed"].contains(&part.outcome()["outcome"].as_str().expect("a word")));
    run.assert_nobody_left();
}

#[test]
fn machines_may_have_one_workspace() {
    let Some(cluster) = Cluster::with_one_workspace(&[("STEPS", "0")]) else { return };
    let dpgui = |args: &[&str]| cluster.lab.sandbox.dpgui(args).ok();
    let said = cluster.train(&["--detach"]).ok();
    let run = cluster.lab.run(said.stdout.trim());
    run.wait_for_log("steps: 2 ");
    let part = cluster.lab.run(&until("the part has begun", || {
        Some(run.json("state.json")?["nodes"]["1"]["begun"]["run"].as_str()?.to_owned())
    }));
    assert_eq!(dpgui(&["runs", "--json"]).events().len(), 2);
    let said = dpgui(&["stop"]);
    assert!(said.stderr.contains(&run.id()), "the whole of it was meant: {said}");
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(part.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert!(dpgui(&["logs", "-n", "50"]).stdout.contains("rank0"), "of the whole of it");
}

#[test]
fn a_job_of_slurm_trains_on_all_its_machines() {
    let Some(mut cluster) = Cluster::new(&[]) else { return };
    let scontrol =
        format!("#!/bin/sh\n[ \"$*\" = 'show hostnames both' ] && printf '127.0.0.1\\n{OTHER}\\n'\n");
    cluster.lab.sandbox.program("scontrol", &scontrol);
    let script =
        cluster.lab.sandbox.dpgui(&["slurm", "configs/tiny.toml", "--nodes", "2", "--gpus", "0"]).ok();
    assert!(script.stdout.contains("#SBATCH --nodes=2\n#SBATCH --ntasks-per-node=1\n"), "{script}");
    let job = cluster.lab.sandbox.write("job.sh", script.stdout);
    let like = cluster.lab.sandbox.command(&[]);
    let mut bash = std::process::Command::new("bash");
    bash.arg(job).env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    bash.current_dir(cluster.lab.sandbox.root()).env("SLURM_JOB_ID", "7").env("SLURM_JOB_NODELIST", "both");
    assert!(bash.status().expect("bash starts").success());
    assert_eq!(cluster.lab.only_run().outcome(), json!({ "outcome": "completed" }));
    assert_eq!(cluster.part().outcome(), json!({ "outcome": "completed" }));
}

#[test]
fn deepspeeds_own_command_for_several_machines_is_printed() {
    let Some(cluster) = Cluster::new(&[]) else { return };
    let said = cluster.train(&["--print-command"]).ok();
    let hosts = cluster.lab.sandbox.root().join("hosts");
    let expected =
        format!("bin/deepspeed --hostfile {} --master_addr 127.0.0.1 --master_port ", hosts.display());
    assert!(said.stdout.contains(&expected), "{said}");
}

#[test]
fn what_keeps_a_machine_from_its_part_is_said_before_anything_begins() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0")]) else { return };
    let lab = &cluster.lab;
    let refused = |code: i32, expected: &[&str]| {
        let said = cluster.train(&[]);
        assert_eq!(said.code, Some(code), "{said}");
        for text in expected {
            assert!(said.stderr.contains(text), "{text}: {said}");
        }
        let left = std::fs::read_dir(lab.sandbox.root().join("runs")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "nothing has begun");
    };
    std::fs::rename(cluster.other("w/venv/bin/deepspeed"), cluster.other("w/deepspeed")).expect("moved");
    refused(2, &["`127.0.0.2` could not begin: ", "bin/deepspeed` is not there", "fix: run `dpgui setup`"]);
    std::fs::rename(cluster.other("w/deepspeed"), cluster.other("w/venv/bin/deepspeed")).expect("moved");

    std::fs::rename(cluster.other("w/data"), cluster.other("w/elsewhere")).expect("moved");
    refused(2, &["`127.0.0.2` could not begin: ", "there is no folder "]);
    std::fs::rename(cluster.other("w/elsewhere"), cluster.other("w/data")).expect("moved");

    std::fs::write(cluster.other("w/dpgui.lock"), "another").expect("written");
    std::fs::write(cluster.other("w/vendor/diffusion-pipe/train.py"), "another").expect("written");
    refused(9, &["`127.0.0.2` has another `dpgui.lock`", "`127.0.0.2` has another trainer"]);
    std::fs::remove_file(cluster.other("w/dpgui.lock")).expect("removed");
    std::fs::write(cluster.other("w/vendor/diffusion-pipe/train.py"), "").expect("written");

    let shared = lab.sandbox.path("shared").display().to_string();
    lab.change("configs/tiny.toml", &shared, "output");
    refused(
        6,
        &["`127.0.0.2` does not see the files in ", "fix: put `output_dir` on a file system that all"],
    );
    lab.change("configs/tiny.toml", "'output'", &format!("'{shared}'"));

    cluster.there(&["train", "configs/tiny.toml", "--detach", "--name", "first"]).ok();
    refused(5, &["could not begin: the CPU is in use by ", "(training ", "first of "]);
    let said = cluster.train(&[]);
    let possible = !said.stderr.contains("--queue") && !said.stderr.contains("--gpus");
    assert!(possible && said.stderr.contains("--share"), "{said}");
    cluster.there(&["stop", "--now"]).ok();

    lab.sandbox.write("w/hosts", "127.0.0.1 slots=1\n127.0.0.3 slots=1\n");
    refused(
        3,
        &[
            "`127.0.0.3` cannot be reached by ssh: ",
            "Connection refused",
            "ssh -o BatchMode=yes 127.0.0.3 true",
        ],
    );
    lab.sandbox.write("w/hosts", "192.0.2.1 slots=1\n127.0.0.2 slots=1\n");
    refused(2, &["`192.0.2.1`, the first machine of the hostfile, is not this one"]);
    lab.sandbox.write("w/hosts", "127.0.0.1 slots=1\n127.0.0.2 slots\n");
    refused(2, &["line 2: `127.0.0.2` has no `slots=NUMBER` behind it"]);

    lab.sandbox.write("w/hosts", "127.0.0.1 slots=1\n127.0.0.2 slots=1\n");
    let caching = "queue = [mp.Manager().Queue()]\ntorch.distributed.broadcast_object_list(queue, src=0)\n";
    lab.sandbox.write("w/vendor/diffusion-pipe/utils/dataset.py", caching);
    refused(8, &["this trainer cannot cache a dataset on 2 machines"]);
    let left = std::fs::read_dir(shared).expect("there").flatten().map(|it| it.file_name());
    let looks: Vec<_> = left.filter(|it| it.to_string_lossy().starts_with(".dpgui")).collect();
    assert!(looks.is_empty(), "left of the looks: {looks:?}");
}

#[test]
fn the_demo_learns_on_two_machines_with_deepspeed_and_stops_with_a_checkpoint() {
    let Some(cluster) = Cluster::with_deepspeed() else { return };
    let said =
        cluster.lab.sandbox.dpgui(&["train", "configs/demo.toml", "--hostfile", "hosts", "--detach"]).ok();
    let run = cluster.lab.run(said.stdout.trim());
    until_within(PATIENCE, "the training is under way", || {
        String::from_utf8_lossy(&run.log()).contains("steps: 20 ").then_some(())
    });
    let part = cluster.part();
    let said = cluster.lab.sandbox.dpgui(&["stop", &run.id()]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }), "{said}");
    part.outcome();
    run.assert_nobody_left();
    part.assert_nobody_left();
    let resumed = ["train", "configs/demo.toml", "--hostfile", "hosts", "--resume", &run.id()];
    let said = cluster.lab.sandbox.dpgui(&resumed).ok();
    assert!(said.stdout.contains("TRAINING COMPLETE!"), "{said}");
    assert!(said.stderr.contains("from the checkpoint at step "), "{said}");
}

#[test]
fn the_page_trains_on_several_machines_and_is_refused_in_the_terminals_words() {
    let Some(cluster) = Cluster::new(&[("STEPS", "0"), ("STEP_TIME", "0.05")]) else { return };
    let lab = &cluster.lab;
    lab.change("dpgui.toml", "[runs]", "[ui]\nroots = ['../shared']\n[runs]");
    let served = Served::start(&lab.sandbox, &[]);
    let hosts = lab.sandbox.path("w/hosts").display().to_string();
    let start = |more: Value| {
        let mut body = json!({ "config": "tiny.toml", "machines": hosts });
        body.as_object_mut().expect("one").extend(more.as_object().expect("one").clone());
        served.send("POST", "/api/runs", &body)
    };
    // What each says of the same wish.
    let same = |more: Value, args: &[&str]| {
        let reply = start(more).json()["error"].clone();
        let all =
            [&["--json", "train", "configs/tiny.toml", "--detach", "--hostfile", &hosts], args].concat();
        let said = lab.sandbox.dpgui(&all);
        let event: Value =
            said.stdout.lines().last().and_then(|it| serde_json::from_str(it).ok()).expect("JSON");
        assert_eq!((&reply["message"], &reply["hint"]), (&event["messages"][0], &event["hint"]), "{args:?}");
        reply["message"].as_str().expect("a message").to_owned()
    };
    let wait = ["train", "configs/tiny.toml", "--queue", "--hostfile", &hosts];
    let said = lab.sandbox.dpgui(&wait);
    let refused = start(json!({ "queue": true })).json()["error"]["message"].clone();
    let refused = refused.as_str().expect("a message");
    assert!(said.code == Some(2) && said.stderr.contains(refused), "{said} {refused}");
    assert!(refused.starts_with("a training on several machines cannot wait in the queue"), "{refused}");
    assert!(same(json!({ "gpus": [0] }), &["--gpus", "0"]).starts_with("which GPUs"));
    lab.sandbox.write("w/hosts", "127.0.0.1 slots=1\n127.0.0.3 slots=1\n");
    let unreachable = same(json!({}), &[]);
    assert!(unreachable.contains("`127.0.0.3` cannot be reached by ssh: "), "{unreachable}");
    lab.sandbox.write("w/hosts", "127.0.0.1 slots=1\n127.0.0.2 slots\n");
    assert!(same(json!({}), &[]).ends_with("line 2: `127.0.0.2` has no `slots=NUMBER` behind it"));
    lab.sandbox.write("w/hosts", "127.0.0.1 slots=1\n");
    assert!(same(json!({}), &[]).ends_with("names one machine only"));
    lab.sandbox.write("hosts", "127.0.0.1 slots=1\n127.0.0.2 slots=1\n");
    for (path, status) in [("hosts", 403), ("w/none", 404), ("w/.dpgui/ui/token", 403)] {
        let machines = lab.sandbox.path(path).display().to_string();
        assert_eq!(start(json!({ "machines": machines })).status, status, "{path}");
    }

    lab.sandbox.write("w/hosts", "127.0.0.1 slots=1\n127.0.0.2 slots=1\n");
    let run = lab.run(start(json!({})).ok()["run"].as_str().expect("an id"));
    run.wait_for_log("steps: 3 ");
    let shown = served.get(&format!("/api/runs/{}", run.id())).ok();
    assert!(shown.to_string().contains(OTHER), "{shown}");
    lab.sandbox.dpgui(&["stop", "--now", &run.id()]).ok();
}
