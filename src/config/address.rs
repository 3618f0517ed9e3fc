//! How people name a key, `epochs`, `adapter.rank` or `directory[1].path`, and which one they mean.

use super::{
    schema::{self, Section},
    setting::SettingError,
};

/// How much a name has to be like that of a key to be taken for a slip, between 0 and 1.
const ALIKE: f64 = 0.8;

/// A table that may have the key.
pub(super) struct Place<'a> {
    pub(super) section: Section<'a>,
    /// Which one of a list of tables.
    pub(super) index: Option<usize>,
    /// One that is not there has to be named.
    pub(super) is_there: bool,
}

impl<'a> Place<'a> {
    pub(super) const fn one(section: Section<'a>) -> Self {
        Self { section, index: None, is_there: true }
    }

    const fn is_top(&self) -> bool {
        matches!(self.section, Section::Training | Section::Dataset)
    }

    /// What an optimizer that nobody has described takes is not known.
    fn is_open(&self) -> bool {
        matches!(self.section, Section::Optimizer(Some(name)) if schema::optimizer(name).is_none())
    }

    fn has(&self, key: &str) -> bool {
        schema::key(self.section, key).is_some()
    }

    fn spelt(&self, key: &str) -> String {
        match (self.is_top(), prefix_of(self.section), self.index) {
            (true, ..) => key.to_owned(),
            (false, prefix, None) => format!("{prefix}.{key}"),
            (false, prefix, Some(index)) => format!("{prefix}[{index}].{key}"),
        }
    }
}

/// Which of `places` has the key that `name` names, and what it is called there. A name alone is one of the top where
/// there is such a key, else that of the only table that has one.
pub(super) fn find<'n>(name: &'n str, places: &[Place]) -> Result<(usize, &'n str), SettingError> {
    let (table, key) = name.rsplit_once('.').map_or((None, name), |(table, key)| (Some(table), key));
    let is_meant = |place: &Place| match table {
        Some(table) => {
            let (prefix, index) = split(table);
            // One of a list that is not there yet has to be named by its number.
            let is_any = index.is_none() && (place.is_there || place.index.is_none());
            prefix == prefix_of(place.section)
                && (is_any || index == place.index.or(Some(0)))
                && (place.has(key) || place.is_open())
        }
        None => place.is_there && place.has(key),
    };
    let mut found: Vec<usize> = (0..places.len()).filter(|index| is_meant(&places[*index])).collect();
    if table.is_none() && found.iter().any(|index| places[*index].is_top()) {
        found.retain(|index| places[*index].is_top());
    }
    match found[..] {
        [index] => Ok((index, key)),
        [] => Err(SettingError::Unknown { name: name.to_owned(), nearest: nearest(key, places) }),
        _ => Err(SettingError::Ambiguous {
            name: name.to_owned(),
            of: found.iter().map(|index| places[*index].spelt(key)).collect(),
        }),
    }
}

/// Whether one of `sections` has the key that `name` names.
pub(super) fn is_in<'a>(name: &str, mut sections: impl Iterator<Item = Section<'a>>) -> bool {
    let (table, key) = name.rsplit_once('.').map_or((None, name), |(table, key)| (Some(split(table).0), key));
    sections.any(|it| table.is_none_or(|table| table == prefix_of(it)) && schema::key(it, key).is_some())
}

/// `directory[1]` as its name and its number.
fn split(table: &str) -> (&str, Option<usize>) {
    let numbered = table.strip_suffix(']').and_then(|it| it.split_once('['));
    match numbered.and_then(|(prefix, index)| Some((prefix, index.parse().ok()?))) {
        Some((prefix, index)) => (prefix, Some(index)),
        None => (table, None),
    }
}

/// The right name in the wrong place, or in none, is nearer than any other.
fn nearest(key: &str, places: &[Place]) -> Option<String> {
    let spelt = |name: &str| places.iter().find(|place| place.has(name)).map(|place| place.spelt(name));
    let names: Vec<&str> =
        places.iter().flat_map(|it| schema::section(it.section)).map(|key| key.name.as_str()).collect();
    spelt(key).or_else(|| spelt(schema::nearest(key, names.into_iter(), ALIKE)?))
}

/// How a name begins that is one of a section.
pub(super) const fn prefix_of(section: Section) -> &'static str {
    match section {
        Section::Training => "training",
        Section::EvalDataset => "eval_datasets",
        Section::Model(_) | Section::AnyModel => "model",
        Section::TextEncoder => "text_encoders",
        Section::Adapter(_) => "adapter",
        Section::FuseAdapter => "fuse_adapters",
        Section::Optimizer(_) => "optimizer",
        Section::Monitoring => "monitoring",
        Section::Dataset => "dataset",
        Section::Directory => "directory",
    }
}
