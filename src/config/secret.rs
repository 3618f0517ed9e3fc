//! Keys whose values nobody should see: not on a terminal, not in a log, not in the copies of a run.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

pub use crate::output::redact::HIDDEN;

/// The trainer's only key of this kind.
const KEY: &str = "wandb_api_key";

/// How much a name has to be like that one to be taken for it, between 0 and 1.
const ALIKE: f64 = 0.9;

/// `name` is that of a secret in whatever table it is, also where the trainer does not look, and misspelt.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.replace(['_', '-'], "").contains("apikey") || strsim::jaro_winkler(&name, KEY) >= ALIKE
}

/// `name` is called like something that nobody should see. The trainer has no such key, so what a file says there stays in
/// the copies of a run, as all does that is not ours to judge; it is only not shown.
pub fn is_hidden(name: &str) -> bool {
    const WORDS: [&str; 5] = ["secret", "password", "passwd", "credential", "credentials"];
    let name = name.to_ascii_lowercase();
    let mut words = name.split(['_', '-']);
    // A `max_token_length` is one of a text.
    is_secret(&name) || words.clone().next_back() == Some("token") || words.any(|it| WORDS.contains(&it))
}

/// `text`, which somebody wants `key` to be, `adapter.rank` or `rank`; for people to read.
pub fn shown<'a>(key: &str, text: &'a str) -> &'a str {
    let empty = ["", "''", "\"\""].contains(&text.trim());
    if !empty && key.split('.').any(is_hidden) { HIDDEN } else { text }
}

/// A line of a file, its end hidden if it may hold a secret.
pub fn shown_line(line: &str) -> String {
    let word = line.split(|c| !is_in_word(c)).find(|word| is_hidden(word));
    match word.and_then(|word| line.split_once(word).map(|(before, _)| (before, word))) {
        Some((before, word)) => format!("{before}{word} {HIDDEN}"),
        None => line.to_owned(),
    }
}

/// `text`, which is TOML, without what a comment says that a secret is: `# wandb_api_key = 'KEY'`.
pub(super) fn without_in_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut at = 0;
    for Told { name_end, value } in in_comments(text, is_secret) {
        kept.extend([&text[at..name_end], " ", HIDDEN]);
        at = value.end;
    }
    kept + &text[at..]
}

/// A secret that a comment tells.
pub(super) struct Told {
    /// Where what comes before its `=` ends.
    name_end: usize,
    /// The rest of the comment.
    pub(super) value: Range<usize>,
}

/// Those whose names are like this.
pub(super) fn in_comments(text: &str, is: Is) -> Vec<Told> {
    let mut found = vec![];
    let mut at = 0;
    while let Some(start) = text[at..].find(['#', '"', '\'']).map(|it| at + it) {
        let from = &text[start..];
        let length = if from.starts_with('#') { from.find('\n') } else { string_length(from) };
        at = length.map_or(text.len(), |length| start + length);
        let part = &text[start..at];
        let told = part
            .split_once(['=', ':'])
            .filter(|(name, value)| !value.trim().is_empty() && name.split(|c: char| !is_in_word(c)).any(is));
        if let Some((name, value)) = told.filter(|_| part.starts_with('#')) {
            let name_end = start + name.trim_end().len();
            let from = start + name.len() + 1 + (value.len() - value.trim_start().len());
            found.push(Told { name_end, value: from..at });
        }
    }
    found
}

/// Of the TOML string at the start of `text`, its quotes included; `None` if it has no end.
pub(super) fn string_length(text: &str) -> Option<usize> {
    let quote = &text[..1];
    let mark = if text.starts_with(&quote.repeat(3)) { quote.repeat(3) } else { quote.to_owned() };
    let mut at = mark.len();
    while !text[at..].starts_with(&mark) {
        let c = text[at..].chars().next()?;
        at += c.len_utf8();
        if c == '\\' && quote == "\"" {
            at += text[at..].chars().next()?.len_utf8();
        }
    }
    // More quotes before the mark are a part of the text.
    let end = at + mark.len();
    let more = text[end..].chars().take_while(|c| mark.len() == 3 && quote.starts_with(*c)).take(2).count();
    Some(end + more)
}

