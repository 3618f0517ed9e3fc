//! The Python environment, as its own interpreter tells: torch and its GPUs, DeepSpeed, and which modules would win.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use crate::{
    error::Error,
    platform::{
        fs,
        gpu::{ComputeCapability, Nvidia},
        process::CommandSpec,
    },
    vendor::{farm, sources},
};

use super::{
    super::{torch::Profile, venv},
    Scene,
    arch::{self, Code},
    check::{Check, Verdict},
    versions,
};

/// How long the interpreter may take, with and without DeepSpeed: imports from a slow disk.
const FULL_LIMIT: Duration = Duration::from_mins(4);
const FAST_LIMIT: Duration = Duration::from_mins(2);

/// The questions, in Python. All of them to one process: importing torch takes seconds.
const SCRIPT: &str =
    concat!(include_str!("../../../templates/modules.py"), include_str!("../../../templates/doctor.py"));

/// What the script prints.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    python: String,
    headers: String,
    has_headers: bool,
    problems: Vec<String>,
    winners: BTreeMap<String, Option<String>>,
    /// Versions by name.
    packages: BTreeMap<String, String>,
    torch: Option<Torch>,
    torch_error: Option<String>,
    deepspeed: Option<String>,
    deepspeed_error: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Torch {
    version: String,
    /// `13.0`; none of a build without.
    cuda: Option<String>,
    available: bool,
    /// `sm_90`, `compute_120`.
    archs: Vec<String>,
    gpus: Vec<Seen>,
    nccl: Option<String>,
    /// torch's own word on why no GPU is available.
    said: Option<String>,
}

/// A GPU that torch can use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Seen {
    name: String,
    capability: ComputeCapability,
}

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    if !fs::is_file(&scene.site.workspace.python()) {
        return vec![];
    }
    let answer = match ask(scene) {
        Ok(answer) => answer,
        Err(told) => return vec![Check::problem("torch-import", told).advise(REBUILD)],
    };
    let mut checks = vec![deepspeed(&answer), headers(&answer, scene.nvidia().is_some())];
    match (&answer.torch, &answer.torch_error) {
        (Some(torch), None) => checks.extend(judge_torch(torch, &machine(scene))),
        (_, error) => {
            let error = error.as_deref().unwrap_or("it is not there");
            let told = format!("torch cannot be imported: {error}");
            checks.push(Check::problem("torch-import", told).advise(REBUILD));
        }
    }
    checks.extend(versions::checks(scene, &answer.packages));
    checks.extend(modules(&answer));
    checks
}

const REBUILD: &str = "remove the folder `venv` and run `dpgui setup`";

/// What torch's own words are held against.
struct Machine<'a> {
    nvidia: Option<&'a Nvidia>,
    /// The GPUs that the user's shell lets programs see.
    visible: Option<&'a str>,
    /// What the environment was made for.
    profile: Option<Profile>,
}

fn machine(scene: &Scene) -> Machine<'_> {
    Machine {
        nvidia: scene.nvidia(),
        visible: scene.site.host.env.text_or_empty("CUDA_VISIBLE_DEVICES"),
        profile: venv::installed_profile(&scene.site.workspace),
    }
}

fn ask(scene: &Scene) -> Result<Answer, String> {
    let workspace = &scene.site.workspace;
    let trainer = workspace.vendor().join(sources::TRAINER);
    let trainer = fs::is_dir(&trainer).then_some(trainer);
    let cloned = |name: &&str| fs::is_dir(&workspace.vendor().join(name));
    let names: Vec<&str> =
        scene.site.sources.repositories.keys().map(String::as_str).filter(cloned).collect();
    let entries = farm::entries(&names).map_err(|error| Error::from(error).messages().join(": "))?;
    let questions = serde_json::json!({
        "libs": workspace.libs(),
        "farm": entries.iter().map(farm::Entry::module).collect::<Vec<_>>(),
        "trainer": trainer,
        "full": scene.full,
    });
    // As a run has it.
    let mut env = scene.site.tool_env();
    env.set("PYTHONPATH", workspace.libs()).set("PYTHONDONTWRITEBYTECODE", "1");
    let command = CommandSpec::new(workspace.python(), &env, workspace.root());
    let said = command.args(["-c", SCRIPT]).arg(questions.to_string()).capture(if scene.full {
        FULL_LIMIT
    } else {
        FAST_LIMIT
    });
    let said = said.map_err(|error| Error::from(error).messages().join(": "))?;
    let answer = said.stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
    answer.ok_or_else(|| {
        let why = said.tail();
        let last = why.lines().last().unwrap_or("it answers nothing");
        format!("`{}` cannot be asked: {last}", workspace.python().display())
    })
}

