//! `dpgui setup --verify` and `--repair` on a whole setup in small, with real damage.

use std::{fs, path::PathBuf};

use crate::support::{
    git_repository::say,
    lab::{kill, until},
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

/// The steps in the events of this name.
fn steps(said: &Said, event: &str) -> Vec<String> {
    let of_it = said.events().into_iter().filter(|it| it["event"] == event);
    of_it.map(|it| it["step"].as_str().expect("a step").to_owned()).collect()
}

/// What `dpgui setup ARGS` does, step by step.
#[track_caller]
fn done(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    steps(&sandbox.dpgui(&[&["setup", "--json"], args].concat()).ok(), "step-done")
}

fn in_site_packages(sandbox: &Sandbox, name: &str) -> PathBuf {
    let lib = sandbox.path("w/venv/lib");
    let python = fs::read_dir(&lib).expect("there").next().expect("one version").expect("an entry").path();
    python.join("site-packages").join(name)
}

#[test]
fn what_is_damaged_is_named_and_made_anew_and_nothing_else() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    let well = sandbox.dpgui(&["setup", "--verify", "--json"]).ok();
    assert_eq!(
        steps(&well, "whole"),
        ["node", "diffusion-pipe", "ComfyUI", "HunyuanVideo", "venv"],
        "{well}"
    );
    assert_eq!(done(&sandbox, &["--repair", "--full"]), Vec::<String>::new());
    let venv = fs::read_to_string(sandbox.path("w/venv/.dpgui-receipt.json")).expect("there");

    let npm = sandbox.path("w/tools/node/bin/npm");
    fs::remove_file(&npm).expect("removed");
    let said = sandbox.dpgui(&["setup", "--verify"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("Damaged node: `bin/npm` is missing\n"), "{said}");
    assert!(said.stderr.contains("1 of 5 parts are not as they should be"), "{said}");
    assert!(!npm.exists(), "it only looks");
    assert_eq!(done(&sandbox, &["--repair"]), ["node"]);
    assert!(npm.exists());
    let after = fs::read_to_string(sandbox.path("w/venv/.dpgui-receipt.json")).expect("there");
    assert_eq!(after, venv, "the environment is the old one");
    assert!(sandbox.dpgui(&["setup"]).ok().stderr.contains("nothing to do"));
}

#[test]
fn an_environment_is_made_anew_for_a_changed_file_that_a_glance_or_only_reading_shows() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    let (numpy, torch) =
        (in_site_packages(&sandbox, "numpy.py"), in_site_packages(&sandbox, "torch/version.py"));
    fs::write(&numpy, "import nonsense").expect("written");
    assert_eq!(done(&sandbox, &["--repair"]), ["venv", "verify"]);
    assert_eq!(fs::read_to_string(&numpy).expect("there"), "");

    // As long as before, so that a glance at the files shows nothing.
    let before = fs::read_to_string(&torch).expect("there");
    fs::write(&torch, before.replace("None", "Nil ")).expect("written");
    // Python believes its cache of a file of the same size and second.
    let _ = fs::remove_dir_all(torch.with_file_name("__pycache__"));
    let said = sandbox.dpgui(&["setup", "--verify", "--full"]);
    assert_eq!(said.code, Some(1), "{said}");
    let named = torch.strip_prefix(sandbox.path("w/venv")).expect("inside").display().to_string();
    assert!(said.stderr.contains(&format!("Damaged venv: `{named}` is changed")), "{said}");
    // That torch cannot be imported is found without `--full` too, and the reason in its files then.
    assert_eq!(done(&sandbox, &["--repair"]), ["venv", "verify"]);
    assert_eq!(fs::read_to_string(&torch).expect("there"), before);
    sandbox.dpgui(&["setup", "--verify", "--full"]).ok();
}

