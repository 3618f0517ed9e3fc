//! Takes a key out of a text, which stays there as a comment, or a whole table with the comments that are about it and no
//! others.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

use super::{
    ConfigError,
    edit::{self, Edit, Place, Step},
    proposal,
    read::key_span,
    secret,
    setting::SettingError,
    source::Source,
};

/// The text without `key`: `epochs`, `model.min_t`, `adapter`, `directory[1]`. A value stays as a comment, so that its place
/// and what was written about it are there for who sets it again; a secret does not.
///
/// # Errors
/// When there is none, or when it has no lines of its own that could be taken out.
pub fn without(source: &Source, key: &str) -> Result<String, ConfigError> {
    let unknown = || SettingError::Unknown { name: key.to_owned(), nearest: None };
    let steps = steps(key).ok_or_else(unknown)?;
    let (item, parent) = find(source.root(), &steps).ok_or_else(unknown)?;
    let text = source.text();
    let cut = match (&item, &steps[..]) {
        (Found::Item(item @ Item::Value(_)), [.., Step::Key(name)]) => own_lines(text, parent, name, item)
            .map(|lines| {
                let mut kept = text[lines.clone()].to_owned();
                if let Some(span) = item.span().filter(|_| steps_are_secret(&steps)) {
                    kept.replace_range(span.start - lines.start..span.end - lines.start, "''");
                }
                (lines, proposal::off(&kept))
            }),
        (Found::Item(Item::Table(table)), _) => {
            table.span().map(|span| (whole_table(text, span, table), String::new()))
        }
        (Found::Table(table), _) => table.span().map(|span| (whole_table(text, span, table), String::new())),
        _ => None,
    };
    let file = source.path().to_owned();
    let is_value = matches!(item, Found::Item(Item::Value(_)));
    let edit = match (cut, &steps[..]) {
        (Some((span, value)), _) => Edit::Replace { file, was: text[span.clone()].to_owned(), span, value },
        // Between braces there are no comments.
        (None, [steps @ .., Step::Key(name)]) if is_value => {
            Edit::Remove { place: Place { file, steps: steps.to_vec(), key: name.clone() } }
        }
        (None, _) => return Err(ConfigError::NotAValue { key: key.to_owned() }),
    };
    Ok(edit::apply(source, &[edit])?.0)
}

/// The lines of a key without the comment above it, which may be about more than that; `None` if it shares them.
pub(super) fn lines(source: &Source, place: &Place) -> Option<Range<usize>> {
    let steps = [&place.steps[..], &[Step::Key(place.key.clone())]].concat();
    match find(source.root(), &steps)? {
        (Found::Item(item @ Item::Value(_)), parent) => own_lines(source.text(), parent, &place.key, item),
        _ => None,
    }
}

fn steps_are_secret(steps: &[Step]) -> bool {
    steps.iter().any(|it| matches!(it, Step::Key(name) if secret::is_hidden(name)))
}

/// What a name leads to.
enum Found<'a> {
    Item(&'a Item),
    /// One of `[[name]]`.
    Table(&'a toml_edit::Table),
}

/// `directory[1].path` in its parts.
fn steps(key: &str) -> Option<Vec<Step>> {
    let mut steps = vec![];
    for part in key.split('.') {
        let (name, index) = match part.strip_suffix(']').and_then(|it| it.split_once('[')) {
            Some((name, index)) => (name, Some(index.parse().ok()?)),
            None => (part, None),
        };
        steps.push(Step::Key(name.to_owned()));
        steps.extend(index.map(Step::Index));
    }
    Some(steps)
}

/// What `steps` lead to, and the table around it.
fn find<'a>(root: &'a dyn TableLike, steps: &[Step]) -> Option<(Found<'a>, &'a dyn TableLike)> {
    let (mut table, mut steps): (&dyn TableLike, _) = (root, steps);
    loop {
        let [Step::Key(name), rest @ ..] = steps else { return None };
        let item = table.get(name)?;
        let next: (&dyn TableLike, _) = match (item, rest) {
            (item, []) => return Some((Found::Item(item), table)),
            (Item::ArrayOfTables(tables), [Step::Index(index)]) => {
                return Some((Found::Table(tables.get(*index)?), table));
            }
            (Item::ArrayOfTables(tables), [Step::Index(index), rest @ ..]) => (tables.get(*index)?, rest),
            (Item::Value(Value::Array(array)), [Step::Index(index), rest @ ..]) => {
                (array.get(*index)?.as_inline_table()?, rest)
            }
            (item, rest) => (item.as_table_like()?, rest),
        };
        (table, steps) = next;
    }
}

/// The lines of a key, unless it shares them with others.
fn own_lines(text: &str, parent: &dyn TableLike, key: &str, item: &Item) -> Option<Range<usize>> {
    let start = key_span(parent, key)?.start;
    let end = item.span()?.end;
    let (first, last) = (line_start(text, start), line_end(text, end));
    let (before, after) = (text[first..start].trim(), text[end..last].trim());
    // `adapter.` of `adapter.rank = 8` is nobody else's.
    let is_its_own =
        before.is_empty() || before.ends_with('.') && !before.contains(['=', '{', '[', '"', '\'']);
    (is_its_own && (after.is_empty() || after.starts_with('#'))).then_some(first..last)
}

