//! `dpgui setup` against real HTTP servers, real archives and, further down, real git repositories.

use std::{fs, path::PathBuf};

use dpgui::platform::digest::Sha256;

use crate::{
    archives,
    support::{
        file_server::{Fault, FileServer},
        git_repository::GitRepository,
        git_server::{self, GitServer},
        lab::until,
        sandbox::{Said, Sandbox},
    },
};

pub(crate) const NODE: &str = "/node.tar.gz";

/// A workspace whose Node comes from `server`, on a machine without Node.
pub(crate) fn node_sandbox(server: &FileServer, archive: &[u8]) -> Sandbox {
    let sandbox = Sandbox::new();
    let digest = Sha256::of(archive);
    let place = server.file(NODE, archive);
    sandbox.write(
        "w/dpgui.toml",
        format!(
            "[sources.node]\nversion = \"22.12.0\"\nplaces = [\"{place}\"]\n\
             sha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
        ),
    );
    without_programs(sandbox)
}

/// Coreutils, and no node, uv or python.
pub(crate) fn without_programs(mut sandbox: Sandbox) -> Sandbox {
    let bin = sandbox.path("coreutils");
    fs::create_dir(&bin).expect("created");
    for name in ["sh", "echo"] {
        std::os::unix::fs::symlink(PathBuf::from("/bin").join(name), bin.join(name)).expect("linked");
    }
    sandbox.env("PATH", bin);
    sandbox
}

fn setup_node(sandbox: &Sandbox) -> Said {
    sandbox.dpgui(&["setup", "--only", "node"])
}

