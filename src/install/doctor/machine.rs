//! The machine itself: its kernel and C library, memory, shared memory, limits, clock; Windows around it.

use std::path::Path;

use jiff::{Timestamp, ToSpan};

use crate::{
    output::size,
    platform::{
        cgroup, clock, fs,
        limits::{self, Limit},
        memory, mounts,
        system::{self, Libc, Wsl},
    },
};

use super::{
    Scene,
    check::{Check, Verdict},
};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// torch's and pyarrow's wheels are `manylinux_2_28`.
const OLDEST_GLIBC: (u32, u32) = (2, 28);

/// Older kernels let training processes hang: Hugging Face Accelerate's `check_os_kernel`.
const OLDEST_KERNEL: (u32, u32) = (5, 5);

/// With less, users of the trainer are stuck when it loads the text encoders and the model (diffusion-pipe issues #78,
/// #340); the kernel keeps some of 16 and 32 GiB for itself.
const LITTLE_MEMORY: u64 = 15 * GIB;
const MUCH_MEMORY: u64 = 30 * GIB;

/// What Docker gives a container that asks for nothing.
const DOCKERS_SHM: u64 = 64 * MIB;

/// `DataLoader`'s workers and NCCL hand tensors over in it.
const LITTLE_SHM: u64 = GIB;

/// Each worker holds a descriptor for every tensor that it shares.
const FEW_FILES: u64 = 4096;

/// The kernel's old limit, too little for NCCL over `InfiniBand`.
const LITTLE_LOCKED: u64 = 64 * 1024;

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let host = &scene.site.host;
    let kernel = system::kernel();
    let total = memory::sample().map_or(0, |it| it.total);
    let mut checks = vec![
        Check::ok("architecture", host.arch),
        judge_libc(&system::libc(host)),
        judge_kernel(&kernel),
        judge_memory(total, cgroup::memory_limit(), memory::swap().unwrap_or(0)),
        judge_shm(
            mounts::space(Path::new("/dev/shm"))
                .ok()
                .filter(|_| fs::is_dir(Path::new("/dev/shm")))
                .map(|it| it.total),
        ),
        judge_files(limits::open_files()),
        judge_locked(limits::locked_memory()),
        judge_clock(clock::now(), fs::modified(&host.program).ok()),
    ];
    if let Some(wsl) = system::wsl() {
        let configs = system::wsl_configs();
        let limit = configs.iter().find_map(|(path, text)| Some((path.as_path(), memory_line(text)?)));
        checks.push(judge_wsl(wsl, total, limit));
    }
    checks
}

fn judge_libc(libc: &Libc) -> Check {
    let (major, minor) = OLDEST_GLIBC;
    let needed = format!("torch's wheels need glibc {major}.{minor} or newer");
    let advice = "use a newer system: Ubuntu 20.04, Debian 10, RHEL 8 or what came after them";
    match libc {
        Libc::Glibc(major, minor) if (*major, *minor) >= OLDEST_GLIBC => Check::ok("glibc", libc),
        Libc::Glibc(..) => Check::problem("glibc", format_args!("{libc}; {needed}")).advise(advice),
        Libc::Musl => Check::problem("glibc", format_args!("this system is built on musl; {needed}"))
            .advise("use a system with glibc: not Alpine, but Debian, Ubuntu, Fedora"),
        Libc::Unknown(_) => Check::note("glibc", format_args!("{libc}; {needed}")),
    }
}

fn judge_kernel(release: &str) -> Check {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|it| it.parse::<u32>().ok());
    let version = numbers.next().flatten().zip(numbers.next().flatten());
    if version.is_some_and(|it| it < OLDEST_KERNEL) {
        let (major, minor) = OLDEST_KERNEL;
        return Check::note(
            "kernel",
            format_args!("Linux {release}: before {major}.{minor} trainings may hang"),
        );
    }
    Check::ok("kernel", format_args!("Linux {release}"))
}

fn judge_memory(total: u64, limit: Option<u64>, swap: u64) -> Check {
    let usable = limit.map_or(total, |it| it.min(total));
    let swap = if swap == 0 { "no swap".to_owned() } else { format!("{} of swap", size::bytes(swap)) };
    let of_which = if usable < total {
        format!(
            "{} of {} may be used here (a control group's limit)",
            size::bytes(usable),
            size::bytes(total)
        )
    } else {
        size::bytes(total)
    };
    let verdict = match usable {
        ..LITTLE_MEMORY => Verdict::Warning,
        LITTLE_MEMORY..MUCH_MEMORY => Verdict::Note,
        MUCH_MEMORY.. => Verdict::Ok,
    };
    let check = Check::new("memory", verdict, format_args!("{of_which}, {swap}"));
    match verdict {
        Verdict::Ok => check,
        _ if usable < total => {
            check.advise("big models need more: raise the container's limit (`--memory`), the batch job's or the service's")
        }
        _ => check.advise("big models need more when they load: use smaller ones, or a machine with 32 GiB and more"),
    }
}

