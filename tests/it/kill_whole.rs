//! The kill matrix over a whole setup, lock and environment included: the real uv installs small packages. What comes
//! before the environment is killed in `kill_matrix`; here it is killed once for each checkpoint that only this reaches,
//! and for the last of those that both do. `DPGUI_TEST_KILLS=all` kills at every one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::process::ExitStatusExt,
    thread,
};

use dpgui::platform::checkpoint::Checkpoint;

use crate::{
    kill_matrix::{CHUNK, Kill, State, differences, kills, nobody_is_left, state, temporaries_are_gone},
    support::{random::Random, sandbox::Sandbox, small_world::SmallWorld},
};

/// What only a setup with an environment reaches.
const OURS: [Checkpoint; 7] = [
    Checkpoint::LockWritten,
    Checkpoint::WheelhouseMade,
    Checkpoint::EnvironmentMade,
    Checkpoint::WheelArrived,
    Checkpoint::BatchInstalled,
    Checkpoint::EnvironmentSynced,
    Checkpoint::DownloadsDiscarded,
];

/// What is written for uv and read at once: addresses of this world, and how uv was called; and what was fetched, until
/// it is removed.
const OF_THE_MOMENT: [&str; 3] = ["/addresses.txt", "/pylock", "/fetched.txt"];

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What was there before.
    pub(crate) prepare: fn(&mut World) -> Sandbox,
    /// Killed at these; at the last of every kind, if there are none.
    only: &'static [Checkpoint],
}

pub(crate) const SCENARIOS: [Scenario; 3] = [
    Scenario {
        name: "everything",
        prepare: |world| world.small.sandbox(),
        only: &[Checkpoint::LockWritten, Checkpoint::EnvironmentMade, Checkpoint::WheelArrived],
    },
    Scenario { name: "the environment", prepare: World::with_all_but_the_environment, only: &[] },
    Scenario {
        name: "other packages",
        prepare: World::with_other_packages_wanted,
        only: &[
            Checkpoint::LockWritten,
            Checkpoint::EnvironmentSynced,
            Checkpoint::Exchanged,
            Checkpoint::OldRemoved,
            Checkpoint::DownloadsDiscarded,
        ],
    },
];

