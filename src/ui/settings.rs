//! What is set, and where: paths, mirrors, whether there are secrets; no secret itself. Some of it can be changed ([`edit`]).

pub mod edit;

use std::path::Path;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    error::Error,
    install::{cache::Cache, doctor::detours},
    output::redact::{self, HIDDEN, Redactor},
    platform::{Env, fs},
    workspace::{Settings, change},
};

use super::{
    App,
    failure::{Answer, without_snippets},
    roots::Roots,
    routes::Nothing,
};

use edit::{ByHand, Field};

/// Those that a training may need.
const SECRETS: [&str; 4] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY", "CIVITAI_TOKEN"];

/// What the settings page shows.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shown {
    workspace: String,
    settings_file: String,
    /// Its secrets are hidden; `null` if there is none.
    settings_text: Option<String>,
    /// What is wrong with it.
    settings_problem: Option<String>,
    /// Of the file, for whoever changes it; `null` if there is none.
    digest: Option<String>,
    /// When the file was written last; `null` if there is none.
    settings_modified: Option<Timestamp>,
    /// What can be changed here, in the order to show it.
    fields: Vec<Field>,
    /// What is for an editor or the terminal.
    by_hand: Vec<ByHand>,
    cache_dir: String,
    /// What the page may see.
    roots: Vec<String>,
    /// Variables and settings that have things fetched from elsewhere; passwords are hidden.
    mirrors: Vec<Mirror>,
    secrets: Vec<Secret>,
    torch_profile: String,
    host: String,
    port: u16,
    version: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Mirror {
    name: String,
    value: String,
}

/// Whether there is one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Secret {
    name: String,
    set: bool,
}

pub fn show(app: &App, _: &Nothing) -> Answer<Shown> {
    let (loaded, problem) = match Settings::load(&app.workspace) {
        Ok(settings) => (settings, None),
        Err(cause) => {
            (Settings::default(), Some(without_snippets(&Error::from(cause).messages().join(": "))))
        }
    };
    let file = app.workspace.settings_file();
    let text = fs::read_optional(&file).unwrap_or_default();
    let roots = match &problem {
        None => Roots::of(app)?.named,
        Some(_) => vec![app.workspace.root().to_owned()],
    };
    let path = |it: &Path| it.display().to_string();
    let mirrors = detours(&app.host.env, &loaded);
    Ok(Shown {
        workspace: path(app.workspace.root()),
        settings_file: path(&file),
        digest: text.as_ref().map(change::digest),
        settings_modified: fs::modified(&file).ok(),
        fields: edit::fields(text.as_deref().unwrap_or_default()),
        by_hand: edit::by_hand(),
        settings_text: text.map(|it| shown_text(&it, &loaded)),
        settings_problem: problem,
        cache_dir: path(Cache::of(&app.host, &app.workspace, &loaded).dir()),
        roots: roots.iter().map(|it| path(it)).collect(),
        mirrors: mirrors.into_iter().map(|(name, value)| Mirror { name, value }).collect(),
        secrets: secrets(&app.host.env),
        torch_profile: loaded.torch.profile.clone().unwrap_or_else(|| "auto".to_owned()),
        host: app.address.to_string(),
        port: app.names.port(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// The file without what it keeps to itself: passwords in addresses, and whom runs tell, whose addresses hold keys.
fn shown_text(text: &str, settings: &Settings) -> String {
    let mut redactor = Redactor::default();
    for target in &settings.runs.notify {
        redactor.know("notify", target, true);
    }
    let text = redactor.redact(text);
    // What is no longer read, as a comment or in a broken file, is known by its name only.
    let mut in_list = false;
    let lines = text.lines().map(|line| {
        // Also in a table on one line: before the first text.
        let is_notify = line.split(['"', '\'']).next().is_some_and(|head| head.contains("notify"));
        let begins = line.split_once('=').filter(|_| is_notify);
        let hides = in_list || begins.is_some();
        in_list = hides && !line.contains(']') && (in_list || line.contains('['));
        let has_text = line.contains(['"', '\'']);
        match begins {
            Some((name, _)) if has_text => format!("{name}= {HIDDEN}"),
            None if hides && has_text => format!("    {HIDDEN}"),
            Some(_) | None => line.to_owned(),
        }
    });
    let lines: Vec<String> = lines.collect();
    lines.join("\n") + if text.ends_with('\n') { "\n" } else { "" }
}

/// Those that everybody may need, and what else is set here and is called like one.
fn secrets(env: &Env) -> Vec<Secret> {
    let usual = SECRETS.map(|name| Secret { name: name.to_owned(), set: env.get(name).is_some() });
    let others = env.iter().filter_map(|(name, value)| {
        let name = name.to_str().filter(|it| redact::is_secret(it) && !SECRETS.contains(it))?;
        (!value.is_empty()).then(|| Secret { name: name.to_owned(), set: true })
    });
    usual.into_iter().chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_are_shown_without_their_secrets() {
        let check = |text: &str, expected: &str| {
            let settings = toml::from_str(text).unwrap_or_default();
            assert_eq!(shown_text(text, &settings), expected);
        };
        check("[ui]\nport = 1\n", "[ui]\nport = 1\n");
        check(
            "[sources.a]\nurl = \"https://me:canary@host/a\"\n",
            "[sources.a]\nurl = \"https://(hidden)@host/a\"\n",
        );
        check("[runs]\nnotify = [\"https://hooks.example/canary\"]\n", "[runs]\nnotify = (hidden)\n");
        check(
            "[runs]\nnotify = [\n  \"curl canary\",\n  'canary',\n]\n[ui]\nroots = ['/a']\n= 1",
            "[runs]\nnotify = [\n    (hidden)\n    (hidden)\n]\n[ui]\nroots = ['/a']\n= 1",
        );
        check("#notify = [\"canary-canary\"]\n", "#notify = (hidden)\n");
    }
}
