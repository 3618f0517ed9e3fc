//! The start of a run: everything that can be wrong is found before anything is started.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    config::{Finding, Resolved, Resume as ConfigResume, Severity, TrainConfig},
    platform::{
        Env, Host, clock, fifo, fs,
        gpu::{self, Gpu, Nvidia},
        net, procfs,
    },
    workspace::{Settings, Workspace},
};

use super::{
    RunError, adopt,
    devices::Devices,
    dir::RunDir,
    folder::{Checkpoint, TrainerFolder},
    id::{RunId, RunName},
    launch::{self, Launch},
    list,
    outcome::Outcome,
    spec::{self, Spec},
    state::RunState,
    supervise::Begin,
};

/// The model type that trains on a CPU too.
const DEMO: &str = "demo";

/// What the user wants to be trained.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Absolute.
    pub config: PathBuf,
    /// Instead of all that there are.
    pub gpus: Option<Vec<u32>>,
    /// Instead of the configuration's own.
    pub name: Option<RunName>,
    pub resume: Option<Resume>,
    /// For the trainer itself.
    pub args: Vec<String>,
}

/// Which run to continue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The newest run of the same configuration that has a whole checkpoint.
    Newest,
    Run(String),
}

/// A run that has begun.
#[derive(Clone, Debug)]
pub struct Started {
    pub dir: RunDir,
    pub spec: Spec,
    /// Where it goes on, if it does not begin anew.
    pub resumed: Option<Checkpoint>,
    /// What is not quite right with the configuration.
    pub warnings: Vec<Finding>,
}

/// The machine, the workspace and the user's settings.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub host: &'a Host,
    pub workspace: &'a Workspace,
    pub settings: &'a Settings,
}

/// The trainer's folder to continue in.
struct Continued {
    folder: TrainerFolder,
    checkpoint: Checkpoint,
}

/// Starts a run and returns once its trainer runs, under a supervisor that needs us no more.
///
/// # Errors
/// Anything that is missing or wrong; then there is no run.
pub fn start(site: Site<'_>, request: &Request) -> Result<Started, RunError> {
    let Site { host, workspace, settings } = site;
    let script = settings.trainer_script(workspace);
    check_setup(workspace, &script)?;
    let config = TrainConfig::load(&request.config, workspace, &host.env)?;
    let nvidia = gpu::detect(host);
    let devices = devices(&config, request, nvidia.as_ref(), &host.env)?;
    let warnings = check_config(&config, &devices)?;
    let continued = continued(site, &config, request)?;

    let name = request.name.clone().unwrap_or_else(|| name_of(&request.config));
    let dir = create(workspace, &name)?;
    let prepared = prepare(site, &dir, &config).and_then(|(resolved, taken)| {
        let resumes = continued.as_ref().map(|it| it.name(&resolved.output_dir));
        let launch = Launch {
            workspace,
            script: &script,
            config: &resolved.config,
            devices: &devices,
            port: net::free_port(&taken).map_err(RunError::NoPort)?,
            resumes: resumes.as_deref(),
            args: &request.args,
            hostfile: fs::exists(Path::new(launch::HOSTFILE)),
        };
        let env = launch.env(&host.env, nvidia.as_ref(), &resolved.secrets);
        let spec = spec_of(&dir, &launch, &config, &resolved.output_dir, (&env, &host.env))?;
        fs::write_atomic(&dir.spec_file(), serde_json::to_string_pretty(&spec).unwrap_or_default())?;
        Ok((spec, env))
    });
    let (spec, env) = prepared.or_else(|cause| {
        // Nothing of it ran: a folder that only looks like a run would be in everybody's way.
        fs::remove_tree(dir.path())?;
        Err(cause)
    })?;
    adopt::spawn_supervisor(host, &dir, &env, Begin::Start)?;
    if let Some(RunState::Ended(Outcome::NotStarted { reason })) = dir.snapshot()?.map(|it| it.state) {
        return Err(RunError::NotStarted { reason });
    }
    Ok(Started { dir, spec, resumed: continued.map(|it| it.checkpoint), warnings })
}

