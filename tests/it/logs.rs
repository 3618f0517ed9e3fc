//! `dpgui logs` on files that real processes write.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::pty::{OpenptyResult, Winsize, openpty};

use crate::support::sandbox::Sandbox;

/// The first segment of the only stream.
const LOG_FILE: &str = "log/launcher/00000000000000000000.log";

const RUN: &str = "20261123T045512Z-wan";

/// What a training leaves: bars, colours, damage, no newline at the end.
const LOG: &[u8] = b"loading\n\r  0%|          | 0/2\r 50%|#####     | 1/2\r100%|##########| 2/2\n\
    \x1b[32msteps: 1 loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\x1b[0m\n\
    caching latents: /data/\x1b]0;owned\x07\xff\n\
    steps: 2 loss: nan iter time (s): 0.071 samples/sec: 450.704\nKilling sub";

/// A run with this log that is over.
fn ended(log: &[u8]) -> Sandbox {
    let sandbox = Sandbox::new();
    let run = PathBuf::from("w/runs").join(RUN);
    sandbox.write(run.join(LOG_FILE), log);
    sandbox.write(run.join("state.json"), state(r#"{"ended":{"outcome":"completed"}}"#));
    // Its presence says that the run was really started.
    sandbox.write(run.join("spec.json"), "{}");
    sandbox
}

fn state(state: &str) -> String {
    format!(
        r#"{{"version":1,"seq":3,"state":{state},"updated":"2026-11-23T05:00:00Z",
            "last_step":null,"parsed":{{}},"child":null,"session":null}}"#
    )
}

/// A run that a supervisor, the test itself, looks after; until [`Supervised::end`].
struct Supervised {
    sandbox: Sandbox,
    _lock: File,
}

