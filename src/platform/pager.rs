//! A long text for eyes: through the user's pager, as git and man have it.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{env::Env, signal};

/// Shows `text` and returns when it was left. `false` where there is no pager.
///
/// # Errors
/// When Ctrl-C, which belongs to the pager meanwhile, cannot be caught, or the pager cannot be waited for.
pub fn show(env: &Env, text: &str) -> io::Result<bool> {
    let Some(pager) = env.text("PAGER").map(str::to_owned).or_else(|| usual(env)) else { return Ok(false) };
    let reads = Arc::new(AtomicBool::new(true));
    let seen = Arc::clone(&reads);
    signal::catch_interrupts(move |_| {
        if !seen.load(Ordering::SeqCst) {
            signal::end_interrupted();
        }
    })?;
    // It may be given with arguments, or be a line for a shell.
    let mut command = Command::new("sh");
    command.args(["-c", &pager]).stdin(Stdio::piped()).env_clear().envs(env.iter());
    if env.text("LESS").is_none() {
        // What fits on the screen is not waited for, and stays on it.
        command.env("LESS", "FX");
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // Whoever leaves before the end has seen enough.
        let _ = input.write_all(text.as_bytes());
    }
    child.wait()?;
    reads.store(false, Ordering::SeqCst);
    Ok(true)
}

fn usual(env: &Env) -> Option<String> {
    let path = env.get("PATH")?;
    ["less", "more"].into_iter().find(|it| which::which_in(it, Some(path), "/").is_ok()).map(str::to_owned)
}
