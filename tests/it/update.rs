//! `dpgui update` and `dpgui rollback`: prepared beside what is installed, exchanged with it, whole over a kill.
//!
//! The packages are tiny ones of an index of the test's own; uv, git's server and everything else are real.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{fs::MetadataExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::Command,
};

use dpgui::{
    install::manifest::{Known, Manifest},
    platform::{
        digest::Sha256,
        lock::{Lock, Wait},
    },
};
use serde_json::Value;

use crate::{
    kill_matrix::{Kill, differences, kills, nobody_is_left, temporaries_are_gone},
    kill_whole::lasting,
    support::{
        git_repository::say,
        lab::{Background, Lab, until},
        random::{Random, seed},
        sandbox::Sandbox,
        small_world::SmallWorld,
    },
};

/// A workspace that is set up, with the servers that it came from.
struct World {
    sandbox: Sandbox,
    small: SmallWorld,
}

impl World {
    fn new() -> Self {
        let mut small = SmallWorld::start();
        small.index.wheel("tiny", "1.0", &[("tiny.py", "")], "");
        // Its module would be found before ComfyUI's.
        small.index.wheel("shadow", "1.0", &[("comfy/__init__.py", "")], "");
        let sandbox = small.sandbox();
        sandbox.dpgui(&["setup"]).ok();
        // The commit that a workspace stays at is the lock's business from now on.
        let pin = format!("commit = \"{}\"\n", small.upstream.commit);
        sandbox.write("w/dpgui.toml", small.settings().replace(&pin, ""));
        let world = Self { sandbox, small };
        world.has_nothing_to_do();
        world
    }

    fn commit(&self) -> &str {
        &self.small.upstream.commit
    }

    /// A newer commit of the trainer with this list.
    fn newer(&self, requirements: &str) -> String {
        let trainer = &self.small.upstream.trainer;
        trainer.write("train.py", "print('newer')").write("requirements.txt", requirements).commit("newer")
    }

    /// The wheels that were fetched so far.
    fn fetched(&self) -> Vec<String> {
        let requests = self.small.index.server.requests();
        requests.into_iter().filter(|it| it.contains(".whl from ")).collect()
    }

    fn root(&self) -> PathBuf {
        self.sandbox.root()
    }

    /// A newer commit that wants another package: its environment is another one.
    fn newer_requirements(&self) -> String {
        self.newer(
            "deepspeed==0.18.4
toml
numpy
av
tiny
",
        )
    }

    #[track_caller]
    fn has_nothing_to_do(&self) {
        let plan = self.sandbox.dpgui(&["setup", "--plan", "--detailed-exitcode"]);
        assert_eq!(plan.code, Some(0), "{plan}");
    }

    fn head(&self) -> String {
        say(&self.root().join("vendor/diffusion-pipe"), &["rev-parse", "HEAD"])
    }

    /// What trainings use, file by file.
    fn installed(&self) -> Installed {
        installed(&self.root())
    }

    /// As a training does that goes on.
    fn training(&self) -> Lock {
        let lock = self.root().join(".dpgui/setup.lock");
        Lock::shared(&lock, "training 20260102-030405-tiny", Wait::No).expect("free")
    }

    #[track_caller]
    fn has_no_copies(&self) {
        for name in ["next", "previous", "switch.json"] {
            assert!(!self.root().join(".dpgui").join(name).exists(), "`{name}` is there");
        }
    }
}

/// Digests by path; receipts too, which no two artefacts have in common. git's index has times in it.
type Installed = BTreeMap<String, String>;

fn installed(root: &Path) -> Installed {
    let mut found = Installed::new();
    for name in ["vendor", "venv", "dpgui.lock", ".dpgui/derived", ".dpgui/receipts"] {
        let path = root.join(name);
        if path.is_file() {
            found.insert(name.to_owned(), Sha256::of(fs::read(&path).expect("readable")).to_string());
            continue;
        }
        let manifest = Manifest::of_tree(&path, &Known::default()).expect("told");
        for (file, entry) in manifest.entries() {
            let file = format!("{name}/{}", file.display());
            if !file.ends_with(".git/index") && !file.contains("__pycache__") {
                found.insert(file, format!("{entry:?}"));
            }
        }
    }
    found
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().expect("there").ino()
}

