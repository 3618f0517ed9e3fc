//! A workspace that can train: with a stand-in for `deepspeed` that makes the same tree of processes.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::sandbox::{Said, Sandbox, make_executable, shared_cache};

/// The longest that anything here may take; only a test that fails waits so long.
const PATIENCE: Duration = Duration::from_mins(1);

const TRAINING: &str = "\
output_dir = 'output'
dataset = 'configs/tiny-dataset.toml'
epochs = 1
max_steps = 400
save_every_n_epochs = 1
pipeline_stages = 2
[model]
type = 'demo'
dtype = 'float32'
[adapter]
type = 'lora'
rank = 4
[optimizer]
type = 'adamw'
";

pub(crate) struct Lab {
    pub(crate) sandbox: Sandbox,
}

impl Lab {
    /// `knobs` are those of `tests/fakes/deepspeed.py`, without `FAKE_`.
    pub(crate) fn new(knobs: &[(&str, &str)]) -> Self {
        let mut sandbox = Sandbox::new();
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fakes/deepspeed.py");
        let program = sandbox.write("w/venv/bin/deepspeed", fs::read(fake).expect("the fake is there"));
        make_executable(&program);
        // What runs the trainer's script is the same stand-in, as a rank.
        let python = format!("#!/bin/sh\nexec python3 -u '{}' rank \"$@\"\n", program.display());
        make_executable(&sandbox.write("w/venv/bin/python", python));
        sandbox.write("w/vendor/diffusion-pipe/train.py", "");
        sandbox.write("w/configs/tiny.toml", TRAINING);
        sandbox.write("w/configs/tiny-dataset.toml", "resolutions = [16]\n[[directory]]\npath = 'data'\n");
        sandbox.write("w/data/a.png", "");
        sandbox.write("w/data/a.txt", "a");
        sandbox.env("DPGUI_GPU_SOURCE", "none");
        for (name, value) in knobs {
            sandbox.env(&format!("FAKE_{name}"), *value);
        }
        Self { sandbox }
    }

    /// With the real DeepSpeed and the demo's trainer and dataset, on two ranks; the environment is shared.
    pub(crate) fn with_deepspeed() -> Self {
        let shared = demo_workspace();
        let sandbox = Sandbox::beside_the_cache();
        for name in ["dpgui.toml", "trainer/train.py"] {
            sandbox.write(Path::new("w").join(name), fs::read(shared.join(name)).expect("made by the demo"));
        }
        for entry in fs::read_dir(shared.join("data/demo")).expect("drawn by the demo").flatten() {
            let name = Path::new("w/data/demo").join(entry.file_name());
            sandbox.write(name, fs::read(entry.path()).expect("readable"));
        }
        std::os::unix::fs::symlink(shared.join("venv"), sandbox.path("w/venv")).expect("linked");
        sandbox.dpgui(&["config", "new", "demo"]).ok();
        let lab = Self { sandbox };
        lab.change("configs/demo.toml", "pipeline_stages = 1", "pipeline_stages = 2");
        lab
    }

    /// Replaces what must be in the file.
    pub(crate) fn change(&self, name: &str, from: &str, to: &str) {
        let path = self.sandbox.root().join(name);
        let text = fs::read_to_string(&path).expect("there");
        assert!(text.contains(from), "no `{from}` in {text}");
        fs::write(path, text.replace(from, to)).expect("written");
    }

