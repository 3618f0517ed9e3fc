//! `dpgui.lock`: written by a setup, followed by the next one, and the same environment from it everywhere.

use std::{fs, path::Path};

use crate::{
    archives,
    setup_whole::python,
    support::{git_repository::say, sandbox::Sandbox, small_world::SmallWorld},
};

fn lock_of(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("w/dpgui.lock")).expect("written")
}

fn manifest_of(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("w/venv/.dpgui-manifest")).expect("written")
}

#[test]
fn a_setup_writes_a_lock_and_another_machine_with_it_gets_the_same_files() {
    let mut world = SmallWorld::start();
    let first = world.sandbox();
    let said = first.dpgui(&["setup", "--keep-downloads"]).ok();
    assert!(said.stderr.contains("Done venv: torch 2.13.0 (cpu) and DeepSpeed, 10 packages"), "{said}");
    let lock = lock_of(&first);
    assert!(lock.contains(&format!("diffusion-pipe = \"{}\"", world.upstream.commit)), "{lock}");
    assert!(!lock.contains("http"), "addresses are each machine's own business: {lock}");
    assert_eq!(first.dpgui(&["setup"]).ok().stderr.matches("nothing to do").count(), 1);

    // The index has newer ones by now, which the lock does not know.
    world.index.wheel("numpy", "2.0", &[("numpy.py", "")], "");
    let second = world.sandbox();
    second.write("w/dpgui.lock", &lock);
    let said = second.dpgui(&["setup", "--locked"]).ok();
    assert!(!said.stderr.contains("resolving"), "{said}");
    assert_eq!(lock_of(&second), lock);
    assert_eq!(manifest_of(&second), manifest_of(&first));
}

#[test]
fn sizes_that_nobody_declares_are_kept_once_known_and_a_lock_without_them_is_as_good() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let node = archives::node("22.12.0");
    let size = format!(", size = {}", node.len());
    let lock = lock_of(&sandbox);
    // That of this machine's archive: the other architecture's was never here.
    let of_node = lock.split("[archives.node]").nth(1).and_then(|it| it.split("\n\n").next()).expect("there");
    assert_eq!(of_node.matches(&size).count(), 1, "{of_node}");

    let older = lock.replace(&size, "");
    sandbox.write("w/dpgui.lock", &older);
    sandbox.dpgui(&["lock", "--check"]).ok();
    for args in [&["setup", "--locked"][..], &["setup", "--frozen"], &["setup"]] {
        assert!(sandbox.dpgui(args).ok().stderr.contains("nothing to do"), "{args:?}");
        assert_eq!(lock_of(&sandbox), older, "{args:?}");
    }
    // What must not change does not, and what is fetched again brings its size.
    fs::remove_dir_all(sandbox.path("w/tools/node")).expect("removed");
    sandbox.dpgui(&["setup", "--locked"]).ok();
    assert_eq!(lock_of(&sandbox), older);
    fs::remove_dir_all(sandbox.path("w/tools/node")).expect("removed");
    sandbox.dpgui(&["setup"]).ok();
    assert_eq!(lock_of(&sandbox), lock);

    fs::remove_dir_all(sandbox.path("w/tools/node")).expect("removed");
    fs::remove_dir_all(sandbox.path("home/.cache/dpgui/downloads")).expect("removed");
    let said = sandbox.dpgui(&["setup", "--offline", "--json"]);
    assert_eq!(said.code, Some(7), "{said}");
    let missing = said.events().into_iter().find(|it| it["event"] == "missing").expect("one");
    assert_eq!((&missing["step"], &missing["size"]), (&"node".into(), &node.len().into()));
}

#[test]
fn a_line_that_a_merge_has_lost_is_missed() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let whole = lock_of(&sandbox);
    let lost: String = whole.split_inclusive('\n').filter(|it| !it.starts_with("toml==")).collect();
    assert_ne!(lost, whole);
    sandbox.write("w/dpgui.lock", &lost);
    for args in [&["lock", "--check"][..], &["setup", "--locked"], &["setup", "--frozen"], &["setup"]] {
        let said = sandbox.dpgui(args);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(said.stderr.contains("lines of these requirements are missing or were changed"), "{said}");
        assert!(said.stderr.contains("back from git, or remove it"), "{said}");
    }
    sandbox.write("w/dpgui.lock", &whole);
    sandbox.dpgui(&["lock", "--check"]).ok();
}

