//! Two machines: this one, and one that a real sshd makes of it, with processes, a home and a workspace of its own.
//!
//! The other one is a pair of namespaces in which its folders lie over those of the first, so that both have the same
//! paths. To end it is to pull the plug.

use std::{
    fs,
    io::{self, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{
    lab::{Lab, Run, until},
    sandbox::Said,
};

/// The other machine's address.
pub(crate) const OTHER: &str = "127.0.0.2";

pub(crate) struct Cluster {
    /// The first machine.
    pub(crate) lab: Lab,
    sshd: Child,
}

impl Cluster {
    /// `knobs` are those of `tests/fakes/deepspeed.py`, for both. None where there can be no second machine.
    pub(crate) fn new(knobs: &[(&str, &str)]) -> Option<Self> {
        is_possible().then(|| Self::of(Lab::new(knobs), "configs/tiny.toml", (knobs, &["w", "home"])))
    }

    /// With one workspace for both, as on a cluster.
    pub(crate) fn with_one_workspace(knobs: &[(&str, &str)]) -> Option<Self> {
        is_possible().then(|| Self::of(Lab::new(knobs), "configs/tiny.toml", (knobs, &["home"])))
    }

    /// With the real DeepSpeed and the demo's trainer, a rank a machine.
    pub(crate) fn with_deepspeed() -> Option<Self> {
        is_possible().then(|| Self::of(Lab::with_deepspeed(), "configs/demo.toml", (&[], &["w", "home"])))
    }

    fn of(mut lab: Lab, config: &str, (knobs, own): (&[(&str, &str)], &[&str])) -> Self {
        let shared = lab.sandbox.path("shared");
        fs::create_dir(&shared).expect("created");
        let original = fs::read_to_string(lab.sandbox.root().join(config)).expect("there");
        let line = original.lines().find(|line| line.starts_with("output_dir = ")).expect("there");
        lab.change(config, line, &format!("output_dir = '{}'", shared.display()));
        lab.sandbox.write("w/hosts", format!("127.0.0.1 slots=1\n{OTHER} slots=1\n"));
        let path = lab.sandbox.root().join("dpgui.toml");
        let settings = fs::read_to_string(&path).unwrap_or_default();
        fs::write(path, format!("{settings}\n[runs]\nnode-patience = '6 s'\n")).expect("written");
        fs::create_dir(lab.sandbox.path("other")).expect("created");
        run(
            "cp",
            &[
                "-a",
                &text(&lab.sandbox.path("w")),
                &text(&lab.sandbox.path("home")),
                &text(&lab.sandbox.path("other")),
            ],
        );
        for key in ["host-key", "user-key"] {
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", &text(&lab.sandbox.path(key))]);
        }
        let port = TcpListener::bind((OTHER, 0)).expect("an address").local_addr().expect("a port").port();
        let client = lab.sandbox.write(
            "ssh_config",
            format!(
                "Host {OTHER}\n Port {port}\n IdentityFile {}\n UserKnownHostsFile /dev/null\n \
                 StrictHostKeyChecking no\n",
                lab.sandbox.path("user-key").display()
            ),
        );
        lab.sandbox
            .program("ssh", &format!("#!/bin/sh\nexec /usr/bin/ssh -F '{}' \"$@\"\n", client.display()));
        let sshd = start(&lab, port, knobs, own);
        Self { lab, sshd }
    }

    pub(crate) fn train(&self, args: &[&str]) -> Said {
        self.lab.train(&[&["--hostfile", "hosts"], args].concat())
    }

    /// The run at the first machine, in the background, and its part on the other one.
    pub(crate) fn detached(&self, args: &[&str]) -> (Run, Run) {
        let run = self.lab.detached(&[&["--hostfile", "hosts"], args].concat());
        (run, self.part())
    }

    /// The only run on the other machine, waited for.
    pub(crate) fn part(&self) -> Run {
        until("the other machine has a run", || {
            let entries = fs::read_dir(self.other("w/runs")).ok()?.flatten();
            let path = entries.map(|it| it.path()).find(|it| it.join("spec.json").exists())?;
            Some(Run { path })
        })
    }

    /// That of one of several runs.
    pub(crate) fn part_of(&self, run: &Run) -> Run {
        until("the other machine has a part of it", || {
            let entries = fs::read_dir(self.other("w/runs")).ok()?.flatten();
            let mut parts = entries.map(|it| Run { path: it.path() });
            parts.find(|it| it.json("spec.json").is_some_and(|it| it["part"]["of"]["run"] == run.id()))
        })
    }

    /// `dpgui ARGS` there, as somebody would have it run over ssh.
    pub(crate) fn there(&self, args: &[&str]) -> Said {
        let root = self.lab.sandbox.root();
        let mut words = vec![env!("CARGO_BIN_EXE_dpgui"), "-C", root.to_str().expect("text")];
        words.extend(args);
        let mut ssh = Command::new(self.lab.sandbox.path("bin/ssh"));
        Said::from(
            ssh.arg(OTHER)
                .arg(format!("cd '{}' && {}", root.display(), words.join(" ")))
                .output()
                .expect("ssh starts"),
        )
    }

    /// Something on the other machine, as seen from here.
    pub(crate) fn other(&self, name: &str) -> PathBuf {
        self.lab.sandbox.path("other").join(name)
    }

    /// Everything on the other machine is gone at once.
    pub(crate) fn pull_the_plug(&mut self) {
        self.sshd.kill().expect("killed");
        self.sshd.wait().expect("ended");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// `tests/all.sh` says aloud where it is not.
fn is_possible() -> bool {
    assert!(Path::new("/usr/sbin/sshd").exists(), "openssh-server is not installed");
    let namespaces = ["--mount", "--pid", "--fork", "--mount-proc", "true"];
    let made = Command::new("unshare").args(namespaces).status().is_ok_and(|it| it.success());
    if !made {
        let _ = writeln!(
            io::stderr(),
            "NOT TESTED: there can be no second machine here: root and `unshare` are missing"
        );
    }
    made
}

fn start(lab: &Lab, port: u16, knobs: &[(&str, &str)], own: &[&str]) -> Child {
    let path = |name: &str| text(&lab.sandbox.path(name));
    let knobs: Vec<String> = knobs.iter().map(|(name, value)| format!(" FAKE_{name}={value}")).collect();
    let knobs = knobs.concat();
    let server = lab.sandbox.write(
        "sshd_config",
        format!(
            "Port {port}\nListenAddress {OTHER}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nSetEnv HOME={} DPGUI_GPU_SOURCE=none{knobs}\n",
            path("host-key"),
            path("user-key.pub"),
            path("home"),
        ),
    );
    // Where sshd keeps the process that talks to strangers.
    fs::create_dir_all("/run/sshd").expect("created");
    let over =
        |name: &&str| format!("mount --bind '{}' '{}' && ", path(&format!("other/{name}")), path(name));
    let mounts: Vec<String> = own.iter().map(over).collect();
    let script = format!("{} exec /usr/sbin/sshd -D -e -f '{}'", mounts.concat(), text(&server));
    let log = fs::File::create(lab.sandbox.path("sshd.log")).expect("created");
    let sshd = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &script])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("unshare starts");
    until("sshd listens", || std::net::TcpStream::connect((OTHER, port)).ok());
    sshd
}

fn run(program: &str, args: &[&str]) {
    assert!(Command::new(program).args(args).status().expect("it starts").success(), "{program} {args:?}");
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
