//! Whole setups side by side, and what an environment has in common with the cache and with others: nothing.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use dpgui::platform::digest::Sha256;

use crate::support::{
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

/// Starts a setup in the directory of this name beside the workspace.
fn start(sandbox: &Sandbox, name: &str, args: &[&str]) -> Child {
    let mut command = sandbox.command(&[&["-C", &format!("../{name}"), "setup"], args].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

#[track_caller]
fn end(setup: Child) -> Said {
    Said::from(setup.wait_with_output().expect("it ends")).ok()
}

/// How often each file of the index was asked for.
fn fetched(world: &SmallWorld) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in world.index.server.requests() {
        let path = request.split(' ').nth(1).expect("a path").to_owned();
        if world.index.digests.contains_key(&path) {
            *counts.entry(path).or_default() += 1;
        }
    }
    counts
}

/// A lock for this world: with it nothing is resolved, and what is asked for are the files themselves.
fn lock(world: &SmallWorld) -> Vec<u8> {
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    fs::read(sandbox.path("w/dpgui.lock")).expect("written")
}

fn manifest(sandbox: &Sandbox, name: &str) -> Vec<u8> {
    fs::read(sandbox.path(name).join("venv/.dpgui-manifest")).expect("written")
}

/// Regular files at and below `dir`.
fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut todo, mut found) = (vec![dir.to_owned()], vec![]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).expect("there").flatten() {
            let kind = entry.file_type().expect("a type");
            if kind.is_dir() {
                todo.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn of_four_whole_setups_at_once_one_does_each_step_and_all_end_well() {
    let world = SmallWorld::start();
    let lock = lock(&world);
    let sandbox = world.sandbox();
    sandbox.write("w/dpgui.lock", lock);
    let before = fetched(&world);
    let setups: Vec<Child> = (0..4).map(|_| start(&sandbox, "w", &[])).collect();
    let said: Vec<Said> = setups.into_iter().map(end).collect();
    for step in ["node", "diffusion-pipe", "ComfyUI", "HunyuanVideo", "venv"] {
        let done = format!("Done {step}: ");
        assert_eq!(said.iter().filter(|it| it.stderr.contains(&done)).count(), 1, "{step}: {said:#?}");
    }
    let idle = said.iter().filter(|it| it.stderr.contains("nothing to do")).count();
    assert_eq!(idle, 3, "{said:#?}");
    let again =
        fetched(&world).into_iter().filter(|(path, count)| count - before.get(path).unwrap_or(&0) > 1);
    assert_eq!(again.collect::<Vec<_>>(), [], "asked for twice");
    assert!(sandbox.dpgui(&["setup", "--verify", "--full"]).ok().stderr.contains("venv"));
}

#[test]
fn four_workspaces_that_are_set_up_at_once_share_every_download() {
    let world = SmallWorld::start();
    let lock = lock(&world);
    let sandbox = world.sandbox();
    let names = ["w", "w2", "w3", "w4"];
    for name in names {
        sandbox.write(Path::new(name).join("dpgui.toml"), world.settings());
        sandbox.write(Path::new(name).join("dpgui.lock"), &lock);
    }
    let before = fetched(&world);
    // Kept, or who comes late has to fetch again what the first has thrown away.
    let setups: Vec<Child> =
        names.iter().map(|it| start(&sandbox, it, &["--locked", "--keep-downloads"])).collect();
    setups.into_iter().map(end).for_each(drop);
    let mut counts = fetched(&world);
    for (path, count) in &mut counts {
        *count -= before.get(path).unwrap_or(&0);
    }
    counts.retain(|_, count| *count != 0);
    assert!(counts.len() >= 10 && counts.values().all(|it| *it == 1), "{counts:#?}");
    let node = world.files.requests();
    assert_eq!(node.len(), 2, "once for the lock, once for the four: {node:?}");
    for name in names {
        assert_eq!(manifest(&sandbox, name), manifest(&sandbox, "w"), "{name}");
        sandbox.dpgui(&["-C", &format!("../{name}"), "setup", "--verify", "--full"]).ok();
    }
}

#[test]
fn an_edit_in_an_environment_reaches_neither_the_cache_nor_another_environment() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    let lock = fs::read(sandbox.path("w/dpgui.lock")).expect("written");
    for name in ["w2", "w3"] {
        sandbox.write(Path::new(name).join("dpgui.toml"), world.settings());
        sandbox.write(Path::new(name).join("dpgui.lock"), &lock);
    }
    sandbox.dpgui(&["-C", "../w2", "setup", "--keep-downloads"]).ok();
    let before = manifest(&sandbox, "w2");

    // Into the files themselves, as `pip install --editable` and editors without backups do.
    let (mut edited, mut inodes) = (0, vec![]);
    for path in files(&sandbox.path("w/venv")) {
        let found = path.metadata().expect("there");
        inodes.push((found.dev(), found.ino()));
        let mut file = fs::File::options().append(true).open(&path).expect("opened");
        file.write_all(b"# mine\n").expect("written");
        edited += 1;
    }
    assert!(edited > 20, "{edited} files are no environment");
    for path in [files(&sandbox.path("home")), files(&sandbox.path("w2"))].concat() {
        let found = path.metadata().expect("there");
        assert!(!inodes.contains(&(found.dev(), found.ino())), "{} is the same file", path.display());
    }
    for path in files(&sandbox.path("home/.cache/dpgui/downloads")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(Sha256::of(fs::read(&path).expect("readable")).to_string(), name);
    }
    sandbox.dpgui(&["-C", "../w2", "setup", "--verify", "--full"]).ok();
    // What is made of the cache now is what it was.
    let asked = fetched(&world);
    sandbox.dpgui(&["-C", "../w3", "setup", "--keep-downloads"]).ok();
    assert_eq!((manifest(&sandbox, "w3"), fetched(&world)), (before, asked));
    assert_eq!(sandbox.dpgui(&["setup", "--verify"]).code, Some(1), "the edited one is known as such");
}

#[test]
fn torch_is_imported_once_while_the_environment_is_made_and_again_when_that_was_changed() {
    let world = SmallWorld::start();
    let mut sandbox = world.sandbox();
    let imports = sandbox.path("imports");
    sandbox.env("TEST_TORCH_IMPORTS", &imports).env("TEST_TORCH_IS_BROKEN", "1");
    let said = sandbox.dpgui(&["setup"]);
    assert!(said.stderr.contains("libcudart.so.13") && said.code == Some(1), "{said}");
    let imported = || fs::read_to_string(&imports).unwrap_or_default().lines().count();
    assert_eq!(imported(), 2, "what failed early is tried where it belongs");

    let mut other = world.sandbox();
    fs::remove_file(&imports).expect("removed");
    other.env("TEST_TORCH_IMPORTS", &imports);
    let said = other.dpgui(&["setup"]).ok();
    assert!(said.stderr.contains("Done verify: torch 2.13.0 (no CUDA) and DeepSpeed 0.18.4"), "{said}");
    assert_eq!(imported(), 1);
    fs::remove_file(other.path("w/.dpgui/receipts/verify.json")).expect("removed");
    other.dpgui(&["setup"]).ok();
    assert_eq!(imported(), 2, "a later verification imports it itself");
}
