//! `dpgui setup`: fills the workspace with everything that a training needs.

mod against;
mod repair;

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    error::{Error, Kind},
    install::{
        Purpose, Setup, Wish,
        bundle::{self, Terms},
        cache::Cache,
        index_settings::PipSettings,
        lock::{Locks, Policy, Scope},
        packages::CpuIndex,
        page::Page,
        plan::{Selection, Total},
        step::Site,
        torch::Profile,
        verify::Imported,
    },
    platform::{fs, net::Http, patience::Patience, process::as_typed, signal},
    vendor::{
        lock::LockFile,
        sources::{Archive, Sources},
    },
    workspace::{Settings, remember::Choices},
};

use super::{Context, LockArgs, demo, interrupts};

/// Install everything that a training needs; a second run does nothing
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print what would be done and why, and touch nothing
    #[arg(long)]
    plan: bool,
    /// With --plan: exit with 10 if there is something to do
    #[arg(long, requires = "plan")]
    detailed_exitcode: bool,
    /// Only these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    only: Vec<String>,
    /// All but these steps
    #[arg(long, value_name = "STEP", value_delimiter = ',')]
    skip: Vec<String>,
    /// The PyTorch build: auto, cu13, cu12 or cpu [default: `[torch] profile` in dpgui.toml, else auto]
    #[arg(long, value_name = "PROFILE")]
    torch: Option<String>,
    /// The interpreter to make the environment with, instead of a portable one
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Clone what this model type needs beyond the common repositories
    #[arg(long = "model", value_name = "TYPE", value_delimiter = ',')]
    models: Vec<String>,
    /// Clone this further submodule of the trainer
    #[arg(long = "submodule", value_name = "NAME", value_delimiter = ',')]
    submodules: Vec<String>,
    #[command(flatten)]
    repair: repair::Args,
    #[command(flatten)]
    lock: LockArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    downloads: DownloadArgs,
}

/// What becomes of the files that were fetched.
#[derive(Clone, Debug, clap::Args)]
struct DownloadArgs {
    /// Keep the downloaded files of the Python packages, for other workspaces and for `--offline`
    #[arg(long)]
    keep_downloads: bool,
    /// Ask no server: say all that is missing and where to put it, or work with what is here [env: `DPGUI_OFFLINE`]
    #[arg(long)]
    offline: bool,
    /// Take everything from this file of `dpgui bundle create` as its lock says (`--frozen`), and ask no server
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    bundle: Option<PathBuf>,
}

/// How `dpgui.lock` is treated.
#[derive(Clone, Copy, Debug, clap::Args)]
struct PolicyArgs {
    /// Fail if `dpgui.lock` would change
    #[arg(long, conflicts_with = "frozen")]
    locked: bool,
    /// Take `dpgui.lock` as it is, its digests before those in `dpgui.toml`, and look at nothing that could change it
    #[arg(long)]
    frozen: bool,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let settings = context.settings()?;
    say_if_it_is_above(context);
    if !args.plan {
        say_what_an_interrupt_means(context)?;
        context.finish_switch(args.lock.if_locked())?;
    }
    let wish = wish(args, context, &settings)?;
    let selection = Selection { only: args.only.clone(), skip: args.skip.clone() };
    if let Some(file) = &args.downloads.bundle {
        // What is asked for must make sense before gigabytes are copied.
        let site = site(context, &settings, Policy::Update)?;
        let setup = Setup::new(&site, &wish, &selection)?;
        // And what it must not change must be told before them as well.
        let accept = |lock: &LockFile| {
            if args.policy() != Policy::Locked {
                return Ok(());
            }
            let mut site =
                Site { sources: Sources::load(&settings)?, policy: Policy::Locked, ..site.clone() };
            site.sources.follow(lock, false);
            Setup::new(&site, &wish, &selection)?.confirm_brought(lock)
        };
        bring(file, context, &site, Terms { alone: &|| setup.lock(args.lock.if_locked()), accept: &accept })?;
    }
    let mut site = site(context, &settings, args.policy())?;
    site.http = site.http.offline(args.downloads.is_offline() || is_offline(context));
    let setup = Setup::new(&site, &wish, &selection)?;
    let choices = Choices {
        torch: args.torch.as_deref(),
        python: wish.python.as_deref().filter(|_| args.python.is_some()),
        models: &args.models,
        submodules: &args.submodules,
    };
    let mut work = repair::Work { setup, wish: &wish, choices };
    if args.plan {
        if args.repair.is_given() {
            repair::foresee(&args.repair, context, &mut work, args.lock.if_locked())?;
        }
        return plan(args, context, &work.setup);
    }
    if args.repair.is_given() {
        return repair::run(&args.repair, context, work, args.lock.if_locked());
    }
    let setup = work.setup;
    setup.require_all_here()?;
    if matches!(wish.purpose, Purpose::Trainer { .. }) && Page::is_left_out_offline(&site) {
        let why = "the web page is left out, for its packages come from the network";
        context.output.note(format_args!("{why}: `dpgui setup` with one builds it"));
    }
    let done = setup.apply(args.lock.if_locked(), choices)?;
    context.output.event(&done);
    if args.downloads.bundle.is_some() && site.policy == Policy::Frozen {
        say_what_differs(context, &site, &settings)?;
    }
    // A part of a setup is no workspace to train in yet.
    if args.only.is_empty() && args.skip.is_empty() {
        next(context);
    }
    Ok(ExitCode::SUCCESS)
}

