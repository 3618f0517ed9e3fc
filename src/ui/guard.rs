//! Who is let through to the routes, decided before any route is looked for.
//!
//! A page of any site that the user visits can send requests here, so what matters is who asks: the `Host` must be a name
//! of ours (a site whose name was rebound to this machine asks for its own), the `Origin` too, and everything but the page
//! itself needs the token or the cookie made of it. There are no exempt routes and no CORS.

use std::{future::poll_fn, pin::Pin, time::Duration};

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_core::Stream;

use super::{App, failure::Failure, keys::Keys, session::Pass};

/// A form of another site cannot send it, and a script of another site may not.
pub const CUSTOM: HeaderName = HeaderName::from_static("x-dpgui");

/// Where a browser gives a code for a cookie: the one route that works without one.
pub const SESSION: &str = "/api/session";

/// For a request's body to come.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bytes of a request that is refused. Whoever sends more does not listen.
const PASSED_OVER: usize = 4 << 20;

/// Bytes of a code with its wrapping.
const SMALL: usize = 4096;

/// How the server may be called.
#[derive(Clone, Debug)]
pub struct Names {
    /// `localhost:5173`: what `Host` may be.
    hosts: Vec<String>,
    port: u16,
}

/// What is asked, as far as it matters here.
struct Asked<'a> {
    method: &'a Method,
    path: &'a str,
    /// Of an address that was given whole.
    authority: Option<&'a str>,
    headers: &'a HeaderMap,
}

impl Names {
    /// Loopback's names, and those that the user adds.
    pub fn new(port: u16, more: &[String]) -> Self {
        let own = ["127.0.0.1", "localhost", "[::1]"].map(str::to_owned);
        let with_port = |name: &String| [format!("{name}:{port}"), name.clone()];
        let mut hosts: Vec<String> = own.iter().map(|it| format!("{it}:{port}")).collect();
        // Behind a proxy the port may be another one, or none.
        hosts.extend(more.iter().flat_map(with_port).map(|it| it.to_ascii_lowercase()));
        Self { hosts, port }
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    fn knows(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        // Browsers leave the usual port out.
        self.hosts.contains(&host) || self.port == 80 && self.hosts.contains(&format!("{host}:80"))
    }

    fn knows_origin(&self, origin: &str) -> bool {
        ["http://", "https://"].iter().any(|it| origin.strip_prefix(it).is_some_and(|host| self.knows(host)))
    }

    /// The cookie of this server: browsers keep one jar for all ports of a host.
    pub fn cookie(&self) -> String {
        format!("dpgui-{}", self.port)
    }
}

/// The middleware around all routes.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let authority = request.uri().authority().map(Authority::as_str);
    let asked = Asked { method: &method, path: &path, authority, headers: request.headers() };
    let is_about_workspace = asked.is_about_workspace();
    let mut judged = asked.judge(&app.names, &app.keys);
    if judged.is_ok()
        && is_about_workspace
        && let Err(refused) = app.presence.wanted(app.workspace.root()).await
    {
        judged = Err(refused);
    }
    let mut response = match judged {
        Ok(pass) => {
            if let Some(pass) = pass {
                request.extensions_mut().insert(pass);
            }
            let changes = asked_to_change(&method);
            match if changes { with_body(request, &path).await } else { Ok(request) } {
                Ok(request) => in_our_words(next.run(request).await).await,
                Err(refused) => refused.into_response(),
            }
        }
        Err(refused) => {
            // So that nobody can try many tokens in little time.
            if refused.status() == StatusCode::UNAUTHORIZED && !asked_for_nothing(&request) {
                tokio::time::sleep(super::REFUSAL).await;
            }
            let mut said = if is_visit(request.headers()) { refused.page() } else { refused.into_response() };
            // Here it is about the files of the page alone; routes say themselves what they allow.
            if said.status() == StatusCode::METHOD_NOT_ALLOWED {
                said.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            said
        }
    };
    harden(response.headers_mut(), path.starts_with("/api/"));
    response
}

/// The request with its body read: whoever sends it slowly, or too much of it, holds nobody up.
async fn with_body(request: Request, path: &str) -> Result<Request, Failure> {
    let (parts, body) = request.into_parts();
    // Who is not known yet brings a code and no more.
    let most = if path == SESSION { SMALL } else { super::LARGEST };
    let announced =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse::<u64>().ok());
    if let Some(length) = announced.filter(|it| *it > most as u64) {
        // Who waits to be asked for it sends nothing.
        if !parts.headers.contains_key(header::EXPECT) {
            tokio::spawn(pass_over(body));
        }
        let text = format!("the request has {length} bytes, and {most} are the most");
        return Err(Failure::http(StatusCode::PAYLOAD_TOO_LARGE, "usage", text));
    }
    match tokio::time::timeout(PATIENCE, to_bytes(body, most)).await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => {
            let text = format!("the request is cut off, or longer than {most} bytes");
            Err(Failure::http(StatusCode::PAYLOAD_TOO_LARGE, "usage", text))
        }
        Err(_) => {
            Err(Failure::http(StatusCode::REQUEST_TIMEOUT, "usage", "the request has not come to its end"))
        }
    }
}

