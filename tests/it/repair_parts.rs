//! `dpgui setup --repair` of an environment of which a part is damaged: that part alone is made anew, and the whole is
//! what a new environment would be.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use dpgui::install::manifest::{Known, Manifest};
use serde_json::Value;

use crate::support::{
    sandbox::{Said, Sandbox},
    small_world::SmallWorld,
};

/// A small world, a whole setup in it, and the manifest of its environment.
struct Lab {
    world: SmallWorld,
    sandbox: Sandbox,
    manifest: String,
}

impl Lab {
    fn new() -> Self {
        let world = SmallWorld::start();
        let sandbox = world.sandbox();
        sandbox.dpgui(&["setup"]).ok();
        let manifest = manifest(&sandbox);
        Self { world, sandbox, manifest }
    }

    /// Something among the packages.
    fn package(&self, name: &str) -> PathBuf {
        let lib = self.sandbox.path("w/venv/lib");
        let python =
            fs::read_dir(&lib).expect("there").next().expect("one version").expect("an entry").path();
        python.join("site-packages").join(name)
    }

    /// The files of packages that are fetched while `work` is done.
    fn fetched<T>(&self, work: impl FnOnce() -> T) -> (T, Vec<String>) {
        let server = &self.world.index.server;
        let before = server.requests().len();
        let done = work();
        let requests = server.requests().split_off(before);
        let files = requests.iter().filter_map(|it| it.split("/files/").nth(1)?.split(' ').next());
        let mut files: Vec<String> =
            files.filter(|it| !it.ends_with(".metadata")).map(str::to_owned).collect();
        files.sort();
        (done, files)
    }

    /// Repairs; what was done of the environment, and which files were fetched for it.
    #[track_caller]
    fn repair(&self) -> (String, Vec<String>) {
        let (done, fetched) = self.fetched(|| {
            let said = self.sandbox.dpgui(&["setup", "--repair", "--json"]).ok();
            event(&said, "step-done", "venv")["what"].as_str().expect("a text").to_owned()
        });
        self.is_as_it_was();
        (done, fetched)
    }

    #[track_caller]
    fn is_as_it_was(&self) {
        assert_eq!(manifest(&self.sandbox), self.manifest);
        let venv = self.sandbox.path("w/venv");
        let looked = Manifest::of_tree(&venv, &Known::default()).expect("looked at");
        let stored = fs::read_to_string(venv.join(".dpgui-manifest")).expect("there");
        let missing: Vec<&str> = {
            let found = looked.to_string();
            let found: std::collections::HashSet<String> = found.lines().map(str::to_owned).collect();
            stored.lines().filter(|it| !found.contains(*it)).collect()
        };
        assert_eq!(missing, Vec::<&str>::new(), "every file is as its manifest says");
        self.sandbox.dpgui(&["setup", "--verify", "--full"]).ok();
        assert!(self.sandbox.dpgui(&["setup"]).ok().stderr.contains("nothing to do"));
    }
}

#[track_caller]
fn event(said: &Said, name: &str, step: &str) -> Value {
    let found = said.events().into_iter().find(|it| it["event"] == name && it["step"] == step);
    found.unwrap_or_else(|| panic!("no {name} of {step}: {said}"))
}

/// The digest of the environment's list of files, as its receipt has it.
fn manifest(sandbox: &Sandbox) -> String {
    let receipt = fs::read_to_string(sandbox.path("w/venv/.dpgui-receipt.json")).expect("there");
    let receipt: Value = serde_json::from_str(&receipt).expect("JSON");
    receipt["contents"]["manifest"].as_str().expect("a digest").to_owned()
}

fn inode(path: &Path) -> u64 {
    path.symlink_metadata().expect("there").ino()
}

#[test]
fn a_damaged_file_costs_its_package_and_everything_else_is_taken_over() {
    let lab = Lab::new();
    let (numpy, torch) = (lab.package("numpy.py"), lab.package("torch/version.py"));
    let mine = lab.package("mine/__init__.py");
    fs::create_dir_all(mine.parent().expect("a parent")).expect("created");
    fs::write(&mine, "# of the user").expect("written");
    fs::write(&numpy, "import nonsense").expect("written");
    let damaged = inode(&numpy);
    let kept = [&torch, &mine].map(|it| inode(it));

    let plan = || lab.sandbox.dpgui(&["setup", "--plan", "--repair", "--json"]).ok();
    assert_eq!(event(&plan(), "plan", "venv")["bytes"], Value::Null, "this index tells no sizes");
    let file = "numpy-1.0-py3-none-any.whl";
    let lock = fs::read_to_string(lab.sandbox.path("w/dpgui.lock")).expect("there");
    let size = lab.world.index.size(&format!("/files/{file}"));
    lab.sandbox.write("w/dpgui.lock", lock.replace(file, &format!("{file} {size}")));
    let plan = plan();
    let venv = event(&plan, "plan", "venv");
    assert_eq!((venv["pending"].as_bool(), venv["bytes"].as_u64()), (Some(true), Some(size)), "{plan}");
    assert_eq!(venv["what"], "numpy 1.0 again, and nothing else of it");
    let total = plan.events().into_iter().find(|it| it["event"] == "plan-total").expect("a total");
    assert_eq!(total["bytes"].as_u64(), Some(size), "{plan}");
    assert_eq!(inode(&numpy), damaged, "a plan touches nothing");

    let (done, fetched) = lab.repair();
    assert_eq!(done, "numpy 1.0 installed again, all else as it was");
    assert_eq!(fetched, ["numpy-1.0-py3-none-any.whl"]);
    assert_eq!([&torch, &mine].map(|it| inode(it)), kept, "the same files");
    assert_eq!(fs::read_to_string(&mine).expect("there"), "# of the user");
    assert_eq!(torch.metadata().expect("there").nlink(), 1, "nobody else has them any more");
    assert_eq!(fs::metadata(&numpy).expect("there").nlink(), 1);
}

