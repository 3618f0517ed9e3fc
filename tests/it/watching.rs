//! `dpgui watch` in a real terminal.

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
