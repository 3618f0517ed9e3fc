//! A setup that is killed anywhere is finished by the next one: with SIGKILL at every checkpoint of every scenario, and
//! at random moments with one to three setups at a time.
//!
//! What is set up is small, so that hundreds of kills take a minute; everything between it and the servers is real.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use dpgui::{
    install::manifest::{Entry, Known, Manifest},
    platform::{checkpoint::Checkpoint, digest::Sha256},
};
use serde_json::Value;

use crate::{
    archives,
    setup::without_programs,
    setup_whole::{Upstream, upstream},
    support::{
        file_server::FileServer,
        lab::until,
        random::{Random, seed},
        sandbox::{Sandbox, make_executable},
    },
};

/// What a kill may cost: bytes of a download that are asked for though they are there.
pub(crate) const CHUNK: u64 = 1 << 20;

const WHOLE: [&str; 3] = ["setup", "--skip", "lock,venv,verify"];

/// One way to run a setup. The table is to grow with what setups can do.
struct Scenario {
    name: &'static str,
    /// What was there before.
    prepare: fn(&World, &Sandbox),
    args: &'static [&'static str],
    /// Killed at these checkpoints; at all that are reached, if there are none.
    only: &'static [Checkpoint],
}

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "a new workspace",
        prepare: |world, sandbox| drop(sandbox.write("w/dpgui.toml", &world.settings)),
        args: &WHOLE,
        only: &[],
    },
    Scenario {
        name: "a newer Node and a newer commit",
        prepare: |world, sandbox| {
            sandbox.write("w/dpgui.toml", &world.settings);
            sandbox.dpgui(&WHOLE).ok();
            sandbox.write("w/dpgui.toml", &world.newer);
        },
        args: &WHOLE,
        only: &[],
    },
    Scenario {
        name: "a choice on the command line",
        prepare: |_, sandbox| make_executable(&sandbox.write("w/own/python3", PYTHON)),
        args: &["setup", "--only", "python", "--python", "own/python3"],
        only: &[],
    },
    Scenario {
        name: "after another kill",
        prepare: |world, sandbox| {
            sandbox.write("w/dpgui.toml", &world.settings);
            let mut command = sandbox.command(&WHOLE);
            let died = command.env("DPGUI_TEST_KILL_AT", "filled").output().expect("it starts");
            assert_eq!(died.status.signal(), Some(9));
        },
        args: &WHOLE,
        only: &[Checkpoint::LeftoverRemoved],
    },
    Scenario {
        name: "a farm with a link that is not wanted any more",
        prepare: |world, sandbox| {
            sandbox.write("w/dpgui.toml", &world.settings);
            sandbox.dpgui(&WHOLE).ok();
            // As a dpgui with another list of links leaves it.
            let path = sandbox.path("w/vendor/libs/.dpgui-receipt.json");
            let mut receipt: Value =
                serde_json::from_str(&fs::read_to_string(&path).expect("there")).expect("JSON");
            receipt["details"]["old"] = "../ComfyUI/old".into();
            fs::write(path, receipt.to_string()).expect("written");
            std::os::unix::fs::symlink("../ComfyUI/old", sandbox.path("w/vendor/libs/old")).expect("linked");
        },
        args: &WHOLE,
        only: &[Checkpoint::LinkRemoved, Checkpoint::FarmReceipted],
    },
];

/// Checkpoints that none of these scenarios reaches, with the reason.
const ELSEWHERE: [Checkpoint; 20] = [
    // A run's supervisor is killed in `supervision` and in the drills.
    Checkpoint::SaveAsked,
    // Setups with an environment are killed in `kill_whole`.
    Checkpoint::LockWritten,
    Checkpoint::WheelhouseMade,
    Checkpoint::EnvironmentMade,
    Checkpoint::WheelArrived,
    Checkpoint::BatchInstalled,
    Checkpoint::EnvironmentSynced,
    Checkpoint::DownloadsDiscarded,
    // Repairs are killed in `repair`.
    Checkpoint::EditsKept,
    Checkpoint::EditsUndone,
    Checkpoint::SetAside,
    // Other commands are killed in `kill_commands`.
    Checkpoint::BundleWritten,
    Checkpoint::Brought,
    Checkpoint::Cleaned,
    // Updates and rollbacks are killed in `update`.
    Checkpoint::DraftBegun,
    Checkpoint::SwitchWritten,
    Checkpoint::Swapped,
    Checkpoint::PreviousNamed,
    Checkpoint::SwitchDone,
    Checkpoint::CopyRemoved,
];

/// Answers as an interpreter does.
const PYTHON: &str = "#!/bin/sh\necho \"{\\\"path\\\":\\\"$0\\\",\\\"version\\\":[3,12,14],\
    \\\"implementation\\\":\\\"cpython\\\",\\\"threads\\\":false,\\\"base\\\":\\\"$0\\\"}\"\n";

