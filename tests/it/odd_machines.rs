//! Whole setups on machines that are short of something: disks that fill up at any point, clocks that go back, odd masks,
//! file systems and names. Each ends with the documented code and one thing to do, and the next setup after it well.

use std::{fs, path::Path, process::Command};

use crate::support::{
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

/// Runs a script of shell in the workspace, as the root of a mount namespace of its own; `dpgui` is `$0`.
fn in_namespace(sandbox: &Sandbox, script: &str) -> Said {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_dpgui")]);
    let usual = sandbox.command(&[]);
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Said::from(command.current_dir(sandbox.root()).output().expect("unshare is installed"))
}

/// A small file system in the workspace's place, with what was there, and `full CODE FILE`, which says how a command
/// failed. `tmpfs` counts names by `nr_inodes`, and says `ENOSPC` for one too many as for a byte too many.
const FILE_SYSTEM: &str = r#"set -e
small() {
    mkdir ../before && cp -a . ../before
    mount -t tmpfs -o "$1" none . && cd "$PWD" && cp -a ../before/. . && rm -r ../before
}
full() {
    code=0; "$@" 2>../said || code=$?
    [ $code = 0 ] && return 1
    [ $code = 6 ] && grep -q '^hint: .*space' ../said && ! grep -q 'panicked' ../said && return
    echo "at $at: $* ended with $code" >&2; cat ../said >&2; exit 99
}
well() { "$@" 2>../said || { code=$?; echo "at $at: $* ended with $code" >&2; cat ../said >&2; exit 98; }; }
"#;

#[test]
fn a_disk_that_is_full_at_any_point_of_a_setup_is_named_and_the_next_one_goes_on() {
    let world = SmallWorld::start();
    let check = |script: &str| {
        let said = in_namespace(&world.sandbox(), &format!("{FILE_SYSTEM}{script}")).ok();
        let times = said.stdout.lines().last().and_then(|it| it.parse::<u32>().ok()).expect("a number");
        assert!(times >= 8, "it was full {times} times only: {said}");
    };
    // Names: of directories, git's objects, receipts, the lock, what uv installs. Each time there is room for some more,
    // and what was made before is used. A disk of that many bytes is refused before anything is done.
    check(
        r#"small size=4g,nr_inodes=12; at=12; times=0
        while full "$0" setup; do
            times=$((times + 1)); at=$((at + 19 + at / 8)); mount -o remount,nr_inodes=$at .
        done
        well "$0" setup --verify --full; well "$0" setup --plan --detailed-exitcode
        ls -A | grep '\.tmp-' && exit 97; echo $times"#,
    );
    // Bytes, where the environment is left out.
    check(
        r#"small size=8k; at=8; times=0
        while full "$0" setup --skip venv,verify; do
            times=$((times + 1)); at=$((at + 28)); mount -o remount,size=${at}k .
        done
        mount -o remount,size=4g .
        well "$0" setup; well "$0" setup --verify --full; echo $times"#,
    );
}

#[test]
fn a_checkout_without_room_says_what_is_left() {
    let world = SmallWorld::start();
    let mut noise = String::new();
    while noise.len() < 600_000 {
        noise += &dpgui::platform::digest::Sha256::of(&noise).to_string();
    }
    let commit = world.upstream.trainer.write("noise.txt", &noise).commit("large");
    let check = |options: &str, expected: &str, hint: &str| {
        let sandbox = world.sandbox();
        sandbox.write("w/dpgui.toml", world.settings().replace(&world.upstream.commit, &commit));
        let script = format!(
            "{FILE_SYSTEM}small {options}; code=0; \"$0\" setup --only diffusion-pipe || code=$?; \
             ls -A vendor >&2; exit $code"
        );
        let said = in_namespace(&sandbox, &script);
        assert_eq!(said.code, Some(6), "{said}");
        let full = "error: the checkout of `diffusion-pipe` has no room on the file system of `";
        assert!(said.stderr.contains(full) && said.stderr.contains(expected), "{said}");
        let hint = format!("hint: {hint}, or choose another workspace with `-C DIR`\n");
        assert!(said.stderr.ends_with(&hint), "{said}");
    };
    check("size=400k", " KiB are left there", "free some space");
    let files = "remove files there (`df -i` counts them)";
    check("size=40m,nr_inodes=40", " more files are left there", files);
}

#[test]
fn a_disk_that_is_full_under_an_update_leaves_what_is_installed_as_it_was() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    let pin = format!("commit = \"{}\"\n", world.upstream.commit);
    sandbox.dpgui(&["setup"]).ok();
    sandbox.write("w/dpgui.toml", world.settings().replace(&pin, ""));
    let lists = "deepspeed==0.18.4\ntoml\nnumpy\n";
    let newer = world.upstream.trainer.write("requirements.txt", lists).commit("newer");
    let script = format!(
        r#"{FILE_SYSTEM}small size=4g; times=0
        room() {{ mount -o remount,nr_inodes=$(($(df --output=iused . | tail -1) + $1)) .; }}
        before=$(sha256sum < venv/.dpgui-manifest; sha256sum < dpgui.lock)
        at=9; room $at
        while full "$0" update; do
            room 900
            well "$0" setup --plan --detailed-exitcode; well "$0" setup --verify
            [ "$before" = "$(sha256sum < venv/.dpgui-manifest; sha256sum < dpgui.lock)" ]
            # From the start: a draft goes on where it was.
            rm -rf .dpgui/next
            times=$((times + 1)); at=$((at + 17 + at / 4)); room $at
        done
        room 9000
        well "$0" setup --verify --full; grep -q {newer} dpgui.lock; echo $times"#
    );
    let said = in_namespace(&sandbox, &script).ok();
    let times = said.stdout.lines().last().and_then(|it| it.parse::<u32>().ok()).expect("a number");
    assert!(times >= 4, "it was full {times} times only: {said}");
}