#[test]
fn node_is_installed_once_and_a_second_setup_does_nothing() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let plan = sandbox.dpgui(&["setup", "--only", "node", "--plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, Some(10), "{plan}");
    assert!(plan.stderr.contains("Would do node: Node 22.12.0 (not installed)"), "{plan}");
    assert!(
        !sandbox.path("w/.dpgui").exists() && !sandbox.path("w/tools").exists(),
        "a plan touches nothing"
    );

    let first = setup_node(&sandbox).ok();
    assert!(first.stderr.contains("Finished 1 step in"), "{first}");
    assert!(!first.stderr.contains("Next:"), "a part of a setup is no workspace to train in: {first}");
    assert!(sandbox.path("w/tools/node/bin/npm").exists());
    assert_eq!(server.requests(), [format!("GET {NODE} from 0")]);

    let second = setup_node(&sandbox).ok();
    assert!(second.stderr.contains("nothing to do"), "{second}");
    assert_eq!(server.requests().len(), 1);
    let events = sandbox.dpgui(&["setup", "--only", "node", "--json"]).ok().events();
    assert_eq!((&events[0]["event"], &events[0]["changed"]), (&"setup-done".into(), &0.into()));
}

#[test]
fn a_system_node_that_is_new_enough_is_taken() {
    let server = FileServer::start();
    let mut sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    sandbox.program("npm", "#!/bin/sh\n").program("node", "#!/bin/sh\necho v22.9.1\n");
    let plan = |sandbox: &Sandbox| sandbox.dpgui(&["setup", "--only", "node", "--plan"]).ok().stderr;
    assert!(plan(&sandbox).contains("Would do"), "22.9.1 is older than 22.12.0");
    sandbox.program("node", "#!/bin/sh\necho v24.1.0\n");
    assert!(plan(&sandbox).contains("Up to date node: Node 24.1.0 of the system"));
    sandbox.program("npm", "#!/bin/sh\nexit 1\n");
    assert!(plan(&sandbox).contains("Would do"), "an npm that does not work is none");
}

#[test]
fn the_programs_that_setup_runs_see_the_users_npm_registry() {
    let server = FileServer::start();
    let mut sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let node = "#!/bin/sh\n[ \"$NPM_CONFIG_REGISTRY\" = http://npm.example ] && echo v24.1.0\n";
    sandbox.program("npm", "#!/bin/sh\n").program("node", node);
    let plan = |sandbox: &Sandbox| sandbox.dpgui(&["setup", "--only", "node", "--plan"]).ok().stderr;
    assert!(plan(&sandbox).contains("Would do node"));
    sandbox.env("NPM_CONFIG_REGISTRY", "http://npm.example");
    assert!(plan(&sandbox).contains("Up to date node: Node 24.1.0 of the system"));
}

#[test]
fn a_plan_says_what_each_repository_is_for() {
    let plan = Sandbox::new().dpgui(&["setup", "--plan", "--only", "ComfyUI"]).ok();
    assert!(plan.stderr.contains("(not cloned; every model type imports comfy and comfy_api)"), "{plan}");
}

#[test]
fn a_download_that_is_cut_off_goes_on_where_it_was() {
    let server = FileServer::start();
    let archive = archives::node("22.12.0");
    let sandbox = node_sandbox(&server, &archive);
    let (first, second) = (archive.len() / 3, archive.len() / 4);
    server.faults(&[Fault::CutAfter(first), Fault::Status(503, "Busy"), Fault::CutAfter(second)]);
    let said = setup_node(&sandbox).ok();
    assert!(
        said.stderr.contains(" ... node: the connection to `") && said.stderr.contains("; trying again in"),
        "{said}"
    );
    let from = |offset: usize| format!("GET {NODE} from {offset}");
    assert_eq!(server.requests(), [from(0), from(first), from(first), from(first + second)]);
}

#[test]
fn a_server_that_ignores_the_range_is_believed_only_from_the_start() {
    let server = FileServer::start();
    let archive = archives::node("22.12.0");
    let sandbox = node_sandbox(&server, &archive);
    server.faults(&[Fault::CutAfter(archive.len() / 2), Fault::IgnoreRange]);
    setup_node(&sandbox).ok();
    assert!(sandbox.path("w/tools/node/bin/node").exists());
}

#[test]
fn a_setup_that_was_killed_is_finished_by_the_next_one() {
    let server = FileServer::start();
    let archive = archives::node("22.12.0");
    let sandbox = node_sandbox(&server, &archive);
    let half = archive.len() / 2;
    server.faults(&[Fault::SilentAfter(half)]);
    let mut killed = sandbox.command(&["setup", "--only", "node"]).spawn().expect("the program starts");
    let partial = sandbox.path(format!("home/.cache/dpgui/downloads/{}.part", Sha256::of(&archive)));
    until("half of it is there", || partial.metadata().ok().filter(|it| it.len() == half as u64));
    assert!(!sandbox.path("w/tools/node").exists());
    killed.kill().expect("killed with SIGKILL");
    killed.wait().expect("reaped");

    setup_node(&sandbox).ok();
    assert_eq!(server.requests(), [format!("GET {NODE} from 0"), format!("GET {NODE} from {half}")]);
    let left: Vec<_> =
        fs::read_dir(sandbox.path("w/tools")).expect("there").flatten().map(|it| it.file_name()).collect();
    assert_eq!(left, ["node"], "what the killed one staged is gone");
}

#[test]
fn a_wrong_digest_is_refused_and_leaves_nothing() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    server.file(NODE, "something else");
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(4), "{said}");
    assert!(said.stderr.contains("is not the file that is pinned: its sha256 is"), "{said}");
    assert!(said.stderr.contains("\nhint: this place sends something else"), "{said}");
    assert!(!sandbox.path("w/tools/node").exists());
    assert_eq!(fs::read_dir(sandbox.path("home/.cache/dpgui/downloads")).expect("there").count(), 0);
}

#[test]
fn a_partial_file_of_something_else_does_not_spoil_the_download() {
    let server = FileServer::start();
    let archive = archives::node("22.12.0");
    let sandbox = node_sandbox(&server, &archive);
    let digest = Sha256::of(&archive);
    sandbox.write(format!("home/.cache/dpgui/downloads/{digest}.part"), "not its beginning");
    setup_node(&sandbox).ok();
    assert_eq!(server.requests().len(), 2, "one resumed, one from the start");
}

