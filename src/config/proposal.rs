//! A key that is written as a comment, `#epochs = 10 # why`: what clearing a key leaves, and what setting it takes again,
//! so that its place and what somebody wrote there stay.

use std::ops::Range;

use toml_edit::{DocumentMut, Item, Table, Value};

use super::{
    edit::{Place, Step},
    source::Source,
};

/// Lines of a comment that are read as one value.
const MOST_LINES: usize = 64;

/// `lines`, which are a key and its value, as a comment.
pub(super) fn off(lines: &str) -> String {
    let mut text = String::new();
    for (index, line) in lines.split_inclusive('\n').enumerate() {
        // The key stays where it is indented to; what is inside of a value keeps its own indentation.
        let indent = if index == 0 { line.len() - line.trim_start().len() } else { 0 };
        text.extend([&line[..indent], "#", &line[indent..]]);
    }
    text
}

/// The last comment of the table that proposes `place`, and the lines that give it `value` instead; `None` if the key is
/// there, or nothing proposes it.
pub(super) fn taken(source: &Source, place: &Place, value: &str) -> Option<(Range<usize>, String)> {
    let value: Value = value.parse().ok()?;
    let table = table(source.root(), &place.steps)?;
    let is_root = place.steps.is_empty();
    if table.contains_key(&place.key) || !is_root && (table.is_dotted() || table.is_implicit()) {
        return None;
    }
    let text = source.text();
    let starts = lines_of(text, table, is_root);
    let found = starts.iter().rev().find_map(|at| Some((*at, proposed(&text[*at..], &place.key)?)));
    let (start, Proposed { length, indent, mut document }) = found?;
    if let Some(Item::Value(old)) = document.get_mut(&place.key) {
        let decor = old.decor().clone();
        *old = value;
        *old.decor_mut() = decor;
    }
    let line_end = if text[..start + length].ends_with('\n') { "\n" } else { "" };
    let written = format!("{indent}{}{line_end}", document.to_string().trim_end_matches('\n'));
    Some((start..start + length, written))
}

fn table<'a>(root: &'a Table, steps: &[Step]) -> Option<&'a Table> {
    match steps {
        [] => Some(root),
        [Step::Key(name), Step::Index(index), rest @ ..] => {
            table(root.get(name)?.as_array_of_tables()?.get(*index)?, rest)
        }
        [Step::Key(name), rest @ ..] => table(root.get(name)?.as_table()?, rest),
        [Step::Index(_), ..] => None,
    }
}

/// Where the lines of `table` begin that are in no value, up to the next header, be it a comment.
fn lines_of(text: &str, table: &Table, is_root: bool) -> Vec<usize> {
    let begin = if is_root { 0 } else { table.span().map_or(text.len(), |it| line_end(text, it.end)) };
    let values: Vec<Range<usize>> =
        table.iter().filter_map(|(_, item)| item.as_value().and_then(Value::span)).collect();
    let mut starts = vec![];
    let mut at = begin;
    while at < text.len() {
        let next = line_end(text, at);
        let line = text[at..next].trim().trim_start_matches('#').trim();
        let in_value = values.iter().any(|it| it.start < at && at < it.end);
        if !in_value && line.starts_with('[') && line.parse::<DocumentMut>().is_ok() {
            break;
        }
        if !in_value {
            starts.push(at);
        }
        at = next;
    }
    starts
}

struct Proposed {
    length: usize,
    indent: String,
    /// With nothing but the key in it.
    document: DocumentMut,
}

