//! The step that builds the web page, where what builds it fails, fills the disk or is killed: the page that was there
//! stays whole. Node and npm are scripts that do what the real ones would do to the files; the real ones build the real page in
//! `tests/browser`.

use std::{fs, os::unix::process::ExitStatusExt, process::Command};

use dpgui::platform::digest::Sha256;

use crate::{
    archives,
    kill_matrix::nobody_is_left,
    support::{
        file_server::FileServer,
        lab::{kill, until},
        sandbox::{Said, Sandbox},
    },
};

/// `TEST_PAGE` says what happens; `TEST_TEXT` is what the page says.
const NPM: &str = r#"#!/bin/sh
[ "$1" = --version ] && exit
[ "$TEST_PAGE" = npm-fails ] && { echo "npm error code ECONNRESET" >&2; exit 1; }
[ "$TEST_PAGE" = npm-hangs ] && { echo $$ > "$HOME/npm.draft"; mv "$HOME/npm.draft" "$HOME/npm"; exec sleep 600; }
[ "$TEST_PAGE" = npm-leaves ] && { setsid sh -c 'echo $$ > "$HOME/npm"; while :; do sleep 600; done' >/dev/null 2>&1 & wait; }
[ -f package-lock.json ] || exit 1
mkdir -p node_modules/vite/bin && touch node_modules/vite/bin/vite.js
"#;

const NODE: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo v22.12.0; exit; }
[ -f "$1" ] && [ "$2 $3 $5" = "build --outDir --emptyOutDir" ] || exit 1
mkdir -p "$4/assets"
echo "<h1>$TEST_TEXT</h1>" > "$4/index.html"
[ "$TEST_PAGE" = build-fails ] && { echo "error during build" >&2; exit 1; }
[ "$TEST_PAGE" = disk-full ] && { cat /dev/zero > "$4/assets/big.js" || exit 1; }
yes "let a = 1;" | head -n 4000 > "$4/assets/app.js"
"#;

/// A machine with these programs, and a server that has them.
fn sandbox() -> (FileServer, Sandbox) {
    let server = FileServer::start();
    let top = "node-v22.12.0-linux-x64";
    let archive = archives::tar_gz(&[
        (&format!("{top}/bin/node"), 0o755, NODE),
        (&format!("{top}/bin/npm"), 0o755, NPM),
    ]);
    let digest = Sha256::of(&archive);
    let place = server.file("/node.tar.gz", archive);
    let mut sandbox = Sandbox::new();
    sandbox.env("DPGUI_PAGE", "yes").env("PATH", "/usr/bin:/bin");
    sandbox.write(
        "w/dpgui.toml",
        format!(
            "[sources.node]\nplaces = [\"{place}\"]\nsha256 = {{ x86_64 = \"{digest}\", aarch64 = \"{digest}\" }}\n"
        ),
    );
    (server, sandbox)
}

fn setup(sandbox: &Sandbox, what: &str, text: &str) -> Command {
    let mut command = sandbox.command(&["setup", "--only", "node,page"]);
    command.env("TEST_PAGE", what).env("TEST_TEXT", text);
    command
}

fn run(sandbox: &Sandbox, what: &str, text: &str) -> Said {
    Said::from(setup(sandbox, what, text).output().expect("it starts"))
}

/// All of the page, by names and contents.
fn page(sandbox: &Sandbox) -> Vec<(String, Vec<u8>)> {
    let folder = sandbox.path("w/.dpgui/page");
    let mut files = vec![];
    for dir in [folder.clone(), folder.join("assets")] {
        for path in fs::read_dir(&dir).into_iter().flatten().flatten().map(|it| it.path()) {
            if path.is_file() {
                files.push((path.display().to_string(), fs::read(&path).expect("there")));
            }
        }
    }
    files.sort();
    files
}

fn text(sandbox: &Sandbox) -> String {
    fs::read_to_string(sandbox.path("w/.dpgui/page/index.html")).expect("a page")
}

/// As if the page were that of an older dpgui.
fn grow_old(sandbox: &Sandbox) {
    let path = sandbox.path("w/.dpgui/page/.dpgui-receipt.json");
    let mut receipt: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&path).expect("there")).expect("JSON");
    receipt["inputs"] = "0".repeat(64).into();
    fs::write(&path, receipt.to_string()).expect("written");
}

