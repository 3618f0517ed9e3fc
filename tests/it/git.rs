//! Checkouts of pinned commits: real repositories, real HTTP, the `git` program as the judge of what came out.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use dpgui::{
    error::Error,
    platform::{Env, net::Http, patience::Patience},
    vendor::git::{
        Git, GitError, GitProgress, Outcome, Pin, State, SubmodulePin, head, inspect, submodule_pins,
    },
};
use tempfile::TempDir;

use crate::support::{
    git_repository::{GitRepository, say},
    git_server::{Fault, GitServer, Request},
};

/// A server with one repository, `trainer`, of three commits, and a place to check it out.
struct World {
    dir: TempDir,
    server: GitServer,
    trainer: GitRepository,
    /// Oldest first; `main` is at the last.
    commits: [String; 3],
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temp dir");
        let trainer = GitRepository::init(&dir.path().join("srv/trainer"));
        trainer
            .hand_out_any_commit()
            .write("train.py", "print(1)\n")
            .write(".gitignore", "__pycache__/\n*.log\n");
        let first = trainer.commit("first");
        let second =
            trainer.write("train.py", "print(2)\n").write("utils/dataset.py", noise()).commit("second");
        let third = trainer.write("train.py", "print(3)\n").commit("third");
        let server = GitServer::start(&dir.path().join("srv"));
        Self { dir, server, trainer, commits: [first, second, third] }
    }

    /// Where the checkout goes; alone in its directory, so that nothing left behind stays unseen.
    fn target(&self) -> PathBuf {
        self.dir.path().join("vendor/trainer")
    }

    fn checkout(&self, url: &str, commit: &str) -> Result<Outcome, GitError> {
        self.checkout_with(&[], url, commit)
    }

    fn checkout_with(&self, env: &[(&str, &str)], url: &str, commit: &str) -> Result<Outcome, GitError> {
        let mut all = Env::from([("GIT_CONFIG_NOSYSTEM", "1"), ("HOME", "/nonexistent")]);
        for (name, value) in env {
            all.set(name, *value);
        }
        Git::new(Http::new().expect("a client"), &all)?.checkout(
            &pin(url, commit),
            &self.target(),
            &mut |_| (),
        )
    }

    fn state(&self, commit: &str) -> State {
        inspect(&self.target(), &commit.parse().expect("a commit")).expect("readable")
    }

    /// The checkout has failed with exactly this message and exit code, and has left nothing behind.
    fn check_failure(&self, result: Result<Outcome, GitError>, code: u8, expected: &str) {
        let error = Error::from(result.expect_err("it cannot work"));
        let shown = error.to_string();
        let shown = shown
            .replace(&self.server.url(""), "SERVER/")
            .replace(&self.dir.path().display().to_string(), "DIR");
        assert_eq!(shown.replace(&self.commits[0], "FIRST"), expected);
        assert_eq!(error.kind().exit_code(), code);
        assert_eq!(names(&self.dir.path().join("vendor")), Vec::<String>::new());
    }
}

fn pin(url: &str, commit: &str) -> Pin {
    Pin { url: url.to_owned(), commit: commit.parse().expect("a commit"), nearby: None }
}

#[test]
fn the_newest_commit_of_the_default_branch_is_told_without_fetching_anything() {
    let world = World::new();
    let git = Git::new(Http::new().expect("a client"), &Env::default()).expect("ready");
    let local = world.trainer.path().display().to_string();
    for url in [world.server.url("trainer"), local] {
        assert_eq!(git.latest(&url).expect("told").to_string(), world.commits[2]);
    }
    assert_eq!(world.server.requests().iter().map(Request::line).collect::<Vec<_>>().len(), 1);
    say(world.trainer.path(), &["symbolic-ref", "HEAD", "refs/heads/other"]);
    let check = |url: &str, expected: &str| {
        let error = Error::from(git.latest(url).expect_err("no commit"));
        assert_eq!(error.messages(), [expected]);
    };
    let url = world.server.url("trainer");
    check(&url, &format!("the repository at `{url}` has no commit on its default branch"));
    let url = world.server.url("nothing");
    check(&url, &format!("there is no repository at `{url}`"));
}

/// Names the checkout that a process of its own is to make: address, commit, place.
const ORDER: &str = "DPGUI_TEST_CHECKOUT";

/// This very test, run again in a process of its own, where [`is_child`] carries out the checkout.
fn child(world: &World, test: &str, url: &str, commit: &str) -> Command {
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", test, "--nocapture"]).stdout(Stdio::null());
    child.env(ORDER, format!("{url} {commit} {}", world.target().display()));
    child
}

