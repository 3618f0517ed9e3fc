//! `dpgui doctor` on real workspaces with real damage, and on machines that are made to look ill.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use dpgui::platform::{
    digest::Sha256,
    lock::{Lock, Wait},
};
use serde_json::{Value, json};

use crate::{
    archives,
    support::{
        file_server::FileServer,
        git_repository::GitRepository,
        lab::{Lab, until},
        sandbox::{Said, Sandbox},
    },
};

/// The checks of this id: subject, verdict, what was found.
fn checks(said: &Said, id: &str) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_id = |event: &Value| event["event"] == "check" && event["id"] == id;
    let events = said.events().into_iter().filter(of_id);
    events.map(|it| (text(&it["subject"]), text(&it["verdict"]), text(&it["found"]))).collect()
}

/// The only check of this id, as `verdict: found`.
#[track_caller]
fn check(said: &Said, id: &str) -> String {
    match &checks(said, id)[..] {
        [(_, verdict, found)] => format!("{verdict}: {found}"),
        several => panic!("one `{id}` expected: {several:?}\n{said}"),
    }
}

/// Everything below `dir`, by name.
fn tree(dir: &Path) -> Vec<String> {
    let mut names = vec![];
    for entry in fs::read_dir(dir).expect("listed").flatten() {
        names.push(entry.path().display().to_string());
        if entry.file_type().expect("a type").is_dir() {
            names.extend(tree(&entry.path()));
        }
    }
    names.sort();
    names
}

/// A workspace in which a setup for the real trainer was begun, on a machine without a network.
fn begun() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("DPGUI_OFFLINE", "1");
    sandbox.write("w/.dpgui/receipts/purpose.json", receipt("diffusion-pipe", &json!(null)));
    sandbox
}

fn receipt(what: &str, details: &Value) -> String {
    let receipt = json!({
        "schema": 1, "inputs": "0".repeat(64), "what": what, "from": "a test", "dpgui": "0.1.0",
        "finished": "2026-11-01T00:00:00Z", "details": details,
    });
    receipt.to_string()
}

/// An environment whose interpreter answers so.
fn environment(sandbox: &mut Sandbox, answer: &Value) {
    sandbox.program("fake-python", &format!("#!/bin/sh\necho chatter\necho '{answer}'\n"));
    fs::create_dir_all(sandbox.path("w/venv/bin")).expect("created");
    symlink(sandbox.path("bin/fake-python"), sandbox.path("w/venv/bin/python")).expect("linked");
}

fn answer(torch: &Value) -> Value {
    json!({
        "python": "3.12.14", "headers": "/p/Python.h", "has_headers": true, "problems": [], "winners": {}, "packages": {},
        "torch": torch, "torch_error": null, "deepspeed": "0.18.4", "deepspeed_error": null,
    })
}

#[test]
fn a_bare_directory_is_looked_at_and_left_bare() {
    let sandbox = Sandbox::new();
    let said = sandbox.dpgui(&["doctor"]).ok();
    let (head, _) = said.stdout.split_once("Machine").expect("the machine is looked at");
    assert_eq!(
        sandbox.neutral(head),
        "Workspace\n  warning  workspace: nothing is set up in `DIR/w` yet\n           \
         → run `dpgui setup` here, or name your workspace with `-C DIR`\n"
    );
    assert!(said.stdout.ends_with("`--verbose` shows them too\n"), "{said}");
    assert_eq!(tree(&sandbox.root()), Vec::<String>::new());
}

#[test]
fn a_script_gets_an_object_for_each_check_and_one_that_counts_them() {
    let said = Sandbox::new().dpgui(&["doctor", "--json"]).ok();
    let mut events = said.events();
    let done = events.pop().expect("a last one");
    assert_eq!(done["event"], "doctor-done");
    for (verdict, name) in [("ok", "ok"), ("note", "notes"), ("warning", "warnings"), ("problem", "problems")]
    {
        let count = events.iter().filter(|it| it["verdict"] == verdict).count();
        assert_eq!(done[name], count, "{verdict}: {said}");
    }
    for event in &events {
        let names = event.as_object().expect("an object").keys().map(String::as_str);
        let known = ["event", "group", "id", "subject", "verdict", "found", "advice", "fix"];
        assert!(names.into_iter().all(|it| known.contains(&it)), "{event}");
        assert!(["id", "group", "verdict", "found"].iter().all(|name| event[name].is_string()), "{event}");
    }
    let mut known: Vec<&str> = events.iter().filter_map(|it| it["id"].as_str()).collect();
    known.retain(|it| {
        ["glibc", "dev-shm", "open-files", "memory", "disk-space", "proxy", "nvcc"].contains(it)
    });
    assert_eq!(known.len(), 7, "{said}");
}