#[test]
fn a_truncated_archive_with_the_pinned_digest_is_refused() {
    let server = FileServer::start();
    let archive = archives::node("22.12.0");
    let sandbox = node_sandbox(&server, &archive[..archive.len() / 2]);
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(4), "{said}");
    let named = format!("error: node 22.12.0 from `{}` cannot be unpacked\n  caused by: `", server.url(NODE));
    assert!(said.stderr.contains(&named), "{said}");
    assert!(said.stderr.contains("hint: take the publisher's archive: look at `places`"), "{said}");
    assert!(!sandbox.path("w/tools/node").exists(), "nothing half-made is left");
}

#[test]
fn without_the_server_and_without_pip_the_error_says_what_to_do() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    // The server is the user's own, and no other is asked.
    server.faults(&[Fault::Status(404, "Not Found")]);
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(3), "{said}");
    assert!(!said.stderr.contains("package index"), "{said}");
    let settings = std::fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    sandbox.write("w/dpgui.toml", format!("mirror-fallback = true\n{settings}"));
    server.faults(&[Fault::Status(404, "Not Found")]);
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(3), "{said}");
    let error = said.stderr.split_once("error: ").expect("an error").1;
    let place = server.url(NODE);
    assert_eq!(
        error,
        format!(
            "cannot get `node 22.12.0`: `{place}` answered 404 Not Found, and the Python package index fails too\n  \
             caused by: no Python with pip was found to ask the package index with\n\nhint: check the \
             network and the proxy settings, or name a mirror under `[sources]` in `dpgui.toml`, or install pip for \
             the way over the package index\n"
        )
    );
}

#[test]
fn another_version_without_its_digest_is_refused_before_anything_is_asked_for() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let place = server.url(NODE);
    sandbox.write("w/dpgui.toml", format!("[sources.node]\nversion = \"23.1.0\"\nplaces = [\"{place}\"]\n"));
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(
        said.stderr.starts_with(
            "error: `[sources.node]` in `dpgui.toml` names version `23.1.0` without its sha256 for `"
        ),
        "{said}"
    );
    assert_eq!(server.requests(), Vec::<String>::new());
}

#[test]
fn a_local_file_that_is_missing_is_one_more_place_that_failed() {
    let server = FileServer::start();
    let archive = archives::node("22.12.0");
    let sandbox = node_sandbox(&server, &archive);
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let place = format!("\"{}\"", server.url(NODE));
    let (missing, there) = (sandbox.path("missing.tar.gz"), sandbox.write("a b/node.tar.gz", &archive));
    let with = |places: String| sandbox.write("w/dpgui.toml", settings.replace(&place, &places));

    with(format!("\"{}\"", missing.display()));
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("missing.tar.gz` cannot be read"), "{said}");
    assert!(said.stderr.contains("No such file or directory"), "{said}");
    assert!(said.stderr.contains("hint: put the file there"), "{said}");

    let encoded = there.display().to_string().replace(' ', "%20");
    with(format!("\"{}\", \"file://{encoded}\"", missing.display()));
    setup_node(&sandbox).ok();
    assert_eq!(server.requests(), Vec::<String>::new());
}

/// A trainer without submodules, and a workspace that takes it from `server`.
fn trainer_sandbox() -> (Sandbox, GitServer) {
    let sandbox = Sandbox::new();
    let trainer = GitRepository::init(&sandbox.path("git/diffusion-pipe"));
    let commit = trainer.hand_out_any_commit().write("train.py", "").commit("pinned");
    let server = GitServer::start(&sandbox.path("git"));
    let url = server.url("diffusion-pipe");
    let comfy = server.url("ComfyUI");
    sandbox.write(
        "w/dpgui.toml",
        format!(
            "[sources.diffusion-pipe]\nurl = \"{url}\"\ncommit = \"{commit}\"\n[sources.ComfyUI]\nurl = \"{comfy}\"\n"
        ),
    );
    (sandbox, server)
}

#[test]
fn a_repository_that_cannot_be_had_for_a_moment_is_asked_for_again() {
    let (sandbox, server) = trainer_sandbox();
    server.fail(git_server::Fault::Status("502 Bad Gateway"));
    let mut setup = sandbox.command(&["setup", "--only", "diffusion-pipe"]).spawn().expect("it starts");
    until("it was asked for once", || server.requests().first().cloned());
    server.fail(None);
    assert!(setup.wait().expect("it ends").success());
    assert!(sandbox.path("w/vendor/diffusion-pipe/train.py").exists());
}

