//! The page itself: files made by `npm run build`, from the binary or from the workspace.

use std::path::{Component, Path, PathBuf};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};

use crate::{platform::fs, workspace::Workspace};

use super::{App, failure::Failure, routes::aside};

/// Where the page comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// A folder with `index.html` in it.
    Folder(PathBuf),
    /// The binary.
    #[cfg(feature = "page")]
    Embedded,
    /// It was not built.
    None,
}

/// The page as `npm run build` left it.
#[cfg(feature = "page")]
#[derive(rust_embed::Embed)]
#[folder = "web/dist/"]
struct Built;

/// Shown in its place. It needs nothing else, and tells what to do.
const MISSING: &str = "<!doctype html>\n<meta charset=utf-8>\n<title>dpgui: no page yet</title>\n\
     <h1>The page has not been built</h1>\n<p>Run <code>dpgui setup</code> in this workspace, which builds it, then \
     load this address again. The API is at <code>/api</code>.</p>\n";

impl Page {
    /// `chosen`, or what setup built.
    pub fn of(workspace: &Workspace, chosen: Option<&Path>) -> Self {
        #[cfg(feature = "page")]
        if chosen.is_none() {
            return Self::Embedded;
        }
        let folder = chosen.map_or_else(|| workspace.page(), Path::to_owned);
        if fs::is_file(&folder.join("index.html")) { Self::Folder(folder) } else { Self::None }
    }

    pub const fn is_there(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The file of that name, if it is one of the page's.
    fn read(&self, name: &Path) -> Option<Vec<u8>> {
        // Only names below the folder; `..` and roots are none, and a receipt of ours is no part of the page.
        let is_plain = |it: Component<'_>| matches!(it, Component::Normal(name) if !name.as_encoded_bytes().starts_with(b"."));
        if !name.components().all(is_plain) {
            return None;
        }
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                if fs::is_file(&path) { fs::read(&path).ok() } else { None }
            }
            #[cfg(feature = "page")]
            Self::Embedded => Built::get(name.to_str()?).map(|it| it.data.into_owned()),
            Self::None => None,
        }
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
    let path = path.to_owned();
    aside(move || Ok(found(&app, &path, &headers))).await.unwrap_or_else(IntoResponse::into_response)
}

/// What is at this address. The page's files may be in the workspace, and that on a file system that hangs.
fn found(app: &App, path: &str, headers: &HeaderMap) -> Response {
    // One that was built since the server started is there now.
    let page = if app.page.is_there() {
        app.page.clone()
    } else {
        Page::of(&app.workspace, app.chosen_page.as_deref())
    };
    if !page.is_there() {
        return typed(StatusCode::SERVICE_UNAVAILABLE, "text/html; charset=utf-8", MISSING.into(), false);
    }
    let name = path.trim_start_matches('/');
    let is_asset = name.starts_with("assets/");
    let wanted = if name.is_empty() { Path::new("index.html") } else { Path::new(name) };
    let found = file(&page, wanted, headers);
    // All other addresses are the page's own, which it knows what to show for.
    let found = found.or_else(|| (!is_asset).then(|| file(&page, Path::new("index.html"), headers))?);
    found.unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

fn file(page: &Page, name: &Path, headers: &HeaderMap) -> Option<Response> {
    let kind = kind(name);
    // Hashed names never mean anything else, so a browser may keep them.
    let keeps = name.starts_with("assets");
    let takes_gzip = headers.get(header::ACCEPT_ENCODING).and_then(|it| it.to_str().ok());
    let packed = takes_gzip
        .filter(|it| it.contains("gzip"))
        .and_then(|_| page.read(Path::new(&format!("{}.gz", name.display()))));
    if let Some(bytes) = packed {
        let mut response = typed(StatusCode::OK, kind, bytes, keeps);
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        return Some(response);
    }
    Some(typed(StatusCode::OK, kind, page.read(name)?, keeps))
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
