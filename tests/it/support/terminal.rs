//! A real terminal: tmux gives one, and tells what it shows.

use std::{
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use super::lab::{Lab, until};

/// Each has a server of its own: one that is about to end takes no new session.
static OPENED: AtomicU32 = AtomicU32::new(0);

/// A terminal with one program in it.
pub(crate) struct Terminal {
    socket: String,
}

impl Terminal {
    /// `None`, with a word, where there is no tmux. The program's exit code is shown when it has ended.
    #[expect(clippy::print_stderr, reason = "whoever runs the tests should know what was not tested")]
    pub(crate) fn open(lab: &Lab, args: &[&str], (width, height): (u16, u16)) -> Option<Self> {
        if Command::new("tmux").arg("-V").output().is_err() {
            eprintln!("skipped: there is no tmux here");
            return None;
        }
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        let socket = lab.sandbox.path(format!("tmux{number}")).to_string_lossy().into_owned();
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

    pub(crate) fn tmux(&self, args: &[&str]) -> Output {
        Command::new("tmux").args(["-u", "-S", &self.socket]).args(args).output().expect("tmux answers")
    }

    pub(crate) fn press(&self, key: &str) {
        self.tmux(&["send-keys", "-t", "t", key]);
    }

    pub(crate) fn shows(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p", "-t", "t"]).stdout).into_owned()
    }

    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
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