fn judge_shm(total: Option<u64>) -> Check {
    let id = "dev-shm";
    let Some(total) = total else {
        return Check::warning(id, "`/dev/shm` is not there; workers and NCCL hand tensors over in it")
            .advise("mount it: `mount -t tmpfs -o size=16g tmpfs /dev/shm` as root");
    };
    let found = format!("`/dev/shm` holds {}", size::bytes(total));
    match total {
        LITTLE_SHM.. => Check::ok(id, found),
        DOCKERS_SHM => Check::warning(
            id,
            format_args!("{found}, Docker's default; workers and NCCL hand tensors over in it"),
        )
        .advise("start the container with `--shm-size=16g` or `--ipc=host`"),
        _ => Check::warning(id, format_args!("{found}; workers and NCCL hand tensors over in it"))
            .advise("make it larger: `mount -o remount,size=16g /dev/shm` as root"),
    }
}

fn judge_files(limit: Limit) -> Check {
    let id = "open-files";
    let most = limit.soft.map_or("any number of files".to_owned(), |it| format!("{it} files"));
    let Some(soft) = limit.soft.filter(|it| *it < FEW_FILES) else {
        return Check::ok(id, format_args!("{most} may be open at the same time"));
    };
    let check =
        Check::warning(id, format_args!("only {soft} files may be open at the same time (`ulimit -n`)"));
    if limit.hard.is_none_or(|it| it >= FEW_FILES) {
        let most = limit.hard.map_or(65536, |it| it.min(65536));
        check.advise(format_args!("in the shell that starts the training: `ulimit -n {most}`"))
    } else {
        check.advise("raise `nofile` in `/etc/security/limits.conf`, or start the container with `--ulimit nofile=65536`")
    }
}

fn judge_locked(limit: Limit) -> Check {
    match limit.soft {
        Some(soft) if soft <= LITTLE_LOCKED => Check::note(
            "locked-memory",
            format_args!("{} at most (`ulimit -l`), too little for NCCL over InfiniBand", size::bytes(soft)),
        ),
        Some(soft) => Check::ok("locked-memory", format_args!("{} at most", size::bytes(soft))),
        None => Check::ok("locked-memory", "unlimited"),
    }
}

/// A clock that was set back makes certificates invalid, and files seem older than what they were made from. This
/// program cannot have been built in the future.
fn judge_clock(now: Timestamp, built: Option<Timestamp>) -> Check {
    match built {
        // Time zones are no matter here, but machines that build and machines that train are never quite together.
        Some(built) if now < built - 24.hours() => Check::problem(
            "clock",
            format_args!("it is {}, says the clock, and this dpgui is of {}", shown(now), shown(built)),
        )
        .advise("set the clock: `timedatectl set-ntp true`; under WSL, `hwclock -s` as root"),
        _ => Check::ok("clock", shown(now)),
    }
}

fn shown(time: Timestamp) -> impl std::fmt::Display {
    time.strftime("%Y-%m-%d %H:%M UTC")
}

/// `limit`: the file of Windows and what it says of memory.
fn judge_wsl(wsl: Wsl, total: u64, limit: Option<(&Path, &str)>) -> Check {
    let id = "wsl";
    if wsl == Wsl::One {
        return Check::problem(id, "this is WSL 1, which has no GPU")
            .advise("in a Windows terminal: `wsl --set-version NAME 2`, NAME as in `wsl --list`");
    }
    let total = size::bytes(total);
    match limit {
        Some((path, line)) => Check::ok(id, format_args!("WSL 2 with {total}; `{}` says `{line}`", path.display())),
        None => Check::note(id, format_args!("WSL 2 with {total}: by itself it takes half of Windows' memory")).advise(
            "to give it more, write `[wsl2]` and `memory=48GB` to `.wslconfig` in your Windows user folder, then \
             `wsl --shutdown`",
        ),
    }
}

/// The line of a `.wslconfig` that sets the memory.
fn memory_line(text: &str) -> Option<&str> {
    let mut lines = text.lines().map(str::trim);
    lines
        .find(|line| line.split_once('=').is_some_and(|(name, _)| name.trim().eq_ignore_ascii_case("memory")))
}

#[cfg(test)]
mod tests {
    use super::{super::check::told, *};

    #[test]
    fn a_c_library_that_torch_has_no_wheels_for_is_a_problem() {
        let check = |libc, expected: &str| assert_eq!(told(&judge_libc(&libc)), expected);
        check(Libc::Glibc(2, 28), "ok glibc: glibc 2.28");
        check(Libc::Glibc(3, 0), "ok glibc: glibc 3.0");
        check(
            Libc::Glibc(2, 27),
            "problem glibc: glibc 2.27; torch's wheels need glibc 2.28 or newer -> \
             use a newer system: Ubuntu 20.04, Debian 10, RHEL 8 or what came after them",
        );
        check(
            Libc::Musl,
            "problem glibc: this system is built on musl; torch's wheels need glibc 2.28 or newer -> \
             use a system with glibc: not Alpine, but Debian, Ubuntu, Fedora",
        );
    }

