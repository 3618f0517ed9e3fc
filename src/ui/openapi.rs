//! The table of routes as an OpenAPI 3.1 document, for people, for scripts, and for the page's types.

use serde_json::{Map, Value, json};

use super::{
    routes::{Route, Routes, Success},
    stream::CLOSED,
};

/// The whole description.
pub fn document(routes: &mut Routes) -> Value {
    let failed = routes.schemas.subschema_for::<super::failure::Failed>();
    let mut paths = Map::new();
    for route in &routes.table {
        let entry = paths.entry(route.path).or_insert_with(|| json!({}));
        entry[route.method.as_str().to_ascii_lowercase()] = operation(route, &failed.clone().into());
    }
    let schemas = routes.schemas.take_definitions(true);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "dpgui",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What `dpgui ui` serves. Changes need `Content-Type: application/json` and `X-Dpgui: 1`.",
        },
        "security": [{ "token": [] }, { "cookie": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "cookie": { "type": "apiKey", "in": "cookie", "name": "dpgui-5173" },
            },
        },
    })
}

fn operation(route: &Route, failed: &Value) -> Value {
    let mut operation = json!({
        "summary": route.about,
        "operationId": name(route),
        "responses": { "default": { "description": "it was not done", "content": { "application/json": { "schema": failed } } } },
    });
    let params = parameters(route);
    if !params.is_empty() {
        operation["parameters"] = Value::Array(params);
    }
    if let Some(body) = &route.body {
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    let (status, answer) = match &route.success {
        Success::Json(status, schema) => (
            status.as_str().to_owned(),
            json!({ "description": "done", "content": { "application/json": { "schema": schema } } }),
        ),
        Success::Nothing => ("204".to_owned(), json!({ "description": "done" })),
        Success::Bytes(kind) => {
            ("200".to_owned(), json!({ "description": "the bytes", "content": { *kind: {} } }))
        }
        Success::Stream(schema) => (
            "101".to_owned(),
            json!({ "description": format!("a WebSocket with such text frames. {CLOSED}"), "content": { "application/json": { "schema": schema } } }),
        ),
    };
    operation["responses"][status] = answer;
    operation
}

/// `get-api-runs-id`, which is stable and says what it is.
fn name(route: &Route) -> String {
    let path: String =
        route.path.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '-' }).collect();
    let words = path.split('-').filter(|it| !it.is_empty()).collect::<Vec<_>>().join("-");
    format!("{}-{words}", route.method.as_str().to_ascii_lowercase())
}

fn parameters(route: &Route) -> Vec<Value> {
    let schema = route.params.as_value();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object().cloned().unwrap_or_default();
    let parameter = |(name, of): (String, Value)| {
        let in_path = route.path.contains(&format!("{{{name}}}"));
        let mut of = of;
        let about = of.as_object_mut().and_then(|it| it.remove("description")).unwrap_or(Value::Null);
        json!({
            "name": name,
            "in": if in_path { "path" } else { "query" },
            "required": in_path || required.contains(&&*name),
            "description": about.as_str().unwrap_or_default(),
            "schema": of,
        })
    };
    properties.into_iter().map(parameter).collect()
}
