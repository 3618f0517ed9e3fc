//! The start of a run: everything that can be wrong is found before anything is started.

use std::path::{Path, PathBuf};

use crate::{
    config::{
        Finding, Severity, TrainConfig,
        on_resume::{Change, Effect},
    },
    output::Output,
    platform::{
        Env, Host, clock, fifo, fs,
        gpu::{self, Gpu, Nvidia},
        lock::{Lock, Wait},
        net, procfs,
        session::{self, Logout},
    },
    workspace::{Settings, Workspace},
};

use super::{
    RunError, adopt,
    data::{self, DataSummary},
    devices::Devices,
    dir::RunDir,
    folder,
    launch::{self, Launch},
    lease::Claim,
    list,
    nodes::{Hostfile, Part, preflight},
    notify,
    outcome::Outcome,
    queue::{self, Queue},
    request::Request,
    restart::Policy,
    resume::{self, Chosen, Continued},
    spec::{self, Spec},
    state::RunState,
    strangers::{self, Stranger},
    supervise::Begin,
    watchdog::Wishes,
};

/// A run that has begun.
#[derive(Clone, Debug)]
pub struct Started {
    pub dir: RunDir,
    pub spec: Spec,
    /// Where it goes on, if it does not begin anew.
    pub resumed: Option<Continued>,
    /// What has changed in the configuration since, and what the trainer does with it.
    pub changes: Vec<Change>,
    /// What is not quite right with the configuration or the moment.
    pub warnings: Vec<String>,
    /// What its datasets come to.
    pub data: Vec<DataSummary>,
}

/// The machine, the workspace and the user's settings.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    pub host: &'a Host,
    pub workspace: &'a Workspace,
    pub settings: &'a Settings,
    pub output: &'a Output,
}

/// All that the folder of a run is made from.
struct Plan<'a> {
    site: Site<'a>,
    request: &'a Request,
    chosen: &'a Chosen,
    script: &'a Path,
    devices: &'a Devices,
    nvidia: Option<&'a Nvidia>,
    continued: Option<&'a Continued>,
    live: &'a [(RunDir, Spec)],
    claim: &'a Claim,
    /// As the data check counts them.
    epoch_steps: Option<u64>,
}

/// Keeps what is installed as it is, while a run is being started. A setup that is at work is waited for; who it is goes
/// to `tell`.
///
/// # Errors
/// When nothing is installed.
pub fn hold_setup(site: Site<'_>, tell: &(dyn Fn(&str) + Sync)) -> Result<Lock, RunError> {
    let Site { workspace, settings, .. } = site;
    let lock = workspace.setup_lock();
    // What is missing now may be there when the setup is done. And nothing is written where no workspace is.
    if !Lock::is_held(&lock) {
        check_setup(workspace, &settings.trainer_script(workspace))?;
    }
    fs::create_dir_all(&workspace.internal())?;
    let held = Lock::shared(&lock, "dpgui train", Wait::Telling(tell))?;
    check_setup(workspace, &settings.trainer_script(workspace))?;
    Ok(held)
}

/// The same for the supervisor of a run. Who starts a run holds the lock until we do; who adopts one comes too late to
/// insist if somebody took it, the launcher that had it being gone.
pub(super) fn share_setup(dir: &RunDir, begin: Begin) -> Result<Option<Lock>, RunError> {
    let purpose = format!("training {}", dir.id());
    let shared = Lock::shared(&dir.workspace().setup_lock(), &purpose, Wait::No);
    match begin {
        Begin::Start => Ok(Some(shared?)),
        Begin::Adopt => Ok(shared.ok()),
    }
}