    #[test]
    fn kernels_are_compared_as_numbers() {
        let verdict = |release| judge_kernel(release).verdict;
        assert_eq!(verdict("5.4.0-216-generic"), Verdict::Note);
        assert_eq!(verdict("5.10.0-30-amd64"), Verdict::Ok);
        assert_eq!(verdict("5.5.0"), Verdict::Ok);
        assert_eq!(verdict("10.1"), Verdict::Ok);
        assert_eq!(verdict("my-own"), Verdict::Ok);
    }

    #[test]
    fn memory_is_what_may_be_used_of_it() {
        let check = |total, limit, expected: &str| assert_eq!(told(&judge_memory(total, limit, 0)), expected);
        check(64 * GIB, None, "ok memory: 64.0 GiB, no swap");
        check(64 * GIB, Some(128 * GIB), "ok memory: 64.0 GiB, no swap");
        check(
            64 * GIB,
            Some(30 * GIB - 1),
            "note memory: 30.0 GiB of 64.0 GiB may be used here (a control group's limit), no swap -> \
             big models need more: raise the container's limit (`--memory`), the batch job's or the service's",
        );
        check(
            15 * GIB - 1,
            None,
            "warning memory: 15.0 GiB, no swap -> \
             big models need more when they load: use smaller ones, or a machine with 32 GiB and more",
        );
        assert_eq!(told(&judge_memory(30 * GIB, None, GIB)), "ok memory: 30.0 GiB, 1.00 GiB of swap");
    }

    #[test]
    fn little_shared_memory_is_a_warning_and_dockers_is_known() {
        let check = |total, expected: &str| assert_eq!(told(&judge_shm(total)), expected);
        check(Some(GIB), "ok dev-shm: `/dev/shm` holds 1.00 GiB");
        check(
            Some(64 * MIB),
            "warning dev-shm: `/dev/shm` holds 64.0 MiB, Docker's default; workers and NCCL hand tensors over in it -> \
             start the container with `--shm-size=16g` or `--ipc=host`",
        );
        check(
            Some(GIB - 1),
            "warning dev-shm: `/dev/shm` holds 1.00 GiB; workers and NCCL hand tensors over in it -> \
             make it larger: `mount -o remount,size=16g /dev/shm` as root",
        );
        assert_eq!(judge_shm(None).verdict, Verdict::Warning);
    }

    #[test]
    fn few_open_files_are_raised_by_the_user_as_far_as_the_user_may() {
        let check =
            |soft, hard, expected: &str| assert_eq!(told(&judge_files(Limit { soft, hard })), expected);
        check(Some(4096), Some(4096), "ok open-files: 4096 files may be open at the same time");
        check(None, None, "ok open-files: any number of files may be open at the same time");
        let few = "warning open-files: only 1024 files may be open at the same time (`ulimit -n`) -> ";
        check(
            Some(1024),
            Some(524_288),
            &format!("{few}in the shell that starts the training: `ulimit -n 65536`"),
        );
        check(
            Some(1024),
            Some(8192),
            &format!("{few}in the shell that starts the training: `ulimit -n 8192`"),
        );
        check(
            Some(1024),
            Some(4095),
            &format!(
                "{few}raise `nofile` in `/etc/security/limits.conf`, or start the container with `--ulimit nofile=65536`"
            ),
        );
    }

    #[test]
    fn locked_memory_is_only_told_of_where_it_is_next_to_none() {
        let verdict = |soft| judge_locked(Limit { soft, hard: None }).verdict;
        assert_eq!(
            [Some(64 * 1024), Some(64 * 1024 + 1), None].map(verdict),
            [Verdict::Note, Verdict::Ok, Verdict::Ok]
        );
    }

    #[test]
    fn a_clock_that_is_before_this_program_was_built_is_wrong() {
        let built: Timestamp = "2026-11-01T12:00:00Z".parse().expect("a time");
        let verdict = |now: &str| judge_clock(now.parse().expect("a time"), Some(built)).verdict;
        assert_eq!(verdict("2026-10-31T11:59:59Z"), Verdict::Problem);
        assert_eq!(verdict("2026-10-31T12:00:00Z"), Verdict::Ok);
        assert_eq!(verdict("2027-11-01T12:00:00Z"), Verdict::Ok);
        assert_eq!(judge_clock(Timestamp::UNIX_EPOCH, None).verdict, Verdict::Ok);
    }

    #[test]
    fn windows_is_told_how_to_give_more_memory() {
        let verdict = |wsl, limit| judge_wsl(wsl, 16 * GIB, limit).verdict;
        let file = Path::new("/mnt/c/Users/u/.wslconfig");
        assert_eq!(verdict(Wsl::One, None), Verdict::Problem);
        assert_eq!(verdict(Wsl::Two, None), Verdict::Note);
        let text = "[wsl2]\nswap=0\n Memory = 48GB\n";
        assert_eq!(memory_line(text), Some("Memory = 48GB"));
        assert_eq!(memory_line("[wsl2]\n#memory=4GB\nmemoryReclaim=gradual\n"), None);
        assert_eq!(
            told(&judge_wsl(Wsl::Two, 16 * GIB, Some((file, "memory=48GB")))),
            "ok wsl: WSL 2 with 16.0 GiB; `/mnt/c/Users/u/.wslconfig` says `memory=48GB`"
        );
    }
}
