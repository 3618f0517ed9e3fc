//! The file systems that the workspace, the downloads and temporary files lie on: what they can do, and how full they are.

use std::path::{Path, PathBuf};

use crate::{
    output::size,
    platform::{
        disk,
        mounts::{self, Mount, Space},
    },
};

use super::{
    super::{torch::Profile, venv},
    Scene,
    check::{Check, Verdict},
};

const GIB: u64 = 1 << 30;

/// Below this nothing can be installed and no checkpoint written.
const NO_SPACE: u64 = GIB;

/// A few checkpoints of an adapter with the optimizer's state, and the cache of a small dataset.
const SPACE_TO_TRAIN: u64 = 10 * GIB;

/// An environment is 35 000 files (measured: 34 872, 131 packages).
const FILES_TO_INSTALL: u64 = 50_000;
const FILES_TO_TRAIN: u64 = 1_000;

/// What is to come onto a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Need {
    bytes: u64,
    files: u64,
    why: &'static str,
}

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let host = &scene.site.host;
    let root = scene.site.workspace.root();
    let need = if scene.is_set_up() {
        Need {
            bytes: SPACE_TO_TRAIN,
            files: FILES_TO_TRAIN,
            why: "checkpoints and caches of a training take",
        }
    } else {
        let profile = scene.wish.profile.unwrap_or(Profile::Cu13);
        Need { bytes: venv::disk_need(profile), files: FILES_TO_INSTALL, why: "an environment takes" }
    };
    let temporary = host.env.get("TMPDIR").map_or(PathBuf::from("/tmp"), PathBuf::from);
    let mut checks = vec![judge_space(root, mounts::space(root), need).about("workspace")];
    let mount = mounts::of(root);
    // Of a mount that is read-only, the check of the file system tells, and no `chown` would help.
    if mount.as_ref().is_none_or(|it| !it.has("ro")) {
        checks.push(judge_writable(root, mounts::is_writable(root)));
    }
    if let Some(mount) = mount {
        checks.push(judge_kind(&mount));
        checks.push(
            judge_exec(root, &mount, Verdict::Problem, "choose another workspace with `-C DIR`")
                .about("workspace"),
        );
    }
    if let Some(mount) = mounts::of(&temporary) {
        let advice = "set `TMPDIR` to a folder where programs may be started";
        checks.push(judge_exec(&temporary, &mount, Verdict::Warning, advice).about("temporary files"));
    }
    let downloads = scene.site.cache.dir();
    if !disk::is_shared_by(downloads, root) {
        let mut check = judge_space(downloads, mounts::space(downloads), need).about("downloads");
        if let Some(advice) = &mut check.advice {
            advice
                .push_str("; `dpgui clean --cache` does, or set `DPGUI_CACHE_DIR` to a directory elsewhere");
        }
        checks.push(check);
    }
    checks
}

fn judge_space(path: &Path, space: std::io::Result<Space>, need: Need) -> Check {
    let id = "disk-space";
    let at = path.display();
    let space = match space {
        Ok(space) => space,
        Err(cause) => {
            return Check::warning(id, format_args!("the file system of `{at}` does not tell: {cause}"));
        }
    };
    let (available, total) = (size::bytes(space.available), size::bytes(space.total));
    let found = format!("{available} of {total} are free at `{at}`");
    if let Some(files) = space.files.filter(|it| *it < need.files) {
        return Check::warning(id, format_args!("only {files} more files can be made at `{at}` (`df -i`)"))
            .advise(format_args!("remove files: {} up to {}", need.why, need.files));
    }
    let verdict = match space.available {
        ..NO_SPACE => Verdict::Problem,
        it if it < need.bytes => Verdict::Warning,
        _ => return Check::ok(id, found),
    };
    Check::new(id, verdict, found).advise(format_args!(
        "free some: {} up to {}",
        need.why,
        size::bytes(need.bytes)
    ))
}

fn judge_writable(path: &Path, is_writable: bool) -> Check {
    let at = path.display();
    if is_writable {
        return Check::ok("writable", format_args!("`{at}` can be written"));
    }
    Check::problem("writable", format_args!("`{at}` cannot be written by this user"))
        .advise("make it yours (`chown`), or choose another workspace with `-C DIR`")
}