/// The servers, and what is set up from them.
struct World {
    files: FileServer,
    upstream: Upstream,
    /// The digests by which downloads are called, by their paths on the server.
    archives: BTreeMap<String, Sha256>,
    settings: String,
    newer: String,
    _dir: Sandbox,
}

impl World {
    fn new() -> Self {
        let dir = Sandbox::new();
        let (files, upstream, mut archives) = (FileServer::start(), upstream(&dir), BTreeMap::new());
        let mut source = |name: &str, version: &str, content: Vec<u8>| {
            let (path, digest) = (format!("/{name}-{version}.tar.gz"), Sha256::of(&content));
            let place = files.file(&path, content);
            archives.insert(path, digest);
            format!(
                "[sources.{name}]\nversion = \"{version}\"\nplaces = [\"{place}\"]\n\
                 sha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
            )
        };
        let uv = archives::tar_gz(&[("uv/uv", 0o755, "#!/bin/sh\necho 'uv 0.12.5 (x)'\n")]);
        let python = archives::tar_gz(&[("python/bin/python3", 0o755, PYTHON)]);
        let rest = source("uv", "0.12.5", uv) + &source("python", "3.12.14", python);
        let mut node = |version: &str| source("node", version, node(version));
        let (node, newer_node) = (node("22.12.0"), node("22.13.0"));
        let url = upstream.server.url("diffusion-pipe");
        let newer = upstream.trainer.write("train.py", "print('newer')").commit("newer");
        let settings = |node: &str, commit: &str| {
            format!("{node}{rest}[sources.diffusion-pipe]\nurl = \"{url}\"\ncommit = \"{commit}\"\n")
        };
        let (settings, newer) = (settings(&node, &upstream.commit), settings(&newer_node, &newer));
        Self { files, upstream, archives, settings, newer, _dir: dir }
    }

    /// A machine on which nothing is installed yet, prepared.
    fn sandbox(&self, scenario: &Scenario) -> Sandbox {
        let sandbox = without_programs(Sandbox::new());
        (scenario.prepare)(self, &sandbox);
        sandbox
    }

    /// What the scenario ends with when nothing happens to it, the checkpoints on the way, and how long that takes.
    fn undisturbed(&self, scenario: &Scenario) -> (State, Vec<Kill>, Duration) {
        let sandbox = self.sandbox(scenario);
        let list = sandbox.path("checkpoints");
        let since = Instant::now();
        let done = sandbox.command(scenario.args).env("DPGUI_TEST_CHECKPOINTS", &list).output();
        let took = since.elapsed();
        let done = done.expect("it starts");
        assert!(done.status.success(), "{}: {}", scenario.name, String::from_utf8_lossy(&done.stderr));
        let kills = kills(&list).into_iter();
        // To who is killed it is the same moment as `renamed`, which takes its turn every time.
        let again = |kill: &Kill| kill.name == Checkpoint::ParentSynced.name() && kill.count > 1;
        let wanted =
            |name: &str| scenario.only.is_empty() || scenario.only.iter().any(|it| it.name() == name);
        let kills = kills.filter(|kill| wanted(&kill.name) && !again(kill));
        let kills = kills.collect();
        (state(&sandbox), kills, took)
    }

    /// After a kill: the next setup makes what was to be made, and asks for nothing that is there.
    #[track_caller]
    fn recover(&self, scenario: &Scenario, sandbox: &Sandbox, (what, expected): (&str, &State)) {
        nobody_is_left(sandbox);
        let there = self.downloads(sandbox);
        let checkouts = fs::read_dir(sandbox.path("w/vendor")).into_iter().flatten().flatten();
        let checkouts: Vec<String> =
            checkouts.map(|it| it.file_name().to_string_lossy().into_owned()).collect();
        let before = (self.files.requests().len(), self.upstream.server.requests().len());
        let said = sandbox.dpgui(scenario.args);
        assert_eq!(said.code, Some(0), "{what}\n{said}");
        for request in &self.files.requests()[before.0..] {
            let mut words = request.split(' ');
            let (path, from) = (words.nth(1).expect("a path"), words.nth(1).expect("a number"));
            let from: u64 = from.parse().expect("a number");
            let have = there.get(path).copied().unwrap_or(0);
            assert!(from + CHUNK >= have, "{what}: {request}, and {have} bytes were there");
        }
        // A newer commit is another matter.
        if scenario.name == "a new workspace" {
            for request in &self.upstream.server.requests()[before.1..] {
                let again = |it: &&String| request.line().contains(&format!(" /{it}/"));
                assert_eq!(checkouts.iter().find(again), None, "{what}: it was there");
            }
        }
        assert_eq!(differences(&state(sandbox), expected), Vec::<String>::new(), "{what}");
        temporaries_are_gone(sandbox, what);
        let plan = [scenario.args, &["--plan", "--detailed-exitcode"]].concat();
        let plan = sandbox.dpgui(&plan);
        assert_eq!(plan.code, Some(0), "{what}\n{plan}");
        nobody_is_left(sandbox);
    }