#[test]
fn a_submodule_that_the_trainer_does_not_have_is_said_aloud() {
    let (sandbox, _server) = trainer_sandbox();
    let said = sandbox.dpgui(&["setup", "--only", "diffusion-pipe,ComfyUI"]);
    assert_eq!(said.code, Some(2), "{said}");
    let warning = "diffusion-pipe at this commit has no submodule `ComfyUI`; taking the declared commit";
    assert!(said.stderr.contains(warning), "{said}");
}

/// HTTPS by `openssl s_server`, with a certificate that no system trusts.
struct PrivateServer {
    process: std::process::Child,
    url: String,
    certificate: PathBuf,
}

impl PrivateServer {
    fn start(sandbox: &Sandbox) -> Self {
        let (key, certificate) = (sandbox.path("key.pem"), sandbox.path("certificate.pem"));
        let made = std::process::Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args([
                "-addext",
                "subjectAltName=DNS:localhost",
                "-addext",
                "basicConstraints=CA:FALSE",
                "-keyout",
            ])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl is installed");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let process = std::process::Command::new("openssl")
            .args(["s_server", "-quiet", "-WWW", "-accept", &port.to_string(), "-cert"])
            .arg(&certificate)
            .arg("-key")
            .arg(&key)
            .current_dir(sandbox.path(""))
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("it starts");
        until("the server listens", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Self { process, url: format!("https://localhost:{port}"), certificate }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_private_certificate_authority_is_trusted_once_the_user_says_so() {
    let server = FileServer::start();
    let archive = archives::node("22.12.0");
    let mut sandbox = node_sandbox(&server, &archive);
    let secure = PrivateServer::start(&sandbox);
    sandbox.write("node.tar.gz", &archive);
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    sandbox.write("w/dpgui.toml", settings.replace(&server.url(NODE), &format!("{}{NODE}", secure.url)));
    sandbox.env("SSL_CERT_FILE", "/nonexistent.pem");
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(3), "{said}");
    assert!(said.stderr.contains("the certificate of `https://localhost:"), "{said}");
    let hint =
        "hint: `SSL_CERT_FILE` is set to `/nonexistent.pem`, which is not used (No such file or directory";
    assert!(said.stderr.contains(hint), "{said}");
    sandbox.env("SSL_CERT_FILE", &secure.certificate);
    setup_node(&sandbox).ok();
}

/// The program in a mount namespace of its own, where the workspace is a small file system.
fn setup_on(file_system: &str, sandbox: &Sandbox) -> Said {
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    let script = format!(
        "set -e; mount -t tmpfs -o size=1m none .; cd \"$PWD\"; cat > dpgui.toml <<'EOF'\n{settings}EOF\n{file_system}\n\
         \"$0\" setup --only node && code=0 || code=$?; ls -A tools >&2 || true; exit $code"
    );
    let mut command = std::process::Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", &script, env!("CARGO_BIN_EXE_dpgui")]);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(sandbox.root());
    command.env("DPGUI_CACHE_DIR", sandbox.path("cache"));
    Said::from(command.output().expect("unshare is installed"))
}

/// One that has no Node in the system's folders, where `mount` is.
fn newer_node(files: &FileServer, filler: usize) -> Sandbox {
    let top = "node-v99.0.0";
    let zeros = "0".repeat(filler);
    let archive = archives::tar_gz(&[
        (&format!("{top}/bin/node"), 0o755, "#!/bin/sh\necho v99.0.0\n"),
        (&format!("{top}/filler"), 0o644, &zeros),
    ]);
    let sandbox = node_sandbox(files, &archive);
    let settings = fs::read_to_string(sandbox.path("w/dpgui.toml")).expect("there");
    sandbox.write("w/dpgui.toml", settings.replace("22.12.0", "99.0.0"));
    sandbox
}

#[test]
fn a_disk_that_fills_up_is_named_and_nothing_half_made_is_left() {
    let server = FileServer::start();
    let sandbox = newer_node(&server, 5 << 20);
    let said = setup_on("", &sandbox);
    assert_eq!(said.code, Some(6), "{said}");
    assert!(said.stderr.contains("No space left on device"), "{said}");
    assert!(said.stderr.contains("hint: free some space on the file system of"), "{said}");
    assert!(said.stderr.ends_with("again\n"), "`ls -A tools` has printed something: {said}");
}

#[test]
fn the_cache_may_lie_on_another_file_system_than_the_workspace() {
    let server = FileServer::start();
    let said = setup_on("", &newer_node(&server, 0)).ok();
    assert!(said.stderr.ends_with("node\n"), "{said}");
}

#[test]
fn a_read_only_file_system_is_named() {
    let server = FileServer::start();
    let said = setup_on("mount -o remount,ro .", &newer_node(&server, 1));
    assert_eq!(said.code, Some(6), "{said}");
    assert!(said.stderr.contains("Read-only file system"), "{said}");
    assert!(
        said.stderr.contains("` is mounted read-only: choose another place, or another workspace"),
        "{said}"
    );
}

#[test]
fn a_workspace_without_permission_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    fs::set_permissions(sandbox.path("w"), fs::Permissions::from_mode(0o555)).expect("permissions are set");
    let said = sandbox.dpgui_as_nobody(&["setup", "--only", "node"]);
    assert_eq!(said.code, Some(6), "{said}");
    assert_eq!(
        sandbox.neutral(&said.stderr),
        "error: cannot create the directory `DIR/w/.dpgui`\n  caused by: Permission denied (os error 13)\n\n\
         hint: make `DIR/w` yours, or choose another place, or another workspace with `-C DIR`\n"
    );
}

#[test]
fn a_directory_in_the_place_of_a_file_is_to_be_moved_and_a_file_in_that_of_a_directory_is_told() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    fs::create_dir(sandbox.path("w/dpgui.lock")).expect("created");
    let said = sandbox.dpgui(&["setup", "--only", "node"]);
    assert_eq!(said.code, Some(6), "{said}");
    let hint = "hint: a directory is where a file should be: move `DIR/w/dpgui.lock` elsewhere\n";
    assert!(sandbox.neutral(&said.stderr).ends_with(hint), "{said}");
    fs::remove_dir(sandbox.path("w/dpgui.lock")).expect("removed");

