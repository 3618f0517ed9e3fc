//! The schema as JSON Schema (2020-12), for editors: `#:schema training.schema.json` on a file's first line.
//!
//! Stricter than the trainer in one way: a key that it would silently ignore is an error here.

use serde_json::{Map, Value, json};

use super::schema::{self, Key, Kind, Mark, ModelType, Required, Section};

const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// The schema of a training file.
pub fn training() -> Value {
    let mut schema = table(Section::Training);
    let properties = &mut schema["properties"];
    properties["model"] = model();
    properties["adapter"] = adapter();
    properties["optimizer"] = optimizer();
    properties["monitoring"] = table(Section::Monitoring);
    let mut all = schema["allOf"].take().as_array().cloned().unwrap_or_default();
    all.extend(schema::models().filter_map(of_model));
    schema["allOf"] = Value::Array(all);
    schema["$defs"] = definitions();
    headed("A training file of diffusion-pipe", schema)
}

/// The schema of a dataset file.
pub fn dataset() -> Value {
    let mut schema = table(Section::Dataset);
    // A directory may bring size buckets of its own, so what the top needs is for `dpgui config check` to say.
    schema["required"] = json!(["directory"]);
    headed("A dataset file of diffusion-pipe", schema)
}

fn headed(title: &str, schema: Value) -> Value {
    let about = schema::about();
    let mut head = json!({
        "$schema": DIALECT,
        "title": title,
        "description": format!("{} at commit {}, {}", about.repository, about.commit, about.date),
    });
    if let (Value::Object(head), Value::Object(rest)) = (&mut head, schema) {
        head.extend(rest);
    }
    head
}

/// The tables that depend on a type, which are only valid where that type is.
fn definitions() -> Value {
    let mut all = Map::new();
    for name in schema::model_names() {
        all.insert(format!("model-{name}"), table(Section::Model(name)));
    }
    for adapter in schema::adapters() {
        all.insert(format!("adapter-{}", adapter.name), table(Section::Adapter(Some(&adapter.name))));
    }
    for optimizer in schema::optimizers() {
        all.insert(format!("optimizer-{}", optimizer.name), table(Section::Optimizer(Some(&optimizer.name))));
    }
    Value::Object(all)
}

fn model() -> Value {
    let names: Vec<&str> = schema::model_names().collect();
    let known: Value =
        names.iter().map(|name| when(&json!({ "const": name }), &format!("model-{name}"))).collect();
    let kind = described(schema::key(Section::AnyModel, "type"), json!({ "enum": names }));
    json!({ "type": "object", "properties": { "type": kind }, "required": ["type"], "allOf": known })
}

fn adapter() -> Value {
    let types = schema::adapters();
    let known: Value =
        types.iter().map(|it| when(&json!({ "const": it.name }), &format!("adapter-{}", it.name))).collect();
    let names: Vec<&str> = types.iter().map(|it| it.name.as_str()).collect();
    let kind = described(schema::key(Section::Adapter(None), "type"), json!({ "enum": names }));
    json!({ "type": "object", "properties": { "type": kind }, "required": ["type"], "allOf": known })
}

/// The constructor of an optimizer that is not described here may take anything.
fn optimizer() -> Value {
    let types = schema::optimizers();
    let known: Value = types
        .iter()
        .map(|it| when(&json!({ "pattern": any_case(&it.name) }), &format!("optimizer-{}", it.name)))
        .collect();
    let names: Vec<&str> =
        types.iter().map(|it| &it.name).chain(schema::fallback_optimizers()).map(String::as_str).collect();
    let kind = described(
        schema::key(Section::Optimizer(None), "type"),
        json!({ "anyOf": [{ "enum": names }, { "type": "string" }] }),
    );
    json!({ "type": "object", "properties": { "type": kind }, "required": ["type"], "allOf": known })
}

/// `definition` where `type` is such a string.
fn when(is: &Value, definition: &str) -> Value {
    json!({
        "if": { "properties": { "type": is }, "required": ["type"] },
        "then": { "$ref": format!("#/$defs/{definition}") },
    })
}

/// What a model type asks of the rest of the file; `None` if nothing.
fn of_model(model: &ModelType) -> Option<Value> {
    let mut properties = Map::new();
    let swapped = match &model.block_swap {
        None => Some(0),
        Some(swap) => {
            swap.most.or_else(|| model.variants.iter().filter_map(|it| it.most_blocks_to_swap).max())
        }
    };
    if let Some(most) = swapped {
        properties.insert("blocks_to_swap".to_owned(), json!({ "maximum": most }));
    }
    if model.adapters.len() < schema::adapters().len() {
        let kind = json!({ "properties": { "type": { "enum": model.adapters } } });
        properties.insert("adapter".to_owned(), kind);
    }
    let required: &[&str] = if model.full_finetune_failure.is_some() { &["adapter"] } else { &[] };
    (!properties.is_empty() || !required.is_empty()).then(|| {
        let is =
            json!({ "model": { "properties": { "type": { "const": model.name } }, "required": ["type"] } });
        json!({
            "if": { "properties": is, "required": ["model"] },
            "then": { "properties": properties, "required": required },
        })
    })
}