/// A whole setup after `prepare`, in the directory `place`, ends with the environment that any other machine has.
#[track_caller]
fn check_odd(world: &SmallWorld, expected: &str, place: &str, prepare: &str) {
    let mut sandbox = world.sandbox();
    sandbox.write(Path::new(place).join("dpgui.toml"), world.settings());
    sandbox.env("DPGUI_CACHE_DIR", sandbox.path("a cäche"));
    fs::create_dir(sandbox.path("a cäche")).expect("created");
    let script = format!(
        "set -e\n{prepare}\n\"$0\" -C '../{place}' setup >&2\n\"$0\" -C '../{place}' setup --verify --full >&2\n\
         \"$0\" -C '../{place}' setup --plan --detailed-exitcode >&2\n'../{place}/venv/bin/deepspeed' >&2\n\
         grep -o '\"portable\": *\"[0-9a-f]*\"' '../{place}/venv/.dpgui-receipt.json'\n"
    );
    let said = in_namespace(&sandbox, &script);
    assert_eq!(said.code, Some(0), "{place}, {prepare}: {said}");
    assert_eq!(said.stdout.trim(), expected, "{place}, {prepare}");
}

#[test]
fn odd_names_masks_and_file_systems_make_no_other_environment() {
    let world = SmallWorld::start();
    let usual = world.sandbox();
    usual.dpgui(&["setup"]).ok();
    let receipt = fs::read_to_string(usual.path("w/venv/.dpgui-receipt.json")).expect("written");
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    let expected = format!("\"portable\": {}", receipt["contents"]["portable"]);
    check_odd(&world, &expected, "ein Wörkspace, 工作区 & mehr", "");
    check_odd(&world, &expected, "w", "umask 077");
    check_odd(
        &world,
        &expected,
        "w",
        "mkdir ../t; mount -t tmpfs -o noexec none ../t; export TMPDIR=$PWD/../t",
    );
    check_odd(&world, &expected, "w", "mount -t tmpfs none '../a cäche'");
}

#[test]
fn a_clock_that_was_set_back_changes_nothing_and_keeps_nothing_from_being_done() {
    let world = SmallWorld::start();
    let mut sandbox = world.sandbox();
    // A program like any other: the real clock is the machine's, so dpgui and its children are shown another one.
    let faketime = |sandbox: &Sandbox, time: &str, args: &[&str]| {
        let mut command = Command::new("faketime");
        let usual = sandbox.command(args);
        command.args(["-f", time]).arg(env!("CARGO_BIN_EXE_dpgui")).args(args);
        command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Said::from(command.current_dir(sandbox.root()).output().expect("faketime is installed"))
    };
    sandbox.env("NO_FAKE_STAT", "1");
    // The first setup dies in a far future, the next one is today, the one after that long ago.
    let mut killed = Sandbox::copy(&sandbox);
    killed.env("DPGUI_TEST_KILL_AT", "filled");
    assert_ne!(faketime(&killed, "+700d", &["setup"]).code, Some(0));
    killed.env("DPGUI_TEST_KILL_AT", "nowhere");
    faketime(&killed, "+0d", &["setup"]).ok();
    let said = faketime(&killed, "-3000d", &["setup"]).ok();
    assert!(said.stderr.contains("nothing to do"), "{said}");

    let lists = "deepspeed==0.18.4\ntoml\nnumpy\n";
    let newer = world.upstream.trainer.write("requirements.txt", lists).commit("newer");
    killed.write("w/dpgui.toml", world.settings().replace(&world.upstream.commit, &newer));
    let said = faketime(&killed, "-3000d", &["setup"]).ok();
    assert!(said.stderr.contains("Done venv"), "other packages are another environment: {said}");
    faketime(&killed, "-3000d", &["setup", "--verify", "--full"]).ok();
    // What is of today is no month old for who lives long ago, and today sees nothing to do.
    faketime(&killed, "-3000d", &["clean"]).ok();
    let said = killed.dpgui(&["setup"]).ok();
    assert!(said.stderr.contains("nothing to do"), "{said}");
}
