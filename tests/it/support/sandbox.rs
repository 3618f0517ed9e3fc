//! A home, a workspace and an environment of a test's own, and the real program run in them.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use tempfile::TempDir;

/// What a test may need of the machine: where programs are, and how this network is reached.
const PASSED_ON: [&str; 14] = [
    "PATH",
    "LANG",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_INDEX_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
];

pub(crate) struct Sandbox {
    dir: TempDir,
    env: BTreeMap<OsString, OsString>,
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The download cache of the tests that fetch gigabytes, and of `tests/all.sh`.
pub(crate) fn shared_cache() -> PathBuf {
    std::env::var_os("DPGUI_CACHE_DIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"), PathBuf::from)
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::at(TempDir::with_prefix("dpgui-test-").expect("a temp dir"))
    }

    /// On the file system of the build, where there is room for gigabytes.
    pub(crate) fn beside_the_cache() -> Self {
        let dir = TempDir::with_prefix_in("dpgui-test-", env!("CARGO_TARGET_TMPDIR"));
        Self::at(dir.expect("a temp dir"))
    }

    fn at(dir: TempDir) -> Self {
        let mut env: BTreeMap<OsString, OsString> = PASSED_ON
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
            .collect();
        let home = dir.path().join("home");
        fs::create_dir(&home).expect("created");
        fs::create_dir(dir.path().join("w")).expect("created");
        env.insert("HOME".into(), home.into());
        // No GPU of this machine takes part unless a test says so.
        env.insert("DPGUI_GPU_SOURCE".into(), "none".into());
        // Nor is the web page built, which takes packages and time, unless that is what is tested.
        env.insert("DPGUI_PAGE".into(), "no".into());
        Self { dir, env }
    }

    /// Another machine with the same home, the same workspace and the same environment.
    pub(crate) fn copy(&self) -> Self {
        let mut copy = Self::new();
        let copied = Command::new("cp")
            .arg("-a")
            .args([self.path("w"), self.path("home")])
            .arg(copy.path(""))
            .status();
        assert!(copied.expect("cp starts").success(), "copied");
        let home = copy.path("home");
        copy.env = self.env.clone();
        copy.env("HOME", home);
        copy
    }

    /// As somebody who may write only where everybody may. Root may write anywhere, so where the tests run as root the
    /// program runs as nobody, from where nobody may read.
    pub(crate) fn dpgui_as_nobody(&self, args: &[&str]) -> Said {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(self.path(""), fs::Permissions::from_mode(0o755)).expect("permissions are set");
        let program = self.path("dpgui");
        fs::copy(env!("CARGO_BIN_EXE_dpgui"), &program).expect("copied");
        let is_root = nix::unistd::geteuid().is_root();
        let mut command = Command::new(if is_root { "setpriv".as_ref() } else { program.as_path() });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        }
        let usual = self.command(&[]);
        command.env_clear().envs(usual.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("PATH", "/usr/bin:/bin").args(args).current_dir(self.root());
        Said::from(command.output().expect("it starts"))
    }

    /// The workspace's directory.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("w")
    }

    /// Something in the test's own directory.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        // The program prints real paths, and a temp dir may lie behind a link.
        self.dir.path().canonicalize().expect("there").join(name)
    }

    pub(crate) fn env(&mut self, name: &str, value: impl Into<OsString>) -> &mut Self {
        self.env.insert(name.into(), value.into());
        self
    }

    pub(crate) fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("created");
        fs::write(&path, text).expect("written");
        path
    }

    /// A program of the test's own, first on `PATH`.
    pub(crate) fn program(&mut self, name: &str, script: &str) -> &mut Self {
        let path = self.write(Path::new("bin").join(name), script);
        make_executable(&path);
        let old = self.env.get(&OsString::from("PATH")).cloned().unwrap_or_default();
        let bin = self.path("bin");
        if !std::env::split_paths(&old).any(|it| it == bin) {
            let all = std::iter::once(bin).chain(std::env::split_paths(&old));
            let joined = std::env::join_paths(all).expect("joined");
            self.env.insert("PATH".into(), joined);
        }
        self
    }

    /// The program in the workspace, with this environment and nothing else.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dpgui"));
        command.args(args).env_clear().envs(&self.env).current_dir(self.root()).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn dpgui(&self, args: &[&str]) -> Said {
        Said::from(self.command(args).output().expect("the program starts"))
    }

    /// `text` with the test's own directory as `DIR`.
    pub(crate) fn neutral(&self, text: &str) -> String {
        text.replace(&self.path("").display().to_string(), "DIR/")
    }
}

impl Said {
    /// The output of a run that must have ended well.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// The JSON objects on stdout.
    pub(crate) fn events(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

impl std::fmt::Display for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit code {:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub(crate) fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("made executable");
}