/// Starts a run and returns once its trainer runs, under a supervisor that needs us no more. Needs the lock of
/// [`hold_setup`].
///
/// # Errors
/// Anything that is missing or wrong; then there is no run. A trainer that could not be executed leaves one that says so.
pub fn start(site: Site<'_>, request: &Request, _setup: &Lock) -> Result<Started, RunError> {
    let Site { host, workspace, settings, .. } = site;
    let script = settings.trainer_script(workspace);
    let chosen = Chosen::of(site, request)?;
    let config = &chosen.config;
    let nvidia = gpu::detect(host);
    let found: &[Gpu] = nvidia.as_ref().map_or(&[], |it| &it.gpus);
    let devices = match &request.part {
        Some(part) => Devices::for_slots(&config.training, part.own_node().slots, found),
        None => Devices::choose(&config.training, request.gpus.as_deref(), found, &host.env),
    };
    let ranks = |devices: &Devices| request.part.as_ref().map_or_else(|| devices.ranks(), Part::ranks);
    // What is wrong with the files is said first: another GPU would not mend it.
    let mut warnings = check_config(config, devices.as_ref().ok().map(ranks), &request.args)?;
    let devices = devices?;
    warnings.extend(chosen.warning.clone());
    let looked = data::check(site, config, ranks(&devices))?;
    warnings.extend(preflight::check(site, request, (config, &script))?);

    // One start at a time, until the others can read in the run's folder what it uses.
    fs::create_dir_all(&workspace.internal())?;
    let starting = Lock::wait(&lock(workspace))?;
    let continued = resume::find(site, config, request)?;
    let changes = continued.as_ref().map_or(vec![], |it| it.changes(site, config, &request.args));
    if changes.iter().any(|it| it.effect == Effect::Fails) {
        return Err(RunError::ChangedTooMuch(changes));
    }
    if let Some(continued) = &continued {
        warnings.extend(continued.make_ready()?);
    }
    let live = live(workspace)?;
    let (claim, elsewhere) = Claim::new(site, &devices, nvidia.as_ref(), request.share)?;
    warnings.extend(elsewhere);
    warnings.extend(strangers::on(host, &devices).iter().map(Stranger::sentence));
    warnings.extend(at_logout(session::at_logout(host)));
    let plan = Plan {
        site,
        request,
        chosen: &chosen,
        script: &script,
        devices: &devices,
        nvidia: nvidia.as_ref(),
        continued: continued.as_ref(),
        live: &live,
        claim: &claim,
        epoch_steps: looked.epoch_steps,
    };
    let queue = Queue::load(workspace)?;
    let leases = if request.queue { Ok(vec![]) } else { queue.take(&claim, request.overtakes())? };
    let leases = leases.map_err(|it| it.seen(&claim, nvidia.as_ref(), &queue, request.part.is_some()))?;
    let dir = RunDir::create(workspace, &request.name())?;
    let (spec, env) = plan.prepare(&dir).inspect_err(|_| {
        // Nothing of it ran: a folder that only looks like a run would be in everybody's way.
        let _ = fs::remove_tree(dir.path());
    })?;
    if let Some(continued) = &continued {
        continued.rewind(&dir)?;
    }
    if request.queue {
        queue::join(workspace, dir.id(), &claim)?;
    }
    // The supervisor takes them for itself. Whoever waits for them starts nothing as long as we do.
    drop(leases);
    hand_over(host, &dir, &spec, &env)?;
    drop(starting);
    Ok(Started { dir, spec, resumed: continued, changes, warnings, data: looked.summaries })
}

/// Starts the supervisor. Nothing is left of a run that could not begin.
fn hand_over(host: &Host, dir: &RunDir, spec: &Spec, env: &Env) -> Result<(), RunError> {
    adopt::spawn_supervisor(host, dir, env, Begin::Start).inspect_err(|_| {
        if !dir.is_supervised() && !is_running(spec) {
            let _ = fs::remove_tree(dir.path());
        }
    })?;
    if let Some(RunState::Ended(Outcome::NotStarted { reason })) = dir.snapshot()?.map(|it| it.state) {
        if let Err(busy) = spec.claim.take("dpgui train")? {
            // Somebody in another workspace was faster.
            fs::remove_tree(dir.path())?;
            return Err(busy.into());
        }
        return Err(RunError::NotStarted { reason });
    }
    Ok(())
}

