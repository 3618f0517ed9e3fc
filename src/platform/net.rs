//! HTTP: one client for archives and git, on rustls, with the user's proxies and certificate authorities.
//!
//! Proxies come from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; trusted certificates from the system's
//! store or `SSL_CERT_FILE` and `SSL_CERT_DIR`, and where there is none, Mozilla's. There is no total time-out, because
//! a big file may take hours: only a connection that says nothing, or next to nothing, for as long as [`Patience`] has
//! is given up.

mod pace;
mod part;
mod surroundings;

use std::{
    error::Error as StdError,
    io,
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use jiff::{Timestamp, fmt::rfc2822};

use reqwest::{
    Certificate, StatusCode,
    blocking::{Client, RequestBuilder, Response},
    header::{self, HeaderMap, HeaderName},
    redirect,
};

use crate::error::{Kind, Report};

use super::{clock, halt::Halt, patience::Patience, retry::Retries};

pub use pace::Paced;
pub use part::Part;

/// Redirects that are followed; what needs more goes in circles.
const REDIRECTS: usize = 10;

/// The one HTTP client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
    patience: Patience,
    offline: bool,
    halt: Halt,
}

/// A request that got no usable answer. URLs in it have lost their user and password.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("cannot set up the HTTP client")]
    Client { source: reqwest::Error },
    #[error("`{url}` is not asked: offline")]
    Offline { url: String },
    #[error("cannot reach `{url}`")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("the certificate of `{url}` is not trusted")]
    Certificate { url: String, source: reqwest::Error },
    #[error("`{url}` answered {status}{}", asks_for(*retry_after))]
    Status { url: String, status: StatusCode, retry_after: Option<Duration> },
    #[error("the connection to `{url}` broke off")]
    Broken { url: String, source: io::Error },
    #[error("`{url}` redirects more than {REDIRECTS} times")]
    Redirects { url: String, source: reqwest::Error },
    #[error("`{url}` sends its file encoded as `{encoding}`, which was not asked for")]
    Encoded { url: String, encoding: String },
    #[error("`{url}` sends another part of its file than the one it was asked for: {problem}")]
    WrongPart { url: String, problem: String },
}

/// `, and asks to come back in 60 min`
fn asks_for(pause: Option<Duration>) -> String {
    let long = pause.filter(|it| *it >= Duration::from_mins(1));
    long.map(|it| format!(", and asks to come back in {} min", it.as_secs().div_ceil(60))).unwrap_or_default()
}

impl NetError {
    /// Trying the same place again may help: it was cut off or busy, rather than a firm no.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Client { .. }
            | Self::Offline { .. }
            | Self::Certificate { .. }
            | Self::Redirects { .. }
            | Self::Encoded { .. }
            | Self::WrongPart { .. } => false,
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
        }
    }
}

impl NetError {
    /// It was given up because too little came, and would be still at it.
    pub fn is_slow(&self) -> bool {
        let Self::Broken { source, .. } = self else { return false };
        let of_http = source.get_ref().and_then(|it| it.downcast_ref::<reqwest::Error>());
        source.kind() == io::ErrorKind::TimedOut || of_http.is_some_and(reqwest::Error::is_timeout)
    }

    /// Not even a connection was made: the name is unknown, or nobody listens there.
    pub fn is_unconnected(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.is_connect())
    }
}

impl Report for NetError {
    fn kind(&self) -> Kind {
        if let Self::Offline { .. } = self { Kind::Offline } else { Kind::Network }
    }

    fn hint(&self) -> Option<String> {
        let env = &surroundings::of_this_process;
        Some(match self {
            Self::Offline { .. } => surroundings::about_offline(env),
            Self::Certificate { .. } | Self::Client { .. } => {
                surroundings::about_certificates(env, &surroundings::problem_with)
            }
            Self::Redirects { .. } | Self::Encoded { .. } | Self::WrongPart { .. } => {
                "a proxy may be in the way; name a mirror under `[sources]` in `dpgui.toml`".to_owned()
            }
            Self::Status { retry_after: Some(pause), .. } if *pause >= Duration::from_mins(1) => {
                "run the same command then: what has come stays".to_owned()
            }
            Self::Unreachable { url, .. } | Self::Broken { url, .. } | Self::Status { url, .. } => {
                surroundings::where_to_look(url, env)
            }
        })
    }
}

