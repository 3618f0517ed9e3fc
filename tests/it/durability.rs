//! What gets its real name is on the disk before that, and the name is after: else a power cut could leave the name of a
//! file without its bytes. A library between the program and the system writes down both, in their order.

use std::{collections::BTreeSet, fs, path::PathBuf};

use crate::support::{
    lab::Lab,
    preload::library,
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

/// Written anew by the next command when a power cut has spoilt them, and so not waited for.
const SNAPSHOTS: [&str; 2] = ["/.dpgui/derived/", "/RECORD"];

struct Note {
    thread: String,
    what: String,
    one: PathBuf,
    other: PathBuf,
}

/// Runs a command that must end well, and tells what it named without having it on the disk.
#[track_caller]
fn everything_named_is_on_the_disk(sandbox: &Sandbox, args: &[&str]) -> BTreeSet<String> {
    let list = sandbox.path("notes");
    let _ = fs::remove_file(&list);
    let mut command = sandbox.command(args);
    command.env("LD_PRELOAD", library(sandbox, "durability")).env("TEST_NOTES", &list);
    Said::from(command.output().expect("it starts")).ok();
    let text = fs::read_to_string(&list).expect("it named something");
    let notes: Vec<Note> = text.lines().map(note).collect();
    let mut named = BTreeSet::new();
    for (at, note) in notes.iter().enumerate().filter(|(_, it)| it.what == "name") {
        let (from, to) = (note.one.display().to_string(), note.other.display().to_string());
        if SNAPSHOTS.iter().any(|it| to.contains(it)) {
            continue;
        }
        let parent = note.other.parent().expect("a parent");
        if parent.display().to_string().contains(".tmp-") {
            // It counts when the directory gets its name.
            continue;
        }
        let ours = |it: &&Note| it.thread == note.thread;
        let before: Vec<&Note> = notes[..at].iter().filter(ours).collect();
        let synced =
            |one: &Note, before: &[&Note]| before.iter().any(|it| it.what == "sync" && it.one == one.one);
        // Where a link leads is in the directory itself.
        let is_durable = if note.other.is_symlink() {
            true
        } else if note.other.is_dir() {
            // Everything in it, but for what came after that and was synced by itself.
            let inside = |it: &&&Note| it.what == "name" && it.other.starts_with(&note.one);
            before
                .iter()
                .rposition(|it| it.what == "syncfs")
                .is_some_and(|barrier| before[barrier..].iter().filter(inside).all(|it| synced(it, &before)))
        } else {
            synced(note, &before)
        };
        // What was replaced and is to be removed may come back.
        let is_thrown_away = to.contains(".old-");
        assert!(is_durable || is_thrown_away, "{args:?}: `{from}` became `{to}` before it was on the disk");
        let mut after = notes[at..].iter().filter(ours);
        assert!(
            after.any(|it| it.what == "sync" && it.one == parent),
            "{args:?}: the name `{to}` may be lost"
        );
        named.insert(sandbox.neutral(&to));
    }
    named
}

fn note(line: &str) -> Note {
    let mut parts = line.split('\t');
    let mut next = || parts.next().expect("four of them").to_owned();
    Note { thread: next(), what: next(), one: next().into(), other: next().into() }
}

#[track_caller]
fn names(named: &BTreeSet<String>, expected: &[&str]) {
    for name in expected {
        assert!(named.iter().any(|it| it.ends_with(name)), "`{name}` is not among {named:#?}");
    }
}

#[test]
fn a_setup_an_update_and_a_bundle_name_nothing_that_a_power_cut_could_empty() {
    let world = SmallWorld::start();
    let mut sandbox = world.sandbox();
    sandbox.env("DPGUI_TEST_NO_RETRY_DELAY", "1");
    let carried = sandbox.path("home/carried.tar").display().to_string();
    let made = everything_named_is_on_the_disk(&sandbox, &["setup", "--keep-downloads"]);
    let artefacts = ["w/venv", "w/tools/node", "w/vendor/ComfyUI", "w/vendor/diffusion-pipe", "w/dpgui.lock"];
    names(&made, &artefacts);
    assert!(
        made.iter().filter(|it| it.contains("/downloads/")).count() > 8,
        "every wheel, and Node: {made:#?}"
    );

    let bundled = everything_named_is_on_the_disk(&sandbox, &["bundle", "create", &carried]);
    names(&bundled, &["home/carried.tar"]);
    let other = world.sandbox();
    let brought = everything_named_is_on_the_disk(&other, &["setup", "--bundle", &carried]);
    names(&brought, &artefacts);
    let count = |what: &str| brought.iter().filter(|it| it.contains(what)).count();
    assert!(count("/downloads/") > 8 && count("/dpgui/repositories/") >= 3, "{brought:#?}");

    let newer = world.upstream.trainer.write("train.py", "print('newer')").commit("newer");
    sandbox.write("w/dpgui.toml", world.settings().replace(&world.upstream.commit, &newer));
    names(&everything_named_is_on_the_disk(&sandbox, &["setup"]), &["w/vendor/diffusion-pipe"]);
}

#[test]
fn a_wheel_that_pip_fetched_is_on_the_disk_before_the_cache_has_it() {
    let mut sandbox = Sandbox::new();
    // Whatever leads pip to a package index here leads this one too.
    let leads = |name: &str| {
        name.starts_with("PIP_") || name.to_lowercase().ends_with("_proxy") || name.starts_with("SSL_")
    };
    for (name, value) in std::env::vars().filter(|(name, _)| leads(name)) {
        sandbox.env(&name, value);
    }
    let system = std::env::var("PATH").expect("there is one");
    sandbox.env("PATH", system);
    sandbox
        .write("w/dpgui.toml", "mirror-fallback = true\n[sources.uv]\nplaces = [\"/nowhere/uv.tar.gz\"]\n");
    let made = everything_named_is_on_the_disk(&sandbox, &["setup", "--only", "uv"]);
    names(&made, &["w/tools/uv"]);
    assert_eq!(made.iter().filter(|it| it.contains("/downloads/")).count(), 1, "{made:#?}");
}

#[test]
fn the_end_of_a_run_is_on_the_disk_when_it_can_be_read() {
    let lab = Lab::new(&[("STEPS", "2")]);
    let list = lab.sandbox.path("notes");
    let mut command = lab.sandbox.command(&["train", "configs/tiny.toml"]);
    command.env("LD_PRELOAD", library(&lab.sandbox, "durability")).env("TEST_NOTES", &list);
    Said::from(command.output().expect("it starts")).ok();
    let run = lab.only_run().path;
    let text = fs::read_to_string(&list).expect("it named something");
    let notes: Vec<Note> = text.lines().map(note).collect();
    let named = |it: &Note| it.what == "name" && it.other == run.join("state.json");
    let end = notes.iter().rposition(named).expect("a state");
    let before = |path: &PathBuf| notes[..end].iter().any(|it| it.what == "sync" && it.one == *path);
    assert!(before(&notes[end].one), "its bytes come after its name");
    assert!(before(&run.join("events.jsonl")), "the event may be lost");
    assert!(notes[end..].iter().any(|it| it.what == "sync" && it.one == run), "its name may be lost");
}
