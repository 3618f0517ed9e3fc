//! The end of a setup in which one step has failed: the others end with it, at once, and what they fetched stays.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::support::{file_server::Fault, lab::until, sandbox::Sandbox, small_world::SmallWorld};

/// What is broken off here would take ten minutes, or as many seconds as Node's archive has bytes.
const AT_ONCE: Duration = Duration::from_mins(1);

/// A machine on which nothing but the network and the build can go wrong.
fn locked(world: &SmallWorld) -> Sandbox {
    let first = world.sandbox();
    first.dpgui(&["setup"]).ok();
    let sandbox = world.sandbox();
    sandbox.write("w/dpgui.lock", fs::read(first.path("w/dpgui.lock")).expect("written"));
    sandbox
}

fn parts(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = fs::read_dir(sandbox.path("home/.cache/dpgui/downloads")).expect("there").flatten();
    entries.map(|it| it.path()).filter(|it| it.extension().is_some_and(|it| it == "part")).collect()
}

#[test]
fn a_build_is_ended_with_its_compiler_when_another_step_fails() {
    let world = SmallWorld::start();
    let mut sandbox = locked(&world);
    let note = sandbox.path("compiler");
    sandbox.env("TEST_BUILD", &note);
    world.files.always(Fault::GoneAfter(note.clone()));
    let said = sandbox.dpgui(&["setup"]);
    assert_eq!(said.code, Some(3), "{said}");
    assert!(
        said.stderr.contains("Failed node; what is under way is ended")
            && !said.stderr.contains("Failed venv"),
        "{said}"
    );
    let compiler = fs::read_to_string(&note).expect("the build had begun");
    until("the compiler has ended", || (!Path::new("/proc").join(&compiler).exists()).then_some(()));

    sandbox.env("TEST_BUILD", "");
    world.files.always(None);
    sandbox.dpgui(&["setup"]).ok();
}

#[test]
fn a_download_is_broken_off_when_another_step_fails_and_gone_on_with_by_the_next_setup() {
    let world = SmallWorld::start();
    let mut sandbox = locked(&world);
    sandbox.env("TEST_BUILD", "fails");
    world.files.always(Fault::Trickle(1, Duration::from_secs(1)));
    let began = Instant::now();
    let said = sandbox.dpgui(&["setup"]);
    assert!(said.stderr.contains("no compiler") && said.code == Some(1), "{said}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let [part] = &parts(&sandbox)[..] else { panic!("one part, of Node's archive: {:?}", parts(&sandbox)) };
    let have = fs::metadata(part).expect("there").len();
    assert!(have > 0);

    sandbox.env("TEST_BUILD", "");
    world.files.always(None);
    sandbox.dpgui(&["setup"]).ok();
    let asked = world.files.requests();
    assert_eq!(asked.last(), Some(&format!("GET /node.tar.gz from {have}")), "{asked:?}");
}
