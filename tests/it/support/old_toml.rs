//! The Python package with which the trainer reads its files, kept running: text in, value out.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::Value;

const PACKAGE: &str = "toml==0.10.2";

/// One document per line, as JSON; the answer is `[value]` or the error's text. Numbers go as the bits of a double,
/// because a mixed array becomes floats.
const SERVER: &str = r#"
import json, struct, sys, toml

def canonical(value):
    if isinstance(value, bool) or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        number = float(value) + 0.0
        return {"number": "nan" if number != number else struct.pack(">d", number).hex()}
    if isinstance(value, list):
        return [canonical(each) for each in value]
    return {key: canonical(each) for key, each in value.items()}

for line in sys.stdin:
    try:
        answer = [canonical(toml.loads(json.loads(line)))]
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(json.dumps(answer), flush=True)
"#;

pub(crate) struct OldToml {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl OldToml {
    pub(crate) fn start() -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SERVER])
            .env("PYTHONPATH", python_package(PACKAGE))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is on PATH");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, stdin, stdout }
    }

    /// What the package makes of `text`, or why it does not.
    pub(crate) fn load(&mut self, text: &str) -> Result<Value, String> {
        writeln!(self.stdin, "{}", serde_json::json!(text)).expect("the server reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("the server answers");
        match serde_json::from_str(&line).expect("an answer in JSON") {
            Value::Array(mut value) => Ok(value.remove(0)),
            error => Err(error.as_str().unwrap_or_default().to_owned()),
        }
    }
}

impl Drop for OldToml {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `text` means by today's TOML, in the server's form.
pub(crate) fn meaning(text: &str) -> Value {
    fn canonical(value: toml::Value) -> Value {
        match value {
            toml::Value::String(text) => text.into(),
            toml::Value::Boolean(flag) => flag.into(),
            #[expect(clippy::cast_precision_loss, reason = "Python's `float()` loses the same")]
            toml::Value::Integer(number) => canonical(toml::Value::Float(number as f64)),
            toml::Value::Float(number) if number.is_nan() => serde_json::json!({ "number": "nan" }),
            toml::Value::Float(number) => {
                serde_json::json!({ "number": format!("{:016x}", (number + 0.0).to_bits()) })
            }
            toml::Value::Datetime(date) => date.to_string().into(),
            toml::Value::Array(values) => values.into_iter().map(canonical).collect(),
            toml::Value::Table(table) => {
                table.into_iter().map(|(key, value)| (key, canonical(value))).collect()
            }
        }
    }
    canonical(toml::Value::Table(text.parse().expect("valid TOML")))
}

/// The folder with a package and what it needs, installed by the first test that asks.
pub(crate) fn python_package(package: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(package.replace("==", "-"));
    if !folder.is_dir() {
        // Tests run side by side: each installs for itself, and the first one to finish is taken.
        let own = folder.with_file_name(format!("{package}.{}", std::process::id()));
        let status = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--target".as_ref(), own.as_os_str(), package.as_ref()])
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .status()
            .expect("python3 is on PATH");
        assert!(status.success(), "cannot install {package}: {status}");
        if fs::rename(&own, &folder).is_err() {
            let _ = fs::remove_dir_all(&own);
        }
    }
    folder
}