#[test]
fn every_check_is_documented_and_every_documented_one_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/doctor.md")).expect("there");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let documented: BTreeSet<String> =
        rows.flat_map(|row| row.split(", ")).map(|it| it.trim_matches('`').to_owned()).collect();
    for said in [Sandbox::new().dpgui(&["doctor", "--json"]), begun().dpgui(&["doctor", "--json"])] {
        let ids = said.events().into_iter().filter_map(|it| it["id"].as_str().map(str::to_owned));
        let unknown: Vec<String> = ids.filter(|it| !documented.contains(it)).collect();
        assert_eq!(unknown, Vec::<String>::new());
    }
    let sources: String = ["src/install/doctor", "src/commands"]
        .iter()
        .flat_map(|dir| fs::read_dir(root.join(dir)).expect("listed").flatten())
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .chain([fs::read_to_string(root.join("src/install/doctor.rs")).expect("there")])
        .collect();
    let gone: Vec<&String> = documented.iter().filter(|id| !sources.contains(&format!("\"{id}\""))).collect();
    assert_eq!(gone, Vec::<&String>::new());
}

#[test]
fn what_setup_would_have_to_do_is_a_problem_each() {
    let said = begun().dpgui(&["doctor", "--json"]);
    assert_eq!(said.code, Some(1), "{said}");
    let steps = checks(&said, "setup");
    let step = |name: &str| steps.iter().find(|it| it.0 == name).map(|it| it.1.as_str());
    assert_eq!(
        (step("python"), step("ComfyUI"), step("venv")),
        (Some("problem"), Some("problem"), Some("problem"))
    );
}

#[test]
fn leftovers_are_told_of_and_removed_on_request_only() {
    let sandbox = begun();
    let left =
        ["w/.venv.tmp-77", "w/tools/.node.old-5"].map(|name| sandbox.write(Path::new(name).join("x"), "x"));
    let mine = sandbox.write("w/tools/.node.settings", "mine");
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(
        sandbox.neutral(&check(&said, "leftovers")),
        "warning: setups that were killed left `DIR/w/.venv.tmp-77`, `DIR/w/tools/.node.old-5`"
    );
    assert!(left.iter().all(|it| it.exists()), "it only looks");

    let said = sandbox.dpgui(&["doctor", "--fix", "--json"]);
    let fixed: Vec<String> =
        said.events().iter().filter(|it| it["event"] == "fixed").map(ToString::to_string).collect();
    assert_eq!(fixed.len(), 2, "{said}");
    assert_eq!(check(&said, "leftovers"), "ok: none");
    assert!(!left.iter().any(|it| it.exists()) && mine.exists());
}

#[test]
fn leftovers_are_not_removed_from_under_a_setup() {
    let sandbox = begun();
    let left = sandbox.write("w/.venv.tmp-77/x", "x");
    let lock = Lock::exclusive(&sandbox.path("w/.dpgui/setup.lock"), "dpgui setup", Wait::No).expect("free");
    let said = sandbox.dpgui(&["doctor", "--fix", "--json"]);
    let holder = format!("process {} (dpgui setup)", std::process::id());
    assert_eq!(check(&said, "setup-lock"), format!("note: a setup is under way: {holder}"));
    assert!(check(&said, "leftovers").starts_with("ok: "), "{said}");
    assert!(left.exists());
    drop(lock);
}

#[test]
fn settings_that_make_no_sense_are_a_problem_beside_the_others() {
    let sandbox = Sandbox::new();
    sandbox.write("w/dpgui.toml", "[torch]\nprofil = \"cpu\"\n");
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(said.code, Some(1), "{said}");
    let found = check(&said, "settings");
    assert!(found.starts_with("problem: ") && found.contains("unknown field `profil`"), "{found}");
    assert!(check(&said, "glibc").starts_with("ok: "));
}