fn deepspeed(answer: &Answer) -> Check {
    match (&answer.deepspeed, &answer.deepspeed_error) {
        (Some(version), None) => Check::ok("deepspeed", format_args!("DeepSpeed {version}")),
        (_, error) => {
            let error = error.as_deref().unwrap_or("it is not there");
            Check::problem("deepspeed", format_args!("DeepSpeed cannot be used: {error}")).advise(REBUILD)
        }
    }
}

/// Triton compiles a small C program for every kernel, with the headers of this Python.
fn headers(answer: &Answer, has_driver: bool) -> Check {
    let Answer { python, headers, has_headers, .. } = answer;
    if *has_headers {
        return Check::ok("python-headers", format_args!("`{headers}`"));
    }
    let verdict = if has_driver { Verdict::Warning } else { Verdict::Note };
    let missing = format!("Python {python} has no `{headers}`, which Triton compiles its kernels with");
    Check::new("python-headers", verdict, missing).advise(
        "install your system's package of it (`python3-dev`), or run `dpgui setup` with a portable Python",
    )
}

fn judge_torch(torch: &Torch, machine: &Machine<'_>) -> Vec<Check> {
    let nvidia = machine.nvidia;
    let mut checks = vec![Check::ok("torch-import", format_args!("torch {}", torch.version))];
    checks.push(judge_gpus(torch, machine));
    let Some(cuda) = &torch.cuda else { return checks };
    if let Some(nvidia) = nvidia {
        checks.push(arch::judge_driver(cuda, nvidia, torch.available));
    }
    let found: Vec<(String, ComputeCapability)> = if torch.gpus.is_empty() {
        let gpus = nvidia.map(|it| it.gpus.as_slice()).unwrap_or_default();
        gpus.iter().filter_map(|gpu| Some((gpu.name.clone(), gpu.capability?))).collect()
    } else {
        torch.gpus.iter().map(|it| (it.name.clone(), it.capability)).collect()
    };
    for (index, (name, capability)) in found.iter().enumerate() {
        let gpu = format!("{name} (compute capability {capability})");
        checks.push(judge_arch(&gpu, *capability, torch).about(format_args!("GPU {index}")));
    }
    checks.push(match (&torch.nccl, found.len()) {
        (Some(version), _) => Check::ok("nccl", format_args!("NCCL {version}")),
        (None, 0 | 1) => Check::note("nccl", "this torch has no NCCL; one GPU does without"),
        (None, _) => Check::problem("nccl", "this torch has no NCCL, by which several GPUs train together")
            .advise(REBUILD),
    });
    checks
}

fn judge_gpus(torch: &Torch, machine: &Machine<'_>) -> Check {
    let there = machine.nvidia.map_or(0, |it| it.gpus.len());
    let hidden = machine.visible.map(|it| format!("`CUDA_VISIBLE_DEVICES={it}` is set in this shell"));
    let check = |verdict, found: String| Check::new("torch-gpus", verdict, found);
    // Where PyTorch's own index is not reached, this profile has a build with CUDA too.
    let is_for_cpu = machine.profile == Some(Profile::Cpu) || torch.cuda.is_none();
    match (torch.gpus.len(), there) {
        (0, 0) if is_for_cpu => {
            check(Verdict::Ok, "it is for the CPU, and there is no NVIDIA GPU".to_owned())
        }
        (0, there) if is_for_cpu => {
            let found = format!("it is for the CPU, though there {}", are_gpus(there));
            check(Verdict::Warning, found).advise("run `dpgui setup --torch auto`")
        }
        (0, _) => {
            let said = torch.said.as_ref().map_or(String::new(), |it| format!(": {it}"));
            let found = check(Verdict::Problem, format!("torch can use no GPU{said}"));
            match hidden {
                Some(hidden) => found.advise(format_args!("{hidden}: unset it")),
                None if there == 0 => found.advise(
                    "see whether `nvidia-smi` answers; a container is to be started with `--gpus all`, and \
                     after an update of the driver the machine",
                ),
                None => found.advise(
                    "restart the machine if its driver was updated; see whether `nvidia-smi` answers",
                ),
            }
        }
        (seen, there) if seen < there => {
            let (verdict, advice) = match hidden {
                Some(hidden) => (Verdict::Note, hidden),
                None => (Verdict::Warning, "see which of them `nvidia-smi` calls in error".to_owned()),
            };
            check(verdict, format!("torch can use {seen} of {there} GPUs")).advise(advice)
        }
        (seen, _) => {
            let names: Vec<&str> = torch.gpus.iter().map(|it| it.name.as_str()).collect();
            check(Verdict::Ok, format!("torch can use {seen}: {}", names.join(", ")))
        }
    }
}

