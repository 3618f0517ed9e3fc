//! Takes values of known types out of a TOML file; a value of another type becomes a finding.

use std::ops::Range;

use toml_edit::{Item, TableLike};

use super::{finding::Finding, source::Source};

/// A reader of one file, with all that was wrong in it so far.
pub(super) struct Reader<'a> {
    pub(super) source: &'a Source,
    pub(super) found: Vec<Finding>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: &'a Source) -> Self {
        Self { source, found: vec![] }
    }

    pub(super) fn text(&mut self, table: &dyn TableLike, key: &str) -> Option<String> {
        self.typed(table, key, "a string", |item| item.as_str().map(str::to_owned))
    }

    pub(super) fn flag(&mut self, table: &dyn TableLike, key: &str) -> Option<bool> {
        self.typed(table, key, "`true` or `false`", Item::as_bool)
    }

    /// A number that may have a fraction.
    pub(super) fn number(&mut self, table: &dyn TableLike, key: &str) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^53 minutes")]
        let number = |item: &Item| item.as_float().or_else(|| item.as_integer().map(|it| it as f64));
        self.typed(table, key, "a number", number)
    }

    /// Zero or more.
    pub(super) fn count(&mut self, table: &dyn TableLike, key: &str) -> Option<u64> {
        self.typed(table, key, "a whole number, not negative", |item| item.as_integer()?.try_into().ok())
    }

    /// One or more; the rule `id` says so.
    pub(super) fn positive(&mut self, table: &dyn TableLike, key: &str, id: &'static str) -> Option<u64> {
        let count = self.count(table, key)?;
        if count == 0 {
            let at = self.source.at(span_of(table, key));
            self.found.push(
                Finding::error(id, at, format!("`{key}` must be at least 1")).fix(format!("set `{key} = 1`")),
            );
        }
        Some(count.max(1))
    }

    /// `[key]`, or `key = { … }`.
    pub(super) fn table<'t>(&mut self, table: &'t dyn TableLike, key: &str) -> Option<&'t dyn TableLike> {
        let item = table.get(key)?;
        let found = item.as_table_like();
        if found.is_none() {
            self.wrong_type(table, key, item, "a table");
        }
        found
    }

    /// `[[key]]`, or `key = [{ … }, …]`; the rule `id` says so.
    pub(super) fn tables<'t>(
        &mut self,
        table: &'t dyn TableLike,
        key: &str,
        id: &'static str,
    ) -> Vec<&'t dyn TableLike> {
        let Some(item) = table.get(key) else { return vec![] };
        let tables = tables(item);
        if tables.is_none() {
            let at = self.source.at(span_of(table, key));
            let finding = Finding::error(id, at, format!("`{key}` must be a list of tables"));
            self.found.push(finding.fix(format!("write each entry as a table: `[[{key}]]`")));
        }
        tables.unwrap_or_default()
    }

    pub(super) fn typed<T>(
        &mut self,
        table: &dyn TableLike,
        key: &str,
        what: &str,
        parse: impl FnOnce(&Item) -> Option<T>,
    ) -> Option<T> {
        let item = table.get(key)?;
        let parsed = parse(item);
        if parsed.is_none() {
            self.wrong_type(table, key, item, what);
        }
        parsed
    }

    fn wrong_type(&mut self, table: &dyn TableLike, key: &str, item: &Item, what: &str) {
        let text = item.span().map_or("", |span| &self.source.text()[span]);
        // A short value says more than the name of its type.
        let is =
            if text.is_empty() || text.len() > 40 || text.contains('\n') { item.type_name() } else { text };
        let at = self.source.at(span_of(table, key));
        self.found.push(
            Finding::error("wrong-type", at, format!("`{key}` must be {what}, not `{is}`"))
                .fix(format!("give `{key}` {what}")),
        );
    }
}

/// Where the value of `key` is, or the key if the value has no one place.
pub(super) fn span_of(table: &dyn TableLike, key: &str) -> Option<Range<usize>> {
    let value = table.get(key).filter(|item| item.is_value()).and_then(Item::span);
    value.or_else(|| table.key(key).and_then(toml_edit::Key::span))
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