/// Whoever stands below a workspace may have meant to begin a new one here.
fn say_if_it_is_above(context: &Context) {
    let (root, here) = (context.workspace.root(), &context.host.cwd);
    if here != root && here.starts_with(root) {
        context.output.status("Workspace", format_args!("`{}`, above the current folder", root.display()));
    }
}

/// Ctrl-C ends a setup as a kill does. It deserves a word, and nothing else.
fn say_what_an_interrupt_means(context: &Context) -> Result<(), Error> {
    let output = context.output.clone();
    interrupts::catch(move |_| {
        output.note("\ninterrupted: the same command goes on where this one was");
        signal::end_interrupted();
    })
}

impl Args {
    /// A bundle holds what its lock says, whatever is declared here.
    const fn policy(&self) -> Policy {
        match self.policy.policy() {
            Policy::Update if self.downloads.bundle.is_some() => Policy::Frozen,
            policy => policy,
        }
    }
}

impl DownloadArgs {
    const fn is_offline(&self) -> bool {
        self.offline || self.bundle.is_some()
    }
}

/// Brings a bundle into the cache and its lock into the workspace.
fn bring(file: &Path, context: &Context, site: &Site, terms: Terms<'_>) -> Result<(), Error> {
    let (file, arch) = (context.host.absolute(file), context.host.arch);
    let progress = context.output.progress("bundle");
    let brought = bundle::bring(&file, (&site.cache, &site.workspace), arch, (&progress, terms))?;
    drop(progress);
    context.output.event(&brought);
    Ok(())
}

/// What a bundle carries goes before what is declared here; the next setup without it goes by that.
fn say_what_differs(context: &Context, site: &Site, settings: &Settings) -> Result<(), Error> {
    let (arch, declared) = (context.host.arch, Sources::load(settings)?);
    let differs = |name: &str| {
        let of = |it: &Archive| it.sha256(name, arch).ok();
        declared.archives.get(name).and_then(of) != site.sources.archives.get(name).and_then(of)
    };
    let mut names: Vec<&str> =
        declared.archives.keys().map(String::as_str).filter(|it| differs(it)).collect();
    // What is only shipped gives way to any lock.
    let pinned = declared.repositories.iter().filter(|(_, it)| it.commit_is_override);
    let others = pinned
        .filter(|(name, it)| site.sources.repositories.get(*name).map(|it| it.commit) != Some(it.commit));
    names.extend(others.map(|(name, _)| name.as_str()));
    if !names.is_empty() {
        context.output.note(format_args!(
            "\nThe bundle has another {} than is declared here: `dpgui setup --frozen` stays with it, and `dpgui setup` gets \
             what is declared",
            names.join(" and another ")
        ));
    }
    Ok(())
}

/// What every step of a setup in this workspace works with.
pub fn site(context: &Context, settings: &Settings, policy: Policy) -> Result<Site, Error> {
    let lock = Locks::load(&context.workspace, policy)?.own;
    site_following(lock.as_ref(), context, settings, policy)
}

