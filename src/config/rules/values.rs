//! Whether a value is what its key asks for.

use toml_edit::{Item, Value};

use crate::config::schema::{self, Key, Kind};

/// How a value can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    Type,
    /// Not one of the choices, or out of range.
    Value,
}

/// What is wrong with `item` as the value of `key`, if anything is.
pub(super) fn wrong(key: &Key, item: &Item) -> Option<Wrong> {
    let fits = match item {
        Item::Value(value) => fits(&key.kind, value),
        Item::Table(_) => key.kind.alternatives().contains(&Kind::Table),
        Item::ArrayOfTables(_) => key.kind.alternatives().contains(&Kind::List(Box::new(Kind::Table))),
        Item::None => true,
    };
    if !fits {
        return Some(Wrong::Type);
    }
    let Item::Value(value) = item else { return None };
    let of_dtype = key.kind == Kind::Dtype && !is_chosen(&schema::about().dtypes, value);
    let unknown =
        !key.choices.is_empty() && !key.choices.iter().any(|it| same(it, value)) && !is_patterned(key, value);
    let count = value.as_array().map(toml_edit::Array::len);
    let too_many = count.is_some_and(|count| {
        key.max_items.is_some_and(|most| count > most) || key.min_items.is_some_and(|least| count < least)
    });
    // How many resolutions there may be is a rule of its own.
    let too_many = too_many && key.name != "resolutions";
    (of_dtype || unknown || too_many || !in_range(key, value)).then_some(Wrong::Value)
}

/// What `key` wants instead of `value`; `None` if it may have that.
pub(in crate::config) fn wanted_instead(key: &Key, value: &Value) -> Option<String> {
    wrong(key, &Item::Value(value.clone())).map(|_| wanted(key))
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

/// What a key wants, as in "must be …".
pub(in crate::config) fn wanted(key: &Key) -> String {
    if key.kind == Kind::Dtype {
        return one_of(schema::about().dtypes.iter().cloned());
    }
    if !key.choices.is_empty() {
        let pattern = key.choices_pattern.iter().cloned();
        return one_of(key.choices.iter().map(plain).chain(pattern));
    }
    let bounds = match (key.min, key.above, key.max) {
        (Some(min), _, Some(max)) => format!(" from {min} to {max}"),
        (_, Some(above), Some(max)) => format!(" above {above}, at most {max}"),
        (Some(min), _, None) => format!(", at least {min}"),
        (_, Some(above), None) => format!(" above {above}"),
        (None, None, Some(max)) => format!(", at most {max}"),
        (None, None, None) => String::new(),
    };
    format!("{}{bounds}", name(&key.kind))
}

/// `0` or `1` for `false` or `true`: the trainer asks `if config.get(key)`, so it takes them.
pub(super) fn is_truth(key: &Key, value: &Value) -> bool {
    key.kind == Kind::Bool && matches!(value.as_integer(), Some(0 | 1))
}

/// The value that was meant by one of another spelling, as TOML: `"8"`, `"True"`, `bf16`.
pub(super) fn meant(key: &Key, value: &Value) -> Option<Value> {
    if is_truth(key, value) {
        return value.as_integer().map(|number| Value::from(number == 1));
    }
    let text = value.as_str()?.trim();
    let dtype = || {
        let known = match text.to_ascii_lowercase().trim_start_matches("torch.") {
            "bf16" | "bfloat16" => "bfloat16",
            "fp16" | "half" | "float16" => "float16",
            "fp32" | "float" | "float32" => "float32",
            "fp8" | "fp8_e4m3" | "fp8_e4m3fn" | "float8_e4m3" | "float8_e4m3fn" => "float8_e4m3fn",
            "fp8_e5m2" | "float8_e5m2" => "float8_e5m2",
            _ => return None,
        };
        Some(Value::from(known))
    };
    let candidate = match &key.kind {
        Kind::Dtype => dtype()?,
        Kind::Int => text.parse::<i64>().ok()?.into(),
        Kind::Float => text.parse::<f64>().ok().filter(|it| it.is_finite())?.into(),
        Kind::Bool => text.to_ascii_lowercase().parse::<bool>().ok()?.into(),
        Kind::AnyOf(kinds) if kinds.contains(&Kind::Int) => text.parse::<i64>().ok()?.into(),
        Kind::AnyOf(kinds) if kinds.contains(&Kind::Bool) => {
            text.to_ascii_lowercase().parse::<bool>().ok()?.into()
        }
        Kind::Text => key
            .choices
            .iter()
            .filter_map(toml::Value::as_str)
            .find(|it| it.eq_ignore_ascii_case(text))
            .map(Value::from)?,
        _ => return None,
    };
    wrong(key, &Item::Value(candidate.clone())).is_none().then_some(candidate)
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

fn name(kind: &Kind) -> String {
    match kind {
        Kind::Text => "a string".to_owned(),
        Kind::Path => "a path".to_owned(),
        Kind::Dtype => "a data type".to_owned(),
        Kind::Int => "a whole number".to_owned(),
        Kind::Float => "a number".to_owned(),
        Kind::Bool => "`true` or `false`".to_owned(),
        Kind::Table => "a table".to_owned(),
        Kind::List(kind) => format!("a list of {}", plural(kind)),
        Kind::Tuple(kinds) => format!("`[{}]`", kinds.iter().map(|_| "n").collect::<Vec<_>>().join(", ")),
        Kind::AnyOf(kinds) => {
            let mut names: Vec<String> = kinds.iter().map(name).collect();
            names.dedup();
            names.join(", or ")
        }
    }
}

fn plural(kind: &Kind) -> String {
    match kind {
        Kind::Text => "strings".to_owned(),
        Kind::Path => "paths".to_owned(),
        Kind::Int => "whole numbers".to_owned(),
        Kind::Float => "numbers".to_owned(),
        Kind::Table => "tables".to_owned(),
        Kind::Tuple(kinds) if kinds.len() == 2 => "pairs `[a, b]`".to_owned(),
        other => name(other),
    }
}