    /// The only folder that the trainer made below `output`.
    pub(crate) fn trainer_folder(&self, output: &str) -> PathBuf {
        let entries = fs::read_dir(self.sandbox.root().join(output)).expect("an output folder");
        let folders: Vec<PathBuf> = entries.flatten().map(|it| it.path()).filter(|it| it.is_dir()).collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].clone()
    }

    /// The run that is not `run`.
    pub(crate) fn other_run(&self, run: &Run) -> Run {
        let runs = fs::read_dir(self.sandbox.root().join("runs")).expect("runs").flatten();
        let path = runs.map(|it| it.path()).find(|it| *it != run.path).expect("another run");
        Run { path }
    }

    /// Those that are none of `runs`.
    pub(crate) fn other_runs(&self, runs: &[&Run]) -> Vec<Run> {
        let all = fs::read_dir(self.sandbox.root().join("runs")).expect("runs").flatten();
        let others = all.map(|it| it.path()).filter(|path| runs.iter().all(|run| run.path != *path));
        others.map(|path| Run { path }).collect()
    }

    /// `dpgui train configs/tiny.toml ARGS`, to its end.
    pub(crate) fn train(&self, args: &[&str]) -> Said {
        self.sandbox.dpgui(&[&["train", "configs/tiny.toml"], args].concat())
    }

    /// The same with `--detach`; the run is what is returned.
    pub(crate) fn detached(&self, args: &[&str]) -> Run {
        let said = self.train(&[&["--detach"], args].concat()).ok();
        self.run(said.stdout.trim())
    }

    pub(crate) fn run(&self, id: &str) -> Run {
        Run { path: self.sandbox.root().join("runs").join(id) }
    }

    /// Nobody has the slot on which runs without GPUs compute.
    pub(crate) fn slot_is_free(&self) -> bool {
        let slot = self.sandbox.path("home/.local/state/dpgui/leases/cpu-0.lock");
        fs::File::open(slot).is_ok_and(|file| file.try_lock().is_ok())
    }

    /// The only run that there is, waited for.
    pub(crate) fn only_run(&self) -> Run {
        until("there is a run", || {
            let entry = fs::read_dir(self.sandbox.root().join("runs")).ok()?.next()?.ok()?;
            entry.path().join("spec.json").exists().then(|| Run { path: entry.path() })
        })
    }

    /// The program in the background, its words kept for later.
    pub(crate) fn spawn(&self, args: &[&str]) -> Background {
        let mut command = self.sandbox.command(args);
        Background(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts"))
    }
}

/// A test that fails leaves no process behind either.
impl Drop for Lab {
    fn drop(&mut self) {
        let Ok(runs) = fs::read_dir(self.sandbox.root().join("runs")) else { return };
        for path in runs.flatten().map(|entry| entry.path()) {
            let run = Run { path };
            let Some(text) = fs::read_to_string(run.path.join("spec.json")).ok() else { continue };
            let Ok(spec) = serde_json::from_str::<Value>(&text) else { continue };
            // The supervisor ends by itself when nothing is left.
            for pid in spec["cookie"].as_str().map(with_cookie).unwrap_or_default() {
                kill(pid, "KILL");
            }
        }
    }
}

pub(crate) struct Background(pub(crate) Child);

impl Background {
    pub(crate) fn signal(&self, name: &str) {
        kill(self.0.id(), name);
    }

    pub(crate) fn end(mut self) -> Said {
        let code = until("the program ends", || self.0.try_wait().expect("asked")).code();
        let mut said = Said { code, stdout: String::new(), stderr: String::new() };
        self.0.stdout.take().expect("piped").read_to_string(&mut said.stdout).expect("text");
        self.0.stderr.take().expect("piped").read_to_string(&mut said.stderr).expect("text");
        said
    }
}

/// The folder of one run, looked at as anybody could.
pub(crate) struct Run {
    pub(crate) path: PathBuf,
}

impl Run {
    pub(crate) fn id(&self) -> String {
        self.path.file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// Of rank 0, which alone says much.
    pub(crate) fn log(&self) -> Vec<u8> {
        let streams = ["rank0", "launcher"].map(|name| self.stream(name));
        streams.into_iter().find(|log| !log.is_empty()).unwrap_or_default()
    }

    /// What went to one pipe, as anybody could read it.
    pub(crate) fn stream(&self, name: &str) -> Vec<u8> {
        let entries = fs::read_dir(self.path.join("log").join(name)).into_iter().flatten().flatten();
        let mut names: Vec<PathBuf> = entries.map(|it| it.path()).collect();
        names.retain(|path| path.extension().is_some_and(|it| it == "log" || it == "gz"));
        names.sort();
        let read = |path: &PathBuf| {
            let output =
                std::process::Command::new("zcat").arg("-f").arg(path).output().expect("zcat starts");
            output.stdout
        };
        names.iter().flat_map(read).collect()
    }

    pub(crate) fn wait_for_log(&self, text: &str) {
        until(&format!("the log has `{text}`"), || {
            String::from_utf8_lossy(&self.log()).contains(text).then_some(())
        });
    }

    pub(crate) fn spec(&self) -> Value {
        self.json("spec.json").expect("a spec")
    }

    pub(crate) fn state(&self) -> Value {
        self.json("state.json").expect("a state")["state"].clone()
    }

    /// The run's end as recorded, waited for.
    pub(crate) fn outcome(&self) -> Value {
        until("the run has ended", || self.json("state.json")?["state"].get("ended").cloned())
    }

    /// All that happened, in order.
    pub(crate) fn history(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path.join("events.jsonl")).expect("events");
        text.lines().map(|line| serde_json::from_str(line).expect("whole lines")).collect()
    }

