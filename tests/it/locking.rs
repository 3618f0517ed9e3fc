//! Who keeps whom from changing a workspace: setups each other, trainings the setups, and nobody after their death.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::Child,
};

use dpgui::platform::lock::{Lock, Wait};

use crate::{
    archives,
    setup::{NODE, node_sandbox},
    setup_whole,
    support::{
        file_server::{Fault, FileServer},
        lab::{Lab, kill, until},
        sandbox::Sandbox,
    },
};

const SETUP_NODE: [&str; 3] = ["setup", "--only", "node"];

/// The program in the background, what it says kept in a file.
struct Talking {
    process: Child,
    said: PathBuf,
}

impl Talking {
    fn start(sandbox: &Sandbox, name: &str, args: &[&str]) -> Self {
        let said = sandbox.path(name);
        let file = fs::File::create(&said).expect("created");
        let mut command = sandbox.command(args);
        let process = command.stdout(file.try_clone().expect("cloned")).stderr(file).spawn();
        Self { process: process.expect("the program starts"), said }
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.said).expect("text")
    }

    fn wait_for(&self, text: &str) {
        until(&format!("it says `{text}`"), || self.said().contains(text).then_some(()));
    }

    #[track_caller]
    fn ends_well(mut self) -> String {
        let status = until("the program ends", || self.process.try_wait().expect("asked"));
        assert!(status.success(), "{status}\n{}", self.said());
        self.said()
    }
}

/// The test itself in the role of a setup.
fn hold_setup(workspace: &Path) -> (Lock, String) {
    fs::create_dir_all(workspace.join(".dpgui")).expect("created");
    let held = Lock::exclusive(&workspace.join(".dpgui/setup.lock"), "dpgui setup", Wait::No);
    (held.expect("free"), format!("process {} (dpgui setup)", std::process::id()))
}

#[test]
fn of_four_setups_at_once_one_works_and_the_others_end_the_same_way_without_redoing_it() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let (held, holder) = hold_setup(&sandbox.root());
    let setups: Vec<Talking> =
        (0..4).map(|number| Talking::start(&sandbox, &format!("said {number}"), &SETUP_NODE)).collect();
    for setup in &setups {
        setup.wait_for(&format!("Waiting for {holder} to finish"));
    }
    assert_eq!(server.requests().len(), 0, "nothing is asked for before the lock is had");
    drop(held);
    let said: Vec<String> = setups.into_iter().map(Talking::ends_well).collect();
    let count = |text: &str| said.iter().filter(|it| it.contains(text)).count();
    assert_eq!(
        (count("Done node"), count("Finished 1 step"), count("nothing to do")),
        (1, 1, 3),
        "{said:#?}"
    );
    assert_eq!(server.requests(), [format!("GET {NODE} from 0")]);
}

#[test]
fn a_setup_that_is_not_to_wait_says_who_has_the_lock() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let (held, holder) = hold_setup(&sandbox.root());
    let no_wait = [&SETUP_NODE[..], &["--no-wait"]].concat();
    let said = sandbox.dpgui(&no_wait);
    assert_eq!(said.code, Some(5), "{said}");
    assert_eq!(
        sandbox.neutral(&said.stderr),
        format!(
            "error: `DIR/w/.dpgui/setup.lock` is locked by {holder}\n\n\
             hint: wait for it to finish, then run the same command again\n"
        )
    );
    drop(held);
    sandbox.dpgui(&no_wait).ok();
    // Who has nothing to do need not care.
    let _held = hold_setup(&sandbox.root());
    let said = sandbox.dpgui(&no_wait).ok();
    assert!(said.stderr.contains("nothing to do"), "{said}");
}

#[test]
fn a_setup_that_was_killed_holds_nothing() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    server.faults(&[Fault::SilentAfter(1000)]);
    let mut killed = Talking::start(&sandbox, "said", &SETUP_NODE);
    until("it was asked for", || server.requests().first().cloned());
    let no_wait = [&SETUP_NODE[..], &["--no-wait"]].concat();
    let said = sandbox.dpgui(&no_wait);
    assert_eq!(said.code, Some(5), "{said}");
    assert!(said.stderr.contains(&format!("process {} (dpgui setup)", killed.process.id())), "{said}");
    killed.process.kill().and_then(|()| killed.process.wait()).expect("killed");
    sandbox.dpgui(&no_wait).ok();
}