    // What a link leads to is there, and is none.
    sandbox.write("elsewhere", "mine");
    fs::create_dir(sandbox.path("w/tools")).expect("created");
    std::os::unix::fs::symlink("../../elsewhere", sandbox.path("w/tools/node")).expect("linked");
    let said = sandbox.dpgui(&["setup", "--only", "node"]);
    assert_eq!(said.code, Some(2), "{said}");
    let hint = "hint: a file is where a directory of `DIR/w/tools/node` should be: choose a workspace with `-C DIR`\n";
    assert!(sandbox.neutral(&said.stderr).ends_with(hint), "{said}");
}

#[test]
fn a_setting_that_does_not_exist_is_shown_with_file_line_and_column() {
    let sandbox = Sandbox::new();
    sandbox.write("w/dpgui.toml", "[torch]\nprofile = 3\n");
    let said = sandbox.dpgui(&["setup", "--plan"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("at line 2, column 11"), "{said}");
    sandbox.write("w/dpgui.toml", "[sources.nod]\nversion = \"1\"\n");
    let said = sandbox.dpgui(&["setup", "--plan"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("`[sources.nod]` in `dpgui.toml` names a source that dpgui does not have"));
}

#[test]
fn an_architecture_that_nothing_is_built_for_is_refused() {
    let mut sandbox = Sandbox::new();
    let said = sandbox.env("DPGUI_ARCH", "riscv64").dpgui(&["setup"]);
    assert_eq!(said.code, Some(8), "{said}");
    assert!(said.stderr.contains("the architecture `riscv64`"), "{said}");
}

#[test]
fn the_torch_build_follows_the_driver_and_the_gpus_and_says_why() {
    let check = |gpus: &[&str], code: i32, expected: &str| {
        let mut sandbox = Sandbox::new();
        // Answers as nvidia-smi does: index, name, uuid, memory, driver, compute capability.
        sandbox.program("nvidia-smi", &format!("#!/bin/sh\ncat <<'END'\n{}\nEND\n", gpus.join("\n")));
        sandbox.env("DPGUI_GPU_SOURCE", "nvidia-smi");
        let said = sandbox.dpgui(&["setup", "--plan", "--only", "venv"]);
        assert_eq!(said.code, Some(code), "{said}");
        assert!(said.stderr.contains(expected), "{said}");
    };
    let (rtx4090, v100) = ("NVIDIA GeForce RTX 4090, GPU-1, 24564", "Tesla V100-SXM2-16GB, GPU-2, 16384");
    check(
        &[&format!("0, {rtx4090}, 580.65.06, 8.9")],
        0,
        "PyTorch cu13: driver 580.65.06 runs CUDA 13, and the oldest GPU, NVIDIA GeForce RTX 4090 (compute capability 8.9), is supported",
    );
    check(&[&format!("0, {rtx4090}, 575.51.03, 8.9")], 0, "PyTorch cu12: CUDA 13 needs driver 580");
    let both = [format!("0, {rtx4090}, 580.65.06, 8.9"), format!("1, {v100}, 580.65.06, 7.0")];
    check(
        &[&both[0], &both[1]],
        0,
        "PyTorch cu12: PyTorch for CUDA 13 has no code for Tesla V100-SXM2-16GB (compute capability 7.0)",
    );
    check(
        &["0, NVIDIA GeForce GTX 1080, GPU-3, 8192, 580.65.06, 6.1"],
        8,
        "has no code for NVIDIA GeForce GTX 1080",
    );
}

#[test]
fn a_model_type_brings_its_submodule_and_its_link() {
    let sandbox = Sandbox::new();
    let steps = |args: &[&str]| {
        let all = [&["setup", "--plan", "--json"], args].concat();
        let events = sandbox.dpgui(&all).ok().events();
        let planned = events.into_iter().filter(|it| it["event"] == "plan");
        planned.map(|it| (it["step"].to_string(), it["what"].to_string())).collect::<Vec<_>>()
    };
    let has =
        |steps: &[(String, String)], name: &str| steps.iter().any(|(step, _)| step == &format!("\"{name}\""));
    let links = |steps: &[(String, String)]| {
        steps.iter().find(|(step, _)| step == "\"farm\"").expect("a farm").1.clone()
    };
    let usual = steps(&[]);
    assert!(!has(&usual, "flow") && !links(&usual).contains("src"));
    let chroma = steps(&["--model", "chroma"]);
    assert!(has(&chroma, "flow") && links(&chroma).contains(", src"), "{chroma:?}");
    let said = sandbox.dpgui(&["setup", "--plan", "--model", "chrome"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("unknown model type or submodule `chrome`"), "{said}");
    assert_eq!(said.stderr.matches(" chroma,").count(), 1, "{said}");
}

#[test]
fn a_choice_on_the_command_line_outlives_the_command() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let plan = |args: &[&str]| sandbox.dpgui(&[&["setup", "--plan"], args].concat()).ok().stderr;
    assert!(plan(&[]).contains("torch 2.13.0 (cpu)"));
    let said = sandbox.dpgui(&["setup", "--only", "node", "--torch", "cu12", "--model", "chroma"]).ok();
    assert!(said.stderr.contains("Remembered `profile = \"cu12\"` in `dpgui.toml`"), "{said}");
    let later = plan(&[]);
    assert!(later.contains("torch 2.9.1 (cu12)") && later.contains("Would do flow: commit"), "{later}");
}

#[test]
fn a_demo_and_a_workspace_do_not_take_each_others_place() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    setup_node(&sandbox).ok();
    let said = sandbox.dpgui(&["-C", ".", "demo", "--setup-only"]);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(
        sandbox.neutral(&said.stderr).contains("error: `DIR/w` is a workspace, and not the demo's"),
        "{said}"
    );
    fs::remove_file(sandbox.path("w/dpgui.toml")).expect("removed");
    let said = sandbox.dpgui(&["-C", ".", "demo", "--setup-only"]);
    assert_eq!(said.code, Some(2), "{said}");
    let expected = "error: `DIR/w` is set up for diffusion-pipe, not for the demo";
    assert!(sandbox.neutral(&said.stderr).contains(expected), "{said}");
    assert!(!sandbox.path("w/trainer").exists(), "nothing was written");
}

#[test]
fn a_folder_that_is_not_ours_is_not_replaced() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let mine = sandbox.write("w/tools/node/mine.txt", "mine");
    let plan = sandbox.dpgui(&["setup", "--only", "node,ComfyUI", "--plan"]);
    assert!(plan.code == Some(2) && plan.stderr.contains("is there, and no setup made it"), "{plan}");
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(2), "{said}");
    assert_eq!(server.requests(), [""; 0], "nothing was fetched for it");
    assert!(
        sandbox.neutral(&said.stderr).contains("`DIR/w/tools/node` is there, and no setup made it"),
        "{said}"
    );
    assert_eq!(fs::read_to_string(mine).expect("still there"), "mine");
}

