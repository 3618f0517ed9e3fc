//! Checkouts that git cannot read any more: what is said of them, and that nothing in them is lost.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::support::{
    git_repository::say,
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

/// Does something to the `.git` of a checkout.
type Harm = fn(&Path);

fn empty_objects(git: &Path) {
    fs::remove_dir_all(git.join("objects"))
        .and_then(|()| fs::create_dir(git.join("objects")))
        .expect("emptied");
}

fn lose_objects(git: &Path) {
    fs::remove_dir_all(git.join("objects")).expect("removed");
}

fn spoil_head(git: &Path) {
    fs::write(git.join("HEAD"), "\0\0\0").expect("written");
}

/// What a glance does not see.
fn spoil_index(git: &Path) {
    fs::write(git.join("index"), "DIRC and no more").expect("written");
}

/// The parts that are not as they should be, and what mends them.
fn damaged(said: &Said) -> Vec<String> {
    let of_it = said.events().into_iter().filter(|it| it["event"] == "damaged");
    of_it.map(|it| format!("{} {}", it["step"], it["cure"]).replace('"', "")).collect()
}

/// What was moved out of the way, by its path.
fn set_aside(sandbox: &Sandbox) -> Vec<PathBuf> {
    let kept = fs::read_dir(sandbox.path("w/.dpgui/discarded")).into_iter().flatten().flatten();
    kept.map(|it| it.path()).collect()
}

fn hint(name: &str) -> String {
    format!(
        "`dpgui setup --repair --discard {name}` moves the folder as it is to `.dpgui/discarded` and clones it anew"
    )
}

#[test]
fn a_repository_that_cannot_be_read_is_told_alone_and_cloned_anew_when_that_is_wanted() {
    let world = SmallWorld::start();
    let whole = world.sandbox();
    whole.dpgui(&["setup"]).ok();
    let harms: [(&str, Harm, bool); 6] = [
        ("diffusion-pipe", empty_objects, true),
        ("diffusion-pipe", spoil_head, true),
        ("diffusion-pipe", spoil_index, false),
        ("ComfyUI", empty_objects, true),
        ("ComfyUI", lose_objects, true),
        ("HunyuanVideo", spoil_head, true),
    ];
    for (name, harm, a_glance_shows_it) in harms {
        let sandbox = whole.copy();
        let place = sandbox.path("w/vendor").join(name);
        fs::write(place.join("mine.py"), "mine").expect("written");
        harm(&place.join(".git"));

        let said = sandbox.dpgui(&["setup", "--verify", "--json"]);
        assert_eq!(said.code, Some(1), "{name}: {said}");
        assert_eq!(damaged(&said), [format!("{name} set-aside")], "{said}");
        let checks = sandbox.dpgui(&["doctor", "--json"]).events();
        let found = |id: &str| {
            let check = checks.iter().find(|it| it["id"] == id && it["subject"] == name).expect("a check");
            (check["verdict"].clone(), check["advice"].clone())
        };
        assert_eq!(found("checkout"), ("problem".into(), hint(name).into()));
        // Which commit was verified, nobody can tell either.
        let is_told = |it: &&serde_json::Value| {
            let is_of_it = it["subject"] == name || it["subject"] == "verify";
            ["setup", "checkout"].map(Into::into).contains(&it["id"]) && it["verdict"] != "ok" && !is_of_it
        };
        assert_eq!(checks.iter().filter(is_told).collect::<Vec<_>>(), Vec::<&serde_json::Value>::new());

        let said = sandbox.dpgui(&["setup"]);
        if a_glance_shows_it {
            assert_eq!(said.code, Some(6), "{said}");
            assert!(
                said.stderr.contains(&format!("error: the repository of `vendor/{name}` is damaged")),
                "{said}"
            );
            assert!(said.stderr.contains(&format!("hint: {}", hint(name))), "{said}");
            assert_eq!(found("setup"), ("problem".into(), hint(name).into()));
        } else {
            assert!(said.ok().stderr.contains("nothing to do"));
        }

        // What else is damaged is mended, and this is left as it is.
        fs::remove_file(sandbox.path("w/tools/node/bin/npm")).expect("removed");
        let said = sandbox.dpgui(&["setup", "--repair"]);
        assert_eq!(said.code, Some(1), "{said}");
        assert!(
            said.stderr.contains(&format!("warning: `vendor/{name}` is left as it is; {}", hint(name))),
            "{said}"
        );
        assert!(sandbox.path("w/tools/node/bin/npm").exists(), "{said}");
        assert_eq!(
            (fs::read_to_string(place.join("mine.py")).ok(), set_aside(&sandbox)),
            (Some("mine".into()), vec![])
        );

        it_is_cloned_anew(&sandbox, name);
    }
}

