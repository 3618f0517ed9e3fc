//! What was meant by a value that is not what its key asks for.

use toml_edit::Value;

use crate::config::schema::{Key, Kind};

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
    key.accepts(&candidate).is_ok().then_some(candidate)
}