#[test]
fn the_doctor_sets_up_what_is_gone_where_a_setup_was_begun_and_nothing_elsewhere() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["doctor", "--fix"]).ok();
    assert!(!sandbox.path("w/tools").exists(), "nobody set anything up here");

    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    fs::remove_dir_all(sandbox.path("w/tools/node")).expect("removed");
    fs::remove_dir_all(sandbox.path("w/vendor/libs")).expect("removed");
    let said = sandbox.dpgui(&["doctor", "--fix", "--json"]);
    let fixed = said.events().into_iter().find(|it| it["event"] == "fixed").expect("it did something");
    assert_eq!(fixed["id"], "setup", "{said}");
    assert_eq!(fixed["what"], "set up what was missing, 3 steps", "{said}");
    let problems = said.events().into_iter().filter(|it| it["event"] == "check");
    let problems = problems.filter(|it| it["id"] == "setup" && it["verdict"] != "ok");
    assert_eq!(problems.count(), 0, "{said}");
    sandbox.dpgui(&["setup", "--plan", "--detailed-exitcode"]).ok();
}

#[test]
fn what_is_broken_outside_of_its_files_is_said_and_not_made_anew() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    // Upstream's issue 467: what somebody added is no damage of ours, but it shadows a module.
    fs::create_dir_all(in_site_packages(&sandbox, "comfy")).expect("created");
    fs::write(in_site_packages(&sandbox, "comfy/__init__.py"), "").expect("written");
    let said = sandbox.dpgui(&["setup", "--repair"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("its files are as they were installed"), "{said}");
    assert!(said.stderr.contains("would come from"), "{said}");
    assert!(said.stderr.contains("nothing to do"), "{said}");
}

#[test]
fn an_edited_checkout_is_left_alone_until_told_otherwise_and_its_edits_are_kept() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let trainer = sandbox.path("w/vendor/diffusion-pipe");
    fs::write(trainer.join("train.py"), "print('mine')\n").expect("written");
    fs::write(trainer.join("models/base.py"), b"\0binary").expect("written");
    fs::write(trainer.join("untracked.py"), "").expect("written");
    fs::remove_file(sandbox.path("w/vendor/ComfyUI/comfy/model_management.py")).expect("removed");
    let said = sandbox.dpgui(&["setup", "--repair"]);
    assert_eq!(said.code, Some(1), "{said}");
    let edited = "Edited diffusion-pipe: `models/base.py` is changed, `train.py` is changed\n";
    assert!(said.stderr.contains(edited), "{said}");
    // What is only gone is no edit that could be lost.
    assert!(said.stderr.contains("Damaged ComfyUI: `comfy/model_management.py` is missing\n"), "{said}");
    assert!(said.stderr.contains("Done ComfyUI: as committed"), "{said}");
    assert!(sandbox.path("w/vendor/ComfyUI/comfy/model_management.py").exists());
    assert!(said.stderr.contains("`vendor/diffusion-pipe` is left as you edited it"), "{said}");
    assert_eq!(fs::read_to_string(trainer.join("train.py")).expect("there"), "print('mine')\n");

    fs::write(sandbox.path("w/vendor/ComfyUI/comfy/model_management.py"), "mine").expect("written");
    let said = sandbox.dpgui(&["setup", "--repair", "--discard"]).ok();
    assert_eq!(say(&trainer, &["status", "--porcelain"]), "?? untracked.py", "{said}");
    assert_ne!(
        fs::read_to_string(sandbox.path("w/vendor/ComfyUI/comfy/model_management.py")).expect("there"),
        "mine"
    );
    let kept = fs::read_dir(sandbox.path("w/.dpgui/discarded")).expect("kept").flatten();
    let mut kept: Vec<PathBuf> = kept.map(|it| it.path()).collect();
    kept.sort();
    let [comfy, patch] = &kept[..] else { panic!("two patches expected: {kept:?}") };
    for patch in [comfy, patch] {
        assert!(said.stderr.contains(&format!("`{}` has the edits", patch.display())), "{said}");
    }
    // Nothing is lost: the patch makes the edits again.
    say(&trainer, &["apply", &patch.display().to_string()]);
    assert_eq!(fs::read_to_string(trainer.join("train.py")).expect("there"), "print('mine')\n");
    assert_eq!(fs::read(trainer.join("models/base.py")).expect("there"), b"\0binary");
}

