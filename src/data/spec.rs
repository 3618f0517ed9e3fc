//! A dataset file as the trainer reads it: each `[[directory]]` with the values that it takes from the top.
//!
//! Source: `DirectoryDataset.__init__` in diffusion-pipe's `utils/dataset.py`.

use std::path::{Path, PathBuf};

use toml_edit::{Array, Item, TableLike, Value};

use crate::config::{self, Base, Finding, Position, Severity, source::Source};

use super::buckets::{Buckets, Number, RatioSpec, ResolutionSpec};

/// A dataset file.
#[derive(Clone, Debug, PartialEq)]
pub struct DatasetSpec {
    pub file: PathBuf,
    pub directories: Vec<DirectorySpec>,
    /// `subsample_ratio`: the share of the batches that is trained.
    pub subsample: Option<f64>,
}

/// A `[[directory]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectorySpec {
    /// Where its `path` is written.
    pub position: Position,
    pub path: PathBuf,
    pub mask_path: Option<PathBuf>,
    pub control_path: Option<PathBuf>,
    pub default_mask_file: Option<PathBuf>,
    pub buckets: Buckets,
    pub num_repeats: Number,
    /// How many copies of each caption there are, their tags shuffled; 0 is one copy as it is.
    pub shuffled_copies: i64,
    pub skip_empty_caption: bool,
    pub online_captions: bool,
}

impl DirectorySpec {
    /// The samples that are made of an item with so many captions: the trainer's `shuffle_captions`.
    pub fn entries(&self, captions: u64) -> u64 {
        match self.shuffled_copies {
            0 => captions,
            copies => captions.saturating_mul(u64::try_from(copies).unwrap_or(0)),
        }
    }
}

/// Reads what can be read. A directory with a value that the trainer cannot use becomes a finding.
pub fn read(source: &Source, base: &Base) -> (DatasetSpec, Vec<Finding>) {
    let root: &dyn TableLike = source.root();
    let (mut directories, mut found) = (vec![], vec![]);
    for (index, table) in tables(root.get("directory")).into_iter().enumerate() {
        let reader = Reader { source, base, index, table, root };
        match reader.directory() {
            Ok(directory) => directories.push(directory),
            Err(finding) => found.push(*finding),
        }
    }
    if directories.is_empty() && found.is_empty() {
        found.push(config::without_directories(source.at(None)));
    }
    let subsample = root.get("subsample_ratio").and_then(Item::as_value).and_then(number).map(Number::value);
    (DatasetSpec { file: source.path().to_owned(), directories, subsample }, found)
}

fn tables(item: Option<&Item>) -> Vec<&dyn TableLike> {
    match item {
        Some(Item::ArrayOfTables(tables)) => tables.iter().map(|it| it as &dyn TableLike).collect(),
        Some(Item::Value(Value::Array(array))) => {
            array.iter().filter_map(|it| it.as_inline_table()).map(|it| it as &dyn TableLike).collect()
        }
        _ => vec![],
    }
}

fn number(value: &Value) -> Option<Number> {
    value.as_integer().map(Number::Int).or_else(|| value.as_float().map(Number::Float))
}

fn positive(value: &Value) -> Option<Number> {
    number(value).filter(|it| it.value() > 0.0 && it.value().is_finite())
}

fn pair(value: &Value) -> Option<(Number, Number)> {
    let array = value.as_array().filter(|it| it.len() == 2)?;
    Some((positive(array.get(0)?)?, positive(array.get(1)?)?))
}

struct Reader<'a> {
    source: &'a Source,
    base: &'a Base,
    /// Of the `[[directory]]`.
    index: usize,
    table: &'a dyn TableLike,
    root: &'a dyn TableLike,
}

type Read<T> = Result<T, Box<Finding>>;