fn are_gpus(count: usize) -> String {
    if count == 1 { "is an NVIDIA GPU".to_owned() } else { format!("are {count} NVIDIA GPUs") }
}

fn judge_arch(gpu: &str, capability: ComputeCapability, torch: &Torch) -> Check {
    let version = &torch.version;
    match arch::code_for(capability, &torch.archs) {
        Code::Unknown => {
            Check::note("torch-arch", format_args!("torch {version} does not tell what GPUs it is for"))
        }
        Code::Native(arch) => Check::ok("torch-arch", format_args!("{gpu} runs `{arch}`")),
        Code::Translated(arch) => Check::note(
            "torch-arch",
            format_args!(
                "{gpu} has no code of its own in torch {version}: `{arch}` is compiled at the first start"
            ),
        ),
        Code::None => Check::problem("torch-arch", format_args!("torch {version} has no code for {gpu}"))
            .advise("choose another build: `dpgui setup --torch auto` takes the one for these GPUs"),
    }
}

fn modules(answer: &Answer) -> Vec<Check> {
    let known = |name: &&String| {
        let told = format!("the module `{name}` ");
        !answer.problems.iter().any(|problem| problem.starts_with(&told))
    };
    let fine = answer.winners.iter().filter(|(name, _)| known(name)).map(|(name, place)| {
        let place = place.as_deref().unwrap_or("nowhere");
        Check::ok("module", format_args!("from `{place}`")).about(name)
    });
    let problems = answer.problems.iter().map(|problem| {
        let name = problem.split('`').nth(1).unwrap_or_default();
        let advice = if problem.contains("is not found") {
            "run `dpgui setup`".to_owned()
        } else {
            "uninstall the package that is found instead: `venv/bin/python -m pip uninstall NAME`".to_owned()
        };
        Check::problem("module", problem).about(name).advise(advice)
    });
    problems.chain(fine).collect()
}

#[cfg(test)]
mod tests {
    use crate::platform::gpu::{Gpu, Source};

    use super::{super::check::told, *};

    fn nvidia(count: u32) -> Nvidia {
        let gpu = |index| Gpu {
            index,
            name: "RTX 4090".to_owned(),
            uuid: None,
            capability: Some(ComputeCapability(8, 9)),
            memory_bytes: None,
        };
        let driver = "580.65.06".parse().expect("a driver version");
        Nvidia { driver, cuda: None, gpus: (0..count).map(gpu).collect(), source: Source::Nvml }
    }

    fn torch(cuda: Option<&str>, seen: usize) -> Torch {
        let gpu = Seen { name: "RTX 4090".to_owned(), capability: ComputeCapability(8, 9) };
        Torch {
            version: "2.13.0".to_owned(),
            cuda: cuda.map(str::to_owned),
            available: seen > 0,
            archs: vec!["sm_80".to_owned(), "sm_120".to_owned()],
            gpus: vec![gpu; seen],
            nccl: Some("2.29.1".to_owned()),
            said: None,
        }
    }

