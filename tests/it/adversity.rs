//! What a machine may do to a run: clocks that are set, process numbers that are used again, a home without locks, the
//! kernel that takes memory back.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{
    lab::{Lab, kill, until},
    preload::library,
    sandbox::Said,
};

#[test]
fn when_one_rank_is_killed_the_others_are_not_waited_for_as_long_as_the_launcher_would() {
    let lab = Lab::new(&[("STEPS", "0"), ("IGNORE", "INT,TERM"), ("GREET", "yes")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    // From then on it ignores what it is told.
    until("the other rank is there", || (!run.stream("rank1").is_empty()).then_some(()));
    kill(run.process("rank"), "KILL");
    assert_eq!(run.outcome(), json!({ "outcome": "killed", "signal": 9 }));
    // It was us who ended them, not the launcher after half a minute.
    let forces: Vec<_> =
        run.history().iter().filter(|it| it["event"] == "signalled").map(|it| it["force"].clone()).collect();
    assert_eq!(forces, [json!("KILL")]);
    run.assert_nobody_left();
}

#[test]
fn a_clock_that_is_set_while_it_trains_costs_nothing_and_alarms_nobody() {
    let mut lab = Lab::new(&[("STEPS", "60"), ("STEP_TIME", "0.05")]);
    let (clock, preload) = (lab.sandbox.write("clock", "0"), library(&lab.sandbox, "system_faults"));
    // What is set is the time of day: time that passes is another clock's.
    lab.sandbox.env("LD_PRELOAD", preload).env("TEST_CLOCK", &clock);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 10 ");
    fs::write(&clock, "10800").expect("written");
    run.wait_for_log("steps: 25 ");
    let ahead = lab.sandbox.dpgui(&["runs", "show", "--json", &run.id()]).ok().events();
    fs::write(&clock, "-2592000").expect("written");
    run.wait_for_log("steps: 40 ");
    lab.sandbox.dpgui(&["runs"]).ok();
    assert_eq!(run.outcome(), json!({ "outcome": "completed" }));
    run.assert_nobody_left();
    assert!(ahead[0]["seconds"].as_f64().expect("a number") > 3600.0, "it was shown another time: {ahead:?}");

    let happened = run.history();
    assert!(!happened.iter().any(|it| it["event"] == "alarm"), "{happened:?}");
    run.events();
    // The log has its order from its bytes.
    let log = lab.sandbox.dpgui(&["logs", "--timestamps", &run.id()]).ok().stdout;
    let step = |line: &str| line.split("steps: ").nth(1)?.split(' ').next()?.parse::<u64>().ok();
    let steps: Vec<u64> = log.lines().filter_map(step).collect();
    assert_eq!(steps, (1..=60).collect::<Vec<_>>(), "{log}");
    let said = lab.sandbox.dpgui(&["logs", "--since", "1h", &run.id()]).ok();
    assert!(said.stdout.contains("TRAINING COMPLETE!"), "{said}");
    let shown = lab.sandbox.dpgui(&["runs", "show", "--json", &run.id()]).ok().events();
    assert!(shown[0]["seconds"].as_f64().expect("a number") >= 0.0, "{shown:?}");
}

#[test]
fn a_process_that_got_the_number_of_a_dead_one_is_never_signalled() {
    let lab = Lab::new(&[("STEPS", "0")]);
    // In a world of numbers of its own, where the next one can be chosen.
    let script = r#"
        set -e
        run=$("$0" train configs/tiny.toml --detach)
        until grep -q 'steps: 1 ' runs/$run/log/rank0/*.log; do sleep 0.05; done
        cookie=$(sed -n 's/.*"cookie": *"\([0-9a-f]*\)".*/\1/p' runs/$run/spec.json)
        ours=$(grep -l "DPGUI_RUN_ID=$cookie" /proc/[0-9]*/environ 2>/dev/null | cut -d / -f 3)
        # With whoever looks after it, and all at once, so that nobody is left to write an end.
        ours="$ours $(grep -l "runs/$run" /proc/[0-9]*/cmdline | cut -d / -f 3 | grep -v -w $$)"
        kill -STOP $ours 2>/dev/null || true
        kill -KILL $ours 2>/dev/null || true
        while grep -q "DPGUI_RUN_ID=$cookie" /proc/[0-9]*/environ 2>/dev/null; do sleep 0.05; done
        for pid in $(printf '%s\n' $ours | sort -un); do
            for again in 1 2 3 4 5; do
                echo $((pid - 1)) > /proc/sys/kernel/ns_last_pid
                setsid sleep 600 &
                test $! = $pid && break
                kill $!
            done
            test $! = $pid || { echo "no process $pid could be had" >&2; exit 9; }
            innocents="$innocents $pid"
        done
        "$0" runs >&2
        "$0" stop --now $run >&2 || test $? = 2
        for pid in $innocents; do kill -0 $pid || { echo "process $pid was ended" >&2; exit 8; }; done
        "$0" runs --json
        # And what it computed on is free.
        timeout 20 "$0" train configs/tiny.toml --detach --name second >&2
        "$0" stop --now second >&2
        kill $innocents
        "#;
    let usual = lab.sandbox.command(&[]);
    let mut command = Command::new("/usr/bin/unshare");
    command.args([
        "--map-root-user",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "/bin/sh",
        "-c",
        script,
    ]);
    command.arg(env!("CARGO_BIN_EXE_dpgui"));
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Said::from(command.current_dir(lab.sandbox.root()).output().expect("unshare is there")).ok();
    let row: &Value = &said.events()[0];
    assert_eq!(row["ended"], true, "{said}");
}

#[test]
fn where_the_home_has_no_locks_gpus_are_shared_out_by_those_of_the_machine() {
    let mut lab = Lab::new(&[("STEPS", "0")]);
    let (preload, home) = (library(&lab.sandbox, "system_faults"), lab.sandbox.path("home"));
    lab.sandbox.env("LD_PRELOAD", preload).env("TEST_NO_LOCKS", &home);
    let said = lab.train(&["--detach", "--name", "first"]).ok();
    let warning = format!("the file system of `{}", home.display());
    assert!(said.stderr.contains(&warning), "{said}");
    let refused = lab.train(&["--detach", "--name", "second"]);
    assert_eq!(refused.code, Some(5), "{refused}");
    assert!(refused.stderr.contains("first"), "{refused}");
    lab.sandbox.dpgui(&["stop", "--now", "first"]).ok();
}

#[test]
fn a_stop_while_the_disk_is_full_ends_the_run_all_the_same() {
    let mut lab = Lab::new(&[("STEPS", "0"), ("IGNORE", "INT")]);
    let (preload, full) = (library(&lab.sandbox, "system_faults"), lab.sandbox.path("full"));
    let below = lab.sandbox.path("w/runs");
    lab.sandbox.env("LD_PRELOAD", preload).env("TEST_FULL", &full).env("TEST_FULL_BELOW", below);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    lab.sandbox.write("full", "");
    let stopping = lab.spawn(&["stop", "--now", &run.id()]);
    until("nobody computes any more", || run.processes_with("rank").is_empty().then_some(()));
    fs::remove_file(&full).expect("there");
    stopping.end();
    assert_eq!(run.outcome()["outcome"], "stopped", "{:?}", run.history());
    run.assert_nobody_left();
}

#[test]
fn memory_that_the_kernel_takes_back_is_an_end_of_its_own() {
    let lab = Lab::new(&[("STEPS", "0"), ("EAT", "600")]);
    let Some(group) = Group::with_memory(300 << 20) else {
        return eprintln!("NOT TESTED: no control group can be made here that limits memory");
    };
    let dpgui = lab.sandbox.command(&["train", "configs/tiny.toml"]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(group.path.join("cgroup.procs"));
    command.arg(dpgui.get_program()).args(dpgui.get_args()).env_clear().current_dir(lab.sandbox.root());
    command.envs(dpgui.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Said::from(command.output().expect("sh starts"));
    let run = lab.only_run();
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(run.outcome()["outcome"], "out-of-memory", "{said}");
    assert!(said.stderr.contains("memory"), "{said}");
    run.assert_nobody_left();
    let failed = lab.sandbox.dpgui(&["diagnose", "--json", &run.id()]).ok().events();
    assert_eq!(failed[0]["id"], "host_oom", "{failed:?}");
}

#[test]
fn a_stop_names_what_no_signal_reaches_and_does_not_wait_for_it() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let rank = run.process("rank");
    let Some(frozen) = Frozen::new(rank) else {
        return eprintln!("NOT TESTED: no control group can be made here that freezes a process");
    };
    let said = lab.sandbox.dpgui(&["stop", "--now"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains(&format!("is not over: process {rank} (`")), "{said}");
    assert!(said.stderr.contains("uninterruptible"), "{said}");
    assert_eq!(run.processes(), [rank]);
    assert!(run.state().get("stopping").is_some() && !lab.slot_is_free(), "{}", run.state());
    let again = lab.sandbox.dpgui(&["stop", "--now"]);
    let end = |it: &Said| it.stderr.find("error: ").map(|at| it.stderr[at..].to_owned());
    assert_eq!((again.code, end(&again)), (said.code, end(&said)), "nor the second time");
    drop(frozen);
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": false }));
    run.assert_nobody_left();
    assert!(run.events().contains(&"stuck".to_owned()));
}

/// A process in a control group of the first version that is frozen: as one in a driver, it hears no signal until it is
/// let go, with this.
struct Frozen {
    path: PathBuf,
}

impl Frozen {
    fn new(pid: u32) -> Option<Self> {
        let path = Path::new("/sys/fs/cgroup/freezer").join(format!("dpgui-test-{}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let frozen = Self { path };
        fs::write(frozen.path.join("cgroup.procs"), pid.to_string()).ok()?;
        fs::write(frozen.path.join("freezer.state"), "FROZEN").ok()?;
        until("it is frozen", || {
            fs::read_to_string(frozen.path.join("freezer.state")).ok()?.starts_with("FROZEN").then_some(())
        });
        Some(frozen)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = fs::write(self.path.join("freezer.state"), "THAWED");
        until("it is let go", || fs::remove_dir(&self.path).ok());
    }
}

/// A control group with a limit, gone with this.
struct Group {
    path: PathBuf,
}

impl Group {
    fn with_memory(bytes: u64) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let in_first = |line: &str| {
            let mut parts = line.splitn(3, ':');
            let controllers = parts.nth(1)?;
            controllers.split(',').any(|it| it == "memory").then(|| parts.next().map(str::to_owned))?
        };
        let (root, own, limit) = match own.lines().find_map(in_first) {
            Some(path) => (Path::new("/sys/fs/cgroup/memory"), path, "memory.limit_in_bytes"),
            None => (Path::new("/sys/fs/cgroup"), own.trim().strip_prefix("0::")?.to_owned(), "memory.max"),
        };
        let name = format!("dpgui-test-{}", std::process::id());
        let path = root.join(own.trim_start_matches('/')).join(name);
        fs::create_dir(&path).ok()?;
        let group = Self { path };
        fs::write(group.path.join(limit), bytes.to_string()).ok()?;
        // Which would only make it slow.
        let _ = fs::write(group.path.join("memory.swap.max"), "0");
        group.path.join("cgroup.procs").exists().then_some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let members = || fs::read_to_string(self.path.join("cgroup.procs")).unwrap_or_default();
        members().lines().filter_map(|it| it.parse().ok()).for_each(|pid| kill(pid, "KILL"));
        until("its processes are gone", || members().is_empty().then_some(()));
        let _ = fs::remove_dir(&self.path);
    }
}
