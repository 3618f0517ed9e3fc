//! What other commands do to a whole setup, killed on the way: nothing is half done that is believed, and the same
//! command once more ends as if nothing had happened.

use std::{collections::BTreeMap, fs, os::unix::process::ExitStatusExt, path::PathBuf, thread};

use dpgui::platform::checkpoint::Checkpoint;

use crate::{
    kill_matrix::{Kill, State, differences, kills, nobody_is_left},
    kill_random::what_is_there_is_whole,
    kill_whole::{World, lasting},
    support::sandbox::Sandbox,
};

struct Scenario {
    name: &'static str,
    /// What was there before.
    prepare: fn(&mut World) -> Sandbox,
    args: &'static [&'static str],
    /// Killed at each of these, when half of them are done.
    at: &'static [Checkpoint],
    /// Its parts are done side by side, and so not equally often each time: a kill may come too late.
    is_side_by_side: bool,
    /// What holds after a kill, whenever it came.
    holds: fn(&Sandbox, &str),
    /// What holds when it is done.
    ends: fn(&Sandbox, &str),
}

const CARRIED: &str = "../home/carried.tar";

const SCENARIOS: [Scenario; 5] = [
    Scenario {
        name: "a repair",
        prepare: |world| {
            let sandbox = world.small.sandbox();
            sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
            fs::remove_file(sandbox.path("w/tools/node/bin/npm")).expect("removed");
            fs::write(numpy(&sandbox), "import nonsense").expect("written");
            sandbox
        },
        args: &["setup", "--repair", "--keep-downloads"],
        at: &[
            Checkpoint::Written,
            Checkpoint::Filled,
            Checkpoint::Receipted,
            Checkpoint::Exchanged,
            Checkpoint::OldRemoved,
        ],
        is_side_by_side: true,
        holds: |_, _| (),
        ends: works,
    },
    Scenario {
        name: "a bundle that is made",
        prepare: |world| {
            let sandbox = world.small.sandbox();
            sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
            sandbox
        },
        args: &["bundle", "create", CARRIED],
        at: &[Checkpoint::BundleWritten, Checkpoint::Renamed],
        is_side_by_side: false,
        holds: |sandbox, what| {
            // Under its name it is whole, or it is not there.
            if sandbox.path("home/carried.tar").exists() {
                bundle_is_whole(sandbox, what);
            }
        },
        ends: bundle_is_whole,
    },
    Scenario {
        name: "a bundle that is brought",
        prepare: |world| {
            let online = world.small.sandbox();
            online.dpgui(&["setup"]).ok();
            online.dpgui(&["bundle", "create", CARRIED]).ok();
            let sandbox = world.small.sandbox();
            fs::copy(online.path("home/carried.tar"), sandbox.path("home/carried.tar")).expect("carried");
            sandbox
        },
        args: &["setup", "--bundle", CARRIED],
        at: &[Checkpoint::Brought, Checkpoint::Kept, Checkpoint::Synced, Checkpoint::Renamed],
        is_side_by_side: true,
        holds: |sandbox, what| {
            // Whatever was brought and what not, nobody takes one half for the whole.
            for name in names(sandbox, "home/.cache/dpgui/repositories") {
                let dir = sandbox.path("home/.cache/dpgui/repositories").join(&name);
                let is_whole = dir.join("HEAD").is_file() && dir.join("objects").is_dir();
                assert!(name.starts_with('.') || is_whole, "{what}: `{name}`");
            }
        },
        ends: works,
    },
    Scenario {
        name: "an upgrade of the lock",
        prepare: |world| {
            let sandbox = world.small.sandbox();
            sandbox.dpgui(&["setup"]).ok();
            let index = &mut world.small.index;
            index.wheel("numpy", "2.0", &[("numpy.py", "")], "");
            index.wheel("torch", "2.9.1", &[("torch.py", "")], "");
            index.wheel("torchvision", "0.24.1", &[("torchvision.py", "")], "");
            index.wheel("torchaudio", "2.9.1", &[("torchaudio.py", "")], "");
            fs::copy(sandbox.path("w/dpgui.lock"), sandbox.path("home/old.lock")).expect("copied");
            sandbox
        },
        args: &["lock", "--upgrade"],
        at: &[Checkpoint::Locked, Checkpoint::Written, Checkpoint::LockWritten],
        is_side_by_side: false,
        holds: |sandbox, what| {
            let lock = fs::read_to_string(sandbox.path("w/dpgui.lock")).expect("there");
            let old = fs::read_to_string(sandbox.path("home/old.lock")).expect("there");
            assert!(lock == old || lock.contains("numpy==2.0"), "{what}: {lock}");
        },
        ends: |sandbox, what| {
            let lock = fs::read_to_string(sandbox.path("w/dpgui.lock")).expect("there");
            assert!(lock.contains("numpy==2.0") && !lock.contains("numpy==1."), "{what}: {lock}");
        },
    },
    Scenario {
        name: "tidying up",
        prepare: |world| {
            let sandbox = world.small.sandbox();
            sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
            fs::remove_file(numpy(&sandbox)).expect("removed");
            let mut repair = sandbox.command(&["setup", "--repair", "--keep-downloads"]);
            let died = repair.env("DPGUI_TEST_KILL_AT", "filled").output().expect("it starts");
            assert_eq!(died.status.signal(), Some(9), "leftovers are there");
            nobody_is_left(&sandbox);
            sandbox
        },
        args: &["clean", "--all"],
        at: &[Checkpoint::Cleaned],
        is_side_by_side: false,
        holds: |_, _| (),
        ends: |sandbox, what| {
            assert_eq!(names(sandbox, "home/.cache/dpgui/downloads"), Vec::<String>::new(), "{what}");
            let left = names(sandbox, "w").into_iter().filter(|it| it.contains(".tmp-"));
            assert_eq!(left.collect::<Vec<_>>(), Vec::<String>::new(), "{what}");
        },
    },
];

