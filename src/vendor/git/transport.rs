//! git's smart protocol over our own HTTP client, reading only, as a transport that libgit2 calls.
//!
//! It is stateless: a GET for what the server has, then a POST per question, the last answer being the pack, which is
//! handed on as it arrives. libgit2 flattens every error into a string; the real one is kept in the [`Call`].
//! Protocol: <https://git-scm.com/docs/http-protocol>.

use std::{
    cell::RefCell,
    io::{self, BufRead, BufReader, Read, Write},
    sync::{Arc, Mutex},
};

use git2::{
    Error, ErrorClass, ErrorCode,
    transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport},
};
use reqwest::{StatusCode, blocking::Response, header};
use url::Url;

use crate::platform::{
    Env,
    net::{self, Http, NetError, Paced},
};

use super::{GitError, libgit2::Libgit2};

const ADVERTISEMENT: &str = "/info/refs?service=git-upload-pack";
const UPLOAD_PACK: &str = "/git-upload-pack";

/// Servers tell git from browsers by the beginning of this.
const USER_AGENT: &str = concat!("git/2.0 (dpgui ", env!("CARGO_PKG_VERSION"), ")");

thread_local! {
    /// What the transport needs and cannot be given: libgit2 makes transports by itself, on the thread that fetches.
    static CURRENT: RefCell<Option<Call>> = const { RefCell::new(None) };
}

/// A GitHub token of the user's. GitHub sees it only after it has asked for one, nobody else ever does.
#[derive(Clone)]
pub(super) struct Token(String);

/// One fetch: what it asks with, and the first thing that went wrong.
#[derive(Clone, Debug)]
pub(super) struct Call {
    http: Http,
    token: Option<Token>,
    failure: Arc<Mutex<Option<GitError>>>,
}

/// Why a fetch failed: our side of it knows, or else only libgit2 does.
#[derive(Debug)]
pub(super) enum Failure {
    Ours(GitError),
    Libgit2(Libgit2),
}

impl Token {
    pub(super) fn of(env: &Env) -> Option<Self> {
        env.first(&["GITHUB_TOKEN", "GH_TOKEN"]).map(|(_, token)| Self(token.to_owned()))
    }

    /// `url` with the token as its password, where it belongs and no other user is named.
    fn sign_in(&self, url: &Url) -> Option<Url> {
        let ours = url.scheme() == "https" && url.host_str() == Some("github.com");
        let mut signed = Some(url.clone()).filter(|it| ours && it.username().is_empty())?;
        signed.set_username("x-access-token").and_then(|()| signed.set_password(Some(&self.0))).ok()?;
        Some(signed)
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Call {
    pub(super) fn new(http: Http, token: Option<Token>) -> Self {
        Self { http, token, failure: Arc::default() }
    }

    /// Does `work`, in which libgit2 fetches through this call.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Failure> {
        CURRENT.set(Some(self.clone()));
        let done = work();
        CURRENT.set(None);
        done.map_err(|error| match self.failure.lock().ok().and_then(|mut it| it.take()) {
            Some(ours) => Failure::Ours(ours),
            None => Failure::Libgit2(error.into()),
        })
    }

    /// Keeps `error` for [`Call::within`] and gives libgit2 something to stop at.
    fn fail(&self, error: GitError) -> Error {
        let shown = Error::new(ErrorCode::GenericError, ErrorClass::Http, error.to_string());
        if let Ok(mut failure) = self.failure.lock() {
            failure.get_or_insert(error);
        }
        shown
    }

    /// What the server has, and the address to ask on: a renamed repository redirects.
    fn advertisement(&self, url: &str) -> Result<(Url, Paced<Response>), GitError> {
        let base = Url::parse(url).map_err(|_| GitError::Address { url: net::without_secrets(url) })?;
        match self.ask(&base, ADVERTISEMENT, None) {
            Err(GitError::Denied { status: StatusCode::UNAUTHORIZED, url }) => {
                let signed = self.token.as_ref().and_then(|token| token.sign_in(&base));
                let denied = GitError::Denied { status: StatusCode::UNAUTHORIZED, url };
                let base = signed.ok_or(denied)?;
                let answer = self.ask(&base, ADVERTISEMENT, None)?;
                Ok((moved(&base, answer.get_ref()), answer))
            }
            answer => answer.map(|answer| (moved(&base, answer.get_ref()), answer)),
        }
    }

    fn ask(&self, base: &Url, what: &str, question: Option<Vec<u8>>) -> Result<Paced<Response>, GitError> {
        let url = format!("{}{what}", base.as_str().trim_end_matches('/'));
        let shown = || net::without_secrets(base.as_str());
        let (service, expected) = match question {
            None => (None, "application/x-git-upload-pack-advertisement"),
            Some(_) => {
                (Some("application/x-git-upload-pack-request"), "application/x-git-upload-pack-result")
            }
        };
        let mut headers = vec![(header::USER_AGENT, USER_AGENT), (header::ACCEPT, expected)];
        headers.extend(service.map(|it| (header::CONTENT_TYPE, it)));
        let answer = self.http.exchange(&url, &headers, question).map_err(|error| match error {
            NetError::Status { status: StatusCode::NOT_FOUND | StatusCode::GONE, .. } => {
                GitError::NoRepository { url: shown() }
            }
            NetError::Status { status, .. } if [401, 403].contains(&status.as_u16()) => {
                GitError::Denied { url: shown(), status }
            }
            other => GitError::Net(other),
        })?;
        let found = answer.get_ref().headers().get(header::CONTENT_TYPE);
        let found = found.and_then(|it| it.to_str().ok()).unwrap_or("no content type");
        if found != expected {
            return Err(GitError::NotGit { url: shown(), content_type: found.to_owned() });
        }
        Ok(answer)
    }
}

/// Makes libgit2 use this transport for `http://` and `https://`.
pub(super) fn register() -> Result<(), Error> {
    for scheme in ["http", "https"] {
        #[expect(unsafe_code, reason = "libgit2's list of transports is a process-wide variable")]
        // SAFETY: called once, from `libgit2::prepare`, before any other call of ours into libgit2.
        unsafe {
            git2::transport::register(scheme, |remote| {
                let call = CURRENT.with_borrow(Clone::clone);
                let call = call.ok_or_else(|| Error::from_str("a fetch outside of `Call::within`"))?;
                Transport::smart(remote, true, Subtransport { call, base: RefCell::new(None) })
            })?;
        }
    }
    Ok(())
}

struct Subtransport {
    call: Call,
    /// Where to post to, known once the server has answered the first question.
    base: RefCell<Option<Url>>,
}

impl SmartSubtransport for Subtransport {
    fn action(&self, url: &str, service: Service) -> Result<Box<dyn SmartSubtransportStream>, Error> {
        let call = self.call.clone();
        match service {
            Service::UploadPackLs => {
                let (base, answer) = call.advertisement(url).map_err(|error| call.fail(error))?;
                let shown = net::without_secrets(base.as_str());
                self.base.replace(Some(base));
                Ok(Box::new(Answer { call, url: shown, body: BufReader::new(answer) }))
            }
            Service::UploadPack => {
                let base = self.base.borrow().clone();
                let base = base.ok_or_else(|| Error::from_str("asked for a pack before the references"))?;
                Ok(Box::new(Question { call, base, body: Vec::new(), answer: None }))
            }
            Service::ReceivePackLs | Service::ReceivePack => Err(Error::from_str("dpgui never pushes")),
        }
    }

    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// What libgit2 asks, sent when it wants to read the answer.
struct Question {
    call: Call,
    base: Url,
    body: Vec<u8>,
    answer: Option<Answer>,
}

impl Question {
    fn answer(&mut self) -> Result<&mut Answer, GitError> {
        let answer = match self.answer.take() {
            Some(answer) => answer,
            None => self.send()?,
        };
        Ok(self.answer.insert(answer))
    }

