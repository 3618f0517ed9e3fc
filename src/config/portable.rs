//! Rewrites a file so that the trainer's TOML parser reads what is meant.
//!
//! The trainer reads its files with the Python package `toml` 0.10.2, of 2020. That one refuses arrays of mixed
//! types, counts brackets and commas inside strings, does not know newer escapes, and more. Only what it would
//! get wrong is rewritten, in place: comments, order and spelling of the rest stay. A test compares with the
//! package itself.

use std::{collections::BTreeMap, fmt::Write, ops::Range};

use toml_edit::{Array, InlineTable, Item, TableLike, Value};

use super::{finding::Finding, source::Source};

/// Strings that shall be others in the copy, by where they start in the text.
pub type Replaced = BTreeMap<usize, String>;

/// The text that the trainer gets, and what of the original it would not have understood. An error among the
/// findings means that there is no way to write it.
pub fn rewrite(source: &Source, replaced: &Replaced) -> (String, Vec<Finding>) {
    let mut rewriter = Rewriter { source, replaced, edits: vec![], found: vec![] };
    rewriter.table(source.root());
    let Rewriter { mut edits, found, .. } = rewriter;
    edits.sort_by_key(|(span, _)| span.start);
    let (mut text, mut done) = (String::new(), 0);
    for (span, new) in edits {
        text.push_str(&source.text()[done..span.start]);
        text.push_str(&new);
        done = span.end;
    }
    text.push_str(&source.text()[done..]);
    (text, found)
}

struct Rewriter<'a> {
    source: &'a Source,
    replaced: &'a Replaced,
    edits: Vec<(Range<usize>, String)>,
    found: Vec<Finding>,
}

/// Around a value: what the old parser does with it depends on that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Alone after `key =`.
    Line,
    /// In an array.
    Array,
    /// In an inline table, or in an array there.
    Inline,
}

/// A type in the old parser's eyes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Int,
    Float,
    Array,
    Other(&'static str),
}

/// What a number turns into, so that its array has one type only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Keep,
    Float,
    /// `512` is the square `[512, 512]`.
    Square,
    /// The ratio `1.5` is `[1.5, 1.0]`.
    Ratio,
}

impl Rewriter<'_> {
    fn table(&mut self, table: &dyn TableLike) {
        for (key, item) in table.iter() {
            match item {
                Item::None => {}
                Item::Value(value) => self.value(value, key, Place::Line),
                Item::Table(table) => self.table(table),
                Item::ArrayOfTables(tables) => tables.iter().for_each(|table| self.table(table)),
            }
        }
    }

    fn value(&mut self, value: &Value, key: &str, place: Place) {
        match value {
            Value::String(text) => self.string(text.value(), value.span(), key, place),
            Value::Integer(_) | Value::Float(_) => self.number(value, key, place, Turn::Keep),
            Value::Boolean(_) => {}
            Value::Datetime(_) => {
                let message = format!("`{key}` is a date, which the trainer cannot use");
                self.error("toml-no-dates", value.span(), message, "put it in quotes");
            }
            Value::Array(array) => self.array(array, key, place),
            Value::InlineTable(table) => self.inline(table, key, place),
        }
    }

    fn string(&mut self, text: &str, span: Option<Range<usize>>, key: &str, place: Place) {
        let Some(span) = span else { return };
        let raw = &self.source.text()[span.clone()];
        let new = self.replaced.get(&span.start);
        let one_line = !raw.contains('\\') && !raw.starts_with("'''") && !raw.starts_with("\"\"\"");
        if new.is_none() && one_line && (place == Place::Line || is_tame(text)) {
            return;
        }
        match spelling_at(new.map_or(text, String::as_str), place) {
            Some(spelt) => self.edits.push((span, spelt)),
            None => self.error(
                "toml-readable",
                Some(span),
                format!("the trainer's TOML parser cannot read the quotes in `{key}`"),
                "leave them out",
            ),
        }
    }

    fn number(&mut self, value: &Value, key: &str, place: Place, turn: Turn) {
        let Some(span) = value.span() else { return };
        let raw = &self.source.text()[span.clone()];
        let number = match value {
            _ if is_plain(raw) => raw.to_owned(),
            Value::Integer(number) => number.value().to_string(),
            Value::Float(number) => format!("{:?}", number.value()).replace("NaN", "nan"),
            _ => return,
        };
        let is_int = value.is_integer();
        let float = if is_int { format!("{number}.0") } else { number.clone() };
        if place == Place::Inline && number.ends_with(['f', 'n']) {
            let message = format!("the trainer's TOML parser cannot read `{key} = {number}` between braces");
            return self.error("toml-readable", Some(span), message, "write it as a table of its own");
        }
        let new = match turn {
            Turn::Keep => number,
            Turn::Float => float,
            Turn::Square => format!("[{number}, {number}]"),
            Turn::Ratio if is_int => format!("[{number}, 1]"),
            Turn::Ratio => format!("[{number}, 1.0]"),
        };
        if new != raw {
            self.edits.push((span, new));
        }
    }

    fn array(&mut self, array: &Array, key: &str, place: Place) {
        let Some(turn) = turn_of(array, key) else {
            let message = format!("`{key}` mixes types, which the trainer's TOML parser refuses");
            let fix = "give all of its elements one type";
            return self.error("toml-homogeneous-arrays", array.span(), message, fix);
        };
        if turn != Turn::Keep {
            let message = format!("`{key}` mixes types, which the trainer's TOML parser refuses");
            let finding = Finding::note("toml-homogeneous-arrays", self.source.at(array.span()), message);
            self.found.push(finding.fix("nothing: the copy that `dpgui train` makes has one type"));
        }
        let inside = if place == Place::Inline { Place::Inline } else { Place::Array };
        for value in array {
            match value {
                Value::Integer(_) | Value::Float(_) => self.number(value, key, inside, turn),
                Value::Array(_) | Value::InlineTable(_) if place == Place::Inline => {
                    self.nested(value.span(), key);
                }
                _ => self.value(value, key, inside),
            }
        }
    }

    fn inline(&mut self, table: &InlineTable, key: &str, place: Place) {
        // In an array the old parser joins lines before it looks closer.
        let broken = place == Place::Line && self.is_over_lines(table);
        if place == Place::Inline || broken || table.trailing_comma() {
            return self.nested(table.span(), key);
        }
        for (key, value) in table {
            self.value(value, key, Place::Inline);
        }
    }

    /// A line ends between the braces, other than in a value.
    fn is_over_lines(&self, table: &InlineTable) -> bool {
        let Some(Range { mut start, end }) = table.span() else { return false };
        let mut breaks = 0;
        for span in table.iter().filter_map(|(_, value)| value.span()) {
            breaks += self.source.text()[start..span.start].matches('\n').count();
            start = span.end;
        }
        breaks + self.source.text()[start..end].matches('\n').count() > 0
    }

    fn nested(&mut self, span: Option<Range<usize>>, key: &str) {
        let message = format!("the trainer's TOML parser cannot read the braces of `{key}`");
        self.error(
            "toml-readable",
            span,
            message,
            "write it as a table of its own: `[name]`, or `[[name]]` in a list",
        );
    }

    fn error(&mut self, id: &'static str, span: Option<Range<usize>>, message: String, fix: &str) {
        self.found.push(Finding::error(id, self.source.at(span), message).fix(fix));
    }
}