#[test]
fn a_repair_that_is_killed_while_it_undoes_edits_loses_none_of_them() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    for (checkpoint, is_undone) in [("edits-kept", false), ("edits-undone", true)] {
        let sandbox = sandbox.copy();
        let script = sandbox.path("w/vendor/diffusion-pipe/train.py");
        fs::write(&script, "print('mine')\n").expect("written");
        let mut repair = sandbox.command(&["setup", "--repair", "--discard"]);
        let killed = repair.env("DPGUI_TEST_KILL_AT", checkpoint).output().expect("it starts");
        assert!(!killed.status.success(), "{checkpoint}");
        let kept = fs::read_dir(sandbox.path("w/.dpgui/discarded")).expect("kept").flatten();
        let kept: Vec<String> = kept.map(|it| fs::read_to_string(it.path()).expect("text")).collect();
        assert!(kept.len() == 1 && kept[0].contains("+print('mine')"), "{checkpoint}: {kept:?}");
        let text = fs::read_to_string(&script).expect("there");
        assert_eq!(text != "print('mine')\n", is_undone, "{checkpoint}");
        sandbox.dpgui(&["setup", "--repair"]);
        sandbox.dpgui(&["setup", "--repair", "--discard"]).ok();
        sandbox.dpgui(&["setup", "--verify"]).ok();
    }
}

#[test]
fn what_is_not_there_at_all_is_missing_and_a_repair_makes_it() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    fs::remove_dir_all(sandbox.path("w/vendor/HunyuanVideo")).expect("removed");
    let said = sandbox.dpgui(&["setup", "--verify"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("Missing HunyuanVideo: commit"), "{said}");
    assert_eq!(done(&sandbox, &["--repair"]), ["HunyuanVideo"]);
    for args in [&["setup", "--full"][..], &["setup", "--discard"], &["setup", "--verify", "--plan"]] {
        assert_eq!(sandbox.dpgui(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn an_environment_whose_python_was_gone_for_a_while_is_kept() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let receipt = || fs::read_to_string(sandbox.path("w/venv/.dpgui-receipt.json")).expect("there");
    let before = receipt();
    fs::remove_file(sandbox.path("w/.dpgui/receipts/python.json")).expect("there");
    let planned = sandbox.dpgui(&["setup", "--plan"]).ok();
    assert!(planned.stderr.contains("it stays as it is if the same one comes back"), "{planned}");
    let requests = world.index.server.requests().len();
    let said = sandbox.dpgui(&["setup"]).ok();
    assert!(said.stderr.contains(", as it was"), "{said}");
    let fetched: Vec<_> = world
        .index
        .server
        .requests()
        .split_off(requests)
        .into_iter()
        .filter(|it| it.contains(".whl "))
        .collect();
    assert_eq!((fetched, receipt()), (vec![], before), "{said}");
}

#[test]
fn a_receipt_that_cannot_be_read_costs_its_part_and_nothing_else() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    sandbox.write("w/tools/node/.dpgui-receipt.json", "{");
    let checks = sandbox.dpgui(&["doctor", "--json"]).events();
    let found: Vec<_> =
        checks.iter().filter(|it| it["id"] == "receipt" && it["verdict"] == "warning").collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (&found[0]["subject"], &found[0]["advice"]),
        (&"node".into(), &"run `dpgui setup`, which makes it anew".into())
    );
    assert_eq!(done(&sandbox, &[]), ["node"]);
}

#[test]
fn whoever_interrupts_a_setup_is_told_that_it_goes_on() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    let mut command = sandbox.command(&["setup"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    until("it has begun", || sandbox.path("w/.dpgui").exists().then_some(()));
    kill(child.id(), "INT");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&ended.status),
        Some(2),
        "as a shell expects it"
    );
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(said.contains("interrupted: the same command goes on where this one was"), "{said}");
    sandbox.dpgui(&["setup"]).ok();
}