#[test]
fn a_link_to_a_disk_that_is_not_there_is_not_replaced() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    fs::create_dir(sandbox.path("w/tools")).expect("created");
    let link = sandbox.path("w/tools/node");
    std::os::unix::fs::symlink("/nonexistent/disk/node", &link).expect("linked");
    let said = setup_node(&sandbox);
    assert_eq!(said.code, Some(2), "{said}");
    assert!(said.stderr.contains("is a link to `/nonexistent/disk/node`, where nothing is"), "{said}");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
}

#[test]
fn a_killed_setup_takes_its_programs_with_it_and_the_next_one_tidies_up() {
    let mut sandbox = Sandbox::new();
    let pid_file = sandbox.path("pid");
    // Finds that there is nothing to install, and stands in for hours of work on the environment.
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo 'uv 0.12.5 (x)'; exit; }}\nfor last; do :; done\n\
         case \"$*\" in *' compile '*) echo 'lock-version = \"1.0\"' > \"$last\"; exit;; esac\n\
         echo $$ > {}\nexec sleep 600\n",
        pid_file.display()
    );
    sandbox.program("uv", &script);
    let python = crate::setup_whole::python().to_string_lossy().into_owned();
    let staged = || -> Vec<String> {
        let names =
            fs::read_dir(sandbox.root().join("d")).into_iter().flatten().flatten().map(|it| it.file_name());
        names.filter_map(|it| it.into_string().ok()).filter(|it| it.starts_with(".venv.tmp-")).collect()
    };
    let mut before = vec![];
    for _ in 0..2 {
        let _ = fs::remove_file(&pid_file);
        let mut setup = sandbox
            .command(&["-C", "d", "demo", "--setup-only", "--python", &python])
            .spawn()
            .expect("the program starts");
        let uv: u32 = until("uv is at work", || fs::read_to_string(&pid_file).ok()?.trim().parse().ok());
        assert_eq!(staged().len(), 1, "{:?}", staged());
        assert_ne!(staged(), before, "the one of the killed setup is gone");
        before = staged();
        setup.kill().expect("killed with SIGKILL");
        setup.wait().expect("reaped");
        until("uv has ended with it", || (!PathBuf::from(format!("/proc/{uv}")).exists()).then_some(()));
    }
}