fn check_setup(workspace: &Workspace, script: &Path) -> Result<(), RunError> {
    let program = launch::program(workspace);
    if !fs::is_file(&program) {
        return Err(RunError::NotSetUp { path: program });
    }
    if !fs::is_file(script) {
        return Err(RunError::NoTrainer { path: script.to_owned() });
    }
    Ok(())
}

/// `--gpus`, else `CUDA_VISIBLE_DEVICES`, else all; the CPU for the demo where there are none.
fn devices(
    config: &TrainConfig,
    request: &Request,
    nvidia: Option<&Nvidia>,
    env: &Env,
) -> Result<Devices, RunError> {
    let found: &[Gpu] = nvidia.map_or(&[], |it| &it.gpus);
    let all: BTreeSet<u32> = found.iter().map(|gpu| gpu.index).collect();
    if let Some(ids) = &request.gpus {
        let ids: BTreeSet<u32> = ids.iter().copied().collect();
        return match ids.difference(&all).next() {
            Some(id) => Err(RunError::UnknownGpu { id: *id, found: all.len() }),
            None => Ok(Devices::Gpus(ids.into_iter().collect())),
        };
    }
    let visible = env.text("CUDA_VISIBLE_DEVICES").and_then(|text| visible(text, found));
    match (config.training.model.as_deref(), visible.unwrap_or(all)) {
        (_, ids) if !ids.is_empty() => Ok(Devices::Gpus(ids.into_iter().collect())),
        (Some(DEMO) | None, _) => {
            let ranks = u32::try_from(config.training.pipeline_stages).unwrap_or(u32::MAX);
            Ok(Devices::Cpu { ranks })
        }
        (Some(model), _) => Err(RunError::NoGpu { model: model.to_owned() }),
    }
}

/// The GPUs that `CUDA_VISIBLE_DEVICES` names, by index or by the beginning of a UUID; `None` if it means others.
fn visible(text: &str, found: &[Gpu]) -> Option<BTreeSet<u32>> {
    let one = |name: &str| {
        let is_it = |gpu: &&Gpu| {
            let by_uuid = gpu.uuid.as_deref().is_some_and(|uuid| name.len() > 4 && uuid.starts_with(name));
            gpu.index.to_string() == name || by_uuid
        };
        found.iter().find(is_it).map(|gpu| gpu.index)
    };
    text.split(',').map(|name| one(name.trim())).collect()
}

/// All errors at once, or what is worth a warning.
fn check_config(config: &TrainConfig, devices: &Devices) -> Result<Vec<Finding>, RunError> {
    let (errors, others): (Vec<_>, Vec<_>) = config
        .findings(Some(devices.ranks()))
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error);
    if !errors.is_empty() {
        return Err(RunError::Findings(errors));
    }
    Ok(others.into_iter().filter(|finding| finding.severity == Severity::Warning).collect())
}

/// The folder to go on in. The trainer itself would make an empty one of a wrong name, and start from step 1.
fn continued(
    Site { host, workspace, .. }: Site<'_>,
    config: &TrainConfig,
    request: &Request,
) -> Result<Option<Continued>, RunError> {
    let written = Path::new(config.training.output_dir.as_deref().unwrap_or_default());
    let output_dir = workspace.root().join(host.env.expand_home(written));
    let all = RunDir::all(workspace)?;
    let found = match (&request.resume, &config.training.resume) {
        (Some(Resume::Run(name)), _) => {
            let dir = list::find(workspace, name)?;
            let found = TrainerFolder::find(&dir.spec()?)?.and_then(Continued::of);
            found.ok_or_else(|| RunError::NoCheckpoint { folder: dir.id().to_string() })?
        }
        (Some(Resume::Newest), _) | (None, ConfigResume::Newest) => {
            let specs = all.iter().filter_map(|dir| dir.spec().ok());
            let same = specs.filter(|spec| spec.source == request.config);
            let mut folders = same.filter_map(|spec| TrainerFolder::find(&spec).ok().flatten());
            let nothing = || RunError::NothingToResume { config: request.config.clone() };
            folders.find_map(Continued::of).ok_or_else(nothing)?
        }
        (None, ConfigResume::Run(folder)) => {
            let nothing = || RunError::NoCheckpoint { folder: folder.clone() };
            Continued::of(TrainerFolder::at(output_dir.join(folder))).ok_or_else(nothing)?
        }
        (None, ConfigResume::No) => return Ok(None),
    };
    // Two trainers in one folder would overwrite each other's checkpoints.
    let trains_there = |dir: &&RunDir| {
        let folder = dir.spec().ok().and_then(|spec| TrainerFolder::find(&spec).ok().flatten());
        list::is_live(dir) && folder.is_some_and(|folder| folder == found.folder)
    };
    match all.iter().find(trains_there) {
        Some(dir) => Err(RunError::StillRunning { id: dir.id().clone() }),
        None => Ok(Some(found)),
    }
}

