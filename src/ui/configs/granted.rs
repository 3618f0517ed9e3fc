//! A configuration can name any path, and what is started with it looks there. Whoever has the page is not to find out that
//! way what is where: from here it is started only where the page may see all that it names.

use std::{path::Path, sync::Arc};

use crate::{
    config::{ConfigError, Hidden, Sight},
    error::{Error, Kind},
    platform::Env,
    run::RunError,
    workspace::Workspace,
};

use super::{
    super::{
        App,
        failure::{Answer, Failure},
        roots::Roots,
    },
    edit::unsaved,
    file,
    files::LARGEST,
};

/// In the environment of what a page has started: it looks at nothing that the page may not see.
pub const FOR_PAGE: &str = "DPGUI_FOR_PAGE";

/// What of this machine is looked at for the page.
pub fn sight(app: &App) -> Sight {
    sight_in(&app.workspace, &app.host.env)
}

fn sight_in(workspace: &Workspace, env: &Env) -> Sight {
    let roots = Roots::around_configs(workspace, env).unwrap_or_else(|_| Roots::of_workspace(workspace));
    Sight::of(Arc::new(move |path| roots.covers(path)))
}

/// What a command looks at: all, unless a page has started it. What the server has judged may be another file by then.
pub fn sight_of_command(workspace: &Workspace, env: &Env) -> Sight {
    env.get(FOR_PAGE).map_or_else(Sight::default, |_| sight_in(workspace, env))
}

/// # Errors
/// When something is `hidden` from who asks.
pub fn must_see_all(hidden: &[Hidden]) -> Result<(), Error> {
    hidden.first().map_or(Ok(()), |it| Err(named_outside(it)))
}

/// What is said does not hang on what is there.
///
/// # Errors
/// When the configuration called `name` names something outside of the granted folders, is not there, or cannot be read.
pub fn must_be_granted(app: &App, name: &str) -> Answer<()> {
    let path = file(&app.workspace, name)?;
    let pair = unsaved(app, &path, Roots::with_configs(app)?.find(&path)?.read_text(LARGEST)?, None);
    let hidden = match pair.hidden() {
        // What cannot be read leads nowhere; what is wrong with it is said by what is started.
        Err(ConfigError::Syntax { .. }) => return Ok(()),
        hidden => hidden?,
    };
    hidden.first().map_or(Ok(()), |it| Err(Failure::forbidden(named_outside(it))))
}

/// A start that was refused, in the page's words where that is for where it leads.
pub fn refused(cause: RunError) -> Failure {
    match &cause {
        RunError::OutOfSight(hidden) => Failure::forbidden(named_outside(hidden)),
        RunError::Config(ConfigError::Hidden { path }) => {
            Failure::forbidden(outside("the configuration", path))
        }
        _ => cause.into(),
    }
}

fn named_outside(Hidden { key, file, place }: &Hidden) -> Error {
    let name = file.file_name().unwrap_or_default().display();
    outside(&format!("`{key}` in `{name}`"), place)
}

fn outside(what: &str, place: &Path) -> Error {
    let text = format!("{what} is outside of the folders that the page may see: `{}`", place.display());
    let hint = "grant its folder in `dpgui.toml`: `ui.roots = [\"/FOLDER\"]`, or do it in the terminal";
    Error::new(Kind::Usage, text).with_hint(hint)
}