fn numpy(sandbox: &Sandbox) -> PathBuf {
    let lib = sandbox.path("w/venv/lib");
    let python = fs::read_dir(&lib).expect("there").next().expect("one version").expect("an entry").path();
    python.join("site-packages/numpy.py")
}

fn names(sandbox: &Sandbox, dir: &str) -> Vec<String> {
    let entries = fs::read_dir(sandbox.path(dir)).into_iter().flatten().flatten();
    entries.map(|it| it.file_name().to_string_lossy().into_owned()).collect()
}

#[track_caller]
fn works(sandbox: &Sandbox, what: &str) {
    what_is_there_is_whole(sandbox, what);
    let said = sandbox.dpgui(&["setup", "--verify", "--full"]);
    assert_eq!(said.code, Some(0), "{what}\n{said}");
}

/// Every entry is what the list says: another machine takes all of it.
#[track_caller]
fn bundle_is_whole(sandbox: &Sandbox, what: &str) {
    let other = Sandbox::new();
    let file = sandbox.path("home/carried.tar").to_string_lossy().into_owned();
    let said = other.dpgui(&["setup", "--bundle", &file, "--only", "requirements"]);
    assert!(said.stderr.contains("Brought "), "{what}\n{said}");
}

#[test]
fn whatever_a_killed_command_was_doing_the_same_command_finishes() {
    thread::scope(|scope| {
        for scenario in &SCENARIOS {
            scope.spawn(|| every(scenario));
        }
    });
}

/// Every kill of one scenario, in a world of its own.
fn every(scenario: &Scenario) {
    let mut world = World::new();
    let before = (scenario.prepare)(&mut world);
    let undisturbed = before.copy();
    let file = undisturbed.path("checkpoints");
    let done = undisturbed.command(scenario.args).env("DPGUI_TEST_CHECKPOINTS", &file).output();
    let done = done.expect("it starts");
    assert!(done.status.success(), "{}: {}", scenario.name, String::from_utf8_lossy(&done.stderr));
    (scenario.ends)(&undisturbed, scenario.name);
    let expected = lasting(&undisturbed);
    let reached = kills(&file);
    let last: BTreeMap<String, usize> = reached.iter().map(|it| (it.name.clone(), it.count)).collect();
    for checkpoint in scenario.at {
        let name = checkpoint.name().to_owned();
        let last = *last.get(&name).unwrap_or_else(|| panic!("{}: no {name}", scenario.name));
        kill(scenario, &before, &Kill { name, count: last.div_ceil(2) }, &expected);
    }
}

fn kill(scenario: &Scenario, before: &Sandbox, kill: &Kill, expected: &State) {
    let sandbox = before.copy();
    let at = format!("{}:{}", kill.name, kill.count);
    let what = format!("{}, killed at {at}", scenario.name);
    let done = sandbox.command(scenario.args).env("DPGUI_TEST_KILL_AT", &at).output().expect("it starts");
    let (killed, too_late) =
        (done.status.signal() == Some(9), scenario.is_side_by_side && done.status.success());
    assert!(killed || too_late, "{what}: {}", String::from_utf8_lossy(&done.stderr));
    nobody_is_left(&sandbox);
    (scenario.holds)(&sandbox, &what);
    let said = sandbox.dpgui(scenario.args);
    assert_eq!(said.code, Some(0), "{what}\n{said}");
    (scenario.ends)(&sandbox, &what);
    assert_eq!(differences(&lasting(&sandbox), expected), Vec::<String>::new(), "{what}");
    nobody_is_left(&sandbox);
}