pub(super) fn check_setup(workspace: &Workspace, script: &Path) -> Result<(), RunError> {
    let program = launch::program(workspace);
    if !fs::is_file(&program) {
        return Err(RunError::NotSetUp { path: program });
    }
    if !fs::is_file(script) {
        return Err(RunError::NoTrainer { path: script.to_owned() });
    }
    Ok(())
}

/// What is worth a warning.
///
/// # Errors
/// All errors at once, with the warnings: they may say why something seems to be missing.
pub(super) fn check_config(
    config: &TrainConfig,
    ranks: Option<u32>,
    args: &[String],
) -> Result<Vec<String>, RunError> {
    let mut found = config.findings_with(ranks, args);
    found.retain(|finding| finding.severity != Severity::Note);
    if found.iter().any(|finding| finding.severity == Severity::Error) {
        return Err(RunError::Findings(found));
    }
    Ok(found.iter().map(Finding::to_string).collect())
}

/// What the user's leaving will do to the run, if it does anything.
fn at_logout(logout: Logout) -> Option<String> {
    let linger = "`loginctl enable-linger` keeps it";
    match logout {
        Logout::Harmless | Logout::Kills { manager: true, lingers: true } => None,
        Logout::Kills { manager: true, lingers: false } => {
            Some(format!("this machine ends the run when your last login ends: {linger}"))
        }
        Logout::Kills { manager: false, .. } => Some(
            "this machine ends the run when you log out (`KillUserProcesses=yes`), and there is no `systemd --user` to \
             keep it: stay logged in, or ask whoever runs the machine"
                .to_owned(),
        ),
    }
}

/// The runs that have begun and are not over, with what they were started with.
pub(super) fn live(workspace: &Workspace) -> Result<Vec<(RunDir, Spec)>, RunError> {
    let live = RunDir::all(workspace)?.into_iter().filter(list::is_live);
    let known = live.filter_map(|dir| dir.spec().ok().map(|spec| (dir, spec)));
    Ok(known.filter(|(_, spec)| !spec.queued).collect())
}

/// Whoever has it starts a run.
pub(super) fn lock(workspace: &Workspace) -> PathBuf {
    workspace.internal().join("start.lock")
}

pub(super) fn ports(live: &[(RunDir, Spec)]) -> Vec<u16> {
    live.iter().map(|(_, spec)| spec.master_port).collect()
}