impl Continued {
    fn of(folder: TrainerFolder) -> Option<Self> {
        let checkpoint = folder.checkpoint().ok().flatten()?;
        Some(Self { folder, checkpoint })
    }

    /// As the trainer wants to be told: a folder's name where it makes its folders now, a whole path elsewhere.
    fn name(&self, output_dir: &Path) -> String {
        let path = self.folder.path();
        path.strip_prefix(output_dir).unwrap_or(path).to_string_lossy().into_owned()
    }
}

fn name_of(config: &Path) -> RunName {
    RunName::from_any(&config.file_stem().unwrap_or_default().to_string_lossy())
}

/// A folder that was not there before. Runs of one name that start in the same second get numbers.
fn create(workspace: &Workspace, name: &RunName) -> Result<RunDir, RunError> {
    fs::create_dir_all(&workspace.runs())?;
    let now = clock::now();
    let mut number = 1;
    loop {
        let name = if number == 1 { name.clone() } else { name.numbered(number) };
        let dir = RunDir::new(workspace, RunId::new(now, name));
        match fs::create_dir_new(dir.path()) {
            Err(cause) if cause.source.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            created => return created.map(|()| dir).map_err(RunError::from),
        }
    }
}

/// Everything in the folder but the spec, and the ports that other runs use or are about to use.
fn prepare(site: Site<'_>, dir: &RunDir, config: &TrainConfig) -> Result<(Resolved, Vec<u16>), RunError> {
    let resolved = config.resolve_into(&dir.config())?;
    // Tells this run's folder under `output_dir` from those of its siblings, see `TrainerFolder::find`.
    let mut copy = fs::open_append(&resolved.config)?;
    fs::append(&mut copy, &resolved.config, &format!("\n# dpgui run {}\n", dir.id()))?;
    for pipe in [dir.control(), dir.output()] {
        fifo::create(&pipe).map_err(|source| RunError::NoPipes { source })?;
    }
    let others = RunDir::all(site.workspace)?;
    let live = others.iter().filter(|other| list::is_live(other));
    let taken = live.filter_map(|other| Some(other.spec().ok()?.master_port)).collect();
    Ok((resolved, taken))
}

fn spec_of(
    dir: &RunDir,
    launch: &Launch<'_>,
    config: &TrainConfig,
    output_dir: &Path,
    (env, before): (&Env, &Env),
) -> Result<Spec, RunError> {
    for path in [launch.script, launch.config] {
        if path.to_str().is_none() {
            return Err(RunError::NotText { path: path.to_owned() });
        }
    }
    Ok(Spec {
        version: spec::VERSION,
        id: dir.id().clone(),
        cookie: procfs::random_id(),
        program: launch.program(),
        args: launch.args(),
        cwd: launch.script.parent().unwrap_or(Path::new("/")).to_owned(),
        environment: env.changes_since(before).map(|name| name.to_string_lossy().into_owned()).collect(),
        source: config.path().to_owned(),
        config: launch.config.to_owned(),
        output_dir: output_dir.to_owned(),
        resumes: launch.resumes.map(str::to_owned),
        max_steps: config.training.max_steps,
        devices: launch.devices.clone(),
        master_port: launch.port,
        boot_id: procfs::boot_id(),
        dpgui: env!("CARGO_PKG_VERSION").to_owned(),
        created: clock::now(),
    })
}
