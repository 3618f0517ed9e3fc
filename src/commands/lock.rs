//! `dpgui lock`: brings `dpgui.lock` up to date for every machine, or says whether it is.

use std::process::ExitCode;

use crate::{
    error::Error,
    install::{
        InstallError, Purpose, Setup, Wish,
        lock::{LockedError, Policy, Scope},
        plan::{Selection, StepId},
    },
    vendor::{requirements::Rules, sources},
    workspace::remember::Choices,
};

use super::{Context, LockArgs, demo, setup};

/// Write `dpgui.lock` for every torch profile and architecture
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only say whether it is up to date for this machine, as `setup --locked` does; exit with 9 if not
    #[arg(long)]
    check: bool,
    /// Take the newest packages that fit, and the commits that this dpgui ships
    #[arg(long, conflicts_with = "check")]
    upgrade: bool,
    #[command(flatten)]
    lock: LockArgs,
}

pub fn run(args: &Args, context: &Context) -> Result<ExitCode, Error> {
    let settings = context.settings()?;
    if !args.check {
        context.finish_switch(args.lock.if_locked())?;
    }
    let policy = if args.check { Policy::Locked } else { Policy::Update };
    let mut site = setup::site(context, &settings, policy)?;
    if args.upgrade {
        if site.http.is_offline() {
            return Err(InstallError::from(LockedError::OfflineUpgrade).into());
        }
        site.sources = sources::Sources::load(&settings)?;
    }
    let (purpose, needs) = if demo::is_its_own(&settings) {
        (demo::PURPOSE, vec![])
    } else {
        let lists = Rules::load()?.precedence;
        (Purpose::Trainer { wanted: vec![] }, [lists, vec![StepId::Requirements.to_string()]].concat())
    };
    let wish = Wish {
        purpose,
        profile: setup::profile(settings.torch.profile.as_deref())?,
        python: setup::python(context, None, &settings),
        keep_downloads: false,
        lock: match (args.check, args.upgrade) {
            // What a setup here has written is up to date, though other machines are not in it.
            (true, _) => Scope::Here,
            (false, true) => Scope::Upgrade,
            (false, false) => Scope::Everywhere,
        },
    };
    let lock = || vec![StepId::Lock.to_string()];
    let mut only = lock();
    // What was locked for these sources, by whomever, needs neither checkouts nor a Python to be written down.
    if args.check || !Setup::new(&site, &wish, &Selection { only: lock(), skip: vec![] })?.knows_its_lock()? {
        only.extend(needs);
        only.extend([StepId::Uv, StepId::Python].map(|it| it.to_string()));
    }
    let setup = Setup::new(&site, &wish, &Selection { only, skip: vec![] })?;
    if args.check {
        setup.plan()?;
        context.output.status("Up to date", "`dpgui.lock`");
        return Ok(ExitCode::SUCCESS);
    }
    context.output.event(&setup.apply(args.lock.if_locked(), Choices::NONE)?);
    Ok(ExitCode::SUCCESS)
}