#[test]
fn nothing_is_removed_from_the_cache_by_a_limit_that_is_not_the_users() {
    let sandbox = Sandbox::new();
    let files = ["a", "b"].map(|it| Path::new("home/.cache/dpgui/downloads").join(it.repeat(64)));
    let files = files.map(|it| sandbox.write(it, ""));
    for file in &files {
        let file = fs::File::options().write(true).open(file).expect("there");
        file.set_len(20 << 30).expect("a file with a hole");
    }
    let check = |settings: &str, name: &str, text: &str| {
        sandbox.write(Path::new("w").join(name), text);
        sandbox.write("w/dpgui.toml", settings);
        let said = sandbox.dpgui(&["doctor", "--fix", "--json"]);
        assert!(files.iter().all(|it| it.exists()), "{said}");
        let warned = format!("`{name}` cannot be read: nothing is removed or made anew that it decides on");
        assert!(said.to_string().contains(&warned), "{said}");
        let cache = said.events().into_iter().find(|it| it["id"] == "cache").expect("told");
        assert_eq!((cache["verdict"].as_str(), &cache["fix"]), (Some("note"), &Value::Null), "{said}");
        assert_eq!(cache["advice"], format!("mend `{name}` first, which decides on it"));
    };
    check("unknown = 1\n[cache]\nlimit = \"200 GB\"\n", "dpgui.toml", "");
    check("", "dpgui.lock", "version = 1\nrules = 5\n");
}

#[test]
fn an_environment_whose_python_was_removed_is_a_problem() {
    let sandbox = begun();
    fs::create_dir_all(sandbox.path("w/venv/bin")).expect("created");
    symlink("/gone/python3.12", sandbox.path("w/venv/bin/python")).expect("linked");
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(
        sandbox.neutral(&check(&said, "interpreter")),
        "problem: `DIR/w/venv/bin/python`, a link to `/gone/python3.12` leads nowhere"
    );
    let found = said.events().into_iter().find(|it| it["id"] == "interpreter").expect("told");
    let advice = found["advice"].as_str().unwrap_or_default();
    assert!(
        advice.starts_with("move `") && found["fix"].is_null(),
        "no setup made it, nor would replace it: {found}"
    );
    assert!(checks(&said, "torch-import").is_empty(), "there is nobody to ask: {said}");
}

#[test]
fn a_torch_without_code_for_the_gpu_is_a_problem() {
    let mut sandbox = Sandbox::new();
    sandbox.env("DPGUI_GPU_SOURCE", "nvidia-smi");
    sandbox.program(
        "nvidia-smi",
        "#!/bin/sh\necho '0, NVIDIA GeForce RTX 5090, GPU-1, 32607, 560.35.03, 12.0'\n",
    );
    let torch = json!({
        "version": "2.6.0", "cuda": "12.6", "available": true, "archs": ["sm_80", "sm_90"], "nccl": "2.21.5",
        "gpus": [{ "name": "NVIDIA GeForce RTX 5090", "capability": [12, 0] }], "said": null,
    });
    environment(&mut sandbox, &answer(&torch));
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(
        check(&said, "torch-arch"),
        "problem: torch 2.6.0 has no code for NVIDIA GeForce RTX 5090 (compute capability 12.0)"
    );
    assert_eq!(check(&said, "driver-cuda"), "ok: driver 560.35.03 runs CUDA 12.6");
    assert_eq!(check(&said, "torch-gpus"), "ok: torch can use 1: NVIDIA GeForce RTX 5090");
}