#[test]
fn what_is_missing_changed_or_replaced_in_several_packages_comes_back() {
    let lab = Lab::new();
    let outside = lab.sandbox.path("outside");
    fs::create_dir(&outside).expect("created");
    fs::write(outside.join("version.py"), "cuda = 'theirs'").expect("written");
    fs::remove_file(lab.package("numpy.py")).expect("removed");
    fs::remove_file(lab.package("toml.py")).expect("removed");
    fs::create_dir_all(lab.package("toml.py/inside")).expect("created");
    fs::set_permissions(lab.package("av.py"), fs::Permissions::from_mode(0o755)).expect("set");
    // A link in the place of a directory must lead nobody out of the environment.
    fs::remove_dir_all(lab.package("torch")).expect("removed");
    symlink(&outside, lab.package("torch")).expect("linked");
    let (done, fetched) = lab.repair();
    let names = ["av-16.0.0", "numpy-1.0", "toml-1.0", "torch-2.13.0"];
    assert_eq!(fetched, names.map(|it| format!("{it}-py3-none-any.whl")), "{done}");
    assert_eq!(fs::read_dir(&outside).expect("there").count(), 1);
    assert_eq!(fs::read_to_string(outside.join("version.py")).expect("there"), "cuda = 'theirs'");
    assert!(!lab.package("torch").is_symlink());
}

#[test]
fn a_package_that_was_built_here_is_built_again_and_comes_out_the_same() {
    let lab = Lab::new();
    fs::write(lab.package("deepspeed/__init__.py"), "").expect("written");
    fs::remove_file(lab.sandbox.path("w/venv/bin/deepspeed")).expect("removed");
    let numpy = inode(&lab.package("numpy.py"));
    let (done, fetched) = lab.repair();
    assert_eq!(done, "deepspeed 0.18.4 installed again, all else as it was");
    let tools = ["pip", "setuptools", "wheel"].map(|it| format!("{it}-1.0-py3-none-any.whl"));
    assert_eq!(fetched, [&["deepspeed-0.18.4.tar.gz".to_owned()][..], &tools].concat());
    assert_eq!(inode(&lab.package("numpy.py")), numpy);
}

#[test]
fn what_belongs_to_no_package_costs_the_whole_environment_and_it_is_said_why() {
    let lab = Lab::new();
    let names = fs::read_dir(lab.package("")).expect("there").flatten();
    let all = names.filter(|it| it.path().extension().is_some_and(|it| it == "dist-info")).count();
    let check = |damaged: &Path, reason: &str| {
        fs::remove_file(damaged).expect("removed");
        let plan = lab.sandbox.dpgui(&["setup", "--plan", "--repair"]).ok();
        assert!(plan.stderr.contains(reason), "{reason}: {plan}");
        let numpy = inode(&lab.package("numpy.py"));
        let (done, fetched) = lab.repair();
        assert_ne!(inode(&lab.package("numpy.py")), numpy, "all of it is new: {done}");
        assert_eq!(fetched.len(), all, "{fetched:?}");
    };
    check(&lab.sandbox.path("w/venv/pyvenv.cfg"), "all of it, because `pyvenv.cfg` belongs to no package");
}

#[test]
fn a_package_without_the_list_of_its_files_is_known_by_what_no_other_lists() {
    let lab = Lab::new();
    let torch = inode(&lab.package("torch/version.py"));
    fs::remove_file(lab.package("numpy-1.0.dist-info/RECORD")).expect("removed");
    let (done, fetched) = lab.repair();
    assert_eq!(done, "numpy 1.0 installed again, all else as it was");
    assert_eq!(fetched, ["numpy-1.0-py3-none-any.whl"]);

    // Two at once, one with a program, one of which nothing is left that says that it is there.
    fs::write(lab.package("deepspeed-0.18.4.dist-info/RECORD"), "torch/version.py,,\n").expect("written");
    fs::remove_dir_all(lab.package("toml-1.0.dist-info")).expect("removed");
    let (done, _) = lab.repair();
    assert_eq!(done, "deepspeed 0.18.4, toml 1.0 installed again, all else as it was");
    assert_eq!(inode(&lab.package("torch/version.py")), torch);
}