impl Supervised {
    fn new(log: &[u8]) -> Self {
        let sandbox = ended(log);
        let run = PathBuf::from("w/runs").join(RUN);
        let lock = File::create(sandbox.path(run.join("supervisor.lock"))).expect("created");
        lock.lock().expect("locked");
        sandbox.write(run.join("state.json"), state(r#""starting""#));
        Self { sandbox, _lock: lock }
    }

    fn log(&self) -> PathBuf {
        self.sandbox.root().join("runs").join(RUN).join(LOG_FILE)
    }

    fn end(&self) {
        let path = self.sandbox.root().join("runs").join(RUN).join("state.json");
        let new = path.with_extension("new");
        fs::write(&new, state(r#"{"ended":{"outcome":"completed"}}"#)).expect("written");
        fs::rename(new, path).expect("renamed");
    }
}

#[test]
fn the_log_is_shown_as_lines_as_numbers_as_json_and_as_it_is() {
    let sandbox = ended(LOG);
    let forms: [&[&str]; 6] = [
        &["logs"],
        &["logs", "wan", "-n", "2"],
        &["logs", "--json", "-n", "2"],
        &["logs", "--metrics"],
        &["logs", "--metrics", "-n", "1"],
        &["logs", "--metrics", "--json"],
    ];
    let said = forms.map(|args| format!("$ dpgui {}\n{}", args.join(" "), sandbox.dpgui(args).ok().stdout));
    insta::assert_snapshot!(said.join("\n"));
    let raw = sandbox.command(&["logs", "--raw"]).output().expect("ran");
    assert_eq!((raw.status.code(), raw.stdout.as_slice()), (Some(0), LOG));
    let tail = sandbox.command(&["logs", "--raw", "-n", "1"]).output().expect("ran");
    assert_eq!(tail.stdout, b"Killing sub");
}

#[test]
fn raw_bytes_are_no_numbers_and_no_json() {
    let sandbox = ended(LOG);
    for args in [["logs", "--raw", "--metrics"], ["logs", "--raw", "--json"]] {
        let said = sandbox.dpgui(&args);
        assert_eq!(said.code, Some(2), "{said}");
    }
}

#[test]
fn an_unknown_run_is_a_usage_error() {
    let said = ended(LOG).dpgui(&["logs", "qwen"]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{said}");
    assert!(said.stderr.starts_with("error: there is no run `qwen`"), "{said}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let sandbox = ended("a line\n".repeat(200_000).as_bytes());
    let script = format!("{} logs | head -1; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_dpgui"));
    let mut command = Command::new("bash");
    let model = sandbox.command(&[]);
    let env = model.get_envs().filter_map(|(name, value)| Some((name, value?)));
    command.args(["-c", &script]).env_clear().envs(env).current_dir(sandbox.root());
    let output = command.output().expect("ran");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"a line\n"[..], &b""[..]));
}

#[test]
fn a_follower_whose_reader_went_away_ends_though_nothing_is_written() {
    let run = Supervised::new(b"first\n");
    let mut child =
        run.sandbox.command(&["logs", "-f"]).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut first = [0; 6];
    child.stdout.take().expect("piped").read_exact(&mut first).expect("a line");
    assert_eq!(&first, b"first\n");
    // stdout is closed by now and the run goes on without a word.
    assert_eq!(child.wait().expect("waited").code(), Some(0));
}

#[test]
fn a_log_is_followed_until_its_run_has_ended() {
    let run = Supervised::new(b"step 0\n");
    let mut follower =
        run.sandbox.command(&["logs", "-f"]).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = follower.stdout.take().expect("piped");
    let mut seen = [0; 7];
    stdout.read_exact(&mut seen).expect("what was there already");
    // Somebody else writes, in small pieces, and is killed in the middle of a line.
    let script =
        "for i in 1 2 3; do printf 'step '; printf \"$i\\n\"; done; printf 'bar 1\\rbar 2'; kill -9 $$";
    let log = File::options().append(true).open(run.log()).expect("opened");
    let writer = Command::new("sh").args(["-c", script]).stdout(log).status().expect("ran");
    assert_eq!(writer.code(), None, "killed");
    run.end();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "step 1\nstep 2\nstep 3\nbar 2\n");
    assert_eq!(follower.wait().expect("waited").code(), Some(0));
}

#[test]
fn what_comes_through_a_pipe_that_is_opened_later_is_followed_too() {
    let run = Supervised::new(b"first\n");
    let mut follower =
        run.sandbox.command(&["logs", "-f"]).stdout(Stdio::piped()).spawn().expect("the program starts");
    let mut stdout = follower.stdout.take().expect("piped");
    let mut seen = [0; 6];
    stdout.read_exact(&mut seen).expect("what was there already");
    let later = PathBuf::from("w/runs").join(RUN).join("log/rank1/00000000000000000000.log");
    run.sandbox.write(later, "of another\n");
    let mut line = [0; 19];
    stdout.read_exact(&mut line).expect("a line of the other");
    assert_eq!(String::from_utf8_lossy(&line), "[rank1] of another\n");
    fs::write(run.log(), "first\nsecond\n").expect("written");
    run.end();
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the rest");
    assert_eq!(rest, "second\n");
    assert_eq!(follower.wait().expect("waited").code(), Some(0));
}

#[test]
fn a_log_that_does_not_exist_yet_is_waited_for() {
    let run = Supervised::new(b"");
    fs::remove_file(run.log()).expect("removed");
    assert_eq!(run.sandbox.dpgui(&["logs", "-n", "3"]).ok().stdout, "");
    let mut follower =
        run.sandbox.command(&["logs", "-f"]).stdout(Stdio::piped()).spawn().expect("the program starts");
    fs::write(run.log(), "first\n").expect("written");
    let mut first = [0; 6];
    follower.stdout.as_mut().expect("piped").read_exact(&mut first).expect("a line");
    run.end();
    assert_eq!(follower.wait().expect("waited").code(), Some(0));
}

#[test]
fn a_terminal_gets_colours_and_nothing_else_that_it_would_obey() {
    let shown = on_terminal(&ended(LOG), &["logs"]);
    let expected = "loading\r\n100%|##########| 2/2\r\n\
        \x1b[32msteps: 1 loss: 0.5000 iter time (s): 0.070 samples/sec: 457.143\x1b[0m\r\n\
        caching latents: /data/\u{fffd}\r\n\
        steps: 2 loss: nan iter time (s): 0.071 samples/sec: 450.704\r\nKilling sub\r\n";
    assert_eq!(shown, expected);
}

#[test]
fn a_terminal_sees_a_progress_bar_move_and_then_its_end_once() {
    let run = Supervised::new(b"loading\n\r 50%|#####     | 1/2");
    let (mut follower, mut terminal) = start_on_terminal(&run.sandbox, &["logs", "-f"]);
    let mut shown = vec![];
    while !String::from_utf8_lossy(&shown).contains("1/2") {
        let mut bytes = [0; 1024];
        let count = terminal.read(&mut bytes).expect("the program still runs");
        shown.extend_from_slice(&bytes[..count]);
    }
    let mut log = File::options().append(true).open(run.log()).expect("opened");
    log.write_all("\r100%|##########| 2/2\n".as_bytes()).expect("written");
    run.end();
    let _ = terminal.read_to_end(&mut shown);
    assert_eq!(follower.wait().expect("waited").code(), Some(0));
    let shown = String::from_utf8(shown).expect("text");
    // Everything that is drawn again is erased before; what is left are the log's lines.
    let (_, last) = shown.rsplit_once("\x1b[2K").expect("the bar was erased");
    assert_eq!(shown.matches("loading").count(), 1, "{shown:?}");
    assert_eq!(shown.matches("100%|##########| 2/2\r\n").count(), 1, "{shown:?}");
    assert!(!last.contains("50%"), "{shown:?}");
}

/// What the program writes to a terminal of its own, which turns `\n` into `\r\n`.
fn on_terminal(sandbox: &Sandbox, args: &[&str]) -> String {
    let (mut child, mut terminal) = start_on_terminal(sandbox, args);
    let mut shown = vec![];
    // Linux reports the end of a terminal as an error.
    let _ = terminal.read_to_end(&mut shown);
    assert_eq!(child.wait().expect("waited").code(), Some(0));
    String::from_utf8(shown).expect("only valid text is shown")
}

/// The program, the only holder of one end of a terminal, and the other end.
fn start_on_terminal(sandbox: &Sandbox, args: &[&str]) -> (Child, File) {
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    let OpenptyResult { master, slave } = openpty(&size, None).expect("a terminal");
    let end = || Stdio::from(slave.try_clone().expect("cloned"));
    let mut command = sandbox.command(args);
    command.env("TERM", "xterm").env_remove("NO_COLOR").env_remove("CI").stdout(end()).stderr(end());
    (command.spawn().expect("the program starts"), File::from(master))
}