    /// Bytes that are in the cache, by paths on the server; a whole file counts as more than it has.
    fn downloads(&self, sandbox: &Sandbox) -> BTreeMap<&str, u64> {
        let downloads = sandbox.path("home/.cache/dpgui/downloads");
        let bytes = |sha256: &Sha256| {
            let whole = downloads.join(sha256.to_string());
            if whole.exists() {
                return u64::MAX;
            }
            fs::metadata(whole.with_extension("part")).map_or(0, |it| it.len())
        };
        self.archives.iter().map(|(path, sha256)| (path.as_str(), bytes(sha256))).collect()
    }
}

/// A small Node with a file that takes its time, and more than a chunk.
fn node(version: &str) -> Vec<u8> {
    let (mut number, mut noise) = (Random(7), String::new());
    while noise.len() < 3 << 20 {
        noise.extend((0..64).map(|_| char::from(b' ' + u8::try_from(number.below(95)).expect("small"))));
    }
    archives::tar_gz(&[
        ("node/bin/node", 0o755, &format!("#!/bin/sh\necho v{version}\n")),
        ("node/bin/npm", 0o755, "#!/bin/sh\n"),
        ("node/lib/noise", 0o644, &noise),
    ])
}

#[derive(Clone, Debug)]
pub(crate) struct Kill {
    pub(crate) name: String,
    pub(crate) count: usize,
}

impl Kill {
    /// The same in every world, whatever was reached first there: none is left out because it was another's.
    fn turn(&self) -> usize {
        self.name.bytes().map(usize::from).sum::<usize>() + self.count
    }
}

/// Every checkpoint that was reached, in their order.
pub(crate) fn kills(list: &Path) -> Vec<Kill> {
    let mut counts = BTreeMap::<String, usize>::new();
    let list = fs::read_to_string(list).expect("listed");
    let kills = list.lines().map(|name| {
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        Kill { name: name.to_owned(), count: *count }
    });
    kills.collect()
}

/// What is in a workspace, path by path, without times and without the way it got there.
pub(crate) type State = BTreeMap<String, String>;

pub(crate) fn state(sandbox: &Sandbox) -> State {
    let root = sandbox.root();
    let manifest = Manifest::of_tree(&root, &Known::default()).expect("told");
    let entries = manifest.entries().iter().map(|(path, entry)| {
        let name = path.to_string_lossy().into_owned();
        let is_receipt = name.ends_with(".dpgui-receipt.json") || name.starts_with(".dpgui/receipts/");
        // git keeps times in these, and the lock's text says who had it last.
        let is_lock = [".dpgui/setup.lock", ".dpgui/update.lock"].contains(&name.as_str());
        let varies = name.ends_with(".git/index") || name.contains(".git/logs/");
        let content = match entry {
            Entry::File { .. } if is_receipt => {
                receipt(sandbox, &fs::read_to_string(root.join(path)).expect("text"))
            }
            Entry::File { .. } if name == "dpgui.toml" => {
                sandbox.neutral(&fs::read_to_string(root.join(path)).expect("text"))
            }
            Entry::File { .. } if varies || is_lock => "a file".to_owned(),
            entry => format!("{entry:?}"),
        };
        (name, content)
    });
    entries.collect()
}

pub(crate) fn differences(found: &State, expected: &State) -> Vec<String> {
    let paths: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differ = paths.into_iter().filter(|path| found.get(*path) != expected.get(*path));
    differ.map(|path| format!("{path}: {:?} instead of {:?}", found.get(path), expected.get(path))).collect()
}

fn receipt(sandbox: &Sandbox, text: &str) -> String {
    let mut receipt: Value = serde_json::from_str(text).expect("JSON");
    let fields = receipt.as_object_mut().expect("an object");
    for varies in ["finished", "durations", "from"] {
        fields.remove(varies);
    }
    let text = sandbox.neutral(&receipt.to_string());
    // Digests of inputs with the sandbox's path in them.
    if text.contains("DIR/w/own") { text.split_once("\"what\"").expect("a name").1.to_owned() } else { text }
}