#[test]
fn a_python_that_is_none_is_refused_with_its_reason_and_in_few_words() {
    let check = |python: &str, expected: &str| {
        let sandbox = Sandbox::new();
        let said = sandbox.dpgui(&["setup", "--only", "python", "--python", python]);
        assert_eq!(said.code, Some(2), "{said}");
        assert!(!sandbox.path("w/dpgui.toml").exists(), "it is not remembered: {said}");
        let error = said.stderr.split_once("error: ").expect("an error").1;
        let hint = "\n\nhint: give the path of a real interpreter with `dpgui setup --python PATH`\n";
        assert_eq!(
            error,
            format!("`{python}` cannot be used as the Python of the environment: {expected}{hint}")
        );
    };
    check("/nonexistent", "cannot start `/nonexistent`: No such file or directory (os error 2)");
    check("/bin/ls", "it is no Python interpreter");
    check("/bin/echo", "it is no Python interpreter");
    check("/bin/false", "it answers nothing and ends with exit code 1");
    check("python3.99", "there is no such program on `PATH`");
}

#[test]
fn a_python_named_without_a_folder_is_looked_up_on_the_path() {
    let mut sandbox = Sandbox::new();
    let answer = r#"{"path": "/bin/sh", "version": [3, 12, 9], "implementation": "cpython", "threads": false, "base": "/bin/sh"}"#;
    sandbox.program("python-of-mine", &format!("#!/bin/sh\necho '{answer}'\n"));
    let said = sandbox.dpgui(&["setup", "--only", "python", "--python", "python-of-mine"]).ok();
    assert!(said.stderr.contains("python: CPython 3.12.9, chosen with `--python`"), "{said}");
}

