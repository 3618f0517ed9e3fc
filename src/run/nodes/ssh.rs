//! The way to another machine: the user's own ssh, with his configuration, keys and agent.

use std::path::Path;

use crate::{
    platform::{
        Host,
        process::{CommandSpec, as_typed},
    },
    workspace::Workspace,
};

/// Nobody is there to be asked, and a connection of which nothing is heard for 15 s is broken: a cut network tells nothing.
const OPTIONS: [&str; 6] = [
    "-T",
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "-oServerAliveInterval=5",
    "-oServerAliveCountMax=3",
    "-oLogLevel=ERROR",
];

/// `dpgui ARGS` there, by the same path and in the same workspace as here.
pub(super) fn dpgui(host: &Host, workspace: &Workspace, node: &str, args: &[&str]) -> CommandSpec {
    let words = [host.program.as_os_str(), "-C".as_ref(), workspace.root().as_os_str()];
    // One word for the shell there, which makes several of it.
    let words = as_typed(words.into_iter().chain(args.iter().map(AsRef::as_ref)));
    CommandSpec::new("ssh", &host.env, Path::new("/")).args(OPTIONS).args(["--", node]).arg(words)
}