/// Takes what is being sent already, so that the answer is read: a connection that is closed before is reset.
async fn pass_over(body: Body) {
    let mut pieces = body.into_data_stream();
    let all = async {
        let mut left = PASSED_OVER;
        // None of it is kept: many at once would take the memory that they are refused for.
        while let Some(Ok(piece)) = poll_fn(|cx| Pin::new(&mut pieces).poll_next(cx)).await {
            left = left.saturating_sub(piece.len());
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, all).await;
}

/// What axum refuses by itself, as a method or an upgrade, it refuses as plain text or without a word. All of it is said
/// as everything is.
async fn in_our_words(response: Response) -> Response {
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let is_foreign = kind.is_empty() || kind.starts_with(b"text/plain");
    if !is_foreign || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text = to_bytes(body, SMALL).await.unwrap_or_default();
    let usual = || status.canonical_reason().unwrap_or("refused").to_lowercase();
    let text = Some(String::from_utf8_lossy(&text).into_owned()).filter(|it| !it.is_empty());
    let mut said = match status {
        StatusCode::METHOD_NOT_ALLOWED => not_allowed(),
        StatusCode::NOT_FOUND => Failure::http(status, "not-found", "there is no such file"),
        _ => Failure::http(status, "usage", text.unwrap_or_else(usual)),
    }
    .into_response();
    for name in [header::ALLOW, header::UPGRADE] {
        said.headers_mut().extend(parts.headers.get(&name).map(|it| (name.clone(), it.clone())));
    }
    said
}

/// A person looks at the answer, in a browser.
fn is_visit(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|it| it.to_str().ok()).is_some_and(|it| it.contains("text/html"))
}

fn asked_to_change(method: &Method) -> bool {
    ![Method::GET, Method::HEAD].contains(method)
}

/// It brought nothing to be judged by.
fn asked_for_nothing(request: &Request) -> bool {
    !request.headers().contains_key(header::COOKIE) && !request.headers().contains_key(header::AUTHORIZATION)
}

/// What every answer says to the browser about itself.
pub fn harden(headers: &mut HeaderMap, is_api: bool) {
    const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; \
         connect-src 'self'; frame-ancestors 'none'; object-src 'none'; base-uri 'none'; form-action 'none'";
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()");
    if is_api {
        set(header::CACHE_CONTROL, "no-store");
    }
}