    #[test]
    fn the_gpus_that_torch_can_use_are_counted_against_those_that_are_there() {
        let check = |torch: &Torch, there: u32, visible: Option<&str>, expected: &str| {
            let nvidia = (there > 0).then(|| nvidia(there));
            let machine = Machine { nvidia: nvidia.as_ref(), visible, profile: Some(Profile::Cu13) };
            assert_eq!(told(&judge_gpus(torch, &machine)), expected);
        };
        let cu13 = |seen| torch(Some("13.0"), seen);
        check(&cu13(2), 2, None, "ok torch-gpus: torch can use 2: RTX 4090, RTX 4090");
        check(
            &cu13(1),
            2,
            Some("1"),
            "note torch-gpus: torch can use 1 of 2 GPUs -> `CUDA_VISIBLE_DEVICES=1` is set in this shell",
        );
        check(
            &cu13(1),
            2,
            None,
            "warning torch-gpus: torch can use 1 of 2 GPUs -> see which of them `nvidia-smi` calls in error",
        );
        check(
            &cu13(0),
            2,
            Some(""),
            "problem torch-gpus: torch can use no GPU -> `CUDA_VISIBLE_DEVICES=` is set in this shell: unset it",
        );
        let told_why = Torch { said: Some("CUDA unknown error".to_owned()), ..cu13(0) };
        check(
            &told_why,
            1,
            None,
            "problem torch-gpus: torch can use no GPU: CUDA unknown error -> \
             restart the machine if its driver was updated; see whether `nvidia-smi` answers",
        );
        check(&torch(None, 0), 0, None, "ok torch-gpus: it is for the CPU, and there is no NVIDIA GPU");
        check(
            &torch(None, 0),
            1,
            None,
            "warning torch-gpus: it is for the CPU, though there is an NVIDIA GPU -> run `dpgui setup --torch auto`",
        );
    }

    #[test]
    fn a_build_with_cuda_is_fine_without_gpus_only_where_the_cpu_was_asked_for() {
        let verdict = |profile| {
            let machine = Machine { nvidia: None, visible: None, profile };
            judge_gpus(&torch(Some("13.0"), 0), &machine).verdict
        };
        let profiles = [Some(Profile::Cpu), Some(Profile::Cu13), None];
        assert_eq!(profiles.map(verdict), [Verdict::Ok, Verdict::Problem, Verdict::Problem]);
    }

    #[test]
    fn each_gpu_has_a_check_of_its_own_whether_torch_sees_it_or_not() {
        let about = |torch: &Torch| {
            let checks =
                judge_torch(torch, &Machine { nvidia: Some(&nvidia(2)), visible: None, profile: None });
            let archs = checks.iter().filter(|it| it.id == "torch-arch");
            archs.map(|it| it.subject.clone().unwrap_or_default()).collect::<Vec<_>>()
        };
        assert_eq!(about(&torch(Some("13.0"), 2)), ["GPU 0", "GPU 1"]);
        assert_eq!(about(&torch(Some("13.0"), 0)), ["GPU 0", "GPU 1"]);
        assert_eq!(about(&torch(None, 0)), Vec::<String>::new());
    }

    #[test]
    fn several_gpus_need_nccl_and_one_does_not() {
        let verdict = |seen| {
            let torch = Torch { nccl: None, ..torch(Some("13.0"), seen) };
            let checks = judge_torch(&torch, &Machine { nvidia: None, visible: None, profile: None });
            checks.into_iter().find(|it| it.id == "nccl").map(|it| it.verdict)
        };
        assert_eq!([1, 2].map(verdict), [Some(Verdict::Note), Some(Verdict::Problem)]);
    }

    #[test]
    fn the_winner_of_each_module_is_told_and_the_wrong_ones_are_problems() {
        let answer = Answer {
            winners: [("utils", "/w/x/utils"), ("comfy", "/w/venv/comfy/__init__.py")]
                .map(|(name, place)| (name.to_owned(), Some(place.to_owned())))
                .into(),
            problems: vec![
                "the module `comfy` would come from `/w/venv/comfy/__init__.py` instead of `/w/libs`"
                    .to_owned(),
            ],
            ..Answer::default()
        };
        let checks: Vec<String> = modules(&answer).iter().map(told).collect();
        assert_eq!(
            checks,
            [
                "problem module(comfy): the module `comfy` would come from `/w/venv/comfy/__init__.py` instead of \
                 `/w/libs` -> uninstall the package that is found instead: `venv/bin/python -m pip uninstall NAME`",
                "ok module(utils): from `/w/x/utils`",
            ]
        );
    }
}
