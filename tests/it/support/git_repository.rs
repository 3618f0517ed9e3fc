//! Real repositories, made with the `git` program, shielded from the settings of whoever runs the tests.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The `git` program with nothing of the user's: no settings, no hooks, fixed names and dates.
pub(crate) fn git(dir: &Path) -> Command {
    let mut git = Command::new("git");
    git.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).current_dir(dir);
    git.envs([("HOME", "/nonexistent"), ("GIT_CONFIG_NOSYSTEM", "1"), ("LC_ALL", "C")]);
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "Somebody");
        git.env(format!("GIT_{who}_EMAIL"), "somebody@example.org");
        git.env(format!("GIT_{who}_DATE"), "2026-01-02T03:04:05Z");
    }
    git
}

/// What `git ARGS` prints in `dir`, without the last line break. It must succeed.
pub(crate) fn say(dir: &Path, args: &[&str]) -> String {
    let done = git(dir).args(args).output().expect("git is installed");
    assert!(done.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text").trim_end().to_owned()
}

/// A repository that a test fills, commit by commit.
pub(crate) struct GitRepository {
    path: PathBuf,
}

impl GitRepository {
    pub(crate) fn init(path: &Path) -> Self {
        fs::create_dir_all(path).expect("created");
        say(path, &["init", "--quiet", "--initial-branch=main", "--template="]);
        Self { path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A setting of the repository, such as what its server hands out.
    pub(crate) fn set(&self, key: &str, value: &str) -> &Self {
        say(&self.path, &["config", key, value]);
        self
    }

    /// Servers such as GitHub's give out any commit that is asked for by its number.
    pub(crate) fn hand_out_any_commit(&self) -> &Self {
        self.set("uploadpack.allowAnySHA1InWant", "true")
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(path, content).expect("written");
        self
    }

    /// Pins `commit` of the repository at `url` as the submodule `path`.
    pub(crate) fn pin_submodule(&self, path: &str, url: &str, commit: &str) -> &Self {
        let mut declarations = fs::read_to_string(self.path.join(".gitmodules")).unwrap_or_default();
        declarations.extend([format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {url}\n")]);
        self.write(".gitmodules", declarations);
        fs::create_dir_all(self.path.join(path)).expect("created");
        say(&self.path, &["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
        self
    }

    /// Has no submodule `path` any more.
    pub(crate) fn drop_submodule(&self, path: &str) -> &Self {
        say(&self.path, &["rm", "--quiet", path]);
        self
    }

    /// Makes `commit` the newest one again.
    pub(crate) fn reset_to(&self, commit: &str) {
        say(&self.path, &["reset", "--quiet", "--hard", commit]);
    }

    /// Commits everything and returns the commit's number.
    pub(crate) fn commit(&self, message: &str) -> String {
        say(&self.path, &["add", "--all", "--", ":!submodules"]);
        say(&self.path, &["commit", "--quiet", "--allow-empty", "--message", message]);
        say(&self.path, &["rev-parse", "HEAD"])
    }
}