fn is_child() -> bool {
    let Ok(order) = std::env::var(ORDER) else { return false };
    let words: Vec<&str> = order.splitn(3, ' ').collect();
    let git = Git::new(Http::new().expect("a client"), &Env::default()).expect("ready");
    git.checkout(&pin(words[0], words[1]), Path::new(words[2]), &mut |_| ()).expect("checked out");
    true
}

/// Content that does not compress: a pack with it has a middle.
fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    (0..300_000).map(|_| next()).collect()
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return vec![] };
    let mut names: Vec<String> =
        entries.map(|it| it.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_pinned_commit_is_checked_out_over_http_without_its_history() {
    let world = World::new();
    let commit = &world.commits[1];
    let mut seen = vec![];
    let git = Git::new(Http::new().expect("a client"), &Env::default()).expect("ready");
    let outcome =
        git.checkout(&pin(&world.server.url("trainer"), commit), &world.target(), &mut |it| seen.push(it));
    assert_eq!(outcome.expect("it works"), Outcome::Made);

    let target = world.target();
    assert_eq!(say(&target, &["rev-parse", "HEAD"]), *commit);
    assert_eq!(say(&target, &["rev-list", "--count", "HEAD"]), "1");
    assert_eq!(say(&target, &["status", "--porcelain", "--ignored"]), "");
    assert_eq!(say(&target, &["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    assert_eq!(say(&target, &["remote", "get-url", "origin"]), world.server.url("trainer"));
    say(&target, &["fsck", "--strict"]);
    // A commit, two trees, three files.
    assert!(say(&target, &["count-objects", "-v"]).contains("in-pack: 6\n"));
    assert_eq!(fs::read_to_string(target.join("train.py")).expect("there"), "print(2)\n");
    assert_eq!(names(&world.dir.path().join("vendor")), ["trainer"]);

    let receipt = fs::read_to_string(target.join(".git/.dpgui-receipt.json")).expect("written");
    let receipt: serde_json::Value = serde_json::from_str(&receipt).expect("JSON");
    let tree = say(&target, &["rev-parse", "HEAD^{tree}"]);
    assert_eq!((receipt["commit"].as_str(), receipt["tree"].as_str()), (Some(&**commit), Some(&*tree)));
    assert_eq!(receipt["from"].as_str(), Some(&*world.server.url("trainer")));
    let listed = say(&target, &["ls-files"]);
    let bytes: u64 = listed.lines().map(|it| fs::metadata(target.join(it)).expect("there").len()).sum();
    assert_eq!(receipt["contents"], serde_json::json!({ "files": 3, "bytes": bytes }));
    assert!(["fetch", "write", "verify"].iter().all(|it| receipt["durations"][it].is_u64()), "{receipt}");

    let requests = world.server.requests();
    let lines: Vec<String> = requests.iter().map(Request::line).collect();
    let post = "POST /trainer/git-upload-pack";
    assert_eq!(lines, ["GET /trainer/info/refs?service=git-upload-pack", post, post]);
    let agent = concat!("git/2.0 (dpgui ", env!("CARGO_PKG_VERSION"), ")");
    assert_eq!(requests[0].header("user-agent"), Some(agent));
    assert!(seen.iter().any(|it| matches!(it, GitProgress::Receiving { objects: 6, of: 6, .. })), "{seen:?}");
    assert_eq!(seen.last(), Some(&GitProgress::Writing { files: 3, of: 3 }));
}

#[test]
fn local_paths_and_file_urls_give_the_same_as_http() {
    let check = |url_of: fn(&World) -> String| {
        let world = World::new();
        let commit = &world.commits[1];
        assert_eq!(world.checkout(&url_of(&world), commit).expect("it works"), Outcome::Made);
        let target = world.target();
        assert_eq!(say(&target, &["rev-parse", "HEAD"]), *commit);
        assert_eq!(say(&target, &["rev-list", "--count", "HEAD"]), "1");
        assert_eq!(say(&target, &["status", "--porcelain"]), "");
        say(&target, &["fsck", "--strict"]);
        assert_eq!(names(&target), [".git", ".gitignore", "train.py", "utils"]);
    };
    check(|world| world.trainer.path().display().to_string());
    check(|world| format!("file://{}", world.trainer.path().display()));
    check(|world| world.trainer.path().join(".git").display().to_string());
    check(|world| world.server.url("trainer/"));
}

#[test]
fn modes_links_and_odd_names_arrive_as_they_were_committed() {
    let world = World::new();
    let repository = &world.trainer;
    repository.write("run.sh", "#!/bin/sh\n").write("ä \"b\"/c\td", "x").write("crlf.txt", "a\r\nb\r\n");
    std::os::unix::fs::symlink("utils/dataset.py", repository.path().join("link")).expect("linked");
    say(repository.path(), &["add", "run.sh"]);
    say(repository.path(), &["update-index", "--chmod=+x", "run.sh"]);
    let commit = repository.commit("odd things");
    let modes = |dir: &Path| say(dir, &["ls-files", "--stage"]);
    let expected = modes(repository.path());

    world.checkout(&world.server.url("trainer"), &commit).expect("it works");
    let target = world.target();
    assert_eq!(say(&target, &["status", "--porcelain"]), "");
    assert_eq!(modes(&target), expected);
    assert_eq!(fs::read_link(target.join("link")).expect("a link"), Path::new("utils/dataset.py"));
    assert_eq!(fs::read(target.join("crlf.txt")).expect("there"), b"a\r\nb\r\n");
}

#[test]
fn a_server_that_gives_out_branches_only_is_asked_for_them() {
    let world = World::new();
    world.trainer.set("uploadpack.allowAnySHA1InWant", "false");
    world.checkout(&world.server.url("trainer"), &world.commits[1]).expect("it works");
    let target = world.target();
    assert_eq!(say(&target, &["rev-parse", "HEAD"]), world.commits[1]);
    assert_eq!(say(&target, &["rev-list", "--count", "HEAD"]), "2");
    assert_eq!(say(&target, &["status", "--porcelain"]), "");
}

#[test]
fn a_commit_that_the_repository_does_not_have_is_named() {
    let world = World::new();
    let missing = "0123456789012345678901234567890123456789";
    let hint = "\n\nhint: check the repository's `commit` under `[sources]` in `dpgui.toml`";
    let http = format!("error: `SERVER/trainer` has no commit `{missing}`{hint}");
    world.check_failure(world.checkout(&world.server.url("trainer"), missing), 2, &http);
    world.trainer.set("uploadpack.allowAnySHA1InWant", "false");
    world.check_failure(world.checkout(&world.server.url("trainer"), missing), 2, &http);
    let local = format!("error: `DIR/srv/trainer` has no commit `{missing}`{hint}");
    world.check_failure(world.checkout(&world.trainer.path().display().to_string(), missing), 2, &local);
    // A blob and a tree are not commits.
    let tree = say(world.trainer.path(), &["rev-parse", "HEAD^{tree}"]);
    let local = local.replace(missing, &tree);
    world.check_failure(world.checkout(&world.trainer.path().display().to_string(), &tree), 2, &local);
}

#[test]
fn a_repository_that_is_not_there_is_told_from_a_server_that_is_not() {
    let world = World::new();
    let commit = &world.commits[0];
    let hint = "\n\nhint: check the repository's `url` under `[sources]` in `dpgui.toml`";
    let no_repository = |at: &str| format!("error: there is no repository at `{at}`{hint}");
    world.check_failure(
        world.checkout(&world.server.url("trainr"), commit),
        2,
        &no_repository("SERVER/trainr"),
    );
    let local = world.dir.path().join("srv/trainr").display().to_string();
    world.check_failure(world.checkout(&local, commit), 2, &no_repository("DIR/srv/trainr"));
    world.check_failure(
        world.checkout(&format!("file://{local}"), commit),
        2,
        &no_repository("DIR/srv/trainr"),
    );
    world.check_failure(
        world.checkout("git@host.example:a/b", commit),
        2,
        "error: `git@host.example:a/b` is not an address that dpgui can clone from\n\n\
         hint: give an `https://`, `http://` or `file://` address or a path",
    );

    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let nobody = format!("http://me:secret@{}/trainer", closed.local_addr().expect("an address"));
    drop(closed);
    let error = Error::from(world.checkout(&nobody, commit).expect_err("nobody is there"));
    let asked = nobody.replace("me:secret@", "") + "/info/refs?...";
    assert_eq!(error.messages()[0], format!("cannot reach `{asked}`"));
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(error.kind().exit_code(), 3);
}

#[test]
fn each_thing_a_server_does_wrong_has_its_own_message_and_leaves_nothing() {
    let world = World::new();
    let url = world.server.url("trainer");
    let check = |fault: Fault, code: u8, expected: &str| {
        world.server.fail(fault);
        world.check_failure(world.checkout(&url, &world.commits[1]), code, expected);
    };
    let network =
        "hint: check the network and the proxy settings, or name a mirror under `[sources]` in `dpgui.toml`";
    check(
        Fault::Status("503 Service Unavailable"),
        3,
        &format!("error: `SERVER/trainer/info/refs?...` answered 503 Service Unavailable\n\n{network}"),
    );
    check(
        Fault::Status("403 Forbidden"),
        3,
        "error: `SERVER/trainer` answered 403 Forbidden: the repository is private, or it does not exist\n\n\
         hint: check the address; for a private repository on GitHub set `GITHUB_TOKEN`",
    );
    check(
        Fault::LoginPage,
        3,
        "error: `SERVER/trainer` answered with `text/html`, which is not git's protocol\n\n\
         hint: open the address in a browser: a login page or a proxy may be in the way",
    );
    check(
        Fault::BreakOff(100_000),
        3,
        &format!(
            "error: the connection to `SERVER/trainer` broke off\n  caused by: request or response body error\n  \
             caused by: error reading a body from connection\n  caused by: unexpected EOF during chunk size line\n\n{network}"
        ),
    );
    check(
        Fault::EndEarly(100_000),
        3,
        &format!(
            "error: the connection to `SERVER/trainer` broke off\n  caused by: the answer ends too early\n\n{network}"
        ),
    );
    check(
        Fault::Flip(100_000),
        4,
        "error: what `SERVER/trainer` sent is damaged\n  caused by: error reading from the zlib stream\n\n\
         hint: run the same command again; a proxy may have cut the answer",
    );
    world.server.fail(None);
    assert_eq!(world.checkout(&url, &world.commits[1]).expect("mended"), Outcome::Made);
}

/// What comes before the pack is protected by no digest: where the server cut the history, among others.
#[test]
fn a_byte_that_is_wrong_before_the_pack_is_noticed_or_does_no_harm() {
    let world = World::new();
    let (url, commit) = (world.server.url("trainer"), &world.commits[1]);
    let mut harmless = 0;
    for at in 0..80 {
        world.server.fail(Some(Fault::Flip(at)));
        match world.checkout(&url, commit) {
            Ok(outcome) => {
                assert_eq!(outcome, Outcome::Made, "byte {at}");
                let shallow = fs::read_to_string(world.target().join(".git/shallow")).expect("readable");
                assert_eq!(shallow, format!("{commit}\n"), "byte {at}");
                say(&world.target(), &["fsck", "--strict"]);
                harmless += 1;
                fs::remove_dir_all(world.target()).expect("removed");
            }
            Err(error) => {
                let code = Error::from(error).kind().exit_code();
                assert!([3, 4].contains(&code), "byte {at}: exit code {code}");
                assert_eq!(names(&world.dir.path().join("vendor")), Vec::<String>::new(), "byte {at}");
            }
        }
    }
    assert!(harmless > 0, "not even where the server says what it cut");
}

#[test]
fn a_server_that_says_nothing_more_or_next_to_nothing_is_given_up() {
    let world = World::new();
    let (soon, late) = (Duration::from_millis(500), Duration::from_mins(1));
    let check = |fault: Fault, idle: Duration, slow: Duration, reason: &str| {
        let patience = Patience { idle, slow, slowest: 100_000, ..Patience::default() };
        let http = Http::patient(patience).expect("a client");
        let git = Git::new(http, &Env::default()).expect("ready");
        world.server.fail(fault);
        let pin = pin(&world.server.url("trainer"), &world.commits[1]);
        let told = format!(
            "error: the connection to `SERVER/trainer` broke off\n  caused by: {reason}\n\n\
             hint: check the network and the proxy settings, or name a mirror under `[sources]` in `dpgui.toml`"
        );
        world.check_failure(git.checkout(&pin, &world.target(), &mut |_| ()), 3, &told);
    };
    // The server's program has to start in that time.
    let silence = Duration::from_secs(2);
    check(
        Fault::Silence(100_000),
        silence,
        late,
        "error decoding response body\n  caused by: operation timed out",
    );
    check(Fault::Trickle(100_000), late, soon, "fewer than 100000 bytes a second came for 0.5 s");
}

#[test]
fn a_user_and_a_password_in_the_address_open_a_locked_server_and_stay_out_of_the_checkout() {
    let world = World::new();
    // `me:secret`
    world.server.fail(Fault::Locked { authorization: "Basic bWU6c2VjcmV0" });
    let commit = &world.commits[0];
    let plain = world.server.url("trainer");
    // The token is GitHub's business alone.
    let refused = world.checkout_with(&[("GITHUB_TOKEN", "canary")], &plain, commit);
    world.check_failure(
        refused,
        3,
        "error: `SERVER/trainer` answered 401 Unauthorized: the repository is private, or it does not exist\n\n\
         hint: check the address; for a private repository on GitHub set `GITHUB_TOKEN`",
    );
    assert!(world.server.requests().iter().all(|it| it.header("authorization").is_none()));

    world.checkout(&plain.replace("http://", "http://me:secret@"), commit).expect("it works");
    let config = fs::read_to_string(world.target().join(".git/config")).expect("there");
    assert!(config.contains(&plain) && !config.contains("secret"), "{config}");
}

#[test]
fn a_renamed_repository_is_followed_and_the_password_stays_with_its_server() {
    let world = World::new();
    let elsewhere = GitServer::start(&world.dir.path().join("srv"));
    let with_password = world.server.url("old").replace("http://", "http://me:secret@");

    world.server.fail(Fault::Moved { from: "/old", to: "/trainer".to_owned() });
    world.checkout(&with_password, &world.commits[0]).expect("it works");
    let requests = world.server.requests();
    let lines: Vec<String> = requests.iter().map(Request::line).collect();
    let (refs, post) = ("info/refs?service=git-upload-pack", "POST /trainer/git-upload-pack");
    assert_eq!(lines, [&*format!("GET /old/{refs}"), &*format!("GET /trainer/{refs}"), post, post]);
    assert!(requests.iter().all(|it| it.header("authorization") == Some("Basic bWU6c2VjcmV0")));

    world.server.fail(Fault::Moved { from: "/old", to: elsewhere.url("trainer") });
    let replaced = world.checkout(&with_password, &world.commits[1]).expect("it works");
    assert_eq!(replaced, Outcome::Replaced(world.commits[0].parse().expect("a commit")));
    assert!(elsewhere.requests().iter().all(|it| it.header("authorization").is_none()));
    assert_eq!(elsewhere.requests().len(), 3);
}

#[test]
fn the_users_own_rewriting_of_addresses_is_followed() {
    let world = World::new();
    let variables = [
        ("GIT_CONFIG_COUNT", "1"),
        ("GIT_CONFIG_KEY_0", &*format!("url.{}.insteadOf", world.server.url(""))),
        ("GIT_CONFIG_VALUE_0", "https://github.example/tdrussell/"),
    ];
    let url = "https://github.example/tdrussell/trainer";
    world.checkout_with(&variables, url, &world.commits[2]).expect("it works");
    assert_eq!(say(&world.target(), &["remote", "get-url", "origin"]), url);
    assert_eq!(say(&world.target(), &["rev-parse", "HEAD"]), world.commits[2]);
}

#[test]
fn a_second_checkout_asks_nobody_and_another_commit_replaces_the_first() {
    let world = World::new();
    let url = world.server.url("trainer");
    let [first, second, _] = &world.commits;
    world.checkout(&url, first).expect("it works");
    assert_eq!(head(&world.target()).expect("readable"), Some(first.parse().expect("a commit")));
    let asked = world.server.requests().len();
    assert_eq!(world.checkout(&url, first).expect("it works"), Outcome::AlreadyThere);
    assert_eq!(world.server.requests().len(), asked);

    // What Python leaves beside the modules is nobody's work.
    fs::create_dir(world.target().join("__pycache__")).expect("created");
    fs::write(world.target().join("__pycache__/train.pyc"), "x").expect("written");
    assert_eq!(
        world.checkout(&url, second).expect("it works"),
        Outcome::Replaced(first.parse().expect("a commit"))
    );
    assert_eq!(say(&world.target(), &["rev-parse", "HEAD"]), *second);
    assert_eq!(names(&world.target()), [".git", ".gitignore", "train.py", "utils"]);
    assert_eq!(names(&world.dir.path().join("vendor")), ["trainer"]);
}

#[test]
fn nothing_of_the_users_is_ever_replaced() {
    let check = |change: &dyn Fn(&Path), expected: &str| {
        let world = World::new();
        let [first, second, _] = &world.commits;
        let url = world.server.url("trainer");
        world.checkout(&url, first).expect("it works");
        change(&world.target());
        let error = Error::from(world.checkout(&url, second).expect_err("it would destroy something"));
        let shown = error.to_string().replace(&world.target().display().to_string(), "TRAINER");
        assert_eq!(shown.replace(&say(&world.target(), &["rev-parse", "HEAD"]), "HEAD"), expected);
        assert_eq!(error.kind().exit_code(), 2);
    };
    let edited = |files: &str| {
        format!(
            "error: `TRAINER` has files that a new checkout would destroy: {files}\n\n\
             hint: `dpgui setup --repair --discard` keeps edits as a patch and undoes them; move other files, or the \
             whole of `TRAINER`, to another place"
        )
    };
    check(&|at| fs::write(at.join("train.py"), "print(9)\n").expect("written"), &edited("`train.py`"));
    check(&|at| fs::remove_file(at.join("train.py")).expect("removed"), &edited("`train.py`"));
    check(&|at| fs::write(at.join("mine.toml"), "").expect("written"), &edited("`mine.toml`"));
    check(&|at| fs::write(at.join("ignored.log"), "").expect("written"), &edited("`ignored.log`"));
    check(
        &|at| (1..=7).for_each(|it| fs::write(at.join(format!("{it}.toml")), "").expect("written")),
        &edited("`1.toml`, `2.toml`, `3.toml`, `4.toml`, `5.toml` and 2 more"),
    );
    let moved = "error: `TRAINER` is at commit `HEAD`, which dpgui did not put there, or has branches\n\n\
                 hint: move `TRAINER` to another place, or pin `commit = \"HEAD\"` under `[sources]` in `dpgui.toml`";
    check(&|at| drop(say(at, &["switch", "--quiet", "--create", "mine"])), moved);
    let commit = [
        "-c",
        "user.name=me",
        "-c",
        "user.email=me@example.org",
        "commit",
        "--quiet",
        "--allow-empty",
        "-mx",
    ];
    check(&|at| drop(say(at, &commit)), moved);
    // To undo the edits alone would not help.
    let with_a_file = |at: &Path| {
        say(at, &commit);
        fs::write(at.join("mine.toml"), "").expect("written");
    };
    check(&with_a_file, moved);
}

#[test]
fn the_state_of_a_place_is_told_exactly() {
    let world = World::new();
    let [first, second, _] = &world.commits;
    let commit = |text: &str| text.parse().expect("a commit");
    assert_eq!(world.state(first), State::Absent);
    fs::create_dir_all(world.target()).expect("created");
    assert_eq!(world.state(first), State::Absent);
    fs::write(world.target().join("notes"), "").expect("written");
    assert_eq!(world.state(first), State::Foreign);
    fs::remove_file(world.target().join("notes")).expect("removed");

    world.checkout(&world.server.url("trainer"), first).expect("it works");
    assert_eq!(world.state(first), State::AtCommit);
    assert_eq!(world.state(second), State::OtherCommit { head: commit(first) });
    // More than the commit has is no fault as long as the commit stays.
    fs::write(world.target().join("notes"), "").expect("written");
    assert_eq!(world.state(first), State::AtCommit);
    fs::write(world.target().join("train.py"), "print(0)\n").expect("written");
    let State::Edited { head: at, files } = world.state(first) else { panic!("{:?}", world.state(first)) };
    assert_eq!((at, files.to_string(), files.count), (commit(first), "`train.py`".to_owned(), 1));
}

#[test]
fn a_link_to_a_checkout_of_the_users_own_is_used_but_never_replaced() {
    let world = World::new();
    let [.., second, third] = &world.commits;
    fs::create_dir_all(world.dir.path().join("vendor")).expect("created");
    let link = |to: &Path| {
        let _ = fs::remove_file(world.target());
        std::os::unix::fs::symlink(to, world.target()).expect("linked");
    };
    link(world.trainer.path());
    assert_eq!(world.state(third), State::AtCommit);
    assert_eq!(world.state(second), State::Foreign);
    link(Path::new("/nonexistent"));
    assert_eq!(world.state(third), State::Foreign);
}

#[test]
fn a_file_or_a_directory_in_the_way_is_left_alone() {
    let world = World::new();
    fs::create_dir_all(world.target()).expect("created");
    fs::write(world.target().join("thesis.txt"), "x").expect("written");
    let error =
        Error::from(world.checkout(&world.server.url("trainer"), &world.commits[0]).expect_err("in the way"));
    let at = world.target().display().to_string();
    assert_eq!(
        error.to_string().replace(&at, "TRAINER"),
        "error: `TRAINER` is in the way: it is not a checkout that dpgui made\n\n\
         hint: move `TRAINER` to another place"
    );
    assert_eq!(names(&world.target()), ["thesis.txt"]);
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_of_the_disk() {
    let world = World::new();
    fs::write(world.dir.path().join("vendor"), "a file, where a directory belongs").expect("written");
    let error =
        Error::from(world.checkout(&world.server.url("trainer"), &world.commits[0]).expect_err("no place"));
    let shown = error.to_string().replace(&world.dir.path().display().to_string(), "DIR");
    assert_eq!(
        shown,
        "error: cannot create the directory `DIR/vendor`\n  caused by: File exists (os error 17)"
    );
    assert_eq!(error.kind().exit_code(), 6);
}

#[test]
fn submodules_are_those_of_the_commit_that_is_checked_out() {
    let world = World::new();
    let comfy = GitRepository::init(&world.dir.path().join("srv/ComfyUI"));
    comfy.hand_out_any_commit().write("comfy/sd.py", "x");
    let (old, new) = (comfy.commit("old"), comfy.write("comfy/sd.py", "y").commit("new"));
    world.trainer.pin_submodule("submodules/ComfyUI", "../ComfyUI", &old);
    world.trainer.pin_submodule("submodules/flow", "https://github.example/lodestone/flow", &new);
    let pinned = world.trainer.commit("pin");
    world.trainer.pin_submodule("submodules/later", "../later", &old).commit("pin more");

    let url = world.server.url("trainer");
    world.checkout(&url, &pinned).expect("it works");
    let pins = submodule_pins(&world.target()).expect("readable");
    let expected = [
        ("ComfyUI", world.server.url("ComfyUI"), &old),
        ("flow", "https://github.example/lodestone/flow".to_owned(), &new),
    ];
    let expected = expected.map(|(name, url, commit)| SubmodulePin {
        name: format!("submodules/{name}"),
        path: Path::new("submodules").join(name),
        url,
        commit: commit.parse().expect("a commit"),
    });
    assert_eq!(pins, expected);
    // Their empty directories make the checkout neither dirty nor precious.
    assert_eq!(world.state(&pinned), State::AtCommit);
    assert_eq!(
        world.state(&world.commits[0]),
        State::OtherCommit { head: pinned.parse().expect("a commit") }
    );
    assert_eq!(
        world.checkout(&pins[0].url, &old).map_err(Error::from).expect("it works"),
        Outcome::Replaced(pinned.parse().expect("a commit"))
    );
    assert_eq!(fs::read_to_string(world.target().join("comfy/sd.py")).expect("there"), "x");
    assert_eq!(submodule_pins(&world.target()).expect("readable"), []);
}

#[test]
fn what_lies_in_the_place_of_a_submodule_is_not_destroyed() {
    let check = |fill: &dyn Fn(&World, &Path)| {
        let world = World::new();
        let [first, second, _] = &world.commits;
        let pinned = world.trainer.pin_submodule("submodules/x", "../trainer", first).commit("pin");
        let url = world.server.url("trainer");
        world.checkout(&url, &pinned).expect("it works");
        fill(&world, &world.target().join("submodules/x"));
        // It is no business of the commit that is there.
        assert_eq!(world.state(&pinned), State::AtCommit);
        let error = world.checkout(&url, second).expect_err("it would destroy something");
        let GitError::Edited { files, .. } = error else { panic!("{error}") };
        assert_eq!(files.some, ["submodules/x"]);
    };
    check(&|_, at| fs::write(at.join("mine.py"), "x").expect("written"));
    check(&|world, _| drop(say(&world.target(), &["submodule", "--quiet", "update", "--init"])));
}

#[test]
fn checkouts_side_by_side_do_not_see_each_others_failures() {
    let world = World::new();
    let git = Git::new(Http::new().expect("a client"), &Env::default()).expect("ready");
    let run = |name: &str, place: String| {
        let pin = pin(&world.server.url(name), &world.commits[1]);
        git.checkout(&pin, &world.dir.path().join(place), &mut |_| ()).map_err(|error| error.to_string())
    };
    let results = std::thread::scope(|scope| {
        let names = ["trainer", "missing", "trainer", "missing", "trainer"];
        let run = &run;
        let threads: Vec<_> =
            (0..).zip(names).map(|(n, name)| scope.spawn(move || run(name, n.to_string()))).collect();
        threads.into_iter().map(|it| it.join().expect("no panic")).collect::<Vec<_>>()
    });
    let missing = Err(format!("there is no repository at `{}`", world.server.url("missing")));
    let made = || Ok(Outcome::Made);
    assert_eq!(results, [made(), missing.clone(), made(), missing, made()]);
}

#[test]
fn a_changed_gitmodules_is_not_believed() {
    let world = World::new();
    let pinned = world.trainer.pin_submodule("submodules/x", "../x", &world.commits[0]).commit("pin");
    world.checkout(&world.server.url("trainer"), &pinned).expect("it works");
    let pins = submodule_pins(&world.target()).expect("readable");
    assert_eq!(pins.len(), 1);
    fs::write(world.target().join(".gitmodules"), "").expect("written");
    assert_eq!(submodule_pins(&world.target()).expect("readable"), pins);
}

#[test]
fn a_proxy_is_asked_as_for_downloads() {
    if is_child() {
        return;
    }
    let world = World::new();
    let url = "http://repositories.example/trainer";
    let mut child = child(&world, "git::a_proxy_is_asked_as_for_downloads", url, &world.commits[0]);
    child.env_remove("NO_PROXY").env_remove("no_proxy").env("http_proxy", world.server.url(""));
    assert!(child.status().expect("started").success());
    assert_eq!(say(&world.target(), &["rev-parse", "HEAD"]), world.commits[0]);
    let lines: Vec<String> = world.server.requests().iter().map(Request::line).collect();
    let post = format!("POST {url}/git-upload-pack");
    assert_eq!(lines, [format!("GET {url}/info/refs?service=git-upload-pack"), post.clone(), post]);
}

#[test]
fn settings_templates_and_variables_of_the_users_git_take_no_part() {
    if is_child() {
        return;
    }
    let world = World::new();
    let home = world.dir.path().join("home");
    fs::create_dir_all(home.join("template/hooks")).expect("created");
    fs::write(home.join("template/hooks/post-checkout"), "#!/bin/sh\ntouch hooked\n").expect("written");
    let settings = format!(
        "[core]\n\tautocrlf = true\n\tattributesFile = {0}/attributes\n\tsymlinks = false\n\
         [init]\n\ttemplateDir = {0}/template\n[filter \"shout\"]\n\tsmudge = tr a-z A-Z\n",
        home.display()
    );
    fs::write(home.join(".gitconfig"), settings).expect("written");
    fs::write(home.join("attributes"), "* filter=shout\n*.py eol=crlf\n").expect("written");

    let name = "git::settings_templates_and_variables_of_the_users_git_take_no_part";
    let mut child = child(&world, name, &world.server.url("trainer"), &world.commits[0]);
    child.env("HOME", &home).env("GIT_DIR", "/nonexistent").env("GIT_WORK_TREE", "/nonexistent");
    child.env("GIT_INDEX_FILE", "/nonexistent").env("GIT_OBJECT_DIRECTORY", "/nonexistent");
    assert!(child.status().expect("started").success());
    assert_eq!(fs::read_to_string(world.target().join("train.py")).expect("there"), "print(1)\n");
    assert_eq!(names(&world.target()), [".git", ".gitignore", "train.py"]);
    // libgit2's own template, which runs nothing.
    assert_eq!(names(&world.target().join(".git/hooks")), ["README.sample"]);
}

#[test]
fn a_process_that_is_killed_on_the_way_leaves_nothing_that_the_next_one_does_not_mend() {
    if is_child() {
        return;
    }
    let world = World::new();
    let (url, [first, second, _]) = (world.server.url("trainer"), &world.commits);
    world.checkout(&url, first).expect("it works");
    world.server.fail(Fault::Silence(100_000));
    let name = "git::a_process_that_is_killed_on_the_way_leaves_nothing_that_the_next_one_does_not_mend";
    let mut child = child(&world, name, &url, second).spawn().expect("started");
    world.server.wait_for_silence();
    child.kill().expect("killed");
    child.wait().expect("reaped");

    let vendor = world.dir.path().join("vendor");
    assert_eq!(names(&vendor), [format!(".trainer.tmp-{}", child.id()), "trainer".to_owned()]);
    assert_eq!(world.state(first), State::AtCommit);
    world.server.fail(None);
    assert_eq!(
        world.checkout(&url, second).expect("it works"),
        Outcome::Replaced(first.parse().expect("a commit"))
    );
    assert_eq!(names(&vendor), ["trainer"]);
    assert_eq!(world.state(second), State::AtCommit);
}