#[test]
fn packages_are_held_against_the_lock() {
    let mut sandbox = begun();
    let key = "trainer-cu13-x86_64-cp312";
    let mut answer = answer(&json!(null));
    answer["packages"] = json!({ "torch": "2.13.0+cu130", "numpy": "2.4.0", "mine": "1" });
    environment(&mut sandbox, &answer);
    sandbox
        .write("w/venv/.dpgui-receipt.json", receipt("torch", &json!({ "profile": "cu13", "locked": key })));
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(
        check(&said, "packages"),
        "problem: missing: torchvision, torchaudio",
        "without a lock: {said}"
    );

    let digest = "0".repeat(64);
    let line = |name, version| format!("{name}=={version} --hash=sha256:{digest}  # {name}.whl 1\n");
    let lines = [line("torch", "2.13.0"), line("numpy", "2.5.1")].concat();
    let lock = format!(
        "version = 1\nrules = \"{digest}\"\n[repositories]\n[archives]\n\
         [python.{key}]\nmade-from = \"{digest}\"\nrequirements = \"\"\"\n{lines}\"\"\"\n"
    );
    sandbox.write("w/dpgui.lock", lock);
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(check(&said, "packages"), "warning: in other versions: numpy 2.4.0 instead of 2.5.1");

    sandbox.write("w/dpgui.lock", "version = 1\nrules = 5\n");
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert!(check(&said, "lock").starts_with("problem: `"), "{said}");
    assert!(checks(&said, "setup").is_empty(), "said once: {said}");
}

#[test]
fn an_interpreter_that_fails_is_a_finding_with_its_own_last_word() {
    let mut sandbox = Sandbox::new();
    environment(&mut sandbox, &json!(null));
    sandbox.program("fake-python", "#!/bin/sh\necho 'Fatal Python error: no encodings' >&2\nexit 1\n");
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(said.code, Some(1), "{said}");
    assert_eq!(
        sandbox.neutral(&check(&said, "torch-import")),
        "problem: `DIR/w/venv/bin/python` cannot be asked: Fatal Python error: no encodings"
    );
}

#[test]
fn the_interpreter_is_asked_for_real_which_modules_would_win() {
    let sandbox = Sandbox::new();
    let made = sandbox.path("w/venv");
    let python = Command::new("python3").args(["-m", "venv", "--without-pip"]).arg(&made).status();
    assert!(python.expect("python3 starts").success());
    for name in ["diffusion-pipe/utils/__init__.py", "ComfyUI/comfy/model.py", "libs/comfy/model.py"] {
        sandbox.write(Path::new("w/vendor").join(name), "");
    }
    let winner = |said: &Said, name: &str| {
        let found = checks(said, "module").into_iter().find(|it| it.0 == name).expect("told");
        sandbox.neutral(&format!("{}: {}", found.1, found.2))
    };
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(winner(&said, "comfy"), "ok: from `DIR/w/vendor/libs/comfy`");
    assert_eq!(winner(&said, "utils"), "ok: from `DIR/w/vendor/diffusion-pipe/utils/__init__.py`");
    assert_eq!(
        check(&said, "torch-import"),
        "problem: torch cannot be imported: ModuleNotFoundError: No module named 'torch'"
    );
    assert_eq!(
        check(&said, "deepspeed"),
        "problem: DeepSpeed cannot be used: PackageNotFoundError: No package metadata was found for deepspeed"
    );

    let lib = fs::read_dir(made.join("lib")).expect("listed").flatten().next().expect("a version").path();
    let foreign = lib.join("site-packages/comfy/__init__.py");
    sandbox.write(&foreign, "");
    let said = sandbox.dpgui(&["doctor", "--json"]);
    let place = sandbox.neutral(&foreign.display().to_string());
    assert_eq!(
        winner(&said, "comfy"),
        format!("problem: the module `comfy` would come from `{place}` instead of `DIR/w/vendor/libs`")
    );
}

#[test]
fn edits_in_a_checkout_are_told_of_and_never_undone() {
    let sandbox = Sandbox::new();
    let repository = GitRepository::init(&sandbox.path("w/vendor/ComfyUI"));
    repository.write("comfy/model.py", "one").write("README", "two").commit("Begin");
    let said = sandbox.dpgui(&["doctor", "--json"]);
    assert_eq!(check(&said, "checkout"), "ok: as committed");

    repository.write("comfy/model.py", "mine");
    let said = sandbox.dpgui(&["doctor", "--fix", "--json"]);
    assert_eq!(check(&said, "checkout"), "warning: edited: `comfy/model.py`; dpgui leaves them as they are");
    assert_eq!(fs::read_to_string(repository.path().join("comfy/model.py")).expect("there"), "mine");
}

