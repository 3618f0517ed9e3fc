//! Without a network: everything that is missing is said at once, and what is here is enough.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use dpgui::{
    install::cache::Cache,
    platform::lock::{Lock, Wait},
};
use serde_json::Value;

use crate::{
    setup::without_programs,
    support::{git_repository::say, lab::until, sandbox::Sandbox, small_world::SmallWorld},
};

fn missing(sandbox: &Sandbox) -> Vec<Value> {
    let said = sandbox.dpgui(&["setup", "--offline", "--json"]);
    assert_eq!(said.code, Some(7), "{said}");
    said.events().into_iter().filter(|it| it["event"] == "missing").collect()
}

#[test]
fn what_is_missing_is_listed_whole_and_with_it_a_setup_asks_nobody() {
    let world = SmallWorld::start();
    let online = world.sandbox();
    online.dpgui(&["setup", "--keep-downloads"]).ok();
    let lock = fs::read(online.path("w/dpgui.lock")).expect("written");

    let offline = world.sandbox();
    offline.write("w/dpgui.lock", &lock);
    let missing = missing(&offline);
    let steps: BTreeSet<&str> = missing.iter().filter_map(|it| it["step"].as_str()).collect();
    assert_eq!(steps, BTreeSet::from(["node", "diffusion-pipe", "ComfyUI", "HunyuanVideo", "venv"]));
    assert!(!offline.path("w/.dpgui").exists(), "nothing was touched");
    for thing in &missing {
        let put = Path::new(thing["put"].as_str().expect("a place"));
        fs::create_dir_all(put.parent().expect("a parent")).expect("created");
        let digest = thing["digest"].as_str().expect("a digest");
        if thing["step"] == "node" || thing["step"] == "venv" {
            let there = online.path("home/.cache/dpgui/downloads").join(digest);
            fs::copy(&there, put).expect("it was kept");
        } else {
            let checkout = online.path("w/vendor").join(thing["step"].as_str().expect("a name"));
            let copied =
                std::process::Command::new("cp").arg("-r").arg(checkout.join(".git")).arg(put).status();
            assert!(copied.expect("cp starts").success());
        }
    }
    let before = (world.index.server.requests().len(), world.upstream.server.requests().len());
    // A file of the right name that is another one is as good as none.
    let node =
        missing.iter().find(|it| it["step"] == "node").and_then(|it| it["put"].as_str()).expect("named");
    let right = fs::read(node).expect("there");
    fs::write(node, "bogus").expect("written");
    let said = offline.dpgui(&["setup", "--offline"]);
    assert_eq!(said.code, Some(7), "{said}");
    let expected = format!("to `{node}`, where something else is that has its name\n");
    assert!(said.stderr.contains(&expected), "{said}");
    assert!(said.stderr.contains("error: offline, and 1 thing is missing that a setup needs\n"), "{said}");
    fs::write(node, right).expect("written");
    offline.dpgui(&["setup", "--offline"]).ok();
    assert_eq!((world.index.server.requests().len(), world.upstream.server.requests().len()), before);
    let manifest = |sandbox: &Sandbox| fs::read(sandbox.path("w/venv/.dpgui-manifest")).expect("written");
    assert_eq!(manifest(&offline), manifest(&online));
    offline.dpgui(&["setup", "--offline"]).ok();
}

#[test]
fn without_a_lock_for_it_nothing_can_be_made_offline_and_that_is_said() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    let said = sandbox.dpgui(&["setup", "--offline"]);
    assert_eq!(said.code, Some(7), "{said}");
    assert!(
        said.stderr.contains("Missing lock: the packages for these sources, locked by `dpgui lock`"),
        "{said}"
    );
    assert!(said.stderr.contains("got by `git clone --bare http"), "{said}");
    assert!(said.stderr.contains("error: offline, and 5 things are missing that a setup needs"), "{said}");
    assert!(said.stderr.contains("hint: put them where it says"), "{said}");
    // The plan for such a machine names the same.
    let plan = sandbox.dpgui(&["setup", "--plan", "--offline"]);
    assert_eq!(plan.code, Some(7), "{plan}");
    assert!(
        plan.stderr.contains("Would do node: ") && plan.stderr.contains("5 things are missing"),
        "{plan}"
    );
    assert!(!sandbox.path("w/.dpgui").exists(), "nothing was touched");
}

