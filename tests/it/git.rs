//! Checkouts of pinned commits: real repositories, real HTTP, the `git` program as the judge of what came out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use dpgui::{
    error::Error,
    platform::{Env, net::Http},
    vendor::git::{
        Git, GitError, GitProgress, Outcome, Pin, State, SubmodulePin, head, inspect, submodule_pins,
    },
};
use tempfile::TempDir;

use crate::support::{
    git_repository::{GitRepository, say},
    git_server::{Fault, GitServer},
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
    Pin { url: url.to_owned(), commit: commit.parse().expect("a commit") }
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

    let requests = world.server.requests();
    let lines: Vec<String> = requests.iter().map(|it| it.line()).collect();
    let post = "POST /trainer/git-upload-pack";
    assert_eq!(lines, ["GET /trainer/info/refs?service=git-upload-pack", post, post]);
    let agent = concat!("git/2.0 (dpgui ", env!("CARGO_PKG_VERSION"), ")");
    assert_eq!(requests[0].header("user-agent"), Some(agent));
    assert!(seen.iter().any(|it| matches!(it, GitProgress::Receiving { objects: 6, of: 6, .. })), "{seen:?}");
    assert_eq!(seen.last(), Some(&GitProgress::Writing { files: 3, of: 3 }));
}
