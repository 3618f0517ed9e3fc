//! The page itself: files made by `npm run build`, from the binary or from the workspace.

use std::path::{Component, Path, PathBuf};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::{platform::fs, workspace::Workspace};

use super::{App, failure::Failure};

/// Where the page comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// A folder with `index.html` in it.
    Folder(PathBuf),
    /// It was not built.
    None,
}

/// Shown in its place. It needs nothing else, and tells what to do.
const MISSING: &str = "<!doctype html>\n<meta charset=utf-8>\n<title>dpgui: no page yet</title>\n\
     <h1>The page has not been built</h1>\n<p>Run <code>dpgui setup</code> in this workspace, which builds it, then \
     load this address again. The API is at <code>/api</code>.</p>\n";

impl Page {
    /// `chosen`, or what setup built.
    pub fn of(workspace: &Workspace, chosen: Option<&Path>) -> Self {
        let folder = chosen.map_or_else(|| workspace.page(), Path::to_owned);
        if fs::is_file(&folder.join("index.html")) { Self::Folder(folder) } else { Self::None }
    }

    pub const fn is_there(&self) -> bool {
        matches!(self, Self::Folder(_))
    }
}

/// Everything that is no API: a file of the page, or the page, which knows its own addresses.
pub async fn serve(State(app): State<App>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    if path == "/api" || path.starts_with("/api/") {
        return Failure::http(StatusCode::NOT_FOUND, "not-found", "there is no such route")
            .with_hint("`/api/openapi.json` describes those that there are")
            .into_response();
    }
    if ![Method::GET, Method::HEAD].contains(&method) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let Page::Folder(folder) = &app.page else {
        return typed(StatusCode::SERVICE_UNAVAILABLE, "text/html; charset=utf-8", MISSING.into(), false);
    };
    let name = path.trim_start_matches('/');
    let is_asset = name.starts_with("assets/");
    let wanted = if name.is_empty() { Path::new("index.html") } else { Path::new(name) };
    // Hashed names never mean anything else, so a browser may keep them.
    match file(folder, wanted, &headers) {
        Some(response) => response,
        None if is_asset => StatusCode::NOT_FOUND.into_response(),
        None => file(folder, Path::new("index.html"), &headers)
            .unwrap_or_else(|| StatusCode::NOT_FOUND.into_response()),
    }
}

fn file(folder: &Path, name: &Path, headers: &HeaderMap) -> Option<Response> {
    // Only names below the folder; `..` and roots are none.
    let is_plain = name.components().all(|it| matches!(it, Component::Normal(_)));
    let path = folder.join(name);
    if !is_plain || !fs::is_file(&path) {
        return None;
    }
    let kind = kind(name);
    let keeps = name.starts_with("assets");
    let packed = PathBuf::from(format!("{}.gz", path.display()));
    let takes_gzip = headers.get(header::ACCEPT_ENCODING).and_then(|it| it.to_str().ok());
    if takes_gzip.is_some_and(|it| it.contains("gzip")) && fs::is_file(&packed) {
        let mut response = typed(StatusCode::OK, kind, fs::read(&packed).ok()?, keeps);
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        return Some(response);
    }
    Some(typed(StatusCode::OK, kind, fs::read(&path).ok()?, keeps))
}

fn typed(status: StatusCode, kind: &'static str, bytes: Vec<u8>, keeps: bool) -> Response {
    let cache = if keeps { "public, max-age=31536000, immutable" } else { "no-cache" };
    (status, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], bytes).into_response()
}

fn kind(name: &Path) -> &'static str {
    match name.extension().and_then(|it| it.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("webmanifest") => "application/manifest+json",
        _ => "application/octet-stream",
    }
}
