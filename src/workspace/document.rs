//! One key of a TOML text set or taken out, and everything else left as it is.

use toml_edit::{Document, DocumentMut, InlineTable, Item, Key, Table, TableLike, TomlError, Value};

/// `text` where the key at `path` is `value`; the tables on the way are made.
pub(super) fn put(text: &str, path: &[&str], value: Value) -> Result<String, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let Some((key, tables)) = path.split_last() else { return Ok(text.to_owned()) };
    if !tables.is_empty()
        && reach(document.as_table_mut(), tables, false).is_none()
        && let Some(longer) = appended(text, tables, key, &value)
    {
        return Ok(longer);
    }
    let table = reach(document.as_table_mut(), tables, true);
    match table.map(|it| (it.get_mut(key).is_some(), it)) {
        Some((true, table)) => match table.get_mut(key) {
            Some(Item::Value(old)) => {
                let decor = old.decor().clone();
                *old = value;
                *old.decor_mut() = decor;
            }
            Some(other) => *other = Item::Value(value),
            None => {}
        },
        Some((false, table)) => {
            table.insert(key, Item::Value(value));
        }
        // A plain value is where a table should be: whoever reads the text says so.
        None => {}
    }
    Ok(document.to_string())
}

/// `text` without the key at `path`; the comments above it stay: they may be about more than this key.
pub(super) fn take_out(text: &str, path: &[&str]) -> Result<String, TomlError> {
    let Some((key, tables)) = path.split_last() else { return Ok(text.to_owned()) };
    let document = Document::parse(text)?;
    if let Some(span) = own_lines(text, &document, tables, key) {
        return Ok([&text[..span.start], &text[span.end..]].concat());
    }
    let mut document: DocumentMut = text.parse()?;
    if let Some(table) = reach(document.as_table_mut(), tables, false) {
        table.remove(key);
    }
    Ok(document.to_string())
}

/// What is at `path`.
pub(super) fn find<'a>(root: &'a dyn TableLike, path: &[&str]) -> Option<&'a Item> {
    let (key, tables) = path.split_last()?;
    let mut table = root;
    for name in tables {
        table = table.get(name)?.as_table_like()?;
    }
    table.get(key).filter(|it| !it.is_none())
}

/// A table of its own at the end: put in between, it would come before the comments there, which are about something else.
fn appended(text: &str, tables: &[&str], key: &str, value: &Value) -> Option<String> {
    let name: Vec<String> = tables.iter().map(|it| Key::new(*it).to_string()).collect();
    let before = text.trim_end();
    let gap = if before.is_empty() { "" } else { "\n\n" };
    let longer = format!("{before}{gap}[{}]\n{} = {value}\n", name.join("."), Key::new(key));
    // What is written between braces cannot be added to from outside.
    longer.parse::<DocumentMut>().is_ok().then_some(longer)
}

fn reach<'d>(root: &'d mut Table, tables: &[&str], make: bool) -> Option<&'d mut dyn TableLike> {
    let mut table: &mut dyn TableLike = root;
    let mut is_inline = false;
    for name in tables {
        if make && !table.contains_key(name) {
            let empty = if is_inline { toml_edit::value(InlineTable::new()) } else { toml_edit::table() };
            table.insert(name, empty);
        }
        let item = table.get_mut(name)?;
        is_inline = item.is_inline_table();
        table = item.as_table_like_mut()?;
    }
    Some(table)
}

/// The whole lines of a key and its value, unless it shares them.
fn own_lines(
    text: &str,
    document: &Document<&str>,
    tables: &[&str],
    key: &str,
) -> Option<std::ops::Range<usize>> {
    let mut table: &dyn TableLike = document.as_table();
    for name in tables {
        table = table.get(name)?.as_table_like()?;
    }
    let (start, end) = (table.key(key)?.span()?.start, table.get(key)?.span()?.end);
    let first = text[..start].rfind('\n').map_or(0, |it| it + 1);
    let last = text[end..].find('\n').map_or(text.len(), |it| end + it + 1);
    let (before, after) = (text[first..start].trim(), text[end..last].trim());
    // `cache.` of `cache.limit = "1 GB"` is nobody else's.
    let is_its_own = before.is_empty() || before.ends_with('.') && !before.contains(['=', '{', '[']);
    (is_its_own && (after.is_empty() || after.starts_with('#'))).then_some(first..last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_set_and_all_else_stays_as_it_is() {
        let check = |text: &str, path: &[&str], expected: &str| {
            assert_eq!(put(text, path, Value::from(1)).expect("TOML"), expected);
        };
        check("", &["a", "b"], "[a]\nb = 1\n");
        check("# c\n[a] # d\n# e\nb = 2 # f\n", &["a", "b"], "# c\n[a] # d\n# e\nb = 1 # f\n");
        check("a.b = 2\n", &["a", "c"], "a.b = 2\na.c = 1\n");
        check("a = { b = 2 }\n", &["a", "c"], "a = { b = 2 , c = 1 }\n");
        check("# only\n#[a]\n#b = 2\n", &["a", "b"], "# only\n#[a]\n#b = 2\n\n[a]\nb = 1\n");
        check("[a.x]\ny = 2\n", &["a", "z", "b"], "[a.x]\ny = 2\n\n[a.z]\nb = 1\n");
        check("[t]\nx = 1\n", &["b"], "b = 1\n[t]\nx = 1\n");
        check("[a]\n\"n m\" = 1\n", &["x.y", "b"], "[a]\n\"n m\" = 1\n\n[\"x.y\"]\nb = 1\n");
    }

    #[test]
    fn a_key_is_taken_out_and_the_comments_around_it_stay() {
        let check = |text: &str, path: &[&str], expected: &str| {
            assert_eq!(take_out(text, path).expect("TOML"), expected);
        };
        check("[a]\n# both\nb = 1 # this\nc = 2\n", &["a", "b"], "[a]\n# both\nc = 2\n");
        check("[a]\nb = [\n  1,\n]\n# end\n", &["a", "b"], "[a]\n# end\n");
        check("a.b = 1\na.c = 2\n", &["a", "b"], "a.c = 2\n");
        check("a = { b = 1, c = 2 }\n", &["a", "b"], "a = { c = 2 }\n");
        check("[a]\nb = 1\n", &["a", "x"], "[a]\nb = 1\n");
        check("[a]\nb = 1\n", &["x", "b"], "[a]\nb = 1\n");
    }
}