#[test]
fn edits_are_undone_in_the_named_checkouts_alone_and_what_is_left_is_said_last() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let files = ["diffusion-pipe/train.py", "ComfyUI/comfy/model_management.py"];
    for file in files {
        fs::write(sandbox.path("w/vendor").join(file), "mine = 1\n").expect("written");
    }
    let is_mine = || {
        files
            .map(|it| fs::read_to_string(sandbox.path("w/vendor").join(it)).ok() == Some("mine = 1\n".into()))
    };
    let unknown = sandbox.dpgui(&["setup", "--repair", "--discard", "comfy"]);
    assert_eq!(unknown.code, Some(2), "{unknown}");
    assert!(
        unknown.stderr.contains("hint: the checkouts are diffusion-pipe, ComfyUI, HunyuanVideo"),
        "{unknown}"
    );

    let plan = sandbox.dpgui(&["setup", "--plan", "--repair", "--discard", "ComfyUI", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(10), "{plan}");
    assert!(plan.stderr.contains("Would do ComfyUI: commit"), "{plan}");
    assert!(plan.stderr.contains("Up to date diffusion-pipe: commit"), "{plan}");
    assert!(plan.stderr.contains("In all 0 B to fetch; "), "{plan}");
    assert_eq!(is_mine(), [true, true]);

    let said = sandbox.dpgui(&["setup", "--repair", "--discard", "ComfyUI"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(is_mine(), [true, false], "{said}");
    let last: Vec<&str> = said.stderr.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            "        Left 1 of 2 damaged parts, see above",
            "warning: `vendor/diffusion-pipe` is left as you edited it; `dpgui setup --repair --discard \
             diffusion-pipe` keeps the edits as a patch and undoes them",
        ]
    );
    sandbox.dpgui(&["setup", "--repair", "--discard", "diffusion-pipe"]).ok();
    assert_eq!(is_mine(), [false, false]);
}