impl Reader<'_> {
    fn directory(&self) -> Read<DirectorySpec> {
        let path = self.path("path")?.ok_or_else(|| {
            let message = "a `[[directory]]` lacks `path`";
            self.wrong("dataset-directory-list", "directory", message, "add `path = 'FOLDER'`")
        })?;
        let shuffles = self.value("cache_shuffle_num", "a whole number", Value::as_integer)?.unwrap_or(0);
        let tags = self.flag("shuffle_tags", false);
        let num_repeats = self.value("num_repeats", "a number", number)?.unwrap_or(Number::Int(1));
        if !num_repeats.value().is_finite() {
            let message = "`num_repeats` must be a number of times: the trainer gives up on it after caching";
            return Err(self.wrong(
                "num-repeats-positive",
                "num_repeats",
                message,
                "write `num_repeats = 1`",
            ));
        }
        Ok(DirectorySpec {
            position: self.source.at(self.span("path")).1,
            path,
            mask_path: self.path("mask_path")?,
            control_path: self.path("control_path")?,
            default_mask_file: self.path("default_mask_file")?,
            buckets: self.buckets()?,
            num_repeats,
            shuffled_copies: if tags && shuffles == 0 { 1 } else { shuffles },
            skip_empty_caption: self.flag("skip_empty_caption", true),
            online_captions: self.flag("online_captions", false),
        })
    }

    fn buckets(&self) -> Read<Buckets> {
        let triple = |value: &Value| {
            let array = value.as_array().filter(|it| it.len() == 3)?;
            let side = |index| array.get(index)?.as_integer().filter(|it| *it > 0);
            Some([side(0)?, side(1)?, side(2)?])
        };
        if let Some(sizes) =
            self.list("size_buckets", "size-bucket-shape", "[width, height, frames]", triple)?
        {
            return Ok(Buckets::by_size(&sizes));
        }
        let resolution = |value: &Value| match pair(value) {
            Some((width, height)) => Some(ResolutionSpec::Size(width, height)),
            None => positive(value).map(ResolutionSpec::Side),
        };
        let shape = "a side in pixels or [width, height]";
        let resolutions = self.list("resolutions", "resolution-pair-shape", shape, resolution)?;
        // The trainer looks at the top even if the directory has its own.
        let resolutions = resolutions
            .filter(|_| self.root.contains_key("resolutions"))
            .ok_or_else(|| Box::new(config::without_resolutions(self.source.at(self.span("path")))))?;
        let frames = self.list("frame_buckets", "wrong-type", "whole number", Value::as_integer)?;
        let frames = frames.unwrap_or_else(|| vec![1]);
        Ok(Buckets::by_ratio(self.ratios()?, &frames, &resolutions))
    }

    fn ratios(&self) -> Read<Vec<super::buckets::Ratio>> {
        if !self.flag("enable_ar_bucket", false) {
            return Ok(Buckets::square());
        }
        let ratio = |value: &Value| match pair(value) {
            Some((width, height)) => Some(RatioSpec::Pair(width, height)),
            None => positive(value).map(RatioSpec::One),
        };
        let shape = "a ratio above 0 or [width, height]";
        if let Some(given) = self.list("ar_buckets", "resolution-pair-shape", shape, ratio)?
            && !given.is_empty()
        {
            return Ok(Buckets::given_ratios(&given));
        }
        let bound = |key| self.needed(key, "a number above 0", |value| positive(value).map(Number::value));
        let count = |value: &Value| {
            value
                .as_integer()
                .and_then(|it| usize::try_from(it).ok())
                .filter(|it| (1..=MOST_BUCKETS).contains(it))
        };
        let count = self.needed("num_ar_buckets", "a whole number from 1 to 10000", count)?;
        Ok(Buckets::spaced_ratios(bound("min_ar")?, bound("max_ar")?, count))
    }

    /// The item of the directory, or else of the file.
    fn item(&self, key: &str) -> Option<&Item> {
        self.table.get(key).or_else(|| self.root.get(key))
    }

    /// The same, if a look at the dataset file alone finds nothing wrong with it.
    fn judged(&self, key: &str) -> Read<Option<&Item>> {
        match config::wrong_in_directory(self.source, self.index, key) {
            Some(wrong) if wrong.severity == Severity::Error => Err(Box::new(wrong)),
            _ => Ok(self.item(key)),
        }
    }

    fn value<T>(&self, key: &str, what: &str, parse: impl Fn(&Value) -> Option<T>) -> Read<Option<T>> {
        let Some(item) = self.judged(key)? else { return Ok(None) };
        match item.as_value().and_then(parse) {
            Some(value) => Ok(Some(value)),
            None => Err(self.wrong(
                "wrong-type",
                key,
                &format!("`{key}` must be {what}"),
                &format!("give `{key}` {what}"),
            )),
        }
    }

    fn needed<T>(&self, key: &str, what: &str, parse: impl Fn(&Value) -> Option<T>) -> Read<T> {
        let value = self.value(key, what, parse)?.filter(|_| self.root.contains_key(key));
        let at = || self.source.at(self.span("enable_ar_bucket"));
        value.ok_or_else(|| Box::new(config::without_range(key, at())))
    }

    /// As Python judges a value of any kind: 0 and what is empty are `false`.
    fn flag(&self, key: &str, default: bool) -> bool {
        let Some(value) = self.item(key).and_then(Item::as_value) else { return default };
        match value {
            Value::Boolean(it) => *it.value(),
            Value::Integer(it) => *it.value() != 0,
            Value::Float(it) => *it.value() != 0.0,
            Value::String(it) => !it.value().is_empty(),
            Value::Array(it) => !it.is_empty(),
            Value::InlineTable(it) => !it.is_empty(),
            Value::Datetime(_) => true,
        }
    }

    fn list<T>(
        &self,
        key: &str,
        id: &'static str,
        each: &str,
        parse: impl Fn(&Value) -> Option<T>,
    ) -> Read<Option<Vec<T>>> {
        let Some(item) = self.judged(key)? else { return Ok(None) };
        let all = item.as_array().and_then(|array: &Array| array.iter().map(parse).collect());
        let message = format!("each of `{key}` must be {each}");
        all.map(Some)
            .ok_or_else(|| self.wrong(id, key, &message, &format!("write `{key} = […]`, each {each}")))
    }

    fn path(&self, key: &str) -> Read<Option<PathBuf>> {
        // Only in the directory: the trainer looks for none of them at the top.
        let Some(item) = self.table.get(key) else { return Ok(None) };
        self.judged(key)?;
        match item.as_str() {
            Some(text) => Ok(Some(self.base.absolute(text))),
            None => Err(self.wrong("wrong-type", key, &format!("`{key}` must be a string"), "name a path")),
        }
    }

    fn span(&self, key: &str) -> Option<std::ops::Range<usize>> {
        let of = |table: &dyn TableLike| {
            let value = table.get(key).filter(|it| it.is_value()).and_then(Item::span);
            value.or_else(|| table.key(key).and_then(toml_edit::Key::span))
        };
        of(self.table).or_else(|| of(self.root))
    }

    fn wrong(&self, id: &'static str, key: &str, message: &str, fix: &str) -> Box<Finding> {
        let at: (&Path, Position) = self.source.at(self.span(key));
        Box::new(Finding::error(id, at, message).fix(fix))
    }
}

/// More aspect ratios than that are a slip; the trainer's own examples have up to 9.
const MOST_BUCKETS: usize = 10_000;
