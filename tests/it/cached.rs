//! The download cache as setups of several workspaces use it: what is damaged there, and what belongs to others.

use std::{fs, io::ErrorKind, net::TcpListener, path::PathBuf};

use dpgui::{install::cache::Cache, platform::digest::Sha256};

use crate::support::{package_index::uv_dir, sandbox::Sandbox, small_world::SmallWorld};

const NUMPY: &str = "/files/numpy-1.0-py3-none-any.whl";
const TORCH: &str = "/files/torch-2.13.0-py3-none-any.whl";

fn cached(world: &SmallWorld, sandbox: &Sandbox, file: &str) -> PathBuf {
    sandbox.path("home/.cache/dpgui/downloads").join(world.index.digests[file].to_string())
}

fn without_environment(sandbox: &Sandbox) {
    // A bundle is made without one.
    let _ = fs::remove_dir_all(sandbox.path("w/venv"));
}

#[test]
fn a_package_that_was_damaged_in_the_cache_is_fetched_again() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    let files = [NUMPY, TORCH].map(|file| (cached(&world, &sandbox, file), world.index.digests[file]));
    let damage = || {
        for (path, _) in &files {
            fs::write(path, "damaged").expect("written");
        }
        without_environment(&sandbox);
    };
    damage();
    let said = sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    for (path, digest) in &files {
        assert_eq!(Sha256::of(fs::read(path).expect("there")), *digest, "{said}");
    }
    damage();
    sandbox.dpgui(&["bundle", "create", "../carried.tar"]).ok();
    let bundle = sandbox.path("carried.tar").to_string_lossy().into_owned();
    world.sandbox().dpgui(&["setup", "--bundle", &bundle]).ok();
    damage();
    let said = sandbox.dpgui(&["setup", "--offline"]);
    assert_eq!(said.code, Some(7), "{said}");
}

#[test]
fn a_package_that_vanishes_from_the_cache_just_now_is_fetched_like_the_others() {
    let world = SmallWorld::start();
    let mut sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    let [numpy, torch] = [NUMPY, TORCH].map(|file| cached(&world, &sandbox, file));
    fs::remove_file(&torch).expect("kept");
    // uv is asked for the addresses of what is not there: then it is too late to see that another is gone.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *addresses.txt*) rm -f '{}';; esac\nexec '{}' \"$@\"\n",
        numpy.display(),
        uv_dir().join("uv").display()
    );
    sandbox.program("uv", &script);
    let said = sandbox.dpgui(&["bundle", "create", "../carried.tar"]).ok();
    assert!(numpy.exists() && torch.exists(), "{said}");
}

#[test]
fn nobody_is_asked_for_what_packages_take_that_are_here_already() {
    let mut sandbox = Sandbox::new();
    let lock = include_str!("../../vendor/dpgui.lock");
    let key = format!("\n[python.trainer-cpu-{}-cp312]", std::env::consts::ARCH);
    let of_it = &lock[lock.find(&key).expect("locked") + 1..];
    let of_it = &of_it[..of_it.find("\n[python.").unwrap_or(of_it.len())];
    for digest in of_it.split("sha256:").skip(1).map(|it| &it[..64]) {
        sandbox.write(format!("home/.cache/dpgui/downloads/{digest}"), "");
    }
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port");
    proxy.set_nonblocking(true).expect("set");
    let address = format!("http://{}", proxy.local_addr().expect("bound"));
    sandbox.env("HTTPS_PROXY", &address).env("HTTP_PROXY", &address);
    for look in [&["setup", "--plan", "--torch", "cpu"][..], &["doctor"]] {
        let said = sandbox.dpgui(look).ok();
        let asked = proxy.accept().map(|_| said.to_string());
        assert_eq!(asked.map_err(|cause| cause.kind()), Err(ErrorKind::WouldBlock));
    }
}

#[test]
fn a_setup_removes_the_downloads_that_it_fetched_itself_and_no_others() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup", "--keep-downloads"]).ok();
    let [numpy, torch] = [NUMPY, TORCH].map(|file| cached(&world, &sandbox, file));
    fs::remove_file(&numpy).expect("kept");
    without_environment(&sandbox);
    sandbox.dpgui(&["setup"]).ok();
    assert!(!numpy.exists() && torch.exists());

    // What a killed one fetched is as good as its own.
    without_environment(&sandbox);
    let killed = sandbox.command(&["setup"]).env("DPGUI_TEST_KILL_AT", "environment-synced").output();
    assert!(!killed.expect("it starts").status.success());
    assert!(numpy.exists(), "it came that far");
    let cache = Cache::at(sandbox.path("home/.cache/dpgui"), u64::MAX);
    let used = cache.take(world.index.digests[NUMPY]).expect("readable").expect("there");
    sandbox.dpgui(&["setup"]).ok();
    assert!(numpy.exists() && torch.exists(), "somebody uses it");
    drop(used);
    sandbox.dpgui(&["setup"]).ok();
    assert!(!numpy.exists() && torch.exists());

    // Killed between the environment's name and the end of the tidying up.
    fs::write(&numpy, "as fetched").expect("written");
    sandbox.write("w/.dpgui/derived/fetched.txt", world.index.digests[NUMPY].to_string());
    let said = sandbox.dpgui(&["setup"]).ok();
    assert!(!numpy.exists() && torch.exists(), "{said}");
    assert!(said.stderr.contains("nothing to do"), "{said}");
    assert!(!sandbox.path("w/.dpgui/derived/fetched.txt").exists());
}

#[test]
fn what_was_fetched_for_a_bundle_alone_is_told_of_or_goes_with_it() {
    let world = SmallWorld::start();
    let sandbox = world.sandbox();
    sandbox.dpgui(&["setup"]).ok();
    let [numpy, torch] = [NUMPY, TORCH].map(|file| cached(&world, &sandbox, file));
    assert!(!numpy.exists() && !torch.exists(), "a setup keeps none");
    sandbox.dpgui(&["bundle", "create", "../dropped.tar", "--drop-downloads"]).ok();
    assert!(!numpy.exists() && !torch.exists());
    let said = sandbox.dpgui(&["bundle", "create", "../kept.tar"]).ok();
    let told = "that were fetched for it stay in the cache until `dpgui clean --cache`";
    assert!(said.stderr.contains(told) && numpy.exists() && torch.exists(), "{said}");
    // What was there before is somebody's.
    let said = sandbox.dpgui(&["bundle", "create", "../again.tar", "--drop-downloads"]).ok();
    assert!(!said.stderr.contains(told) && numpy.exists() && torch.exists(), "{said}");
    let size = |name: &str| fs::metadata(sandbox.path(name)).expect("there").len();
    assert_eq!(size("dropped.tar"), size("kept.tar"));
}
