//! A package index that wants a name and a password: where the user told them, our own downloads fetch the files; where
//! uv alone can ask for them, uv does, and what it fetches counts too.

use std::{fs, path::PathBuf};

use crate::support::{
    random::Random,
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

/// `user:secret`.
const LOGIN: &str = "Basic dXNlcjpzZWNyZXQ=";

/// A world whose index lets nobody in without a password, and a machine whose user wrote `address` with what is told for
/// the index.
fn private(login: &str) -> (SmallWorld, Sandbox) {
    let world = SmallWorld::start();
    world.index.server.private(LOGIN);
    let mut sandbox = world.sandbox();
    sandbox.env("UV_DEFAULT_INDEX", world.index.url().replace("http://", &format!("http://{login}")));
    (world, sandbox)
}

/// A setup, and how many files came by our own downloads.
fn setup(sandbox: &Sandbox) -> (Said, usize) {
    let list: PathBuf = sandbox.path("checkpoints");
    let done = sandbox.command(&["setup", "--json"]).env("DPGUI_TEST_CHECKPOINTS", &list).output();
    let said = Said::from(done.expect("it starts")).ok();
    let arrived = fs::read_to_string(list).expect("listed");
    (said, arrived.lines().filter(|it| *it == "wheel-arrived").count())
}

/// How many files the lock names.
fn locked(sandbox: &Sandbox) -> usize {
    fs::read_to_string(sandbox.path("w/dpgui.lock")).expect("there").matches("--hash=sha256:").count()
}

/// Everything that was to come has come, by the overall line's last word.
#[track_caller]
fn everything_is_counted(said: &Said, least: u64) {
    let end = said.events().into_iter().rfind(|it| it["event"] == "progress-total").expect("a last word");
    assert_eq!(end["bytes"], end["total"], "{said}");
    assert!(end["total"].as_u64() > Some(least), "{end}");
    assert!(!said.to_string().contains("secret"), "{said}");
}

#[test]
fn a_password_in_the_address_of_an_index_or_in_netrc_is_for_our_downloads_too() {
    let (_world, sandbox) = private("user:secret@");
    let (said, arrived) = setup(&sandbox);
    assert_eq!(arrived, locked(&sandbox), "{said}");
    everything_is_counted(&said, 0);

    let (_world, sandbox) = private("");
    sandbox.write("home/.netrc", "machine 127.0.0.1\n  login user\n  password secret\n");
    let (said, arrived) = setup(&sandbox);
    assert_eq!(arrived, locked(&sandbox), "{said}");
    everything_is_counted(&said, 0);
}

#[test]
fn what_uv_alone_can_fetch_counts_in_the_sum_like_the_rest() {
    let (mut world, mut sandbox) = private("user@");
    // Large enough for uv to tell of it, and for a package without a size in the lock to be missed.
    let (mut number, mut noise) = (Random(7), String::new());
    while noise.len() < 3 << 20 {
        noise.push(char::from(b' ' + u8::try_from(number.below(95)).expect("small")));
    }
    world.index.wheel("numpy", "1.1", &[("numpy.py", ""), ("noise.txt", &noise)], "");
    sandbox.program("keyring", "#!/bin/sh\necho secret\n");
    sandbox.env("UV_KEYRING_PROVIDER", "subprocess");
    let (said, arrived) = setup(&sandbox);
    assert_eq!(arrived, 0, "uv has the password: {said}");
    everything_is_counted(&said, 2 << 20);

    // The same way back for a file that was changed.
    let file = "w/venv/lib/python3.12/site-packages/numpy.py".replace("3.12", &python_of(&sandbox));
    fs::remove_file(sandbox.path(&file)).expect("installed");
    sandbox.dpgui(&["setup", "--repair"]).ok();
    assert!(sandbox.path(&file).exists());
    sandbox.dpgui(&["setup", "--verify", "--full"]).ok();
}

/// `3.12`, of the environment.
fn python_of(sandbox: &Sandbox) -> String {
    let lib = fs::read_dir(sandbox.path("w/venv/lib")).expect("there").flatten().next().expect("one Python");
    lib.file_name().to_string_lossy().trim_start_matches("python").to_owned()
}

#[test]
fn an_index_that_lets_nobody_in_is_a_matter_of_the_network_and_of_the_password() {
    let (_world, sandbox) = private("user:wrong@");
    let said = sandbox.dpgui(&["setup"]);
    assert_eq!(said.code, Some(3), "{said}");
    assert!(
        said.stderr.contains("name and password that it may ask for (`~/.netrc`, `UV_INDEX_*`)"),
        "{said}"
    );
    assert!(!said.to_string().contains("wrong@"), "{said}");
}

#[test]
fn an_index_that_sends_another_package_than_the_locked_one_is_named_with_the_way_on() {
    let world = SmallWorld::start();
    let online = world.sandbox();
    online.dpgui(&["setup"]).ok();
    let other = world.sandbox();
    other.write("w/dpgui.lock", fs::read(online.path("w/dpgui.lock")).expect("written"));
    world.index.server.file("/files/toml-1.0-py3-none-any.whl", "something else");
    let said = other.dpgui(&["setup"]);
    assert_eq!(said.code, Some(4), "{said}");
    let expected =
        "error: the package index does not have the `toml-1.0-py3-none-any.whl` that `dpgui.lock` names\n";
    assert!(said.stderr.contains(expected), "{said}");
    assert!(said.stderr.contains("\nhint: ask another index (`UV_DEFAULT_INDEX`)"), "{said}");
}