#[test]
fn what_only_the_trainers_commit_can_tell_is_not_guessed_before_it_is_there() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    let plan = sandbox.dpgui(&["setup", "--plan"]).ok().stderr;
    let trainer = &world.upstream.commit[..10];
    let named = format!("Would do ComfyUI: the commit that diffusion-pipe at {trainer} names, known once");
    assert!(plan.contains(&named), "{plan}");
    let of = |step: &str| missing(&sandbox).into_iter().find(|it| it["step"] == step).expect("missing");
    let comfy = of("ComfyUI");
    assert_eq!((&comfy["digest"], &comfy["put"], &comfy["how"]), (&Value::Null, &Value::Null, &Value::Null));
    let name = format!("repository ComfyUI, as diffusion-pipe at {trainer} pins it: told once that is there");
    assert_eq!(comfy["name"], *name);

    // Brought, the trainer's commit tells the rest.
    let online = world.sandbox();
    online.dpgui(&["setup", "--only", "diffusion-pipe,ComfyUI,HunyuanVideo"]).ok();
    let pinned = say(&online.path("w/vendor/ComfyUI"), &["rev-parse", "HEAD"]);
    let put = PathBuf::from(of("diffusion-pipe")["put"].as_str().expect("a place"));
    fs::create_dir_all(put.parent().expect("a parent")).expect("created");
    let git = online.path("w/vendor/diffusion-pipe/.git");
    assert!(std::process::Command::new("cp").arg("-r").args([&git, &put]).status().expect("run").success());
    let comfy = of("ComfyUI");
    assert_eq!(comfy["digest"], *pinned);
    assert_eq!(comfy["name"], *format!("repository {}", world.upstream.server.url("ComfyUI")));
    let plan = sandbox.dpgui(&["setup", "--plan"]).ok().stderr;
    assert!(plan.contains(&format!("Would do ComfyUI: commit {} (not cloned", &pinned[..10])), "{plan}");

    let alone = world.sandbox().dpgui(&["setup", "--only", "ComfyUI"]);
    assert!(alone.code == Some(1) && alone.stderr.contains("without `--only` and `--skip`"), "{alone}");
}

#[test]
fn a_plan_counts_the_packages_that_the_list_of_what_is_missing_names() {
    let sandbox = Sandbox::new();
    for profile in ["cpu", "cu13", "cu12"] {
        let said = sandbox.dpgui(&["setup", "--plan", "--offline", "--torch", profile, "--json"]);
        assert_eq!(said.code, Some(7), "{said}");
        let events = said.events();
        let of = |event: &str| {
            events.iter().filter(|it| it["event"] == event && it["step"] == "venv").collect::<Vec<_>>()
        };
        let sizes: Option<Vec<u64>> = of("missing").iter().map(|it| it["size"].as_u64()).collect();
        assert!(of("missing").len() > 100, "{profile}: {said}");
        // Where one has no size, nobody knows how much it is in all.
        assert_eq!(of("plan")[0]["bytes"].as_u64(), sizes.map(|it| it.iter().sum()), "{profile}");
    }
}

#[test]
fn a_bundle_carries_a_whole_setup_to_a_machine_without_a_network() {
    let world = SmallWorld::start();
    let online = world.sandbox();
    online.dpgui(&["setup"]).ok();
    let said = online.dpgui(&["bundle", "create", "../nowhere/carried.tar"]);
    assert!(said.code == Some(2) && said.stderr.contains("hint: make it, or give another place"), "{said}");
    let said = online.dpgui(&["bundle", "create", "../carried.tar"]).ok();
    assert!(said.stderr.contains(" files, "), "{said}");
    let bundle = online.path("carried.tar");
    let file = bundle.to_string_lossy().into_owned();

    let offline = world.sandbox();
    let before = (world.index.server.requests().len(), world.upstream.server.requests().len());
    let said = offline.dpgui(&["setup", "--bundle", &file]).ok();
    assert!(said.stderr.contains("Brought "), "{said}");
    assert_eq!((world.index.server.requests().len(), world.upstream.server.requests().len()), before);
    let same = |name: &str| {
        let read = |sandbox: &Sandbox| fs::read(sandbox.path(name)).expect("there");
        assert!(read(&offline) == read(&online), "{name}");
    };
    same("w/dpgui.lock");
    same("w/venv/.dpgui-manifest");
    offline.dpgui(&["setup", "--offline"]).ok();

    // One that declares nothing of this: the lock that comes with it says what is in it.
    let bare = world.sandbox();
    bare.write("w/dpgui.toml", world.settings().lines().next().expect("the Python"));
    let said = bare.dpgui(&["setup", "--torch", "cpu", "--bundle", &file, "--locked"]);
    assert_eq!(said.code, Some(9), "{said}");
    assert!(said.stderr.contains("the lock that the bundle brings is not up to date here: `"), "{said}");
    assert!(said.stderr.contains("hint: leave out `--locked`"), "{said}");
    assert!(!bare.path("home/.cache/dpgui/downloads").exists(), "nothing was copied for it");
    let said = bare.dpgui(&["setup", "--torch", "cpu", "--bundle", &file]).ok();
    assert!(said.stderr.contains("Done node: Node 22.12.0"), "{said}");
    assert!(
        said.stderr.contains("has another node than is declared here: `dpgui setup --frozen` stays"),
        "{said}"
    );
    let planned = |more: &[&str]| bare.dpgui(&[&["setup", "--plan", "--detailed-exitcode"], more].concat());
    assert_eq!(planned(&["--frozen"]).code, Some(0), "{}", planned(&["--frozen"]));
    let said = bare.dpgui(&["setup", "--verify"]);
    let another = "Missing node: Node 22.12.0 (another build of this version is there, of another digest than the one \
                   named here; `dpgui.lock` names the one that is there, and `--frozen` stays with it)";
    assert!(said.code == Some(1) && said.stderr.contains(another), "{said}");
    let checks = bare.dpgui(&["doctor", "--json"]).events();
    for step in ["node", "lock"] {
        let check = checks.iter().find(|it| it["id"] == "setup" && it["subject"] == step).expect("a check");
        let advice = "leave it, and set up with `dpgui setup --frozen` here";
        assert_eq!((&check["verdict"], &check["advice"]), (&"note".into(), &advice.into()), "{step}");
    }
    let manifest = |sandbox: &Sandbox| fs::read(sandbox.path("w/venv/.dpgui-manifest")).expect("there");
    assert!(manifest(&bare) == manifest(&online));
    what_is_no_whole_bundle_is_refused(&world, &bundle);
}