#[track_caller]
fn nothing_is_left(sandbox: &Sandbox) {
    let names = fs::read_dir(sandbox.path("w/.dpgui")).expect("there").flatten();
    let names = names.map(|it| it.file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|it| it.contains(".tmp-")).collect::<Vec<_>>(), Vec::<String>::new());
}

#[test]
fn a_page_that_cannot_be_built_leaves_the_one_that_is_there() {
    let (_server, sandbox) = sandbox();
    let first = run(&sandbox, "npm-fails", "first");
    assert_eq!(first.code, Some(3), "{first}");
    assert!(!sandbox.path("w/.dpgui/page").exists());
    run(&sandbox, "", "old").ok();
    assert!(sandbox.path("w/.dpgui/page/assets/app.js.gz").exists());
    grow_old(&sandbox);
    let old = page(&sandbox);
    for (what, code, tail) in
        [("npm-fails", 3, "npm error code ECONNRESET"), ("build-fails", 1, "error during build")]
    {
        let said = run(&sandbox, what, "new");
        assert_eq!(said.code, Some(code), "{said}");
        assert!(said.stderr.contains(tail), "{said}");
        assert_eq!(page(&sandbox), old, "{what}");
        nothing_is_left(&sandbox);
    }
    run(&sandbox, "", "new").ok();
    assert_eq!(text(&sandbox), "<h1>new</h1>\n");
    nothing_is_left(&sandbox);
}

#[test]
fn a_page_for_which_there_is_no_room_leaves_the_one_that_is_there() {
    let (_server, sandbox) = sandbox();
    run(&sandbox, "", "old").ok();
    grow_old(&sandbox);
    let script = r#"set -e
        mkdir ../before && cp -a . ../before && mount -t tmpfs -o size=4m none . && cd "$PWD" && cp -a ../before/. .
        code=0; TEST_PAGE=disk-full TEST_TEXT=new "$0" setup --only node,page 2>../said || code=$?
        cat ../said >&2; cat .dpgui/page/index.html; ls -A .dpgui | grep '\.tmp-' && exit 99
        TEST_PAGE= TEST_TEXT=new "$0" setup --only node,page 2>../said || { cat ../said >&2; exit 98; }
        cat .dpgui/page/index.html; exit $code"#;
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--mount", "/bin/sh", "-c", script, env!("CARGO_BIN_EXE_dpgui")]);
    let usual = sandbox.command(&[]);
    command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Said::from(command.current_dir(sandbox.root()).output().expect("unshare is installed"));
    assert_eq!(said.code, Some(6), "{said}");
    assert_eq!(said.stdout, "<h1>old</h1>\n<h1>new</h1>\n", "{said}");
}

#[test]
fn a_page_whose_making_is_killed_leaves_the_one_that_is_there_and_no_process() {
    let (_server, original) = sandbox();
    run(&original, "", "old").ok();
    grow_old(&original);
    for checkpoint in ["directory-created", "filled", "listed", "receipted", "exchanged", "old-removed"] {
        let sandbox = original.copy();
        let mut command = setup(&sandbox, "", "new");
        let ended = command.env("DPGUI_TEST_KILL_AT", checkpoint).output().expect("it starts");
        assert_eq!(ended.status.signal(), Some(9), "{checkpoint}");
        let is_new = ["exchanged", "old-removed"].contains(&checkpoint);
        assert_eq!(text(&sandbox), if is_new { "<h1>new</h1>\n" } else { "<h1>old</h1>\n" }, "{checkpoint}");
        run(&sandbox, "", "new").ok();
        assert_eq!(text(&sandbox), "<h1>new</h1>\n", "{checkpoint}");
        nothing_is_left(&sandbox);
    }

    // Also what npm has started in a session of its own, and whose output is nowhere.
    for what in ["npm-hangs", "npm-leaves"] {
        let sandbox = original.copy();
        let mut child = setup(&sandbox, what, "new").spawn().expect("it starts");
        until("npm is at work", || sandbox.path("home/npm").exists().then_some(()));
        kill(child.id(), "KILL");
        child.wait().expect("it ends");
        nobody_is_left(&sandbox);
        assert_eq!(text(&sandbox), "<h1>old</h1>\n");
        run(&sandbox, "", "new").ok();
        assert_eq!(text(&sandbox), "<h1>new</h1>\n");
        nothing_is_left(&sandbox);
    }
}
