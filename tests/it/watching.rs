//! `dpgui watch` in a real terminal.

use std::io::{BufRead, BufReader};

use crate::support::{
    lab::{Lab, kill},
    terminal::Terminal,
};

use serde_json::json;

#[test]
fn whoever_leaves_the_view_leaves_the_run_running_and_may_stop_it_from_there() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05")]);
    let Some(terminal) = Terminal::open(&lab, &["train", "configs/tiny.toml", "--watch"], (80, 24)) else {
        return;
    };
    let shown = terminal.wait_for("s/step");
    assert!(shown.contains("/400"), "{shown}");
    assert!(shown.contains("save and stop"), "{shown}");
    terminal.press("C-c");
    let shown = terminal.wait_for("left with 0");
    assert!(shown.contains("trains on"), "{shown}");
    assert!(!shown.contains("save and stop"), "the screen is as it was: {shown}");
    drop(terminal);

    let run = lab.only_run();
    assert!(!run.processes().is_empty(), "it trains on");
    let terminal = Terminal::open(&lab, &["watch"], (60, 12)).expect("tmux is there");
    terminal.wait_for("s/step");
    terminal.press("s");
    terminal.wait_for("Let it save a checkpoint, then stop?");
    terminal.press("y");
    let shown = terminal.wait_for("left with 130");
    assert!(shown.contains("saved a checkpoint"), "{shown}");
    assert_eq!(run.outcome(), json!({ "outcome": "stopped", "saved": true }));
    run.assert_nobody_left();
}

#[test]
fn a_signal_gives_the_terminal_back_and_the_end_of_the_run_its_exit_code() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05")]);
    let run = lab.detached(&[]);
    let Some(terminal) = Terminal::open(&lab, &["watch", &run.id()], (80, 24)) else { return };
    terminal.wait_for("s/step");
    let pane = terminal.tmux(&["list-panes", "-t", "t", "-F", "#{pane_pid}"]);
    let shell: u32 = String::from_utf8_lossy(&pane.stdout).trim().parse().expect("a pid");
    let children = std::fs::read_to_string(format!("/proc/{shell}/task/{shell}/children")).expect("children");
    kill(children.trim().parse().expect("one child"), "TERM");
    terminal.wait_for("left with 143");
    assert!(!run.processes().is_empty(), "it trains on");
    drop(terminal);
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    let said = lab.sandbox.dpgui(&["watch", &run.id()]);
    assert_eq!(said.code, Some(130), "{said}");
}

#[test]
fn without_a_terminal_the_first_word_comes_at_once() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 3 ");
    let since = std::time::Instant::now();
    let mut watch = lab.spawn(&["watch"]);
    let mut stderr = BufReader::new(watch.0.stderr.take().expect("piped"));
    let mut said = String::new();
    stderr.read_line(&mut said).expect("text");
    assert!(said.contains("training: step "), "{said}");
    // Later ones come every ten seconds.
    assert!(since.elapsed() < std::time::Duration::from_secs(8), "{:?}", since.elapsed());
    watch.signal("KILL");
    watch.0.wait().expect("ended");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn the_last_lines_before_a_time_are_those_before_it() {
    let lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.02")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    std::thread::sleep(std::time::Duration::from_millis(2500));
    let logs = |more: &[&str]| {
        let said = lab.sandbox.dpgui(&[&["logs", "--until", "1s"], more].concat()).ok();
        said.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let (all, last) = (logs(&[]), logs(&["-n", "3"]));
    assert!(all.len() > 10 && last.len() == 3, "{last:?} of {all:?}");
    assert_eq!(logs(&["--metrics", "-n", "2"]).len(), 3, "a heading and two steps");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn a_stop_of_a_run_that_is_over_has_nothing_to_do_and_a_save_fails() {
    let lab = Lab::new(&[]);
    lab.train(&[]).ok();
    let run = lab.only_run();
    for (command, code) in [("stop", 0), ("save", 1)] {
        let said = lab.sandbox.dpgui(&[command, &run.id()]);
        assert_eq!(said.code, Some(code), "{said}");
        let words = ["is not running", "the training is complete"];
        assert!(words.iter().all(|it| said.stderr.contains(it)), "{said}");
        assert_eq!(said.stderr.contains("has ended, so nothing was saved"), command == "save", "{said}");
    }
}

#[test]
fn a_script_that_watches_has_an_object_a_line_to_the_end_and_its_exit_code() {
    let lab = Lab::new(&[("STEPS", "5"), ("STEP_TIME", "0.05"), ("END", "3")]);
    let run = lab.detached(&[]);
    let said = lab.sandbox.dpgui(&["--json", "watch", &run.id()]);
    assert_eq!(said.code, Some(1), "{said}");
    let events = said.events();
    let steps: Vec<u64> = events.iter().filter_map(|it| it["step"].as_u64()).collect();
    assert_eq!(steps, [1, 2, 3, 4, 5], "{said}");
    for key in ["doing", "epoch", "loss", "seconds_per_step", "total_steps", "seconds_left", "gpus", "memory"]
    {
        assert!(events[0].get(key).is_some(), "no `{key}` in {}", events[0]);
    }
    let names: Vec<&str> = events.iter().map(|it| it["event"].as_str().expect("a name")).collect();
    let end = names.iter().position(|it| *it == "run-ended").expect("it says how it ended");
    assert!(names[..end].iter().all(|it| *it == "status"), "{names:?}");
    assert_eq!((&events[end]["outcome"], &names[end + 1..]), (&"failed".into(), &["error"][..]), "{said}");
}
