//! What the end of a login does to the processes that were started in it.

use std::{path::Path, time::Duration};

use super::{Host, fs, process::CommandSpec};

/// A login manager or a user manager that does not answer is none.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happens to a process of ours when the user logs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Logout {
    /// Nothing: nobody looks after logins here, or they leave processes alone.
    Harmless,
    /// The login manager kills it, unless the user's own manager has it.
    Kills {
        /// The user's manager can be asked to have it.
        manager: bool,
        /// It goes on when the user has logged out.
        lingers: bool,
    },
}

/// Asks systemd's login manager, where there is one. Source: `logind.conf(5)`, `KillUserProcesses=`; `loginctl(1)`.
pub fn at_logout(host: &Host) -> Logout {
    if host.env.get("XDG_SESSION_ID").is_none() {
        return Logout::Harmless;
    }
    let ask = |program: &str, args: &[&str]| {
        let command = CommandSpec::new(program, &host.env, Path::new("/")).args(args.iter().copied());
        command.capture(PATIENCE).ok().filter(super::process::Captured::success).map(|it| it.stdout)
    };
    let kills = ask("loginctl", &["show-session", "--property=KillUserProcesses"]);
    if kills.is_none_or(|it| it.trim() != "KillUserProcesses=yes") {
        return Logout::Harmless;
    }
    let user = host.env.text("USER").unwrap_or_default();
    let lingers = fs::exists(&Path::new("/var/lib/systemd/linger").join(user))
        || ask("loginctl", &["show-user", user, "--property=Linger"])
            .is_some_and(|it| it.trim() == "Linger=yes");
    let manager = ask("systemctl", &["--user", "show", "--property=Version"]).is_some();
    Logout::Kills { manager, lingers }
}

/// `command` in a scope of the user's manager, which is not a part of the login: see `systemd-run(1)`. The process
/// stays the same, it becomes the command.
pub fn in_scope(name: &str, command: CommandSpec) -> CommandSpec {
    let unit = format!("--unit={name}");
    command.started_by("systemd-run", &["--user", "--scope", "--quiet", "--collect", &unit, "--"])
}
