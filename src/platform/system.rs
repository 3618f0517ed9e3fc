//! What kind of Linux this is: its kernel, its C library, and whether it runs inside of Windows.

use std::{fmt, fs, path::PathBuf, time::Duration};

use super::{Host, process::CommandSpec};

/// `getconf` and `ldd` only print a line.
const LIMIT: Duration = Duration::from_secs(5);

/// The C library of the system's own programs. Ours may have another one built in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Libc {
    Glibc(u32, u32),
    Musl,
    /// What was said instead.
    Unknown(String),
}

/// The Windows Subsystem for Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wsl {
    /// System calls are translated: no GPU.
    One,
    /// A virtual machine.
    Two,
}

/// `6.8.0-41-generic`.
pub fn kernel() -> String {
    nix::sys::utsname::uname().map(|it| it.release().to_string_lossy().into_owned()).unwrap_or_default()
}

/// Of the user whose rights count.
pub fn user_id() -> u32 {
    nix::unistd::geteuid().as_raw()
}

/// What this machine is called.
pub fn hostname() -> String {
    nix::sys::utsname::uname().map(|it| it.nodename().to_string_lossy().into_owned()).unwrap_or_default()
}

/// `None` on a Linux of its own.
pub fn wsl() -> Option<Wsl> {
    let is_vm = fs::exists("/run/WSL").unwrap_or(false) || fs::exists("/dev/dxg").unwrap_or(false);
    wsl_of(&kernel(), is_vm)
}

pub fn libc(host: &Host) -> Libc {
    let said = ask(host, "getconf", "GNU_LIBC_VERSION");
    match said.as_deref().and_then(parse_glibc) {
        Some(found) => found,
        // musl has no version to ask getconf for; its ldd names it and fails.
        None => libc_of_ldd(&ask(host, "ldd", "--version").or(said).unwrap_or_default()),
    }
}

/// The `.wslconfig` of the Windows users whose folder can be seen, with its text.
pub fn wsl_configs() -> Vec<(PathBuf, String)> {
    let Ok(users) = fs::read_dir("/mnt/c/Users") else { return vec![] };
    let files = users.flatten().map(|it| it.path().join(".wslconfig"));
    files.filter_map(|it| fs::read_to_string(&it).ok().map(|text| (it, text))).collect()
}

fn ask(host: &Host, program: &str, arg: &str) -> Option<String> {
    let path = which::which_in(program, host.env.get("PATH"), &host.cwd).ok()?;
    let said = CommandSpec::new(path, &host.env, &host.cwd).arg(arg).capture(LIMIT).ok()?;
    Some(format!("{}{}", said.stdout, said.stderr))
}

/// `glibc 2.39`
fn parse_glibc(said: &str) -> Option<Libc> {
    let (major, minor) = said.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some(Libc::Glibc(major.parse().ok()?, leading_number(minor)?))
}

/// `ldd (Ubuntu GLIBC 2.39-0ubuntu8) 2.39`, `musl libc (x86_64)`.
fn libc_of_ldd(said: &str) -> Libc {
    let first = said.lines().next().unwrap_or_default();
    if first.starts_with("musl") {
        return Libc::Musl;
    }
    let version = first.rsplit(' ').next().and_then(|it| it.split_once('.'));
    let version = version.and_then(|(major, minor)| Some((major.parse().ok()?, leading_number(minor)?)));
    match version {
        Some((major, minor)) if first.starts_with("ldd ") => Libc::Glibc(major, minor),
        _ => Libc::Unknown(first.to_owned()),
    }
}

fn leading_number(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Version 1 calls its kernel `4.4.0-19041-Microsoft`, version 2 `5.15.153.1-microsoft-standard-WSL2`; who builds a
/// kernel for version 2 may call it anything.
fn wsl_of(kernel: &str, is_vm: bool) -> Option<Wsl> {
    if kernel.ends_with("-Microsoft") {
        return Some(Wsl::One);
    }
    (is_vm || kernel.contains("microsoft") || kernel.contains("WSL2")).then_some(Wsl::Two)
}

impl fmt::Display for Libc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glibc(major, minor) => write!(f, "glibc {major}.{minor}"),
            Self::Musl => f.write_str("musl"),
            Self::Unknown(said) if said.is_empty() => f.write_str("an unknown C library"),
            Self::Unknown(said) => write!(f, "an unknown C library (`{said}`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_c_library_is_known_by_what_the_system_says_of_it() {
        assert_eq!(parse_glibc("glibc 2.39\n"), Some(Libc::Glibc(2, 39)));
        assert_eq!(parse_glibc("getconf: Unrecognized variable"), None);
        let check = |said: &str, expected| assert_eq!(libc_of_ldd(said), expected, "{said}");
        check("ldd (Ubuntu GLIBC 2.39-0ubuntu8.4) 2.39\nCopyright", Libc::Glibc(2, 39));
        check("ldd (GNU libc) 2.28\n", Libc::Glibc(2, 28));
        check("musl libc (x86_64)\nVersion 1.2.5", Libc::Musl);
        check("", Libc::Unknown(String::new()));
    }

    #[test]
    fn both_kinds_of_wsl_are_told_apart_from_a_linux_of_its_own() {
        let check = |kernel, is_vm, expected| assert_eq!(wsl_of(kernel, is_vm), expected, "{kernel}");
        check("4.4.0-19041-Microsoft", false, Some(Wsl::One));
        check("5.15.153.1-microsoft-standard-WSL2", false, Some(Wsl::Two));
        check("6.6.9-my-own", true, Some(Wsl::Two));
        check("6.8.0-41-generic", false, None);
        check("6.5.0-1025-azure", false, None);
    }
}