#[test]
fn a_file_that_was_changed_or_deleted_is_found_fast_or_when_all_are_read() {
    let server = FileServer::start();
    let mut sandbox = Sandbox::new();
    let archive = archives::node("22.12.0");
    let (place, digest) = (server.file("/node.tar.gz", archive.clone()), Sha256::of(&archive));
    sandbox.write(
        "w/dpgui.toml",
        format!(
            "[sources.node]\nversion = \"22.12.0\"\nplaces = [\"{place}\"]\n\
             sha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
        ),
    );
    sandbox.program("npm", "#!/bin/sh\nexit 1\n");
    sandbox.dpgui(&["setup", "--only", "node"]).ok();
    // What else a setup makes is to be got from nowhere.
    sandbox.env("DPGUI_OFFLINE", "1");
    let files = |options: &[&str]| {
        let said = sandbox.dpgui(&[&["doctor", "--json"], options].concat());
        let found = checks(&said, "files").into_iter().find(|it| it.0 == "node");
        found.map(|it| format!("{}: {}", it.1, it.2)).expect("told")
    };
    let fine = files(&[]);
    assert!(fine.starts_with("ok: ") && fine.ends_with(" are there"), "{fine}");
    assert!(files(&["--full"]).ends_with("to the last byte"));

    let node = sandbox.path("w/tools/node/bin/node");
    let text = fs::read_to_string(&node).expect("a script");
    sandbox.write(&node, text.replace("echo", "ECHO"));
    assert_eq!(files(&[]), fine, "as long as it was");
    assert_eq!(files(&["--full"]), "problem: `bin/node` is changed");
    let npm = sandbox.path("w/tools/node/bin/npm");
    fs::rename(&npm, sandbox.path("npm")).expect("moved");
    for fix in [&["doctor", "--fix"][..], &["doctor", "--fix", "--full"]] {
        let said = sandbox.dpgui(fix);
        assert!(fs::read_to_string(&node).expect("there").contains("ECHO"), "an edit stays: {said}");
    }
    fs::rename(sandbox.path("npm"), &npm).expect("moved back");

    fs::remove_file(&node).expect("removed");
    sandbox.write("w/tools/node/mine.txt", "mine");
    assert_eq!(files(&[]), "problem: `bin/node` is missing");
    let said = sandbox.dpgui(&["doctor", "--fix", "--json"]);
    assert!(!node.exists() && sandbox.path("w/tools/node/mine.txt").exists(), "{said}");
    fs::remove_file(sandbox.path("w/tools/node/mine.txt")).expect("removed");
    let lost = sandbox.write(format!("home/.cache/dpgui/downloads/.x.tmp-{}", i32::MAX), "lost");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(2);
    fs::File::open(&lost).and_then(|it| it.set_modified(long_ago)).expect("set");
    let said = sandbox.dpgui(&["doctor", "--fix", "--json"]);
    let fixed: Vec<_> = said.events().into_iter().filter(|it| it["event"] == "fixed").collect();
    assert!(fixed.iter().any(|it| it["what"] == "made `node` anew"), "{said}");
    let removed: Vec<_> = said.events().into_iter().filter(|it| it["event"] == "removed").collect();
    assert!(removed.len() == 1 && removed[0]["path"] == lost.display().to_string(), "{said}");
    assert!(node.exists() && !sandbox.path("w/venv").exists(), "{said}");
    assert!(!lost.exists() && check(&said, "cache").starts_with("ok: "), "{said}");
    assert_eq!(files(&[]), fine);
    fs::remove_file(sandbox.path("w/tools/node/.dpgui-manifest")).expect("removed");
    assert_eq!(files(&[]), "problem: the list of its files is damaged, so they cannot be checked");
}