impl Http {
    pub fn new() -> Result<Self, NetError> {
        Self::patient(Patience::default())
    }

    pub fn patient(patience: Patience) -> Result<Self, NetError> {
        // Ring rather than the default provider: no C++ or cmake to build, and hashing is not its job here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .user_agent(concat!("dpgui/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(patience.connect)
                .redirect(redirect::Policy::limited(REDIRECTS))
                // The blocking client's limit is for each wait, first for the answer and then for each read of its body;
                // the asynchronous one's `read_timeout` would panic in a body that is read outside of its runtime.
                .timeout(patience.idle)
        };
        // A bare container has no certificates at all; then Mozilla's, which are built in, are as good as a system's.
        let client = builder().build().or_else(|_| builder().tls_certs_only(mozilla_roots()).build());
        Ok(Self {
            client: client.map_err(|source| NetError::Client { source })?,
            patience,
            offline: false,
            halt: Halt::default(),
        })
    }

    /// Refuses every request: the one gate for everything that is fetched.
    #[must_use]
    pub const fn offline(mut self, offline: bool) -> Self {
        self.offline = offline;
        self
    }

    pub const fn is_offline(&self) -> bool {
        self.offline
    }

    /// Ends everything that is fetched with this client and its clones, and what is done beside that.
    pub const fn halt(&self) -> &Halt {
        &self.halt
    }

    /// The tries at one thing that this client fetches. With `another_way` to the same thing, a server that cannot be
    /// connected to is not waited for.
    pub fn retries(&self, another_way: bool) -> Retries {
        Retries::new(another_way, self.patience)
    }

    /// Asks for the file at `url` from byte `from` on, and for the whole of it if it is not any more what `validator`
    /// stood for. Look at [`Part::start`]: a server may send the whole file anyway.
    pub fn part(&self, url: &str, from: u64, validator: Option<&str>) -> Result<Part, NetError> {
        // Bytes are hashed as they were published: no transfer compression.
        let mut request = self.client.get(url).header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
            if let Some(validator) = validator {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        Part::of(self.send(url, request)?, &without_secrets(url), from)
    }

    /// Whether anybody usable answers at `url` within `limit`.
    pub fn answers(&self, url: &str, limit: Duration) -> bool {
        !self.offline && self.client.head(url).timeout(limit).send().is_ok_and(|it| it.status().is_success())
    }

    /// Asks for `url` with `headers`; with a `body` it is a POST. What git's smart protocol needs.
    pub fn exchange(
        &self,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Paced<Response>, NetError> {
        let mut request = match body {
            Some(body) => self.client.post(url).body(body),
            None => self.client.get(url),
        };
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        self.send(url, request)
    }

    fn send(&self, url: &str, request: RequestBuilder) -> Result<Paced<Response>, NetError> {
        let shown = without_secrets(url);
        if self.offline {
            return Err(NetError::Offline { url: shown });
        }
        let response = request.send().map_err(|source| failed(shown.clone(), source))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Paced::new(response, self.patience, self.halt.clone()));
        }
        let retry_after = retry_after(response.headers(), clock::now());
        Err(NetError::Status { url: shown, status, retry_after })
    }
}

/// A TCP port that nobody on this machine listens on now, and none of `taken`.
pub fn free_port(taken: &[u16]) -> io::Result<u16> {
    // Held until the end of the search, so that the kernel names another one each time.
    let mut held = vec![];
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        if !taken.contains(&port) {
            return Ok(port);
        }
        held.push(listener);
    }
}

fn mozilla_roots() -> impl Iterator<Item = Certificate> {
    webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().filter_map(|der| Certificate::from_der(der).ok())
}