pub(crate) struct World {
    pub(crate) small: SmallWorld,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut small = SmallWorld::start();
        // More than a chunk.
        let (mut number, mut noise) = (Random(7), String::new());
        while noise.len() < 3 << 20 {
            noise.extend((0..64).map(|_| char::from(b' ' + u8::try_from(number.below(95)).expect("small"))));
        }
        small.index.wheel("numpy", "1.1", &[("numpy.py", ""), ("noise.txt", &noise)], "");
        Self { small }
    }

    fn with_all_but_the_environment(&mut self) -> Sandbox {
        let sandbox = self.small.sandbox();
        sandbox.dpgui(&["setup", "--skip", "venv,verify"]).ok();
        sandbox
    }

    fn with_other_packages_wanted(&mut self) -> Sandbox {
        let sandbox = self.small.sandbox();
        sandbox.dpgui(&["setup"]).ok();
        let lists = "deepspeed==0.18.4\ntoml\nnumpy\n";
        let newer = self.small.upstream.trainer.write("requirements.txt", lists).commit("newer");
        sandbox.write("w/dpgui.toml", self.small.settings().replace(&self.small.upstream.commit, &newer));
        sandbox
    }

    /// A setup is killed at `kill` in a copy of `before`. Whether it was reached comes back.
    #[track_caller]
    fn kill(&self, before: &Sandbox, kill: &Kill, what: &str, expected: &State) -> bool {
        let sandbox = before.copy();
        let at = format!("{}:{}", kill.name, kill.count);
        let what = format!("{what}, killed at {at}");
        let done = sandbox.command(&["setup"]).env("DPGUI_TEST_KILL_AT", &at).output().expect("it starts");
        // What is done side by side is not done equally often each time.
        let killed = done.status.signal() == Some(9);
        assert!(killed || done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
        self.recover(&sandbox, &what, expected);
        killed
    }

    /// The next setup makes what was to be made, fetches nothing that is there, and leaves nothing lying about.
    #[track_caller]
    pub(crate) fn recover(&self, sandbox: &Sandbox, what: &str, expected: &State) {
        nobody_is_left(sandbox);
        let (there, before) = (self.downloads(sandbox), self.small.index.server.requests().len());
        let said = sandbox.dpgui(&["setup"]);
        assert_eq!(said.code, Some(0), "{what}\n{said}");
        // uv reads what sources say about themselves, once for the lock.
        let requests = self.small.index.server.requests();
        for request in requests[before..].iter().filter(|it| it.contains(".whl ")) {
            let mut words = request.split(' ');
            let (path, from) = (words.nth(1).expect("a path"), words.nth(1).expect("a number"));
            let from: u64 = from.parse().expect("a number");
            let have = there.get(path).copied().unwrap_or(0);
            assert!(from + CHUNK >= have, "{what}: {request}, and {have} bytes were there");
        }
        assert_eq!(differences(&lasting(sandbox), expected), Vec::<String>::new(), "{what}");
        temporaries_are_gone(sandbox, what);
        let plan = sandbox.dpgui(&["setup", "--plan", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(0), "{what}\n{plan}");
        nobody_is_left(sandbox);
    }

    /// Bytes that are in the cache, by paths on the server; a whole file counts as more than it has.
    fn downloads(&self, sandbox: &Sandbox) -> BTreeMap<&str, u64> {
        let downloads = sandbox.path("home/.cache/dpgui/downloads");
        let bytes = |path: std::path::PathBuf| {
            let part = fs::metadata(path.with_extension("part")).map_or(0, |it| it.len());
            if path.exists() { u64::MAX } else { part }
        };
        let digests = self.small.index.digests.iter();
        digests.map(|(path, sha256)| (path.as_str(), bytes(downloads.join(sha256.to_string())))).collect()
    }
}

pub(crate) fn lasting(sandbox: &Sandbox) -> State {
    let mut state = state(sandbox);
    state.retain(|path, _| !OF_THE_MOMENT.iter().any(|it| path.contains(it)));
    // It says which environment was verified, by the receipt, which is another one every time.
    state.entry(".dpgui/receipts/verify.json".to_owned()).and_modify(|it| "a file".clone_into(it));
    state
}

/// The ones that are worth a kill: all of ours, but many wheels arrive in the same way; the last of every other kind.
fn chosen(scenario: &Scenario, reached: Vec<Kill>) -> Vec<Kill> {
    if std::env::var("DPGUI_TEST_KILLS").is_ok_and(|it| it == "all") {
        return reached;
    }
    let last: BTreeMap<String, usize> = reached.iter().map(|it| (it.name.clone(), it.count)).collect();
    let is = |list: &[Checkpoint], kill: &Kill| list.iter().any(|it| it.name() == kill.name);
    let wanted = |kill: &Kill| match scenario.only {
        [] => kill.count == last[&kill.name] || (is(&OURS, kill) && kill.count == 1),
        only => is(only, kill) && kill.count == last[&kill.name].div_ceil(2),
    };
    reached.into_iter().filter(wanted).collect()
}

#[test]
fn a_whole_setup_that_is_killed_at_any_checkpoint_is_finished_by_the_next_one() {
    let reached: BTreeSet<String> = thread::scope(|scope| {
        let worlds: Vec<_> = SCENARIOS.iter().map(|it| scope.spawn(|| every(it))).collect();
        worlds.into_iter().flat_map(|it| it.join().expect("no kill was too much")).collect()
    });
    let all: BTreeSet<String> = OURS.iter().map(|it| it.name().to_owned()).collect();
    assert_eq!(reached.intersection(&all).cloned().collect::<BTreeSet<_>>(), all);
}

/// Every kill of one scenario, in a world of its own. The names of those that did kill come back.
fn every(scenario: &Scenario) -> BTreeSet<String> {
    let mut world = World::new();
    let before = (scenario.prepare)(&mut world);
    let undisturbed = before.copy();
    let list = undisturbed.path("checkpoints");
    let done = undisturbed.command(&["setup"]).env("DPGUI_TEST_CHECKPOINTS", &list).output();
    let done = done.expect("it starts");
    assert!(done.status.success(), "{}: {}", scenario.name, String::from_utf8_lossy(&done.stderr));
    let expected = lasting(&undisturbed);
    let kills = chosen(scenario, kills(&list));
    let did = kills.into_iter().filter(|it| world.kill(&before, it, scenario.name, &expected));
    did.map(|it| it.name).collect()
}