/// How the numbers in `array` have to change; `None` if no change gives it one type.
fn turn_of(array: &Array, key: &str) -> Option<Turn> {
    let mut types: Vec<Type> = vec![];
    for value in array {
        let of_value = type_of(value);
        if !types.contains(&of_value) {
            types.push(of_value);
        }
    }
    let numbers_only = types.iter().all(|it| matches!(it, Type::Int | Type::Float));
    let pairs_too = types.iter().all(|it| matches!(it, Type::Int | Type::Float | Type::Array));
    match key {
        _ if types.len() < 2 => Some(Turn::Keep),
        _ if numbers_only => Some(Turn::Float),
        "resolutions" if pairs_too => Some(Turn::Square),
        "ar_buckets" if pairs_too => Some(Turn::Ratio),
        _ => None,
    }
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::Integer(_) => Type::Int,
        Value::Float(_) => Type::Float,
        Value::Array(_) => Type::Array,
        other => Type::Other(other.type_name()),
    }
}

/// `-12`, `0.5`, `1e-4`: what every parser reads alike.
fn is_plain(number: &str) -> bool {
    let digits = number.strip_prefix('-').unwrap_or(number);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && !digits.starts_with("0e")
        && !digits.starts_with("0E")
        && digits.chars().all(|c| c.is_ascii_digit() || ".eE+-".contains(c))
}

/// No character in it means anything to a parser that does not look at quotes.
fn is_tame(text: &str) -> bool {
    !text.chars().any(is_wild)
}

fn is_wild(c: char) -> bool {
    c.is_control() || "[]{},=#'\"\\".contains(c)
}

/// `value` alone after its key, as the old parser reads it and people write it; what cannot be is as it is.
pub fn spelt(value: &Value) -> String {
    let plain = || value.clone().decorated("", "").to_string();
    value.as_str().and_then(spelling).unwrap_or_else(plain)
}

/// `text` as a TOML string alone after its key; `None` if the old parser reads none.
pub fn spelling(text: &str) -> Option<String> {
    spelling_at(text, Place::Line)
}

/// `text` as a TOML string inside an array or between braces.
pub fn spelling_inside(text: &str) -> Option<String> {
    spelling_at(text, Place::Inline)
}

fn spelling_at(text: &str, place: Place) -> Option<String> {
    let literal = match place {
        Place::Line => !text.chars().any(|c| c.is_control() || c == '\''),
        Place::Array | Place::Inline => is_tame(text),
    };
    if literal {
        return Some(format!("'{text}'"));
    }
    // Two quotes at its start are taken for those of a multi-line string, even when they are escaped.
    if text.starts_with("\"\"") || text == "\"" {
        return None;
    }
    let mut spelt = String::from('"');
    let mut last = '"';
    for c in text.chars() {
        match c {
            '\\' => spelt.push_str(r"\\"),
            '\n' => spelt.push_str(r"\n"),
            '\t' => spelt.push_str(r"\t"),
            '"' if place == Place::Line => spelt.push_str("\\\""),
            // An escaped backslash before an `u` is taken for the start of an escape.
            'u' if last == '\\' => spelt.push_str(r"\u0075"),
            c if c.is_control() || place != Place::Line && is_wild(c) => {
                let _ = write!(spelt, "\\u{:04x}", u32::from(c));
            }
            c => spelt.push(c),
        }
        last = c;
    }
    spelt.push('"');
    Some(spelt)
}