#[test]
fn without_any_python_the_error_tells_why_there_is_no_portable_one() {
    let server = FileServer::start();
    let sandbox = without_programs(Sandbox::new());
    sandbox.write("w/dpgui.toml", format!("[sources.python]\nplaces = [\"{}\"]\n", server.url("/python")));
    let said = sandbox.dpgui(&["setup", "--only", "python"]);
    assert_eq!(said.code, Some(3), "{said}");
    let expected = format!(
        "error: no Python 3.12 or newer was found\n  caused by: `{}` answered 404",
        server.url("/python")
    );
    assert!(said.stderr.contains(&expected), "{said}");
}

#[test]
fn a_machine_without_certificates_can_still_look_and_plan() {
    let mut sandbox = Sandbox::new();
    sandbox.env("SSL_CERT_FILE", "/nonexistent.pem").env("SSL_CERT_DIR", "/nonexistent");
    let said = sandbox.dpgui(&["setup", "--plan"]).ok();
    assert!(said.stderr.contains("Would do node"), "{said}");
}

#[test]
fn a_plan_says_what_it_will_cost_step_by_step_and_in_all() {
    let server = FileServer::start();
    let sandbox = node_sandbox(&server, &archives::node("22.12.0"));
    let steps = ["setup", "--plan", "--only", "node,python"];
    let plan = sandbox.dpgui(&steps).ok().stderr;
    let [_, node, python, total] = &plan.lines().collect::<Vec<_>>()[..] else { panic!("{plan}") };
    assert_eq!(*node, "    Would do node: Node 22.12.0 (not installed), of unknown size");
    assert!(python.contains("(no interpreter is settled on), "), "{plan}");
    assert!(python.ends_with(" MiB to fetch, 105 MiB of disk"), "{plan}");
    assert!(
        total.starts_with("      In all ")
            && total.contains(" to fetch and 1 step of unknown size, 105 MiB of disk; "),
        "{plan}"
    );

    let events = sandbox.dpgui(&[&steps[..], &["--json"]].concat()).ok().events();
    let [_, node, python, total] = &events[..] else { panic!("{events:?}") };
    assert!(node["bytes"].is_null() && node["disk"].is_null(), "{node}");
    assert_eq!(total["event"], "plan-total");
    assert_eq!((&total["bytes"], &total["unknown"]), (&python["bytes"], &1.into()));
    assert!(total["free"].is_u64(), "{total}");
}

#[test]
fn a_plan_for_an_empty_workspace_knows_what_every_step_takes() {
    let sandbox = without_programs(Sandbox::new());
    let plan = sandbox.dpgui(&["setup", "--plan", "--json", "--torch", "cu13"]).ok();
    let events = plan.events();
    for step in events.iter().filter(|it| it["event"] == "plan" && it["missing"] == true) {
        assert!(step["bytes"].is_u64() && step["disk"].is_u64(), "{step}");
    }
    let total = events.iter().find(|it| it["event"] == "plan-total").expect("told");
    assert_eq!(total["unknown"], 0, "{total}");
    let bytes = |step: &str| events.iter().find(|it| it["step"] == step).map(|it| it["bytes"].clone());
    assert_eq!((bytes("node"), bytes("ComfyUI")), (Some(57_000_000.into()), Some(7_000_000.into())));
}
