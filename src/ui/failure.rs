//! An error on its way to the page: the terminal's own, message, causes and hint, with the status that HTTP has for it.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    error::{Error, Kind},
    output::html::{escaped, push},
};

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    status: StatusCode,
    /// The kind, one word.
    kind: String,
    error: Error,
}

pub type Answer<T> = Result<T, Failure>;

/// What every answer is that is no success.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Failed {
    pub error: ApiError,
}

/// As on the terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ApiError {
    /// `usage`, `locked`, `disk`, and those of HTTP: `not-found`, `unauthorised`, `forbidden`.
    pub kind: String,
    pub message: String,
    /// From effect to cause.
    pub causes: Vec<String>,
    /// One thing to do.
    pub hint: Option<String>,
}

impl Failure {
    /// What HTTP itself has a word for.
    pub fn http(status: StatusCode, kind: &str, message: impl std::fmt::Display) -> Self {
        Self { status, kind: kind.to_owned(), error: Error::new(Kind::Usage, message) }
    }

    /// What was asked for is not there.
    pub fn not_found(error: impl Into<Error>) -> Self {
        Self { status: StatusCode::NOT_FOUND, kind: "not-found".to_owned(), error: error.into() }
    }

    /// It may not be done from here.
    pub fn forbidden(error: impl Into<Error>) -> Self {
        Self { status: StatusCode::FORBIDDEN, kind: "forbidden".to_owned(), error: error.into() }
    }

    /// Somebody changed it meanwhile, or it is not in a state for this.
    pub fn conflict(error: impl Into<Error>) -> Self {
        Self { status: StatusCode::CONFLICT, kind: "conflict".to_owned(), error: error.into() }
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl std::fmt::Display) -> Self {
        self.error = self.error.with_hint(hint);
        self
    }

    /// Why, from effect to cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl std::fmt::Display) -> Self {
        self.error = self.error.caused_by(cause);
        self
    }

    /// As a page gets it.
    pub fn api(&self) -> ApiError {
        ApiError::of(&self.kind, &self.error)
    }

    /// What a browser shows that came here by an address, before there is a page.
    pub fn page(&self) -> Response {
        let ApiError { message, causes, hint, .. } = self.api();
        let mut html = format!(
            "<!doctype html>\n<meta charset=utf-8>\n<meta name=viewport content=\"width=device-width\">\n<title>dpgui: {0}</title>\n\
             <h1>{0}</h1>\n",
            escaped(&message)
        );
        for text in causes.iter().chain(&hint) {
            push(&mut html, format_args!("<p>{}</p>\n", escaped(text)));
        }
        (self.status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
    }

    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl ApiError {
    pub fn new(error: &Error) -> Self {
        Self::of(&word(error.kind()), error)
    }

    fn of(kind: &str, error: &Error) -> Self {
        let mut messages = error.messages().iter().map(|it| without_snippets(it));
        Self {
            kind: kind.to_owned(),
            message: messages.next().unwrap_or_default(),
            causes: messages.collect(),
            hint: error.hint().map(str::to_owned),
        }
    }
}

/// Parsers quote the line that they stumbled over, which may be the one with a key in it.
pub fn without_snippets(text: &str) -> String {
    let is_quoted = |line: &&str| {
        let rest = line.trim_start().trim_start_matches(|it: char| it.is_ascii_digit());
        rest.trim_start().starts_with('|')
    };
    text.lines().filter(|line| !is_quoted(line)).collect::<Vec<_>>().join("\n")
}

/// As `--json` writes it.
fn word(kind: Kind) -> String {
    let word = serde_json::to_value(kind).ok();
    word.as_ref().and_then(serde_json::Value::as_str).unwrap_or("bug").to_owned()
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        let error = error.into();
        let status = match error.kind() {
            Kind::Usage => StatusCode::BAD_REQUEST,
            Kind::Locked | Kind::LockOutdated | Kind::ChangesPending => StatusCode::CONFLICT,
            Kind::Network => StatusCode::BAD_GATEWAY,
            Kind::Offline => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Disk => StatusCode::INSUFFICIENT_STORAGE,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Kind::Failed | Kind::Integrity | Kind::Interrupted | Kind::Terminated => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, kind: word(error.kind()), error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(Failed { error: self.api() })).into_response()
    }
}