#[test]
fn a_python_of_the_system_is_not_what_is_locked() {
    let world = SmallWorld::start();
    let mut sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    // The machine has one that would do.
    let python = python();
    let folders = [python.parent().expect("a folder"), Path::new("/usr/bin"), Path::new("/bin")];
    sandbox.env("PATH", std::env::join_paths(folders).expect("joined"));
    let place = world.files.url("/no-such-python.tar.gz");
    let settings = world.settings().split_inclusive('\n').skip(1).collect::<String>();
    sandbox.write("w/dpgui.toml", format!("{settings}[sources.python]\nplaces = [\"{place}\"]\n"));
    let said = sandbox.dpgui(&["setup", "--only", "python", "--frozen"]);
    assert_eq!(said.code, Some(3), "{said}");
    assert!(said.stderr.contains("answered 404 Not Found"), "{said}");
    let said = sandbox.dpgui(&["setup", "--only", "python", "--frozen", "--offline"]);
    assert_eq!(said.code, Some(7), "{said}");
    assert!(said.stderr.contains("Missing python"), "{said}");
    let said = sandbox.dpgui(&["setup", "--only", "python"]).ok();
    assert!(said.stderr.contains("taking Python"), "{said}");
}

#[test]
fn a_lock_that_would_change_is_an_error_where_it_must_not_and_brought_up_to_date_elsewhere() {
    let mut world = SmallWorld::start();
    let sandbox = world.sandbox();
    let said = sandbox.dpgui(&["setup", "--locked"]);
    assert_eq!(said.code, Some(9), "{said}");
    let expected = "error: `dpgui.lock` is not up to date: `DIR/w/dpgui.lock` is not there\n\n\
        hint: run `dpgui lock` and keep the changed `dpgui.lock` in git\n";
    assert_eq!(sandbox.neutral(&said.stderr), expected);
    assert!(!sandbox.path("w/.dpgui").exists(), "nothing was touched");

    sandbox.dpgui(&["setup"]).ok();
    let before = lock_of(&sandbox);
    let newer =
        world.upstream.trainer.write("requirements.txt", "deepspeed==0.18.4\nnumpy>=2\n").commit("newer");
    world.index.wheel("numpy", "2.0", &[("numpy.py", "")], "");
    sandbox.write("w/dpgui.toml", world.settings().replace(&world.upstream.commit, &newer));
    let said = sandbox.dpgui(&["setup", "--locked"]);
    assert_eq!(said.code, Some(9), "{said}");
    assert_eq!(lock_of(&sandbox), before);
    assert_eq!(sandbox.dpgui(&["lock", "--check"]).code, Some(9));
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let said = sandbox.dpgui(&["setup", "--locked", "--torch", "cu12"]);
    assert_eq!(said.code, Some(9), "{said}");
    assert_eq!(fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there"), settings, "{said}");

    let said = sandbox.dpgui(&["setup"]).ok();
    assert!(said.stderr.contains("Done venv"), "other packages are another environment: {said}");
    let after = lock_of(&sandbox);
    assert!(after.contains("numpy==2.0 --hash") && after.contains("toml==0.9.0"), "{after}");
    assert!(after.contains(&newer), "{after}");
    sandbox.dpgui(&["setup", "--locked"]).ok();

    let newest = world.upstream.trainer.write("train.py", "print('newest')").commit("newest");
    sandbox.write("w/dpgui.toml", world.settings().replace(&world.upstream.commit, &newest));
    let said = sandbox.dpgui(&["setup"]).ok();
    assert!(!said.stderr.contains("Starting venv"), "the same packages are the same environment: {said}");
}

#[test]
fn a_frozen_lock_is_taken_as_it_is() {
    let mut world = SmallWorld::start();
    let first = world.sandbox();
    first.dpgui(&["setup"]).ok();
    let lock = lock_of(&first);
    let newer =
        world.upstream.trainer.write("requirements.txt", "deepspeed==0.18.4\nnumpy>=2\n").commit("newer");
    world.index.wheel("numpy", "2.0", &[("numpy.py", "")], "");
    let second = world.sandbox();
    second.write("w/dpgui.toml", world.settings().replace(&world.upstream.commit, &newer));
    second.write("w/dpgui.lock", &lock);
    second.dpgui(&["setup", "--frozen"]).ok();
    let head = say(&second.path("w/vendor/diffusion-pipe"), &["rev-parse", "HEAD"]);
    assert_eq!(head, world.upstream.commit, "the lock's commit goes before the declared one");
    assert_eq!(lock_of(&second), lock);
    assert_eq!(manifest_of(&second), manifest_of(&first), "numpy is the locked one");
}

#[test]
fn a_lock_that_is_none_is_said_with_its_place_and_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("w/dpgui.lock", "version = 1\nrules = 5\n");
    let said = sandbox.dpgui(&["setup", "--plan"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("line 2, column 9"), "{said}");
    assert!(said.stderr.contains("hint: get `"), "{said}");
    assert_eq!(lock_of(&sandbox), "version = 1\nrules = 5\n");
}

#[test]
fn every_machine_is_locked_for_and_upgraded_only_when_asked() {
    let mut world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    world.index.wheel("numpy", "2.0", &[("numpy.py", "")], "");
    world.index.wheel("torch", "2.9.1", &[("torch.py", "")], "");
    world.index.wheel("torchvision", "0.24.1", &[("torchvision.py", "")], "");
    world.index.wheel("torchaudio", "2.9.1", &[("torchaudio.py", "")], "");
    sandbox.dpgui(&["lock", "--check"]).ok();
    sandbox.dpgui(&["lock"]).ok();
    let lock = lock_of(&sandbox);
    for key in ["trainer-cu13-x86_64", "trainer-cu13-aarch64", "trainer-cu12-x86_64", "trainer-cpu-aarch64"] {
        assert!(lock.contains(&format!("[python.{key}-cp3")), "{key}: {lock}");
    }
    let here = &lock[lock.find("[python.trainer-cu13-x86_64").expect("there")..];
    assert!(here.contains("numpy==1.0 --hash"), "what is locked stays: {lock}");
    sandbox.dpgui(&["lock", "--check"]).ok();
    sandbox.dpgui(&["lock", "--upgrade"]).ok();
    assert!(!lock_of(&sandbox).contains("numpy==1.0"), "{}", lock_of(&sandbox));
}

#[test]
fn a_lock_that_is_right_is_up_to_date_where_nothing_is_installed_too() {
    let world = SmallWorld::start();
    let first = world.sandbox();
    first.dpgui(&["setup"]).ok();
    let said = first.dpgui(&["lock", "--check"]).ok();
    assert!(said.stderr.contains("Up to date `dpgui.lock`"), "{said}");
    let second = world.sandbox();
    second.write("w/dpgui.lock", lock_of(&first));
    second.dpgui(&["lock", "--check"]).ok();
    assert!(!second.path("w/.dpgui").exists(), "nothing was touched");
    second.write("w/dpgui.lock", lock_of(&first).replace(&world.upstream.commit, &"0".repeat(40)));
    second.write("w/dpgui.toml", world.settings());
    assert_eq!(second.dpgui(&["lock", "--check"]).code, Some(9));
    second.write("w/dpgui.lock", lock_of(&first).replace("0.12.5", "0.12.4"));
    let said = second.dpgui(&["lock", "--check"]);
    let expected = "error: `dpgui.lock` is not up to date: `archives.uv` in it is not what is wanted now\n";
    assert!(said.code == Some(9) && said.stderr.starts_with(expected), "{said}");
}

#[test]
fn a_lock_for_this_machine_alone_is_up_to_date_for_every_look_at_it() {
    let sandbox = Sandbox::new();
    let shipped = include_str!("../../vendor/dpgui.lock");
    let (arch, others) = match std::env::consts::ARCH {
        "aarch64" => ("aarch64", "x86_64"),
        _ => ("x86_64", "aarch64"),
    };
    let mut parts = shipped.split("\n[python.");
    let head = parts.next().expect("a head").to_owned();
    let own = parts.filter(|it| it.starts_with("trainer-") && !it.contains(&format!("-{others}-")));
    let own = own.collect::<Vec<_>>().join("\n[python.");
    assert!(own.contains(arch));
    sandbox.write("w/dpgui.lock", format!("{head}\n[python.{own}"));
    sandbox.dpgui(&["setup", "--locked", "--plan"]).ok();
    let said = sandbox.dpgui(&["lock", "--check"]).ok();
    assert!(said.stderr.contains("Up to date `dpgui.lock`"), "{said}");
}

#[test]
fn a_lock_that_must_not_change_stays_as_it_is_whichever_steps_are_asked_for_and_whatever_the_checkouts_say() {
    let world = SmallWorld::start();
    let first = world.sandbox();
    first.dpgui(&["setup"]).ok();
    let lock = lock_of(&first);
    let second = world.sandbox();
    // As after a merge: a commit that the trainer's own tree does not name, which only the checkout can tell.
    let at = lock.find("HunyuanVideo = \"").expect("locked") + "HunyuanVideo = \"".len();
    let wrong = format!("{}{}{}", &lock[..at], "0".repeat(40), &lock[at + 40..]);
    second.write("w/dpgui.lock", &wrong);
    let said = second.dpgui(&["setup", "--locked"]);
    assert_eq!(said.code, Some(9), "{said}");
    assert_eq!(lock_of(&second), wrong);
    assert!(!second.path("w/venv").exists(), "{said}");
    for part in [&["--only", "uv"][..], &["--skip", "lock"]] {
        let said = second.dpgui(&[&["setup", "--locked"], part].concat());
        assert_eq!(said.code, Some(9), "{part:?}: {said}");
    }
}

#[test]
fn a_frozen_lock_without_this_environment_is_an_error_before_anything_is_done() {
    let world = SmallWorld::start();
    let first = world.sandbox();
    first.dpgui(&["setup"]).ok();
    let lock = lock_of(&first);
    let second = world.sandbox();
    second.write("w/dpgui.lock", &lock[..lock.find("\n[python.").expect("locked")]);
    for plan in [&["setup", "--frozen"][..], &["setup", "--frozen", "--plan"]] {
        let said = second.dpgui(plan);
        assert_eq!(said.code, Some(9), "{said}");
        assert!(said.stderr.contains("error: `dpgui.lock` has no packages for `trainer-"), "{said}");
        assert!(said.stderr.contains("hint: run `dpgui lock`"), "{said}");
        assert!(!second.path("w/.dpgui").exists(), "nothing was touched");
    }
}

#[test]
fn what_dpgui_has_locked_itself_needs_no_network_no_checkout_and_no_python() {
    let mut sandbox = Sandbox::new();
    // Whoever asked somebody would get no answer.
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"] {
        sandbox.env(name, "http://127.0.0.1:9");
    }
    sandbox.env("PATH", "/nowhere");
    let said = sandbox.dpgui(&["lock"]).ok();
    let lock = lock_of(&sandbox);
    for environment in
        ["trainer-cu13-x86_64-cp312", "trainer-cu12-x86_64-cp312", "trainer-cu13-aarch64-cp312"]
    {
        assert!(lock.contains(&format!("[python.{environment}]")), "{environment}: {said}");
    }
    assert!(!sandbox.path("w/vendor").exists() && !sandbox.path("w/tools").exists(), "{said}");
    sandbox.dpgui(&["lock", "--check"]).ok();
    let again = sandbox.dpgui(&["lock"]).ok();
    assert!(again.stderr.contains("nothing to do"), "{again}");
    assert_eq!(lock_of(&sandbox), lock);
}
