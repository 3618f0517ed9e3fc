//! A whole `dpgui setup`: repositories over HTTP by `git http-backend`, a CPython packed from this machine's own, the
//! pinned uv, and torch and DeepSpeed for real.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use dpgui::platform::digest::Sha256;

use crate::{
    archives,
    support::{
        file_server::FileServer,
        git_repository::{GitRepository, say},
        git_server::GitServer,
        sandbox::{Sandbox, shared_cache},
    },
};

/// The real repositories in small: the modules that the farm links, `utils` that must not be linked, pins, lists.
pub(crate) struct Upstream {
    pub(crate) server: GitServer,
    pub(crate) trainer: GitRepository,
    pub(crate) commit: String,
}

pub(crate) fn upstream(sandbox: &Sandbox) -> Upstream {
    let root = sandbox.path("git");
    let server = GitServer::start(&root);
    let repository = |name: &str| {
        let repository = GitRepository::init(&root.join(name));
        repository.hand_out_any_commit();
        repository
    };
    let comfy = repository("ComfyUI");
    for file in ["comfy/model_management.py", "comfy_api/latest/__init__.py", "comfy_execution/utils.py"] {
        comfy.write(file, "");
    }
    for file in ["protocol.py", "folder_paths.py", "node_helpers.py", "utils/__init__.py"] {
        comfy.write(file, "");
    }
    comfy.write("requirements.txt", "alembic\ntorch\nnumpy>=1.25.0\n");
    let comfy_pin = comfy.commit("pinned");
    comfy.write("later.py", "").commit("after the pin");

    let hunyuan = repository("HunyuanVideo");
    hunyuan.write("hyvideo/__init__.py", "").write("requirements.txt", "numpy==1.24.4\ntoml==0.9.0\n");
    let hunyuan_pin = hunyuan.commit("pinned");

    let trainer = repository("diffusion-pipe");
    trainer.write("train.py", "").write("utils/dataset.py", "").write("models/base.py", "");
    trainer
        .write("requirements.txt", "deepspeed==0.18.4\ntoml\nnumpy\nav\nav>=16.0.0")
        .write(".gitignore", "__pycache__\n");
    trainer.pin_submodule("submodules/ComfyUI", &server.url("ComfyUI"), &comfy_pin);
    trainer.pin_submodule("submodules/HunyuanVideo", &server.url("HunyuanVideo"), &hunyuan_pin);
    let commit = trainer.commit("pinned");
    Upstream { server, trainer, commit }
}

/// A Python 3.12 or newer of this machine.
pub(crate) fn python() -> PathBuf {
    let pyenv = std::env::var_os("PYENV_ROOT").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv"));
    let versions = pyenv.or(home).map(|root| root.join("versions")).unwrap_or_default();
    let installed =
        fs::read_dir(versions).into_iter().flatten().flatten().map(|it| it.path().join("bin/python3"));
    let candidates = ["python3.12", "python3.13", "python3"].map(PathBuf::from).into_iter().chain(installed);
    let check = "import sys; sys.exit(sys.version_info < (3, 12))";
    let fits =
        |it: &PathBuf| Command::new(it).args(["-c", check]).output().is_ok_and(|it| it.status.success());
    candidates.into_iter().find(fits).expect("a Python 3.12 or newer is on this machine")
}

fn settings(upstream: &Upstream, files: &FileServer, sandbox: &Sandbox) -> String {
    let node = archives::node("22.12.0");
    let cpython = fs::read(archives::cpython(&python(), &sandbox.path(""))).expect("packed");
    let source = |name: &str, content: Vec<u8>| {
        let digest = Sha256::of(&content);
        let place = files.file(&format!("/{name}.tar.gz"), content);
        format!(
            "[sources.{name}]\nplaces = [\"{place}\"]\nsha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
        )
    };
    let (node, python) = (source("node", node), source("python", cpython));
    // uv's archive is not there: the package index has the same version.
    let uv = format!("[sources.uv]\nplaces = [\"{}\"]\n", files.url("/uv.tar.gz"));
    let (url, commit) = (upstream.server.url("diffusion-pipe"), &upstream.commit);
    format!(
        "mirror-fallback = true\n[torch]\nprofile = \"cpu\"\n{node}{python}{uv}[sources.diffusion-pipe]\nurl = \"{url}\"\ncommit = \"{commit}\"\n"
    )
}

