//! A table of a configuration file as rules look at it: what is there, and where.

use std::ops::Range;

use toml_edit::{Item, TableLike};

use super::{
    Finding,
    edit::{Edit, Place, Step},
    finding::Position,
    portable,
    read::{self, key_span, span_of},
    source::Source,
};

/// A table and how to get there. What is asked for by another type than it has is not there: a wrong type is one
/// finding, of `shape`, and not one of each rule that looks at the value.
#[derive(Clone)]
pub(super) struct View<'a> {
    source: &'a Source,
    table: &'a dyn TableLike,
    steps: Vec<Step>,
    /// Its header, or what stands for it.
    span: Option<Range<usize>>,
}

impl<'a> View<'a> {
    pub(super) fn root(source: &'a Source) -> Self {
        Self { source, table: source.root(), steps: vec![], span: None }
    }

    pub(super) fn source(&self) -> &'a Source {
        self.source
    }

    pub(super) fn table(&self) -> &'a dyn TableLike {
        self.table
    }

    /// How one would name the table: `model.text_encoders[0]`; empty for the top of the file.
    pub(super) fn label(&self) -> String {
        let mut label = String::new();
        for step in &self.steps {
            match step {
                Step::Key(key) if label.is_empty() => label.push_str(key),
                Step::Key(key) => label.extend([".", key]),
                Step::Index(index) => label.extend(["[", &index.to_string(), "]"]),
            }
        }
        label
    }

    /// How one would name the key at `path`: `model.text_encoders[0].path`.
    pub(super) fn key(&self, path: &str) -> String {
        match (self.label(), path) {
            (label, "") => label,
            (label, path) if label.is_empty() => path.to_owned(),
            (label, path) => format!("{label}.{path}"),
        }
    }

    /// What is at `path`, keys with dots between them.
    pub(super) fn get(&self, path: &str) -> Option<&'a Item> {
        let (table, key) = self.reach(path)?;
        table.get(key)
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    pub(super) fn int(&self, path: &str) -> Option<i64> {
        self.get(path)?.as_integer()
    }

    pub(super) fn number(&self, path: &str) -> Option<f64> {
        self.get(path).and_then(read::number)
    }

    pub(super) fn text(&self, path: &str) -> Option<&'a str> {
        self.get(path)?.as_str()
    }

    /// With `0` and `1`, which are the same to the trainer.
    pub(super) fn flag(&self, path: &str) -> Option<bool> {
        let item = self.get(path)?;
        let number = || item.as_integer().filter(|it| [0, 1].contains(it)).map(|it| it == 1);
        item.as_bool().or_else(number)
    }

    /// The values of an array, by what `parse` makes of each; `None` if it is no array, or one of something else.
    pub(super) fn list<T>(
        &self,
        path: &str,
        parse: impl FnMut(&'a toml_edit::Value) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.get(path)?.as_array()?.iter().map(parse).collect()
    }

    pub(super) fn view(&self, key: &str) -> Option<Self> {
        let table = self.table.get(key)?.as_table_like()?;
        let span = self.table.key(key).and_then(toml_edit::Key::span);
        Some(Self { source: self.source, table, steps: self.below(Step::Key(key.to_owned())), span })
    }

    /// The tables of `[[key]]`, or of `key = [{ … }]`.
    pub(super) fn views(&self, key: &str) -> Vec<Self> {
        let tables = self.table.get(key).and_then(read::tables).unwrap_or_default();
        let steps = self.below(Step::Key(key.to_owned()));
        let one = |(index, table): (usize, &'a dyn TableLike)| {
            let first = table.iter().find_map(|(key, _)| key_span(table, key));
            let span = first.or_else(|| span_of(self.table, key));
            Self { source: self.source, table, steps: [&steps[..], &[Step::Index(index)]].concat(), span }
        };
        tables.into_iter().enumerate().map(one).collect()
    }

    /// Where the value at `path` is, or the nearest thing around where it should be.
    pub(super) fn at(&self, path: &str) -> (&'a std::path::Path, Position) {
        let mut path = path;
        loop {
            if let Some(span) = self.reach(path).and_then(|(table, key)| span_of(table, key)) {
                return self.source.at(Some(span));
            }
            let Some((outer, _)) = path.rsplit_once('.') else { return self.source.at(self.span.clone()) };
            path = outer;
        }
    }

    /// Where the name of the key at `path` is.
    pub(super) fn at_key(&self, path: &str) -> (&'a std::path::Path, Position) {
        let key = self.reach(path).and_then(|(table, key)| key_span(table, key));
        key.map_or_else(|| self.at(path), |span| self.source.at(Some(span)))
    }

    /// How an edit finds the value at `path`.
    pub(super) fn place(&self, path: &str) -> Place {
        let (mut steps, mut keys) = (self.steps.clone(), path.split('.').collect::<Vec<_>>());
        let key = keys.pop().unwrap_or_default().to_owned();
        steps.extend(keys.into_iter().map(|key| Step::Key(key.to_owned())));
        Place { file: self.source.path().to_owned(), steps, key }
    }

    pub(super) fn error(&self, id: &'static str, path: &str, message: impl std::fmt::Display) -> Finding {
        Finding::error(id, self.at(path), message).about(self.key(path))
    }

    pub(super) fn warning(&self, id: &'static str, path: &str, message: impl std::fmt::Display) -> Finding {
        Finding::warning(id, self.at(path), message).about(self.key(path))
    }

    pub(super) fn note(&self, id: &'static str, path: &str, message: impl std::fmt::Display) -> Finding {
        Finding::note(id, self.at(path), message).about(self.key(path))
    }

    /// Gives the key at `path` another name, unless that is taken.
    pub(super) fn rename(&self, path: &str, to: &str) -> Option<Edit> {
        let sibling =
            path.rsplit_once('.').map_or_else(|| to.to_owned(), |(outer, _)| format!("{outer}.{to}"));
        (!self.has(&sibling)).then(|| Edit::Rename { place: self.place(path), to: to.to_owned() })
    }

    pub(super) fn set(&self, path: &str, value: impl Into<toml_edit::Value>) -> Edit {
        Edit::Set { place: self.place(path), value: portable::spelt(&value.into()) }
    }

    pub(super) fn remove(&self, path: &str) -> Edit {
        Edit::Remove { place: self.place(path) }
    }

    /// The table that `path` ends in, and its key there.
    fn reach<'p>(&self, path: &'p str) -> Option<(&'a dyn TableLike, &'p str)> {
        let mut table = self.table;
        let mut rest = path;
        while let Some((key, inner)) = rest.split_once('.') {
            table = table.get(key)?.as_table_like()?;
            rest = inner;
        }
        Some((table, rest))
    }

    fn below(&self, step: Step) -> Vec<Step> {
        [&self.steps[..], &[step]].concat()
    }
}
