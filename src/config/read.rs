//! Looks into `toml_edit`'s trees: where something is, and lists of tables in both spellings.

use std::ops::Range;

use toml_edit::{Item, TableLike};

/// Where the value of `key` is, or the key if the value has no one place.
pub(super) fn span_of(table: &dyn TableLike, key: &str) -> Option<Range<usize>> {
    let value = table.get(key).filter(|item| item.is_value()).and_then(Item::span);
    value.or_else(|| key_span(table, key))
}

pub(super) fn key_span(table: &dyn TableLike, key: &str) -> Option<Range<usize>> {
    table.key(key).and_then(toml_edit::Key::span)
}

/// `None` if it is no list of tables.
pub(super) fn tables(item: &Item) -> Option<Vec<&dyn TableLike>> {
    match item {
        Item::ArrayOfTables(tables) => Some(tables.iter().map(|it| it as &dyn TableLike).collect()),
        Item::Value(toml_edit::Value::Array(array)) => {
            array.iter().map(|it| it.as_inline_table().map(|it| it as &dyn TableLike)).collect()
        }
        _ => None,
    }
}

/// A number that may have a fraction.
pub(super) fn number(item: &Item) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "nothing in a configuration is near 2^53")]
    let whole = |it| it as f64;
    item.as_float().or_else(|| item.as_integer().map(whole))
}
