//! Whether a value is one that a key may have, and what one may be written as.

use toml_edit::{Item, Value};

use super::{Key, Kind, about};

/// How a value can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    Type,
    /// Not one of the choices, or out of range.
    Value,
}

impl Key {
    /// What is wrong with `item` as its value, if anything is.
    pub fn wrong(&self, item: &Item) -> Option<Wrong> {
        let fits = match item {
            Item::Value(value) => self.kind.fits(value),
            Item::Table(_) => self.kind.alternatives().contains(&Kind::Table),
            Item::ArrayOfTables(_) => self.kind.alternatives().contains(&Kind::List(Box::new(Kind::Table))),
            Item::None => true,
        };
        if !fits {
            return Some(Wrong::Type);
        }
        let Item::Value(value) = item else { return None };
        let of_dtype = self.kind == Kind::Dtype && !is_chosen(&about().dtypes, value);
        let unknown = !self.choices.is_empty()
            && !self.choices.iter().any(|it| same(it, value))
            && !is_patterned(self, value);
        let count = value.as_array().map(toml_edit::Array::len);
        let too_many = count.is_some_and(|count| {
            self.max_items.is_some_and(|most| count > most)
                || self.min_items.is_some_and(|least| count < least)
        });
        // How many resolutions there may be is a rule of its own.
        let too_many = too_many && self.name != "resolutions";
        (of_dtype || unknown || too_many || !in_range(self, value)).then_some(Wrong::Value)
    }

    /// # Errors
    /// With what the value has to be, as in "must be …".
    pub fn accepts(&self, value: &Value) -> Result<(), String> {
        self.wrong(&Item::Value(value.clone())).map_or(Ok(()), |_| Err(self.wanted()))
    }

    /// What somebody typed as its value: TOML, or plain text where it takes text.
    ///
    /// # Errors
    /// With what the value has to be, as in "must be …".
    pub fn typed(&self, text: &str) -> Result<Value, String> {
        let takes_text = |kind: &Kind| matches!(kind, Kind::Text | Kind::Path | Kind::Dtype);
        let as_text = self.kind.alternatives().iter().any(takes_text).then(|| Value::from(text));
        let mut candidates = text.trim().parse::<Value>().into_iter().chain(as_text);
        candidates.find(|value| self.accepts(value).is_ok()).ok_or_else(|| self.wanted())
    }

    /// What it wants, as in "must be …".
    pub fn wanted(&self) -> String {
        if self.kind == Kind::Dtype {
            return one_of(about().dtypes.iter().cloned());
        }
        if !self.choices.is_empty() {
            let pattern = self.choices_pattern.iter().cloned();
            return one_of(self.choices.iter().map(plain).chain(pattern));
        }
        let bounds = match (self.min, self.above, self.max) {
            (Some(min), _, Some(max)) => format!(" from {min} to {max}"),
            (_, Some(above), Some(max)) => format!(" above {above}, at most {max}"),
            (Some(min), _, None) => format!(", at least {min}"),
            (_, Some(above), None) => format!(" above {above}"),
            (None, None, Some(max)) => format!(", at most {max}"),
            (None, None, None) => String::new(),
        };
        format!("{}{bounds}", self.kind.in_words())
    }
}

impl Kind {
    /// `value` is of this kind. The trainer takes an integer where a float is asked for.
    pub fn fits(&self, value: &Value) -> bool {
        fits(self, value)
    }
}

/// The same value for another of the two crates that know TOML.
pub fn editable(value: &toml::Value) -> Value {
    // What one of them writes the other one reads.
    value.to_string().parse().unwrap_or_else(|_| Value::from(value.to_string()))
}

/// The other way round.
pub fn plain_value(value: &Value) -> toml::Value {
    let text = format!("x = {}", value.clone().decorated("", ""));
    let table = text.parse::<toml::Table>().ok();
    table.and_then(|mut it| it.remove("x")).unwrap_or_else(|| toml::Value::String(value.to_string()))
}

fn fits(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Text | Kind::Path | Kind::Dtype => value.is_str(),
        Kind::Int => value.is_integer(),
        Kind::Float => value.is_float() || value.is_integer(),
        Kind::Bool => value.is_bool(),
        Kind::Table => value.is_inline_table(),
        Kind::List(kind) => value.as_array().is_some_and(|it| it.iter().all(|it| fits(kind, it))),
        Kind::Tuple(kinds) => value.as_array().is_some_and(|values| {
            values.len() == kinds.len() && kinds.iter().zip(values).all(|(kind, it)| fits(kind, it))
        }),
        Kind::AnyOf(kinds) => kinds.iter().any(|kind| fits(kind, value)) || fits_mixed(kinds, value),
    }
}