/// `url` without user and password, and with a query, where mirrors have their tokens, cut to `?...`: fit for
/// messages, logs and receipts.
pub fn without_secrets(url: &str) -> String {
    let shown = match url::Url::parse(url) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            parsed.to_string()
        }
        _ => url.to_owned(),
    };
    match shown.split_once('?') {
        Some((address, _)) if address.contains("://") => format!("{address}?..."),
        _ => shown,
    }
}

fn failed(url: String, source: reqwest::Error) -> NetError {
    let (is_certificate, is_redirect) = (is_certificate(&source), source.is_redirect());
    let source = source.without_url();
    match (is_certificate, is_redirect) {
        (true, _) => NetError::Certificate { url, source },
        (_, true) => NetError::Redirects { url, source },
        _ => NetError::Unreachable { url, source },
    }
}

/// Seconds, or a date. A date counts from the server's own, because this machine's clock may be wrong.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let date = |text| Some(rfc2822::parse(text).ok()?.timestamp());
    let asked: &str = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = asked.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let now = text(header::DATE).and_then(date).unwrap_or(now);
    // A date that is over is no wait.
    Some(Duration::try_from(date(asked)?.duration_since(now)).unwrap_or_default())
}

/// By what rustls says of every certificate it refuses: the layers between wrap its error in I/O errors of several
/// depths, through which no type can be asked for.
fn is_certificate(error: &reqwest::Error) -> bool {
    let mut causes = std::iter::successors(error.source(), |cause| StdError::source(*cause));
    causes.any(|cause| cause.to_string().starts_with("invalid peer certificate"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    #[test]
    fn a_server_that_falls_silent_in_the_middle_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/file", listener.local_addr().expect("an address"));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let asked = stream.read(&mut [0; 4096]).expect("a request");
            assert!(asked > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").expect("sent");
            // Until the client has had enough and hangs up.
            let _ = stream.read_to_end(&mut vec![]);
        });
        let patience = Patience { idle: Duration::from_millis(200), ..Patience::default() };
        let http = Http::patient(patience).expect("a client");
        let mut body = vec![];
        let source =
            http.part(&url, 0, None).expect("an answer").body.read_to_end(&mut body).expect_err("silence");
        let error = crate::error::Error::from(NetError::Broken { url, source });
        assert_eq!(error.messages()[1..], ["error decoding response body", "operation timed out"]);
        assert_eq!(body, b"half");
        drop(http);
        server.join().expect("the client hung up");
    }

    #[test]
    fn a_server_says_in_seconds_or_by_a_date_when_to_ask_again() {
        let check = |asked: &str, date: &str, expected: Option<u64>| {
            let mut headers = HeaderMap::new();
            for (name, value) in [(header::RETRY_AFTER, asked), (header::DATE, date)] {
                if !value.is_empty() {
                    headers.insert(name, value.parse().expect("a value"));
                }
            }
            let now = "2026-11-23T12:00:00Z".parse().expect("a time");
            assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{asked}");
        };
        check("", "", None);
        check("7", "", Some(7));
        check("Mon, 23 Nov 2026 12:00:09 GMT", "", Some(9));
        check("Mon, 23 Nov 2026 12:00:09 GMT", "Mon, 23 Nov 2026 12:00:04 GMT", Some(5));
        check("Mon, 23 Nov 2026 11:59:59 GMT", "", Some(0));
        check("soon", "", None);
    }

    #[test]
    fn a_url_is_shown_without_user_and_password() {
        assert_eq!(without_secrets("https://u:p@host.example/a?b=c"), "https://host.example/a?...");
        assert_eq!(without_secrets("https://host.example/a"), "https://host.example/a");
        assert_eq!(without_secrets("https://host.example/a?token=x"), "https://host.example/a?...");
        assert_eq!(without_secrets("/local/pa?th"), "/local/pa?th");
        assert_eq!(without_secrets("/local/path"), "/local/path");
    }
}
