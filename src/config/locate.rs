//! Which key a place in a file belongs to.

use std::ops::Range;

use toml_edit::{Item, TableLike, Value};

use super::{
    Position,
    read::{key_span, tables},
    source::{Source, offset},
};

/// The innermost key with `at` in its name or its value, as `config set` takes it.
pub(super) fn key_at(source: &Source, at: Position) -> Option<String> {
    let offset = offset(source.text(), at)?;
    in_table(source.root(), "", offset)
}

fn in_table(table: &dyn TableLike, label: &str, offset: usize) -> Option<String> {
    table.iter().find_map(|(name, item)| {
        let key = if label.is_empty() { name.to_owned() } else { format!("{label}.{name}") };
        let inside = within(item, &key, offset);
        let is_at = |span: Option<Range<usize>>| span.is_some_and(|it| it.contains(&offset));
        inside.or_else(|| (is_at(key_span(table, name)) || is_at(item.span())).then_some(key))
    })
}

fn within(item: &Item, key: &str, offset: usize) -> Option<String> {
    if let Some(tables) = tables(item) {
        let one = |(index, table)| in_table(table, &format!("{key}[{index}]"), offset);
        return tables.into_iter().enumerate().find_map(one);
    }
    match item {
        Item::Table(table) => in_table(table, key, offset),
        Item::Value(Value::InlineTable(table)) => in_table(table, key, offset),
        Item::Value(_) | Item::ArrayOfTables(_) | Item::None => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_place_belongs_to_the_innermost_key() {
        let text =
            "a = 1\n[m]\ntype = 'é' # here\nlist = [{ path = 'x' }]\n[[d]]\np = 1\n[[d]]\np = [\n1,\n2]\n";
        let source = Source::parse(Path::new("t"), text.to_owned()).expect("TOML");
        let check = |line: usize, column: usize, expected: Option<&str>| {
            assert_eq!(key_at(&source, Position { line, column }).as_deref(), expected, "{line}:{column}");
        };
        check(1, 1, Some("a"));
        check(1, 5, Some("a"));
        check(2, 2, Some("m"));
        check(3, 9, Some("m.type"));
        check(3, 14, None);
        check(4, 12, Some("m.list[0].path"));
        check(6, 1, Some("d[0].p"));
        check(10, 1, Some("d[1].p"));
        check(99, 1, None);
    }
}