impl Asked<'_> {
    /// What lets it in; `None` where nothing need be brought.
    fn judge(&self, names: &Names, keys: &Keys) -> Result<Option<Pass>, Failure> {
        self.host(names)?;
        let bearer =
            self.one(&header::AUTHORIZATION)?.map(|it| it.strip_prefix("Bearer ").unwrap_or_default());
        self.origin(names, bearer.is_some())?;
        if !self.path.starts_with("/api/") && self.path != "/api" {
            let reads = [Method::GET, Method::HEAD].contains(self.method);
            return if reads { Ok(None) } else { Err(not_allowed()) };
        }
        if self.path == SESSION && *self.method == Method::POST {
            return self.is_ours_to_change().map(|()| None);
        }
        let brought = bearer.map(|it| Pass::Token(it.to_owned()));
        let name = names.cookie();
        let mut cookies = self.cookies(&name).map(|it| Pass::Cookie(it.to_owned()));
        let pass = match brought {
            Some(token) => Some(token).filter(|it| it.is_good(keys)),
            None => cookies.find(|it| it.is_good(keys)),
        };
        let pass = pass.ok_or_else(unauthorised)?;
        if self.changes() {
            self.is_ours_to_change()?;
        }
        Ok(Some(pass))
    }

    /// Without the workspace there is nothing to tell, and what is made would make an empty one in its place. Sessions and
    /// streams go on: they tell the page that the server is there.
    fn is_about_workspace(&self) -> bool {
        self.path.starts_with("/api/") && !self.path.starts_with(SESSION) && !self.is_upgrade()
    }

    /// Exactly one, and one of ours: a site that was rebound to this machine comes with its own name.
    fn host(&self, names: &Names) -> Result<(), Failure> {
        let host = self.one(&header::HOST)?;
        // The name in a whole address counts more than `Host` (RFC 9112, 3.2.2): who looks at one of them would be deceived.
        if let (Some(authority), Some(host)) = (self.authority, host)
            && !authority.eq_ignore_ascii_case(host)
        {
            let text = format!("`{authority}` is asked for, and `Host` says `{host}`");
            return Err(Failure::http(StatusCode::BAD_REQUEST, "usage", text));
        }
        if host.is_some_and(|host| names.knows(host)) {
            return Ok(());
        }
        Err(forbidden("this server does not go by that name").with_hint(format!(
            "open http://localhost:{}, or add the name to `[ui] names` in dpgui.toml",
            names.port
        )))
    }

    fn origin(&self, names: &Names, has_bearer: bool) -> Result<(), Failure> {
        let foreign = || forbidden("another site may not ask this");
        match self.one(&header::ORIGIN)? {
            Some(origin) if names.knows_origin(origin) => {}
            // Scripts bring the token itself, which no site has.
            None if has_bearer || !(self.changes() || self.is_upgrade()) => {}
            Some(_) | None => return Err(foreign()),
        }
        let fetch = |name| self.headers.get(name).and_then(|it| it.to_str().ok());
        let is_visit = *self.method == Method::GET && fetch("sec-fetch-mode") == Some("navigate");
        let is_near = fetch("sec-fetch-site").is_none_or(|it| ["same-origin", "none"].contains(&it));
        if is_near || is_visit && !self.path.starts_with("/api/") { Ok(()) } else { Err(foreign()) }
    }

    /// What a form can send is no change of ours.
    fn is_ours_to_change(&self) -> Result<(), Failure> {
        let kind = self.one(&header::CONTENT_TYPE)?.unwrap_or_default();
        let media = kind.split(';').next().unwrap_or_default().trim();
        if !media.eq_ignore_ascii_case("application/json") {
            let text = "a change is asked for as `application/json`";
            return Err(Failure::http(StatusCode::UNSUPPORTED_MEDIA_TYPE, "usage", text));
        }
        match self.one(&CUSTOM)? {
            Some("1") => Ok(()),
            _ => Err(forbidden("a change is asked for with the header `X-Dpgui: 1`")),
        }
    }

    /// Two of one header are a trick: who reads the first and who reads the last would not agree.
    fn one(&self, name: &HeaderName) -> Result<Option<&str>, Failure> {
        let mut all = self.headers.get_all(name).iter();
        let (first, second) = (all.next(), all.next());
        match (first.map(HeaderValue::to_str), second) {
            (None, _) => Ok(None),
            (Some(Ok(text)), None) => Ok(Some(text)),
            _ => Err(Failure::http(StatusCode::BAD_REQUEST, "usage", format!("one `{name}` is expected"))),
        }
    }

    /// All of that name: a program on another port of this machine may have set one too.
    fn cookies(&self, name: &str) -> impl Iterator<Item = &str> {
        let all = self.headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
        let pairs = all.flat_map(|it| it.split(';')).filter_map(|it| it.trim().split_once('='));
        pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    fn changes(&self) -> bool {
        asked_to_change(self.method)
    }

    fn is_upgrade(&self) -> bool {
        self.headers.contains_key(header::UPGRADE)
    }
}

fn forbidden(message: &str) -> Failure {
    Failure::http(StatusCode::FORBIDDEN, "forbidden", message)
}

fn not_allowed() -> Failure {
    Failure::http(StatusCode::METHOD_NOT_ALLOWED, "usage", "this cannot be done with what is at this address")
}

pub fn unauthorised() -> Failure {
    Failure::http(StatusCode::UNAUTHORIZED, "unauthorised", "you are not signed in")
        .with_hint("`dpgui ui --link` prints an address that signs you in")
}