#[test]
fn ctrl_c_ends_a_wait_at_once() {
    let lab = Lab::new(&[]);
    let (_held, holder) = hold_setup(&lab.sandbox.root());
    for args in [&["setup", "--only", "python"][..], &["train", "configs/tiny.toml"]] {
        let mut waiting = Talking::start(&lab.sandbox, "said", args);
        waiting.wait_for(&format!("Waiting for {holder} to finish"));
        kill(waiting.process.id(), "INT");
        let status = until("it has ended", || waiting.process.try_wait().expect("asked"));
        // What a shell shows as 130.
        assert_eq!(status.signal(), Some(2), "{status}\n{}", waiting.said());
    }
}

#[test]
fn a_look_at_all_files_waits_for_the_setup_that_is_at_work_and_lets_trainings_be() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let (held, holder) = hold_setup(&lab.sandbox.root());
    let said = lab.sandbox.dpgui(&["setup", "--verify", "--no-wait"]);
    assert!(said.code == Some(5) && said.stderr.contains(&holder), "{said}");
    let looking = Talking::start(&lab.sandbox, "said", &["setup", "--verify"]);
    looking.wait_for(&format!("Waiting for {holder} to finish"));
    assert!(!looking.said().contains("Looking at every file"), "{}", looking.said());
    drop(held);
    looking.wait_for("Looking at every file");
    lab.detached(&[]).wait_for_log("steps: 1 ");
    let said = lab.sandbox.dpgui(&["setup", "--verify", "--no-wait"]);
    assert!(said.stderr.contains("Verified "), "{said}");
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
}

#[test]
fn a_training_waits_for_the_setup_that_is_at_work() {
    let lab = Lab::new(&[("STEPS", "3")]);
    let (held, holder) = hold_setup(&lab.sandbox.root());
    let training = Talking::start(&lab.sandbox, "said", &["train", "configs/tiny.toml"]);
    training.wait_for(&format!("Waiting for {holder} to finish"));
    assert!(!lab.sandbox.root().join("runs").exists(), "nothing is started before");
    drop(held);
    training.ends_well();
}

#[test]
fn nothing_is_changed_under_a_training_even_when_its_supervisor_was_killed() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let python = setup_whole::python().to_string_lossy().into_owned();
    let setup = ["setup", "--only", "python", "--no-wait", "--python", &python];
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    let refused = |holder: &str| {
        let said = lab.sandbox.dpgui(&setup);
        assert_eq!(said.code, Some(5), "{said}");
        assert!(said.stderr.contains(&format!("is locked by {holder}\n")), "{said}");
    };
    let supervisor = run.supervisor();
    let holder = format!("process {supervisor} (training {})", run.id());
    refused(&holder);

    run.kill_supervisor();
    until("the supervisor is gone", || (!Path::new(&format!("/proc/{supervisor}")).exists()).then_some(()));
    // The launcher has inherited it.
    refused(&holder);

    // Any command finds a new supervisor, which shares the lock too.
    lab.sandbox.dpgui(&["runs"]).ok();
    assert_ne!(run.supervisor(), supervisor);
    refused(&format!("{holder} and process {} (training {})", run.supervisor(), run.id()));

    let waiting = Talking::start(&lab.sandbox, "said", &["setup", "--only", "python", "--python", &python]);
    waiting.wait_for(&format!("(training {}) to finish", run.id()));
    lab.sandbox.dpgui(&["stop", "--now"]).ok();
    waiting.ends_well();
}

#[test]
fn a_choice_is_kept_by_who_holds_the_lock_and_by_nobody_who_gave_up() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let settings = || fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let before = settings();
    let (held, holder) = hold_setup(&sandbox.root());
    let with = |choice: &[&'static str]| [&SETUP_NODE[..], choice].concat();
    let said = sandbox.dpgui(&with(&["--torch", "cpu", "--no-wait"]));
    assert_eq!((said.code, settings()), (Some(5), before.clone()), "{said}");
    let models = ["chroma", "cosmos"];
    let setups = models.map(|it| Talking::start(&sandbox, it, &with(&["--model", it])));
    for setup in &setups {
        setup.wait_for(&format!("Waiting for {holder} to finish"));
    }
    assert_eq!(settings(), before);
    drop(held);
    let said = setups.map(Talking::ends_well);
    assert!(models.iter().all(|it| settings().contains(&format!("\"{it}\""))), "{}: {said:?}", settings());
}
