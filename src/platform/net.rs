//! HTTP: one client for archives and git, on rustls, with the user's proxies and certificate authorities.
//!
//! Proxies come from `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; trusted certificates from the system's
//! store or `SSL_CERT_FILE` and `SSL_CERT_DIR`, and where there is none, Mozilla's. There is no total time-out, because
//! a big file may take hours: only a connection that says nothing for [`IDLE`] is given up.

use std::{
    error::Error as StdError,
    io,
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use reqwest::{
    Certificate, StatusCode,
    blocking::{Client, RequestBuilder, Response},
    header::{self, HeaderName},
};

use crate::error::{Kind, Report};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest silence on a connection that is open.
pub const IDLE: Duration = Duration::from_secs(30);

/// The one HTTP client. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    client: Client,
}

/// A request that got no usable answer. URLs in it have lost their user and password.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("cannot set up the HTTP client")]
    Client { source: reqwest::Error },
    #[error("cannot reach `{url}`")]
    Unreachable { url: String, source: reqwest::Error },
    #[error("the certificate of `{url}` is not trusted")]
    Certificate { url: String, source: reqwest::Error },
    #[error("`{url}` answered {status}")]
    Status { url: String, status: StatusCode, retry_after: Option<Duration> },
    #[error("the connection to `{url}` broke off")]
    Broken { url: String, source: io::Error },
}

impl NetError {
    /// Trying the same place again may help: it was cut off or busy, rather than a firm no.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Client { .. } | Self::Certificate { .. } => false,
            Self::Unreachable { .. } | Self::Broken { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
        }
    }
}

impl NetError {
    /// Not even a connection was made: the name is unknown, or nobody listens there.
    pub fn is_unconnected(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.is_connect())
    }
}

impl Report for NetError {
    fn kind(&self) -> Kind {
        Kind::Network
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Certificate { .. } | Self::Client { .. } => {
                "if your network has its own certificate authority, point `SSL_CERT_FILE` at its PEM file"
                    .to_owned()
            }
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Status { .. } => {
                "check the network and the proxy settings, or name a mirror under `[sources]` in `dpgui.toml`"
                    .to_owned()
            }
        })
    }
}

impl Http {
    pub fn new() -> Result<Self, NetError> {
        Self::with_idle(IDLE)
    }

    fn with_idle(idle: Duration) -> Result<Self, NetError> {
        // Ring rather than the default provider: no C++ or cmake to build, and hashing is not its job here.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let builder = || {
            Client::builder()
                .user_agent(concat!("dpgui/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                // The blocking client's limit is for each wait, first for the answer and then for each read of its body;
                // the asynchronous one's `read_timeout` would panic in a body that is read outside of its runtime.
                .timeout(idle)
        };
        // A bare container has no certificates at all; then Mozilla's, which are built in, are as good as a system's.
        let client = builder().build().or_else(|_| builder().tls_certs_only(mozilla_roots()).build());
        Ok(Self { client: client.map_err(|source| NetError::Client { source })? })
    }

    /// Asks for `url` from byte `offset` on. The answer may ignore the offset: look at its status.
    pub fn get(&self, url: &str, offset: u64) -> Result<Response, NetError> {
        // Bytes are hashed as they were published: no transfer compression.
        let mut request = self.client.get(url).header(header::ACCEPT_ENCODING, "identity");
        if offset > 0 {
            request = request.header(header::RANGE, format!("bytes={offset}-"));
        }
        send(url, request)
    }

    /// Whether anybody usable answers at `url` within `limit`.
    pub fn answers(&self, url: &str, limit: Duration) -> bool {
        self.client.head(url).timeout(limit).send().is_ok_and(|it| it.status().is_success())
    }

    /// Asks for `url` with `headers`; with a `body` it is a POST. What git's smart protocol needs.
    pub fn exchange(
        &self,
        url: &str,
        headers: &[(HeaderName, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response, NetError> {
        let mut request = match body {
            Some(body) => self.client.post(url).body(body),
            None => self.client.get(url),
        };
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        send(url, request)
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

fn send(url: &str, request: RequestBuilder) -> Result<Response, NetError> {
    let shown = without_secrets(url);
    let response = match request.send() {
        Ok(response) => response,
        Err(source) if is_certificate(&source) => {
            return Err(NetError::Certificate { url: shown, source: source.without_url() });
        }
        Err(source) => return Err(NetError::Unreachable { url: shown, source: source.without_url() }),
    };
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = response.headers().get(header::RETRY_AFTER);
    let retry_after = retry_after.and_then(|it| it.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    Err(NetError::Status { url: shown, status, retry_after })
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
        let http = Http::with_idle(Duration::from_millis(200)).expect("a client");
        let mut body = vec![];
        let source = http.get(&url, 0).expect("an answer").read_to_end(&mut body).expect_err("silence");
        let error = crate::error::Error::from(NetError::Broken { url, source });
        assert_eq!(error.messages()[1..], ["error decoding response body", "operation timed out"]);
        assert_eq!(body, b"half");
        drop(http);
        server.join().expect("the client hung up");
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
