//! Runs on several machines, over a real sshd: both print, both stop, and whatever breaks leaves nothing on either.

use serde_json::json;

use crate::support::{
    cluster::{Cluster, OTHER},
    lab::{kill, until},
};

#[test]
fn both_machines_train_and_what_they_print_is_in_one_log() {
    let cluster = Cluster::new(&[("GREET", "yes")]);
    let said = cluster.train(&[]).ok();
    for line in ["I am rank 0", "I am rank 1", "TRAINING COMPLETE!", "[node1] the launcher has ended"] {
        assert!(said.stdout.contains(line), "{line}: {said}");
    }
    let (run, part) = (cluster.lab.only_run(), cluster.part());
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    assert_eq!(part.outcome(), json!({ "outcome": "completed" }));
    assert_eq!(run.stream("rank1"), part.stream("rank1"));
    run.assert_nobody_left();
    part.assert_nobody_left();
}

#[test]
fn a_stop_reaches_both_machines_saved_or_not() {
    let cluster = Cluster::new(&[("STEPS", "0")]);
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    let said = cluster.lab.sandbox.dpgui(&["save"]).ok();
    assert!(said.stderr.contains("Saved"), "{said}");
    cluster.lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    assert_eq!(part.outcome(), json!({ "outcome": "completed" }));
    part.assert_nobody_left();

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
    let cluster = Cluster::new(&[("STEPS", "0")]);
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
}

#[test]
fn a_machine_that_is_gone_ends_the_run_and_is_named() {
    let mut cluster = Cluster::new(&[("STEPS", "0")]);
    let (run, _) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    cluster.pull_the_plug();
    assert_eq!(run.outcome(), json!({ "outcome": "node-failed", "host": OTHER, "end": null }));
    run.assert_nobody_left();
}

#[test]
fn a_part_that_hears_nothing_of_its_head_ends_itself() {
    let cluster = Cluster::new(&[("STEPS", "0")]);
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
fn whoever_is_killed_between_the_machines_is_replaced_and_no_byte_is_lost() {
    let cluster = Cluster::new(&[("STEPS", "0"), ("GREET", "yes")]);
    let (run, part) = cluster.detached(&[]);
    run.wait_for_log("steps: 2 ");
    for pid in run.links() {
        kill(pid, "KILL");
    }
    kill(part.supervisor(), "KILL");
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
fn what_cannot_begin_on_the_other_machine_does_not_begin_at_all() {
    let cluster = Cluster::new(&[("STEPS", "0")]);
    std::fs::remove_file(cluster.other("w/venv/bin/deepspeed")).expect("removed");
    let said = cluster.train(&[]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains(OTHER), "{said}");
    cluster.lab.only_run().assert_nobody_left();
}