fn judge_kind(mount: &Mount) -> Check {
    let id = "file-system";
    let (kind, point) = (mount.kind.as_str(), mount.point.display());
    if mount.has("ro") {
        return Check::problem(id, format_args!("`{point}` ({kind}) is mounted read-only"))
            .advise("choose another workspace with `-C DIR`; if it was writable before, look for disk errors in `dmesg`");
    }
    let on = |what: &str| format!("{kind} at `{point}`: {what}");
    match kind {
        "overlay" => Check::note(id, on("the container's own layer, which goes with the container"))
            .advise("mount a volume and choose a workspace in it with `-C DIR`"),
        "tmpfs" | "ramfs" => Check::note(id, on("memory; what is in it is gone after a restart"))
            .advise("choose a workspace on a disk with `-C DIR`"),
        "9p" | "drvfs" | "v9fs" => {
            Check::warning(id, on("a drive of Windows, slow and without proper locks"))
                .advise("choose a workspace in your Linux home with `-C DIR`")
        }
        "vfat" | "exfat" | "msdos" => {
            Check::problem(id, on("it has no links, which environments are made of"))
                .advise("choose a workspace on another file system with `-C DIR`")
        }
        kind if is_remote(kind) => {
            Check::note(id, on("on a file server; locks must work there, and small files are slow")).advise(
                "if the server allows, choose a workspace on a local disk with `-C DIR`; datasets may stay",
            )
        }
        _ => Check::ok(id, format_args!("{kind} at `{point}`")),
    }
}

fn is_remote(kind: &str) -> bool {
    ["nfs", "nfs4", "cifs", "smb3", "lustre", "beegfs", "ceph", "gpfs", "glusterfs", "afs"].contains(&kind)
        || kind.starts_with("fuse.")
}

fn judge_exec(path: &Path, mount: &Mount, verdict: Verdict, advice: &str) -> Check {
    if mount.has("noexec") {
        let (path, point) = (path.display(), mount.point.display());
        let found = format!("no program can be started in `{path}`: `{point}` is mounted `noexec`");
        return Check::new("noexec", verdict, found).advise(advice);
    }
    Check::ok("noexec", format_args!("programs can be started in `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{super::check::told, *};

    fn mount(kind: &str, options: &str) -> Mount {
        let options = options.split(',').map(str::to_owned).collect();
        Mount { point: "/m".into(), kind: kind.to_owned(), options }
    }

    #[test]
    fn too_little_space_is_a_warning_and_none_at_all_a_problem() {
        let need = Need { bytes: 10 * GIB, files: 1000, why: "checkpoints take" };
        let check = |available, files, expected: &str| {
            let space = Space { total: 100 * GIB, available, files };
            assert_eq!(told(&judge_space(Path::new("/w"), Ok(space), need)), expected);
        };
        check(10 * GIB, Some(1000), "ok disk-space: 10.0 GiB of 100 GiB are free at `/w`");
        check(10 * GIB, None, "ok disk-space: 10.0 GiB of 100 GiB are free at `/w`");
        check(
            GIB,
            None,
            "warning disk-space: 1.00 GiB of 100 GiB are free at `/w` -> free some: checkpoints take up to 10.0 GiB",
        );
        check(
            GIB - 1,
            None,
            "problem disk-space: 1.00 GiB of 100 GiB are free at `/w` -> free some: checkpoints take up to 10.0 GiB",
        );
        check(
            50 * GIB,
            Some(999),
            "warning disk-space: only 999 more files can be made at `/w` (`df -i`) -> \
             remove files: checkpoints take up to 1000",
        );
    }

    #[test]
    fn a_file_system_is_judged_by_its_kind_and_whether_it_can_be_written() {
        let verdict = |kind, options| judge_kind(&mount(kind, options)).verdict;
        assert_eq!(verdict("ext4", "rw,relatime"), Verdict::Ok);
        assert_eq!(verdict("ext4", "ro,relatime"), Verdict::Problem);
        // An option of another name.
        assert_eq!(verdict("ext4", "rw,errors=remount-ro"), Verdict::Ok);
        assert_eq!(verdict("overlay", "rw"), Verdict::Note);
        assert_eq!(verdict("nfs4", "rw"), Verdict::Note);
        assert_eq!(verdict("fuse.sshfs", "rw"), Verdict::Note);
        assert_eq!(verdict("fuseblk", "rw"), Verdict::Ok);
        assert_eq!(verdict("9p", "rw"), Verdict::Warning);
        assert_eq!(verdict("exfat", "rw"), Verdict::Problem);
    }

    #[test]
    fn a_mount_that_starts_no_programs_is_worse_for_the_workspace_than_for_temporary_files() {
        let check = |options, verdict, expected: &str| {
            assert_eq!(
                told(&judge_exec(Path::new("/m/t"), &mount("ext4", options), verdict, "do it")),
                expected
            );
        };
        check("rw,nosuid", Verdict::Problem, "ok noexec: programs can be started in `/m/t`");
        let found = "no program can be started in `/m/t`: `/m` is mounted `noexec` -> do it";
        check("rw,noexec", Verdict::Problem, &format!("problem noexec: {found}"));
        check("rw,noexec", Verdict::Warning, &format!("warning noexec: {found}"));
    }
}