fn what_is_no_whole_bundle_is_refused(world: &SmallWorld, bundle: &Path) {
    let content = fs::read(bundle).expect("there");
    let other = world.sandbox();
    let check = |content: &[u8], expected: &str| {
        let damaged = other.write("damaged.tar", content).to_string_lossy().into_owned();
        let said = other.dpgui(&["setup", "--bundle", &damaged]);
        assert_eq!(said.code, Some(4), "{said}");
        assert!(said.stderr.contains(expected), "{said}");
        assert!(!other.path("w/tools").exists() && !other.path("w/venv").exists(), "{said}");
    };
    check(&content[..content.len() / 2], "` in it is not what its list says");
    let mut flipped = content.clone();
    let middle = flipped.len() / 4;
    flipped[middle] ^= 1;
    check(&flipped, "hint: copy it once more");
    check(b"", "is damaged: it is empty");
    for (name, path) in
        [("no header", other.write("cut.tar", &content[512..])), ("folder", other.path("home"))]
    {
        let said = other.dpgui(&["setup", "--bundle", &path.to_string_lossy()]);
        assert!(said.code == Some(2) && said.stderr.contains("is no bundle of dpgui: it "), "{name}: {said}");
    }
    let there = fs::read_dir(other.path("home/.cache/dpgui/repositories")).into_iter().flatten();
    assert_eq!(there.count(), 0, "no half repositories are left");
    assert!(!other.path("w/dpgui.lock").exists(), "a lock comes with what it names");
    other.dpgui(&["setup", "--bundle", &bundle.to_string_lossy()]).ok();
}

#[test]
fn a_repair_lists_what_is_missing_too_and_keeps_what_was_chosen() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    fs::remove_file(sandbox.path("w/tools/node/bin/npm")).expect("removed");
    fs::remove_dir_all(sandbox.path("w/vendor/HunyuanVideo")).expect("removed");
    fs::remove_dir_all(sandbox.path("home/.cache/dpgui/downloads")).expect("removed");
    let said = sandbox.dpgui(&["setup", "--repair", "--offline", "--json"]);
    assert_eq!(said.code, Some(7), "{said}");
    let events = said.events();
    let steps = |event: &str| -> Vec<&str> {
        events.iter().filter(|it| it["event"] == event).filter_map(|it| it["step"].as_str()).collect()
    };
    assert_eq!(steps("missing"), ["node", "HunyuanVideo"], "{said}");
    assert_eq!(steps("step-started"), [""; 0], "{said}");
    let settings = || fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    assert!(!settings().contains("auto"));
    sandbox.dpgui(&["setup", "--repair", "--torch", "auto"]).ok();
    assert!(settings().contains("profile = \"auto\""), "{}", settings());
}

