//! The trainer's own Python, where a checkout of it is at hand: `DPGUI_DIFFUSION_PIPE`.

use std::{
    fs,
    process::{Command, Stdio},
};

pub(crate) fn is_at_hand() -> bool {
    std::env::var_os("DPGUI_DIFFUSION_PIPE").is_some()
}

/// New questions of this kind with the trainer's answers, as lines of `{"ask":…,"answer":…}`.
pub(crate) fn pairs(kind: &str, more: &[&str]) -> String {
    let python = std::env::var("DPGUI_ORACLE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let seed = std::env::var("DPGUI_ORACLE_SEED").unwrap_or_else(|_| "20261127".to_owned());
    let oracle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/differential/oracle");
    let dir = tempfile::tempdir().expect("a temp dir");
    let asks = dir.path().join("asks");
    let run = |script: &str, args: &[&str], input: Stdio| {
        let script = format!("{oracle}/{script}");
        let output =
            Command::new(&python).arg(script).args(args).stdin(input).output().expect("Python starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let questions = run("generate.py", &[&[kind, "--seed", &seed], more].concat(), Stdio::null());
    fs::write(&asks, &questions).expect("written");
    let answers = run("answer.py", &[kind], fs::File::open(&asks).expect("opened").into());
    assert_eq!(questions.lines().count(), answers.lines().count(), "an answer for each question");
    let pairs = questions.lines().zip(answers.lines());
    let lines: Vec<String> =
        pairs.map(|(ask, answer)| format!(r#"{{"ask":{ask},"answer":{answer}}}"#)).collect();
    lines.join("\n")
}