#[test]
fn a_link_of_the_users_in_the_farm_is_left_and_the_advice_is_what_helps() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let link = sandbox.path("w/vendor/libs/comfy");
    fs::remove_file(&link).expect("removed");
    std::os::unix::fs::symlink("../../my-comfy", &link).expect("linked");
    let advice = format!("move `{}` elsewhere, then run `dpgui setup` again", link.display());
    let checks = sandbox.dpgui(&["doctor", "--json"]).events();
    let farm = checks.iter().find(|it| it["id"] == "setup" && it["subject"] == "farm").expect("a check");
    assert_eq!((&farm["verdict"], &farm["advice"]), (&"problem".into(), &advice.as_str().into()));
    let said = sandbox.dpgui(&["setup"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains(&format!("hint: {advice}")), "{said}");
    // What can be mended is, and nobody promises the other.
    fs::remove_file(sandbox.path("w/tools/node/bin/node")).expect("removed");
    let said = sandbox.dpgui(&["setup", "--verify"]);
    assert!(
        said.stderr.contains("2 of 6 parts are not as they should be; `dpgui setup --repair` mends 1"),
        "{said}"
    );
    let said = sandbox.dpgui(&["setup", "--repair"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains(&format!("farm is left: {advice}")), "{said}");
    assert!(sandbox.path("w/tools/node/bin/node").exists());
    fs::rename(&link, sandbox.path("w/mine")).expect("moved");
    // One that is gone is in nobody's way.
    let fixed = sandbox.dpgui(&["doctor", "--fix"]);
    assert!(fixed.stderr.contains("Fixed set up what was missing"), "{fixed}");
    assert_eq!(fs::read_link(&link).expect("a link"), PathBuf::from("../ComfyUI/comfy"));
}

#[test]
fn a_deleted_file_that_the_farm_leads_to_comes_back_with_a_repair_and_every_advice_says_so() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    fs::remove_dir_all(sandbox.path("w/vendor/ComfyUI/comfy")).expect("removed");
    fs::remove_file(sandbox.path("w/tools/node/bin/node")).expect("removed");
    let said = sandbox.dpgui(&["setup"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("hint: `dpgui setup --repair` brings back what was deleted"), "{said}");
    let checks = sandbox.dpgui(&["doctor", "--json"]).events();
    let checkout =
        checks.iter().find(|it| it["id"] == "checkout" && it["subject"] == "ComfyUI").expect("a check");
    let advice = "`dpgui setup --repair` checks out again what is missing";
    assert_eq!((&checkout["verdict"], &checkout["advice"]), (&"problem".into(), &advice.into()));
    sandbox.dpgui(&["setup", "--repair"]).ok();
    sandbox.dpgui(&["setup", "--verify"]).ok();
    assert!(sandbox.dpgui(&["setup"]).ok().stderr.contains("nothing to do"));
}

#[test]
fn an_environment_of_the_users_is_left_and_no_repair_is_promised() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    fs::remove_dir_all(sandbox.path("w/venv")).expect("removed");
    sandbox.write("w/venv/pyvenv.cfg", "home = /usr/bin");
    let advice = format!("move `{}` elsewhere", sandbox.path("w/venv").display());
    let said = sandbox.dpgui(&["setup", "--verify"]);
    assert!(said.stderr.contains(&format!("venv is left: {advice}")), "{said}");
    assert!(!said.stderr.contains("mends them"), "{said}");
    let said = sandbox.dpgui(&["setup", "--repair"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(fs::read_to_string(sandbox.path("w/venv/pyvenv.cfg")).expect("there"), "home = /usr/bin");
}

#[test]
fn a_plan_promises_no_more_than_is_done() {
    let world = SmallWorld::start();
    let mut sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let pending = |sandbox: &Sandbox| -> Vec<String> {
        let plan = sandbox.dpgui(&["setup", "--plan", "--json"]).ok().events();
        let pending = plan.iter().filter(|it| it["event"] == "plan" && it["pending"] == true);
        pending.map(|it| format!("{} {}", it["step"].as_str().expect("a step"), it["certain"])).collect()
    };
    // What is made with uv does not change with it.
    sandbox.env("PATH", "/usr/bin:/bin");
    assert_eq!(pending(&sandbox), ["uv true"]);
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    fs::remove_file(sandbox.path("w/.dpgui/derived/requirements.txt")).expect("there");
    assert_eq!(pending(&sandbox), ["requirements true", "lock false", "venv false", "verify false"]);
    assert_eq!(done(&sandbox, &[]), ["requirements"]);
}

#[test]
fn two_machines_are_compared_part_by_part() {
    let world = SmallWorld::start();
    let (here, there) = (world.sandbox(), world.sandbox());
    for sandbox in [&here, &there] {
        sandbox.dpgui(&["setup"]).ok();
    }
    let said = there.dpgui(&["setup", "--verify", "--json"]).ok();
    let digest = |said: &Said| {
        let events = said.events();
        let done = events.iter().find(|it| it["event"] == "verify-done").expect("the last word");
        done["digest"].as_str().expect("all is whole").to_owned()
    };
    assert_eq!(digest(&here.dpgui(&["setup", "--verify", "--json"]).ok()), digest(&said));
    here.write("w/there.jsonl", &said.stdout);
    let compare = || here.dpgui(&["setup", "--verify", "--against", "there.jsonl"]);
    let equal = compare().ok();
    for part in ["node", "venv", "diffusion-pipe", "ComfyUI", "HunyuanVideo"] {
        assert!(equal.stderr.contains(&format!("       Equal {part}: `")), "{equal}");
    }

    // The same files, and one more that every Python runs as it starts; data of the user's is no part of a setup.
    let packages =
        fs::read_dir(here.path("w/venv/lib")).expect("there").flatten().next().expect("one Python");
    let packages = packages.path().join("site-packages");
    fs::write(packages.join("mine.txt"), "").expect("written");
    compare().ok();
    fs::write(packages.join("mine.pth"), "import os\n").expect("written");
    let other = compare();
    assert_eq!(other.code, Some(1), "{other}");
    assert!(other.stderr.contains("   Different venv: `") && other.stderr.contains("mine.pth"), "{other}");
    fs::remove_file(packages.join("mine.pth")).expect("removed");
    compare().ok();

    // An environment of the same packages that somebody has changed is another one.
    let venv =
        said.events().into_iter().find(|it| it["event"] == "whole" && it["step"] == "venv").expect("whole");
    let venv = venv["digest"].as_str().expect("a digest").to_owned();
    here.write("w/there.jsonl", said.stdout.replace(&venv, &"0".repeat(64)));
    let other = compare();
    assert_eq!(other.code, Some(1), "{other}");
    let expected = format!("   Different venv: `{venv}` here, `{}` there", "0".repeat(64));
    assert!(other.stderr.contains(expected.trim_start()), "{other}");
    here.write("w/there.jsonl", "all is well");
    let none = compare();
    assert_eq!(none.code, Some(2), "{none}");
    assert!(none.stderr.contains("`dpgui setup --verify --json > FILE`"), "{none}");
}

#[test]
fn the_demos_workspace_is_looked_at_for_what_the_demo_needs() {
    let mut sandbox = Sandbox::new();
    sandbox.env("PATH", "/usr/bin:/bin");
    sandbox.write("w/dpgui.toml", "[trainer]\nscript = \"trainer/train.py\"\n");
    let said = sandbox.dpgui(&["setup", "--verify", "--json"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(steps(&said, "damaged"), ["uv", "python", "lock", "venv", "verify"], "{said}");
}