#[track_caller]
pub(crate) fn temporaries_are_gone(sandbox: &Sandbox, what: &str) {
    let mut todo = vec![sandbox.root(), sandbox.path("home")];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("readable").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let temporary = [".tmp-", ".old-", ".part"].iter().any(|it| name.contains(it));
            assert!(!temporary, "{what}: `{}` is left", entry.path().display());
            if entry.file_type().expect("a type").is_dir() {
                todo.push(entry.path());
            }
        }
    }
}

/// Processes are known by the home that is theirs alone.
pub(crate) fn nobody_is_left(sandbox: &Sandbox) {
    let mark = format!("HOME={}", sandbox.path("home").display());
    until("nobody is left", || {
        let mut pids = fs::read_dir("/proc").expect("/proc").flatten();
        let marked = |environ: Vec<u8>| environ.split(|byte| *byte == 0).any(|it| it == mark.as_bytes());
        let lives = pids.any(|pid| fs::read(pid.path().join("environ")).is_ok_and(marked));
        (!lives).then_some(())
    });
}

#[test]
fn a_setup_that_is_killed_at_any_checkpoint_is_finished_by_the_next_one() {
    const WORKERS: usize = 3;
    let reached = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..WORKERS).map(|worker| scope.spawn(move || every(worker, WORKERS))).collect();
        workers.into_iter().flat_map(|it| it.join().expect("no kill was too much")).collect::<BTreeSet<_>>()
    });
    let all = Checkpoint::ALL.iter().filter(|it| !ELSEWHERE.contains(it));
    let all: BTreeSet<String> = all.map(|it| it.name().to_owned()).collect();
    assert_eq!(reached, all, "every checkpoint was killed at in some scenario");
}

/// One worker's kills of every scenario, in a world of its own. The names of those that did kill come back.
fn every(worker: usize, workers: usize) -> BTreeSet<String> {
    let (world, mut reached) = (World::new(), BTreeSet::new());
    for scenario in &SCENARIOS {
        let (expected, kills, _) = world.undisturbed(scenario);
        assert!(!kills.is_empty(), "{} reaches nothing", scenario.name);
        for kill in kills.iter().filter(|it| it.turn() % workers == worker) {
            let sandbox = world.sandbox(scenario);
            let at = format!("{}:{}", kill.name, kill.count);
            let what = format!("{}, killed at {at}", scenario.name);
            let done = sandbox.command(scenario.args).env("DPGUI_TEST_KILL_AT", &at).output();
            let done = done.expect("it starts");
            // What is done side by side is not done equally often each time.
            if done.status.signal() == Some(9) {
                reached.insert(kill.name.clone());
            } else {
                assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
            }
            world.recover(scenario, &sandbox, (&what, &expected));
        }
    }
    reached
}

/// Without an environment, which is fast; with one in `kill_random`. `DPGUI_TEST_KILLS` is how many there are.
#[test]
fn setups_that_are_killed_at_random_moments_are_finished_by_the_next_one() {
    let (seed, kills) = (seed(), std::env::var("DPGUI_TEST_KILLS").ok().and_then(|it| it.parse().ok()));
    println!("DPGUI_TEST_SEED={seed}");
    let (mut random, world, mut left) = (Random(seed), World::new(), kills.unwrap_or(25_u64));
    let undisturbed: Vec<_> = SCENARIOS[..2].iter().map(|it| world.undisturbed(it)).collect();
    while left > 0 {
        let index = usize::try_from(random.below(2)).expect("small");
        let (scenario, (expected, _, took)) = (&SCENARIOS[index], &undisturbed[index]);
        let longest = u64::try_from(took.as_micros()).expect("not for ever").max(1);
        let sandbox = world.sandbox(scenario);
        let mut what = format!("seed {seed}, {left} left, {}", scenario.name);
        for _ in 0..=random.below(3) {
            let setups = 1 + random.below(3);
            let moments: Vec<Duration> =
                (0..setups).map(|_| Duration::from_micros(random.below(longest))).collect();
            what.extend([format!(", killed after {moments:?}")]);
            kill_at(&sandbox, scenario, &moments);
            left = left.saturating_sub(setups);
        }
        world.recover(scenario, &sandbox, (&what, expected));
    }
}

/// As many setups as there are moments, all started now, each killed at its own.
fn kill_at(sandbox: &Sandbox, scenario: &Scenario, moments: &[Duration]) {
    let since = Instant::now();
    let start = |_| {
        let mut command = sandbox.command(scenario.args);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
    };
    let mut setups: Vec<(Child, Duration)> = moments.iter().map(start).zip(moments.iter().copied()).collect();
    setups.sort_by_key(|(_, moment)| *moment);
    for (mut setup, moment) in setups {
        until("its moment has come", || (since.elapsed() >= moment).then_some(()));
        setup.kill().and_then(|()| setup.wait()).expect("killed");
    }
}