    /// The names of what happened, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        let events = self.history();
        let numbers: Vec<_> = events.iter().map(|event| event["seq"].as_u64()).collect();
        assert_eq!(numbers, (1..=events.len() as u64).map(Some).collect::<Vec<_>>(), "none lost, none twice");
        events.iter().map(|event| event["event"].as_str().expect("a name").to_owned()).collect()
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        with_cookie(self.spec()["cookie"].as_str().expect("a cookie"))
    }

    #[track_caller]
    pub(crate) fn assert_nobody_left(&self) {
        assert_eq!(self.processes(), Vec::<u32>::new(), "processes of the run are left");
    }

    /// A living supervisor has its lock.
    pub(crate) fn is_supervised(&self) -> bool {
        fs::File::open(self.path.join("supervisor.lock")).is_ok_and(|it| it.try_lock_shared().is_err())
    }

    /// With its keeper, which would have it replaced at once.
    pub(crate) fn kill_supervisor(&self) {
        // It may just be having another one.
        until("nobody keeps it", || {
            let keepers = self.keepers();
            for pid in &keepers {
                kill(*pid, "KILL");
            }
            keepers.is_empty().then_some(())
        });
        kill(self.supervisor(), "KILL");
    }

    /// The processes that keep it.
    pub(crate) fn keepers(&self) -> Vec<u32> {
        self.helpers("__keep")
    }

    /// The processes that keep it in touch with other machines.
    pub(crate) fn links(&self) -> Vec<u32> {
        self.helpers("__link")
    }

    /// Its supervisor by the number that it has here: on another machine of the tests it calls itself by another one.
    pub(crate) fn supervisor_here(&self) -> u32 {
        until("it is supervised", || self.supervisors().first().copied())
    }

    pub(crate) fn supervisors(&self) -> Vec<u32> {
        self.helpers("__supervise")
    }

    fn helpers(&self, command: &str) -> Vec<u32> {
        // The other machine of a cluster has it at the path that it would have on this one.
        let folder = self.path.to_string_lossy().replace("/other/w/", "/w/");
        let pids = fs::read_dir("/proc").expect("/proc").flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let keeps = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            words.get(1).is_some_and(|word| word == command) && words.iter().any(|word| *word == folder)
        };
        pids.filter(keeps).collect()
    }

    /// Who holds the lock, as its text says.
    pub(crate) fn supervisor(&self) -> u32 {
        // It is emptied before it is written.
        until("process PID (...)", || {
            let text = fs::read_to_string(self.path.join("supervisor.lock")).ok()?;
            text.split(' ').nth(1)?.parse().ok()
        })
    }

    /// The pid of the process of the run that has `word` in its command line.
    pub(crate) fn process(&self, word: &str) -> u32 {
        until(&format!("there is a {word}"), || self.processes_with(word).first().copied())
    }

    /// All of them.
    pub(crate) fn processes_with(&self, word: &str) -> Vec<u32> {
        let has = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).any(|arg| arg == word.as_bytes())
        };
        self.processes().into_iter().filter(has).collect()
    }

    pub(crate) fn json(&self, name: &str) -> Option<Value> {
        serde_json::from_str(&fs::read_to_string(self.path.join(name)).ok()?).ok()
    }
}

/// The workspace of `dpgui demo`, set up once for all tests.
fn demo_workspace() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = fs::File::create(target.join("demo.lock")).expect("created");
    lock.lock().expect("locked");
    let mut sandbox = Sandbox::beside_the_cache();
    sandbox.env("DPGUI_CACHE_DIR", shared_cache());
    let root = target.join("demo");
    sandbox.dpgui(&["-C", &root.to_string_lossy(), "demo", "--setup-only"]).ok();
    root
}

/// Looks every few milliseconds until `look` finds something.
#[track_caller]
pub(crate) fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look)
}

#[track_caller]
pub(crate) fn until_within<T>(patience: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(since.elapsed() < patience, "waited {patience:?} until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub(crate) fn kill(pid: u32, name: &str) {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    // It may be gone already.
    let _ = nix::sys::signal::kill(
        pid,
        format!("SIG{name}").parse::<nix::sys::signal::Signal>().expect("a signal"),
    );
}

fn with_cookie(cookie: &str) -> Vec<u32> {
    let wanted = format!("DPGUI_RUN_ID={cookie}");
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let marked = |pid: &u32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environ.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    };
    pids.filter(marked).collect()
}