/// The same where a lock has been read already, or cannot be.
pub fn site_following(
    lock: Option<&LockFile>,
    context: &Context,
    settings: &Settings,
    policy: Policy,
) -> Result<Site, Error> {
    let mut sources = Sources::load(settings)?;
    if let Some(lock) = lock {
        sources.follow(lock, policy == Policy::Frozen);
    }
    Ok(Site {
        host: context.host.clone(),
        workspace: context.workspace.clone(),
        sources,
        http: Http::patient(Patience::of(&context.host.env))?.offline(is_offline(context)),
        cache: Cache::of(&context.host, &context.workspace, settings),
        output: context.output.clone(),
        policy,
        pip: PipSettings::default(),
        cpu_index: CpuIndex::default(),
        imported: Imported::default(),
    })
}

fn is_offline(context: &Context) -> bool {
    let no = |it: &str| ["", "0", "false", "no", "off"].contains(&it.to_ascii_lowercase().as_str());
    context.host.env.text("DPGUI_OFFLINE").is_some_and(|it| !no(it))
}

/// The interpreter to use: from the command line, else from the settings.
pub fn python(context: &Context, given: Option<&Path>, settings: &Settings) -> Option<PathBuf> {
    let chosen = given.or(settings.python.as_deref())?;
    // A bare name is looked up on `PATH`.
    let is_bare = chosen.parent() == Some(Path::new(""));
    Some(if is_bare { chosen.to_owned() } else { context.host.absolute(chosen) })
}

/// `auto` is no profile; anything else must be one.
pub fn profile(name: Option<&str>) -> Result<Option<Profile>, Error> {
    match name {
        None | Some("auto") => Ok(None),
        Some(name) => Ok(Some(name.parse::<Profile>()?)),
    }
}

/// What the settings want, for who is not asked for anything else.
pub fn settled_wish(context: &Context, settings: &Settings) -> Result<Wish, Error> {
    Ok(Wish {
        purpose: Purpose::Trainer { wanted: [&settings.models[..], &settings.submodules].concat() },
        profile: profile(settings.torch.profile.as_deref())?,
        python: python(context, None, settings),
        keep_downloads: settings.cache.keep_downloads,
        lock: Scope::Here,
    })
}

fn wish(args: &Args, context: &Context, settings: &Settings) -> Result<Wish, Error> {
    let given = [&args.models, &args.submodules, &settings.models, &settings.submodules];
    let wanted = given.into_iter().flatten().cloned().collect();
    // `dpgui demo` made it, and what the doctor advises there is this.
    let is_of_demo = args.repair.is_given() && demo::is_its_own(settings);
    let purpose = if is_of_demo { demo::PURPOSE } else { Purpose::Trainer { wanted } };
    let profile = profile(args.torch.as_deref().or(settings.torch.profile.as_deref()))?;
    Ok(Wish {
        purpose,
        profile,
        python: python(context, args.python.as_deref(), settings),
        keep_downloads: args.downloads.keep_downloads || settings.cache.keep_downloads,
        lock: Scope::Here,
    })
}

impl PolicyArgs {
    const fn policy(self) -> Policy {
        match (self.locked, self.frozen) {
            (true, _) => Policy::Locked,
            (false, true) => Policy::Frozen,
            (false, false) => Policy::Update,
        }
    }
}

fn plan(args: &Args, context: &Context, setup: &Setup) -> Result<ExitCode, Error> {
    let planned = setup.plan()?;
    context.output.event(setup.torch());
    for step in &planned {
        context.output.event(step);
    }
    context.output.event(&Total::of(&planned, fs::available_bytes(context.workspace.root()).ok()));
    setup.require_clear(&planned)?;
    setup.require_all_here()?;
    let pending = planned.iter().any(|it| it.pending);
    if args.detailed_exitcode && pending {
        return Ok(ExitCode::from(Kind::ChangesPending.exit_code()));
    }
    Ok(ExitCode::SUCCESS)
}

fn next(context: &Context) {
    let root = context.workspace.root();
    let (mut dpgui, mut config) = (vec!["dpgui".as_ref()], PathBuf::from("configs/wan.toml"));
    if root != context.host.cwd {
        dpgui.extend([OsStr::new("-C"), root.as_os_str()]);
        config = root.join(config);
    }
    let with = |words: &[&OsStr]| as_typed([&dpgui[..], words].concat());
    let new = with(&["config", "new", "wan"].map(OsStr::new));
    let train = with(&["train".as_ref(), config.as_os_str(), "--watch".as_ref()]);
    context.output.note(format_args!(
        "\nNext: `{new}` writes a training configuration to fill in,\n      `{train}` starts it"
    ));
}