fn it_is_cloned_anew(sandbox: &Sandbox, name: &str) {
    let place = sandbox.path("w/vendor").join(name);
    let said = sandbox.dpgui(&["setup", "--repair", "--discard", name]).ok();
    assert_eq!(say(&place, &["status", "--porcelain"]), "", "{said}");
    let kept = set_aside(sandbox);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(fs::read_to_string(kept[0].join("mine.py")).expect("kept"), "mine");
    assert!(said.stderr.contains(&format!("`{}` is what was there", kept[0].display())), "{said}");
    sandbox.dpgui(&["setup", "--verify"]).ok();
    assert!(sandbox.dpgui(&["setup"]).ok().stderr.contains("nothing to do"));
}

#[test]
fn a_checkout_that_was_moved_out_of_the_way_comes_back_where_it_cannot_be_cloned() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let place = sandbox.path("w/vendor/diffusion-pipe");
    fs::write(place.join("mine.py"), "mine").expect("written");
    empty_objects(&place.join(".git"));
    let repair = ["setup", "--repair", "--discard", "diffusion-pipe"];
    let said = sandbox.dpgui(&["bundle", "create", "../carried.tar"]);
    assert_eq!(said.code, Some(6), "{said}");
    assert!(said.stderr.contains(&hint("diffusion-pipe")), "nobody could use it: {said}");

    let said = sandbox.dpgui(&[&repair[..], &["--offline"]].concat());
    assert_eq!(said.code, Some(7), "{said}");
    let (upstream, away) =
        (world.upstream.trainer.path(), world.upstream.trainer.path().with_extension("away"));
    fs::rename(upstream, &away).expect("moved");
    let said = sandbox.dpgui(&repair);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(place.join("mine.py").exists() && set_aside(&sandbox).is_empty(), "{said}");
    fs::rename(&away, upstream).expect("moved");

    // Killed when it is out of the way, it is only missing.
    let mut command = sandbox.command(&repair);
    let killed = command.env("DPGUI_TEST_KILL_AT", "set-aside").output().expect("it starts");
    assert!(!killed.status.success() && !place.exists());
    sandbox.dpgui(&["setup"]).ok();
    sandbox.dpgui(&["setup", "--verify"]).ok();
    let kept = set_aside(&sandbox);
    assert!(kept.len() == 1 && kept[0].join("mine.py").exists(), "{kept:?}");
}

#[test]
fn what_was_changed_in_the_list_of_submodules_is_an_edit_like_any_other() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let list = sandbox.path("w/vendor/diffusion-pipe/.gitmodules");
    fs::write(&list, "").expect("written");
    assert!(sandbox.dpgui(&["setup"]).ok().stderr.contains("nothing to do"));
    let said = sandbox.dpgui(&["setup", "--verify", "--json"]);
    assert_eq!(damaged(&said), ["diffusion-pipe discard"], "{said}");
    fs::remove_file(&list).expect("removed");
    sandbox.dpgui(&["setup", "--repair"]).ok();
    assert!(list.exists());
}