pub(super) fn is_in_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// All secrets that are texts, in `table` and below, as byte offsets of where they are.
pub(super) fn places(table: &dyn TableLike) -> Vec<usize> {
    found(table, is_secret).into_iter().filter(|it| it.is_text).map(|it| it.span.start).collect()
}

/// The values of keys that are called so, from where to where; a number may be a password too.
pub(super) fn spans(table: &dyn TableLike, is: Is) -> Vec<Range<usize>> {
    found(table, is).into_iter().map(|it| it.span).collect()
}

/// A value of a key that is called like a secret.
struct Found {
    span: Range<usize>,
    is_text: bool,
}

fn found(table: &dyn TableLike, is: Is) -> Vec<Found> {
    let mut found = vec![];
    in_table(table, (is, false), &mut found);
    found
}

/// Whether a name is that of a secret.
pub(super) type Is = fn(&str) -> bool;

/// How names are judged, and whether one was that of a secret already.
type Judged = (Is, bool);

fn in_table(table: &dyn TableLike, (is, is_one): Judged, found: &mut Vec<Found>) {
    for (key, item) in table.iter() {
        in_item(item, (is, is_one || is(key)), found);
    }
}

fn in_item(item: &Item, judged: Judged, found: &mut Vec<Found>) {
    if let Some(table) = item.as_table_like() {
        in_table(table, judged, found);
    } else if let Some(tables) = item.as_array_of_tables() {
        tables.iter().for_each(|table| in_table(table, judged, found));
    } else if let Some(value) = item.as_value() {
        in_value(value, judged, found);
    }
}

fn in_value(value: &Value, (is, is_one): Judged, found: &mut Vec<Found>) {
    match value {
        Value::String(text) if text.value().is_empty() => {}
        Value::Array(values) => values.iter().for_each(|value| in_value(value, (is, is_one), found)),
        Value::InlineTable(table) => {
            table.iter().for_each(|(key, value)| in_value(value, (is, is_one || is(key)), found));
        }
        _ if is_one => {
            found.extend(value.span().map(|span| Found { span, is_text: value.is_str() }));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_by_its_name_also_if_that_is_misspelt() {
        for name in
            ["wandb_api_key", "WANDB_API_KEY", "wandb_apikey", "wandb-api-keys", "hf_api_key", "wandb_key"]
        {
            assert!(is_secret(name), "{name}");
        }
        for name in ["wandb_run_name", "wandb_tracker_name", "enable_wandb", "path", "key"] {
            assert!(!is_secret(name), "{name}");
        }
        let check = |text: &str, expected: &str| assert_eq!(without_in_comments(text), expected);
        check("a = 1 # wandb_api_key = 'canary'\nb = 2\n", "a = 1 # wandb_api_key (hidden)\nb = 2\n");
        check("#wandb_api_key: canary", "#wandb_api_key (hidden)");
        check("# give wandb_api_key by the environment\n", "# give wandb_api_key by the environment\n");
        check("# wandb_api_key =\n", "# wandb_api_key =\n");
        // What looks like a comment and is a part of a string.
        for text in [
            "a = '# wandb_api_key = 1'\n",
            "a = \"\\\"# wandb_api_key = 1\"\n",
            "a = \"\"\"\n# wandb_api_key = 1\"\"\"\"\" # b\n",
            "a = \'\'\'it's\n# wandb_api_key = 1\'\'\'\nb = \"\" # c\n",
        ] {
            check(text, text);
        }
        assert_eq!(shown_line("[monitoring] # a"), "[monitoring] # a");
        assert_eq!(shown_line("a = { wandb_api_key = 'canary"), "a = { wandb_api_key (hidden)");
    }
}
