//! The page where a browser alone can tell, in a world that only these tests can make. `tests/browser.sh` runs them.

use std::{path::Path, process::Command};

use crate::support::{lab::Lab, sandbox::Sandbox, small_world::SmallWorld};

/// `tests/browser/run.mjs` needs Node, a Chromium, a built page and the packages beside it.
fn visit(sandbox: &mut Sandbox, scene: &str) {
    let [page, shots] = ["DPGUI_TEST_PAGE", "DPGUI_TEST_SHOTS"]
        .map(|name| std::env::var_os(name).expect("tests/browser.sh sets it"));
    for name in ["CHROMIUM", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            sandbox.env(name, value);
        }
    }
    let node = std::env::var_os("DPGUI_TEST_NODE").expect("tests/browser.sh sets it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/run.mjs");
    let mut visit = Command::new(node);
    let usual = sandbox.command(&[]);
    visit.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    visit.arg(script).arg(env!("CARGO_BIN_EXE_dpgui")).arg(sandbox.root()).arg(page).arg(shots).arg(scene);
    assert!(visit.status().expect("node starts").success(), "the visit failed");
}

#[test]
#[ignore = "needs a browser and a built page: tests/browser.sh has them"]
fn a_setup_is_started_and_watched_on_the_page() {
    let world = SmallWorld::start();
    let mut sandbox = world.sandbox();
    visit(&mut sandbox, "setup");
    sandbox.dpgui(&["setup", "--plan", "--detailed-exitcode"]).ok();
}

#[test]
#[ignore = "needs a browser and a built page: tests/browser.sh has them"]
fn all_ranks_are_watched_together_on_the_page() {
    let mut lab = Lab::new(&[("STEPS", "0"), ("STEP_TIME", "0.05"), ("ALL", "yes")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 2 ");
    visit(&mut lab.sandbox, "merged");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}
