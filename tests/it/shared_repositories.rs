//! Repositories that somebody brought into the cache, while one setup checks them out and another command tidies up.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use dpgui::{
    install::cache::{
        Cache,
        sweep::{Sweep, Swept},
    },
    platform::digest::Sha256,
};

use crate::support::{
    git_repository::say,
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

const NAMES: [&str; 3] = ["diffusion-pipe", "ComfyUI", "HunyuanVideo"];
const ONLY: [&str; 3] = ["setup", "--only", "diffusion-pipe,ComfyUI,HunyuanVideo"];

/// A machine with these repositories checked out, and where each was put aside as somebody would bring it.
fn brought(world: &SmallWorld, settings: &str) -> (Sandbox, Vec<PathBuf>) {
    let sandbox = world.sandbox();
    sandbox.write("w/dpgui.toml", settings);
    sandbox.dpgui(&ONLY).ok();
    let bring = |name: &str| {
        let checkout = sandbox.path("w/vendor").join(name);
        let bare = sandbox.path("aside").join(format!("{}.git", say(&checkout, &["rev-parse", "HEAD"])));
        fs::create_dir_all(&bare).expect("created");
        for part in ["HEAD", "objects", "refs", "shallow"] {
            let from = checkout.join(".git").join(part);
            assert!(!from.exists() || copy(&from, &bare).success());
        }
        bare
    };
    let bare = NAMES.map(bring).to_vec();
    (sandbox, bare)
}

fn copy(from: &Path, to: &Path) -> std::process::ExitStatus {
    Command::new("cp").arg("-a").args([from, to]).status().expect("it starts")
}

fn start(sandbox: &Sandbox, args: &[&str]) -> Child {
    sandbox.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

fn end(child: Child) -> Said {
    Said::from(child.wait_with_output().expect("it ended"))
}

#[test]
fn a_repository_that_is_tidied_away_while_setups_use_it_is_never_half_of_one() {
    let world = SmallWorld::start();
    let trainer = &world.upstream.trainer;
    for number in 0..300 {
        trainer.write(&format!("many/{number}.py"), Sha256::of(number.to_string()).to_string());
    }
    let commit = trainer.commit("many files");
    let settings = world.settings().replace(&world.upstream.commit, &commit);
    let (sandbox, aside) = brought(&world, &settings);
    let cache = sandbox.path("home/.cache/dpgui/repositories");
    let (mut left, mut removed) = (0, 0);
    for round in 0..12 {
        let _ = fs::remove_dir_all(sandbox.path("w/vendor"));
        let _ = fs::remove_dir_all(&cache);
        fs::create_dir_all(&cache).expect("created");
        for repository in &aside {
            assert!(copy(repository, &cache).success());
        }
        let setup = start(&sandbox, &ONLY);
        std::thread::sleep(Duration::from_millis(20 * round));
        let clean = end(start(&sandbox, &["clean", "--cache"])).ok();
        let said = end(setup).ok();
        left += clean.stderr.matches("a setup uses it").count();
        removed += clean.stderr.matches("Removed repository").count();
        for name in NAMES {
            let status = say(&sandbox.path("w/vendor").join(name), &["status", "--porcelain"]);
            assert_eq!(status, "", "{name}: {said}");
        }
        for name in fs::read_dir(&cache).expect("listed").flatten().map(|it| it.path()) {
            assert!(
                name.join("HEAD").is_file() && name.join("objects").is_dir(),
                "half of `{}`",
                name.display()
            );
        }
    }
    println!("left {left}, removed {removed}");
    assert!(removed > 0, "nothing was ever tidied away");
}

#[test]
fn a_repository_in_use_outlives_a_trim_and_goes_with_the_next_one() {
    let world = SmallWorld::start();
    let (sandbox, aside) = brought(&world, world.settings());
    let cache = Cache::at(sandbox.path("home/.cache/dpgui"), 0);
    fs::create_dir_all(cache.dir().join("repositories")).expect("created");
    for repository in &aside {
        assert!(copy(repository, &cache.dir().join("repositories")).success());
    }
    let commit = aside[0].file_stem().and_then(|it| it.to_str()).expect("a commit").parse().expect("one");
    let used = cache.hold_repository(commit).expect("there");
    let swept = cache.trim().expect("swept");
    let in_use: Vec<&Path> = swept
        .iter()
        .filter_map(|it| match it {
            Swept::InUse(junk) => Some(junk.path.as_path()),
            Swept::Removed(_) | Swept::WouldRemove(_) => None,
        })
        .collect();
    assert_eq!(in_use, [cache.repository(commit)]);
    assert!(cache.repository(commit).join("HEAD").is_file());
    drop(used);
    cache.sweep(Sweep::OverLimit, false).expect("swept");
    assert!(!cache.repository(commit).exists());
}