/// From the comment above its header to what belongs to the next one.
fn whole_table(text: &str, header: Range<usize>, table: &toml_edit::Table) -> Range<usize> {
    let first = line_start(text, header.start);
    let mut end = line_end(text, last_of(table).max(header.end));
    // What follows are comments and empty lines, up to another header.
    while end < text.len() && !text[end..line_end(text, end)].trim_start().starts_with('[') {
        end = line_end(text, end);
    }
    let start = comment_above(text, first);
    if end < text.len() {
        return start..comment_above(text, end).max(start);
    }
    // Nor does an empty line stay at the end.
    let before = text[..start].trim_end().len();
    line_end(text, before).min(start)..end
}

/// Where the last value in it ends.
fn last_of(table: &toml_edit::Table) -> usize {
    let ends = table.iter().map(|(_, item)| match item {
        Item::Table(table) => last_of(table).max(table.span().map_or(0, |it| it.end)),
        Item::ArrayOfTables(tables) => {
            tables.iter().map(|it| last_of(it).max(it.span().map_or(0, |it| it.end))).max().unwrap_or(0)
        }
        item => item.span().map_or(0, |it| it.end),
    });
    ends.max().unwrap_or(0)
}

/// Where the comment begins that stands above the line at `start`, without an empty line between. A key that is written
/// as a comment, a proposal, is none of it.
fn comment_above(text: &str, start: usize) -> usize {
    let mut at = start;
    while at > 0 {
        let before = line_start(text, at - 1);
        let line = text[before..at].trim();
        let Some(words) = line.strip_prefix('#') else { break };
        if !is_prose(words) {
            break;
        }
        at = before;
    }
    at
}

/// `# What it is for.`, not `#rank = 8`, and not the inside of a list that is written as a comment.
fn is_prose(words: &str) -> bool {
    let name = |it: &str| !it.is_empty() && it.chars().all(|c| c.is_alphanumeric() || "_-.\"'".contains(c));
    let is_proposal = words.split_once('=').is_some_and(|(key, _)| name(key.trim()));
    let words = words.strip_prefix(' ').unwrap_or(if words.is_empty() { "-" } else { "" });
    !is_proposal && words.starts_with(|c: char| !c.is_whitespace()) && !words.starts_with('[')
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |it| it + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |it| at + it + 1)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TEXT: &str = "\
# A file.

# About a, of
# two lines.
a = 1 # one
# About b.
#b = 2
# About c.
c = [
    1, # first
]

# The model.
[model]
type = 'wan'
# About d.
#d = 1

# The adapter.
[adapter]
rank = 8
# About e.
#e = 1

[[directory]]
path = 'a'

[[directory]]
# The second.
path = 'b'
";

    fn check(text: &str, key: &str, expected: &str) {
        let source = Source::parse(Path::new("t"), text.to_owned()).expect("TOML");
        match without(&source, key) {
            Ok(text) => assert_eq!(text, expected, "{key}"),
            Err(cause) => assert_eq!(cause.to_string(), expected, "{key}"),
        }
    }

    #[test]
    fn a_key_stays_as_a_comment_with_what_is_said_about_it() {
        check(TEXT, "a", &TEXT.replace("a = 1 # one\n", "#a = 1 # one\n"));
        check(TEXT, "c", &TEXT.replace("c = [\n    1, # first\n]\n", "#c = [\n#    1, # first\n#]\n"));
        check(TEXT, "model.type", &TEXT.replace("type = 'wan'\n", "#type = 'wan'\n"));
        check(TEXT, "directory[1].path", &TEXT.replace("path = 'b'\n", "#path = 'b'\n"));
        check("a = 1\r\nb = 2\r\n", "a", "#a = 1\r\nb = 2\r\n");
        check("# About b.\na.b = 1 # b\na.c = 2\n", "a.b", "# About b.\n#a.b = 1 # b\na.c = 2\n");
        check("m = { a = 1, b = 2 } # m\n", "m.b", "m = { a = 1} # m\n");
        check("l = [{ a = 1, b = 2 }]\n", "l[0].a", "l = [{ b = 2 }]\n");
    }

    #[test]
    fn a_table_goes_with_its_proposals_and_leaves_those_of_others() {
        let adapter = "# The adapter.\n[adapter]\nrank = 8\n# About e.\n#e = 1\n\n";
        check(TEXT, "adapter", &TEXT.replace(adapter, ""));
        check(TEXT, "directory[0]", &TEXT.replace("[[directory]]\npath = 'a'\n\n", ""));
        check(TEXT, "directory[1]", &TEXT.replace("\n[[directory]]\n# The second.\npath = 'b'\n", ""));
        check(TEXT, "directory[2]", "there is no key `directory[2]`");
        check(TEXT, "adapter.dtype", "there is no key `adapter.dtype`");
        check(TEXT, "directory", "`directory` is a table in this file, not a value");
    }
}