/// A list of numbers and pairs: `portable` turns all into pairs, or says that it cannot.
fn fits_mixed(kinds: &[Kind], value: &Value) -> bool {
    let inner: Vec<&Kind> = kinds
        .iter()
        .filter_map(|kind| if let Kind::List(kind) = kind { Some(&**kind) } else { None })
        .collect();
    let array = value.as_array().filter(|_| inner.len() == kinds.len());
    array.is_some_and(|array| array.iter().all(|value| inner.iter().any(|kind| fits(kind, value))))
}

fn in_range(key: &Key, value: &Value) -> bool {
    let number = match value {
        #[expect(clippy::cast_precision_loss, reason = "bounds are small")]
        Value::Integer(it) => *it.value() as f64,
        Value::Float(it) => *it.value(),
        Value::Array(array) => return pairs_in_range(key, array),
        _ => return true,
    };
    !number.is_nan()
        && key.min.is_none_or(|min| number >= min)
        && key.max.is_none_or(|max| number <= max)
        && key.above.is_none_or(|above| number > above)
}

fn pairs_in_range(key: &Key, array: &toml_edit::Array) -> bool {
    array.iter().all(|value| in_range(key, value))
}

fn is_chosen(choices: &[String], value: &Value) -> bool {
    value.as_str().is_some_and(|text| choices.iter().any(|it| it == text))
}

fn same(choice: &toml::Value, value: &Value) -> bool {
    match choice {
        toml::Value::String(text) => value.as_str() == Some(text),
        toml::Value::Integer(number) => value.as_integer() == Some(*number),
        toml::Value::Boolean(flag) => value.as_bool() == Some(*flag),
        _ => false,
    }
}

/// `type:<regex over layer class names>`: what is before the `<` has to be there.
fn is_patterned(key: &Key, value: &Value) -> bool {
    let Some(pattern) = &key.choices_pattern else { return false };
    let start = pattern.split('<').next().unwrap_or_default();
    value.as_str().is_some_and(|text| text.starts_with(start) && text.len() > start.len())
}

fn one_of(choices: impl Iterator<Item = String>) -> String {
    let mut choices: Vec<String> = choices.map(|it| format!("`{it}`")).collect();
    match choices.pop() {
        Some(last) if !choices.is_empty() => format!("{} or {last}", choices.join(", ")),
        last => last.unwrap_or_default(),
    }
}

fn plain(choice: &toml::Value) -> String {
    choice.as_str().map_or_else(|| choice.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Section, key},
        editable,
    };

    #[test]
    fn a_value_is_held_against_type_choices_and_range() {
        let check = |section, name: &str, text: &str, expected: Result<(), &str>| {
            let value = &text.parse::<toml::Table>().map(|it| it["x"].clone()).expect("TOML");
            let accepted = key(section, name).expect("a key").accepts(&editable(value));
            assert_eq!(accepted, expected.map_err(str::to_owned), "{name}: {text}");
        };
        check(Section::Training, "epochs", "x = 0", Err("a whole number, at least 1"));
        check(Section::Training, "epochs", "x = 1.5", Err("a whole number, at least 1"));
        check(Section::Training, "gradient_clipping", "x = 1", Ok(()));
        check(
            Section::Training,
            "micro_batch_size_per_gpu",
            "x = [[512, 4], [1024, 0]]",
            Err("a whole number, or a list of pairs `[a, b]`, at least 1"),
        );
        check(Section::Training, "lr_scheduler", "x = 'cosin'", Err("`constant`, `linear` or `cosine`"));
        check(Section::Training, "partition_method", "x = 'type:Block'", Ok(()));
        check(Section::Dataset, "min_ar", "x = 0", Err("a number above 0"));
        check(Section::Dataset, "min_ar", "x = nan", Err("a number above 0"));
        check(Section::Dataset, "subsample_ratio", "x = 2", Err("a number above 0, at most 1"));
        check(Section::Dataset, "directory", "x = []", Err("a list of tables"));
        let dtypes = "`float32`, `float16`, `bfloat16`, `float8`, `float8_e4m3fn` or `float8_e5m2`";
        check(Section::Adapter(None), "dtype", "x = 'bf16'", Err(dtypes));
        check(Section::Adapter(None), "exclude_modules", "x = 'a'", Ok(()));
    }
}