impl Plan<'_> {
    /// Everything in the folder, the spec last, which makes it a run.
    fn prepare(&self, dir: &RunDir) -> Result<(Spec, Env), RunError> {
        let Site { host, workspace, .. } = self.site;
        let resolved = self.chosen.config.resolve_into(&dir.config())?;
        // Tells this run's folder under `output_dir` from those of its siblings, see `TrainerFolder::find`.
        let mut copy = fs::open_append(&resolved.config)?;
        fs::append(&mut copy, &resolved.config, format!("\n# dpgui run {}\n", dir.id()))?;
        let (hostfile, part) = (dir.hostfile(), self.request.part.as_ref());
        if let Some(part) = part {
            fs::write_atomic(&hostfile, Hostfile::text(&part.nodes))?;
        }
        // The trainer at the head makes the folder, and waits for us.
        let is_part = part.is_some_and(|it| !it.is_head());
        if self.continued.is_none() && !is_part {
            folder::keep_apart(self.live, &resolved.output_dir);
        }
        let resumes = self.continued.map(|it| it.folder.name_in(&resolved.output_dir));
        let launch = Launch {
            workspace,
            script: self.script,
            config: &resolved.config,
            devices: self.devices,
            port: self.port()?,
            resumes: resumes.as_deref(),
            args: &self.request.args,
            hostfile: fs::exists(Path::new(launch::HOSTFILE)),
            launcher: self.request.launcher,
            part: part.map(|part| (part, &*hostfile)),
            wrapper: [&host.program, dir.path()],
        };
        let secrets = self.chosen.secrets.as_ref().unwrap_or(&resolved.secrets);
        let env = launch::env(workspace, self.devices, &host.env, self.nvidia, secrets);
        let spec = self.spec_of(dir, &launch, &resolved.output_dir, (&env, &host.env))?;
        let mut targets = self.site.settings.runs.notify.clone();
        targets.extend(
            self.request.notify.iter().filter(|it| !self.site.settings.runs.notify.contains(it)).cloned(),
        );
        notify::keep(dir, &targets)?;
        make_room(dir, &spec)?;
        fs::write_atomic(&dir.spec_file(), serde_json::to_string_pretty(&spec).unwrap_or_default())?;
        Ok((spec, env))
    }

    /// Where the ranks meet: on a machine that has only a part, where the head says.
    fn port(&self) -> Result<u16, RunError> {
        match self.request.part.as_ref().and_then(|part| part.of.as_ref()) {
            Some(origin) => Ok(origin.port),
            None => net::free_port(&ports(self.live)).map_err(RunError::NoPort),
        }
    }

    fn spec_of(
        &self,
        dir: &RunDir,
        launch: &Launch<'_>,
        output_dir: &Path,
        (env, before): (&Env, &Env),
    ) -> Result<Spec, RunError> {
        for path in [launch.script, launch.config] {
            if path.to_str().is_none() {
                return Err(RunError::NotText { path: path.to_owned() });
            }
        }
        let wishes = &self.site.settings.runs;
        Ok(Spec {
            version: spec::VERSION,
            id: dir.id().clone(),
            cookie: procfs::random_id(),
            program: launch.program(),
            args: launch.args(),
            passed_on: self.request.args.clone(),
            cwd: launch.script.parent().unwrap_or(Path::new("/")).to_owned(),
            environment: env.changes_since(before).map(|name| name.to_string_lossy().into_owned()).collect(),
            source: self.chosen.source.clone(),
            config: launch.config.to_owned(),
            output_dir: output_dir.to_owned(),
            resumes: launch.resumes.map(str::to_owned),
            resumes_step: self.continued.map(|it| it.checkpoint.step),
            epochs: self.chosen.config.training.epochs,
            epoch_steps: self.epoch_steps,
            max_steps: self.chosen.config.training.max_steps,
            devices: launch.devices.clone(),
            launcher: launch.launcher,
            queued: self.request.queue,
            claim: self.claim.clone(),
            logs: self.site.settings.logs,
            master_port: launch.port,
            restart: self.request.restarts.map(|limit| Policy { limit, delay: wishes.restart_delay }),
            watchdog: Wishes {
                on_nan: self.request.on_nan,
                on_stall: self.request.on_stall,
                nan_steps: wishes.nan_steps,
                stall_after: wishes.stall_after,
            },
            part: self.request.part.clone(),
            boot_id: procfs::boot_id(),
            dpgui: env!("CARGO_PKG_VERSION").to_owned(),
            created: clock::now(),
        })
    }
}

/// The pipes of the run, and the folders that their streams go to.
fn make_room(dir: &RunDir, spec: &Spec) -> Result<(), RunError> {
    let streams = spec.streams();
    let pipes = streams.iter().map(|stream| dir.pipe(*stream)).chain([dir.control()]);
    for pipe in pipes {
        fifo::create(&pipe).map_err(|source| RunError::NoPipes { source })?;
    }
    for stream in streams {
        fs::create_dir_all(&stream.folder(&dir.log()))?;
    }
    Ok(())
}

/// Some process carries the run's mark.
fn is_running(spec: &Spec) -> bool {
    procfs::processes().iter().any(|it| it.variable(spec::COOKIE).as_deref() == Some(&spec.cookie))
}
