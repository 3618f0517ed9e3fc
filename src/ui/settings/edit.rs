//! Settings that the page may change, key by key. What decides who may come in, what may be looked at or what is run is none
//! of them: whoever got hold of the page is not to get hold of more.

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    output::redact::{HIDDEN, Redactor},
    vendor::sources::Sources,
    workspace::{
        Settings,
        change::{self, Change, ChangeError, Counts, Key, Wants},
    },
};

use super::super::{
    App,
    failure::{Answer, Failure},
    routes::Nothing,
};

/// A key that can be changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Field {
    /// As it is sent back.
    key: String,
    title: String,
    about: String,
    kind: FieldKind,
    /// Of a choice.
    choices: Vec<String>,
    /// What it is where the file does not say.
    usual: String,
    /// What the file says; secrets in it are hidden.
    value: Option<String>,
    counts: CountsFrom,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FieldKind {
    Choice,
    YesOrNo,
    Number,
    Text,
    /// One a line.
    Lines,
}

/// From when on a change counts.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CountsFrom {
    NextSetup,
    NextRun,
    NextServer,
}

/// A key that is not changed here.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ByHand {
    key: String,
    about: String,
    how: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckSettings {
    changes: Vec<SettingChange>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SaveSettings {
    changes: Vec<SettingChange>,
    /// Of the file that the page had loaded; `null` if there was none.
    digest: Option<String>,
}

#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingChange {
    key: String,
    /// `null` has it as usual again.
    value: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SettingsChecked {
    findings: Vec<SettingFinding>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SettingFinding {
    key: String,
    message: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct SettingsSaved {
    digest: String,
}

/// All keys that can be changed, those of every source among them, with what `text` says.
pub(super) fn fields(text: &str) -> Vec<Field> {
    let sources = Sources::load(&Settings::default());
    let named = |key: &Key| -> Vec<String> {
        let Ok(sources) = &sources else { return vec![] };
        match key.wants {
            Wants::Addresses => sources.archives.keys().cloned().collect(),
            Wants::Address => sources.repositories.keys().cloned().collect(),
            Wants::OneOf(_) | Wants::YesOrNo | Wants::Number | Wants::Port | Wants::Size | Wants::Time => {
                vec![String::new()]
            }
        }
    };
    let keys = &change::keys().open;
    keys.iter().flat_map(|key| named(key).into_iter().map(|name| Field::of(key, &name, text))).collect()
}

pub(super) fn by_hand() -> Vec<ByHand> {
    let all = change::keys().by_hand.iter();
    all.map(|it| ByHand { key: it.name.clone(), about: it.about.clone(), how: it.how.clone() }).collect()
}

/// While somebody types.
pub fn check(_: &App, _: &Nothing, body: &CheckSettings) -> Answer<SettingsChecked> {
    Ok(SettingsChecked { findings: findings(&body.changes) })
}

/// Writes all changes, or none.
pub fn save(app: &App, _: &Nothing, body: &SaveSettings) -> Answer<SettingsSaved> {
    if let Some(it) = findings(&body.changes).into_iter().next() {
        let text = format!("`{}` cannot be so: {}", it.key, it.message);
        return Err(Failure::http(StatusCode::BAD_REQUEST, "usage", text));
    }
    let changes: Vec<Change> = body.changes.iter().map(SettingChange::meant).collect();
    match change::change(&app.workspace, body.digest.as_deref(), &changes) {
        Ok(digest) => Ok(SettingsSaved { digest }),
        Err(cause @ ChangeError::Meanwhile) => Err(Failure::conflict(cause)),
        Err(cause) => Err(cause.into()),
    }
}

fn findings(changes: &[SettingChange]) -> Vec<SettingFinding> {
    let known = fields("");
    let is_unknown = |it: &&SettingChange| it.is_of_source() && known.iter().all(|field| field.key != it.key);
    let unknown = changes.iter().filter(is_unknown).map(|it| (it, "there is no such source"));
    let is_hidden = |it: &&SettingChange| it.value.as_ref().is_some_and(|it| it.contains(HIDDEN));
    let hidden =
        changes.iter().filter(is_hidden).map(|it| (it, "the secret in it is hidden here: write it anew"));
    let own = unknown.chain(hidden).map(|(it, message)| (it.key.clone(), message.to_owned()));
    let changes: Vec<Change> = changes.iter().map(SettingChange::meant).collect();
    let wrong = change::check(&changes).into_iter().map(|it| (it.key, it.message));
    wrong.chain(own).map(|(key, message)| SettingFinding { key, message }).collect()
}

impl SettingChange {
    fn meant(&self) -> Change {
        Change { key: self.key.clone(), value: self.value.clone() }
    }

    fn is_of_source(&self) -> bool {
        self.key.starts_with("sources.")
    }
}

impl Field {
    fn of(key: &Key, source: &str, text: &str) -> Self {
        let (kind, choices) = match &key.wants {
            Wants::OneOf(all) => (FieldKind::Choice, all.clone()),
            Wants::YesOrNo => (FieldKind::YesOrNo, vec![]),
            Wants::Number | Wants::Port => (FieldKind::Number, vec![]),
            Wants::Size | Wants::Time | Wants::Address => (FieldKind::Text, vec![]),
            Wants::Addresses => (FieldKind::Lines, vec![]),
        };
        let name = key.name.replace("NAME", source);
        Self {
            value: change::said(text, &name).map(|it| hidden(&it)),
            key: name,
            title: key.title.replace("NAME", source),
            about: key.about.clone(),
            kind,
            choices,
            usual: key.usual.clone(),
            counts: match key.counts {
                Counts::NextSetup => CountsFrom::NextSetup,
                Counts::NextRun => CountsFrom::NextRun,
                Counts::NextServer => CountsFrom::NextServer,
            },
        }
    }
}

/// Passwords and what follows a question mark in addresses are nobody's business.
fn hidden(value: &str) -> String {
    let value = Redactor::default().redact(value);
    let lines = value.lines().map(|line| match line.split_once('?') {
        Some((address, _)) if line.contains("://") => format!("{address}?{HIDDEN}"),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_is_hidden_and_does_not_come_back_as_one() {
        let text = "[sources.node]\nplaces = [\"https://me:canary@a.example/x?key=canary\", \"https://b.example/y\"]\n";
        let fields = fields(text);
        let node = fields.iter().find(|it| it.key == "sources.node.places").expect("there");
        let shown = node.value.clone().expect("set");
        assert_eq!(shown, "https://(hidden)@a.example/x?(hidden)\nhttps://b.example/y");
        let sent = SettingChange { key: node.key.clone(), value: Some(shown) };
        let told: Vec<String> = findings(&[sent]).into_iter().map(|it| it.message).collect();
        assert_eq!(told, ["the secret in it is hidden here: write it anew"]);
    }
}
