//! A configuration can name any path, and what is started with it looks there. Whoever has the page is not to find out that
//! way what is where: from here it is started only where the page may see all that it names.

use axum::http::StatusCode;

use crate::config::ConfigError;

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
    let Some((key, place)) = hidden.into_iter().next() else { return Ok(()) };
    let text =
        format!("`{key}` in `{name}` is outside of the folders that the page may see: `{}`", place.display());
    let hint = "grant its folder in `dpgui.toml`: `ui.roots = [\"/FOLDER\"]`, or do it in the terminal";
    Err(Failure::http(StatusCode::FORBIDDEN, "forbidden", text).with_hint(hint))
}