#[test]
fn a_whole_workspace_is_set_up_verified_and_left_alone() {
    let mut sandbox = Sandbox::beside_the_cache();
    sandbox.env("DPGUI_CACHE_DIR", shared_cache());
    let (upstream, files) = (upstream(&sandbox), FileServer::start());
    sandbox.write("w/dpgui.toml", settings(&upstream, &files, &sandbox));
    let first = sandbox.dpgui(&["setup"]).ok();
    assert!(first.stderr.contains("taking uv 0.12.5 from the Python package index instead"), "{first}");
    assert!(first.stderr.contains("DeepSpeed 0.18.4, modules where they should be"), "{first}");

    checkouts_are_clean_and_at_their_pins(&sandbox, &upstream);
    let libs = sandbox.path("w/vendor/libs");
    assert_eq!(fs::read_link(libs.join("comfy")).expect("a link"), Path::new("../ComfyUI/comfy"));
    assert_eq!(fs::read_link(libs.join("hyvideo")).expect("a link"), Path::new("../HunyuanVideo/hyvideo"));
    assert!(!libs.join("utils").exists(), "ComfyUI's `utils` would shadow the trainer's");
    let derived = fs::read_to_string(sandbox.path("w/.dpgui/derived/requirements.txt")).expect("derived");
    assert!(
        derived.contains("\n# left out: numpy==1.24.4 (1.24.4 has no wheel for Python 3.12"),
        "{derived}"
    );
    assert!(
        derived.contains("\n# left out: toml==0.9.0 (the list of diffusion-pipe names it and wins)"),
        "{derived}"
    );
    assert!(derived.contains("\n# left out: alembic"), "{derived}");

    let before = (upstream.server.requests().len(), files.requests().len());
    let second = sandbox.dpgui(&["setup"]).ok();
    assert!(second.stderr.contains("nothing to do"), "{second}");
    assert_eq!((upstream.server.requests().len(), files.requests().len()), before);

    a_package_that_shadows_the_farm_is_found(&sandbox);
    a_new_commit_of_the_trainer_is_fetched(&sandbox, &upstream);
}

fn checkouts_are_clean_and_at_their_pins(sandbox: &Sandbox, upstream: &Upstream) {
    let pinned = |name: &str| {
        let spec = format!("{}:submodules/{name}", upstream.commit);
        say(upstream.trainer.path(), &["rev-parse", &spec])
    };
    let expected = [
        ("diffusion-pipe", upstream.commit.clone()),
        ("ComfyUI", pinned("ComfyUI")),
        ("HunyuanVideo", pinned("HunyuanVideo")),
    ];
    for (name, commit) in expected {
        let dir = sandbox.path("w/vendor").join(name);
        assert_eq!(say(&dir, &["rev-parse", "HEAD"]), commit, "{name}");
        assert_eq!(say(&dir, &["status", "--porcelain"]), "", "{name}");
        assert_eq!(say(&dir, &["rev-list", "--count", "HEAD"]), "1", "{name} is not shallow");
    }
}

/// Upstream's issue 467: a regular package `comfy` beats the folder without `__init__.py`, wherever it stands.
fn a_package_that_shadows_the_farm_is_found(sandbox: &Sandbox) {
    let lib = sandbox.path("w/venv/lib");
    let python = fs::read_dir(&lib).expect("there").next().expect("one version").expect("an entry").path();
    let shadow = python.join("site-packages/comfy");
    fs::create_dir(&shadow).expect("created");
    fs::write(shadow.join("__init__.py"), "").expect("written");
    fs::remove_file(sandbox.path("w/.dpgui/receipts/verify.json")).expect("removed");
    let said = sandbox.dpgui(&["setup"]);
    assert_eq!(said.code, Some(1), "{said}");
    let named = format!("would come from `{}/__init__.py` instead of", shadow.display());
    assert!(said.stderr.contains(&named), "{said}");
    fs::remove_dir_all(&shadow).expect("removed");
    sandbox.dpgui(&["setup"]).ok();
}

fn a_new_commit_of_the_trainer_is_fetched(sandbox: &Sandbox, upstream: &Upstream) {
    let newer = upstream.trainer.write("train.py", "print('newer')").commit("newer");
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    sandbox.write("w/dpgui.toml", settings.replace(&upstream.commit, &newer));
    let plan = sandbox.dpgui(&["setup", "--plan"]).ok();
    assert!(plan.stderr.contains("Would do diffusion-pipe: commit"), "{plan}");
    let done = sandbox.dpgui(&["setup", "--json"]).ok().events();
    let changed: Vec<&str> =
        done.iter().filter(|it| it["event"] == "step-done").filter_map(|it| it["step"].as_str()).collect();
    // Its lists and links are the same, so nothing is made again; but the lock names the new commit, and where its
    // modules come from is asked anew.
    assert_eq!(changed, ["diffusion-pipe", "lock", "verify"]);

    let edited = sandbox.write("w/vendor/diffusion-pipe/train.py", "print('mine')");
    sandbox.write("w/dpgui.toml", settings);
    let said = sandbox.dpgui(&["setup"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("train.py"), "{said}");
    assert_eq!(fs::read_to_string(edited).expect("still there"), "print('mine')");
}
