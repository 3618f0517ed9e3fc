//! What several ranks print, each into a pipe of its own: stored in pieces, cut where too much of it is old, shown by
//! rank, by time and by what it says.

use serde_json::{Value, json};

use crate::support::lab::{Lab, Run, until};

/// The numbers of a flood's lines.
fn numbers(log: &[u8]) -> Vec<u64> {
    let lines = log.split(|byte| *byte == b'\n').filter(|line| line.len() == 99);
    lines.filter_map(|line| std::str::from_utf8(line).ok()?.parse().ok()).collect()
}

/// Where each segment of the stream begins, and whether it is compressed.
fn segments(run: &Run, stream: &str) -> Vec<(u64, bool)> {
    let entries = std::fs::read_dir(run.path.join("log").join(stream)).expect("there").flatten();
    let names = entries.map(|it| it.file_name().into_string().expect("text"));
    let mut found: Vec<(u64, bool)> = names
        .filter_map(|name| {
            let (start, kind) = name.split_once('.').expect("named by its start");
            (kind != "idx").then(|| (start.parse().expect("a number"), kind == "log.gz"))
        })
        .collect();
    found.sort_unstable();
    found
}

#[test]
fn ranks_are_told_apart_and_each_can_be_seen_alone() {
    let lab = Lab::new(&[("GREET", "yes")]);
    lab.train(&[]).ok();
    let logs = |args: &[&str]| lab.sandbox.dpgui(&[&["logs"], args].concat());
    let all = logs(&[]).ok().stdout;
    for line in ["[rank0] I am rank 0", "[rank1] I am rank 1", "[rank0] steps: 3 ", "the launcher has ended"]
    {
        assert!(all.contains(line), "{line}: {all}");
    }
    assert_eq!(logs(&["--rank", "1"]).ok().stdout, "I am rank 1\n");
    assert_eq!(logs(&["--rank", "launcher"]).ok().stdout, "the launcher has ended\n");
    assert_eq!(logs(&["--rank", "1", "--raw"]).ok().stdout, "I am rank 1\n");
    let streams: Vec<Value> = logs(&["--json"]).ok().events().iter().map(|it| it["stream"].clone()).collect();
    assert!(["launcher", "rank0", "rank1"].iter().all(|name| streams.contains(&json!(name))), "{streams:?}");
    // The last lines are those of all together.
    let last = logs(&["-n", "1"]).ok().stdout;
    assert_eq!(last, "the launcher has ended\n");
    let unknown = logs(&["--rank", "7"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("`rank0`, `rank1`"), "{unknown}");
    let several = logs(&["--raw"]);
    assert!(several.code == Some(2) && several.stderr.contains("--rank N"), "{several}");
}

#[test]
fn ranks_that_the_supervisor_started_itself_end_as_they_do_under_the_launcher() {
    for (end, expected) in [
        ("complete", json!({ "outcome": "completed" })),
        ("3", json!({ "outcome": "failed", "exit": { "code": 3 } })),
        ("killed", json!({ "outcome": "killed", "signal": 9 })),
        ("quiet", json!({ "outcome": "exited-early" })),
    ] {
        let lab = Lab::new(&[("END", end)]);
        lab.train(&["--launcher", "direct"]);
        let run = lab.only_run();
        assert_eq!(run.outcome(), expected, "{end}");
        assert!(!run.path.join("log/launcher").exists(), "there was none");
        run.assert_nobody_left();
    }
}

#[test]
fn ranks_without_a_launcher_are_stopped_saved_and_adopted_like_any() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&["--launcher", "direct"]);
    run.wait_for_log("steps: 2 ");
    run.kill_supervisor();
    let listed = lab.sandbox.dpgui(&["runs", "--json"]).ok().events();
    assert_eq!(listed[0]["state"], "training");
    lab.sandbox.dpgui(&["stop"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    run.assert_nobody_left();
    // What goes on with it goes on as it was started.
    lab.sandbox.dpgui(&["resume", &run.id()]).ok();
    let next = lab.other_run(&run);
    assert_eq!(next.spec()["launcher"], "direct");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn the_command_that_is_printed_trains_as_it_would() {
    let lab = Lab::new(&[]);
    let said = lab.train(&["--print-command", "--launcher", "direct"]).ok();
    assert!(!lab.sandbox.path("w/runs").exists(), "nothing was started");
    let output =
        std::process::Command::new("sh").args(["-c", said.stdout.trim()]).env("FAKE_STEPS", "2").output();
    let output = output.expect("sh starts");
    let printed = String::from_utf8(output.stdout).expect("text");
    assert!(output.status.success() && printed.contains("TRAINING COMPLETE!"), "{said} {printed}");
}

#[test]
fn other_launchers_of_deepspeeds_are_printed_and_not_run() {
    let lab = Lab::new(&[]);
    let refused = lab.train(&["--launcher", "openmpi"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("--print-command --hostfile"), "{refused}");
    let print = |hosts| ["--launcher", "openmpi", "--hostfile", hosts, "--print-command"];
    let refused = lab.train(&print("nowhere"));
    assert!(refused.code == Some(2) && refused.stderr.contains("HOST slots=NUMBER"), "{refused}");
    let hosts = lab.sandbox.write("w/hosts", "a slots=1\nb slots=1\n");
    let said = lab.train(&[&print("hosts")[..], &["--json"]].concat()).ok();
    let line = said.events()[0]["command"].as_str().expect("a line").to_owned();
    let (begin, rest) = line.split_once(" --launcher openmpi ").expect("passed on");
    assert!(begin.ends_with("venv/bin/deepspeed"), "{begin}");
    assert!(rest.starts_with(&format!("--hostfile {} ", hosts.display())), "{rest}");
    assert!(!lab.sandbox.path("w/runs").exists(), "nothing was started");
}

#[test]
fn a_log_is_cut_compressed_and_kept_within_its_room() {
    let lab = Lab::new(&[("PRINT", "flood"), ("BYTES", "30000000")]);
    lab.sandbox.write("w/dpgui.toml", "[logs]\nsegment = '1 MB'\nkeep = '3 MB'\n");
    lab.train(&["--detach"]).ok();
    let run = lab.only_run();
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    // The supervisor is no process of the run, and compresses until it ends.
    until("nobody tidies up any more", || (run.processes().is_empty() && !run.is_supervised()).then_some(()));
    let found = segments(&run, "rank0");
    let plain = found.iter().filter(|(_, packed)| !packed).count();
    assert!(plain == 2 && found.len() > 2, "all but the last two are compressed: {found:?}");
    let left = numbers(&run.stream("rank0"));
    assert_eq!(left.last(), Some(&299_999));
    assert!(left.windows(2).all(|pair| pair[0] + 1 == pair[1]), "nothing is missing in the middle");
    assert!(left[0] > 0, "the beginning is gone");
    let trimmed: Vec<Value> = run.history().into_iter().filter(|it| it["event"] == "log-trimmed").collect();
    assert_eq!(trimmed.last().expect("told")["up_to"], json!(found[0].0));
    let said = lab.sandbox.dpgui(&["logs", "--rank", "0"]).ok();
    assert!(
        said.stderr.contains("are gone, up to byte") && said.stderr.contains("[logs] keep"),
        "{}",
        said.stderr
    );
    assert!(said.stdout.lines().filter(|line| line.len() == 99).count() >= left.len() - 1);
    assert!(said.stdout.ends_with("TRAINING COMPLETE!\n"));
    let last = lab.sandbox.dpgui(&["logs", "--rank", "0", "-n", "20000", "--raw"]).ok().stdout;
    assert_eq!(last.lines().count(), 20_000, "across segments, compressed or not");
}

#[test]
fn lines_are_found_by_their_time_and_by_what_they_say() {
    let lab = Lab::new(&[("STEPS", "30"), ("STEP_TIME", "0.05")]);
    lab.train(&["--detach"]).ok();
    let run = lab.only_run();
    run.outcome();
    let logs = |args: &[&str]| lab.sandbox.dpgui(&[&["logs"], args].concat()).ok().stdout;
    let all: Vec<Value> =
        logs(&["--json", "--rank", "0"]).lines().map(|it| serde_json::from_str(it).expect("JSON")).collect();
    let times: Vec<&str> = all.iter().map(|it| it["time"].as_str().expect("a time")).collect();
    assert!(times.is_sorted(), "{times:?}");
    let step = |number: u32| {
        let text = format!("steps: {number} ");
        all.iter().position(|it| it["text"].as_str().expect("text").starts_with(&text)).expect("there")
    };
    let (from, to) = (times[step(10)], times[step(20)]);
    let between = logs(&["--rank", "0", "--since", from, "--until", to]);
    // On a busy machine several steps may have one time.
    let is_between = |it: &&Value| (from..to).contains(&it["time"].as_str().expect("a time"));
    let expected: Vec<_> =
        all.iter().filter(is_between).map(|it| it["text"].as_str().expect("text")).collect();
    assert_eq!(between.lines().collect::<Vec<_>>(), expected);
    assert!(from < to && between.contains("steps: 15 "), "{between}");
    assert_eq!(logs(&["--since", "1h"]), logs(&[]), "all of it is younger");
    assert_eq!(logs(&["--until", "1h"]), "");
    assert_eq!(logs(&["-f", "--until", "1h"]), "", "nothing that comes can be wanted");
    assert_eq!(logs(&["--rank", "0", "--grep", "steps: [12] "]).lines().count(), 2);
    assert!(logs(&["--rank", "0", "--grep", "steps", "-n", "1"]).starts_with("steps: 30 "));
    let stamped = logs(&["--rank", "0", "--timestamps", "--grep", "steps: 10 "]);
    assert!(stamped.starts_with(&from[..20]) && stamped.contains("+00:00 steps: 10 "), "{from}: {stamped}");
    for wrong in [
        &["--since", "yesterday-ish"][..],
        &["--grep", "("],
        &["--since", "1h", "--raw"],
        &["--since", "1m", "--until", "2m"],
    ] {
        assert_eq!(lab.sandbox.dpgui(&[&["logs"], wrong].concat()).code, Some(2), "{wrong:?}");
    }
}
