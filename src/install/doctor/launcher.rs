//! The program that starts a training: whether it is there and starts.

use std::time::Duration;

use crate::{
    error::Error,
    platform::{fs, process::CommandSpec},
};

use super::{Scene, check::Check};

/// It imports all of DeepSpeed, and torch with it, perhaps from a slow disk.
const LIMIT: Duration = Duration::from_mins(4);

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let workspace = &scene.site.workspace;
    if !fs::is_file(&workspace.python()) {
        return vec![];
    }
    let launcher = workspace.venv().join("bin/deepspeed");
    let shown = launcher.display();
    let broken = |told: String| {
        vec![Check::problem("launcher", told).advise("`dpgui setup --repair` makes the environment anew")]
    };
    if !fs::is_executable(&launcher) {
        return broken(format!("`{shown}` is not there or cannot be started"));
    }
    if !scene.deep {
        return vec![Check::ok("launcher", format_args!("`{shown}`"))];
    }
    let command = CommandSpec::new(&launcher, &scene.site.tool_env(), workspace.root()).arg("--help");
    match command.capture(LIMIT) {
        Ok(said) if said.success() => vec![Check::ok("launcher", format_args!("`{shown}` starts"))],
        Ok(said) => {
            let tail = said.tail();
            broken(format!("`{shown}` does not start: {}", tail.lines().last().unwrap_or("it says nothing")))
        }
        Err(error) => broken(Error::from(error).messages().join(": ")),
    }
}