/// A table with the keys of a section and no others.
fn table(of: Section) -> Value {
    let keys = schema::section(of);
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.clone(), described(Some(key), of_key(key)))).collect();
    let required: Vec<&str> =
        keys.iter().filter(|key| key.required == Required::Yes).map(|key| key.name.as_str()).collect();
    let mut table = json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    });
    let groups = schema::one_of(of);
    if !groups.is_empty() {
        let any = |keys: &[String]| keys.iter().map(|key| json!({ "required": [key] })).collect::<Value>();
        table["allOf"] = groups.iter().map(|group| json!({ "anyOf": any(&group.keys) })).collect();
    }
    table
}

/// With all that an editor shows beside a value.
fn described(key: Option<&Key>, mut schema: Value) -> Value {
    let Some(key) = key else { return schema };
    let note = key.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
    schema["description"] = json!(format!("{}{note}. Read at {}", key.doc, key.read_at));
    if let Some(default) = &key.default {
        schema["default"] = json!(default);
    }
    if key.is(Mark::Deprecated) {
        schema["deprecated"] = json!(true);
    }
    schema
}

fn of_key(key: &Key) -> Value {
    if !key.choices.is_empty() {
        let listed = json!({ "enum": key.choices });
        return match &key.choices_pattern {
            Some(_) => json!({ "anyOf": [listed, { "type": "string", "pattern": "^type:" }] }),
            None => listed,
        };
    }
    of_kind(&key.kind, key)
}

fn of_kind(kind: &Kind, key: &Key) -> Value {
    match kind {
        Kind::Text | Kind::Path => json!({ "type": "string" }),
        Kind::Dtype => json!({ "enum": schema::about().dtypes }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Int => bounded("integer", key),
        Kind::Float => bounded("number", key),
        Kind::Table => match key.items.map(schema::Items::section) {
            Some(section) => table(section),
            None => json!({ "type": "object" }),
        },
        Kind::List(kind) => {
            let mut list = json!({ "type": "array", "items": of_kind(kind, key) });
            for (name, bound) in [("minItems", key.min_items), ("maxItems", key.max_items)] {
                if let Some(bound) = bound {
                    list[name] = json!(bound);
                }
            }
            list
        }
        Kind::Tuple(kinds) => {
            let items: Vec<Value> = kinds.iter().map(|kind| of_kind(kind, key)).collect();
            json!({ "type": "array", "prefixItems": items, "items": false, "minItems": items.len() })
        }
        Kind::AnyOf(kinds) => {
            json!({ "anyOf": kinds.iter().map(|kind| of_kind(kind, key)).collect::<Value>() })
        }
    }
}

fn bounded(kind: &str, key: &Key) -> Value {
    let mut schema = json!({ "type": kind });
    for (name, bound) in [("minimum", key.min), ("maximum", key.max), ("exclusiveMinimum", key.above)] {
        if let Some(bound) = bound {
            schema[name] = json!(bound);
        }
    }
    schema
}

/// `sgd` as `^[sS][gG][dD]$`: JSON Schema knows no flags.
fn any_case(name: &str) -> String {
    let either = |c: char| match c.to_ascii_uppercase() {
        upper if upper == c => c.to_string(),
        upper => format!("[{c}{upper}]"),
    };
    format!("^{}$", name.chars().map(either).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_in_any_case() {
        assert_eq!(any_case("adamw8bit"), "^[aA][dD][aA][mM][wW]8[bB][iI][tT]$");
    }

    #[test]
    fn a_key_carries_its_bounds_and_its_doc() {
        let schema = training();
        assert_eq!(
            schema["properties"]["micro_batch_size_per_gpu"],
            json!({
                "anyOf": [
                    { "type": "integer", "minimum": 1.0 },
                    {
                        "type": "array",
                        "items": {
                            "type": "array",
                            "prefixItems": [{ "type": "integer", "minimum": 1.0 }, { "type": "integer", "minimum": 1.0 }],
                            "items": false,
                            "minItems": 2,
                        },
                    },
                ],
                "description": "Per-GPU batch of one forward/backward pass, optionally per resolution. Read at train.py:396",
                "default": 1,
            })
        );
        let steps = &schema["$defs"]["model-wan"]["properties"]["max_t"];
        assert_eq!(steps["type"], "number");
    }

    #[test]
    fn what_a_model_type_cannot_do_is_in_the_schema() {
        let of = |name| of_model(schema::model(name).expect("a type")).map(|it| it["then"].clone());
        assert_eq!(
            of("sd3"),
            Some(json!({ "properties": { "blocks_to_swap": { "maximum": 0 } }, "required": ["adapter"] }))
        );
        let lora_only = json!({ "properties": { "type": { "enum": ["lora"] } } });
        assert_eq!(
            of("flux"),
            Some(
                json!({ "properties": { "blocks_to_swap": { "maximum": 34 }, "adapter": lora_only }, "required": [] })
            )
        );
        assert_eq!(of("krea2"), None);
    }
}
