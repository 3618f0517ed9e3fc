//! Whether a value is one that a key may have.

use toml::Value;

use super::{Key, Kind, about};

impl Kind {
    /// `value` is of this kind. The trainer takes an integer where a float is asked for.
    pub fn fits(&self, value: &Value) -> bool {
        match self {
            Self::Text | Self::Path => value.is_str(),
            Self::Dtype => value.as_str().is_some_and(|it| about().dtypes.iter().any(|dtype| dtype == it)),
            Self::Int => value.is_integer(),
            Self::Float => value.is_float() || value.is_integer(),
            Self::Bool => value.is_bool(),
            Self::Table => value.is_table(),
            Self::List(kind) => value.as_array().is_some_and(|it| it.iter().all(|it| kind.fits(it))),
            Self::Tuple(kinds) => value.as_array().is_some_and(|values| {
                values.len() == kinds.len() && kinds.iter().zip(values).all(|(kind, it)| kind.fits(it))
            }),
            Self::AnyOf(kinds) => kinds.iter().any(|kind| kind.fits(value)),
        }
    }
}

impl Key {
    /// # Errors
    /// With what the value has to be, as in "must be …".
    pub fn accepts(&self, value: &Value) -> Result<(), String> {
        if !self.choices.is_empty() {
            let by_pattern = || match (&self.choices_pattern, value) {
                (Some(_), Value::String(text)) => text.starts_with("type:"),
                _ => false,
            };
            let choices = || self.choices.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return if self.choices.contains(value) || by_pattern() {
                Ok(())
            } else {
                Err(format!("one of {}", choices()))
            };
        }
        if !self.kind.fits(value) {
            let one_of = || about().dtypes.join(", ");
            return Err(if self.kind == Kind::Dtype {
                format!("one of {}", one_of())
            } else {
                self.kind.in_words()
            });
        }
        let items = value.as_array().map(Vec::len);
        if let Some(min) = self.min_items.filter(|min| items.is_some_and(|items| items < *min)) {
            return Err(format!("a list of at least {min}"));
        }
        self.in_range(value)
    }

    fn in_range(&self, value: &Value) -> Result<(), String> {
        #[expect(clippy::cast_precision_loss, reason = "the bounds are small numbers")]
        let number = match value {
            Value::Integer(number) => *number as f64,
            Value::Float(number) => *number,
            Value::Array(values) => return values.iter().try_for_each(|it| self.in_range(it)),
            _ => return Ok(()),
        };
        match (self.min, self.max, self.above) {
            (Some(min), ..) if number < min => Err(format!("at least {min}")),
            (_, Some(max), _) if number > max => Err(format!("at most {max}")),
            (.., Some(above)) if number <= above => Err(format!("more than {above}")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Section, key};

    #[test]
    fn a_value_is_held_against_type_choices_and_range() {
        let check = |section, name: &str, text: &str, expected: Result<(), &str>| {
            let value = &text.parse::<toml::Table>().map(|it| it["x"].clone()).expect("TOML");
            let accepted = key(section, name).expect("a key").accepts(value);
            assert_eq!(accepted, expected.map_err(str::to_owned), "{name}: {text}");
        };
        check(Section::Training, "epochs", "x = 0", Err("at least 1"));
        check(Section::Training, "epochs", "x = 1.5", Err("a whole number"));
        check(Section::Training, "gradient_clipping", "x = 1", Ok(()));
        check(Section::Training, "micro_batch_size_per_gpu", "x = [[512, 4], [1024, 0]]", Err("at least 1"));
        check(
            Section::Training,
            "lr_scheduler",
            "x = 'cosin'",
            Err("one of \"constant\", \"linear\", \"cosine\""),
        );
        check(Section::Training, "partition_method", "x = 'type:Block'", Ok(()));
        check(Section::Dataset, "min_ar", "x = 0", Err("more than 0"));
        check(Section::Dataset, "subsample_ratio", "x = 2", Err("at most 1"));
        check(Section::Dataset, "directory", "x = []", Err("a list of at least 1"));
        let dtypes = "one of float32, float16, bfloat16, float8, float8_e4m3fn, float8_e5m2";
        check(Section::Adapter(None), "dtype", "x = 'bf16'", Err(dtypes));
        check(Section::Adapter(None), "exclude_modules", "x = 'a'", Ok(()));
    }
}