/// The key that the comment at the start of `text` gives a value, in as many lines as that takes.
fn proposed(text: &str, key: &str) -> Option<Proposed> {
    let first = &text[..line_end(text, 0)];
    let indent = &first[..first.len() - first.trim_start().len()];
    let inside = first.trim_start().strip_prefix('#')?.trim_start();
    let name = inside.split_once('=')?.0.trim();
    if name.trim_matches(['"', '\'']) != key {
        return None;
    }
    let mut plain = inside.to_owned();
    let mut end = first.len();
    for _ in 0..MOST_LINES {
        if let Ok(document) = plain.parse::<DocumentMut>() {
            let is_it = document.len() == 1 && document.get(key).is_some_and(Item::is_value);
            return is_it.then(|| Proposed { length: end, indent: indent.to_owned(), document });
        }
        let line = &text[end..line_end(text, end)];
        plain.push_str(line.trim_start().strip_prefix('#')?);
        end += line.len();
    }
    None
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |it| at + it + 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::config::{change, removal};

    fn source(text: &str) -> Source {
        Source::parse(Path::new("t"), text.to_owned()).expect("TOML")
    }

    fn set(text: &str, key: &str, value: &str) -> String {
        change::set_in(&source(text), Some(change::Part::Training), key, value).expect("a value").0
    }

    fn check(text: &str, key: &str, cleared: &str, value: &str, again: &str) {
        let without = removal::without(&source(text), key).expect("a key");
        assert_eq!(without, cleared);
        assert_eq!(set(&without, key, value), again);
    }

    #[test]
    fn a_key_that_is_cleared_and_set_again_keeps_its_place_and_its_comments() {
        check(
            "# How long.\nepochs = 10 # MY comment\nsave_every_n_epochs = 1\n\n[model]\ntype = 'wan'\n",
            "epochs",
            "# How long.\n#epochs = 10 # MY comment\nsave_every_n_epochs = 1\n\n[model]\ntype = 'wan'\n",
            "12",
            "# How long.\nepochs = 12 # MY comment\nsave_every_n_epochs = 1\n\n[model]\ntype = 'wan'\n",
        );
        check(
            "[optimizer]\ntype = 'adamw'\n  betas = [ # both\n    0.9,\n\n    0.99,\n  ] # why\neps = 1e-8\n",
            "optimizer.betas",
            "[optimizer]\ntype = 'adamw'\n  #betas = [ # both\n#    0.9,\n#\n#    0.99,\n#  ] # why\neps = 1e-8\n",
            "[0.9, 0.95]",
            "[optimizer]\ntype = 'adamw'\n  betas = [0.9, 0.95] # why\neps = 1e-8\n",
        );
        check("epochs = 1 # one", "epochs", "#epochs = 1 # one", "2", "epochs = 2 # one\n");
    }

    #[test]
    fn a_comment_of_another_table_or_inside_a_value_is_not_taken() {
        let text = "[model]\ntype = 'wan'\n#[adapter]\n#rank = 8\n\n[adapter]\ntype = 'lora'\n";
        assert_eq!(set(text, "adapter.rank", "4"), format!("{text}rank = 4\n"));
        let text = "x = [\n#epochs = 3\n]\n# epochs = as many as you like\n";
        assert_eq!(
            set(text, "epochs", "4"),
            "x = [\n#epochs = 3\n]\nepochs = 4\n# epochs = as many as you like\n"
        );
        let text = "dataset = 'd.toml'\n# epochs = 5\n[model]\ntype = 'wan'\n";
        assert_eq!(set(text, "epochs", "4"), "dataset = 'd.toml'\nepochs = 4\n[model]\ntype = 'wan'\n");
    }

    #[test]
    fn a_secret_does_not_stay_in_the_comment() {
        let text = "[monitoring]\nwandb_api_key = 'canary' # mine\n";
        let without = removal::without(&source(text), "monitoring.wandb_api_key").expect("a key");
        assert_eq!(without, "[monitoring]\n#wandb_api_key = '' # mine\n");
    }

    proptest! {
        #[test]
        fn whatever_is_cleared_comes_back_as_it_was(
            before in "(# [a-z ]{0,9}\n|\n){0,3}", epochs in 1_u32..1000, why in "( # [a-z=\\[ ]{0,9})?",
            after in "(save_every_n_epochs = 2\n)?(# [a-z ]{0,9}\n|\n){0,3}",
        ) {
            let text = format!("{before}epochs = {epochs}{why}\n{after}[model]\ntype = 'wan'\n");
            let without = removal::without(&source(&text), "epochs").expect("a key");
            prop_assert!(!source(&without).root().contains_key("epochs"));
            prop_assert_eq!(set(&without, "epochs", &epochs.to_string()), text);
        }
    }
}
