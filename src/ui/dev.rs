//! `dpgui ui --dev`, for people who change the page: Vite's server, which has the page's port and hands requests on to ours.
//!
//! Both end together: Vite is killed with all that it started when the server ends, also when that is killed.

use std::{net::Ipv4Addr, path::Path};

use crate::{
    output::Output,
    platform::{
        Host, fs,
        halt::Halt,
        ports::{self, Port},
        process::{CommandSpec, ProcessError},
    },
    workspace::Workspace,
};

use super::{Server, UiError, Wish};

/// How both are started: the page at `port`, the API at any that is free.
pub fn wish(port: u16) -> Wish {
    let names = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("{name}:{port}"));
    Wish { address: Ipv4Addr::LOCALHOST.into(), port: 0, names: names.into(), page: None }
}

/// What Vite is started with.
///
/// # Errors
/// When `web` is not the page's folder, its packages are not there, or the port is taken.
pub fn vite(host: &Host, workspace: &Workspace, web: &Path, port: u16) -> Result<CommandSpec, UiError> {
    let program = web.join("node_modules/vite/bin/vite.js");
    if !fs::is_file(&web.join("vite.config.ts")) {
        return Err(UiError::NoSources { folder: web.to_owned() });
    }
    if !fs::is_file(&program) {
        return Err(UiError::NoPackages { folder: web.to_owned() });
    }
    if let Port::Taken(holder) = ports::look(port) {
        return Err(UiError::taken(port, holder));
    }
    let mut env = host.env.clone();
    env.prepend_path(&[workspace.tools().join("node/bin")]);
    let node = which::which_in("node", env.get("PATH"), web).map_err(|_| UiError::NoNode)?;
    let spec = CommandSpec::new(node, &env, web).arg(program);
    Ok(spec.args(["--port", &port.to_string(), "--strictPort", "--clearScreen", "false"]))
}

/// Serves with Vite beside, until either ends.
///
/// # Errors
/// When Vite cannot be started, or ends by itself.
pub fn run(server: Server, mut vite: CommandSpec, output: &Output) -> Result<(), UiError> {
    vite.env.set("DPGUI_API", format!("http://127.0.0.1:{}", server.port()));
    let (halt, end) = (Halt::default(), server.ender());
    let ended = std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            let ended: Result<_, ProcessError> = vite.stream(&halt, |_| (), &mut |line| output.note(line));
            end();
            ended
        });
        server.run();
        halt.call();
        beside.join()
    });
    match ended {
        Ok(Ok(status)) if !status.success() && !halt.is_called() => Err(UiError::Vite),
        Ok(Ok(_)) | Err(_) => Ok(()),
        Ok(Err(cause)) => Err(cause.into()),
    }
}