#[test]
fn a_bundle_touches_nothing_of_others_and_nothing_in_a_workspace_that_somebody_works_in() {
    let world = SmallWorld::start();
    let online = world.sandbox();
    online.dpgui(&["setup"]).ok();
    let of_the_dead = online.write(format!(".carried.tar.tmp-{}", i32::MAX), "half a bundle");
    online.dpgui(&["bundle", "create", "../carried.tar"]).ok();
    assert!(!of_the_dead.exists(), "who was killed left it");
    let bundle = online.path("carried.tar");
    let content = fs::read(&bundle).expect("there");

    let offline = world.sandbox();
    let repositories = offline.path("home/.cache/dpgui/repositories");
    // The test itself in the role of another that brings a bundle just now.
    let of_another = repositories.join(format!(".{}.git.tmp-{}", "0".repeat(40), std::process::id()));
    fs::create_dir_all(&of_another).expect("created");
    let damaged =
        offline.write("damaged.tar", &content[..content.len() - 4096]).to_string_lossy().into_owned();
    assert_eq!(offline.dpgui(&["setup", "--bundle", &damaged]).code, Some(4));
    let there: Vec<_> = fs::read_dir(&repositories).expect("there").flatten().map(|it| it.path()).collect();
    assert_eq!(there, [of_another]);

    let file = bundle.to_string_lossy().into_owned();
    let said = offline.dpgui(&["setup", "--bundle", &file, "--only", "nod"]);
    assert_eq!(said.code, Some(2), "{said}");
    fs::create_dir_all(offline.path("w/.dpgui")).expect("created");
    let held = Lock::exclusive(&offline.path("w/.dpgui/setup.lock"), "dpgui setup", Wait::No).expect("free");
    let said = offline.dpgui(&["setup", "--bundle", &file, "--no-wait"]);
    assert_eq!(said.code, Some(5), "{said}");
    assert!(!offline.path("w/dpgui.lock").exists());
    drop(held);
    // Another machine's bundle may be written from this cache meanwhile.
    let cache = Cache::at(offline.path("home/.cache/dpgui"), u64::MAX);
    let used = cache.take(world.index.digests["/files/numpy-1.0-py3-none-any.whl"]).expect("readable");
    assert!(used.is_some(), "it was brought before the lock was asked for");
    let mut setup =
        offline.command(&["setup", "--bundle", &file]).stderr(Stdio::null()).spawn().expect("starts");
    assert!(until("nobody waits for who only uses a file", || setup.try_wait().expect("asked")).success());
}

#[test]
fn a_bundle_that_cannot_be_made_is_refused_before_anything_is_fetched() {
    let sandbox = Sandbox::new();
    let refused = |args: &[&str], code: i32, expected: &str| {
        let said = sandbox.dpgui(&[&["bundle", "create"], args].concat());
        assert_eq!((said.code, &*sandbox.neutral(&said.stderr)), (Some(code), expected));
    };
    let nothing =
        "error: no bundle can be made: no setup was made in `DIR/w`\n\nhint: run `dpgui setup` first\n";
    refused(&["../carried.tar"], 2, nothing);
    assert!(!sandbox.path("w/.dpgui").exists(), "nothing was touched");
    fs::create_dir(sandbox.path("w/.dpgui")).expect("created");
    refused(
        &[".."],
        2,
        "error: no bundle can be made: `DIR/w/..` is a directory\n\nhint: give the name of a file\n",
    );
    let held = Lock::exclusive(&sandbox.path("w/.dpgui/setup.lock"), "dpgui setup", Wait::No).expect("free");
    let said = sandbox.dpgui(&["bundle", "create", "../carried.tar", "--no-wait"]);
    assert_eq!(said.code, Some(5), "{said}");
    drop(held);
}

#[test]
fn the_newest_packages_cannot_be_locked_offline_and_that_is_said_at_once() {
    let mut sandbox = without_programs(Sandbox::new());
    let said = sandbox.env("DPGUI_OFFLINE", "1").dpgui(&["lock", "--upgrade"]);
    assert_eq!(said.code, Some(7), "{said}");
    assert!(said.stderr.contains("error: offline, and only the package index knows"), "{said}");
    assert!(said.stderr.contains("hint: unset `DPGUI_OFFLINE` where there is a network"), "{said}");
    assert!(!sandbox.path("w/.dpgui").exists(), "nothing was touched");
}

#[test]
fn a_variable_that_says_no_leaves_the_network_on() {
    let check = |value: &str, expected: bool| {
        let mut sandbox = without_programs(Sandbox::new());
        sandbox
            .env("DPGUI_OFFLINE", value)
            .write("w/dpgui.toml", "[sources.node]\nplaces = [\"/nowhere\"]\n");
        let said = sandbox.dpgui(&["setup", "--only", "node"]);
        assert_eq!(said.code == Some(7), expected, "{value}: {said}");
    };
    for no in ["", "0", "false", "No", "off"] {
        check(no, false);
    }
    check("1", true);
    check("yes", true);
}