    fn send(&mut self) -> Result<Answer, GitError> {
        let response = self.call.ask(&self.base, UPLOAD_PACK, Some(std::mem::take(&mut self.body)))?;
        let url = net::without_secrets(self.base.as_str());
        let mut answer = Answer { call: self.call.clone(), url, body: BufReader::new(response) };
        answer.refuse_refusal()?;
        Ok(answer)
    }
}

impl Write for Question {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.body.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Question {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let call = self.call.clone();
        self.answer().map_err(|error| io::Error::other(call.fail(error)))?.read(buffer)
    }
}

/// What the server says, as it arrives.
struct Answer {
    call: Call,
    url: String,
    body: BufReader<Paced<Response>>,
}

impl Answer {
    /// `ERR` and the server's own words, which libgit2 would not pass on.
    fn refuse_refusal(&mut self) -> Result<(), GitError> {
        let broken = |source| NetError::Broken { url: self.url.clone(), source };
        let start = self.body.fill_buf().map_err(broken)?;
        let line = String::from_utf8_lossy(&start[..start.len().min(1000)]);
        match line.get(4..).and_then(|it| it.strip_prefix("ERR ")) {
            Some(message) => {
                let message = message.lines().next().unwrap_or_default().to_owned();
                Err(GitError::Refused { url: self.url.clone(), message })
            }
            None => Ok(()),
        }
    }
}

impl Read for Answer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer).map_err(|source| {
            let url = self.url.clone();
            io::Error::other(self.call.fail(NetError::Broken { url, source }.into()))
        })
    }
}

impl Write for Answer {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The repository's address after redirects. User and password go along only within the same server.
fn moved(asked: &Url, answer: &Response) -> Url {
    let moved = answer.url().as_str().strip_suffix(ADVERTISEMENT).and_then(|it| Url::parse(it).ok());
    match moved {
        Some(mut moved) if moved.origin() == asked.origin() => {
            let _ = moved.set_username(asked.username()).and_then(|()| moved.set_password(asked.password()));
            moved
        }
        Some(moved) => moved,
        None => asked.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_for_github_over_tls_alone() {
        let token = Token("secret".to_owned());
        let check = |url: &str, expected: Option<&str>| {
            let signed = token.sign_in(&Url::parse(url).expect("a url"));
            assert_eq!(signed.as_ref().map(Url::as_str), expected);
        };
        check("https://github.com/o/r", Some("https://x-access-token:secret@github.com/o/r"));
        check("http://github.com/o/r", None);
        check("https://github.com.example/o/r", None);
        check("https://me:mine@github.com/o/r", None);
    }

    #[test]
    fn the_token_is_never_printed() {
        assert_eq!(format!("{:?}", Token::of(&Env::from([("GH_TOKEN", "secret")]))), "Some(Token(..))");
    }
}
