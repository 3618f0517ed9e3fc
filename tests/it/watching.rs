//! `dpgui watch` in a real terminal: tmux gives one, and tells what it shows.

use std::process::{Command, Output};

use crate::support::lab::{Lab, kill, until};

use serde_json::json;

/// A terminal with one program in it.
struct Terminal {
    socket: String,
}

impl Terminal {
    /// `None`, with a word, where there is no tmux. The program's exit code is shown when it has ended.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was not tested")]
    fn open(lab: &Lab, args: &[&str], (width, height): (u16, u16)) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: there is no tmux here");
            return None;
        }
        let socket = lab.sandbox.path("tmux.socket").to_string_lossy().into_owned();
        let program = lab.sandbox.command(args);
        let mut words = vec![program.get_program().to_string_lossy().into_owned()];
        words.extend(program.get_args().map(|arg| arg.to_string_lossy().into_owned()));
        let line = format!("{}; echo \"left with $?\"; exec sleep 600", words.join(" "));
        let mut command = Command::new("tmux");
        command.env_clear();
        for (name, value) in program.get_envs() {
            command.envs(value.map(|value| (name, value)));
        }
        command.current_dir(program.get_current_dir().expect("a directory"));
        command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8").env("SHELL", "/bin/sh").env_remove("CI");
        command.args(["-f", "/dev/null", "-u", "-S", &socket, "new-session", "-d", "-s", "t"]);
        command.args(["-x", &width.to_string(), "-y", &height.to_string(), &line]);
        let made = command.output().expect("tmux starts");
        assert!(made.status.success(), "{made:?}");
        Some(Self { socket })
    }

    fn tmux(&self, args: &[&str]) -> Output {
        Command::new("tmux").args(["-u", "-S", &self.socket]).args(args).output().expect("tmux answers")
    }

    fn press(&self, key: &str) {
        self.tmux(&["send-keys", "-t", "t", key]);
    }

    fn shows(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-t", "t"]).stdout).into_owned()
    }

    #[track_caller]
    fn wait_for(&self, text: &str) -> String {
        until(&format!("`{text}` is shown, not\n{}", self.shows()), || {
            Some(self.shows()).filter(|shown| shown.contains(text))
        })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

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
