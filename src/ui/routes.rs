//! The table of routes: what can be asked, with what, and what comes back. The router, the OpenAPI description, the page's
//! types and the tests of who is let in are all made of it, so that no route can be forgotten.

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Query, RawPathParams, RawQuery, State},
    handler::Handler,
    http::{Method, StatusCode, Uri},
    response::IntoResponse,
    routing::{MethodFilter, MethodRouter, on},
};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use super::{
    App,
    failure::{Answer, Failure},
};

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: Method,
    /// With its parameters in braces.
    pub path: &'static str,
    /// What it is for, in a few words.
    pub about: &'static str,
    /// Of the path and the query.
    pub params: Schema,
    /// `None` where nothing is brought.
    pub body: Option<Schema>,
    pub success: Success,
}

/// What comes back when all goes well.
#[derive(Clone, Debug)]
pub enum Success {
    Json(StatusCode, Schema),
    Nothing,
    /// Bytes of this kind.
    Bytes(&'static str),
    /// It becomes a `WebSocket`, with such text frames.
    Stream(Schema),
}

/// Routes as they are put together.
pub struct Routes {
    pub router: Router<App>,
    pub table: Vec<Route>,
    pub schemas: SchemaGenerator,
}

/// Nothing is asked besides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

impl Default for Routes {
    fn default() -> Self {
        let schemas = schemars::generate::SchemaSettings::draft2020_12()
            .with(|it| it.definitions_path = "/components/schemas".into())
            .into_generator();
        Self { router: Router::new(), table: vec![], schemas }
    }
}

impl Routes {
    /// Reads something.
    pub fn get<P: Asked, T: Serialize + JsonSchema + Send + 'static>(
        &mut self,
        path: &'static str,
        about: &'static str,
        answer: fn(&App, &P) -> Answer<T>,
    ) {
        let success = Success::Json(StatusCode::OK, self.schemas.subschema_for::<T>());
        let handler = async move |State(app): State<App>, asked: RawPathParams, query: RawQuery| {
            let params = params::<P>(&asked, &query)?;
            Ok::<_, Failure>(Json(aside(move || answer(&app, &params)).await?))
        };
        self.add::<P>((Method::GET, path, about), None, success, on(MethodFilter::GET, handler));
    }

    /// Changes something, with a body, and tells what came of it.
    pub fn change<P: Asked, B: Asked, T: Serialize + JsonSchema + Send + 'static>(
        &mut self,
        (method, status): (Method, StatusCode),
        path: &'static str,
        about: &'static str,
        answer: fn(&App, &P, &B) -> Answer<T>,
    ) {
        let body = self.schemas.subschema_for::<B>();
        let success = if status == StatusCode::NO_CONTENT {
            Success::Nothing
        } else {
            Success::Json(status, self.schemas.subschema_for::<T>())
        };
        let handler =
            async move |State(app): State<App>, asked: RawPathParams, query: RawQuery, body: Bytes| {
                let params = params::<P>(&asked, &query)?;
                let body: B = parsed(&body)?;
                let answer = aside(move || answer(&app, &params, &body)).await?;
                Ok::<_, Failure>(if status == StatusCode::NO_CONTENT {
                    status.into_response()
                } else {
                    (status, Json(answer)).into_response()
                })
            };
        let filter = filter(&method);
        self.add::<P>((method, path, about), Some(body), success, on(filter, handler));
    }

    /// What answers in its own way: streams, files, cookies.
    pub fn own<P: JsonSchema, H: Handler<T, App>, T: 'static>(
        &mut self,
        (method, path): (Method, &'static str),
        about: &'static str,
        success: Success,
        handler: H,
    ) {
        let filter = filter(&method);
        self.add::<P>((method, path, about), None, success, on(filter, handler));
    }

    fn add<P: JsonSchema>(
        &mut self,
        (method, path, about): (Method, &'static str, &'static str),
        body: Option<Schema>,
        success: Success,
        handler: MethodRouter<App>,
    ) {
        let params = P::json_schema(&mut self.schemas);
        self.router = std::mem::take(&mut self.router).route(path, handler);
        self.table.push(Route { method, path, about, params, body, success });
    }
}

/// Of the methods that the table has.
fn filter(method: &Method) -> MethodFilter {
    MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET)
}

/// What comes with a request.
pub trait Asked: DeserializeOwned + JsonSchema + Send + 'static {}

impl<T: DeserializeOwned + JsonSchema + Send + 'static> Asked for T {}

/// Reading and waiting is done beside the connections.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> Answer<T> + Send + 'static) -> Answer<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(cause) => {
            let text = format!("dpgui itself is wrong: {cause}");
            Err(Failure::http(StatusCode::INTERNAL_SERVER_ERROR, "bug", text))
        }
    }
}

/// Those of the path and those of the query as one, so that a handler has one place to look.
pub fn params<P: DeserializeOwned>(path: &RawPathParams, RawQuery(query): &RawQuery) -> Answer<P> {
    read(path, query.as_deref())
}

/// The same of pairs.
///
/// # Errors
/// When something is missing, unknown, twice there or no such value.
pub fn read<'a, P: DeserializeOwned>(
    path: impl IntoIterator<Item = (&'a str, &'a str)>,
    query: Option<&str>,
) -> Answer<P> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    let mut put = |name: &str, value: &str| match all.insert(name.to_owned(), value.to_owned()) {
        None => Ok(()),
        Some(_) => Err(bad(format!("`{name}` is given twice"))),
    };
    for (name, value) in path {
        put(name, value)?;
    }
    for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        put(&name, &value)?;
    }
    // axum's own reader knows that all of it is text.
    let text: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&all).finish();
    let uri: Uri = format!("/?{text}").parse().map_err(|_| bad("what is asked cannot be read".to_owned()))?;
    let Query(params) = Query::try_from_uri(&uri)
        .map_err(|cause| bad("what is asked is not as expected".to_owned()).caused_by(innermost(&cause)))?;
    Ok(params)
}

/// A body, which is JSON.
pub fn parsed<B: DeserializeOwned>(body: &[u8]) -> Answer<B> {
    serde_json::from_slice(body).map_err(|cause| not_understood(body, &cause))
}

fn not_understood(body: &[u8], cause: &serde_json::Error) -> Failure {
    let (line, column) = (cause.line(), cause.column());
    let what = match cause.classify() {
        _ if body.trim_ascii().is_empty() => {
            return bad("nothing was sent, where JSON is expected".to_owned());
        }
        Category::Data => "the request is not as expected".to_owned(),
        Category::Eof => {
            format!("the request ends in the middle of its JSON, in line {line}, column {column}")
        }
        Category::Syntax | Category::Io => {
            format!("the request is no JSON: see line {line}, column {column}")
        }
    };
    // Its own words end with the place.
    let why = cause.to_string();
    let why = why.rsplit_once(" at line ").map_or(&*why, |(why, _)| why);
    let place = format!(" (line {line}, column {column})");
    let place = if cause.is_data() && line > 0 { &*place } else { "" };
    bad(what).caused_by(format!("{why}{place}")).with_hint("`/api/openapi.json` says what each request holds")
}

fn bad(message: String) -> Failure {
    Failure::http(StatusCode::BAD_REQUEST, "usage", message)
}

fn innermost(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |it| it.source()).last().map(ToString::to_string).unwrap_or_default()
}