#[test]
fn a_training_without_a_supervisor_is_told_of_and_gets_one_on_request() {
    let lab = Lab::new(&[("STEPS", "0")]);
    let run = lab.detached(&[]);
    run.wait_for_log("steps: 1 ");
    assert_eq!(
        check(&lab.sandbox.dpgui(&["doctor", "--json"]), "runs"),
        "ok: every run is over or looked after"
    );
    let supervisor = run.supervisor();
    run.kill_supervisor();
    let lost = until("the doctor finds it lost", || {
        let said = lab.sandbox.dpgui(&["doctor", "--json"]);
        checks(&said, "runs").into_iter().find(|it| it.0 == run.id())
    });
    assert_eq!(lost.1, "warning");
    assert!(lost.2.starts_with("it trains on without a supervisor (process "), "{}", lost.2);
    assert_eq!(run.supervisor(), supervisor, "a look adopts nothing");

    let said = lab.sandbox.dpgui(&["doctor", "--fix", "--json"]);
    assert_eq!(check(&said, "runs"), "ok: every run is over or looked after");
    assert_ne!(run.supervisor(), supervisor);
}

#[test]
fn a_container_with_dockers_shared_memory_and_a_workspace_without_programs_is_told_so() {
    let sandbox = Sandbox::new();
    let usual = sandbox.command(&[]);
    let script = "mount -t tmpfs -o size=64m none /dev/shm && mount -t tmpfs -o noexec,size=64m none . && \
         cd \"$PWD\" && ulimit -n 1024 && exec \"$0\" doctor --json";
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_dpgui")]);
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Said::from(
        command.current_dir(sandbox.root()).stdin(Stdio::null()).output().expect("unshare is there"),
    );
    assert_eq!(said.code, Some(1), "{said}");
    assert!(
        check(&said, "dev-shm").starts_with("warning: `/dev/shm` holds 64.0 MiB, Docker's default"),
        "{said}"
    );
    assert!(check(&said, "file-system").starts_with("note: tmpfs at "), "{said}");
    assert!(check(&said, "open-files").starts_with("warning: only 1024 files"), "{said}");
    let noexec = checks(&said, "noexec").into_iter().find(|it| it.0 == "workspace").expect("told");
    assert_eq!(noexec.1, "problem", "{said}");
}

#[test]
fn no_secret_of_the_environment_is_shown() {
    let mut sandbox = Sandbox::new();
    let secret = "http://u:canary@127.0.0.1:9/simple?token=canary";
    for name in
        ["HTTPS_PROXY", "ALL_PROXY", "UV_INDEX", "UV_DEFAULT_INDEX", "PIP_FIND_LINKS", "NPM_CONFIG_REGISTRY"]
    {
        sandbox.env(name, secret);
    }
    sandbox.write("home/.config/pip/pip.conf", format!("[global]\nindex-url = {secret}\n"));
    for form in ["--json", "--verbose"] {
        let said = sandbox.dpgui(&["doctor", form]);
        assert!(said.stdout.contains("127.0.0.1:9/simple?..."), "{said}");
        assert!(!said.to_string().contains("canary"), "{said}");
    }
}

#[test]
fn servers_are_asked_on_request_only() {
    let server = FileServer::start();
    let sandbox = Sandbox::new();
    let (there, gone) = (server.file("/node.tar.gz", "x"), server.url("/uv.tar.gz"));
    let archives = [("node", &there), ("uv", &there), ("python", &gone)];
    let digest = "0".repeat(64);
    let of_archive = |(name, place): (&str, &String)| {
        format!(
            "[sources.{name}]\nplaces = [\"{place}\"]\nsha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
        )
    };
    let nowhere = ["diffusion-pipe", "ComfyUI", "HunyuanVideo"]
        .map(|name| format!("[sources.{name}]\nurl = \"{}\"\n", sandbox.path("nowhere").display()));
    let settings = archives.map(of_archive).join("") + &nowhere.join("");
    sandbox.write("w/dpgui.toml", settings);
    assert!(checks(&sandbox.dpgui(&["doctor", "--json"]).ok(), "mirror").is_empty());
    assert_eq!(server.requests(), Vec::<String>::new());

    let said = sandbox.dpgui(&["doctor", "--online", "--json"]).ok();
    let verdict = |name: &str| {
        checks(&said, "mirror").into_iter().find(|it| it.0 == name).map(|it| format!("{}: {}", it.1, it.2))
    };
    assert_eq!(verdict("node"), Some(format!("ok: `{there}` answers")));
    assert_eq!(verdict("python"), Some(format!("warning: no good answer within 3 s from `{gone}`")));
    assert!(verdict("ComfyUI").is_some_and(|it| it.starts_with("warning: ")), "{said}");
}
