//! Signing in and out.

use std::time::Duration;

use axum::{
    Extension,
    body::Bytes,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    App,
    failure::Answer,
    guard,
    keys::Keys,
    routes::{aside, parsed},
    stream::End,
};

/// What the link brought.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The code after `#t=`, or the token itself.
    token: String,
}

/// What somebody came in with.
#[derive(Clone, Debug)]
pub enum Pass {
    Token(String),
    Cookie(String),
}

/// That of a stream, which ends with it.
#[derive(Debug)]
pub struct Session {
    app: App,
    pass: Pass,
}

/// Between two looks whether it is still good.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl Pass {
    pub fn is_good(&self, keys: &Keys) -> bool {
        match self {
            Self::Token(token) => keys.is_token(token),
            Self::Cookie(cookie) => keys.is_cookie(cookie),
        }
    }
}

impl Session {
    pub fn of(app: &App, pass: Pass) -> Self {
        Self { app: app.clone(), pass }
    }

    /// Returns when it does not let anybody in any more, or the server ends.
    pub async fn ended(&self) -> End {
        let is_bad = async {
            while self.pass.is_good(&self.app.keys) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::select! {
            () = is_bad => End::SessionOver,
            () = self.app.over.cancelled() => End::Leaving,
        }
    }
}

/// Gives a cookie for a code.
pub async fn sign_in(State(app): State<App>, body: Bytes) -> Answer<Response> {
    let SignIn { token } = parsed(&body)?;
    let asking = app.clone();
    let is_good = aside(move || Ok(asking.keys.is_token(&token) || asking.keys.take_code(&token)?)).await?;
    if !is_good {
        tokio::time::sleep(super::REFUSAL).await;
        return Err(guard::unauthorised());
    }
    Ok(with_cookie(&app, &app.keys.cookie()?, ""))
}

/// Whether one is signed in: the guard has answered already.
pub async fn show() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Ends this session, and takes the cookie away. Who came with the token has none.
pub async fn sign_out(State(app): State<App>, Extension(pass): Extension<Pass>) -> Answer<Response> {
    if let Pass::Cookie(cookie) = pass {
        let asking = app.clone();
        aside(move || Ok(asking.keys.end(&cookie)?)).await?;
    }
    Ok(with_cookie(&app, "", "; Max-Age=0"))
}

/// Makes a new token, which ends all sessions; the browser that asked for it gets a new one.
pub async fn rotate(State(app): State<App>, Extension(pass): Extension<Pass>) -> Answer<Response> {
    let asking = app.clone();
    aside(move || Ok(asking.keys.rotate()?)).await?;
    match pass {
        Pass::Cookie(_) => Ok(with_cookie(&app, &app.keys.cookie()?, "")),
        Pass::Token(_) => Ok(with_cookie(&app, "", "; Max-Age=0")),
    }
}

fn with_cookie(app: &App, value: &str, more: &str) -> Response {
    let name = app.names.cookie();
    let cookie = format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/{more}");
    let mut response = StatusCode::NO_CONTENT.into_response();
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}