fn event<'a>(events: &'a [Value], name: &str) -> Option<&'a Value> {
    events.iter().find(|it| it["event"] == name)
}

#[test]
fn an_update_is_prepared_beside_what_trainings_use_and_switched_when_none_does() {
    let world = World::new();
    let (sandbox, old) = (&world.sandbox, world.commit().to_owned());
    let none = sandbox.dpgui(&["update"]).ok();
    assert!(none.stderr.contains("there is nothing newer"), "{none}");
    world.has_no_copies();

    let newer = world.newer_requirements();
    let before = world.installed();
    let plan = sandbox.dpgui(&["update", "--plan"]).ok();
    let moved = format!("diffusion-pipe from commit {} to {}", &old[..10], &newer[..10]);
    assert!(plan.stderr.contains(&format!("Updating {moved}")), "{plan}");
    assert!(plan.stderr.contains("Would do diffusion-pipe: commit"), "{plan}");
    // The commit's requirements are not here yet, and most ask for what is installed.
    assert!(plan.stderr.contains("Might do venv"), "{plan}");
    assert!(plan.stderr.contains("In all ") && plan.stderr.contains(" are free"), "{plan}");
    assert!(plan.stderr.contains("only if the commit asks for other packages"), "{plan}");
    assert!(plan.stderr.contains("known once that is there (copied if it is what is installed)"), "{plan}");
    world.has_no_copies();

    let training = world.training();
    let said = sandbox.dpgui(&["update", "--no-wait"]);
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stderr.contains("is prepared, and what is installed is in use"), "{said}");
    assert!(said.stderr.contains("(training 20260102-030405-tiny)"), "{said}");
    assert_eq!(world.installed(), before);
    assert!(world.root().join(".dpgui/next/venv").is_dir());
    let fetched = world.fetched();
    assert!(fetched.iter().any(|it| it.contains("/tiny-1.0-py3-none-any.whl")), "{fetched:?}");

    assert!(said.stderr.contains(&format!("commit {}, with a new environment", &newer[..10])), "{said}");
    let waiting = Background(
        sandbox
            .command(&["update", "--json"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .expect("it starts"),
    );
    let lock = world.root().join(".dpgui/setup.lock");
    until("it waits for the training", || {
        let locks = fs::read_to_string("/proc/locks").expect("locks");
        let inode = format!(":{} ", inode(&lock));
        locks.lines().any(|it| it.contains("->") && it.contains(&inode)).then_some(())
    });
    assert_eq!(world.installed(), before);
    drop(training);
    let said = waiting.end().ok();
    let events = said.events();
    assert!(event(&events, "step-done").is_none(), "all of it was prepared: {said}");
    let done = event(&events, "update-done").expect("done");
    assert_eq!((done["from"].as_str(), done["to"].as_str()), (Some(&*old), Some(&*newer)));
    assert_eq!(world.fetched(), fetched);
    assert_eq!(world.head(), newer);
    assert!(fs::read_to_string(world.root().join("dpgui.lock")).expect("locked").contains(&newer));
    world.has_nothing_to_do();
    assert!(!world.root().join(".dpgui/next").exists());
    println!("rollbacks took {:?} s", it_goes_back_and_forward_again(&world, &before, &old));
}

fn it_goes_back_and_forward_again(world: &World, before: &Installed, old: &str) -> Vec<f64> {
    let after = world.installed();
    let imports = |code: &str| {
        let python = world.root().join("venv/bin/python");
        Command::new(python).args(["-c", code]).output().expect("it starts").status.success()
    };
    assert!(imports("import tiny"), "the new environment has what the new commit wants");
    let training = world.training();
    let said = world.sandbox.dpgui(&["rollback", "--no-wait"]);
    assert_eq!(said.code, Some(5), "{said}");
    drop(training);
    let mut took = vec![];
    for expected in [before, &after, before] {
        let back = world.sandbox.dpgui(&["rollback", "--json"]).ok().events();
        let done = event(&back, "rollback-done").expect("done");
        let seconds = done["seconds"].as_f64().expect("a number");
        assert!(seconds < 5.0);
        took.push(seconds);
        assert_eq!(&world.installed(), expected);
        world.has_nothing_to_do();
    }
    assert_eq!(world.head(), old);
    assert!(!imports("import tiny") && imports("import torch"));
    took
}

#[test]
fn an_update_of_nothing_but_code_keeps_the_environment() {
    let world = World::new();
    let newer = world.small.upstream.trainer.write("train.py", "print('newer')").commit("newer");
    let (venv, fetched) = (inode(&world.root().join("venv")), world.fetched());
    let comfy = inode(&world.root().join("vendor/ComfyUI"));
    let of_comfy = || {
        let requests = world.small.upstream.server.requests();
        requests.iter().filter(|it| it.target.contains("/ComfyUI/")).count()
    };
    let asked = of_comfy();
    let said = world.sandbox.dpgui(&["update"]).ok();
    assert!(said.stderr.contains("with the environment that is there"), "{said}");
    assert_eq!(world.head(), newer);
    assert_eq!(inode(&world.root().join("venv")), venv);
    assert_eq!(inode(&world.root().join("vendor/ComfyUI")), comfy, "its commit is the same");
    assert_eq!((world.fetched(), of_comfy()), (fetched, asked));
    world.has_nothing_to_do();
    world.sandbox.dpgui(&["rollback"]).ok();
    assert_eq!(world.head(), world.commit());
    world.has_nothing_to_do();
    // Over what is there of the last one.
    let newest = world.newer_requirements();
    world.sandbox.dpgui(&["update"]).ok();
    assert_eq!(world.head(), newest);
    assert_ne!(inode(&world.root().join("venv")), venv);
    world.has_nothing_to_do();
    world.sandbox.dpgui(&["rollback"]).ok();
    assert_eq!(inode(&world.root().join("venv")), venv);
    world.has_nothing_to_do();
    // One that lies elsewhere serves such a commit too.
    let (live, elsewhere) = (world.root().join("venv"), world.sandbox.path("elsewhere"));
    fs::rename(&live, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &live).expect("linked");
    let said = world.sandbox.dpgui(&["update", "--commit", &newer]).ok();
    assert!(said.stderr.contains("is a link: only a commit that needs no other packages"), "{said}");
    assert_eq!((world.head(), inode(&elsewhere)), (newer, venv));
}

#[test]
fn an_update_to_a_commit_that_lost_a_submodule_is_whole() {
    let world = World::new();
    let trainer = &world.small.upstream.trainer;
    let newer = trainer.drop_submodule("submodules/HunyuanVideo").commit("without it");
    world.sandbox.dpgui(&["update"]).ok();
    assert_eq!(world.head(), newer);
    world.has_nothing_to_do();
    world.sandbox.dpgui(&["setup", "--locked"]).ok();
    world.sandbox.dpgui(&["setup", "--verify"]).ok();
    world.sandbox.dpgui(&["rollback"]).ok();
    assert_eq!(world.head(), world.commit());
    world.has_nothing_to_do();
}

#[test]
fn who_goes_back_from_what_they_ask_for_is_told_that_it_will_not_last() {
    let world = World::new();
    let (sandbox, newer) = (&world.sandbox, world.newer("deepspeed==0.18.4\ntoml\nnumpy\nav\n"));
    sandbox.dpgui(&["update"]).ok();
    let forth = sandbox.dpgui(&["rollback"]).ok();
    assert!(!forth.stderr.contains("asks for something else"), "{forth}");
    sandbox.dpgui(&["rollback"]).ok();
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let section = "[sources.diffusion-pipe]\n";
    let pinned = settings.replace(section, &format!("{section}commit = \"{newer}\"\n"));
    assert_ne!(pinned, settings);
    sandbox.write("w/dpgui.toml", pinned);
    let said = sandbox.dpgui(&["rollback"]).ok();
    assert_eq!(world.head(), world.commit());
    let told =
        "asks for something else than what is there now: the next `dpgui setup` changes diffusion-pipe";
    assert!(said.stderr.contains(told), "{said}");
    let below = sandbox.path("w/configs");
    fs::create_dir_all(&below).expect("created");
    let said = sandbox.command(&["setup", "--plan"]).current_dir(&below).output().expect("it starts");
    let above = format!("Workspace `{}`, above the current folder", world.root().display());
    assert!(String::from_utf8_lossy(&said.stderr).contains(&above), "{said:?}");
}

#[test]
fn half_of_what_an_update_replaced_is_not_gone_back_to() {
    let world = World::new();
    let (sandbox, old) = (&world.sandbox, world.commit().to_owned());
    world.newer_requirements();
    sandbox.dpgui(&["update"]).ok();
    let (before, previous) = (world.installed(), world.root().join(".dpgui/previous"));
    let lib = fs::read_dir(previous.join("venv/lib")).expect("there").next().expect("one").expect("an entry");
    let packages = lib.path().strip_prefix(&previous).expect("inside").join("site-packages");
    let aside = sandbox.path("aside");
    let check = |lost: &Path, expected: &str| {
        let lost = previous.join(lost);
        fs::rename(&lost, &aside).expect("moved");
        let said = sandbox.dpgui(&["rollback"]);
        assert_eq!(said.code, Some(1), "{said}");
        let expected =
            &expected.replace("DIR/", &format!("{}/", sandbox.path("").display()).replace("//", "/"));
        for text in ["is not whole any more", expected, &format!("`dpgui update --commit {old}`")] {
            assert!(said.stderr.contains(text), "no `{text}`: {said}");
        }
        assert_eq!(world.installed(), before, "{}", lost.display());
        fs::rename(&aside, &lost).expect("moved back");
    };
    check(&packages.join("torch"), "site-packages/torch/");
    check(&packages, "is missing");
    check("venv/.dpgui-receipt.json".as_ref(), "of `DIR/w/.dpgui/previous/venv` the receipt is missing");
    check("venv".as_ref(), "`DIR/w/.dpgui/previous/venv` is missing");
    check("vendor/diffusion-pipe/train.py".as_ref(), "previous/vendor/diffusion-pipe` `train.py` missing");
    check("vendor/diffusion-pipe".as_ref(), "previous/vendor/diffusion-pipe` is missing");
    check("vendor/libs/comfy".as_ref(), "previous/vendor/libs/comfy` is missing");
    // Which commit it was is all that the lock is needed for here.
    check("dpgui.lock".as_ref(), "previous/dpgui.lock` is missing");
    sandbox.dpgui(&["rollback"]).ok();
    assert_eq!(world.head(), old);
    fs::remove_dir_all(previous.join("venv")).expect("removed");
    let newer = say(&previous.join("vendor/diffusion-pipe"), &["rev-parse", "HEAD"]);
    sandbox.dpgui(&["update", "--commit", &newer]).ok();
    assert_eq!(world.installed().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    world.has_nothing_to_do();
}

#[test]
fn what_cannot_be_updated_stays_as_it_is() {
    let world = World::new();
    let sandbox = &world.sandbox;
    let before = world.installed();
    let check = |args: &[&str], code: i32, expected: &[&str]| {
        let said = sandbox.dpgui(args);
        assert_eq!(said.code, Some(code), "{said}");
        for text in expected {
            assert!(said.stderr.contains(text), "no `{text}`: {said}");
        }
    };
    check(&["rollback"], 1, &["there is nothing to go back to", "hint: "]);
    let newer = world.newer_requirements();
    what_is_in_the_way_is_told_before_anything_is_done(sandbox, &check);

    // Somebody whose disk is too small.
    let (venv, elsewhere) = (sandbox.path("w/venv"), sandbox.path("elsewhere"));
    fs::rename(&venv, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &venv).expect("linked");
    let told = "/w/venv` is a link: only a commit that needs no other packages can be updated to";
    check(&["update"], 2, &[told, "/w/venv` is a link, and", "hint: put the folder itself at"]);
    fs::remove_file(&venv).and_then(|()| fs::rename(&elsewhere, &venv)).expect("moved back");

    let unknown = "0123456789012345678901234567890123456789";
    check(&["update", "--commit", unknown], 2, &["commit 0123456789 cannot be prepared", "has no commit"]);
    assert_eq!(world.installed(), before);

    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let pin = format!("{settings}commit = \"{}\"\n", world.commit());
    sandbox.write("w/dpgui.toml", pin);
    let hint = "remove `commit` under `[sources.diffusion-pipe]` in `dpgui.toml`";
    check(
        &["update"],
        0,
        &["      Pinned diffusion-pipe stays at commit", "nobody was asked for a newer one", hint],
    );
    check(&["update", "--commit", &newer], 2, &["`dpgui.toml` pins commit", hint]);
    sandbox.write("w/dpgui.toml", settings);

    let unprepared = "cannot be prepared; what is installed is as it was";
    world.newer("deepspeed==0.18.4\nthere-is-no-such-thing\n");
    check(&["update"], 1, &[unprepared, "there-is-no-such-thing", "hint: choose another commit"]);
    assert_eq!(world.installed(), before);
    world.newer("deepspeed==0.18.4\ntoml\nnumpy\nav\nshadow\n");
    check(&["update"], 1, &[unprepared, "the module `comfy` would come from", "hint: choose another commit"]);
    assert_eq!(world.installed(), before);
    world.has_nothing_to_do();

    let clean = sandbox.dpgui(&["clean", "--dry-run"]).ok();
    assert!(!clean.stderr.contains(".dpgui/next"), "it may still be wanted: {clean}");
    sandbox.dpgui(&["update", "--commit", &newer]).ok();
    assert_eq!(world.head(), newer);
    world.has_nothing_to_do();
    let clean = sandbox.dpgui(&["clean", "--all"]).ok();
    assert!(clean.stderr.contains(".dpgui/previous"), "{clean}");
    world.has_no_copies();
    world.has_nothing_to_do();
}

fn what_is_in_the_way_is_told_before_anything_is_done(
    sandbox: &Sandbox,
    check: &impl Fn(&[&str], i32, &[&str]),
) {
    let edited = sandbox.path("w/vendor/diffusion-pipe/train.py");
    let committed = fs::read(&edited).expect("there");
    fs::write(&edited, "print('mine')").expect("written");
    check(&["update"], 2, &["has files that a new checkout would destroy: `train.py`"]);
    fs::write(&edited, committed).expect("written");
    let mine = sandbox.write("w/vendor/libs/mine.py", "");
    check(&["update"], 2, &["vendor/libs/mine.py` is in the way"]);
    fs::remove_file(mine).expect("removed");
    let head = sandbox.path("w/vendor/ComfyUI/.git/HEAD");
    let readable = fs::read(&head).expect("there");
    fs::write(&head, "nonsense").expect("written");
    let hint = "hint: `dpgui setup --repair --discard ComfyUI` moves the folder";
    check(&["update"], 6, &["error: the repository of `vendor/ComfyUI` is damaged", hint]);
    fs::write(&head, readable).expect("written");
    assert!(!sandbox.path("w/.dpgui/next").exists(), "refused before anything was done");
}

/// A workspace as it is now, to be had again and again at its own place.
struct Saved<'a> {
    world: &'a World,
    path: PathBuf,
}

impl<'a> Saved<'a> {
    fn of(world: &'a World) -> Self {
        let path = world.sandbox.path("saved");
        copy(&world.root(), &path);
        Self { world, path }
    }

    fn restore(&self) {
        fs::remove_dir_all(self.world.root()).expect("removed");
        copy(&self.path, &self.world.root());
    }
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").args([from, to]).status().expect("it starts");
    assert!(done.success());
}

/// Kills `args` at each checkpoint that they reach from the journal on, and lets a setup, or the same again, go on from there.
fn kill_everywhere(world: &World, args: &[&str], check: impl Fn(&str)) {
    let saved = Saved::of(world);
    let list = world.sandbox.path("checkpoints");
    // A list of an earlier call would be added to.
    let _ = fs::remove_file(&list);
    let done = world.sandbox.command(args).env("DPGUI_TEST_CHECKPOINTS", &list).output().expect("it starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let list = fs::read_to_string(&list).expect("listed");
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut kills = vec![];
    for name in list.lines() {
        let count = counts.entry(name).or_default();
        *count += 1;
        kills.push(format!("{name}:{count}"));
    }
    // From the temporary file of the journal on.
    let first = kills.iter().position(|it| it == "switch-written:1").expect("a switch") - 3;
    for (number, at) in kills[first..].iter().enumerate() {
        let next = if number % 2 == 0 { &["setup"] } else { args };
        saved.restore();
        let died = world.sandbox.command(args).env("DPGUI_TEST_KILL_AT", at).output().expect("it starts");
        assert_eq!(died.status.signal(), Some(9), "{at}: {}", String::from_utf8_lossy(&died.stderr));
        let said = world.sandbox.dpgui(next);
        assert_eq!(said.code, Some(0), "{at}: {said}");
        check(at);
        world.has_nothing_to_do();
        assert!(!world.root().join(".dpgui/switch.json").exists(), "{at}");
    }
    assert!(kills.len() - first > 15, "only {:?}", &kills[first..]);
}

#[test]
fn a_switch_that_is_killed_anywhere_is_finished_by_the_next_command() {
    let world = World::new();
    let old = world.installed();
    world.newer_requirements();
    let training = world.training();
    assert_eq!(world.sandbox.dpgui(&["update", "--no-wait"]).code, Some(5));
    drop(training);
    let prepared = Saved::of(&world);
    world.sandbox.dpgui(&["update"]).ok();
    let new = world.installed();
    prepared.restore();
    fs::remove_dir_all(&prepared.path).expect("removed");

    // Before the journal is there, nothing has happened.
    let whole = |at: &str| {
        let found = world.installed();
        assert!(found == new || found == old, "{at}: half of it");
        let is_new = found == new;
        assert!(
            is_new || ["written:", "renamed:", "parent-synced:"].iter().any(|it| at.starts_with(it)),
            "{at}"
        );
    };
    kill_everywhere(&world, &["update"], whole);
    fs::remove_dir_all(world.sandbox.path("saved")).expect("removed");
    world.sandbox.dpgui(&["update"]).ok();
    assert_eq!(world.installed(), new);
    let whole = |at: &str| {
        let found = world.installed();
        assert!(found == new || found == old, "{at}: half of it");
    };
    kill_everywhere(&world, &["rollback"], whole);
}

/// Everything that an update reaches until it writes down the switch; that and the rest are killed in
/// `a_switch_that_is_killed_anywhere_is_finished_by_the_next_command`.
fn preparation(world: &World) -> Vec<Kill> {
    let list = world.sandbox.path("checkpoints");
    let done = world.sandbox.command(&["update"]).env("DPGUI_TEST_CHECKPOINTS", &list).output();
    assert!(done.expect("it starts").status.success());
    let reached = kills(&list);
    let switch = reached.iter().position(|it| it.name == "switch-written").expect("a switch");
    // To who is killed it is the same moment as `renamed`.
    reached[..switch - 3].iter().filter(|it| it.name != "parent-synced" || it.count == 1).cloned().collect()
}

/// A few of them, each of another name, by chance; `DPGUI_TEST_KILLS=all` takes every one.
fn sample(reached: Vec<Kill>, seed: u64) -> Vec<Kill> {
    const SAMPLE: usize = 9;
    if std::env::var("DPGUI_TEST_KILLS").is_ok_and(|it| it == "all") {
        return reached;
    }
    let mut random = Random(seed);
    let mut names: BTreeMap<String, Vec<Kill>> = BTreeMap::new();
    for kill in reached {
        names.entry(kill.name.clone()).or_default().push(kill);
    }
    let mut below = |bound: usize| usize::try_from(random.below(bound as u64)).expect("small");
    let mut chosen: Vec<Kill> = names.into_values().map(|mut it| it.swap_remove(below(it.len()))).collect();
    while chosen.len() > SAMPLE {
        chosen.swap_remove(below(chosen.len()));
    }
    chosen
}

#[test]
fn an_update_that_is_killed_while_it_is_prepared_changes_nothing_and_is_continued() {
    let world = World::new();
    let before = world.installed();
    let newer = world.newer_requirements();
    let saved = Saved::of(&world);
    let cache = world.sandbox.path("home/.cache");
    copy(&cache, &world.sandbox.path("saved-cache"));
    let again = || {
        saved.restore();
        fs::remove_dir_all(&cache).expect("removed");
        copy(&world.sandbox.path("saved-cache"), &cache);
    };
    let reached = preparation(&world);
    let names: BTreeSet<&str> = reached.iter().map(|it| it.name.as_str()).collect();
    for name in
        ["draft-begun", "fetched", "derived", "environment-made", "filled", "receipted", "loose-receipt"]
    {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let expected = lasting(&world.sandbox);
    let seed = seed();
    println!("DPGUI_TEST_SEED={seed}");
    for Kill { name, count } in sample(reached, seed) {
        again();
        let at = format!("{name}:{count}");
        let command = &mut world.sandbox.command(&["update"]);
        let died = command.env("DPGUI_TEST_KILL_AT", &at).output().expect("it starts");
        // What is done side by side is not done equally often each time.
        if died.status.signal() != Some(9) {
            assert!(died.status.success(), "{at}: {}", String::from_utf8_lossy(&died.stderr));
            continue;
        }
        nobody_is_left(&world.sandbox);
        assert_eq!(world.installed(), before, "{at}");
        world.has_nothing_to_do();
        let said = world.sandbox.dpgui(&["update"]);
        assert_eq!(said.code, Some(0), "{at}: {said}");
        assert_eq!(world.head(), newer, "{at}");
        assert_eq!(differences(&lasting(&world.sandbox), &expected), Vec::<String>::new(), "{at}");
        temporaries_are_gone(&world.sandbox, &at);
        world.has_nothing_to_do();
        assert!(!world.root().join(".dpgui/next").exists(), "{at}");
    }
}

#[test]
fn a_draft_that_is_not_wanted_any_more_is_swept() {
    let world = World::new();
    let training = world.training();
    let newer = world.newer_requirements();
    assert_eq!(world.sandbox.dpgui(&["update", "--no-wait"]).code, Some(5));
    drop(training);
    let next = world.root().join(".dpgui/next");
    let clean = |args: &[&str]| world.sandbox.dpgui(&[&["clean"], args].concat()).ok().stderr;
    assert!(!clean(&[]).contains(".dpgui/next") && next.exists());
    // A setup that locks something else would be undone by it.
    let lock = fs::read_to_string(world.root().join("dpgui.lock")).expect("there");
    fs::write(world.root().join("dpgui.lock"), format!("{lock}\n")).expect("written");
    assert!(clean(&["--dry-run"]).contains(".dpgui/next") && next.exists());
    assert!(clean(&[]).contains(".dpgui/next") && !next.exists());

    let training = world.training();
    assert_eq!(world.sandbox.dpgui(&["update", "--no-wait"]).code, Some(5));
    drop(training);
    world.small.upstream.trainer.reset_to(world.commit());
    assert!(next.exists());
    world.sandbox.dpgui(&["update"]).ok();
    assert!(!next.exists(), "{newer} was withdrawn");
}

#[test]
fn a_training_finishes_a_switch_that_was_killed_before_it_uses_anything() {
    let lab = Lab::new(&[("STEPS", "1")]);
    let root = lab.sandbox.root();
    let (live, copy) =
        (lab.sandbox.write("w/a/text", "old"), lab.sandbox.write("w/.dpgui/previous/a/text", "new"));
    let swap = serde_json::json!({
        "live": "a",
        "copy": ".dpgui/previous/a",
        "from": inode(&root.join("a")),
        "to": inode(&root.join(".dpgui/previous/a")),
    });
    let journal = serde_json::json!({ "schema": 1, "with": "previous", "copy": null, "swaps": [swap] });
    lab.sandbox.write("w/.dpgui/switch.json", journal.to_string());
    let said = lab.train(&["--detach"]).ok();
    assert!(said.stderr.contains("Finished the switch of an update that had been killed"), "{said}");
    let text = |path: &Path| fs::read_to_string(path).expect("there");
    assert_eq!((text(&live), text(&copy)), ("new".to_owned(), "old".to_owned()));
    assert!(!root.join(".dpgui/switch.json").exists());
}
