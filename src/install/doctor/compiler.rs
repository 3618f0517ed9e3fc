//! Compilers: what torch, Triton and DeepSpeed compile while they train.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use crate::platform::{fs, process::CommandSpec};

use super::{
    super::{torch::Profile, venv},
    Scene,
    check::{Check, Verdict},
};

/// It only prints its version.
const LIMIT: Duration = Duration::from_secs(5);

/// Where CUDA's toolkit is when no variable says so, see `_find_cuda_home` of `torch.utils.cpp_extension`.
const USUAL: &str = "/usr/local/cuda";

const INSTALL: &str = "install your system's compilers (`build-essential` or `gcc-c++`)";

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let has_gpu = scene.nvidia().is_some_and(|it| !it.gpus.is_empty());
    let env = &scene.site.host.env;
    // Triton takes `CC`, then gcc, then clang; torch takes `CXX`, then c++.
    let c = find(scene, &[env.text("CC").unwrap_or("cc"), "gcc", "clang"]);
    let cxx = find(scene, &[env.text("CXX").unwrap_or("c++"), "g++"]);
    vec![judge_c(c.as_deref(), has_gpu), judge_cxx(cxx.as_deref()), nvcc(scene, has_gpu)]
}

fn find(scene: &Scene, names: &[&str]) -> Option<PathBuf> {
    let host = &scene.site.host;
    names.iter().find_map(|name| which::which_in(name, host.env.get("PATH"), &host.cwd).ok())
}

fn judge_c(found: Option<&Path>, has_gpu: bool) -> Check {
    if let Some(path) = found {
        return Check::ok("c-compiler", format_args!("`{}`", path.display()));
    }
    // The fused optimizers and `compile = true` are Triton's, on GPUs only.
    let verdict = if has_gpu { Verdict::Warning } else { Verdict::Note };
    Check::new("c-compiler", verdict, "there is none, and Triton needs one for its kernels").advise(INSTALL)
}

fn judge_cxx(found: Option<&Path>) -> Check {
    match found {
        Some(path) => Check::ok("cxx-compiler", format_args!("`{}`", path.display())),
        None => Check::note(
            "cxx-compiler",
            "there is none, and what DeepSpeed and torch compile themselves needs one",
        )
        .advise(INSTALL),
    }
}

fn nvcc(scene: &Scene, has_gpu: bool) -> Check {
    let env = &scene.site.host.env;
    let named = env.first(&["CUDA_HOME", "CUDA_PATH"]).map(|(name, dir)| (name, PathBuf::from(dir)));
    if let Some((name, home)) = named.as_ref().filter(|(_, home)| !fs::is_file(&home.join("bin/nvcc"))) {
        return Check::warning(
            "nvcc",
            format_args!("`{name}` is `{}`, where there is no `bin/nvcc`", home.display()),
        )
        .advise(format_args!("unset `{name}`, or let it name the folder of a CUDA toolkit"));
    }
    let usual = || Some(PathBuf::from(USUAL).join("bin/nvcc")).filter(|it| fs::is_file(it));
    let named = named.map(|(_, home)| home.join("bin/nvcc"));
    let path = named.or_else(|| find(scene, &["nvcc"])).or_else(usual);
    let said = path.as_ref().and_then(|path| {
        let command = CommandSpec::new(path, env, &scene.site.host.cwd).arg("--version");
        command.capture(LIMIT).ok()
    });
    let version = said.and_then(|it| release(&it.stdout));
    let wanted = match venv::installed_profile(&scene.site.workspace) {
        Some(Profile::Cu13) => Some(13),
        Some(Profile::Cu12) => Some(12),
        Some(Profile::Cpu) | None => None,
    };
    judge_nvcc(path.as_deref(), version, wanted, has_gpu)
}

/// `Cuda compilation tools, release 12.8, V12.8.93`
fn release(said: &str) -> Option<(u32, u32)> {
    let (_, rest) = said.split_once("release ")?;
    let (major, minor) = rest.split(',').next()?.split_once('.')?;
    Some((major.parse().ok()?, minor.trim().parse().ok()?))
}

/// Most trainings need none: only operations that DeepSpeed compiles, and packages that come as source (flash-attn).
/// `wanted`: the major version of CUDA that torch is built for, which DeepSpeed compares.
fn judge_nvcc(path: Option<&Path>, version: Option<(u32, u32)>, wanted: Option<u32>, has_gpu: bool) -> Check {
    let id = "nvcc";
    let Some(path) = path else {
        let found = "there is none; only what DeepSpeed or flash-attn compile for the GPU needs it";
        // Who has no GPU has nothing to compile for.
        return Check::new(id, if has_gpu { Verdict::Note } else { Verdict::Ok }, found);
    };
    let shown = path.display();
    match (version, wanted) {
        (None, _) => Check::note(id, format_args!("`{shown}` does not tell its version")),
        (Some((major, minor)), Some(wanted)) if major != wanted => {
            Check::note(id, format_args!("`{shown}` is CUDA {major}.{minor}, and torch is built for CUDA {wanted}"))
                .advise(format_args!(
                    "where DeepSpeed or flash-attn must compile, install a CUDA {wanted} toolkit and let `CUDA_HOME` name it"
                ))
        }
        (Some((major, minor)), _) => Check::ok(id, format_args!("`{shown}`, CUDA {major}.{minor}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::check::told, *};

    #[test]
    fn the_version_of_nvcc_is_read_from_what_it_prints() {
        let said = "nvcc: NVIDIA (R) Cuda compiler driver\nCuda compilation tools, release 12.8, V12.8.93\n";
        assert_eq!(release(said), Some((12, 8)));
        assert_eq!(release("nvcc: command not found"), None);
    }

    #[test]
    fn an_nvcc_of_another_cuda_than_torchs_is_told_of() {
        let check = |found: Option<(u32, u32)>, wanted, has_gpu, expected: &str| {
            let path = found.map(|_| Path::new("/c/bin/nvcc"));
            assert_eq!(told(&judge_nvcc(path, found, wanted, has_gpu)), expected);
        };
        check(Some((13, 2)), Some(13), true, "ok nvcc: `/c/bin/nvcc`, CUDA 13.2");
        check(Some((12, 8)), None, true, "ok nvcc: `/c/bin/nvcc`, CUDA 12.8");
        check(
            Some((12, 8)),
            Some(13),
            true,
            "note nvcc: `/c/bin/nvcc` is CUDA 12.8, and torch is built for CUDA 13 -> where DeepSpeed or flash-attn \
             must compile, install a CUDA 13 toolkit and let `CUDA_HOME` name it",
        );
        let none = "there is none; only what DeepSpeed or flash-attn compile for the GPU needs it";
        check(None, Some(13), true, &format!("note nvcc: {none}"));
        check(None, None, false, &format!("ok nvcc: {none}"));
    }

    #[test]
    fn a_missing_c_compiler_is_worse_where_there_is_a_gpu() {
        let verdict = |has_gpu| judge_c(None, has_gpu).verdict;
        assert_eq!([true, false].map(verdict), [Verdict::Warning, Verdict::Note]);
        assert_eq!(told(&judge_c(Some(Path::new("/usr/bin/cc")), true)), "ok c-compiler: `/usr/bin/cc`");
    }
}