#[test]
fn what_pip_did_to_a_package_is_undone_for_that_package_alone() {
    let lab = Lab::new();
    let torch = inode(&lab.package("torch/version.py"));
    fs::remove_dir_all(lab.package("numpy-1.0.dist-info")).expect("removed");
    fs::write(lab.package("numpy.py"), "version = 2").expect("written");
    let info = lab.package("numpy-2.0.dist-info");
    fs::create_dir(&info).expect("created");
    fs::write(info.join("METADATA"), "Metadata-Version: 2.1\nName: numpy\nVersion: 2.0\n").expect("written");
    let record = "numpy.py,,\nnumpy-2.0.dist-info/METADATA,,\nnumpy-2.0.dist-info/RECORD,,\n";
    fs::write(info.join("RECORD"), record).expect("written");
    let (done, fetched) = lab.repair();
    assert_eq!(done, "numpy 1.0 installed again, all else as it was");
    assert_eq!(fetched, ["numpy-1.0-py3-none-any.whl"]);
    assert!(!info.exists(), "what was put in its place is gone");
    assert_eq!(inode(&lab.package("torch/version.py")), torch);
}

#[test]
fn a_package_whose_file_is_not_what_was_installed_makes_the_whole_environment_anew() {
    let lab = Lab::new();
    // A list that gives a file of numpy's to another package: what is installed again does not bring it.
    let record = lab.package("av-16.0.0.dist-info/RECORD");
    let text = fs::read_to_string(&record).expect("there");
    let own = lab.package("numpy-1.0.dist-info/RECORD");
    let of_numpy = fs::read_to_string(&own).expect("there");
    let line = of_numpy.lines().find(|it| it.starts_with("numpy.py")).expect("listed");
    fs::write(&own, of_numpy.replace(line, &"#".repeat(line.len()))).expect("written");
    let filler = text.lines().find(|it| it.contains("METADATA")).expect("listed");
    let swapped = format!("{line}{}", " ".repeat(filler.len().saturating_sub(line.len())));
    fs::write(&record, text.replace(filler, &swapped)).expect("written");
    assert_eq!(fs::read_to_string(&record).expect("there").len(), text.len(), "a glance shows nothing");
    fs::remove_file(lab.package("numpy.py")).expect("removed");
    let said = lab.sandbox.dpgui(&["setup", "--repair"]).ok();
    assert!(said.stderr.contains("does not come out as it was: all of it is made anew"), "{said}");
    lab.is_as_it_was();
}

#[test]
fn a_repair_of_a_part_that_is_killed_leaves_what_the_next_one_mends() {
    let lab = Lab::new();
    for checkpoint in [
        "directory-created",
        "wheel-arrived",
        "batch-installed",
        "filled",
        "listed",
        "receipted",
        "exchanged",
    ] {
        let sandbox = lab.sandbox.copy();
        fs::remove_file(
            sandbox
                .path("w/venv")
                .join(lab.package("numpy.py").strip_prefix(lab.sandbox.path("w/venv")).expect("inside")),
        )
        .expect("removed");
        let mut repair = sandbox.command(&["setup", "--repair"]);
        let killed = repair.env("DPGUI_TEST_KILL_AT", checkpoint).output().expect("it starts");
        assert!(!killed.status.success(), "{checkpoint}");
        sandbox.dpgui(&["setup", "--repair"]).ok();
        assert_eq!(manifest(&sandbox), lab.manifest, "{checkpoint}");
        sandbox.dpgui(&["setup", "--verify", "--full"]).ok();
        let left: Vec<_> = fs::read_dir(sandbox.root())
            .expect("there")
            .flatten()
            .map(|it| it.file_name().to_string_lossy().into_owned())
            .filter(|it| it.contains(".tmp-"))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "{checkpoint}");
    }
}

#[test]
fn a_repair_without_a_network_needs_the_damaged_package_alone() {
    let lab = Lab::new();
    fs::remove_file(lab.package("numpy.py")).expect("removed");
    let said = lab.sandbox.dpgui(&["setup", "--repair", "--offline", "--json"]);
    assert_eq!(said.code, Some(7), "{said}");
    let missing = said.events().into_iter().filter(|it| it["event"] == "missing");
    let missing: Vec<String> = missing.map(|it| it["name"].as_str().expect("a name").to_owned()).collect();
    assert_eq!(missing, ["numpy-1.0-py3-none-any.whl"]);
    let (_, fetched) = lab.repair();
    assert_eq!(fetched, ["numpy-1.0-py3-none-any.whl"]);
}
